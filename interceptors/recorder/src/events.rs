//! What passes, as the events of sessions: calls of models, the tools that they ask for, and what those answer.
//!
//! [`Events`] is an interceptor that tells a [`Sink`] of [`Event`]s; what they say is in `docs/events.md`. Each is told
//! once, and in the order of cause and effect, whatever else goes on: a session's start before its first call, a tool's
//! result before the call that it came with, an answer before the tools that it asks for, a session's end last.
//!
//! It reads no clock and holds no more than it must: of a call its answer's beginning, of a session which tools wait
//! for an answer and which answers were told, of 10,000 sessions and 100,000 tools at most. The session without an
//! event for the longest time makes room: its end is told, and a result that it brings later is told once more.

use std::sync::Arc;
use std::time::Duration;

use perimeter_interceptor::{
    BoxError, CallId, Counter, Cx, End, Failure, Interceptor, Interest, LlmEvent, RequestHead, ResponseHead,
    Result, SessionEnd, Upgrade,
};

mod attributes;
mod call;
mod event;
mod ids;
mod request;
mod response;
mod sessions;
mod stream;
mod teller;

pub use attributes::Attributes;
pub use event::{Event, Name, SCHEMA_VERSION};
pub use ids::SpanId;

use call::Open;
use teller::{Problem, Teller};

use crate::ending::Ending;

/// Who is told of events.
///
/// An error is logged and counted as an interceptor's are, and the next event comes as if nothing had happened.
pub trait Sink: Send + 'static {
    /// What it counts of itself. Asked once, when its interceptor is hired.
    fn counters(&self) -> Vec<Counter> {
        Vec::new()
    }

    /// Something happened.
    ///
    /// # Errors
    /// Anything.
    fn event(&mut self, event: Event) -> Result;

    /// A good moment to write out what was held back.
    ///
    /// # Errors
    /// Anything.
    fn idle(&mut self) -> Result {
        Ok(())
    }

    /// Nothing comes any more.
    ///
    /// # Errors
    /// Anything.
    fn finish(self) -> Result
    where
        Self: Sized,
    {
        Ok(())
    }
}

/// Tells a sink the events of what passes.
#[derive(Debug)]
pub struct Events<S> {
    teller: Teller,
    sink: S,
}

/// What is remembered of an exchange.
#[derive(Debug, Default)]
pub struct Seen {
    status: Option<u16>,
    upgraded: bool,
    /// When no provider answered, and why.
    failed: Option<(Duration, Failure)>,
    calls: Vec<Open>,
}

impl Seen {
    fn take(&mut self, call: CallId) -> Option<Open> {
        let at = self.calls.iter().position(|open| open.id == call)?;
        Some(self.calls.remove(at))
    }

    fn find(&mut self, call: CallId) -> Option<&mut Open> {
        self.calls.iter_mut().find(|open| open.id == call)
    }
}

impl<S: Sink> Events<S> {
    /// Tells this sink.
    pub fn to(sink: S) -> Self {
        Self { teller: Teller::new(), sink }
    }

    /// Hands on what was told. An error keeps nothing else from being handed on; the first is given.
    fn hand_on(&mut self) -> Result {
        let mut first: Option<BoxError> = None;
        for event in self.teller.told.drain(..) {
            if let Err(error) = self.sink.event(event) {
                first.get_or_insert(error);
            }
        }
        first.map_or(Ok(()), Err)
    }
}

impl<S: Sink> Interceptor for Events<S> {
    type State = Seen;

    fn interest(&self) -> Interest {
        Interest::LLM
    }

    fn counters(&self) -> Vec<Counter> {
        self.sink.counters()
    }

    fn on_request_head(&mut self, _: Cx<'_>, _: &RequestHead) -> Result<Option<Seen>> {
        Ok(Some(Seen::default()))
    }

    fn on_response_head(&mut self, _: Cx<'_>, seen: &mut Seen, head: &ResponseHead) -> Result {
        seen.status = Some(head.status.as_u16());
        Ok(())
    }

    fn on_upgrade(&mut self, _: Cx<'_>, seen: &mut Seen, _: &Upgrade) -> Result {
        seen.upgraded = true;
        Ok(())
    }

    fn on_llm(&mut self, cx: Cx<'_>, seen: &mut Seen, event: &LlmEvent) -> Result {
        match event {
            LlmEvent::Call(call) => self.teller.call(cx, seen, call),
            LlmEvent::Delta(delta) => {
                if let Some(open) = seen.find(delta.call) {
                    open.spoke.get_or_insert(cx.elapsed);
                }
            }
            LlmEvent::ToolUse(tool) => {
                if let Some(open) = seen.find(tool.call) {
                    open.tools.push(Arc::clone(tool));
                }
            }
            LlmEvent::Completion(completion) => {
                if let Some(open) = seen.take(completion.call) {
                    self.teller.finish(cx, &open, completion);
                }
            }
            LlmEvent::Cut(completion) => {
                if let Some(open) = seen.find(completion.call) {
                    open.cut = Some((cx.elapsed, Arc::clone(completion)));
                }
            }
            LlmEvent::Failure(failure) => {
                if let Some(open) = seen.take(failure.call) {
                    self.teller.error(cx, &open, cx.elapsed, Problem::of_provider(failure));
                }
            }
            _ => {}
        }
        self.hand_on()
    }

    fn on_failure(&mut self, cx: Cx<'_>, seen: &mut Seen, failure: &Failure) -> Result {
        for open in std::mem::take(&mut seen.calls) {
            self.teller.error(cx, &open, cx.elapsed, Problem::of_proxy(failure));
        }
        seen.failed = Some((cx.elapsed, failure.clone()));
        self.hand_on()
    }

    fn on_end(&mut self, cx: Cx<'_>, mut seen: Seen, end: &End) -> Result {
        let ending = Ending::of(end);
        for open in std::mem::take(&mut seen.calls) {
            let at = open.cut.as_ref().map_or(cx.elapsed, |(at, _)| *at);
            self.teller.error(cx, &open, at, Problem::of_end(&ending, seen.status));
        }
        self.hand_on()
    }

    fn on_session_end(&mut self, session: &SessionEnd) -> Result {
        self.teller.session_end(&session.id, session.lasted);
        self.hand_on()
    }

    fn on_idle(&mut self) -> Result {
        self.sink.idle()
    }

    fn on_shutdown(self) -> Result {
        self.sink.finish()
    }
}
