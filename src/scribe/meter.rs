//! How long each call of one exchange takes, and how it ends, for the metrics.

use std::sync::Arc;
use std::time::Duration;

use perimeter_genai::error_type;
use perimeter_interceptor::{BodyEnd, Call, CallId, Completion, Failure, LlmEvent, Operation, Usage};

use super::bounded;
use super::tally::streams::Closer;
use super::tally::{Finished, Standing, Tally};

/// So many calls of one exchange are open at once, at most: a socket carries several.
const OPEN: usize = 64;

/// Times the calls of one exchange.
#[derive(Debug)]
pub(super) struct Meter {
    tally: Arc<Tally>,
    open: Vec<Timed>,
    /// Who made the latest call.
    agent: Option<(Arc<str>, Standing)>,
    /// `error.type`, where the proxy answered itself.
    failure: Option<Arc<str>>,
    closed: Option<Closer>,
}

/// A call that is not over, or whose end may still turn out to be another.
#[derive(Debug)]
struct Timed {
    call: CallId,
    operation: Operation,
    dialect: &'static str,
    vendor: &'static str,
    model: Option<Arc<str>>,
    began: Duration,
    /// Where its answer broke off: when, and what there was of it. Whose fault it was is known later.
    cut: Option<(Duration, Arc<Completion>)>,
}

impl Meter {
    pub(super) fn new(tally: &Arc<Tally>) -> Self {
        Self { tally: Arc::clone(tally), open: Vec::new(), agent: None, failure: None, closed: None }
    }

    /// Who made the latest call.
    pub(super) fn agent(&self) -> Option<&(Arc<str>, Standing)> {
        self.agent.as_ref()
    }

    /// Something was read, so long after the exchange began. Calls begin with it, but those that a socket carries.
    pub(super) fn note(&mut self, event: &LlmEvent, elapsed: Duration, is_socket: bool) {
        match event {
            LlmEvent::Call(call) => self.begin(call, if is_socket { elapsed } else { Duration::ZERO }),
            LlmEvent::Completion(completion) => {
                if let Some(timed) = self.take(completion.call) {
                    // Who closes the connection says nothing of an answer that was whole by then.
                    self.finish(&timed, elapsed, Some(completion), None, Closer::Upstream);
                }
            }
            LlmEvent::Cut(completion) => {
                let timed = self.open.iter_mut().find(|timed| timed.call == completion.call);
                if let Some(timed) = timed {
                    timed.cut = Some((elapsed, Arc::clone(completion)));
                }
            }
            LlmEvent::Failure(failure) => {
                if let Some(timed) = self.take(failure.call) {
                    let cut = timed.cut.as_ref().map(|(_, cut)| &**cut);
                    let word = error_type::of_provider(failure);
                    self.finish(&timed, elapsed, cut, Some(&word), Closer::Upstream);
                }
            }
            _ => {}
        }
    }

    /// The proxy answered itself.
    pub(super) fn failed(&mut self, failure: &Failure) {
        self.failure = Some(error_type::of_proxy(failure).into());
    }

    /// A record was read. `closed`: who closed the exchange, where it is closed; `seen`: whether all of it was read.
    pub(super) fn settle(&mut self, closed: Option<Closer>, seen: bool) {
        self.closed = self.closed.or(closed);
        let Some(closed) = self.closed else { return };
        while let Some(at) = self.open.iter().position(|timed| timed.cut.is_some()) {
            let timed = self.open.remove(at);
            let Some((elapsed, cut)) = &timed.cut else { continue };
            // What was not read may have been the end of it.
            if seen {
                self.finish(&timed, *elapsed, Some(cut), Some(&word_for(closed)), closed);
            }
        }
    }

    /// The exchange is over. Calls that are open were not answered.
    pub(super) fn end(&mut self, closed: Option<Closer>, seen: bool, elapsed: Duration) {
        let closed = closed.or(self.closed).unwrap_or(Closer::Proxy);
        self.settle(Some(closed), seen);
        for timed in std::mem::take(&mut self.open) {
            let error = match (&self.failure, closed) {
                (Some(word), _) => Some(Arc::clone(word)),
                (None, Closer::Upstream) if !seen => continue,
                // It came, and was no answer that anybody reads.
                (None, Closer::Upstream) => None,
                (None, closed) => Some(word_for(closed)),
            };
            self.finish(&timed, elapsed, None, error.as_ref(), closed);
        }
    }

    fn begin(&mut self, call: &Call, began: Duration) {
        let agent = &call.session.agent;
        self.agent = Some(match (&agent.told, &agent.name) {
            (Some(told), _) => (Arc::clone(told), Standing::Proven),
            // Of a program that is known, and there are only so many of them.
            (None, Some(name)) => (Arc::clone(name), Standing::Listed),
            (None, None) => (Arc::clone(&agent.stable), Standing::Said),
        });
        if self.open.len() >= OPEN {
            self.open.remove(0);
        }
        let timed = Timed {
            call: call.id,
            operation: call.operation,
            dialect: call.dialect,
            vendor: call.vendor,
            model: call.model.clone(),
            began,
            cut: None,
        };
        bounded::push(&mut self.open, timed);
    }

    fn take(&mut self, call: CallId) -> Option<Timed> {
        let at = self.open.iter().position(|timed| timed.call == call)?;
        Some(self.open.remove(at))
    }

    fn finish(
        &self,
        timed: &Timed,
        elapsed: Duration,
        answer: Option<&Completion>,
        error: Option<&Arc<str>>,
        closed: Closer,
    ) {
        self.tally.finished(&Finished {
            operation: timed.operation,
            dialect: timed.dialect,
            vendor: timed.vendor,
            model: timed.model.as_ref(),
            response_model: answer.and_then(|answer| answer.model.as_ref()),
            error,
            took: elapsed.saturating_sub(timed.began),
            stream: answer.and_then(|answer| answer.stream.as_deref()),
            closed,
            used: answer.and_then(|answer| used(answer, timed.operation)),
        });
    }
}

/// What an answer used, where that is new.
fn used(answer: &Completion, operation: Operation) -> Option<Option<&Usage>> {
    answer.is_billed(operation).then_some(answer.usage.as_ref())
}

/// `error.type` for an answer that broke off.
fn word_for(closed: Closer) -> Arc<str> {
    match closed {
        Closer::Upstream => error_type::STREAM_TRUNCATED,
        Closer::Client => error_type::CLIENT_CANCELLED,
        Closer::Proxy => error_type::PROXY_STOPPED,
    }
    .into()
}

/// Who closed a stream that ended like this, by who wrote it and who read it.
pub(super) fn closer(end: &BodyEnd, writer: Closer, reader: Closer) -> Closer {
    match end {
        BodyEnd::Aborted => reader,
        BodyEnd::Stopped => Closer::Proxy,
        _ => writer,
    }
}

#[cfg(test)]
mod tests;
