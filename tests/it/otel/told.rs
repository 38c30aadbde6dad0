//! What a backend was told, so that it can be read.

use std::collections::BTreeSet;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use opentelemetry_proto::tonic::common::v1::any_value::Value as Any;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue};
use opentelemetry_proto::tonic::logs::v1::LogRecord;
use opentelemetry_proto::tonic::metrics::v1::Metric;
use opentelemetry_proto::tonic::trace::v1::Span;
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use serde_json::{Map, Value, json};

use super::collector::{self, Asked};

/// The keys of the clients: made up, and of the shape of real ones.
pub(super) const KEYS: [&str; 3] = [
    "sk-ant-api03-0madeUp1madeUp2madeUp3madeUp4madeUp5madeUp6",
    "sk-proj-0madeUp1madeUp2madeUp3madeUp4madeUp5madeUp6",
    "ghp_0madeUp1madeUp2madeUp3madeUp4madeUp5",
];

/// By so much two clocks of one machine may differ, of which one counts on from where the other was.
const SLACK: Duration = Duration::from_millis(5);

/// All that a backend was told.
pub(super) struct Told {
    pub(super) asked: Vec<Asked>,
    pub(super) spans: Vec<Span>,
    pub(super) logs: Vec<LogRecord>,
    pub(super) metrics: Vec<Metric>,
    /// Between what moments all of it happened.
    within: (SystemTime, SystemTime),
}

impl Told {
    pub(super) fn of(asked: Vec<Asked>, within: (SystemTime, SystemTime)) -> Self {
        let (spans, logs, metrics) =
            (collector::spans(&asked), collector::logs(&asked), collector::metrics(&asked));
        Self { asked, spans, logs, metrics, within }
    }

    /// What is so of all that is ever told: ids, times, flags, keys; and that no secret is in it, nor in what the proxy
    /// has said of it.
    #[track_caller]
    pub(super) fn assert_fine(&self, stderr: &str) {
        let mut ids = BTreeSet::new();
        for span in &self.spans {
            assert!(ids.insert(&span.span_id), "told twice: {span:#?}");
            assert_eq!((span.trace_id.len(), span.span_id.len()), (16, 8), "{span:#?}");
            assert!(matches!(span.parent_span_id.len(), 0 | 8), "{span:#?}");
            assert!(span.start_time_unix_nano <= span.end_time_unix_nano, "{span:#?}");
            assert!(time(span.start_time_unix_nano) + SLACK >= self.within.0, "{span:#?}");
            assert!(time(span.end_time_unix_nano) <= self.within.1 + SLACK, "{span:#?}");
            let keys: BTreeSet<_> = span.attributes.iter().map(|attribute| &attribute.key).collect();
            assert_eq!(keys.len(), span.attributes.len(), "{span:#?}");
            assert_eq!((span.dropped_attributes_count, span.dropped_events_count), (0, 0));
        }
        for log in &self.logs {
            assert_eq!((log.trace_id.len(), log.span_id.len()), (16, 8), "{log:#?}");
        }
        for key in KEYS {
            assert!(!stderr.contains(key), "{stderr}");
            for asked in &self.asked {
                assert!(!contains(&asked.body, key.as_bytes()), "a key is told: {:#?}", asked.export);
                // Of gRPC there is only what was decoded.
                assert!(!format!("{:?}", asked.export).contains(key), "a key is told: {:#?}", asked.export);
                assert!(!format!("{:?}", asked.headers).contains(key));
            }
        }
    }

    /// The only span of this name.
    #[track_caller]
    pub(super) fn span(&self, name: &str) -> &Span {
        let [span] = &self.named(name)[..] else { panic!("not one {name}:\n{}", self.outline()) };
        span
    }

    /// The spans of this name, in the order of their beginnings.
    pub(super) fn named(&self, name: &str) -> Vec<&Span> {
        let mut named: Vec<_> = self.spans.iter().filter(|span| span.name == name).collect();
        named.sort_by_key(|span| span.start_time_unix_nano);
        named
    }

    /// Names as a tree, two blanks a level.
    pub(super) fn outline(&self) -> String {
        let known: BTreeSet<_> = self.spans.iter().map(|span| &span.span_id).collect();
        self.below(0, &|span| !known.contains(&span.parent_span_id))
    }

    fn below(&self, depth: usize, which: &dyn Fn(&Span) -> bool) -> String {
        let mut spans: Vec<_> = self.spans.iter().filter(|span| which(span)).collect();
        spans.sort_by_key(|span| (span.start_time_unix_nano, &span.name));
        let lines = spans.into_iter().map(|span| {
            let inner = self.below(depth + 1, &|inner| inner.parent_span_id == span.span_id);
            format!("{}{}\n{inner}", "  ".repeat(depth), span.name)
        });
        lines.collect()
    }

    /// The data points of a metric, as it was told last: attributes, count and sum (of a counter the sum alone).
    #[track_caller]
    pub(super) fn points(&self, name: &str) -> Vec<(Value, u64, f64)> {
        use opentelemetry_proto::tonic::metrics::v1::metric::Data;
        use opentelemetry_proto::tonic::metrics::v1::number_data_point::Value as Number;
        let metric = self.metrics.iter().rfind(|metric| metric.name == name);
        let metric = metric.unwrap_or_else(|| panic!("no {name}: {:#?}", self.metrics));
        match metric.data.as_ref().unwrap() {
            Data::Histogram(histogram) => {
                let points = histogram.data_points.iter();
                points.map(|point| (object(&point.attributes), point.count, point.sum.unwrap())).collect()
            }
            Data::Sum(sum) => {
                assert!(sum.is_monotonic);
                let points = sum.data_points.iter().map(|point| match point.value {
                    Some(Number::AsInt(sum)) => (object(&point.attributes), 1, sum as f64),
                    Some(Number::AsDouble(sum)) => (object(&point.attributes), 1, sum),
                    None => panic!("{point:?}"),
                });
                points.collect()
            }
            other => panic!("{name}: {other:?}"),
        }
    }
}

/// A span's attributes, but for those that are measured or drawn, which are taken out one by one.
pub(super) struct Attributes(Map<String, Value>);

impl Attributes {
    pub(super) fn of(attributes: &[KeyValue]) -> Self {
        let Value::Object(object) = object(attributes) else { unreachable!() };
        Self(object)
    }

    /// Takes one out.
    #[track_caller]
    pub(super) fn take(&mut self, key: &str) -> Value {
        self.0.remove(key).unwrap_or_else(|| panic!("no {key} in {:#?}", self.0))
    }

    /// Takes a number of seconds out.
    #[track_caller]
    pub(super) fn seconds(&mut self, key: &str) -> f64 {
        let value = self.take(key);
        assert!(value.is_f64(), "{key}: {value}");
        let seconds = value.as_f64().unwrap();
        assert!((0.0..3600.0).contains(&seconds), "{key}: {seconds}");
        seconds
    }

    /// The others, which must be these.
    #[track_caller]
    pub(super) fn assert(self, expected: Value) {
        let found = Value::Object(self.0);
        assert_eq!(found, expected, "found {found:#}\nexpected {expected:#}");
    }
}

/// A call's attributes, without those that no two runs have in common, which are looked at.
#[track_caller]
pub(super) fn of_call(span: &Span) -> Attributes {
    let mut attributes = Attributes::of(&span.attributes);
    let id = attributes.take("perimeter.exchange.id");
    assert!(id.as_str().is_some_and(|id| id.len() == 36), "{id}");
    attributes
}

/// The same of a streamed call, and what is measured of its stream, for so many pieces that came.
#[track_caller]
pub(super) fn of_stream(span: &Span, pieces: u64, bytes: u64) -> Attributes {
    let mut attributes = of_call(span);
    let whole = Duration::from_nanos(span.end_time_unix_nano - span.start_time_unix_nano).as_secs_f64();
    let byte = attributes.seconds("perimeter.stream.time_to_first_byte");
    let chunk = attributes.seconds("gen_ai.response.time_to_first_chunk");
    assert!(byte <= chunk && chunk <= whole, "{byte} {chunk} {whole}");
    let gaps =
        ["p50", "p95", "p99", "max"].map(|gap| attributes.seconds(&format!("perimeter.stream.gap.{gap}")));
    assert!(gaps.is_sorted(), "{gaps:?}");
    assert_eq!(attributes.take("perimeter.stream.chunks"), pieces);
    assert_eq!(attributes.take("perimeter.stream.bytes"), bytes);
    assert_eq!(attributes.take("perimeter.stream.stalls"), 0);
    assert_eq!(attributes.take("perimeter.stream.stalled.upstream"), 0.0);
    assert_eq!(attributes.take("perimeter.stream.stalled.client"), 0.0);
    attributes
}

/// An attribute; null where it is not there.
pub(super) fn attribute(span: &Span, key: &str) -> Value {
    find(&span.attributes, key)
}

pub(super) fn find(attributes: &[KeyValue], key: &str) -> Value {
    let found = attributes.iter().find(|attribute| attribute.key == key);
    found.and_then(|attribute| attribute.value.as_ref()).map_or(Value::Null, plain)
}

/// A span's kind, parent, flags and status: what is not its own.
#[track_caller]
pub(super) fn assert_call(span: &Span, above: &[u8], flags: u32, status: (i32, &str)) {
    assert_eq!(span.kind(), SpanKind::Client);
    assert_eq!(span.parent_span_id, above, "{span:#?}");
    assert_eq!(span.flags, flags, "{:#x}", span.flags);
    let found = span.status.as_ref().map_or((0, ""), |status| (status.code, &*status.message));
    assert_eq!(found, status);
}

pub(super) fn events(span: &Span) -> Vec<&str> {
    span.events.iter().map(|event| &*event.name).collect()
}

pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

pub(super) fn time(nanos: u64) -> SystemTime {
    UNIX_EPOCH + Duration::from_nanos(nanos)
}

/// Asserts that something was at one of these moments or between them.
#[track_caller]
pub(super) fn assert_between(nanos: u64, earliest: SystemTime, latest: SystemTime) {
    let at = time(nanos);
    assert!(earliest <= at + SLACK && at <= latest + SLACK, "{earliest:?} {at:?} {latest:?}");
}

pub(super) fn contains(bytes: &[u8], part: &[u8]) -> bool {
    bytes.windows(part.len()).any(|window| window == part)
}

fn object(attributes: &[KeyValue]) -> Value {
    let member = |member: &KeyValue| (member.key.clone(), member.value.as_ref().map_or(Value::Null, plain));
    attributes.iter().map(member).collect()
}

fn plain(value: &AnyValue) -> Value {
    match value.value.as_ref() {
        None => Value::Null,
        Some(Any::StringValue(text)) => json!(text),
        Some(Any::BoolValue(yes)) => json!(yes),
        Some(Any::IntValue(number)) => json!(number),
        Some(Any::DoubleValue(number)) => json!(number),
        Some(Any::ArrayValue(list)) => list.values.iter().map(plain).collect(),
        Some(Any::KvlistValue(members)) => object(&members.values),
        Some(other) => panic!("{other:?}"),
    }
}
