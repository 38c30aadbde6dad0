//! What is told of metrics when it stops.

use std::sync::Arc;

use opentelemetry_proto::tonic::common::v1::KeyValue;
use opentelemetry_proto::tonic::common::v1::any_value::Value as Any;
use opentelemetry_proto::tonic::metrics::v1::Metric;
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use opentelemetry_proto::tonic::metrics::v1::number_data_point::Value as Number;
use perimeter_interceptor::LlmEvent;
use perimeter_interceptor::testing::{Scene, Script, play, scenes};
use perimeter_otel::{Settings, TraceExporter};

use crate::spans::exchanges;

fn metrics(settings: &str, script: impl Into<Script>) -> Vec<Metric> {
    let settings: Settings = serde_json::from_str(settings).unwrap();
    let (exporter, kept) = TraceExporter::kept(&settings).unwrap();
    play(exporter, script).assert_faultless();
    kept.metrics()
}

/// A streamed call of Claude that is answered, with all that can be known.
fn answered() -> Scene {
    let scene = exchanges::asks(exchanges::at(1), Vec::new());
    let completion = exchanges::with_everything(scene.completion("Hi", None));
    scene.llm(LlmEvent::Completion(Arc::new(completion))).end()
}

#[track_caller]
fn find<'m>(metrics: &'m [Metric], name: &str) -> &'m Data {
    let mut found = metrics.iter().filter(|metric| metric.name == name);
    let data = found.next().and_then(|metric| metric.data.as_ref());
    assert!(found.next().is_none(), "{name} is told twice");
    data.unwrap_or_else(|| panic!("no {name} in {:?}", names(metrics)))
}

fn names(metrics: &[Metric]) -> Vec<&str> {
    metrics.iter().map(|metric| &*metric.name).collect()
}

fn text<'a>(attributes: &'a [KeyValue], key: &str) -> &'a str {
    let found = attributes.iter().find(|attribute| attribute.key == key);
    match found.and_then(|attribute| attribute.value.as_ref()?.value.as_ref()) {
        Some(Any::StringValue(text)) => text,
        _ => "",
    }
}

#[test]
fn what_calls_came_to_is_told_when_it_stops() {
    let metrics = metrics("{}", answered());
    for edition in ["inference", "operation"] {
        for name in ["duration", "time_to_first_chunk", "time_per_output_chunk"] {
            let name = format!("gen_ai.client.{edition}.{name}");
            let Data::Histogram(histogram) = find(&metrics, &name) else { panic!("{name}") };
            assert_eq!((histogram.data_points.len(), histogram.aggregation_temporality), (1, 2));
            let point = &histogram.data_points[0];
            assert_eq!(text(&point.attributes, "gen_ai.operation.name"), "chat");
            assert_eq!(text(&point.attributes, "gen_ai.provider.name"), "anthropic");
            assert_eq!(text(&point.attributes, "gen_ai.request.model"), exchanges::MODEL);
            assert_eq!(text(&point.attributes, "gen_ai.response.model"), "claude-sonnet-5-20260901");
            assert_eq!(text(&point.attributes, "server.address"), "api.provider.example");
            assert_eq!(point.count, if name.ends_with("output_chunk") { 3 } else { 1 });
            assert!(point.start_time_unix_nano > 0 && point.start_time_unix_nano <= point.time_unix_nano);
        }
    }
    let Data::Histogram(usage) = find(&metrics, "gen_ai.client.token.usage") else { panic!() };
    let sums = usage.data_points.iter().map(|point| point.sum.unwrap()).sum::<f64>();
    assert_eq!((usage.data_points.len(), sums), (2, 1_261.0));
    for (kind, tokens) in [
        ("input_tokens", 1_200),
        ("output_tokens", 61),
        ("cache_read.input_tokens", 1_000),
        ("cache_write.input_tokens", 100),
        ("reasoning.output_tokens", 7),
    ] {
        let name = format!("gen_ai.client.inference.usage.{kind}");
        let Data::Sum(sum) = find(&metrics, &name) else { panic!("{name}") };
        assert!(sum.is_monotonic);
        assert_eq!(sum.data_points[0].value, Some(Number::AsInt(tokens)), "{name}");
    }
    let Data::Sum(cost) = find(&metrics, "perimeter.client.cost") else { panic!() };
    assert_eq!(cost.data_points[0].value, Some(Number::AsDouble(0.00123)));
    let Data::Sum(stalled) = find(&metrics, "perimeter.client.stream.stalled") else { panic!() };
    assert_eq!(stalled.data_points.len(), 2);
}

#[test]
fn metrics_are_told_in_the_editions_that_are_spoken() {
    let of = |semconv: &str| metrics(&format!(r#"{{"semconv":{semconv}}}"#), answered());
    let latest = of(r#"["latest"]"#);
    assert!(names(&latest).contains(&"gen_ai.client.inference.duration"));
    assert!(!names(&latest).iter().any(|name| name.contains(".operation.duration")));
    let v1_41 = of(r#"["v1_41"]"#);
    assert!(names(&v1_41).contains(&"gen_ai.client.operation.duration"));
    assert!(!names(&v1_41).iter().any(|name| name.contains("inference")));
}

#[test]
fn of_whatever_passes_no_metric_is_told_twice_or_names_a_session() {
    let metrics = metrics("{}", Script::new().together(scenes::all()));
    let mut told = names(&metrics);
    let count = told.len();
    told.sort_unstable();
    told.dedup();
    assert!(told.len() == count && count >= 3, "{told:?}");
    assert!(!format!("{metrics:?}").contains("session"));
}
