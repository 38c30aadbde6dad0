//! Which backends do not answer: told once of each, however many signals are sent to it.

use std::collections::{HashMap, HashSet};
use std::sync::{Mutex, PoisonError};

use tracing::{info, warn};

use super::Signal;

/// Backends that do not answer, and the signals that wait for them.
#[derive(Debug, Default)]
pub(crate) struct Outages(Mutex<HashMap<String, HashSet<Signal>>>);

impl Outages {
    /// A request of this signal got no answer from this backend.
    pub(crate) fn away(&self, backend: &str, signal: Signal, why: &str) {
        let mut outages = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let waiting = outages.entry(backend.to_owned()).or_default();
        if waiting.is_empty() {
            warn!(backend, why, "the backend does not answer; telemetry waits until it does");
        }
        waiting.insert(signal);
    }

    /// A request of this signal got an answer.
    pub(crate) fn back(&self, backend: &str, signal: Signal) {
        let mut outages = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(waiting) = outages.get_mut(backend) else { return };
        if waiting.remove(&signal) && waiting.is_empty() {
            info!(backend, "the backend answers again");
        }
    }
}
