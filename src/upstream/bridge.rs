//! Bridges: upstreams inside this process, for backends that speak no provider's API.
//!
//! A request comes in at a *door* (`door/`: Chat Completions, Responses, Messages, Completions), which reads it into an
//! `Ask`. A *backend* (`stackspot/`, `claude_code/`) answers with `Event`s: blocks, one after the other. The door
//! writes them in its own words, as they come or as a whole. What lies between is the same for all: `serve` (the way of
//! a request), `queue` (whose turn it is), `model` (who can be asked), `failure` (what goes wrong, in which words).
//!
//! Nothing outside of this folder knows of it but `app`, which starts it, and the configuration, which names it.

use std::pin::Pin;
use std::sync::Arc;

use http::{Request, Response};
use tokio_util::task::TaskTracker;

use crate::body::Body;
use crate::config::{Config, Lookup};
use crate::metrics::Metrics;
use crate::upstream::Caller;

mod ask;
pub mod claude_code;
mod cut;
mod door;
mod event;
mod failure;
mod home;
mod model;
mod queue;
mod ready;
mod serve;
mod settings;
pub mod stackspot;
mod tools;

pub(crate) use ask::Ask;
pub(crate) use event::Out;
pub(crate) use failure::{Failure, Kind};
pub(crate) use home::{Home, HomeError, check};
pub(crate) use model::{Model, Models};
pub(crate) use ready::IsReady;
pub use settings::Settings;
pub use tools::Style;

/// A future that somebody else polls.
pub(crate) type Later<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// What a bridge translates to.
pub(crate) trait Backend: Send + Sync + 'static {
    /// Its name, as `llm.type` and `x-bridge` have it.
    fn name(&self) -> &'static str;

    /// Answers in progress at once, where `llm.bridge.concurrency` does not say.
    fn places(&self) -> usize;

    /// Whom one can ask here.
    fn models(&self) -> &Models;

    /// Looks at `ask` before it waits for its turn: refuses what cannot be done here for `model`, and notes in
    /// [`Ask::warnings`] what has no effect. With `lenient`, what would be refused only because it cannot be
    /// honoured is noted, too.
    ///
    /// # Errors
    /// What the client is told.
    fn check(&self, ask: &mut Ask, model: &Model, lenient: bool) -> Result<(), Failure>;

    /// Answers `ask` at `out`, and is done when the future is. Dropped, it ends whatever it has begun, within a
    /// second; it may be dropped once it has said [`Event::Done`](event::Event::Done). An error before the first block
    /// is the response's status.
    fn answer(self: Arc<Self>, ask: Ask, out: Out) -> Later<Result<(), Failure>>;

    /// How many tokens `ask` would read, and whether that is a guess.
    fn count(self: Arc<Self>, ask: Ask) -> Later<Result<Count, Failure>>;

    /// Answers a request for a path that is this backend's own; gives it back if it is not. The path is looked at
    /// before any door.
    fn own(self: Arc<Self>, request: Request<Body>, _caller: Caller) -> Own {
        Own::Not(Box::new(request))
    }

    /// Whether it could answer now, and if not, what to do about it.
    fn readiness(self: Arc<Self>) -> Later<Readiness>;

    /// The proxy stops: what still runs when the future is done is left to itself. Answers in progress have been given
    /// up by then.
    fn stop(self: Arc<Self>) -> Later<()> {
        Box::pin(std::future::ready(()))
    }
}

/// What became of a request that may be a backend's own.
pub(crate) enum Own {
    /// It is.
    Answer(Later<Response<Body>>),
    /// It is not.
    Not(Box<Request<Body>>),
}

/// Tokens of an input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Count {
    /// How many.
    pub tokens: u64,
    /// Whether nobody counted them.
    pub estimated: bool,
}

/// Whether a backend could answer.
#[derive(Clone, Debug)]
pub(crate) struct Readiness {
    /// Whether it could.
    pub ready: bool,
    /// What is missing and what to do about it, in a sentence. Empty where nothing is.
    pub missing: String,
    /// What was found out: versions, accounts, models. No secrets.
    pub detail: serde_json::Value,
}

/// What a backend is made of.
pub(crate) struct Setup<'a> {
    /// The configuration; `llm` and `state_dir` are of interest here.
    pub config: &'a Config,
    /// The environment: what the configuration leaves out.
    pub environment: Lookup<'a>,
    /// Where tasks run that outlive an answer. They end when the proxy stops.
    pub tasks: TaskTracker,
    /// What connections of a backend's own are counted in.
    pub metrics: Arc<Metrics>,
}

/// Why a bridge cannot start: something of the configuration is missing, or is of no use.
#[derive(Debug, thiserror::Error)]
#[error("{key}: {message}")]
pub struct BridgeError {
    key: String,
    message: String,
}

impl BridgeError {
    /// The value of `key` is the reason. `message` says what would be right.
    pub(crate) fn new(key: impl Into<String>, message: impl Into<String>) -> Self {
        Self { key: key.into(), message: message.into() }
    }
}
