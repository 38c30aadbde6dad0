//! What is remembered of the requests of sessions, so that the next ones are read only where they are new.

use std::sync::Arc;

use lru::LruCache;

use crate::dialect::Histories;
use crate::memory::Memory;

/// What is remembered of all sessions together, bytes; a message takes some 32 of them, and the text of the tools
/// counts. No more than an eighth of `observe.memory`. The session without a call for the longest time is the first whose next request is read whole again.
const MOST: usize = 16 * 1024 * 1024;

/// Where `observe.memory` is less, all of it is for what is being read.
const LEAST_MEMORY: usize = 64 * 1024;

/// What a session takes besides.
const SESSION: usize = 256;

/// The histories of sessions, by the session's name.
#[derive(Debug)]
pub(super) struct Remembered {
    of: LruCache<Arc<str>, Kept>,
    held: usize,
    most: usize,
    memory: Arc<Memory>,
}

#[derive(Debug)]
struct Kept {
    histories: Histories,
    weight: usize,
}

impl Remembered {
    pub(super) fn new(memory: Arc<Memory>) -> Self {
        let most = if memory.limit() < LEAST_MEMORY { 0 } else { MOST.min(memory.limit() / 8) };
        Self { of: LruCache::unbounded(), held: 0, most, memory }
    }

    /// Takes what is remembered of a session: nothing, where it is new or was forgotten.
    pub(super) fn take(&mut self, session: &str) -> Histories {
        let kept = self.of.pop(session);
        kept.map(|kept| self.give_back(kept)).unwrap_or_default()
    }

    /// Remembers it, as far as there is memory for it.
    pub(super) fn put(&mut self, session: &Arc<str>, histories: Histories) {
        let weight = histories.weight() + session.len() + SESSION;
        if weight > self.most {
            return;
        }
        while self.held + weight > self.most
            && let Some((_, oldest)) = self.of.pop_lru()
        {
            drop(self.give_back(oldest));
        }
        if self.memory.take(weight) {
            self.held += weight;
            if let Some(earlier) = self.of.put(session.clone(), Kept { histories, weight }) {
                drop(self.give_back(earlier));
            }
        }
    }

    /// How many bytes of the memory it holds.
    #[cfg(test)]
    pub(super) fn held(&self) -> usize {
        self.held
    }

    fn give_back(&mut self, kept: Kept) -> Histories {
        self.held -= kept.weight;
        self.memory.give_back(kept.weight);
        kept.histories
    }
}

impl Drop for Remembered {
    fn drop(&mut self) {
        self.memory.give_back(self.held);
    }
}
