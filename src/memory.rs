//! The bound on all that is held in memory for those who watch.

use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

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

    /// Takes `bytes`, if there is room for them.
    #[must_use]
    pub(crate) fn take(&self, bytes: usize) -> bool {
        let before = self.used.fetch_add(bytes, Relaxed);
        if before.saturating_add(bytes) <= self.limit {
            return true;
        }
        self.used.fetch_sub(bytes, Relaxed);
        false
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
}
