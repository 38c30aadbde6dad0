//! What a scripted agent answers.

use serde_json::{Value, json};

/// What is answered to a request for an agent.
#[derive(Clone, Debug)]
pub(crate) struct Reply {
    pub(super) status: u16,
    pub(super) headers: String,
    pub(super) pieces: Vec<Piece>,
    pub(super) end: End,
}

#[derive(Clone, Debug)]
pub(super) enum Piece {
    Bytes(Vec<u8>),
    /// Waits until [`Stackspot::open`](super::Stackspot::open) is called with it.
    Gate(&'static str),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// As HTTP has it.
    Proper,
    /// The connection breaks off.
    Cut,
    /// It says nothing more until the other side closes.
    Never,
}

impl Reply {
    /// Server-sent events that say `messages`, and then how it ended.
    pub(crate) fn deltas(messages: &[&str]) -> Self {
        Self::events(messages.iter().map(|message| json!({"message": message})).chain([ending()]))
    }

    /// The same, each message with all those before it.
    pub(crate) fn cumulative(messages: &[&str]) -> Self {
        let mut said = String::new();
        let all = messages.iter().map(|message| {
            said.push_str(message);
            json!({"message": said})
        });
        let all: Vec<_> = all.collect();
        Self::events(all.into_iter().chain([ending()]))
    }

    /// One JSON document, as if nobody had asked for a stream.
    pub(crate) fn document(message: &str) -> Self {
        let mut document = ending();
        document["message"] = json!(message);
        Self::raw("application/json", document.to_string())
    }

    /// OpenAI's chunks.
    pub(crate) fn chunks(messages: &[&str]) -> Self {
        let chunk = |delta: Value, end: Value| json!({"choices": [{"index": 0, "delta": delta, "finish_reason": end}]});
        let deltas = messages.iter().map(|message| chunk(json!({"content": message}), Value::Null));
        let usage = json!({"choices": [], "usage": {"prompt_tokens": 42, "completion_tokens": 5}});
        let mut reply = Self::events(deltas.chain([chunk(json!({}), json!("stop")), usage]));
        reply.pieces.push(Piece::Bytes(b"data: [DONE]\n\n".to_vec()));
        reply
    }

    /// These events, a piece each.
    pub(crate) fn events(events: impl IntoIterator<Item = Value>) -> Self {
        let pieces = events.into_iter().map(|event| Piece::Bytes(format!("data: {event}\n\n").into_bytes()));
        Self { pieces: pieces.collect(), ..Self::raw("text/event-stream", "") }
    }

    /// These bytes.
    pub(crate) fn raw(content_type: &str, body: impl Into<Vec<u8>>) -> Self {
        Self {
            status: 200,
            headers: format!("Content-Type: {content_type}\r\n"),
            pieces: vec![Piece::Bytes(body.into())],
            end: End::Proper,
        }
    }

    /// A refusal.
    pub(crate) fn refusal(status: u16, body: &str) -> Self {
        Self { status, ..Self::raw("application/json", body) }
    }

    /// As the limit of requests is told.
    pub(crate) fn rate_limit() -> Self {
        Self::refusal(
            429,
            r#"{"type":"TooManyRequests","code":"INFERENCE_3008_CHAT_RATE_LIMIT_EXCEEDED","details":"Maximum number of requests reached."}"#,
        )
    }

    /// With one more header.
    pub(crate) fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push_str(&format!("{name}: {value}\r\n"));
        self
    }

    /// Holds back what follows piece `at` until that gate is opened.
    pub(crate) fn gate(mut self, at: usize, gate: &'static str) -> Self {
        self.pieces.insert(at, Piece::Gate(gate));
        self
    }

    /// Without its last event.
    pub(crate) fn without_end(mut self) -> Self {
        self.pieces.pop();
        self
    }

    /// Breaks off after its last piece.
    pub(crate) fn cut(mut self) -> Self {
        self.end = End::Cut;
        self
    }

    /// Goes on for ever, in silence.
    pub(crate) fn never_ends(mut self) -> Self {
        self.end = End::Never;
        self
    }
}

/// An answer's last event.
fn ending() -> Value {
    json!({"stop_reason": "stop", "message_id": "01M", "conversation_id": "01C",
        "tokens": {"user": null, "enrichment": null, "input": 42, "output": 5}})
}
