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
use std::io::{self, BufRead, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};

use flate2::read::GzDecoder;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message as _;

mod picture;

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
        picture::picture(&rows)
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

#[cfg(test)]
mod tests {
    use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Status, status::StatusCode};

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
