//! Tells OpenTelemetry backends of what passes: traces, logs and metrics by the conventions for generative AI, over OTLP.
//!
//! Notices become `Finished` calls; those become spans (`spans`), log records (`logs`) and metrics
//! (`instruments`), which is pure: no clock, no I/O. `send` batches what they are told, and delivers it on a thread of its
//! own.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use opentelemetry_proto::tonic::trace::v1::Span;
use perimeter_interceptor::{
    Cx, End, Failure, Interceptor, Interest, LlmEvent, RequestHead, ResponseHead, Result, SessionEnd, Upgrade,
};

mod finished;
mod profile;
mod send;
mod settings;
mod spans;

pub use profile::Profile;
pub use send::{SendError, TlsError, TransportError};
pub use settings::{Settings, SettingsError};
pub use spans::{Ratio, Settings as TraceSettings, Spans, WhenInstrumented, Word as SamplerWord};

use send::Item;
use spans::{Sampler, Seen, Teller, Told};

/// Tells an OpenTelemetry backend.
pub struct TraceExporter {
    teller: Teller,
    kept: Kept,
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

    fn put(&self, item: Item) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(item);
    }
}

impl TraceExporter {
    /// Prepares to send.
    ///
    /// # Errors
    /// Where the settings, or the environment, cannot be.
    pub fn new(_settings: Settings) -> std::result::Result<Self, std::convert::Infallible> {
        Ok(Self::kept(TraceSettings::default(), vec![Profile::Latest, Profile::V1_41]).0)
    }

    /// One that keeps what it tells, and sends nothing, for tests.
    #[doc(hidden)]
    pub fn kept(settings: TraceSettings, profiles: Vec<Profile>) -> (Self, Kept) {
        let sampler = Sampler::of(&settings, Sampler::default());
        let kept = Kept::default();
        (Self { teller: Teller::new(settings, sampler, profiles, false), kept: kept.clone() }, kept)
    }

    /// Hands on what is over.
    fn hand_on(&mut self) {
        for told in self.teller.told() {
            match told {
                Told::Span(span) => self.kept.put(Item::Span(span)),
                Told::Call(_, Some(span)) => self.kept.put(Item::Span(span)),
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

    fn on_shutdown(mut self) -> Result {
        self.teller.end_all();
        self.hand_on();
        Ok(())
    }
}
