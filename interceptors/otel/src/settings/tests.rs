use std::path::Path;
use std::time::Duration;

use opentelemetry_proto::tonic::common::v1::any_value::Value as Any;
use serde_json::{Value, json};

use super::effective::{Effective, Files, Temporality};
use super::{Compression, Protocol, Settings, SettingsError};
use crate::content::Capture;
use crate::profile::Profile;
use crate::send::Signal;

/// What comes of these settings in this environment.
fn try_effective(settings: Value, variables: &[(&str, &str)]) -> Result<Effective, SettingsError> {
    let settings: Settings = serde_json::from_value(settings).unwrap();
    let lookup = |name: &str| {
        let found = variables.iter().find(|(known, _)| *known == name);
        found.map(|(_, value)| (*value).to_owned())
    };
    settings.effective(&lookup)
}

#[track_caller]
fn effective(settings: Value, variables: &[(&str, &str)]) -> Effective {
    try_effective(settings, variables).unwrap()
}

/// The URLs of traces, logs and metrics.
fn urls(effective: &Effective) -> Vec<String> {
    effective.destinations.iter().map(|(_, to)| to.endpoint.uri().to_string()).collect()
}

fn resource(effective: &Effective, key: &str) -> Any {
    let mut attributes = effective.resource.attributes.iter();
    attributes.find(|attribute| attribute.key == key).unwrap().value.clone().unwrap().value.unwrap()
}

#[test]
fn with_nothing_said_everything_goes_to_this_machine() {
    let defaults = effective(json!({}), &[]);
    let all = [
        "http://localhost:4318/v1/traces",
        "http://localhost:4318/v1/logs",
        "http://localhost:4318/v1/metrics",
    ];
    assert_eq!(urls(&defaults), all);
    let (_, to) = &defaults.destinations[0];
    assert_eq!((to.protocol, to.compression), (Protocol::HttpProtobuf, Compression::Gzip));
    assert_eq!((to.timeout, &to.files), (Duration::from_secs(10), &Files::default()));
    assert!(to.headers.map().is_empty());
    assert_eq!(defaults.profiles, [Profile::Latest, Profile::V1_41]);
    assert_eq!((defaults.batch, defaults.batch_interval), (512, Duration::from_secs(5)));
    assert_eq!(defaults.metrics_interval, Duration::from_secs(60));
    assert_eq!(defaults.temporality, Temporality::Cumulative);
    assert_eq!(defaults.queue, 16 << 20);
    assert_eq!(resource(&defaults, "service.name"), Any::StringValue("perimeter".into()));
    assert!(defaults.spool.is_none(), "there is no home directory");

    let grpc = effective(json!({"protocol": "grpc"}), &[]);
    assert_eq!(urls(&grpc), ["http://localhost:4317/"; 3]);
}

#[test]
fn a_key_that_is_left_empty_is_not_set() {
    let settings = json!({
        "endpoint": null, "protocol": null, "headers": null, "timeout": null, "compression": null, "queue": null,
        "semconv": null, "service_name": null, "metrics_interval": null,
        "batch": {"max_spans": null, "interval": null}, "spool": {"directory": null},
    });
    let (empty, defaults) = (effective(settings, &[]), effective(json!({}), &[]));
    assert_eq!(empty.destinations, defaults.destinations);
    assert_eq!((empty.batch, empty.queue, empty.batch_interval), (512, 16 << 20, Duration::from_secs(5)));
}

#[test]
fn the_spool_is_where_state_is_kept() {
    let directory = |settings, variables: &[_]| effective(settings, variables).spool.unwrap().directory;
    let home = ("HOME", "/home/me");
    assert_eq!(directory(json!({}), &[home]), Path::new("/home/me/.local/state/perimeter/otlp"));
    let state = ("XDG_STATE_HOME", "/state");
    assert_eq!(directory(json!({}), &[home, state]), Path::new("/state/perimeter/otlp"));
    assert_eq!(directory(json!({"spool": {"directory": "/x"}}), &[home]), Path::new("/x"));
    assert!(effective(json!({"spool": {"enabled": false}}), &[home]).spool.is_none());
    let spool = effective(json!({"spool": {"max_size": "1MiB", "max_age": "2d"}}), &[home]).spool.unwrap();
    assert_eq!((spool.max_size, spool.max_age), (1 << 20, Duration::from_secs(2 * 86_400)));
}

#[test]
fn a_configuration_wins_over_a_signals_variable_and_that_over_the_general_one() {
    let general = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://general:1/base");
    let logs = ("OTEL_EXPORTER_OTLP_LOGS_ENDPOINT", "http://logs:1/as/is");
    assert_eq!(
        urls(&effective(json!({}), &[general, logs])),
        ["http://general:1/base/v1/traces", "http://logs:1/as/is", "http://general:1/base/v1/metrics"]
    );
    assert_eq!(
        urls(&effective(json!({"endpoint": "http://told:1"}), &[general, logs])),
        ["http://told:1/v1/traces", "http://told:1/v1/logs", "http://told:1/v1/metrics"]
    );
    assert_eq!(
        urls(&effective(json!({"endpoints": {"traces": "http://told:1/t"}}), &[general, logs])),
        ["http://told:1/t", "http://logs:1/as/is", "http://general:1/base/v1/metrics"]
    );

    for (what, general, of_logs, told) in [
        ("TIMEOUT", "1000", "2000", json!({"timeout": "3s"})),
        ("COMPRESSION", "none", "gzip", json!({"compression": "none"})),
        ("PROTOCOL", "http/json", "grpc", json!({"protocol": "http/protobuf"})),
        ("HEADERS", "a=general", "a=logs", json!({"headers": {"a": "told"}})),
    ] {
        let names = [format!("OTEL_EXPORTER_OTLP_{what}"), format!("OTEL_EXPORTER_OTLP_LOGS_{what}")];
        let variables = [(&*names[0], general), (&*names[1], of_logs)];
        let [by_env, by_told] = [json!({}), told].map(|settings| effective(settings, &variables));
        let seen = |effective: &Effective, signal| {
            let to = effective.destination(signal).unwrap().clone();
            let header = to.headers.map().get("a").map(|value| value.to_str().unwrap().to_owned());
            (to.timeout.as_secs(), to.compression, to.protocol, header)
        };
        assert_eq!(seen(&by_env, Signal::Traces), seen(&by_env, Signal::Metrics), "{what}");
        assert_ne!(seen(&by_env, Signal::Traces), seen(&by_env, Signal::Logs), "{what}");
        assert_eq!(seen(&by_told, Signal::Traces), seen(&by_told, Signal::Logs), "{what}");
        assert_ne!(seen(&by_told, Signal::Logs), seen(&by_env, Signal::Logs), "{what}");
    }
}

#[test]
fn the_environment_says_whom_to_trust_and_who_we_are() {
    let variables = [
        ("OTEL_EXPORTER_OTLP_CERTIFICATE", "/ca.pem"),
        ("OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE", "/me.pem"),
        ("OTEL_EXPORTER_OTLP_CLIENT_KEY", "/me.key"),
        ("OTEL_EXPORTER_OTLP_TRACES_CERTIFICATE", "/traces.pem"),
    ];
    let effective = effective(json!({"tls": {"client_key": "/told.key"}}), &variables);
    let identity = Some(("/me.pem".into(), "/told.key".into()));
    let files = |trusted: &str| Files { trusted: Some(trusted.into()), identity: identity.clone() };
    assert_eq!(effective.destination(Signal::Traces).unwrap().files, files("/traces.pem"));
    assert_eq!(effective.destination(Signal::Logs).unwrap().files, files("/ca.pem"));

    let half = try_effective(json!({}), &variables[1..2]).unwrap_err().to_string();
    assert!(half.contains("client_certificate and client_key belong together"), "{half}");
}

#[test]
fn a_bare_host_is_spoken_to_with_tls_unless_the_environment_says_otherwise() {
    let endpoint = ("OTEL_EXPORTER_OTLP_ENDPOINT", "collector:4317");
    let grpc = ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc");
    assert_eq!(urls(&effective(json!({}), &[endpoint, grpc]))[0], "https://collector:4317/");
    let insecure = ("OTEL_EXPORTER_OTLP_INSECURE", "true");
    assert_eq!(urls(&effective(json!({}), &[endpoint, grpc, insecure]))[0], "http://collector:4317/");
}

#[test]
fn signals_are_sent_unless_somebody_says_no() {
    let signals = |settings, variables: &[_]| -> Vec<&str> {
        let effective = effective(settings, variables);
        effective.destinations.iter().map(|(signal, _)| signal.name()).collect()
    };
    let none = [("OTEL_METRICS_EXPORTER", "none"), ("OTEL_LOGS_EXPORTER", "otlp")];
    assert_eq!(signals(json!({}), &none), ["traces", "logs"]);
    assert_eq!(signals(json!({"signals": {"metrics": true, "logs": false}}), &none), ["traces", "metrics"]);
    let disabled = [("OTEL_SDK_DISABLED", "true")];
    assert_eq!(signals(json!({}), &disabled), [""; 0]);
    assert_eq!(signals(json!({"signals": {"metrics": true}}), &disabled), [""; 0], "this is for emergencies");
    assert_eq!(signals(json!({}), &[("OTEL_SDK_DISABLED", "")]).len(), 3, "an empty variable is none");
}

#[test]
fn the_resource_is_who_the_environment_and_then_the_configuration_say() {
    let attributes = ("OTEL_RESOURCE_ATTRIBUTES", "service.name=attribute,team=a%20b,host.name=h");
    let name = ("OTEL_SERVICE_NAME", "variable");
    let text = |text: &str| Any::StringValue(text.into());
    let by_attribute = effective(json!({}), &[attributes]);
    assert_eq!(resource(&by_attribute, "service.name"), text("attribute"));
    assert_eq!(resource(&by_attribute, "team"), text("a b"));
    assert_eq!(resource(&by_attribute, "host.name"), text("h"));
    assert_eq!(resource(&effective(json!({}), &[attributes, name]), "service.name"), text("variable"));
    let told = json!({"resource": {"service.name": "resource", "team": true}});
    let by_told = effective(told.clone(), &[attributes, name]);
    assert_eq!(resource(&by_told, "service.name"), text("resource"));
    assert_eq!(resource(&by_told, "team"), Any::BoolValue(true));
    let mut told = told;
    told["service_name"] = json!("name");
    assert_eq!(resource(&effective(told, &[attributes, name]), "service.name"), text("name"));
}

#[test]
fn the_environment_says_how_much_is_sent_together_and_how_often() {
    let variables = [
        ("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "10"),
        ("OTEL_BSP_SCHEDULE_DELAY", "1500"),
        ("OTEL_METRIC_EXPORT_INTERVAL", "2500"),
        ("OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE", "Delta"),
    ];
    let by_env = effective(json!({}), &variables);
    assert_eq!((by_env.batch, by_env.batch_interval), (10, Duration::from_millis(1500)));
    assert_eq!(
        (by_env.metrics_interval, by_env.temporality),
        (Duration::from_millis(2500), Temporality::Delta)
    );
    let told = json!({"batch": {"max_spans": 3, "interval": "4s"}, "metrics_interval": "5s"});
    let by_told = effective(told, &variables);
    assert_eq!((by_told.batch, by_told.batch_interval), (3, Duration::from_secs(4)));
    assert_eq!(by_told.metrics_interval, Duration::from_secs(5));
}

#[test]
fn the_sampler_is_the_configurations_else_the_environments() {
    let sampler = |settings, variables: &[_]| {
        let sampler = effective(settings, variables).sampler;
        (sampler.parent_based, sampler.ratio)
    };
    let ratio = [("OTEL_TRACES_SAMPLER", "traceidratio"), ("OTEL_TRACES_SAMPLER_ARG", "0.25")];
    assert_eq!(sampler(json!({}), &[]), (true, 1.0));
    assert_eq!(sampler(json!({}), &ratio), (false, 0.25));
    assert_eq!(sampler(json!({}), &ratio[..1]), (false, 1.0));
    assert_eq!(sampler(json!({"trace": {"sampler_arg": 0.5}}), &ratio), (false, 0.5));
    assert_eq!(sampler(json!({"trace": {"sampler": "always_off"}}), &ratio), (false, 0.0));
    assert_eq!(sampler(json!({}), &[("OTEL_TRACES_SAMPLER", "parentbased_always_off")]), (true, 0.0));
}

#[test]
fn a_variable_that_cannot_be_is_named_with_what_it_says_and_what_it_might() {
    for (name, value, said) in [
        (
            "OTEL_EXPORTER_OTLP_PROTOCOL",
            "http",
            r#"PROTOCOL: "http": expected http/protobuf, http/json or grpc"#,
        ),
        (
            "OTEL_EXPORTER_OTLP_LOGS_TIMEOUT",
            "10s",
            r#"LOGS_TIMEOUT: "10s": expected a number of milliseconds"#,
        ),
        ("OTEL_EXPORTER_OTLP_COMPRESSION", "zstd", "expected gzip or none"),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "localhost:4318", "ENDPOINT: expected http:// or https://"),
        ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "ftp://h", "TRACES_ENDPOINT: expected http:// or https://"),
        ("OTEL_EXPORTER_OTLP_HEADERS", "x", "HEADERS: header 1: expected name=value"),
        ("OTEL_TRACES_EXPORTER", "zipkin", r#"OTEL_TRACES_EXPORTER: "zipkin": expected otlp or none"#),
        ("OTEL_SDK_DISABLED", "yes", "expected true or false"),
        ("OTEL_RESOURCE_ATTRIBUTES", "a=b,c", "pair 2: expected key=value"),
        ("OTEL_BSP_SCHEDULE_DELAY", "0", "expected a number of milliseconds"),
        ("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "0", "expected a number from 1 on"),
        ("OTEL_METRIC_EXPORT_INTERVAL", "-1", "expected a number of milliseconds"),
        ("OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE", "x", "expected cumulative, delta or lowmemory"),
        ("OTEL_TRACES_SAMPLER", "jaeger_remote", "expected always_on, always_off"),
    ] {
        let error = try_effective(json!({}), &[(name, value)]).unwrap_err().to_string();
        assert!(error.starts_with("environment variable OTEL_") && error.contains(said), "{error}");
    }
    let variables = [("OTEL_TRACES_SAMPLER", "traceidratio"), ("OTEL_TRACES_SAMPLER_ARG", "2")];
    let error = try_effective(json!({}), &variables).unwrap_err().to_string();
    assert!(error.contains(r#"OTEL_TRACES_SAMPLER_ARG: "2": expected a share from 0 to 1"#), "{error}");
}

#[test]
fn a_setting_that_cannot_be_says_what_could() {
    for (settings, said) in [
        (json!({"endpoint": "localhost"}), "expected http:// or https://"),
        (json!({"endpoint": "http://me:hunter2@h"}), "belong into a header"),
        (json!({"protocol": "http"}), "expected one of `http/protobuf`, `http/json`, `grpc`"),
        (json!({"headers": {"a b": "hunter2"}}), "header 1: expected a name"),
        (json!({"headers": {"a": "hunter2\n"}}), "header a: expected a value of one line"),
        (json!({"timeout": "soon"}), "expected a duration"),
        (json!({"timeout": "0s"}), "expected a duration"),
        (json!({"queue": "much"}), "a size such as 64MiB"),
        (json!({"semconv": ["v2"]}), "expected `v1_41` or `latest`"),
        (json!({"semconv": []}), "expected at least one of latest and v1_41"),
        (json!({"batch": {"max_spans": 0}}), "expected a number from 1 on"),
        (json!({"resource": {"a": [1]}}), "expected a text, a number, true or false"),
        (json!({"semconv": []}), "expected at least one of latest and v1_41"),
        (json!({"protocol": "grpc", "endpoints": {"logs": "http://h/v1/logs"}}), "gRPC takes no path"),
        (json!({"endpont": "x"}), "unknown field `endpont`"),
    ] {
        let error = serde_json::from_value::<Settings>(settings).unwrap_err().to_string();
        assert!(error.contains(said) && !error.contains("hunter2"), "{error}");
    }
}

#[test]
fn no_secret_is_in_what_debug_shows() {
    let settings =
        json!({"headers": {"authorization": "Bearer hunter2"}, "endpoint": "https://h/?key=hunter2"});
    let settings: Settings = serde_json::from_value(settings).unwrap();
    assert!(!format!("{settings:?}").contains("hunter2"));
    let effective = settings.effective(&|_| None).unwrap();
    assert!(!format!("{effective:?}").contains("hunter2"));
}

#[test]
fn content_goes_where_the_configuration_says_else_where_the_environment_does() {
    let capture = |settings: Value, said: &str| {
        try_effective(settings, &[(Capture::VARIABLE, said)]).map(|effective| effective.capture)
    };
    for (said, goes) in [
        ("NO_CONTENT", Capture::None),
        ("span_only", Capture::Span),
        ("Event_Only", Capture::Event),
        (" SPAN_AND_EVENT ", Capture::SpanAndEvent),
        ("true", Capture::Span),
        ("False", Capture::None),
        (" ", Capture::None),
    ] {
        assert_eq!(capture(json!({}), said).unwrap(), goes, "{said}");
    }
    let error = capture(json!({}), "everything").unwrap_err().to_string();
    assert!(error.contains("\"everything\"") && error.contains("SPAN_AND_EVENT"), "{error}");
    for said in ["SPAN_ONLY", "everything"] {
        assert_eq!(capture(json!({"content": {"capture": "none"}}), said).unwrap(), Capture::None);
    }
}
