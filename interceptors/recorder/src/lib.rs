//! Interceptors that write what passes to files.
//!
//! - [`MessageLogger`]: requests and responses of the models' APIs, one JSON object a line.
//!
//! Lines are written whole or not at all, whatever becomes of the disk, and secrets in them are replaced first
//! ([`perimeter_redact`]).

mod file;
mod lines;
pub mod message_logger;
mod size;

pub use file::OpenError;
pub use lines::{Lost, WriteError};
pub use message_logger::MessageLogger;
