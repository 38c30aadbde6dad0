//! Real clients, straight to a scripted provider and through the proxy: they must not be able to tell
//! the difference, and neither must the provider.
//!
//! Every test here runs one client twice against the same provider and compares two things: what the
//! client made of it (its transcript) and what arrived at the provider (each request line, the header
//! lines in order and with their case, the body, the trailers). What is not compared is listed in
//! `compare.rs`, with the reason. Where a stream is concerned the provider holds piece n + 1 back until
//! the client has said, past the proxy, that it has seen piece n.
//!
//! The proxy runs with the printer and the message logger on. When it has stopped, `watched.rs` holds what they tell
//! against what the provider has seen and said: every call once in the log, request and answer as they were, and every
//! exchange printed once.
//!
//! The clients are installed by `./test.sh` into `.clients/`.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod agent;
mod bridged_agent;
mod bridged_cli;
mod bridges;
mod compare;
mod curl;
mod gemini;
mod perimeter;
mod process;
mod provider;
mod said;
mod sdks;
mod sessions;
mod traces;
mod watched;
mod websockets;
