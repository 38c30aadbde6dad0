//! Prints what passes through perimeter, for a person to see scroll by.
//!
//! A call to a model is a block of lines, written when it is over and never interleaved with another; any other
//! exchange is one line:
//!
//! ```text
//! 14:03:07  200   1.24s  gpt-4o-mini  1204 in (1024 cached)  87 out  ttft 312ms  POST /v1/chat/completions
//!         › What is the weather in Paris?
//!         → get_weather {"city":"Paris"}
//! 14:03:09  200    12ms  GET /v1/models
//! ```
//!
//! `›` the user, `←` a tool's result, `‹` the model, `→` a tool that it asks for, `~` its thinking, `§` the system
//! prompt, `+` what is not text, `#` a session, `!` what is worth knowing, `✗` what went wrong. The time is when the
//! request came.
//!
//! Nothing of the traffic can move the cursor or change a colour: control characters are shown, not sent. Keys, tokens
//! and passwords in it are masked: what is printed is often kept.

use std::io::{self, BufWriter, Stdout, Write};

use perimeter_interceptor::{
    BoxError, Cx, End, Failure, Interceptor, Interest, LlmEvent, RequestHead, ResponseHead, Result, Upgrade,
};

mod block;
mod call;
mod errand;
mod exchange;
mod head;
mod json;
mod look;
pub mod measure;
mod paint;
mod problem;
mod redaction;
mod settings;
mod stream;
pub mod text;
mod tools;

use call::{Keep, Shown};
use exchange::Following;
pub use look::Look;
pub use settings::{Format, Settings};
use tools::Tools;

/// Nobody reads what is printed any more.
#[derive(Debug, thiserror::Error)]
#[error("the output was closed; nothing more is printed")]
pub struct Closed(#[source] io::Error);

/// The interceptor: prints calls and exchanges as they end.
#[derive(Debug)]
pub struct Printer<W: Write = Stdout> {
    settings: Settings,
    look: Look,
    keep: Keep,
    /// What tools are called whose answers are still to come.
    tools: Tools,
    /// `None` once nobody reads it.
    out: Option<BufWriter<W>>,
}

impl Printer {
    /// Prints to standard output.
    ///
    /// # Errors
    /// None yet.
    pub fn new(settings: Settings) -> Result<Self, BoxError> {
        Ok(Self::to(io::stdout(), Look::of_stdout(), settings))
    }
}

impl<W: Write> Printer<W> {
    /// Prints to `out`, which looks like `look`.
    pub fn to(out: W, look: Look, settings: Settings) -> Self {
        let keep = Keep::of(&settings);
        Self { settings, look, keep, tools: Tools::default(), out: Some(BufWriter::new(out)) }
    }

    /// Prints a call, or an exchange that has none, in one piece.
    fn print(&mut self, cx: Cx<'_>, exchange: &Following, call: Option<&Shown>) -> Result {
        let Self { settings, look, .. } = self;
        let block = match settings.format {
            Format::Json => json::line(settings, cx, exchange, call)?,
            Format::Compact | Format::Full => block::block(settings, look, cx, exchange, call),
        };
        self.write(|out| out.write_all(block.as_bytes()))
    }

    fn flush(&mut self) -> Result {
        self.write(|out| out.flush())
    }

    /// Writes, and lets go of what could not be written: it would fail again with every block that follows.
    fn write(&mut self, write: impl FnOnce(&mut BufWriter<W>) -> io::Result<()>) -> Result {
        let Some(mut out) = self.out.take() else { return Ok(()) };
        match write(&mut out) {
            Ok(()) => {
                self.out = Some(out);
                Ok(())
            }
            Err(error) => {
                // Not dropped with its buffer: that would write it.
                let (out, _) = out.into_parts();
                if error.kind() == io::ErrorKind::BrokenPipe {
                    return Err(Closed(error).into());
                }
                self.out = Some(BufWriter::new(out));
                Err(error.into())
            }
        }
    }
}

impl<W: Write + Send + 'static> Interceptor for Printer<W> {
    type State = Following;

    fn interest(&self) -> Interest {
        Interest::LLM
    }

    fn on_request_head(&mut self, _: Cx<'_>, head: &RequestHead) -> Result<Option<Following>> {
        Ok(self.out.is_some().then(|| Following::new(head, self.keep)))
    }

    fn on_response_head(&mut self, _: Cx<'_>, exchange: &mut Following, head: &ResponseHead) -> Result {
        exchange.status = Some(head.status.as_u16());
        Ok(())
    }

    fn on_llm(&mut self, cx: Cx<'_>, exchange: &mut Following, event: &LlmEvent) -> Result {
        match exchange.hear(cx, event, self.keep, &mut self.tools) {
            Some(mut call) => {
                call.settle(self.keep);
                self.print(cx, exchange, Some(&call))
            }
            None => Ok(()),
        }
    }

    fn on_upgrade(&mut self, _: Cx<'_>, exchange: &mut Following, upgrade: &Upgrade) -> Result {
        exchange.upgrade = Some(upgrade.protocol.clone());
        Ok(())
    }

    fn on_failure(&mut self, _: Cx<'_>, exchange: &mut Following, failure: &Failure) -> Result {
        exchange.failure = Some(failure.clone());
        Ok(())
    }

    fn on_end(&mut self, cx: Cx<'_>, mut exchange: Following, end: &End) -> Result {
        exchange.end = Some(end.clone());
        let mut calls = std::mem::take(&mut exchange.calls);
        for call in &mut calls {
            call.settle(self.keep);
            self.print(cx, &exchange, Some(call))?;
        }
        if exchange.had == 0 || exchange.upgrade.is_some() {
            self.print(cx, &exchange, None)?;
        }
        Ok(())
    }

    fn on_idle(&mut self) -> Result {
        self.flush()
    }

    fn on_shutdown(mut self) -> Result {
        self.flush()
    }
}
