//! Tests of interceptors: scripted exchanges, played through the very callbacks that the proxy makes.
//!
//! A [`Scene`] is one exchange, ready-made (in [`scenes`]) or written step by step; a [`Script`] puts several in an
//! order; [`play`] tells them to an interceptor; [`comply`] plays whatever an interceptor has to withstand. It all
//! happens on the calling thread, without network or clock, the same every time.
//!
//! [`play`] takes the interceptor, as the proxy does: it ends with
//! [`on_shutdown`](crate::Interceptor::on_shutdown). To look at what it did, let it write into something that the test
//! holds too, as it would outside of a test: a writer (here an [`Output`]), a channel, an `Arc<Mutex<…>>`, a file.
//!
//! Whoever tells interceptors (a proxy, a player of recordings) hires a [`Recorder`] and holds what it was told against
//! [`assert_legal`].
//!
//! The feature `testing` brings this module:
//!
//! ```toml
//! [dev-dependencies]
//! perimeter-interceptor = { path = "…/perimeter/interceptors/api", features = ["testing"] }
//! ```
//!
//! A small interceptor and its whole test:
//!
//! ```
//! use std::io::Write;
//!
//! use perimeter_interceptor::testing::{Output, Scene, Script, comply, play, scenes};
//! use perimeter_interceptor::{Cx, End, Interceptor, Interest, LlmEvent, RequestHead, Result, Usage};
//!
//! /// Writes down what each call cost, in tokens.
//! struct Costs<W> {
//!     to: W,
//! }
//!
//! impl<W: Write + Send + 'static> Interceptor for Costs<W> {
//!     type State = u64;
//!
//!     fn interest(&self) -> Interest {
//!         Interest::LLM
//!     }
//!
//!     fn on_request_head(&mut self, _: Cx<'_>, _: &RequestHead) -> Result<Option<u64>> {
//!         Ok(Some(0))
//!     }
//!
//!     fn on_llm(&mut self, _: Cx<'_>, cost: &mut u64, event: &LlmEvent) -> Result {
//!         if let LlmEvent::Completion(completion) = event {
//!             let usage = completion.usage.unwrap_or_default();
//!             *cost = cost.saturating_add(usage.input).saturating_add(usage.output);
//!         }
//!         Ok(())
//!     }
//!
//!     fn on_end(&mut self, _: Cx<'_>, cost: u64, end: &End) -> Result {
//!         let about = if end.unseen.total() == 0 { "" } else { "at least " };
//!         Ok(writeln!(self.to, "{about}{cost} tokens")?)
//!     }
//!
//!     fn on_shutdown(mut self) -> Result {
//!         Ok(self.to.flush()?)
//!     }
//! }
//!
//! // It holds what every interceptor must hold, whatever passes.
//! comply(|| Costs { to: std::io::sink() });
//!
//! // And it does what it is for.
//! let output = Output::new();
//! let script = Script::new()
//!     .scene(
//!         Scene::post("/v1/chat/completions")
//!             .asks("gpt-4.1-mini", "Hello")
//!             .response(200)
//!             .says("Hi ")
//!             .says("there")
//!             .answers("Hi there", Usage::new(9, 2)),
//!     )
//!     .scene(scenes::truncated_response());
//! play(Costs { to: output.clone() }, script).assert_faultless();
//! assert_eq!(output.text(), "11 tokens\nat least 0 tokens\n");
//! ```

use std::collections::BTreeMap;
use std::error::Error;
use std::fmt;
use std::fmt::Write as _;

use crate::host::{Desk, Fault, Misfortune};
use crate::{ExchangeId, Interceptor};

mod legal;
mod output;
mod recorder;
mod scene;
pub mod scenes;
mod script;
mod talk;

pub use legal::{assert_legal, breaches};
pub use output::Output;
pub use recorder::Recorder;
pub use scene::Scene;
pub use script::Script;

use script::Step;

/// Tells the interceptor everything in this script, as the proxy would: what it is interested in, in order, with
/// [`on_idle`](Interceptor::on_idle) in between and [`on_shutdown`](Interceptor::on_shutdown) at the end.
///
/// Its errors and panics are kept, and the play goes on. What a panic prints to the standard error is printed.
///
/// # Panics
/// Where the script tells what no proxy would: see [`assert_legal`].
#[track_caller]
pub fn play<I: Interceptor>(interceptor: I, script: impl Into<Script>) -> Played {
    let script = script.into();
    assert_legal(&script.notices());
    let interest = interceptor.interest();
    let mut desk = Desk::new(interceptor, interest);
    let mut played = Played::default();
    for step in &script.steps {
        let before = desk.open();
        let done = match step {
            Step::Tell(notice) => desk.take(notice),
            Step::Idle => desk.idle(),
        };
        played.followed += usize::from(desk.open() > before);
        played.faults.extend(done.err());
    }
    assert_eq!(desk.open(), 0, "every exchange has ended, and every state is gone");
    played.faults.extend(desk.shut_down().err());
    played.names = script.into_names();
    played
}

/// How an interceptor took a script.
#[derive(Debug, Default)]
#[must_use = "its faults are in here"]
#[non_exhaustive]
pub struct Played {
    /// What went wrong, in order.
    pub faults: Vec<Fault>,
    /// How many exchanges it followed; the others it skipped.
    pub followed: usize,
    names: BTreeMap<ExchangeId, String>,
}

impl Played {
    /// Panics if any callback returned an error or panicked.
    ///
    /// # Panics
    /// With every fault.
    #[track_caller]
    pub fn assert_faultless(&self) {
        assert!(self.faults.is_empty(), "{} faults:{self}", self.faults.len());
    }

    /// Panics if any callback panicked. Errors pass: to fail is allowed.
    ///
    /// # Panics
    /// With every fault.
    #[track_caller]
    pub fn assert_no_panics(&self) {
        let panicked = self.faults.iter().any(|fault| matches!(fault.what, Misfortune::Panic(_)));
        assert!(!panicked, "{} faults, and not only errors:{self}", self.faults.len());
    }

    /// The name of the scene that a fault is of.
    pub fn scene_of(&self, fault: &Fault) -> Option<&str> {
        fault.exchange.and_then(|exchange| self.names.get(&exchange)).map(String::as_str)
    }
}

/// Every fault on a line of its own, each after a line break.
impl fmt::Display for Played {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.faults.iter().try_for_each(|fault| {
            let scene =
                self.scene_of(fault).map(|name| format!(" in the scene \"{name}\"")).unwrap_or_default();
            write!(f, "\n  {}{scene}", in_full(fault))
        })
    }
}

/// Plays everything that an interceptor has to withstand, and panics if it fails or panics anywhere: each of
/// [`scenes::all`] alone; each cut short after every one of its notices; all of them together; all of them in orders
/// as different as chance makes them, the same every time; and nothing at all.
///
/// `make` makes an interceptor for each of these. It should be one in working order (its disk has room, its database
/// is there), since an error is a fault here.
///
/// # Panics
/// With what went wrong, in which callback, in which scene, each kind once.
#[track_caller]
pub fn comply<I: Interceptor>(mut make: impl FnMut() -> I) {
    let mut kinds = BTreeMap::new();
    let mut count = 0;
    for (setting, script) in trials() {
        let played = play(make(), script);
        count += played.faults.len();
        for fault in &played.faults {
            let scene = played.scene_of(fault).map(|name| format!("\"{name}\", ")).unwrap_or_default();
            kinds.entry(in_full(fault)).or_insert_with(|| format!("{scene}{setting}"));
        }
    }
    let kinds = kinds.iter().fold(String::new(), |mut told, (fault, place)| {
        let _ = write!(told, "\n  {fault} (first in: {place})");
        told
    });
    assert!(count == 0, "the interceptor does not hold what it must, {count} times:{kinds}");
}

/// What [`comply`] plays.
fn trials() -> Vec<(String, Script)> {
    let scenes = scenes::all();
    let mut trials = vec![("nothing at all".to_owned(), Script::new())];
    for scene in &scenes {
        trials.push(("alone".to_owned(), Script::from(scene.clone())));
        let cuts = (1..scene.len()).map(|notices| scene.cut_short(notices));
        trials.push(("one cut after another".to_owned(), cuts.collect()));
    }
    trials.push(("all together".to_owned(), Script::new().together(scenes.clone())));
    for seed in 0..32 {
        let script = Script::new().shuffled(seed, scenes.clone());
        trials.push((format!("all in the order of seed {seed}"), script));
    }
    trials
}

/// A fault and what caused it.
fn in_full(fault: &Fault) -> String {
    let mut told = fault.to_string();
    let mut cause = fault.source();
    while let Some(error) = cause {
        let _ = write!(told, ": {error}");
        cause = error.source();
    }
    told
}
