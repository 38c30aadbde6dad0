//! All interceptors at work: a mailbox and a thread each, so that one which is slow, stuck or broken loses its own view
//! and nothing else.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::sync::mpsc;
use std::time::Duration;
use std::{io, thread};

use perimeter_interceptor::host::{Desk, Notice, What};
use perimeter_interceptor::{Call, Counter, ExchangeId, Interceptor, Interest, LlmEvent, Peer, Unseen};
use tokio::sync::oneshot;
use tokio::time::{Instant, timeout_at};

use crate::memory::Memory;
use crate::priority;
use crate::weight;

mod worker;

use worker::Worker;

/// What an interceptor's place at an exchange weighs besides the notices: its end, which must arrive, is paid for here.
const SEAT: usize = 512;

/// A parcel with more notices grows as it is filled.
const MANY: usize = 1024;

/// All interceptors that are hired, as the scribe sees them.
#[derive(Debug)]
pub(crate) struct Crew {
    members: Vec<Member>,
    memory: Arc<Memory>,
    mailbox: usize,
}

/// An interceptor, as the scribe sees it.
#[derive(Debug)]
struct Member {
    interest: Interest,
    gauge: Arc<Gauge>,
    mailbox: mpsc::Sender<Parcel>,
    /// What goes out next.
    parcel: Parcel,
    /// The exchanges that it was told of.
    told: Followed,
}

/// Exchanges that an interceptor was told of. It is looked into for each notice; nobody outside chooses their ids.
type Followed = HashMap<ExchangeId, Told, foldhash::fast::RandomState>;

/// Notices on their way to an interceptor. What they weigh is given back as they go, also where nobody takes them.
#[derive(Debug)]
struct Parcel {
    /// Each with what it weighs.
    notices: VecDeque<(Notice, usize)>,
    gauge: Arc<Gauge>,
    memory: Arc<Memory>,
}

impl Parcel {
    /// With room for `expected` notices.
    fn new(gauge: Arc<Gauge>, memory: Arc<Memory>, expected: usize) -> Self {
        Self { notices: VecDeque::with_capacity(expected), gauge, memory }
    }

    /// The next notice.
    fn first(&self) -> Option<&Notice> {
        self.notices.front().map(|(notice, _)| notice)
    }

    /// The next notice is not needed any more.
    fn let_go(&mut self) {
        if let Some((notice, weight)) = self.notices.pop_front() {
            drop(notice);
            self.gauge.release(weight);
            self.memory.give_back(weight);
        }
    }
}

impl Drop for Parcel {
    fn drop(&mut self) {
        while !self.notices.is_empty() {
            self.let_go();
        }
    }
}

/// What an interceptor was not told of an exchange.
#[derive(Debug, Default)]
struct Told {
    /// Once something did not fit, nothing more is told but heads and the end: what was told is a prefix.
    quiet: bool,
    unseen: Unseen,
}

/// How an interceptor is doing.
#[derive(Debug)]
pub(crate) struct Gauge {
    /// Its name in the configuration.
    pub name: Arc<str>,
    /// What it counts of itself.
    pub counters: Vec<Counter>,
    /// What its mailbox holds at most, bytes.
    pub capacity: usize,
    /// What its mailbox holds, bytes, but for what is larger than it.
    pub held: AtomicUsize,
    /// What it holds that is larger than itself, bytes.
    pub oversize: AtomicUsize,
    /// Exchanges that it was not told of.
    pub refused: AtomicU64,
    /// Bytes that it was not told of.
    pub unseen: AtomicU64,
    /// Callbacks that returned an error.
    pub errors: AtomicU64,
    /// Callbacks that panicked.
    pub panics: AtomicU64,
    /// Whether it was retired after too many panics.
    pub retired: AtomicBool,
    /// Whether it is losing something at present, and whether that was said.
    behind: AtomicBool,
    said: AtomicBool,
    /// When it may be said again, seconds after `began`.
    say_again: AtomicU64,
    began: Instant,
}

/// That an interceptor cannot keep up is said so often at most, seconds.
const SAY_AGAIN: u64 = 10;

impl Gauge {
    fn new(name: &str, capacity: usize, counters: Vec<Counter>) -> Self {
        Self {
            name: name.into(),
            counters,
            capacity,
            held: AtomicUsize::new(0),
            oversize: AtomicUsize::new(0),
            refused: AtomicU64::new(0),
            unseen: AtomicU64::new(0),
            errors: AtomicU64::new(0),
            panics: AtomicU64::new(0),
            retired: AtomicBool::new(false),
            behind: AtomicBool::new(false),
            said: AtomicBool::new(false),
            say_again: AtomicU64::new(0),
            began: Instant::now(),
        }
    }

    /// A notice that may not use the last eighth could never be told, if it had to fit.
    fn is_oversize(&self, weight: usize) -> bool {
        weight > self.capacity - self.capacity / 8
    }

    fn take(&self, weight: usize) {
        let place = if self.is_oversize(weight) { &self.oversize } else { &self.held };
        place.fetch_add(weight, Relaxed);
    }

    fn release(&self, weight: usize) {
        let place = if self.is_oversize(weight) { &self.oversize } else { &self.held };
        place.fetch_sub(weight, Relaxed);
    }

    fn fell_behind(&self) {
        let now = self.began.elapsed().as_secs();
        if self.behind.swap(true, Relaxed) || now < self.say_again.load(Relaxed) {
            return;
        }
        self.say_again.store(now + SAY_AGAIN, Relaxed);
        self.said.store(true, Relaxed);
        tracing::warn!(
            interceptor = &*self.name,
            "what does not fit into its mailbox, or into observe.memory, is not told to it"
        );
    }

    fn caught_up(&self) {
        if self.behind.load(Relaxed) && self.behind.swap(false, Relaxed) && self.said.swap(false, Relaxed) {
            let (refused, unseen) = (self.refused.load(Relaxed), self.unseen.load(Relaxed));
            tracing::info!(interceptor = &*self.name, refused, unseen, "is told everything again");
        }
    }
}

/// Tells when an interceptor's thread has ended.
#[derive(Debug)]
pub(crate) struct Leaving {
    name: Arc<str>,
    done: oneshot::Receiver<()>,
}

impl Leaving {
    /// Of the thread that holds what comes first, until it drops it.
    pub(crate) fn new(name: &str) -> (oneshot::Sender<()>, Self) {
        let (ends, done) = oneshot::channel();
        (ends, Self { name: name.into(), done })
    }
}

impl Crew {
    /// Nobody yet. Each mailbox will hold up to `mailbox` bytes, which also count as `memory`.
    pub(crate) fn new(mailbox: usize, memory: Arc<Memory>) -> Self {
        Self { members: Vec::new(), memory, mailbox }
    }

    /// Seats an interceptor at a thread of its own.
    ///
    /// # Errors
    /// Where the system gives no thread.
    pub(crate) fn hire<I: Interceptor>(&mut self, name: &str, interceptor: I) -> io::Result<Leaving> {
        let interest = interceptor.interest();
        let gauge = Arc::new(Gauge::new(name, self.mailbox, interceptor.counters()));
        let (mailbox, inbox) = mpsc::channel();
        let (ends, leaving) = Leaving::new(name);
        let worker = Worker { inbox, gauge: gauge.clone() };
        thread::Builder::new().name(format!("perimeter-{name}")).spawn(move || {
            priority::behind_the_traffic();
            // Its states need not be `Send`: they are born and die here.
            worker.work(Desk::new(interceptor, interest));
            drop(ends);
        })?;
        self.seat(interest, gauge, mailbox);
        Ok(leaving)
    }

    fn seat(&mut self, interest: Interest, gauge: Arc<Gauge>, mailbox: mpsc::Sender<Parcel>) {
        let parcel = Parcel::new(gauge.clone(), self.memory.clone(), 0);
        self.members.push(Member { interest, gauge, mailbox, parcel, told: Followed::default() });
    }

    /// What anybody wants to hear.
    pub(crate) fn interest(&self) -> Interest {
        self.members.iter().fold(Interest::NONE, |all, member| all | member.interest)
    }

    /// How everyone is doing.
    pub(crate) fn gauges(&self) -> Vec<Arc<Gauge>> {
        self.members.iter().map(|member| member.gauge.clone()).collect()
    }

    /// Puts `notice` into the parcel of each who wants it and has room for it.
    pub(crate) fn tell(&mut self, notice: &Notice) {
        let mut weighed = None;
        for member in &mut self.members {
            if member.gauge.retired.load(Relaxed) {
                member.told = Followed::default();
                continue;
            }
            match notice {
                Notice::Exchange { exchange, what, .. } if member.interest.wants(what) => {
                    let (weight, loses) =
                        *weighed.get_or_insert_with(|| (weight::of(exchange, what), loses(what)));
                    member.tell(&self.memory, notice, weight, loses);
                }
                Notice::Exchange { .. } => {}
                // Nothing was paid for these before, so nothing bounds how many there are.
                Notice::SessionEnd(_) if member.offer(&self.memory, notice, SEAT) => {}
                Notice::SessionEnd(_) => member.gauge.fell_behind(),
            }
        }
    }

    /// As [`tell`](Self::tell), when nothing comes any more but the ends of what is open. They arrive, also where there
    /// is little room: there are no more of them than sessions were held.
    pub(crate) fn tell_at_last(&mut self, notice: &Notice) {
        if !matches!(notice, Notice::SessionEnd(_)) {
            return self.tell(notice);
        }
        for member in self.members.iter_mut().filter(|member| !member.gauge.retired.load(Relaxed)) {
            member.put(&self.memory, notice.clone(), SEAT);
        }
    }

    /// Sends all parcels.
    pub(crate) fn post(&mut self) {
        for member in &mut self.members {
            if member.parcel.notices.is_empty() {
                continue;
            }
            // As many as last time, but for a burst.
            let expected = member.parcel.notices.len().min(MANY);
            let next = Parcel::new(member.gauge.clone(), self.memory.clone(), expected);
            let parcel = std::mem::replace(&mut member.parcel, next);
            if member.mailbox.send(parcel).is_err() {
                // Its thread is gone, which only a fault of ours can do.
                member.gauge.retired.store(true, Relaxed);
            }
        }
    }
}

impl Member {
    fn tell(&mut self, memory: &Memory, notice: &Notice, weight: usize, loses: Option<(Peer, usize)>) {
        let Notice::Exchange { exchange, elapsed, what } = notice else { return };
        match what {
            What::RequestHead(_) => {
                if self.offer(memory, notice, weight + SEAT) {
                    self.told.insert(exchange.id, Told::default());
                } else {
                    self.gauge.refused.fetch_add(1, Relaxed);
                    self.gauge.fell_behind();
                }
            }
            What::End(end) => {
                let Some(told) = self.told.remove(&exchange.id) else { return };
                let mut end = end.clone();
                end.unseen.add(Peer::Client, told.unseen.client);
                end.unseen.add(Peer::Upstream, told.unseen.upstream);
                let (exchange, elapsed) = (exchange.clone(), *elapsed);
                self.put(memory, Notice::Exchange { exchange, elapsed, what: What::End(end) }, weight);
            }
            _ => {
                let Some(quiet) = self.told.get(&exchange.id).map(|told| told.quiet) else { return };
                match loses {
                    None => self.put(memory, notice.clone(), weight),
                    Some(_) if !quiet && self.offer(memory, notice, weight) => {}
                    Some((from, bytes)) => {
                        if let (What::Llm(LlmEvent::Call(call)), false) = (what, quiet) {
                            self.tell_only_that(memory, notice, call);
                        }
                        self.lose(exchange.id, from, bytes);
                    }
                }
            }
        }
    }

    /// There is no room for the call: tells that there is one, so that its end can be told as that of a call.
    fn tell_only_that(&mut self, memory: &Memory, notice: &Notice, call: &Call) {
        let Notice::Exchange { exchange, elapsed, .. } = notice else { return };
        let mut bare = Call::new(call.id, call.dialect, call.session.clone());
        bare.model.clone_from(&call.model);
        bare.streaming = call.streaming;
        bare.partial = true;
        let what = What::Llm(LlmEvent::Call(Arc::new(bare)));
        let weight = weight::of(exchange, &what);
        let bare = Notice::Exchange { exchange: exchange.clone(), elapsed: *elapsed, what };
        self.offer(memory, &bare, weight);
    }

    fn lose(&mut self, exchange: ExchangeId, from: Peer, bytes: usize) {
        self.gauge.unseen.fetch_add(bytes as u64, Relaxed);
        self.gauge.fell_behind();
        if let Some(told) = self.told.get_mut(&exchange) {
            told.quiet = true;
            told.unseen.add(from, bytes as u64);
        }
    }

    /// Puts a notice into the parcel if it fits. A big one may not use the last eighth, which is kept for small ones.
    /// One that is larger than the mailbox is told to who has next to nothing to do, beside what the mailbox holds and
    /// as far as the memory of all allows.
    fn offer(&mut self, memory: &Memory, notice: &Notice, weight: usize) -> bool {
        let capacity = self.gauge.capacity;
        let held = self.gauge.held.load(Relaxed);
        let fits = if self.gauge.is_oversize(weight) {
            held <= capacity / 64 && self.gauge.oversize.load(Relaxed) == 0
        } else {
            let reserve = if weight > capacity / 64 { capacity / 8 } else { 0 };
            held.saturating_add(weight) <= capacity - reserve
        };
        if !fits || !memory.take(weight) {
            return false;
        }
        self.gauge.take(weight);
        self.parcel.notices.push_back((notice.clone(), weight));
        true
    }

    /// Puts a notice that must arrive into the parcel.
    fn put(&mut self, memory: &Memory, notice: Notice, weight: usize) {
        memory.take_anyhow(weight);
        self.gauge.take(weight);
        self.parcel.notices.push_back((notice, weight));
    }
}

/// Who said what is lost with this notice, and how much, bytes. `None` for what is always told.
fn loses(what: &What) -> Option<(Peer, usize)> {
    match what {
        What::RequestChunk(chunk) => Some((Peer::Client, chunk.len())),
        What::ResponseChunk(chunk) => Some((Peer::Upstream, chunk.len())),
        What::UpgradedChunk(from, chunk) => Some((*from, chunk.len())),
        What::Llm(event @ LlmEvent::Call(_)) => Some((Peer::Client, weight::event_of(event).max(1))),
        What::Llm(event) => Some((Peer::Upstream, weight::event_of(event).max(1))),
        _ => None,
    }
}

/// Waits for the threads to end: names those that had not `within` that time.
pub(crate) async fn dismiss(leaving: Vec<Leaving>, within: Duration) -> Vec<Arc<str>> {
    let until = Instant::now() + within;
    let mut left = Vec::new();
    for Leaving { name, done } in leaving {
        // The sender is dropped, never used.
        if timeout_at(until, done).await.is_err() {
            left.push(name);
        }
    }
    left
}

#[cfg(test)]
mod tests;
