//! Draws traces: takes OTLP over HTTP, as a backend does, and keeps an SVG picture of each trace up to date.
//!
//! ```console
//! $ cargo run --example waterfall -- pictures
//! waiting for traces on http://127.0.0.1:4318, drawing into pictures/
//! $ perimeter run --base-url … --type … --interceptors printer,trace_exporter      # in another terminal
//! ```
//!
//! It is no backend: it holds everything in memory, and knows nothing of logs and metrics.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::{self, BufRead, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};

use flate2::read::GzDecoder;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::trace::v1::{Span, status::StatusCode};
use prost::Message as _;

/// A collector takes no larger request; neither do we.
const LARGEST: u64 = 64 * 1024 * 1024;

fn main() -> io::Result<()> {
    let folder = PathBuf::from(std::env::args().nth(1).unwrap_or_else(|| ".".to_owned()));
    let address = std::env::args().nth(2).unwrap_or_else(|| "127.0.0.1:4318".to_owned());
    std::fs::create_dir_all(&folder)?;
    let listener = TcpListener::bind(address)?;
    let local = listener.local_addr()?;
    writeln!(io::stderr(), "waiting for traces on http://{local}, drawing into {}/", folder.display())?;
    let mut traces = Traces::default();
    for client in listener.incoming() {
        // One that breaks off has had its reasons; the next one is served.
        if let Err(error) = client.and_then(|client| serve(client, &mut traces, &folder)) {
            writeln!(io::stderr(), "a client broke off: {error}")?;
        }
    }
    Ok(())
}

/// Answers one client's request, and draws what it brings.
fn serve(client: TcpStream, traces: &mut Traces, folder: &Path) -> io::Result<()> {
    let mut answers = client.try_clone()?;
    let mut requests = BufReader::new(client);
    let Some((path, body)) = request(&mut requests)? else { return Ok(()) };
    if path == "/v1/traces" {
        for trace in traces.take(&body)? {
            let name: String = trace.iter().map(|byte| format!("{byte:02x}")).collect();
            std::fs::write(folder.join(format!("{name}.svg")), traces.draw(&trace))?;
        }
    }
    answers.write_all(TAKEN)
}

/// An empty message of protobuf: all was taken. One request a connection, since others wait.
const TAKEN: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-type: application/x-protobuf\r\n\
    content-length: 0\r\nconnection: close\r\n\r\n";

/// The path and the body of the next request, if there is one.
fn request(requests: &mut impl BufRead) -> io::Result<Option<(String, Vec<u8>)>> {
    let (mut path, mut length, mut is_gzip) = (None, 0, false);
    loop {
        let mut line = String::new();
        if requests.read_line(&mut line)? == 0 {
            return Ok(None);
        }
        let line = line.trim_end().to_ascii_lowercase();
        match (&path, line.split_once(':')) {
            (None, _) => path = line.split(' ').nth(1).map(str::to_owned),
            (Some(_), Some(("content-length", value))) => {
                length = value.trim().parse().map_err(io::Error::other)?;
            }
            (Some(_), Some(("content-encoding", value))) => is_gzip = value.trim() == "gzip",
            (Some(path), None) if line.is_empty() => {
                let mut body = Vec::new();
                requests.take(LARGEST.min(length)).read_to_end(&mut body)?;
                if is_gzip {
                    let mut plain = Vec::new();
                    GzDecoder::new(&*body).take(LARGEST).read_to_end(&mut plain)?;
                    body = plain;
                }
                return Ok(Some((path.clone(), body)));
            }
            _ => {}
        }
    }
}

/// All spans so far, by the trace that they are part of.
#[derive(Default)]
struct Traces(BTreeMap<Vec<u8>, Vec<Span>>);

impl Traces {
    /// Takes what an `ExportTraceServiceRequest` brings. The traces that have grown.
    fn take(&mut self, body: &[u8]) -> io::Result<Vec<Vec<u8>>> {
        let request = ExportTraceServiceRequest::decode(body).map_err(io::Error::other)?;
        let mut grown = Vec::new();
        let scopes = request.resource_spans.into_iter().flat_map(|resource| resource.scope_spans);
        for span in scopes.flat_map(|scope| scope.spans) {
            grown.push(span.trace_id.clone());
            let trace = self.0.entry(span.trace_id.clone()).or_default();
            // What was sent twice is one.
            trace.retain(|other| other.span_id != span.span_id);
            trace.push(span);
        }
        grown.sort();
        grown.dedup();
        Ok(grown)
    }

    fn draw(&self, trace: &[u8]) -> String {
        let mut rows = Vec::new();
        let spans = self.0.get(trace).map(Vec::as_slice).unwrap_or_default();
        let is_root = |span: &&Span| !spans.iter().any(|other| other.span_id == span.parent_span_id);
        below(spans, &in_order(spans.iter().filter(is_root)), 0, &mut rows);
        picture(&rows)
    }
}

fn in_order<'a>(spans: impl Iterator<Item = &'a Span>) -> Vec<&'a Span> {
    let mut spans: Vec<_> = spans.collect();
    spans.sort_by_key(|span| (span.start_time_unix_nano, span.end_time_unix_nano));
    spans
}

/// Each span with how deep it is, parents before their children.
fn below<'a>(all: &'a [Span], spans: &[&'a Span], depth: usize, rows: &mut Vec<(usize, &'a Span)>) {
    for span in spans {
        rows.push((depth, span));
        // Whoever is their own ancestor is drawn once.
        if depth < 32 && span.parent_span_id != span.span_id {
            let children = all.iter().filter(|child| child.parent_span_id == span.span_id);
            below(all, &in_order(children), depth + 1, rows);
        }
    }
}

const ROW: usize = 24;
const NAMES: f64 = 330.0;
const BARS: f64 = 520.0;
const WIDTH: f64 = NAMES + BARS + 90.0;

/// The picture of these spans.
fn picture(rows: &[(usize, &Span)]) -> String {
    let begin = rows.iter().map(|(_, span)| span.start_time_unix_nano).min().unwrap_or(0);
    let end = rows.iter().map(|(_, span)| span.end_time_unix_nano).max().unwrap_or(0);
    let whole = (end.saturating_sub(begin).max(1)) as f64;
    let height = ROW * (rows.len() + 2);
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" width=\"{WIDTH}\" \
         height=\"{height}\" font-family=\"ui-monospace, Menlo, Consolas, monospace\" font-size=\"12\">\n\
         <rect width=\"100%\" height=\"100%\" rx=\"6\" fill=\"#ffffff\" stroke=\"#d0d7de\"/>\n"
    );
    for tick in 0..=4 {
        let part = f64::from(tick) / 4.0;
        let x = NAMES + BARS * part;
        let _ = writeln!(
            svg,
            "<line x1=\"{x}\" y1=\"{ROW}\" x2=\"{x}\" y2=\"{}\" stroke=\"#eaeef2\"/>\
             <text x=\"{x}\" y=\"17\" fill=\"#57606a\" text-anchor=\"middle\">{}</text>",
            height - ROW / 2,
            duration(whole * part)
        );
    }
    for (row, (depth, span)) in rows.iter().enumerate() {
        let y = ROW * (row + 1);
        let at = span.start_time_unix_nano.saturating_sub(begin) as f64 / whole * BARS + NAMES;
        let took = span.end_time_unix_nano.saturating_sub(span.start_time_unix_nano) as f64;
        let bar = (took / whole * BARS).max(2.0);
        let _ = writeln!(
            svg,
            "<text x=\"{}\" y=\"{}\" fill=\"#24292f\">{}</text>\
             <rect x=\"{at:.1}\" y=\"{}\" width=\"{bar:.1}\" height=\"{}\" rx=\"3\" fill=\"{}\"><title>{}</title></rect>\
             <text x=\"{:.1}\" y=\"{}\" fill=\"#57606a\">{}</text>",
            12 + 16 * depth,
            y + 16,
            escaped(&shortened(&span.name, 38 - 2 * (*depth).min(10))),
            y + 5,
            ROW - 10,
            colour(span),
            escaped(&title(span)),
            at + bar + 6.0,
            y + 16,
            duration(took)
        );
    }
    svg.push_str("</svg>\n");
    svg
}

fn colour(span: &Span) -> &'static str {
    if span.status.as_ref().is_some_and(|status| status.code == StatusCode::Error as i32) {
        return "#cf222e";
    }
    match span.name.split(' ').next() {
        Some("invoke_agent") => "#afb8c1",
        Some("execute_tool") => "#2da44e",
        _ => "#0969da",
    }
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
    if millis < 1000.0 { format!("{millis:.0} ms") } else { format!("{:.2} s", millis / 1000.0) }
}

fn shortened(text: &str, most: usize) -> String {
    let short: String = text.chars().take(most).collect();
    if short.len() < text.len() { short + "…" } else { short }
}

fn escaped(text: &str) -> String {
    let visible: String = text.chars().filter(|c| !c.is_control() || *c == '\n').collect();
    visible.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Status};

    use super::*;

    fn span(id: u8, parent: Option<u8>, name: &str, millis: (u64, u64)) -> Span {
        Span {
            trace_id: vec![1; 16],
            span_id: vec![id; 8],
            parent_span_id: parent.map(|parent| vec![parent; 8]).unwrap_or_default(),
            name: name.to_owned(),
            start_time_unix_nano: millis.0 * 1_000_000,
            end_time_unix_nano: millis.1 * 1_000_000,
            ..Span::default()
        }
    }

    fn drawn(spans: Vec<Span>) -> String {
        let scope_spans = vec![ScopeSpans { spans, ..ScopeSpans::default() }];
        let resource_spans = vec![ResourceSpans { scope_spans, ..ResourceSpans::default() }];
        let mut traces = Traces::default();
        let grown = traces.take(&ExportTraceServiceRequest { resource_spans }.encode_to_vec()).unwrap();
        assert_eq!(grown, [vec![1; 16]]);
        traces.draw(&grown[0])
    }

    #[test]
    fn children_are_drawn_below_their_parents_in_the_order_of_their_beginnings() {
        let svg = drawn(vec![
            span(3, Some(1), "chat <b>", (500, 900)),
            span(2, Some(1), "chat a", (0, 250)),
            span(1, None, "invoke_agent", (0, 1000)),
            span(4, Some(2), "execute_tool x", (100, 150)),
        ]);
        let at = |name: &str| svg.find(&format!(">{name}</text>")).unwrap();
        assert!(at("invoke_agent") < at("chat a") && at("chat a") < at("execute_tool x"));
        assert!(
            at("execute_tool x") < at("chat &lt;b&gt;") && svg.contains("1.00 s") && svg.contains("250 ms")
        );
    }

    #[test]
    fn what_failed_is_red_and_a_circle_ends() {
        let mut failed = span(1, Some(2), "chat", (0, 1));
        failed.status = Some(Status { code: StatusCode::Error as i32, ..Status::default() });
        let mut orphan = span(9, Some(7), "chat", (0, 1));
        orphan.span_id.clone_from(&orphan.parent_span_id);
        let svg = drawn(vec![failed, orphan]);
        assert!(svg.contains("#cf222e"), "{svg}");
    }

    #[test]
    fn a_request_is_read_with_its_path_and_body() {
        let mut wire: &[u8] = b"POST /v1/traces HTTP/1.1\r\nContent-Length: 3\r\nHost: x\r\n\r\nabcd";
        assert_eq!(request(&mut wire).unwrap(), Some(("/v1/traces".to_owned(), b"abc".to_vec())));
    }
}
