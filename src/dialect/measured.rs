//! What is named and measured, and not read: embeddings, pictures, speech, files, lists of models …

use bytes::Bytes;
use perimeter_interceptor::{CallId, Completion, LlmEvent, Operation};

use super::{Prompt, failure, json};

/// Reads what a request of this operation says of itself: its model, and what it brings.
pub(super) fn read_request(
    _operation: Operation,
    _content_type: Option<&[u8]>,
    _body: &[u8],
    _prompt: &mut Prompt,
) -> json::Read {
    json::Read::Odd
}

/// A response being measured.
pub(super) struct Measure {
    call: CallId,
    status: u16,
    limit: usize,
    body: Vec<u8>,
}

impl Measure {
    pub(super) fn new(_operation: Operation, call: CallId, status: u16, limit: usize) -> Self {
        Self { call, status, limit, body: Vec::new() }
    }

    /// Reads what came next.
    pub(super) fn read(&mut self, chunk: &[u8]) {
        let fits = chunk.len().min(self.limit.saturating_sub(self.body.len()));
        self.body.extend_from_slice(chunk.get(..fits).unwrap_or_default());
    }

    /// Tells what it was: of the `whole` body, or of what came before it broke off.
    pub(super) fn finish(self, whole: bool, tell: &mut dyn FnMut(LlmEvent)) {
        let body = Bytes::from(self.body);
        if self.status >= 400 {
            let mut failure = failure::of_body(self.call, self.status, &body);
            failure.body = body;
            return tell(LlmEvent::Failure(failure.into()));
        }
        let completion = Completion::new(self.call).into();
        tell(if whole { LlmEvent::Completion(completion) } else { LlmEvent::Cut(completion) });
    }

    /// How many bytes of memory it holds.
    pub(super) fn held(&self) -> usize {
        self.body.capacity()
    }
}
