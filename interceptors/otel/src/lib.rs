//! Tells OpenTelemetry backends of what passes: traces, logs and metrics by the conventions for generative AI, over OTLP.
//!
//! Notices become `Finished` calls; those become spans (`spans`), log records (`logs`) and metrics
//! (`instruments`), which is pure: no clock, no I/O. `send` batches what they are told, and delivers it on a thread of its
//! own.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use opentelemetry_proto::tonic::trace::v1::Span;
use perimeter_interceptor::{
    Counter, Cx, End, Failure, Interceptor, Interest, LlmEvent, RequestHead, ResponseHead, Result,
    SessionEnd, Upgrade,
};

#[cfg_attr(not(test), expect(dead_code, reason = "the exporter does not tell it yet"))]
mod body;
#[cfg_attr(not(test), expect(dead_code, reason = "the exporter does not tell it yet"))]
mod content;
mod finished;
#[cfg_attr(not(test), expect(dead_code, reason = "the exporter does not tell it yet"))]
mod instruments;
#[cfg_attr(not(test), expect(dead_code, reason = "the exporter does not tell it yet"))]
mod logs;
#[cfg_attr(not(test), expect(dead_code, reason = "the exporter does not tell it yet"))]
mod params;
mod profile;
#[cfg(test)]
mod sample;
mod send;
mod settings;
mod spans;

pub use send::{SendError, TlsError, TransportError};
pub use settings::{Settings, SettingsError};

use send::{Item, Outbox};
use settings::Effective;
use spans::{Seen, Teller, Told};

/// Tells an OpenTelemetry backend.
pub struct TraceExporter {
    teller: Teller,
    way: Way,
}

/// Where what is told goes.
enum Way {
    /// To the backend.
    Sent(Box<Outbox>),
    /// Nowhere.
    Kept(Kept),
}

impl Way {
    fn put(&mut self, item: Item) {
        match self {
            Self::Sent(outbox) => outbox.put(item),
            Self::Kept(kept) => kept.0.lock().unwrap_or_else(PoisonError::into_inner).push(item),
        }
    }
}

impl fmt::Debug for TraceExporter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TraceExporter").finish_non_exhaustive()
    }
}

/// What an exporter tells that is [kept](TraceExporter::kept) and not sent, for tests.
#[doc(hidden)]
#[derive(Clone, Debug, Default)]
pub struct Kept(Arc<Mutex<Vec<Item>>>);

impl Kept {
    /// The spans so far.
    pub fn spans(&self) -> Vec<Span> {
        let items = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let spans = items.iter().filter_map(|item| match item {
            Item::Span(span) => Some((**span).clone()),
            _ => None,
        });
        spans.collect()
    }
}

/// Why nothing can be told.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// The settings or the environment say what cannot be.
    #[error(transparent)]
    Settings(#[from] SettingsError),
    /// There is no way to send it.
    #[error(transparent)]
    Send(#[from] SendError),
}

impl TraceExporter {
    /// Prepares to send.
    ///
    /// # Errors
    /// Where the settings, or the environment, say what cannot be, and where nothing can be sent.
    pub fn new(settings: Settings) -> std::result::Result<Self, StartError> {
        let effective = settings.effective(&|name| std::env::var(name).ok())?;
        let outbox = Outbox::new(&effective)?;
        Ok(Self::told(&settings, &effective, Way::Sent(Box::new(outbox))))
    }

    /// One that keeps what it tells, and sends nothing, whatever the environment says: for tests.
    ///
    /// # Errors
    /// Where the settings say what cannot be.
    #[doc(hidden)]
    pub fn kept(settings: &Settings) -> std::result::Result<(Self, Kept), StartError> {
        let effective = settings.effective(&|_| None)?;
        let kept = Kept::default();
        Ok((Self::told(settings, &effective, Way::Kept(kept.clone())), kept))
    }

    fn told(settings: &Settings, effective: &Effective, way: Way) -> Self {
        let profiles = effective.profiles.clone();
        Self { teller: Teller::new(settings.trace.clone(), effective.sampler, profiles, false), way }
    }

    /// Hands on what is over.
    fn hand_on(&mut self) {
        for told in self.teller.told() {
            match told {
                Told::Span(span) => self.way.put(Item::Span(span)),
                Told::Call(_, Some(span)) => self.way.put(Item::Span(span)),
                Told::Call(_, None) => {}
            }
        }
    }
}

impl Interceptor for TraceExporter {
    type State = Seen;

    fn interest(&self) -> Interest {
        Interest::LLM
    }

    fn counters(&self) -> Vec<Counter> {
        match &self.way {
            Way::Sent(outbox) => outbox.counters(),
            Way::Kept(_) => Vec::new(),
        }
    }

    fn on_request_head(&mut self, _: Cx<'_>, head: &RequestHead) -> Result<Option<Seen>> {
        Ok(Some(Seen::new(head)))
    }

    fn on_response_head(&mut self, _: Cx<'_>, seen: &mut Seen, head: &ResponseHead) -> Result {
        seen.response(head.status.as_u16());
        Ok(())
    }

    fn on_llm(&mut self, cx: Cx<'_>, seen: &mut Seen, event: &LlmEvent) -> Result {
        self.teller.llm(cx, seen, event);
        self.hand_on();
        Ok(())
    }

    fn on_upgrade(&mut self, _: Cx<'_>, seen: &mut Seen, _: &Upgrade) -> Result {
        seen.upgrade();
        Ok(())
    }

    fn on_failure(&mut self, cx: Cx<'_>, seen: &mut Seen, failure: &Failure) -> Result {
        self.teller.not_answered(cx, seen, failure);
        Ok(())
    }

    fn on_end(&mut self, cx: Cx<'_>, seen: Seen, end: &End) -> Result {
        self.teller.end(cx, seen, end);
        self.hand_on();
        Ok(())
    }

    fn on_session_end(&mut self, end: &SessionEnd) -> Result {
        self.teller.session_end(&end.id);
        self.hand_on();
        Ok(())
    }

    fn on_idle(&mut self) -> Result {
        if let Way::Sent(outbox) = &mut self.way {
            outbox.idle();
        }
        Ok(())
    }

    fn on_shutdown(mut self) -> Result {
        self.teller.end_all();
        self.hand_on();
        if let Way::Sent(outbox) = self.way {
            outbox.finish();
        }
        Ok(())
    }
}
