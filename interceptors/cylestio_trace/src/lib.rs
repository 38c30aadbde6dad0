//! Sends the events of sessions to the Cylestio platform.
//!
//! The events are those of `event_recorder`; this is another end of them.

mod settings;

pub use settings::Settings;
