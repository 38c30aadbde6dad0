//! The bound on all that is held in memory for those who watch.

use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

/// More than a head or a small chunk, bytes.
const MANY: usize = 16 * 1024;

/// `observe.memory`: bytes, shared by the journal, what the scribe holds, and the mailboxes. What several of them hold
/// counts for each.
#[derive(Debug)]
pub(crate) struct Memory {
    used: AtomicUsize,
    limit: usize,
}

impl Memory {
    /// Room for `limit` bytes.
    pub(crate) fn new(limit: usize) -> Self {
        Self { used: AtomicUsize::new(0), limit }
    }

    /// Takes `bytes`, if there is room for them. Many at once may not have the last eighth, which is kept for heads and
    /// small chunks: one upload must not blind the rest.
    #[must_use]
    pub(crate) fn take(&self, bytes: usize) -> bool {
        let limit = if bytes > MANY { self.limit - self.limit / 8 } else { self.limit };
        let with = |used: usize| used.checked_add(bytes).filter(|used| *used <= limit);
        self.used.fetch_update(Relaxed, Relaxed, with).is_ok()
    }

    /// Takes `bytes` for something small that must not be lost.
    pub(crate) fn take_anyhow(&self, bytes: usize) {
        self.used.fetch_add(bytes, Relaxed);
    }

    /// Gives back what was taken.
    pub(crate) fn give_back(&self, bytes: usize) {
        self.used.fetch_sub(bytes, Relaxed);
    }

    /// How many bytes are taken.
    pub(crate) fn used(&self) -> usize {
        self.used.load(Relaxed)
    }

    /// How many there are.
    pub(crate) fn limit(&self) -> usize {
        self.limit
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_given_back_can_be_taken_again_and_not_more() {
        let memory = Memory::new(10);
        assert!(memory.take(10));
        assert!(!memory.take(1));
        memory.take_anyhow(5);
        memory.give_back(10);
        assert!(memory.take(5));
        assert!(!memory.take(1));
        assert_eq!(memory.used(), 10);
    }

    #[test]
    fn the_last_eighth_is_for_what_is_small() {
        let memory = Memory::new(800_000);
        assert!(memory.take(600_000));
        assert!(!memory.take(101_000));
        assert!(memory.take(100_000));
        assert!(memory.take(MANY) && memory.take(MANY));
        assert!(!memory.take(MANY + 1));
    }
}
