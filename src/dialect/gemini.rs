//! Not read yet.

use perimeter_interceptor::{CallId, Completion, LlmEvent};

use super::failure::Told;
use super::reader::{Answered, Gather, Step};
use super::{Prompt, json};
use crate::scribe::sse;

pub(super) fn read_request(_call: CallId, _body: &[u8], _prompt: &mut Prompt) -> json::Read {
    json::Read::Odd
}

pub(super) fn read_answer(call: CallId, _body: &[u8]) -> Answered<'_> {
    Answered { completion: Completion::new(call), error: Told::default(), read: json::Read::Odd }
}

pub(super) struct Stream {
    call: CallId,
}

impl Stream {
    pub(super) fn new(call: CallId, _status: u16, _limit: usize) -> Self {
        Self { call }
    }
}

impl Gather for Stream {
    fn event(&mut self, _event: &sse::Event<'_>, _tell: &mut dyn FnMut(LlmEvent)) -> Step {
        Step::More
    }

    fn lose(&mut self) {}

    fn stopped(&self) -> bool {
        false
    }

    fn intact(&self) -> bool {
        true
    }

    fn said(&self) -> bool {
        false
    }

    fn settle(&mut self, _tell: &mut dyn FnMut(LlmEvent)) {}

    fn completion(&self) -> Completion {
        Completion::new(self.call)
    }

    fn held(&self) -> usize {
        0
    }
}
