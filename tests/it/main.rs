//! The promises of perimeter, driven through the built binary on real sockets.
//!
//! One module a subject, one test a promise. A test holds both ends in its own hands: it writes bytes as the
//! client and reads them as the provider, so that what happens before what is the order of its lines. Nothing
//! sleeps to be right, and no HTTP library stands on either side.
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

mod support;

#[expect(dead_code, reason = "the scribe's own tests need more of it")]
#[path = "../corpus/corpus.rs"]
mod corpus;

mod random;
mod transparency;

mod bodies;
mod streaming;

mod aborts;
mod egress;
mod expect;
mod failures;
mod keys;
mod limits;
mod live_sessions;
mod sending_once;
mod upgrade;

mod access_line;
mod admin;
mod load;
mod starting;
mod stopping;

mod cli;
mod config;
mod examples;
mod logging;
mod metrics;
mod otel;
mod prices;

mod watching;

mod sessions;

mod bridges;
