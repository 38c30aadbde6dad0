//! Slips in the settings of `trace_exporter`: each is refused where it stands, and told what would be right.

use super::read;

#[track_caller]
fn refused(settings: &str) -> String {
    let yaml = format!("{{LLM}}interceptors:\n  - type: trace_exporter\n    config: {settings}\n");
    let error = read(&yaml).expect_err("the settings should be refused").to_string();
    assert!(error.starts_with("config.yaml:4:"), "{error}");
    error
}

#[test]
fn typical_mistakes_are_told_with_what_would_be_right() {
    for (settings, why) in [
        ("{endpoint: 'localhost:4318'}", "endpoint: found \"localhost:4318\"; expected http:// or https://"),
        ("{endpoint: otel-collector}", "expected http:// or https:// at the beginning"),
        ("{endpoint: 'http://h:99999'}", "expected a port from 1 to 65535"),
        ("{endpoint: 'http://h:4318/v1/traces'}", "expected it without /v1/traces and its like"),
        ("{endpoint: 'https://me:hunter2@h'}", "they belong into a header"),
        ("{protocol: grpc, endpoint: 'http://h:4317/otlp'}", "gRPC takes no path"),
        ("{protocol: grpc, endpoints: {logs: 'http://h:4317/v1/logs'}}", "gRPC takes no path"),
        ("{protocol: http}", "expected one of http/protobuf, http/json, grpc"),
        ("{enpoint: 'http://h'}", "unknown key; did you mean `endpoint`?"),
        ("{endpoints: {trace: 'http://h'}}", "unknown key; did you mean `traces`?"),
        ("{headers: ['authorization: x']}", "found a list; expected a mapping of keys to values"),
        ("{headers: 'authorization=x'}", "found a single value; expected a mapping of keys to values"),
        ("{headers: {'my key': x}}", "expected a name such as authorization"),
        ("{headers: {authorization: 'Bearer ${UNSET}'}}", "environment variable `UNSET` is not set"),
        ("{timeout: soon}", "expected a duration of at most a year, such as 30s"),
        ("{compression: zstd}", "expected one of gzip, none"),
        ("{signals: [traces]}", "found a list; expected a mapping of these keys: traces, logs, metrics"),
        ("{semconv: latest}", "found a single value; expected a list"),
        ("{semconv: []}", "expected at least one of latest and v1_41"),
        ("{spool: false}", "found a single value; expected a mapping of these keys: enabled, directory"),
        ("{queue: much}", "expected a size such as 64MiB"),
        ("{batch: {max_spans: 0}}", "expected a number from 1 on"),
        ("{trace: {sampler: always-on}}", "did you mean `always_on`?"),
        ("{trace: {sampler: traceidratio, sampler_arg: 10}}", "expected a number from 0 to 1"),
        ("{content: true}", "found a single value; expected a mapping of these keys: capture"),
        ("{content: {capture: true}}", "expected one of none, span, event, span_and_event"),
    ] {
        let error = refused(settings);
        assert!(error.contains(why) && !error.contains("hunter2"), "{settings}: {error}");
    }
}

#[test]
fn what_is_right_in_more_than_one_way_is_taken() {
    for settings in [
        "{timeout: 10, batch: {interval: 500ms}}",
        "{endpoint: 'https://h/api/public/otel/'}",
        "{endpoints: {traces: 'https://h/v1/traces'}}",
        "{protocol: grpc, endpoint: 'http://[::1]:4317/'}",
        "{headers: {x-number: 4}}",
        "{headers: }",
    ] {
        let yaml = format!("{{LLM}}interceptors:\n  - type: trace_exporter\n    config: {settings}\n");
        read(&yaml).unwrap_or_else(|error| panic!("{settings}: {error}"));
    }
}
