//! What waits to be sent of one signal: in memory, and behind that on disk.
//!
//! What is on disk is older than what is in memory, for it is the oldest that is spilled; so it is sent first.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::spool::{Entry, Spool};
use super::{Batch, Counts, Signal};

/// What all queues share: the room in memory, and the spool.
#[derive(Debug)]
pub(crate) struct Store {
    pub(crate) counts: Arc<Counts>,
    /// How many bytes may wait in memory: of all queues together.
    pub(crate) limit: u64,
    pub(crate) spool: Option<Mutex<Spool>>,
}

/// What waits of one signal.
#[derive(Debug)]
pub(crate) struct Queue {
    pub(crate) signal: Signal,
    store: Arc<Store>,
    state: Mutex<State>,
    more: Condvar,
}

#[derive(Debug, Default)]
struct State {
    waiting: VecDeque<Batch>,
    /// What is being sent.
    current: Option<Current>,
    stop: Option<Stop>,
}

#[derive(Debug)]
struct Current {
    batch: Batch,
    /// Where it is on disk; else it counts as waiting in memory.
    file: Option<Entry>,
}

/// How it ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stop {
    /// What waits is still to be sent, as long as that is before then.
    Finish(Instant),
    /// Nothing is to be sent any more.
    Abandon,
}

impl Store {
    fn spill(&self, batch: &Batch) -> bool {
        self.with_spool(|spool| spool.keep(batch)).is_some()
    }

    fn with_spool<T>(&self, write: impl FnOnce(&mut Spool) -> std::io::Result<T>) -> Option<T> {
        let spool = self.spool.as_ref()?;
        // An entry more or less in the index is all that a panic can have left behind.
        write(&mut spool.lock().unwrap_or_else(PoisonError::into_inner)).ok()
    }

    fn lose(&self, batch: &Batch) {
        let why = if self.spool.is_some() {
            "the queue is full, and the spool cannot be written to"
        } else {
            "the queue is full, and there is no spool"
        };
        self.counts.lost(batch.items, why);
    }

    fn fits(&self, batch: &Batch) -> bool {
        self.counts.queued().saturating_add(batch.size()) <= self.limit
    }
}

impl Queue {
    pub(crate) fn new(signal: Signal, store: Arc<Store>) -> Self {
        Self { signal, store, state: Mutex::default(), more: Condvar::new() }
    }

    /// Something to be sent. It may be written to disk, but nobody waits for the backend here.
    pub(crate) fn put(&self, batch: Batch) {
        let mut state = self.state();
        while !self.store.fits(&batch) && !state.waiting.is_empty() {
            if !self.spill_oldest(&mut state) {
                return self.store.lose(&batch);
            }
        }
        if self.store.fits(&batch) {
            self.store.counts.queue(batch.size());
            state.waiting.push_back(batch);
        } else if !self.store.spill(&batch) {
            self.store.lose(&batch);
        }
        drop(state);
        self.more.notify_all();
    }

    fn spill_oldest(&self, state: &mut State) -> bool {
        let Some(oldest) = state.waiting.front() else { return false };
        if !self.store.spill(oldest) {
            return false;
        }
        self.store.counts.unqueue(oldest.size());
        state.waiting.pop_front();
        true
    }

    /// The next to be sent, once there is one. `None`: nothing comes any more.
    pub(crate) fn next(&self) -> Option<Batch> {
        let mut state = self.state();
        loop {
            if state.stop == Some(Stop::Abandon) {
                return None;
            }
            if let Some(current) = self.oldest_on_disk().or_else(|| oldest_in_memory(&mut state)) {
                let batch = current.batch.clone();
                state.current = Some(current);
                return Some(batch);
            }
            if state.stop.is_some() {
                return None;
            }
            state = self.more.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn oldest_on_disk(&self) -> Option<Current> {
        loop {
            let entry = self.store.with_spool(|spool| Ok(spool.take(self.signal)))??;
            match entry.read() {
                Ok(batch) => return Some(Current { batch, file: Some(entry) }),
                Err(error) => self.store.with_spool(|spool| {
                    spool.discard(&entry, &error);
                    Ok(())
                })?,
            }
        }
    }

    /// What [`Self::next`] gave is done with.
    pub(crate) fn settle(&self) {
        let Some(Current { batch, file }) = self.state().current.take() else { return };
        match file {
            Some(entry) => {
                self.store.with_spool(|spool| {
                    spool.remove(&entry);
                    Ok(())
                });
            }
            None => self.store.counts.unqueue(batch.size()),
        }
    }

    /// Waits so long before the next attempt. Not at all where the end has come since the last one, which began with
    /// `stop`, and no longer once it comes.
    pub(crate) fn pause(&self, how_long: Duration, stop: Option<Stop>) {
        let how_long = match stop {
            Some(Stop::Finish(until)) => how_long.min(until.saturating_duration_since(Instant::now())),
            _ => how_long,
        };
        let unchanged = |state: &mut State| state.stop == stop;
        drop(self.more.wait_timeout_while(self.state(), how_long, unchanged));
    }

    /// Whether to try no more, after an attempt that began with `stop` has failed. `away`: there was no answer at all.
    pub(crate) fn gives_up(&self, away: bool, stop: Option<Stop>) -> bool {
        let state = self.state();
        let on_disk = state.current.as_ref().is_none_or(|current| current.file.is_some());
        match stop {
            None => state.stop == Some(Stop::Abandon),
            Some(Stop::Finish(until)) => (away && on_disk) || Instant::now() >= until,
            Some(Stop::Abandon) => true,
        }
    }

    /// Whether it is to end.
    pub(crate) fn stop(&self) -> Option<Stop> {
        self.state().stop
    }

    /// It is to end. Everything is written to disk before, if there is a spool: what is sent after all is removed again.
    pub(crate) fn end(&self, stop: Stop) {
        let mut state = self.state();
        if let Some(current) = state.current.as_mut().filter(|current| current.file.is_none())
            && let Some(entry) = self.store.with_spool(|spool| spool.keep_in_hand(&current.batch))
        {
            self.store.counts.unqueue(current.batch.size());
            current.file = Some(entry);
        }
        while self.spill_oldest(&mut state) {}
        state.stop = Some(stop);
        drop(state);
        self.more.notify_all();
    }

    /// Nobody sends any more: what is in memory only is lost.
    pub(crate) fn give_up(&self) {
        let mut state = self.state();
        let current = state.current.take().filter(|current| current.file.is_none());
        let left = current.map(|current| current.batch).into_iter().chain(state.waiting.drain(..));
        let (items, bytes) =
            left.fold((0, 0), |(items, bytes), batch| (items + batch.items, bytes + batch.size()));
        self.store.counts.unqueue(bytes);
        self.store.counts.lost(items, "the proxy stopped before the backend was back");
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Each change is whole before anything that may panic.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn oldest_in_memory(state: &mut State) -> Option<Current> {
    state.waiting.pop_front().map(|batch| Current { batch, file: None })
}
