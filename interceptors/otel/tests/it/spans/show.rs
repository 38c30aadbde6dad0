//! Spans as a text that a person can read: each under the one above it, with all that is said of it.

use std::fmt::Write as _;
use std::time::Duration;

use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue};
use opentelemetry_proto::tonic::trace::v1::Span;

/// When every script begins (its first exchange a second later), ns.
pub(crate) const BEGINNING: u64 = 1_767_225_600_000_000_000;

/// All spans, in the order of their beginnings, with all that is said of them.
pub(crate) fn tree(spans: &[Span]) -> String {
    drawn(spans, &show)
}

/// All spans, in the order of their beginnings, a line each.
pub(crate) fn outline(spans: &[Span]) -> String {
    drawn(spans, &|span| show(span).lines().next().unwrap_or_default().to_owned())
}

fn drawn(spans: &[Span], show: &dyn Fn(&Span) -> String) -> String {
    let mut text = String::new();
    for span in sorted(spans, |span| !spans.iter().any(|above| above.span_id == span.parent_span_id)) {
        if !span.parent_span_id.is_empty() {
            let _ = writeln!(text, "(under {}, which is not ours)", hex(&span.parent_span_id));
        }
        branch(&mut text, spans, span, (0, show));
    }
    text
}

fn branch(text: &mut String, spans: &[Span], span: &Span, (depth, show): (usize, &dyn Fn(&Span) -> String)) {
    let indent = "    ".repeat(depth);
    for line in show(span).lines() {
        let _ = writeln!(text, "{indent}{line}");
    }
    for inner in sorted(spans, |inner| inner.parent_span_id == span.span_id) {
        branch(text, spans, inner, (depth + 1, show));
    }
}

fn sorted(spans: &[Span], which: impl Fn(&Span) -> bool) -> Vec<&Span> {
    let mut some: Vec<_> = spans.iter().filter(|span| which(span)).collect();
    some.sort_by_key(|span| (span.start_time_unix_nano, span.name.clone()));
    some
}

fn show(span: &Span) -> String {
    let times = format!("{} to {}", at(span.start_time_unix_nano), at(span.end_time_unix_nano));
    let mut text = format!("{:?} {} from {times}\n", span.name, span.kind().as_str_name());
    if let Some(status) = span.status.as_ref().filter(|status| status.code != 0) {
        let _ = writeln!(text, "  status: {} {:?}", status.code().as_str_name(), status.message);
    }
    for link in &span.links {
        let (trace, span) = (hex(&link.trace_id), hex(&link.span_id));
        let _ = writeln!(text, "  link: {trace} {span} {:?} {:#x}", link.trace_state, link.flags);
    }
    for attribute in &span.attributes {
        let _ = writeln!(text, "  {}", pair(attribute));
    }
    for event in &span.events {
        let attributes: Vec<_> = event.attributes.iter().map(pair).collect();
        let _ = writeln!(text, "  at {}: {} {}", at(event.time_unix_nano), event.name, attributes.join(" "));
    }
    text
}

fn at(nanos: u64) -> String {
    format!("{:?}", Duration::from_nanos(nanos.saturating_sub(BEGINNING)))
}

fn pair(attribute: &KeyValue) -> String {
    format!("{}={}", attribute.key, attribute.value.as_ref().map_or_else(String::new, value))
}

/// A value, so that its type shows.
pub(crate) fn value(value: &AnyValue) -> String {
    match value.value.as_ref().unwrap() {
        Value::StringValue(text) => format!("{text:?}"),
        Value::BoolValue(yes) => yes.to_string(),
        Value::IntValue(number) => number.to_string(),
        Value::DoubleValue(number) => format!("{number:?}"),
        Value::ArrayValue(values) => {
            let values: Vec<_> = values.values.iter().map(self::value).collect();
            format!("[{}]", values.join(", "))
        }
        other => format!("{other:?}"),
    }
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
