//! What the provider does about one request, as data.

use serde_json::Value;

/// Fields that every answer carries, as a provider's do.
const ALWAYS: &str = "Date: Sat, 21 Nov 2026 03:00:00 GMT\r\n\
    server: scripted\r\n\
    X-Request-ID: req_0001\r\n\
    request-id: req_0001\r\n";

/// What the provider does, in order.
pub(super) struct Script {
    pub(super) steps: Vec<Step>,
    /// Whether the connection ends after it.
    pub(super) close: bool,
}

pub(super) enum Step {
    Send(Vec<u8>),
    /// Goes on when the client of that stream has seen so many pieces of it.
    Seen(String, usize),
    /// Goes on when so many streams of that group are open at once.
    Open(String, usize),
    /// Waits for the client to leave.
    Left(String),
    /// Ends the connection with a reset.
    Reset,
}

impl Script {
    /// Exactly these bytes.
    pub(super) fn raw(bytes: impl Into<Vec<u8>>) -> Self {
        Self { steps: vec![Step::Send(bytes.into())], close: false }
    }

    /// A whole answer of known length. `fields` are lines, each with its CRLF.
    pub(super) fn whole(status: &str, fields: &str, body: &[u8]) -> Self {
        let mut bytes =
            format!("HTTP/1.1 {status}\r\n{ALWAYS}{fields}Content-Length: {}\r\n\r\n", body.len())
                .into_bytes();
        bytes.extend_from_slice(body);
        Self::raw(bytes)
    }

    pub(super) fn json(status: &str, fields: &str, body: &Value) -> Self {
        let fields = format!("Content-Type: application/json\r\n{fields}");
        Self::whole(status, &fields, body.to_string().as_bytes())
    }

    /// The head of a chunked answer; the chunks and [`Self::end`] follow.
    pub(super) fn chunked(fields: &str) -> Self {
        Self::raw(format!("HTTP/1.1 200 OK\r\n{ALWAYS}{fields}Transfer-Encoding: chunked\r\n\r\n"))
    }

    /// The head of a stream of server-sent events.
    pub(super) fn events() -> Self {
        Self::chunked("Content-Type: text/event-stream; charset=utf-8\r\nCache-Control: no-cache\r\n")
    }

    pub(super) fn chunk(mut self, bytes: impl AsRef<[u8]>) -> Self {
        let bytes = bytes.as_ref();
        let mut chunk = format!("{:x}\r\n", bytes.len()).into_bytes();
        chunk.extend_from_slice(bytes);
        chunk.extend_from_slice(b"\r\n");
        self.steps.push(Step::Send(chunk));
        self
    }

    pub(super) fn send(self, bytes: impl Into<Vec<u8>>) -> Self {
        self.step(Step::Send(bytes.into()))
    }

    pub(super) fn step(mut self, step: Step) -> Self {
        self.steps.push(step);
        self
    }

    /// The clean end of a chunked answer.
    pub(super) fn end(self) -> Self {
        self.send("0\r\n\r\n")
    }

    pub(super) fn seen(self, stream: &str, pieces: usize) -> Self {
        self.step(Step::Seen(stream.to_owned(), pieces))
    }

    pub(super) fn left(self, stream: &str) -> Self {
        self.step(Step::Left(stream.to_owned()))
    }

    /// The connection ends here, without a word.
    pub(super) fn closing(mut self) -> Self {
        self.close = true;
        self
    }
}
