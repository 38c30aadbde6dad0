//! perimeter: a transparent reverse proxy for LLM APIs. What an app says to its provider passes unchanged, chunk by
//! chunk, and is seen on the way.
//!
//! In reading order: [`cli`] reads the command line and [`config`] the file; [`app`] wires everything and runs it;
//! `proxy` is the path of an exchange, [`upstream`] where it goes; [`body`] is what passes; `error` what a client
//! gets where nobody answered; `admin`, `metrics` and `logging` say how it goes. ARCHITECTURE.md has the map.
//!
//! # A proxy of your own
//!
//! A program with its own interceptors registers them and hands over to [`cli::main`]: the whole command line is there,
//! and a configuration may name them. What they are made of is [`interceptor`], the crate `perimeter-interceptor` under
//! another name; its feature `testing` has what their tests need.
//!
//! ```no_run
//! use std::process::ExitCode;
//!
//! use perimeter::interceptor::{Cx, End, Interceptor, RequestHead, Result};
//! use perimeter::registry::Registry;
//! use serde::Deserialize;
//!
//! /// What stands under `config` where a configuration hires it.
//! #[derive(Deserialize)]
//! #[serde(deny_unknown_fields)]
//! struct Settings {}
//!
//! /// Counts exchanges.
//! struct Counter(u64);
//!
//! impl Interceptor for Counter {
//!     type State = ();
//!
//!     fn on_request_head(&mut self, _: Cx<'_>, _: &RequestHead) -> Result<Option<()>> {
//!         Ok(Some(()))
//!     }
//!
//!     fn on_end(&mut self, _: Cx<'_>, (): (), _: &End) -> Result {
//!         self.0 += 1;
//!         Ok(())
//!     }
//! }
//!
//! fn main() -> ExitCode {
//!     let mut registry = Registry::built_in();
//!     registry.register("counter", |_: Settings| Ok::<_, std::io::Error>(Counter(0)));
//!     perimeter::cli::main(&registry, None)
//! }
//! ```
//!
//! An [`upstream::Upstream`] of its own answers in place of a provider. Both are there in full in `examples/`.
//!
//! With [`allocator::Allocator`] as its `#[global_allocator]` it uses memory as `perimeter` does; any other will do.

mod admin;
pub mod allocator;
mod api;
pub mod app;
mod bell;
pub mod body;
mod caller;
pub mod cli;
pub mod config;
mod crew;
mod dialect;
mod error;
#[cfg(test)]
mod fuzz;
mod journal;
mod logging;
#[doc(hidden)]
pub mod measure;
mod memory;
mod metrics;
mod pages;
#[cfg_attr(not(target_os = "linux"), path = "pipe/none.rs")]
mod pipe;
mod prices;
mod priority;
mod proxy;
mod queue;
mod raw_head;
pub mod registry;
mod scribe;
mod socket;
mod state;
pub mod upstream;
mod weight;
mod workflow;

pub use perimeter_interceptor as interceptor;
