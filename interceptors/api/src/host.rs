//! For those who run interceptors: the proxy, tests, whoever plays a recording. Interceptors do not need it.

use std::any::Any;
use std::collections::HashMap;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use crate::{
    BodyEnd, BoxError, Cx, End, Exchange, ExchangeId, Failure, Interceptor, Interest, LlmEvent, Peer,
    RequestHead, ResponseHead, Result, SessionEnd, Upgrade,
};

/// Something that an interceptor is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Notice {
    /// Of an exchange.
    Exchange {
        /// Which.
        exchange: Arc<Exchange>,
        /// How long after its beginning.
        elapsed: Duration,
        /// What.
        what: What,
    },
    /// A session is over.
    SessionEnd(Arc<SessionEnd>),
}

/// What is told of an exchange: one for each callback.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum What {
    /// [`Interceptor::on_request_head`].
    RequestHead(Arc<RequestHead>),
    /// [`Interceptor::on_request_chunk`].
    RequestChunk(Bytes),
    /// [`Interceptor::on_request_end`].
    RequestEnd(BodyEnd),
    /// [`Interceptor::on_response_head`].
    ResponseHead(Arc<ResponseHead>),
    /// [`Interceptor::on_response_chunk`].
    ResponseChunk(Bytes),
    /// [`Interceptor::on_llm`].
    Llm(LlmEvent),
    /// [`Interceptor::on_upgrade`].
    Upgrade(Arc<Upgrade>),
    /// [`Interceptor::on_upgraded_chunk`].
    UpgradedChunk(Peer, Bytes),
    /// [`Interceptor::on_failure`].
    Failure(Arc<Failure>),
    /// [`Interceptor::on_end`].
    End(End),
}

impl What {
    /// The name of the callback that is told this.
    pub fn callback(&self) -> &'static str {
        match self {
            Self::RequestHead(_) => "on_request_head",
            Self::RequestChunk(_) => "on_request_chunk",
            Self::RequestEnd(_) => "on_request_end",
            Self::ResponseHead(_) => "on_response_head",
            Self::ResponseChunk(_) => "on_response_chunk",
            Self::Llm(_) => "on_llm",
            Self::Upgrade(_) => "on_upgrade",
            Self::UpgradedChunk(..) => "on_upgraded_chunk",
            Self::Failure(_) => "on_failure",
            Self::End(_) => "on_end",
        }
    }
}

/// Why a callback did not do what it should.
#[derive(Debug)]
pub struct Fault {
    /// Which callback.
    pub callback: &'static str,
    /// In which exchange, where it was about one.
    pub exchange: Option<ExchangeId>,
    /// What happened.
    pub what: Misfortune,
}

/// What happened in a callback.
#[derive(Debug)]
pub enum Misfortune {
    /// It returned an error.
    Error(BoxError),
    /// It panicked, with these words.
    Panic(String),
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.what {
            Misfortune::Error(_) => write!(f, "{} failed", self.callback),
            Misfortune::Panic(words) => write!(f, "{} panicked: {words}", self.callback),
        }
    }
}

impl std::error::Error for Fault {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match &self.what {
            Misfortune::Error(error) => Some(&**error),
            Misfortune::Panic(_) => None,
        }
    }
}

/// An interceptor at work: takes notices in their order, keeps the state of each exchange, and calls back.
///
/// Neither an error nor a panic of the interceptor leaves it but as a [`Fault`].
pub struct Desk<I: Interceptor> {
    interceptor: I,
    interest: Interest,
    /// Behind pointers: a table that grows has room for twice as many.
    open: HashMap<ExchangeId, Box<I::State>>,
}

impl<I: Interceptor> fmt::Debug for Desk<I> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Desk").field("open", &self.open.len()).finish_non_exhaustive()
    }
}

impl<I: Interceptor> Desk<I> {
    /// Seats the interceptor, whose [`Interceptor::interest`] was asked before.
    pub fn new(interceptor: I, interest: Interest) -> Self {
        Self { interceptor, interest, open: HashMap::new() }
    }

    /// How many exchanges it follows.
    pub fn open(&self) -> usize {
        self.open.len()
    }

    /// Tells the interceptor what it wants to hear of `notice`.
    ///
    /// # Errors
    /// The [`Fault`] of the callback.
    pub fn take(&mut self, notice: &Notice) -> Result<(), Fault> {
        match notice {
            Notice::Exchange { exchange, elapsed, what } if self.interest.wants(what) => {
                self.exchange(Cx { exchange, elapsed: *elapsed }, what)
            }
            Notice::Exchange { .. } => Ok(()),
            Notice::SessionEnd(end) => {
                let Self { interceptor, .. } = self;
                guard("on_session_end", None, || interceptor.on_session_end(end))
            }
        }
    }

    /// A good moment for [`Interceptor::on_idle`].
    ///
    /// # Errors
    /// Its [`Fault`].
    pub fn idle(&mut self) -> Result<(), Fault> {
        let Self { interceptor, .. } = self;
        guard("on_idle", None, || interceptor.on_idle())
    }

    /// Nothing comes any more: [`Interceptor::on_shutdown`].
    ///
    /// # Errors
    /// Its [`Fault`]; where it had none, the first of dropping what was still open.
    pub fn shut_down(self) -> Result<(), Fault> {
        let Self { interceptor, open, .. } = self;
        let dropped = let_all_go(open);
        guard("on_shutdown", None, || interceptor.on_shutdown()).and(dropped)
    }

    /// It is not wanted any more: drops the interceptor and all its states, without [`Interceptor::on_shutdown`].
    ///
    /// # Errors
    /// The first [`Fault`] of dropping them.
    pub fn retire(self) -> Result<(), Fault> {
        let Self { interceptor, open, .. } = self;
        let_all_go(open).and(let_go(None, interceptor))
    }

    fn exchange(&mut self, cx: Cx<'_>, what: &What) -> Result<(), Fault> {
        let id = cx.exchange.id;
        let Self { interceptor, open, .. } = self;
        match what {
            What::RequestHead(head) => {
                let state = guard(what.callback(), Some(id), || interceptor.on_request_head(cx, head))?;
                match state.and_then(|state| open.insert(id, Box::new(state))) {
                    Some(earlier) => let_go(Some(id), earlier),
                    None => Ok(()),
                }
            }
            What::End(end) => {
                let Some(state) = open.remove(&id) else { return Ok(()) };
                guard(what.callback(), Some(id), || interceptor.on_end(cx, *state, end))
            }
            _ => self.between(cx, what),
        }
    }

    /// What comes between the head and the end.
    fn between(&mut self, cx: Cx<'_>, what: &What) -> Result<(), Fault> {
        let id = cx.exchange.id;
        let Self { interceptor, open, .. } = self;
        let Some(state) = open.get_mut(&id) else { return Ok(()) };
        let told = guard(what.callback(), Some(id), || match what {
            What::RequestChunk(chunk) => interceptor.on_request_chunk(cx, state, chunk),
            What::RequestEnd(end) => interceptor.on_request_end(cx, state, end),
            What::ResponseHead(head) => interceptor.on_response_head(cx, state, head),
            What::ResponseChunk(chunk) => interceptor.on_response_chunk(cx, state, chunk),
            What::Llm(event) => interceptor.on_llm(cx, state, event),
            What::Upgrade(upgrade) => interceptor.on_upgrade(cx, state, upgrade),
            What::UpgradedChunk(from, chunk) => interceptor.on_upgraded_chunk(cx, state, *from, chunk),
            What::Failure(failure) => interceptor.on_failure(cx, state, failure),
            What::RequestHead(_) | What::End(_) => Ok(()),
        });
        if let Err(Fault { what: Misfortune::Panic(_), .. }) = &told
            && let Some(state) = open.remove(&id)
        {
            // Nobody knows what the panic left in it. Dropping it may panic too, and one fault is told.
            let _ = let_go(Some(id), state);
        }
        told
    }
}

/// Drops every state, whatever becomes of the others, and tells the first fault.
fn let_all_go<S>(open: HashMap<ExchangeId, Box<S>>) -> Result<(), Fault> {
    let mut dropped = Ok(());
    for (id, state) in open {
        dropped = dropped.and(let_go(Some(id), state));
    }
    dropped
}

/// Drops something of the interceptor's, which may panic.
fn let_go<T>(exchange: Option<ExchangeId>, theirs: T) -> Result<(), Fault> {
    guard("drop", exchange, || {
        drop(theirs);
        Ok(())
    })
}

/// Calls back, and makes a fault of whatever goes wrong.
fn guard<T>(
    callback: &'static str,
    exchange: Option<ExchangeId>,
    call: impl FnOnce() -> Result<T>,
) -> Result<T, Fault> {
    // A state that was left half changed is dropped by the caller; what else an interceptor holds is its own, and it
    // is retired when it panics again and again.
    let what = match catch_unwind(AssertUnwindSafe(call)) {
        Ok(Ok(value)) => return Ok(value),
        Ok(Err(error)) => Misfortune::Error(error),
        Err(panic) => Misfortune::Panic(words_of(panic)),
    };
    Err(Fault { callback, exchange, what })
}

fn words_of(panic: Box<dyn Any + Send>) -> String {
    let panic = match panic.downcast::<String>() {
        Ok(words) => return *words,
        Err(panic) => panic,
    };
    if let Some(words) = panic.downcast_ref::<&str>() {
        return (*words).to_owned();
    }
    // It may be anything, and dropping it may panic once more, outside any guard. So it is leaked.
    std::mem::forget(panic);
    "something that is not text".to_owned()
}

#[cfg(test)]
mod tests;
