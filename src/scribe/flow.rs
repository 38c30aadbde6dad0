//! How answers come: with which gaps, and who makes whom wait.

use std::sync::Arc;
use std::time::{Duration, Instant};

use http::header::{CONTENT_TYPE, HeaderValue};
use perimeter_interceptor::{CallId, Completion, LlmEvent, Peer, ResponseHead, Stall, Stream};

use crate::dialect::Form;
use crate::journal::between;

/// So many calls of a socket are measured at once; the oldest makes room.
const CALLS: usize = 64;

/// A part that says nothing is no longer than this.
const SHORT: usize = 64;

/// Measures the answers of one exchange.
#[derive(Debug)]
pub(super) struct Flows {
    began: Instant,
    /// `observe.stall_threshold`.
    threshold: Duration,
    /// The body of the response.
    body: Option<Box<Flow>>,
    /// The calls of a socket.
    calls: Vec<(CallId, Box<Flow>)>,
    upgraded: bool,
}

impl Flows {
    pub(super) fn new(began: Instant, threshold: Duration) -> Self {
        Self { began, threshold, body: None, calls: Vec::new(), upgraded: false }
    }

    /// The response's head came.
    pub(super) fn head(&mut self, at: Instant, head: &ResponseHead) {
        let form = Form::of(head.headers.get(CONTENT_TYPE).map(HeaderValue::as_bytes));
        let mut flow = Flow::new(self.began, self.threshold, at);
        flow.is_stream = matches!(form, Form::Events | Form::Frames);
        self.body = Some(Box::new(flow));
    }

    /// What follows are calls of a socket, each with a beginning of its own.
    pub(super) fn upgraded(&mut self) {
        (self.upgraded, self.body) = (true, None);
    }

    /// A part of the response's body came; it was asked for at that time, or only when it was there.
    pub(super) fn chunk(&mut self, at: Instant, asked: Option<Instant>, bytes: &[u8]) {
        if let Some(flow) = &mut self.body {
            flow.waited(at, asked);
            if !says_nothing(bytes) {
                flow.part(at, bytes.len());
            }
        }
    }

    /// The response's body is over, before its end: what was waited for in vain counts too.
    pub(super) fn broke_off(&mut self, at: Instant, asked: Option<Instant>) {
        if let Some(flow) = &mut self.body {
            flow.waited(at, asked);
            flow.stalls();
            flow.stream.last = between(flow.began, at);
        }
    }

    /// There was no room for the rest of the response's body. How it came is not known: what was not seen would look like
    /// a silence.
    pub(super) fn missed(&mut self) {
        self.body = None;
    }

    /// The event, with how the answer came where it is the last of it.
    pub(super) fn pass(&mut self, at: Instant, mut event: LlmEvent) -> LlmEvent {
        if self.upgraded {
            self.hear(at, &event);
        }
        match &mut event {
            LlmEvent::Delta(delta) => {
                if let Some(flow) = self.of(delta.call) {
                    flow.token(at);
                }
            }
            LlmEvent::Completion(said) | LlmEvent::Cut(said) => self.add_to(said),
            _ => {}
        }
        event
    }

    /// Something of a socket's call. What it is made of is not told apart, so each thing told is a part.
    fn hear(&mut self, at: Instant, event: &LlmEvent) {
        if let LlmEvent::Call(call) = event {
            if self.calls.len() >= CALLS {
                self.calls.remove(0);
            }
            let mut flow = Flow::new(at, self.threshold, at);
            flow.stream.first_byte = Duration::ZERO;
            self.calls.push((call.id, Box::new(flow)));
            return;
        }
        let Some(flow) = self.of(event.call()) else { return };
        if flow.stream.chunks == 0 {
            flow.stream.first_byte = between(flow.began, at);
        }
        if flow.stream.chunks == 0 || at > flow.latest {
            flow.waited(at, Some(flow.latest));
            flow.part(at, 0);
        }
        flow.is_stream = true;
    }

    fn of(&mut self, call: CallId) -> Option<&mut Flow> {
        if !self.upgraded {
            return self.body.as_deref_mut();
        }
        self.calls.iter_mut().find(|(id, _)| *id == call).map(|(_, flow)| &mut **flow)
    }

    fn add_to(&mut self, said: &mut Arc<Completion>) {
        let Some(flow) = self.of(said.call).filter(|flow| flow.is_stream) else { return };
        let stream = Arc::new(flow.stream.clone());
        Arc::make_mut(said).stream = Some(stream);
        if self.upgraded {
            self.calls.retain(|(id, _)| *id != said.call);
        }
    }
}

/// Measures one answer.
#[derive(Debug)]
struct Flow {
    began: Instant,
    threshold: Duration,
    stream: Stream,
    /// Whether it came piece by piece.
    is_stream: bool,
    /// When the last part came that said something, and the last of all.
    said: Instant,
    latest: Instant,
    /// What was waited since the last part that said something: for the client to read, then for the upstream.
    by_client: Duration,
    by_upstream: Duration,
}

impl Flow {
    fn new(began: Instant, threshold: Duration, at: Instant) -> Self {
        let mut stream = Stream::default();
        stream.first_byte = between(began, at);
        stream.last = stream.first_byte;
        let (by_client, by_upstream) = (Duration::ZERO, Duration::ZERO);
        Self { began, threshold, stream, is_stream: false, said: at, latest: at, by_client, by_upstream }
    }

    /// Until the next part was asked for, nobody read; from then on, nobody spoke.
    fn waited(&mut self, at: Instant, asked: Option<Instant>) {
        let asked = asked.unwrap_or(at).clamp(self.latest.min(at), at);
        self.by_client += between(self.latest, asked);
        self.by_upstream += between(asked, at);
        self.latest = at;
    }

    fn part(&mut self, at: Instant, bytes: usize) {
        self.stream.last = between(self.began, at);
        if self.stream.chunks == 0 {
            self.stream.first_chunk = Some(self.stream.last);
        } else {
            self.stream.gaps.add(between(self.said, at));
        }
        self.stalls();
        self.stream.chunks += 1;
        self.stream.bytes += bytes as u64;
        self.said = at;
    }

    /// Notes what was waited, where it was long. Waiting for the first part is no gap.
    fn stalls(&mut self) {
        let waits = [
            (Peer::Client, std::mem::take(&mut self.by_client)),
            (Peer::Upstream, std::mem::take(&mut self.by_upstream)),
        ];
        if self.stream.chunks == 0 {
            return;
        }
        let mut at = between(self.began, self.said);
        for (by, lasted) in waits {
            if lasted > self.threshold {
                self.stream.stall(Stall::new(at, lasted, by));
            }
            at += lasted;
        }
    }

    fn token(&mut self, at: Instant) {
        self.is_stream = true;
        let at = between(self.began, at);
        self.stream.first_token.get_or_insert(at);
        self.stream.last_token = Some(at);
    }
}

/// Whether a part of a stream only keeps the connection alive: comments of SSE, or Anthropic's `ping`.
fn says_nothing(bytes: &[u8]) -> bool {
    let is_comment = |line: &[u8]| line.is_empty() || line == b"\r" || line.starts_with(b":");
    bytes.len() <= SHORT
        && (bytes.starts_with(b"event: ping") || bytes.split(|byte| *byte == b'\n').all(is_comment))
}

#[cfg(test)]
mod tests;
