//! perimeter: a transparent reverse proxy for LLM APIs. What an app says to its provider passes unchanged, chunk by
//! chunk, and is seen on the way.
//!
//! In reading order: [`cli`] reads the command line and [`config`] the file; [`app`] wires everything and runs it;
//! `proxy` is the path of an exchange, [`upstream`] where it goes; [`body`] is what passes; `error` what a client
//! gets where nobody answered; `admin`, `metrics` and `logging` say how it goes. ARCHITECTURE.md has the map.

mod admin;
pub mod app;
pub mod body;
mod caller;
pub mod cli;
pub mod config;
mod crew;
mod dialect;
mod error;
mod journal;
mod logging;
#[doc(hidden)]
pub mod measure;
mod memory;
mod metrics;
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
