//! A transparent reverse proxy for LLM APIs.
pub mod app;
pub mod body;
pub mod cli;
pub mod config;
pub mod registry;
