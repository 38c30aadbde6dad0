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
#[derive(Clone, Debug)]
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
#[derive(Clone, Debug)]
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
    open: HashMap<ExchangeId, I::State>,
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
    /// Its [`Fault`].
    pub fn shut_down(self) -> Result<(), Fault> {
        let Self { interceptor, open, .. } = self;
        let states = guard("drop", None, || {
            drop(open);
            Ok(())
        });
        guard("on_shutdown", None, || interceptor.on_shutdown()).and(states)
    }

    fn exchange(&mut self, cx: Cx<'_>, what: &What) -> Result<(), Fault> {
        let id = cx.exchange.id;
        let Self { interceptor, open, .. } = self;
        if let What::RequestHead(head) = what {
            let state = guard("on_request_head", Some(id), || interceptor.on_request_head(cx, head))?;
            if let Some(state) = state {
                open.insert(id, state);
            }
            return Ok(());
        }
        if let What::End(end) = what {
            let Some(state) = open.remove(&id) else { return Ok(()) };
            return guard("on_end", Some(id), || interceptor.on_end(cx, state, end));
        }
        let Some(state) = open.get_mut(&id) else { return Ok(()) };
        let told = match what {
            What::RequestChunk(chunk) => {
                guard("on_request_chunk", Some(id), || interceptor.on_request_chunk(cx, state, chunk))
            }
            What::RequestEnd(end) => {
                guard("on_request_end", Some(id), || interceptor.on_request_end(cx, state, end))
            }
            What::ResponseHead(head) => {
                guard("on_response_head", Some(id), || interceptor.on_response_head(cx, state, head))
            }
            What::ResponseChunk(chunk) => {
                guard("on_response_chunk", Some(id), || interceptor.on_response_chunk(cx, state, chunk))
            }
            What::Llm(event) => guard("on_llm", Some(id), || interceptor.on_llm(cx, state, event)),
            What::Upgrade(upgrade) => {
                guard("on_upgrade", Some(id), || interceptor.on_upgrade(cx, state, upgrade))
            }
            What::UpgradedChunk(from, chunk) => guard("on_upgraded_chunk", Some(id), || {
                interceptor.on_upgraded_chunk(cx, state, *from, chunk)
            }),
            What::Failure(failure) => {
                guard("on_failure", Some(id), || interceptor.on_failure(cx, state, failure))
            }
            What::RequestHead(_) | What::End(_) => Ok(()),
        };
        if let Err(Fault { what: Misfortune::Panic(_), .. }) = &told {
            // Nobody knows what the panic left in it. Dropping it may panic too, and one fault is told.
            let state = open.remove(&id);
            let _ = guard("drop", Some(id), || {
                drop(state);
                Ok(())
            });
        }
        told
    }
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
    let words = match panic.downcast::<String>() {
        Ok(words) => return *words,
        Err(panic) => panic.downcast_ref::<&str>().map(|words| (*words).to_owned()),
    };
    words.unwrap_or_else(|| "something that is not text".to_owned())
}
