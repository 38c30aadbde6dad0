//! The thread that sends what waits of one signal.

use std::collections::HashSet;
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::time::Duration;

use tracing::{info, warn};

use super::transport::{Answer, Retry, Transport};
use super::{Batch, Counts, Outages, Queue};
use crate::settings::Schedule;

/// A backend that asks for more patience than this is asked again anyway.
const MOST_PATIENCE: Duration = Duration::from_secs(60 * 60);

/// What has no more bytes than this is not too large for anybody: a backend that says so would say so of each item.
const SMALL: u64 = 8 << 10;

/// Sends what waits in a queue.
#[derive(Debug)]
pub(crate) struct Courier {
    pub(crate) queue: Arc<Queue>,
    pub(crate) counts: Arc<Counts>,
    pub(crate) transport: Transport,
    pub(crate) schedule: Schedule,
    /// Who of all couriers' backends does not answer, and which of them this one's is.
    pub(crate) outages: Arc<Outages>,
    pub(crate) backend: String,
    pub(crate) said: Said,
}

/// What was said already, and is said once only.
#[derive(Debug, Default)]
pub(crate) struct Said {
    /// That the backend answers that it takes nothing now.
    busy: bool,
    /// Kinds of refusals.
    refused: HashSet<String>,
}

/// Its end came before the batch was sent.
struct GivenUp;

impl Courier {
    /// Sends until there is nothing more to come.
    pub(crate) fn run(mut self) {
        while let Some(batch) = self.queue.next() {
            if self.deliver(batch).is_err() {
                break;
            }
            self.queue.settle();
        }
        self.queue.give_up();
    }

    /// Sends it, in halves where it is too large.
    fn deliver(&mut self, batch: Batch) -> Result<(), GivenUp> {
        let mut pieces = vec![batch];
        while let Some(piece) = pieces.pop() {
            match self.send(&piece)? {
                Answer::Taken { rejected, message } => self.taken(&piece, rejected, message),
                Answer::TooLarge(why) if piece.size() <= SMALL => self.refused(&piece, &why),
                Answer::TooLarge(why) => match piece.halves() {
                    Some([first, second]) => pieces.extend([second, first]),
                    None => self.refused(&piece, &why),
                },
                Answer::Refused(why) => self.refused(&piece, &why),
                Answer::Retry(_) => {}
            }
        }
        Ok(())
    }

    /// Sends it, again and again until there is an answer.
    fn send(&mut self, batch: &Batch) -> Result<Answer, GivenUp> {
        let body = match self.transport.encode(batch) {
            Ok(body) => body,
            Err(error) => return Ok(Answer::Refused(error.to_string())),
        };
        let mut wait = self.schedule.first;
        loop {
            let stop = self.queue.stop();
            let retry = match self.transport.send(&body) {
                Answer::Retry(retry) => retry,
                answer => {
                    self.back();
                    return Ok(answer);
                }
            };
            self.not_now(&retry);
            if self.queue.gives_up(retry.away, stop) {
                return Err(GivenUp);
            }
            self.counts.retried();
            let pause = match retry.after {
                Some(after) => after.clamp(self.schedule.first, MOST_PATIENCE),
                None => jittered(wait),
            };
            self.queue.pause(pause, stop);
            wait = wait.saturating_mul(2).min(self.schedule.longest);
        }
    }

    fn taken(&mut self, batch: &Batch, rejected: u64, message: Option<String>) {
        let rejected = rejected.min(batch.items);
        self.counts.failed(rejected);
        self.counts.sent(batch.items - rejected);
        let Some(message) = message.or_else(|| (rejected > 0).then(String::new)) else { return };
        if self.said.refused.insert(String::from("partial success")) {
            let (signal, backend) = (self.queue.signal.name(), self.transport.backend());
            warn!(
                signal,
                backend, rejected, message, "the backend took a part only, or has something to say"
            );
        }
    }

    fn refused(&mut self, batch: &Batch, why: &str) {
        self.counts.failed(batch.items);
        // The status comes first; what follows may be different each time.
        let kind = why.split(':').next().unwrap_or_default().to_owned();
        if self.said.refused.insert(kind) {
            let (signal, backend) = (self.queue.signal.name(), self.transport.backend());
            warn!(signal, backend, why, "the backend refuses telemetry");
        }
    }

    fn not_now(&mut self, retry: &Retry) {
        if retry.away {
            return self.outages.away(&self.backend, self.queue.signal, &retry.why);
        }
        self.outages.back(&self.backend, self.queue.signal);
        if !std::mem::replace(&mut self.said.busy, true) {
            let (signal, backend) = (self.queue.signal.name(), self.transport.backend());
            warn!(
                signal,
                backend,
                why = retry.why,
                "the backend takes no telemetry; trying again until it does"
            );
        }
    }

    fn back(&mut self) {
        self.outages.back(&self.backend, self.queue.signal);
        if std::mem::take(&mut self.said.busy) {
            let (signal, backend) = (self.queue.signal.name(), self.transport.backend());
            info!(signal, backend, "the backend takes telemetry again");
        }
    }
}

/// Between half of it and all of it, so that not everybody comes back at once.
fn jittered(wait: Duration) -> Duration {
    let random = u32::try_from(RandomState::new().hash_one(()) >> 32).unwrap_or_default();
    wait / 2 + wait.mul_f64(0.5 * f64::from(random) / f64::from(u32::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_waits_less_than_half_or_more_than_all() {
        let wait = Duration::from_secs(4);
        assert!((0..1000).map(|_| jittered(wait)).all(|jittered| wait / 2 <= jittered && jittered <= wait));
    }
}
