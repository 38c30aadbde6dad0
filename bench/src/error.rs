//! What can end a measurement.

use std::io;
use std::path::PathBuf;

/// Why the bench stopped. A figure taken from wrong answers is worth nothing, so every error ends the run.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error("{doing}: {source}")]
    Io { doing: String, source: io::Error },
    #[error("a wrong answer: {0}")]
    Wrong(String),
    #[error("nothing arrived for {0} s")]
    Stalled(u64),
    /// What it said may be nothing.
    #[error("{name} did not start: {why}\n{said}")]
    NotStarted { name: String, why: String, said: String },
    #[error(
        "no perimeter at {}; build it with `cargo build --release`, or say where it is with --perimeter PATH, \
         or leave it out with --targets floor,nginx,haproxy",
        .0.display()
    )]
    NoPerimeter(PathBuf),
    #[error("{0}")]
    Usage(String),
    #[error("while {target} ran {workload}: {source}\n{target} says:\n{said}")]
    Cell { target: &'static str, workload: &'static str, source: Box<Error>, said: String },
    #[error("interrupted")]
    Interrupted,
}

/// Adds what was being done to an input or output error.
pub(crate) trait Doing<T> {
    fn doing(self, what: impl Into<String>) -> Result<T, Error>;
}

impl<T, E: Into<io::Error>> Doing<T> for Result<T, E> {
    fn doing(self, what: impl Into<String>) -> Result<T, Error> {
        self.map_err(|error| Error::Io { doing: what.into(), source: error.into() })
    }
}
