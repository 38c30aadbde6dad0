//! The thread of one interceptor.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::mpsc::{self, RecvTimeoutError, TryRecvError};
use std::time::{Duration, Instant};

use perimeter_interceptor::Interceptor;
use perimeter_interceptor::host::{Desk, Fault, Misfortune, Notice, What};

use super::{Gauge, Parcel};
use crate::error::chain;
use crate::scribe::task::{BEAT, beat_since};

/// An interceptor that panics so often is retired.
const PANICS: u64 = 10;

/// Faults are logged so often; those between are counted in the next line.
const SAY_AGAIN: Duration = Duration::from_secs(1);

/// What a worker works from.
#[derive(Debug)]
pub(super) struct Worker {
    pub(super) inbox: mpsc::Receiver<Parcel>,
    pub(super) gauge: Arc<Gauge>,
}

impl Worker {
    /// Takes notices until none can come any more.
    pub(super) fn work<I: Interceptor>(self, desk: Desk<I>) {
        let mut complaints = Complaints { gauge: &self.gauge, last: None, untold: 0 };
        let mut desk = Some(desk);
        let mut idle_at = Instant::now() + BEAT;
        while let Some(parcel) = self.next(&mut idle_at, &mut desk, &mut complaints) {
            hand_out(parcel, &mut idle_at, &mut desk, &mut complaints);
        }
        if let Some(desk) = desk
            && let Err(fault) = desk.shut_down()
        {
            // Its last words are not held back.
            complaints.last = None;
            complaints.log(&fault);
        }
    }

    /// The next parcel; where none waits, the interceptor may write out what it holds.
    fn next<I: Interceptor>(
        &self,
        idle_at: &mut Instant,
        desk: &mut Option<Desk<I>>,
        complaints: &mut Complaints<'_>,
    ) -> Option<Parcel> {
        match self.inbox.try_recv() {
            Ok(parcel) => return Some(parcel),
            Err(TryRecvError::Disconnected) => return None,
            Err(TryRecvError::Empty) => self.gauge.caught_up(),
        }
        let last = Instant::now();
        loop {
            complaints.of(desk, Desk::idle);
            *idle_at = Instant::now() + BEAT;
            match self.inbox.recv_timeout(beat_since(last)) {
                Ok(parcel) => return Some(parcel),
                Err(RecvTimeoutError::Disconnected) => return None,
                Err(RecvTimeoutError::Timeout) => {}
            }
        }
    }
}

/// Hands out a parcel; where that takes long, with pauses in between.
fn hand_out<I: Interceptor>(
    mut parcel: Parcel,
    idle_at: &mut Instant,
    desk: &mut Option<Desk<I>>,
    complaints: &mut Complaints<'_>,
) {
    while let Some(notice) = parcel.first() {
        complaints.of(desk, |desk| desk.take(notice));
        let ends = matches!(notice, Notice::Exchange { what: What::End(_), .. });
        parcel.let_go();
        // The clock is looked at when an exchange is over, not for each of its notices.
        if ends || parcel.first().is_none() {
            let now = Instant::now();
            if now >= *idle_at {
                complaints.of(desk, Desk::idle);
                *idle_at = now + BEAT;
            }
        }
    }
}

/// What an interceptor did wrong: counted, and said now and then.
struct Complaints<'a> {
    gauge: &'a Gauge,
    last: Option<Instant>,
    untold: u64,
}

impl Complaints<'_> {
    /// Lets the interceptor do something, unless it was retired.
    fn of<I: Interceptor>(
        &mut self,
        desk: &mut Option<Desk<I>>,
        what: impl FnOnce(&mut Desk<I>) -> Result<(), Fault>,
    ) {
        let Some(at_work) = desk else { return };
        let Err(fault) = what(at_work) else { return };
        self.log(&fault);
        if let Misfortune::Panic(_) = fault.what
            && self.gauge.panics.load(Relaxed) >= PANICS
        {
            tracing::error!(interceptor = &*self.gauge.name, "retired: it has panicked {PANICS} times");
            self.gauge.retired.store(true, Relaxed);
            if let Some(Err(fault)) = desk.take().map(Desk::retire) {
                self.log(&fault);
            }
        }
    }

    fn log(&mut self, fault: &Fault) {
        let counter = match fault.what {
            Misfortune::Error(_) => &self.gauge.errors,
            Misfortune::Panic(_) => &self.gauge.panics,
        };
        counter.fetch_add(1, Relaxed);
        let now = Instant::now();
        if self.last.is_some_and(|last| now.duration_since(last) < SAY_AGAIN) {
            self.untold += 1;
            return;
        }
        self.last = Some(now);
        let untold = std::mem::take(&mut self.untold);
        let exchange = fault.exchange.map(|id| id.to_string()).unwrap_or_default();
        tracing::error!(interceptor = &*self.gauge.name, exchange, untold, "{}", chain(fault));
    }
}
