//! Deliveries to a real backend.

use std::path::Path;
use std::time::{Duration, Instant};

use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue, any_value::Value as Any};
use opentelemetry_proto::tonic::logs::v1::LogRecord;
use opentelemetry_proto::tonic::metrics::v1::{
    AggregationTemporality, Histogram, HistogramDataPoint, Metric, metric::Data,
};
use opentelemetry_proto::tonic::trace::v1::span::{Event, SpanKind};
use opentelemetry_proto::tonic::trace::v1::{Span, Status};
use perimeter_interceptor::Counter;
use serde_json::{Value, json};

use super::{Item, Outbox};
use crate::settings::{Effective, Schedule, Settings};

mod away;
#[path = "../../tests/it/collector.rs"]
mod collector;
mod protocols;
mod refused;
mod said;
mod secure;
mod spooled;
mod stopping;

use collector::{Collector, Export, Reply};

/// What is done by these settings in an empty environment, without patience.
fn effective(settings: Value) -> Effective {
    let settings: Settings = serde_json::from_value(settings).unwrap();
    let mut effective = settings.effective(&|_| None).unwrap();
    effective.schedule = Schedule { first: Duration::from_millis(10), longest: Duration::from_millis(40) };
    effective
}

/// One that sends each span by itself.
fn single(endpoint: &str, spool: Option<&Path>, more: Value) -> Effective {
    let mut settings = json!({"endpoint": endpoint, "batch": {"max_spans": 1}, "compression": "none"});
    if let Some(spool) = spool {
        settings["spool"] = json!({"directory": spool});
    }
    for (key, value) in more.as_object().unwrap() {
        settings[key] = value.clone();
    }
    effective(settings)
}

fn span(number: u64) -> Item {
    Item::Span(Box::new(a_span(number)))
}

/// A span of this number, with something in every field that there is.
fn a_span(number: u64) -> Span {
    Span {
        trace_id: u128::from(number + 1).to_be_bytes().to_vec(),
        span_id: (number + 1).to_be_bytes().to_vec(),
        trace_state: "k=v".into(),
        parent_span_id: vec![0xab; 8],
        flags: 0x101,
        name: format!("chat m{number}"),
        kind: SpanKind::Client.into(),
        start_time_unix_nano: 1_700_000_000_123_456_789,
        end_time_unix_nano: 1_700_000_001_123_456_789,
        attributes: vec![
            attribute("text", Any::StringValue("ü\n\"".into())),
            attribute("int", Any::IntValue(i64::MAX)),
            attribute("double", Any::DoubleValue(0.25)),
            attribute("bool", Any::BoolValue(true)),
            attribute("bytes", Any::BytesValue(vec![0, 255])),
        ],
        events: vec![Event {
            time_unix_nano: 1_700_000_000_500_000_000,
            name: "e".into(),
            ..Event::default()
        }],
        status: Some(Status { code: 2, message: "no".into() }),
        ..Span::default()
    }
}

fn a_log(number: u64) -> LogRecord {
    LogRecord {
        time_unix_nano: 1_700_000_000_000_000_000 + number,
        severity_number: 5,
        event_name: "gen_ai.client.inference.operation.details".into(),
        body: Some(AnyValue { value: Some(Any::StringValue("said".into())) }),
        trace_id: vec![1; 16],
        span_id: vec![2; 8],
        ..LogRecord::default()
    }
}

fn a_metric(points: usize) -> Metric {
    let point = HistogramDataPoint {
        start_time_unix_nano: 1,
        time_unix_nano: 2,
        count: 3,
        sum: Some(1.5),
        bucket_counts: vec![1, 2],
        explicit_bounds: vec![0.5],
        ..HistogramDataPoint::default()
    };
    Metric {
        name: "gen_ai.client.operation.duration".into(),
        unit: "s".into(),
        data: Some(Data::Histogram(Histogram {
            data_points: vec![point; points],
            aggregation_temporality: AggregationTemporality::Cumulative.into(),
        })),
        ..Metric::default()
    }
}

fn attribute(key: &str, value: Any) -> KeyValue {
    KeyValue { key: key.into(), value: Some(AnyValue { value: Some(value) }), ..KeyValue::default() }
}

/// The numbers of these spans, in the order they came in.
fn numbers(spans: &[Span]) -> Vec<u64> {
    spans.iter().map(|span| span.name["chat m".len()..].parse().unwrap()).collect()
}

/// What a counter counts.
fn count(counters: &[Counter], name: &str) -> u64 {
    let counter = counters.iter().find(|counter| counter.name == name).unwrap();
    counter.value.load(std::sync::atomic::Ordering::Relaxed)
}

/// Waits until a counter counts so much.
#[track_caller]
fn wait_for_count(counters: &[Counter], name: &str, enough: u64) {
    let deadline = Instant::now() + Duration::from_secs(30);
    while count(counters, name) < enough {
        assert!(Instant::now() < deadline, "{name} is {}", count(counters, name));
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// An address that nobody listens at, for as long as nobody else comes.
fn nobody() -> String {
    let mut collector = Collector::start();
    collector.die();
    collector.url()
}
