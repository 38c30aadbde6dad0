//! The printer as its readers see it.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod output;
mod properties;
mod scene;
mod secrets;
mod snapshots;
