//! What a trace looks like: a row for each span, parents above their children.

use std::fmt::Write as _;

use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::trace::v1::{Span, status::StatusCode};

const ROW: usize = 24;
const BARS: (f64, f64) = (262.0, 388.0);
/// Where a number ends, and what it is.
const COLUMNS: [(usize, &str); 4] = [(712, "took"), (770, "in"), (820, "out"), (888, "cost")];
const KINDS: [(&str, &str); 4] = [
    ("agent", "#afb8c1"),
    ("call, pale until its first part", "#0969da"),
    ("tool", "#2da44e"),
    ("failed", "#cf222e"),
];

/// The picture of these spans.
pub(crate) fn picture(rows: &[(usize, &Span)]) -> String {
    let begin = rows.iter().map(|(_, span)| span.start_time_unix_nano).min().unwrap_or(0);
    let end = rows.iter().map(|(_, span)| span.end_time_unix_nano).max().unwrap_or(0);
    let whole = (end.saturating_sub(begin).max(1)) as f64;
    let x = |time: u64| BARS.0 + BARS.1 * (time.saturating_sub(begin) as f64 / whole).min(1.0);
    let height = ROW * (rows.len() + 3);
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 900 {height}\" width=\"900\" height=\"{height}\" \
         font-family=\"ui-monospace, Menlo, Consolas, 'DejaVu Sans Mono', monospace\" font-size=\"12\">\n\
         <rect x=\".5\" y=\".5\" width=\"899\" height=\"{}\" rx=\"6\" fill=\"#ffffff\" stroke=\"#d0d7de\"/>\n",
        height - 1
    );
    for tick in 0..4 {
        let (part, bottom) = (f64::from(tick) / 4.0, ROW * (rows.len() + 1) + 4);
        let x = BARS.0 + BARS.1 * part;
        let _ = writeln!(svg, "<path d=\"M{x} {ROW}V{bottom}\" stroke=\"#eaeef2\"/>");
        text(&mut svg, (x, 17), "middle", "#57606a", &duration(whole * part));
    }
    for (end, what) in COLUMNS {
        text(&mut svg, (end as f64, 17), "end", "#57606a", what);
    }
    for (row, (depth, span)) in rows.iter().enumerate() {
        draw_row(&mut svg, ROW * (row + 1), (*depth, span), &x);
    }
    legend(&mut svg, height - 30);
    svg.push_str("</svg>\n");
    svg
}

fn draw_row(svg: &mut String, y: usize, (depth, span): (usize, &Span), x: &dyn Fn(u64) -> f64) {
    let name = shortened(&span.name, 32 - 2 * depth.min(10));
    text(svg, ((12 + 16 * depth) as f64, y + 16), "start", "#24292f", &name);
    let (from, to) = (x(span.start_time_unix_nano), x(span.end_time_unix_nano));
    let first = span.events.iter().find(|event| event.name == "gen_ai.first_chunk");
    let _ = write!(svg, "<g fill=\"{}\"><title>{}</title>", colour(span), escaped(&title(span)));
    bar(svg, (from, to), y + 5, if first.is_some() { 0.45 } else { 1.0 });
    if let Some(first) = first {
        bar(svg, (x(first.time_unix_nano), to), y + 5, 1.0);
    }
    svg.push_str("</g>\n");
    numbers(svg, span, y + 16);
}

fn legend(svg: &mut String, y: usize) {
    let mut at = 12;
    for (what, colour) in KINDS {
        let _ =
            write!(svg, "<rect x=\"{at}\" y=\"{y}\" width=\"10\" height=\"10\" rx=\"2\" fill=\"{colour}\"/>");
        text(svg, ((at + 16) as f64, y + 9), "start", "#57606a", what);
        at += 40 + 8 * what.len();
    }
}

/// How long it took, and what it used, or why it failed.
fn numbers(svg: &mut String, span: &Span, y: usize) {
    let took = span.end_time_unix_nano.saturating_sub(span.start_time_unix_nano) as f64;
    let [at, input, output, cost] = COLUMNS.map(|(end, _)| (end as f64, y));
    text(svg, at, "end", "#24292f", &duration(took));
    if let Some(Value::StringValue(why)) = attribute(span, "error.type") {
        return text(svg, (at.0 + 14.0, y), "start", "#cf222e", &shortened(why, 22));
    }
    for (at, key) in [(input, "gen_ai.usage.input_tokens"), (output, "gen_ai.usage.output_tokens")] {
        if let Some(Value::IntValue(tokens)) = attribute(span, key) {
            text(svg, at, "end", "#24292f", &tokens.to_string());
        }
    }
    if let Some(Value::DoubleValue(usd)) = attribute(span, "perimeter.cost.usd") {
        text(svg, cost, "end", "#24292f", &format!("${usd:.4}"));
    }
}

fn bar(svg: &mut String, (from, to): (f64, f64), y: usize, opacity: f64) {
    let (width, height) = ((to - from).max(2.0), ROW - 10);
    let _ = write!(
        svg,
        "<rect x=\"{from:.1}\" y=\"{y}\" width=\"{width:.1}\" height=\"{height}\" rx=\"3\" opacity=\"{opacity}\"/>"
    );
}

fn text(svg: &mut String, (x, y): (f64, usize), anchor: &str, fill: &str, text: &str) {
    let text = escaped(text);
    let _ = writeln!(svg, "<text x=\"{x}\" y=\"{y}\" text-anchor=\"{anchor}\" fill=\"{fill}\">{text}</text>");
}

fn attribute<'a>(span: &'a Span, key: &str) -> Option<&'a Value> {
    span.attributes.iter().find(|attribute| attribute.key == key)?.value.as_ref()?.value.as_ref()
}

fn colour(span: &Span) -> &'static str {
    let has_failed = span.status.as_ref().is_some_and(|status| status.code == StatusCode::Error as i32);
    KINDS[match span.name.split(' ').next() {
        _ if has_failed => 3,
        Some("invoke_agent") => 0,
        Some("execute_tool") => 2,
        _ => 1,
    }]
    .1
}

/// What is shown where the pointer rests.
fn title(span: &Span) -> String {
    let mut title = span.name.clone();
    for attribute in &span.attributes {
        let value = attribute.value.as_ref().and_then(|value| value.value.as_ref());
        let value = match value {
            Some(Value::StringValue(text)) => shortened(text, 80),
            Some(Value::IntValue(number)) => number.to_string(),
            Some(Value::DoubleValue(number)) => number.to_string(),
            Some(Value::BoolValue(is)) => is.to_string(),
            _ => continue,
        };
        let _ = write!(title, "\n{}: {value}", attribute.key);
    }
    title
}

fn duration(nanos: f64) -> String {
    let millis = nanos / 1e6;
    if millis < 999.5 { format!("{millis:.0} ms") } else { format!("{:.2} s", millis / 1000.0) }
}

fn shortened(text: &str, most: usize) -> String {
    let short: String = text.chars().take(most).collect();
    if short.len() < text.len() { short + "…" } else { short }
}

fn escaped(text: &str) -> String {
    let visible: String = text.chars().filter(|c| !c.is_control() || *c == '\n').collect();
    visible.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}
