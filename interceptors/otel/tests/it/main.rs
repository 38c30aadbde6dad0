//! What it promises.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

#[expect(dead_code, reason = "deliveries are tested where their parts can be seen, and need more of it")]
mod collector;
mod content;
mod delivery;
mod instruments;
mod spans;
