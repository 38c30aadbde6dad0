//! What the scribe counts.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::census::Census;
use super::reading::Outcome;
use super::takings::Takings;

/// So many models have a line of their own; the others are counted together.
pub(super) const MODELS: usize = 100;

/// Models with longer names have none. Bytes.
pub(super) const LONG: usize = 128;

/// Counters of the scribe, read by the metrics.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    /// What calls used and cost.
    pub(crate) takings: Takings,
    /// How many sessions there are and were.
    pub(crate) census: Census,
    calls: Mutex<BTreeMap<Key, u64>>,
    lag_ns: AtomicU64,
    records: AtomicU64,
    panics: AtomicU64,
    unseen: AtomicU64,
    opaque: AtomicU64,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Key {
    dialect: &'static str,
    model: Option<Arc<str>>,
    outcome: Outcome,
}

/// One line of the metric.
#[derive(Debug)]
pub(crate) struct Line {
    pub(crate) dialect: &'static str,
    pub(crate) model: Option<Arc<str>>,
    pub(crate) outcome: &'static str,
    pub(crate) count: u64,
}

impl Tally {
    /// An exchange is over.
    pub(super) fn call(&self, dialect: &'static str, model: Option<&Arc<str>>, outcome: Outcome) {
        let mut calls = self.calls.lock().unwrap_or_else(PoisonError::into_inner);
        let key = Key { dialect, model: model.cloned(), outcome };
        if let Some(count) = calls.get_mut(&key) {
            *count += 1;
            return;
        }
        let is_known = calls.keys().any(|known| known.model == key.model);
        // Sorted by dialect first, so equal models need not stand together.
        let mut models: Vec<_> = calls.keys().filter_map(|known| known.model.as_ref()).collect();
        models.sort_unstable();
        models.dedup();
        let is_one_too_many = !is_known && key.model.is_some() && models.len() >= MODELS;
        let is_long = key.model.as_ref().is_some_and(|model| model.len() > LONG);
        let model = if is_one_too_many || is_long { Some("other".into()) } else { key.model };
        *calls.entry(Key { model, ..key }).or_default() += 1;
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
        let calls = self.calls.lock().unwrap_or_else(PoisonError::into_inner);
        let line = |(key, count): (&Key, &u64)| Line {
            dialect: key.dialect,
            model: key.model.clone(),
            outcome: key.outcome.as_str(),
            count: *count,
        };
        calls.iter().map(line).collect()
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_client_can_fill_the_metrics_with_models() {
        let tally = Tally::default();
        for n in 0..300 {
            tally.call("openai_chat", Some(&format!("m{n}").into()), Outcome::Complete);
        }
        tally.call("openai_chat", Some(&"m1".into()), Outcome::Cut);
        tally.call("openai_chat", Some(&"x".repeat(500).into()), Outcome::Complete);
        tally.call("openai_chat", None, Outcome::None);
        let lines = tally.lines();
        assert_eq!(lines.len(), MODELS + 3);
        let others = lines.iter().find(|line| line.model.as_deref() == Some("other")).unwrap();
        assert_eq!(others.count, 201);
        assert_eq!(lines.iter().map(|line| line.count).sum::<u64>(), 303);
    }
}
