//! A queue bounded by the weight of what it holds: many senders that never wait, one reader.
//!
//! Waking a sleeping thread costs a sender more than everything else here. So a reader that has just been busy only
//! dozes: it looks again by itself, and is woken only where much has come meanwhile.

use std::mem;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::memory::Memory;

/// How long what came may wait for a dozing reader.
const DOZE: Duration = Duration::from_millis(20);

/// Dozing reader: so many items wake it early.
const MANY: usize = 4096;

/// How long nothing came before a dozing reader sleeps, and the next sender has to wake it.
const QUIET: Duration = Duration::from_millis(50);

/// Memory is taken so many bytes ahead for what is small: each look at what all share costs as much as giving an item.
const AHEAD: usize = 16 * 1024;

/// Makes a queue for `capacity` bytes, of which each also counts as `memory`.
pub(crate) fn bounded<T>(capacity: usize, memory: Arc<Memory>) -> (Sender<T>, Receiver<T>) {
    let shared = Arc::new(Shared {
        state: Mutex::new(State {
            items: Vec::new(),
            ahead: 0,
            closed: false,
            nudged: false,
            reader: Reader::Awake,
        }),
        changed: Condvar::new(),
        weight: Arc::default(),
        capacity,
        memory,
    });
    let receiver = Receiver { shared: shared.clone(), last_came: Instant::now(), waited: false };
    (Sender(shared), receiver)
}

#[derive(Debug)]
struct Shared<T> {
    state: Mutex<State<T>>,
    changed: Condvar,
    /// Changed by who holds the lock.
    weight: Arc<AtomicUsize>,
    capacity: usize,
    memory: Arc<Memory>,
}

#[derive(Debug)]
struct State<T> {
    items: Vec<T>,
    /// Memory that was taken for items to come, bytes.
    ahead: usize,
    /// Whether nobody is left who could give.
    closed: bool,
    /// Whether the reader is wanted elsewhere.
    nudged: bool,
    reader: Reader,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reader {
    Awake,
    Dozing,
    Asleep,
}

impl<T> Shared<T> {
    fn lock(&self) -> MutexGuard<'_, State<T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether `weight` more would fit. A big item may not use the last eighth, which is kept for small ones.
    fn has_room(&self, weight: usize) -> bool {
        let capacity = self.capacity;
        let capacity = if weight > capacity / 64 { capacity - capacity / 8 } else { capacity };
        self.weight.load(Relaxed).saturating_add(weight) <= capacity
    }

    fn is_half_full(&self) -> bool {
        self.weight.load(Relaxed) > self.capacity / 2
    }

    /// Puts in an item whose memory is taken.
    fn give(&self, mut state: MutexGuard<'_, State<T>>, item: T, weight: usize) {
        self.weight.store(self.weight.load(Relaxed) + weight, Relaxed);
        state.items.push(item);
        let wake = match state.reader {
            Reader::Awake => false,
            Reader::Dozing => state.items.len() == MANY || self.is_half_full(),
            Reader::Asleep => true,
        };
        if wake {
            state.reader = Reader::Awake;
        }
        drop(state);
        if wake {
            self.changed.notify_one();
        }
    }
}

impl<T> State<T> {
    /// Takes memory for an item, if there is any.
    fn take(&mut self, memory: &Memory, weight: usize) -> bool {
        if weight > AHEAD {
            return memory.take(weight);
        }
        if self.ahead < weight {
            if !memory.take(AHEAD) {
                return memory.take(weight);
            }
            self.ahead += AHEAD;
        }
        self.ahead -= weight;
        true
    }
}

/// The end that gives, to be shared. When it is gone, the reader comes to its end.
#[derive(Debug)]
pub(crate) struct Sender<T>(Arc<Shared<T>>);

impl<T> Sender<T> {
    /// Gives `item`, if it fits.
    pub(crate) fn offer(&self, item: T, weight: usize) -> bool {
        let mut state = self.0.lock();
        let fits = self.0.has_room(weight) && state.take(&self.0.memory, weight);
        if fits {
            self.0.give(state, item, weight);
        }
        fits
    }

    /// Gives an item that must arrive.
    pub(crate) fn push(&self, item: T, weight: usize) {
        let mut state = self.0.lock();
        if !state.take(&self.0.memory, weight) {
            self.0.memory.take_anyhow(weight);
        }
        self.0.give(state, item, weight);
    }

    /// How many bytes wait.
    pub(crate) fn weight(&self) -> &Arc<AtomicUsize> {
        &self.0.weight
    }
}

impl<T> Drop for Sender<T> {
    fn drop(&mut self) {
        let mut state = self.0.lock();
        state.closed = true;
        state.reader = Reader::Awake;
        drop(state);
        self.0.changed.notify_one();
    }
}

/// Wakes a reader that waits, though nothing came.
#[derive(Debug)]
pub(crate) struct Nudge<T>(Arc<Shared<T>>);

impl<T> Nudge<T> {
    /// The reader finds [`Taken::Nothing`] at once, now or when it looks next, unless it finds what came.
    pub(crate) fn nudge(&self) {
        self.0.lock().nudged = true;
        self.0.changed.notify_one();
    }
}

/// The end that takes.
#[derive(Debug)]
pub(crate) struct Receiver<T> {
    shared: Arc<Shared<T>>,
    last_came: Instant,
    /// Whether it found nothing when it last looked.
    waited: bool,
}

/// What a look into the queue found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Taken {
    /// Something, now in the batch.
    Some,
    /// Nothing until the time was over, or somebody [nudged](Nudge).
    Nothing,
    /// Nothing, and nobody is left who could give.
    Closed,
}

impl<T> Receiver<T> {
    /// Puts all that waits into `batch`, which is empty. Waits up to `patience` for something to come.
    ///
    /// The weight of what was taken counts until [`Receiver::release`].
    pub(crate) fn take(&mut self, batch: &mut Vec<T>, patience: Duration) -> Taken {
        let shared = &*self.shared;
        let until = Instant::now() + patience;
        let mut state = shared.lock();
        // Senders are spared a wake-up, and the reader many small batches, by not looking at once.
        let is_calm = state.items.len() < MANY && !shared.is_half_full();
        if is_calm && !state.closed && !state.nudged && !self.waited {
            state = wait(shared, state, Reader::Dozing, DOZE.min(patience));
        }
        loop {
            shared.memory.give_back(mem::take(&mut state.ahead));
            if !state.items.is_empty() {
                mem::swap(&mut state.items, batch);
                state.reader = Reader::Awake;
                self.last_came = Instant::now();
                (self.waited, state.nudged) = (false, false);
                return Taken::Some;
            }
            if state.closed {
                return Taken::Closed;
            }
            let now = Instant::now();
            if now >= until || mem::take(&mut state.nudged) {
                state.reader = Reader::Awake;
                self.waited = true;
                return Taken::Nothing;
            }
            let rest = until - now;
            let (how, time) = match now.duration_since(self.last_came) < QUIET {
                true => (Reader::Dozing, DOZE.min(rest)),
                false => (Reader::Asleep, rest),
            };
            state = wait(shared, state, how, time);
        }
    }

    /// Who wakes it.
    pub(crate) fn nudge(&self) -> Nudge<T> {
        Nudge(self.shared.clone())
    }

    /// What weighed `weight` is no longer held.
    pub(crate) fn release(&self, weight: usize) {
        let state = self.shared.lock();
        self.shared.weight.store(self.shared.weight.load(Relaxed).saturating_sub(weight), Relaxed);
        drop(state);
        self.shared.memory.give_back(weight);
    }
}

fn wait<'a, T>(
    shared: &'a Shared<T>,
    mut state: MutexGuard<'a, State<T>>,
    how: Reader,
    time: Duration,
) -> MutexGuard<'a, State<T>> {
    state.reader = how;
    let (mut state, _) = shared.changed.wait_timeout(state, time).unwrap_or_else(PoisonError::into_inner);
    state.reader = Reader::Awake;
    state
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;

    fn queue(capacity: usize) -> (Sender<u32>, Receiver<u32>, Arc<Memory>) {
        let memory = Arc::new(Memory::new(1 << 20));
        let (sender, receiver) = bounded(capacity, memory.clone());
        (sender, receiver, memory)
    }

    fn all(receiver: &mut Receiver<u32>) -> Vec<u32> {
        let mut batch = Vec::new();
        while receiver.take(&mut batch, Duration::ZERO) == Taken::Nothing {}
        batch
    }

    #[test]
    fn what_does_not_fit_is_refused_and_what_must_arrive_arrives() {
        let (sender, mut receiver, memory) = queue(640);
        assert!(sender.offer(1, 10));
        assert!(sender.offer(2, 550));
        assert!(!sender.offer(3, 20), "a big one may not have the last eighth");
        assert!(sender.offer(4, 10), "a small one may");
        sender.push(5, 500);
        assert!(!sender.offer(6, 1));
        assert_eq!(sender.weight().load(Relaxed), 1070);
        assert!((1070..1070 + AHEAD).contains(&memory.used()));
        assert_eq!(all(&mut receiver), [1, 2, 4, 5]);
        assert_eq!((sender.weight().load(Relaxed), memory.used()), (1070, 1070));
        receiver.release(1070);
        assert_eq!((sender.weight().load(Relaxed), memory.used()), (0, 0));
    }

    #[test]
    fn the_memory_of_all_is_a_bound_too() {
        let memory = Arc::new(Memory::new(100));
        let (sender, _receiver) = bounded(1 << 20, memory.clone());
        assert!(memory.take(95));
        assert!(!sender.offer(1, 10));
        assert_eq!((sender.weight().load(Relaxed), memory.used()), (0, 95));
    }

    #[test]
    fn many_senders_keep_their_own_order_and_the_reader_sees_the_end() {
        let (sender, mut receiver, _) = queue(1 << 30);
        let sender = Arc::new(sender);
        let threads: Vec<_> = (0..4_u32)
            .map(|thread| {
                let sender = sender.clone();
                thread::spawn(move || (0..5_000).for_each(|n| sender.push(thread << 16 | n, 1)))
            })
            .collect();
        drop(sender);
        let (mut seen, mut batch) = ([0; 4], Vec::new());
        while receiver.take(&mut batch, Duration::from_secs(60)) != Taken::Closed {
            for item in batch.drain(..) {
                let next = &mut seen[(item >> 16) as usize];
                assert_eq!(item & 0xffff, *next);
                *next += 1;
            }
        }
        assert_eq!(seen, [5_000; 4]);
        threads.into_iter().for_each(|thread| thread.join().unwrap());
    }

    #[test]
    fn a_sleeping_reader_is_woken() {
        let (sender, mut receiver, _) = queue(1 << 20);
        receiver.last_came -= QUIET;
        let reader = thread::spawn(move || {
            let mut batch = Vec::new();
            (receiver.take(&mut batch, Duration::from_secs(600)), batch)
        });
        while sender.0.lock().reader != Reader::Asleep {
            thread::yield_now();
        }
        sender.push(7, 1);
        assert_eq!(reader.join().unwrap(), (Taken::Some, vec![7]));
    }

    #[test]
    fn what_many_offer_at_once_is_bounded_and_none_of_it_is_lost_or_told_twice() {
        const CAPACITY: usize = 10_000;
        const LARGEST: usize = 400;
        let memory = Arc::new(Memory::new(8_000));
        let (sender, mut receiver) = bounded::<(usize, usize)>(CAPACITY, memory.clone());
        let sender = Arc::new(sender);
        let threads: Vec<_> = (0..4)
            .map(|thread| {
                let sender = sender.clone();
                thread::spawn(move || {
                    let weights = (0..5_000).map(|number| number % LARGEST + 1);
                    let given = weights.filter(|weight| sender.offer((thread, *weight), *weight));
                    given.sum::<usize>()
                })
            })
            .collect();
        let weight = sender.weight().clone();
        drop(sender);
        let (mut came, mut batch) = ([0; 4], Vec::new());
        while receiver.take(&mut batch, Duration::from_secs(60)) != Taken::Closed {
            assert!(weight.load(Relaxed) <= CAPACITY);
            for (thread, weight) in batch.drain(..) {
                came[thread] += weight;
                receiver.release(weight);
            }
        }
        let given: Vec<_> = threads.into_iter().map(|thread| thread.join().unwrap()).collect();
        assert_eq!(came.to_vec(), given);
        assert!(given.iter().sum::<usize>() > 0);
        assert_eq!((weight.load(Relaxed), memory.used()), (0, 0));
    }

    #[test]
    fn who_nudges_is_noticed_by_a_reader_that_waits_and_by_one_that_will() {
        let (sender, mut receiver, _) = queue(100);
        let nudge = receiver.nudge();
        let long = Duration::from_secs(3600);
        let mut batch = Vec::new();
        nudge.nudge();
        assert_eq!(receiver.take(&mut batch, long), Taken::Nothing);
        let waiting = thread::spawn(move || (receiver.take(&mut batch, long), receiver, batch));
        nudge.nudge();
        let (taken, mut receiver, mut batch) = waiting.join().unwrap();
        assert_eq!(taken, Taken::Nothing);
        assert!(sender.offer(1, 1));
        nudge.nudge();
        assert_eq!(receiver.take(&mut batch, long), Taken::Some);
        batch.clear();
        assert!(!receiver.shared.lock().nudged);
        drop(sender);
        nudge.nudge();
        assert_eq!(receiver.take(&mut batch, long), Taken::Closed);
    }
}
