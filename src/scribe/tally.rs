//! What the scribe counts.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use perimeter_genai::{error_type, is_inference, operation_name, provider_name};
use perimeter_interceptor::{Operation, Stream, Usage};

use super::census::Census;
use super::reading::Outcome;
use super::takings::Takings;
use crate::config;
use crate::prices::Prices;

pub(crate) mod genai;
pub(crate) mod histogram;
mod roll;
pub(crate) mod streams;

use genai::{Attributes, Calls, GenAi};
use roll::OTHER;
pub(super) use roll::{Roll, Standing};
use streams::{Closer, Streamed, Streams};

/// So many lines `perimeter_calls_total` has, whatever its labels may have. What came to no answer takes no more than half
/// of them.
const LINES: usize = 2000;

/// In so many of those, agents are told apart: the rest is for models, which are fewer.
const LINES_BY_AGENT: usize = 1500;

/// So many calls the metrics of the conventions tell apart, likewise. Each has a hundred lines or two.
const TOLD_APART: usize = 400;

/// Counters of the scribe, read by the metrics.
#[derive(Debug)]
pub(crate) struct Tally {
    /// What calls used and cost.
    pub(crate) takings: Takings,
    /// How many sessions there are and were.
    pub(crate) census: Census,
    /// Which labels are shown.
    pub(crate) labels: config::Labels,
    prices: Option<Arc<Prices>>,
    /// Of the upstream.
    host: Arc<str>,
    books: Mutex<Books>,
    lag_ns: AtomicU64,
    records: AtomicU64,
    panics: AtomicU64,
    unseen: AtomicU64,
    opaque: AtomicU64,
}

/// What is counted by labels.
#[derive(Debug)]
struct Books {
    models: Roll,
    response_models: Roll,
    agents: Roll,
    dialects: Roll,
    errors: Roll,
    calls: BTreeMap<Key, u64>,
    genai: GenAi,
    streams: Streams,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Key {
    dialect: Option<&'static str>,
    model: Option<Arc<str>>,
    agent: Option<Arc<str>>,
    outcome: Outcome,
}

/// One line of `perimeter_calls_total`. Labels that are not shown are none; what a call does not have is empty.
#[derive(Debug)]
pub(crate) struct Line {
    pub(crate) dialect: Option<&'static str>,
    pub(crate) model: Option<Arc<str>>,
    pub(crate) agent: Option<Arc<str>>,
    pub(crate) outcome: &'static str,
    pub(crate) count: u64,
}

/// A call of a model that is over.
#[derive(Debug)]
pub(super) struct Finished<'a> {
    pub(super) operation: Operation,
    pub(super) dialect: &'static str,
    pub(super) vendor: &'static str,
    pub(super) model: Option<&'a Arc<str>>,
    pub(super) response_model: Option<&'a Arc<str>>,
    /// What went wrong; nothing where the model finished.
    pub(super) error: Option<&'a Arc<str>>,
    pub(super) took: Duration,
    pub(super) stream: Option<&'a Stream>,
    /// Who ended the answer.
    pub(super) closed: Closer,
    /// What it used, where that is counted at all.
    pub(super) used: Option<Option<&'a Usage>>,
}

impl Default for Tally {
    fn default() -> Self {
        Self::of(config::Labels::default(), None)
    }
}

impl Tally {
    /// Nothing yet of an upstream at this host, by these labels; models that have a price always have lines of their own.
    pub(crate) fn new(labels: config::Labels, prices: Arc<Prices>, host: &str) -> Self {
        Self { host: host.into(), ..Self::of(labels, Some(prices)) }
    }

    fn of(labels: config::Labels, prices: Option<Arc<Prices>>) -> Self {
        let books = Books {
            models: Roll::new(labels.model),
            response_models: Roll::new(labels.response_model),
            agents: Roll::new(labels.agent),
            dialects: Roll::new(labels.dialect),
            errors: Roll::new(labels.error_type),
            calls: BTreeMap::new(),
            genai: GenAi::new(),
            streams: Streams::new(),
        };
        Self {
            takings: Takings::new(labels.model),
            census: Census::default(),
            labels,
            prices,
            host: "".into(),
            books: Mutex::new(books),
            lag_ns: AtomicU64::new(0),
            records: AtomicU64::new(0),
            panics: AtomicU64::new(0),
            unseen: AtomicU64::new(0),
            opaque: AtomicU64::new(0),
        }
    }

    fn books(&self) -> MutexGuard<'_, Books> {
        self.books.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether this is the name of a model that has a price, or an alias.
    fn is_listed(&self, model: &str) -> bool {
        self.prices.as_ref().is_some_and(|prices| prices.lists(model))
    }

    /// An exchange is over, or a call of a socket. The agent goes by a name, or by what is made of its prompt.
    pub(super) fn call(
        &self,
        dialect: &'static str,
        model: Option<&Arc<str>>,
        agent: Option<&(Arc<str>, Standing)>,
        outcome: Outcome,
    ) {
        let standing = if is_answered(outcome) { Standing::Proven } else { Standing::Said };
        let nothing = || Arc::<str>::from("");
        let mut books = self.books();
        let Books { models, agents, dialects, calls, .. } = &mut *books;
        let mut key = Key {
            dialect: dialects
                .show(dialect, Standing::Proven, |_| false)
                .map(|shown| if *shown == *dialect { dialect } else { OTHER }),
            model: match model {
                Some(model) => models.show(model, standing, |model| self.is_listed(model)),
                None => (self.labels.model > 0).then(nothing),
            },
            agent: match agent {
                Some((agent, standing)) => agents.show(agent, *standing, |_| false),
                None => (self.labels.agent > 0).then(nothing),
            },
            outcome,
        };
        if let Some(count) = calls.get_mut(&key) {
            *count += 1;
            return;
        }
        let other = |shown: Option<Arc<str>>| shown.map(|_| OTHER.into());
        let is_full = |key: &Key, most| {
            let failed = || calls.keys().filter(|key| !is_answered(key.outcome)).count();
            !calls.contains_key(key) && (calls.len() >= most || !is_answered(outcome) && failed() >= most / 2)
        };
        if is_full(&key, LINES_BY_AGENT) {
            key.agent = other(key.agent);
        }
        if is_full(&key, LINES) {
            key.model = other(key.model);
        }
        *calls.entry(key).or_default() += 1;
    }

    /// A call of a model is over.
    pub(super) fn finished(&self, call: &Finished<'_>) {
        let standing =
            if call.stream.is_some() || call.error.is_none() { Standing::Proven } else { Standing::Said };
        let is_listed = |model: &str| self.is_listed(model);
        let mut books = self.books();
        let Books { models, response_models, errors, genai, streams, .. } = &mut *books;
        let request_model = call.model.and_then(|model| models.show(model, standing, is_listed));
        if let Some(stream) = call.stream {
            let output = call.used.flatten().map(|usage| usage.output);
            streams.entry(request_model.clone()).or_default().add(stream, output, call.closed);
        }
        if !is_inference(call.operation) {
            return;
        }
        let mut attributes = Attributes {
            operation: operation_name(call.operation, call.dialect),
            provider: provider_name(call.vendor, &self.host),
            request_model,
            response_model: call
                .response_model
                .and_then(|model| response_models.show(model, Standing::Proven, is_listed)),
            error_type: call.error.and_then(|error| errors.show(error, Standing::Proven, |_| false)),
        };
        if attributes.error_type.as_deref() == Some(OTHER) {
            attributes.error_type = Some(error_type::OTHER.into());
        }
        if let Some(calls) = genai.get_mut(&attributes) {
            return calls.add(call.took, call.stream, call.used);
        }
        let failed = || genai.keys().filter(|attributes| attributes.error_type.is_some()).count();
        let is_full = genai.len() >= TOLD_APART || call.error.is_some() && failed() >= TOLD_APART / 2;
        if is_full {
            let other = |shown: Option<Arc<str>>, other: &str| shown.map(|_| other.into());
            attributes.request_model = other(attributes.request_model, OTHER);
            attributes.response_model = other(attributes.response_model, OTHER);
            attributes.error_type = other(attributes.error_type, error_type::OTHER);
        }
        genai.entry(attributes).or_default().add(call.took, call.stream, call.used);
    }

    /// A record was read this long after it was written.
    pub(super) fn read(&self, records: u64, lag: Duration) {
        self.records.fetch_add(records, Relaxed);
        self.lag_ns.store(u64::try_from(lag.as_nanos()).unwrap_or(u64::MAX), Relaxed);
    }

    /// Reading a record panicked.
    pub(super) fn panicked(&self) {
        self.panics.fetch_add(1, Relaxed);
    }

    /// There was no memory to read so many bytes.
    pub(super) fn starved(&self, bytes: u64) {
        self.unseen.fetch_add(bytes, Relaxed);
    }

    /// So many bodies had a content coding that nobody here knows.
    pub(super) fn opaque(&self, bodies: u64) {
        self.opaque.fetch_add(bodies, Relaxed);
    }

    /// How many bodies had a content coding that nobody here knows.
    pub(crate) fn opaques(&self) -> u64 {
        self.opaque.load(Relaxed)
    }

    /// How many bytes were not read for want of memory.
    pub(crate) fn unseen(&self) -> u64 {
        self.unseen.load(Relaxed)
    }

    /// The exchanges that are over.
    pub(crate) fn lines(&self) -> Vec<Line> {
        let calls = self.books().calls.clone();
        let line = |(Key { dialect, model, agent, outcome }, count)| Line {
            dialect,
            model,
            agent,
            outcome: Outcome::as_str(outcome),
            count,
        };
        calls.into_iter().map(line).collect()
    }

    /// The calls of models, by the attributes of OpenTelemetry's conventions.
    pub(crate) fn genai(&self) -> Vec<(Attributes, Calls)> {
        self.books().genai.iter().map(|(attributes, calls)| (attributes.clone(), calls.clone())).collect()
    }

    /// How answers were streamed, by model.
    pub(crate) fn streams(&self) -> Vec<(Option<Arc<str>>, Streamed)> {
        self.books().streams.iter().map(|(model, streamed)| (model.clone(), streamed.clone())).collect()
    }

    /// How long after it was written the oldest record of the last batch was read.
    pub(crate) fn lag(&self) -> Duration {
        Duration::from_nanos(self.lag_ns.load(Relaxed))
    }

    /// How many records were read.
    pub(crate) fn records(&self) -> u64 {
        self.records.load(Relaxed)
    }

    /// How many records made the scribe panic.
    pub(crate) fn panics(&self) -> u64 {
        self.panics.load(Relaxed)
    }
}

/// Whether a model was there to answer.
fn is_answered(outcome: Outcome) -> bool {
    matches!(outcome, Outcome::Complete | Outcome::Cut)
}

#[cfg(test)]
mod tests;
