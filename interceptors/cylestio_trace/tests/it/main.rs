//! What it promises, against a platform on real sockets that does as it is told.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod delivery;
mod hostile;
mod platform;
mod scene;
mod token;
mod wire;
