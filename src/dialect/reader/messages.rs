//! Answers that come as messages of a socket: each is an event.

use perimeter_interceptor::{CallId, LlmEvent};

use super::{Begins, Reader, State, fail, step};
use crate::dialect::{Asked, Form, failure};
use crate::scribe::sse;

/// The status of the response that made the connection a socket.
const SWITCHED: u16 = 101;

impl Reader {
    /// A reader of the answer to `call`, which comes in messages.
    pub(crate) fn of_messages(asked: &Asked, call: CallId, limit: usize) -> Self {
        let mut reader = Self::new(asked, call, SWITCHED, Form::Events, limit);
        reader.state = reader.begin(Begins::Events);
        reader
    }

    /// Reads the next message.
    pub(crate) fn message(&mut self, data: &[u8], tell: &mut dyn FnMut(LlmEvent)) {
        let State::Stream(stream) = &mut self.state else { return };
        let event = sse::Event { name: b"", data };
        if step(&mut *stream.answer, &sse::Read::Event(event), self.call, self.status, tell) {
            self.state = State::Over;
        }
    }

    /// Notes that a message was not read.
    pub(crate) fn lose(&mut self) {
        if let State::Stream(stream) = &mut self.state {
            stream.answer.lose();
        }
    }

    /// The provider refuses, in a message that stands for a response of this status, if it says so.
    pub(crate) fn refuse(&mut self, status: Option<u16>, data: &[u8], tell: &mut dyn FnMut(LlmEvent)) {
        let State::Stream(stream) = &mut self.state else { return };
        let failure = failure::of_event(self.call, status.unwrap_or(self.status), data);
        fail(&mut *stream.answer, failure, tell);
        self.state = State::Over;
    }

    /// Whether all is told.
    pub(crate) fn is_over(&self) -> bool {
        matches!(self.state, State::Over)
    }
}
