//! perimeter with an interceptor that takes its time: what it does to the traffic should be nothing.

use std::ffi::OsString;
use std::process::ExitCode;
use std::thread;
use std::time::Duration;

use bytes::Bytes;
use perimeter::interceptor::{BodyEnd, Cx, End, Interceptor, LlmEvent, RequestHead, ResponseHead, Result};
use perimeter::registry::Registry;
use serde::Deserialize;

/// Its name in a configuration.
pub(crate) const KIND: &str = "sleeper";

/// What stands under `config`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Settings {
    /// How long each callback sleeps, milliseconds.
    pause_ms: u64,
}

/// perimeter's own command line, with the interceptor among those that a configuration may name.
pub(crate) fn run(arguments: Vec<OsString>) -> ExitCode {
    let mut registry = Registry::built_in();
    registry.register(KIND, |settings: Settings| {
        Ok::<_, std::convert::Infallible>(Sleeper { pause: Duration::from_millis(settings.pause_ms) })
    });
    perimeter::cli::main_with([OsString::from("perimeter")].into_iter().chain(arguments), &registry, None)
}

/// Wants to hear everything, and sleeps over all it hears.
struct Sleeper {
    pause: Duration,
}

impl Sleeper {
    fn sleep(&self) -> Result {
        if !self.pause.is_zero() {
            thread::sleep(self.pause);
        }
        Ok(())
    }
}

impl Interceptor for Sleeper {
    type State = ();

    fn on_request_head(&mut self, _: Cx<'_>, _: &RequestHead) -> Result<Option<()>> {
        self.sleep()?;
        Ok(Some(()))
    }

    fn on_request_chunk(&mut self, _: Cx<'_>, (): &mut (), _: &Bytes) -> Result {
        self.sleep()
    }

    fn on_request_end(&mut self, _: Cx<'_>, (): &mut (), _: &BodyEnd) -> Result {
        self.sleep()
    }

    fn on_response_head(&mut self, _: Cx<'_>, (): &mut (), _: &ResponseHead) -> Result {
        self.sleep()
    }

    fn on_response_chunk(&mut self, _: Cx<'_>, (): &mut (), _: &Bytes) -> Result {
        self.sleep()
    }

    fn on_llm(&mut self, _: Cx<'_>, (): &mut (), _: &LlmEvent) -> Result {
        self.sleep()
    }

    fn on_end(&mut self, _: Cx<'_>, (): (), _: &End) -> Result {
        self.sleep()
    }
}
