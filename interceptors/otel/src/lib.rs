//! Tells OpenTelemetry backends of what passes: traces, logs and metrics by the conventions for generative AI, over OTLP.
//!
//! Notices become `Finished` calls; those become spans (`spans`), log records (`logs`) and metrics
//! (`instruments`), which is pure: no clock, no I/O. `send` batches what they are told, and delivers it on a thread of its
//! own.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use opentelemetry_proto::tonic::logs::v1::LogRecord;
use opentelemetry_proto::tonic::metrics::v1::{AggregationTemporality, Metric};
use opentelemetry_proto::tonic::trace::v1::Span;
use perimeter_interceptor::{
    Counter, Cx, End, Failure, Interceptor, Interest, LlmEvent, RequestHead, ResponseHead, Result,
    SessionEnd, Upgrade,
};

mod body;
mod content;
mod finished;
mod instruments;
mod logs;
mod params;
mod profile;
#[cfg(test)]
mod sample;
mod send;
mod settings;
mod spans;
mod text;

pub use send::{SendError, TlsError, TransportError};
pub use settings::{Settings, SettingsError};

use content::{Capture, Content, Settings as ContentSettings};
use finished::Finished;
use instruments::Instruments;
use send::{Item, Outbox, Signal};
use settings::{Effective, Temporality};
use spans::{Seen, Teller, Told};

/// Tells an OpenTelemetry backend.
pub struct TraceExporter {
    teller: Teller,
    content: ContentSettings,
    capture: Capture,
    instruments: Instruments,
    /// How often what they measured is told, if at all, and when it was.
    collects: Option<Duration>,
    collected: Instant,
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
        self.those(|item| if let Item::Span(span) = item { vec![(**span).clone()] } else { Vec::new() })
    }

    /// The log records so far.
    pub fn logs(&self) -> Vec<LogRecord> {
        self.those(|item| if let Item::Log(log) = item { vec![(**log).clone()] } else { Vec::new() })
    }

    /// The metrics so far, as often as they were collected.
    pub fn metrics(&self) -> Vec<Metric> {
        self.those(|item| if let Item::Metrics(metrics) = item { metrics.clone() } else { Vec::new() })
    }

    fn those<T>(&self, which: impl Fn(&Item) -> Vec<T>) -> Vec<T> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).iter().flat_map(which).collect()
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
        let (profiles, capture) = (effective.profiles.clone(), effective.capture);
        let temporality = match effective.temporality {
            Temporality::Cumulative => AggregationTemporality::Cumulative,
            Temporality::Delta => AggregationTemporality::Delta,
        };
        let keeps_content = capture != Capture::None;
        Self {
            instruments: Instruments::new(&profiles, temporality, SystemTime::now()),
            teller: Teller::new(settings.trace.clone(), effective.sampler, profiles, keeps_content),
            content: settings.content.clone(),
            capture,
            collects: effective.destination(Signal::Metrics).map(|_| effective.metrics_interval),
            collected: Instant::now(),
            way,
        }
    }

    /// Hands on what is over.
    fn hand_on(&mut self) {
        for told in self.teller.told() {
            match told {
                Told::Span(span) => self.way.put(Item::Span(span)),
                Told::Call { finished, span, is_told } => self.call(&finished, span, is_told),
            }
        }
    }

    /// A call is over: it is measured, and told as its span and as log records.
    fn call(&mut self, finished: &Finished, mut span: Box<Span>, is_told: bool) {
        self.instruments.record(finished);
        let now = SystemTime::now();
        if let Some(exception) = logs::exception(finished, now) {
            self.way.put(Item::Log(Box::new(exception)));
        }
        if self.capture != Capture::None {
            let content = Content::of(finished, &self.content);
            if self.capture.on_events() {
                let details = logs::details(finished, span.attributes.clone(), &content, now);
                self.way.put(Item::Log(Box::new(details)));
            }
            if self.capture.on_spans() {
                span.attributes.extend(content.on_span());
            }
        }
        if is_told {
            self.way.put(Item::Span(span));
        }
    }

    fn collect(&mut self) {
        self.collected = Instant::now();
        let metrics = self.instruments.collect(SystemTime::now());
        self.way.put(Item::Metrics(metrics));
    }
}

impl Interceptor for TraceExporter {
    type State = Seen;

    fn interest(&self) -> Interest {
        Interest::LLM | content::interest(&self.content, self.capture)
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
        if self.collects.is_some_and(|interval| self.collected.elapsed() >= interval) {
            self.collect();
        }
        if let Way::Sent(outbox) = &mut self.way {
            outbox.idle();
        }
        Ok(())
    }

    fn on_shutdown(mut self) -> Result {
        self.teller.end_all();
        self.hand_on();
        if self.collects.is_some() {
            self.collect();
        }
        if let Way::Sent(outbox) = self.way {
            outbox.finish();
        }
        Ok(())
    }
}
