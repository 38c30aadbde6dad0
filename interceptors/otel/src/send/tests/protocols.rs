//! Each protocol, field by field.

use std::collections::BTreeMap;

use opentelemetry_proto::tonic::resource::v1::Resource;

use super::collector::{Asked, logs, metrics, spans};
use super::*;

const PROTOCOLS: [&str; 3] = ["http/protobuf", "http/json", "grpc"];

/// Sends one of each, and gives the requests.
fn one_of_each(settings: Value) -> (Effective, Vec<Asked>) {
    let collector = Collector::start();
    let mut settings = settings;
    settings["endpoint"] = json!(collector.url());
    let effective = effective(settings);
    let mut outbox = Outbox::new(&effective).unwrap();
    outbox.put(span(7));
    outbox.put(Item::Log(Box::new(a_log(7))));
    outbox.put(Item::Metrics(vec![a_metric(2)]));
    let counters = outbox.counters();
    outbox.finish();
    assert_eq!(count(&counters, "otlp_sent_total"), 4, "a span, a log record, two data points");
    (effective, collector.wait_for_requests(3))
}

fn by_path(asked: &[Asked], word: &str) -> Asked {
    asked.iter().find(|asked| asked.path.to_lowercase().contains(word)).unwrap().clone()
}

#[test]
fn every_protocol_brings_every_field_with_or_without_compression() {
    for protocol in PROTOCOLS {
        for compression in ["gzip", "none"] {
            let (_, asked) = one_of_each(json!({"protocol": protocol, "compression": compression}));
            assert_eq!(spans(&asked), [a_span(7)], "{protocol}");
            assert_eq!(logs(&asked), [a_log(7)], "{protocol}");
            assert_eq!(metrics(&asked), [a_metric(2)], "{protocol}");
            for asked in asked {
                let name = if protocol == "grpc" { "grpc-encoding" } else { "content-encoding" };
                let coding = asked.headers.get(name).map(|value| value.to_str().unwrap());
                assert_eq!(
                    coding,
                    (compression == "gzip").then_some("gzip"),
                    "{protocol}: {:?}",
                    asked.headers
                );
            }
        }
    }
}

#[test]
fn signals_go_where_the_specification_has_them() {
    for protocol in ["http/protobuf", "http/json"] {
        let (_, asked) = one_of_each(json!({"protocol": protocol}));
        let mut paths: Vec<&str> = asked.iter().map(|asked| &*asked.path).collect();
        paths.sort_unstable();
        assert_eq!(paths, ["/v1/logs", "/v1/metrics", "/v1/traces"]);
        let kind = if protocol == "http/json" { "application/json" } else { "application/x-protobuf" };
        assert!(asked.iter().all(|asked| asked.headers["content-type"] == kind));
        assert!(
            asked.iter().all(|asked| asked.headers["user-agent"].to_str().unwrap().starts_with("perimeter/"))
        );
    }
    let (_, asked) = one_of_each(json!({"protocol": "grpc"}));
    by_path(&asked, "opentelemetry.proto.collector.trace.v1.traceservice/export");
}

#[test]
fn an_endpoint_of_a_signal_is_used_as_it_is() {
    let collector = Collector::start();
    let traces = format!("{}/in/traces?tenant=1", collector.url());
    let mut outbox = Outbox::new(&effective(json!({"endpoints": {"traces": traces}}))).unwrap();
    outbox.put(span(1));
    outbox.finish();
    assert_eq!(collector.wait_for_requests(1)[0].path, "/in/traces?tenant=1");
}

#[test]
fn headers_go_with_every_request() {
    for protocol in PROTOCOLS {
        let headers = json!({"Authorization": "Basic aHVudGVyMg==", "x-langfuse-ingestion-version": "4"});
        let (_, asked) = one_of_each(json!({"protocol": protocol, "headers": headers}));
        for asked in asked {
            assert_eq!(asked.headers["authorization"], "Basic aHVudGVyMg==", "{protocol}");
            assert_eq!(asked.headers["x-langfuse-ingestion-version"], "4", "{protocol}");
        }
    }
}

#[test]
fn what_is_sent_says_who_sends_it() {
    let settings = json!({
        "service_name": "shop", "resource": {"deployment.environment.name": "test", "n": 3},
    });
    let (_, asked) = one_of_each(settings);
    let Export::Traces(request) = by_path(&asked, "traces").export else { panic!() };
    let [resource] = &request.resource_spans[..] else { panic!() };
    let told = told(resource.resource.as_ref().unwrap());
    assert_eq!(told["service.name"], Any::StringValue("shop".into()));
    assert_eq!(told["deployment.environment.name"], Any::StringValue("test".into()));
    assert_eq!(told["n"], Any::IntValue(3));
    assert_eq!(told["process.pid"], Any::IntValue(i64::from(std::process::id())));
    assert_eq!(told["telemetry.sdk.name"], Any::StringValue("perimeter".into()));
    for key in ["service.version", "service.instance.id", "host.name", "os.type"] {
        assert!(told.contains_key(key), "{key}");
    }
    let scope = resource.scope_spans[0].scope.as_ref().unwrap();
    assert_eq!((&*scope.name, &*scope.version), ("perimeter", env!("CARGO_PKG_VERSION")));
}

fn told(resource: &Resource) -> BTreeMap<String, Any> {
    let attributes = resource.attributes.iter();
    attributes.map(|of| (of.key.clone(), of.value.clone().unwrap().value.unwrap())).collect()
}

#[test]
fn a_schema_is_named_where_all_is_of_one() {
    for (semconv, schema) in [
        (json!(["latest"]), "https://opentelemetry.io/schemas/gen-ai/1.42.0"),
        (json!(["latest", "v1_41"]), ""),
        (json!(["v1_41"]), ""),
    ] {
        let (_, asked) = one_of_each(json!({"semconv": semconv}));
        let Export::Traces(request) = by_path(&asked, "traces").export else { panic!() };
        assert_eq!(request.resource_spans[0].scope_spans[0].schema_url, schema);
    }
}

#[test]
fn json_is_as_otlp_has_it() {
    let (_, asked) = one_of_each(json!({"protocol": "http/json"}));
    let body: Value = serde_json::from_slice(&by_path(&asked, "traces").body).unwrap();
    let span = &body["resourceSpans"][0]["scopeSpans"][0]["spans"][0];
    assert_eq!(span["traceId"], "00000000000000000000000000000008");
    assert_eq!(span["spanId"], "0000000000000008");
    assert_eq!(span["parentSpanId"], "abababababababab");
    assert_eq!(span["kind"], 3);
    assert_eq!(span["startTimeUnixNano"], "1700000000123456789");
    assert_eq!(span["status"]["code"], 2);
    assert_eq!(span["attributes"][1], json!({"key": "int", "value": {"intValue": i64::MAX.to_string()}}));
    assert_eq!(span["attributes"][4]["value"], json!({"bytesValue": "AP8="}));
    assert_eq!(span["events"][0]["timeUnixNano"], "1700000000500000000");

    let body: Value = serde_json::from_slice(&by_path(&asked, "metrics").body).unwrap();
    let histogram = &body["resourceMetrics"][0]["scopeMetrics"][0]["metrics"][0]["histogram"];
    assert_eq!(histogram["aggregationTemporality"], 2);
    assert_eq!(histogram["dataPoints"][0]["count"], "3");
    assert_eq!(histogram["dataPoints"][0]["bucketCounts"], json!(["1", "2"]));
    assert_eq!(histogram["dataPoints"][0]["explicitBounds"], json!([0.5]));

    let body: Value = serde_json::from_slice(&by_path(&asked, "logs").body).unwrap();
    let log = &body["resourceLogs"][0]["scopeLogs"][0]["logRecords"][0];
    assert_eq!((&log["severityNumber"], &log["traceId"]), (&json!(5), &json!("01".repeat(16))));
    assert_eq!(log["eventName"], "gen_ai.client.inference.operation.details");
}

#[test]
fn a_signal_that_is_off_is_not_sent() {
    let collector = Collector::start();
    let settings = json!({"endpoint": collector.url(), "signals": {"logs": false, "metrics": false}});
    let mut outbox = Outbox::new(&effective(settings)).unwrap();
    outbox.put(Item::Log(Box::new(a_log(1))));
    outbox.put(Item::Metrics(vec![a_metric(1)]));
    outbox.put(span(1));
    outbox.finish();
    assert_eq!(collector.asked().len(), 1);
    assert_eq!(numbers(&collector.spans()), [1]);
}

#[test]
fn spans_are_sent_together_when_they_are_enough_or_have_waited_for_long_enough() {
    let collector = Collector::start();
    let settings = json!({"endpoint": collector.url(), "batch": {"max_spans": 3, "interval": "1h"}});
    let mut outbox = Outbox::new(&effective(settings)).unwrap();
    (0..7).for_each(|number| outbox.put(span(number)));
    outbox.idle();
    assert_eq!(numbers(&collector.wait_for_spans(6)), [0, 1, 2, 3, 4, 5]);
    assert_eq!(collector.asked().len(), 2);
    outbox.finish();
    assert_eq!(numbers(&collector.wait_for_spans(7)), [0, 1, 2, 3, 4, 5, 6]);

    let settings = json!({"endpoint": collector.url(), "batch": {"interval": "1ms"}});
    let mut outbox = Outbox::new(&effective(settings)).unwrap();
    outbox.put(span(7));
    std::thread::sleep(Duration::from_millis(2));
    outbox.idle();
    collector.wait_for_spans(8);
}

#[test]
fn a_batch_is_never_more_than_collectors_take() {
    let collector = Collector::start();
    let mut outbox =
        Outbox::new(&effective(json!({"endpoint": collector.url(), "protocol": "grpc"}))).unwrap();
    for number in 0..10 {
        let mut large = a_span(number);
        large.attributes = vec![attribute("prompt", Any::StringValue("x".repeat(1 << 20)))];
        outbox.put(Item::Span(Box::new(large)));
    }
    outbox.finish();
    assert_eq!(numbers(&collector.wait_for_spans(10)), (0..10).collect::<Vec<_>>());
    assert!(collector.asked().len() >= 4, "4 MiB is what a gRPC server takes at once");
}
