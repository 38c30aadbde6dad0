//! The contract between perimeter and those who watch its traffic.
//!
//! An [`Interceptor`] is told what passes, [`Exchange`] by exchange: heads, chunks and ends as they come, and as
//! [`LlmEvent`]s what they mean to the model's API. Credentials are masked before it is told anything.
//!
//! The feature `testing` adds what tests of interceptors need: scripted exchanges, and a compliance test.

use std::time::Duration;

use bytes::Bytes;

mod bill;
mod counter;
mod exchange;
pub mod host;
mod interest;
mod llm;
mod session;
mod stream;
#[cfg(feature = "testing")]
pub mod testing;
mod trace;

pub use bill::{Cost, CostSource, Usage, Usd};
pub use counter::Counter;
pub use exchange::{
    BodyEnd, End, Exchange, ExchangeId, Failure, Labels, Peer, RequestHead, ResponseHead, Unseen, Upgrade,
};
pub use interest::Interest;
pub use llm::{
    Answer, ApiFailure, Call, CallId, Completion, Delta, LlmEvent, Media, Operation, Part, Prefix, Role,
    Said, Tool, ToolResult, ToolUse, Turn,
};
pub use session::{Agent, Branch, Client, Relation, Session, SessionEnd};
pub use stream::{Gaps, Stall, Stream};
pub use trace::SpanContext;

/// Whatever an interceptor can fail with.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// What callbacks return, so that their authors can write `?`.
pub type Result<T = (), E = BoxError> = std::result::Result<T, E>;

/// Watches exchanges as they pass.
///
/// An interceptor runs on a thread of its own, beside the traffic. It may block; it may fail; nothing it does can
/// slow, change or break an exchange. What it cannot keep up with it does not see, and [`End::unseen`] says how much
/// that was. An error is logged with the interceptor's name and counted, and the next callback comes as if nothing
/// had happened. After a panic it hears no more of that exchange; after ten it is retired. Only what ends a process
/// ends the proxy: `exit`, `abort`, and a drop that panics while another panic unwinds.
///
/// # Order
///
/// For each exchange: [`on_request_head`](Self::on_request_head), then any of the others, then
/// [`on_end`](Self::on_end), last and exactly once. Chunks of the request come before its end, chunks of the response
/// after its head, bytes of another protocol after the upgrade. Exchanges are interleaved, and a response may begin
/// before the request's body has ended, or without its ever ending. What an exchange said is told before any exchange
/// that could be its effect begins.
pub trait Interceptor: Send + Sized + 'static {
    /// What it remembers of one exchange for as long as the exchange lasts.
    type State: 'static;

    /// Which notices it wants, besides those that everyone is told (see [`Interest`]). Asked once, when it is hired.
    fn interest(&self) -> Interest {
        Interest::ALL
    }

    /// What it counts of itself, for the proxy's `/metrics`. Asked once, when it is hired.
    fn counters(&self) -> Vec<Counter> {
        Vec::new()
    }

    /// A request arrived. Returns the state to follow its exchange with, or `None` to skip it.
    ///
    /// # Errors
    /// Anything; the exchange is skipped.
    fn on_request_head(&mut self, cx: Cx<'_>, head: &RequestHead) -> Result<Option<Self::State>>;

    /// A part of the request's body, as it came: not decoded, cut anywhere.
    ///
    /// # Errors
    /// Anything.
    fn on_request_chunk(&mut self, _cx: Cx<'_>, _state: &mut Self::State, _chunk: &Bytes) -> Result {
        Ok(())
    }

    /// The request's body is over.
    ///
    /// # Errors
    /// Anything.
    fn on_request_end(&mut self, _cx: Cx<'_>, _state: &mut Self::State, _end: &BodyEnd) -> Result {
        Ok(())
    }

    /// A response began: the provider's, or one of the proxy's own (see [`on_failure`](Self::on_failure)).
    ///
    /// # Errors
    /// Anything.
    fn on_response_head(&mut self, _cx: Cx<'_>, _state: &mut Self::State, _head: &ResponseHead) -> Result {
        Ok(())
    }

    /// A part of the response's body, as it came: not decoded, cut anywhere.
    ///
    /// # Errors
    /// Anything.
    fn on_response_chunk(&mut self, _cx: Cx<'_>, _state: &mut Self::State, _chunk: &Bytes) -> Result {
        Ok(())
    }

    /// What the bytes so far mean to the model's API. [`LlmEvent::Call`] always comes first.
    ///
    /// # Errors
    /// Anything.
    fn on_llm(&mut self, _cx: Cx<'_>, _state: &mut Self::State, _event: &LlmEvent) -> Result {
        Ok(())
    }

    /// The connection stopped speaking HTTP; [`on_upgraded_chunk`](Self::on_upgraded_chunk) follows.
    ///
    /// # Errors
    /// Anything.
    fn on_upgrade(&mut self, _cx: Cx<'_>, _state: &mut Self::State, _upgrade: &Upgrade) -> Result {
        Ok(())
    }

    /// Bytes of the protocol that was upgraded to, cut anywhere.
    ///
    /// # Errors
    /// Anything.
    fn on_upgraded_chunk(
        &mut self,
        _cx: Cx<'_>,
        _state: &mut Self::State,
        _from: Peer,
        _chunk: &Bytes,
    ) -> Result {
        Ok(())
    }

    /// No provider answered: the response, if one follows, is the proxy's own. `on_end` still follows.
    ///
    /// # Errors
    /// Anything.
    fn on_failure(&mut self, _cx: Cx<'_>, _state: &mut Self::State, _failure: &Failure) -> Result {
        Ok(())
    }

    /// The exchange is over. It takes the state: nothing can come after.
    ///
    /// # Errors
    /// Anything.
    fn on_end(&mut self, _cx: Cx<'_>, _state: Self::State, _end: &End) -> Result {
        Ok(())
    }

    /// A session has been quiet for long enough to be over.
    ///
    /// # Errors
    /// Anything.
    fn on_session_end(&mut self, _session: &SessionEnd) -> Result {
        Ok(())
    }

    /// A good moment to write out what was held back: nothing waits, or 250 ms have passed since the last one; one
    /// second, where nothing has come for ten.
    ///
    /// # Errors
    /// Anything.
    fn on_idle(&mut self) -> Result {
        Ok(())
    }

    /// The proxy is stopping, and every exchange has ended.
    ///
    /// # Errors
    /// Anything.
    fn on_shutdown(self) -> Result {
        Ok(())
    }
}

/// Where a callback stands: in which exchange, and how long after its request head had been read.
#[derive(Clone, Copy, Debug)]
pub struct Cx<'a> {
    /// The exchange.
    pub exchange: &'a Exchange,
    /// The time from its beginning to what is told.
    pub elapsed: Duration,
}
