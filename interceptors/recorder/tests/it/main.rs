//! The promises of the recorders, on real files, driven as the proxy drives them.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

mod compliance;
mod message_lines;
mod system_prompts;

mod event_files;
mod event_order;
mod event_schema;
mod events;

mod files;
mod settings;

mod crash;
mod full_disk;
