//! Interceptors that write down what passes.
//!
//! - [`MessageLogger`]: requests and responses of the models' APIs, one JSON object a line.
//! - [`EventRecorder`]: what happens in sessions, as [`events`], a file a session.
//! - [`TestRecorder`]: the same in memory, for tests.
//!
//! Lines are written whole or not at all, whatever becomes of the disk, and secrets in them are replaced first
//! ([`perimeter_redact`]). Other interceptors that write [`lines`] do it with what is here.

mod ending;
pub mod event_recorder;
pub mod events;
mod file;
mod history;
pub mod line;
pub mod lines;
mod marks;
mod members;
pub mod message_logger;
mod quoted;
mod scan;
pub mod test_recorder;
pub mod time;

pub use event_recorder::EventRecorder;
pub use file::OpenError;
pub use lines::{Lost, WriteError};
pub use message_logger::MessageLogger;
pub use test_recorder::TestRecorder;
