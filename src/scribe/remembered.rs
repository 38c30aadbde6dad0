//! What is remembered of requests, so that the next ones are read only where they are new.

use std::sync::Arc;

use lru::LruCache;

use crate::dialect::{Histories, Seed};
use crate::memory::Memory;

/// What is remembered of all conversations together, bytes; a message takes some 64 of them, and the text of the tools
/// counts. No more than an eighth of `observe.memory`. The conversation without a call for the longest time is the first
/// whose next request is read whole again.
const MOST: usize = 16 * 1024 * 1024;

/// Where `observe.memory` is less, all of it is for what is being read.
const LEAST_MEMORY: usize = 64 * 1024;

/// What a conversation takes besides.
const BESIDE: usize = 256;

/// The histories of conversations, by what tells them apart.
#[derive(Debug)]
pub(super) struct Remembered {
    of: LruCache<u64, Kept>,
    held: usize,
    most: usize,
    memory: Arc<Memory>,
    seed: Seed,
}

#[derive(Debug)]
struct Kept {
    histories: Histories,
    weight: usize,
}

impl Remembered {
    pub(super) fn new(memory: Arc<Memory>, seed: &Seed) -> Self {
        let most = if memory.limit() < LEAST_MEMORY { 0 } else { MOST.min(memory.limit() / 8) };
        Self { of: LruCache::unbounded(), held: 0, most, memory, seed: seed.clone() }
    }

    /// Takes what is remembered by this key, or else by another: nothing, where that is new or was forgotten.
    pub(super) fn take(&mut self, key: u64, or: u64) -> Histories {
        let kept = self.of.pop(&key).or_else(|| self.of.pop(&or));
        kept.map(|kept| self.give_back(kept)).unwrap_or_else(|| Histories::new(&self.seed))
    }

    /// Remembers it, as far as there is memory for it.
    pub(super) fn put(&mut self, key: u64, histories: Histories) {
        let weight = histories.weight() + BESIDE;
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
            if let Some(earlier) = self.of.put(key, Kept { histories, weight }) {
                drop(self.give_back(earlier));
            }
        }
    }

    /// What is remembered by this key is not needed any more.
    pub(super) fn forget(&mut self, key: u64) {
        if let Some(kept) = self.of.pop(&key) {
            drop(self.give_back(kept));
        }
    }

    /// Nothing is needed any more.
    pub(super) fn clear(&mut self) {
        self.of.clear();
        self.memory.give_back(std::mem::take(&mut self.held));
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
