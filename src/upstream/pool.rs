//! Idle connections to a provider, one pool for each forwarding thread.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::Notify;

use super::connection::Connection;
use super::turn::Moment;

/// How long a connection is kept idle where the provider does not say.
const IDLE_FOR: Duration = Duration::from_secs(30);

/// How often idle connections are looked through: one that its provider closed is closed then.
const SWEEP: Duration = Duration::from_secs(1);

/// A provider that closes a connection right behind its answer needs some time for that, too: a client that asks again
/// at once would be as quick.
const FRESH: Duration = Duration::from_micros(250);

/// The latest used comes out first: it is the least likely to have been closed by the other side, and those that
/// are not needed grow old.
///
/// What a provider does right behind its answer, and be it that it closes the connection, is known only when the runtime
/// has looked at its sockets again. Until then a connection is fresh, and whoever takes it lets the runtime look first.
#[derive(Debug, Default)]
pub(super) struct Pool {
    idle: Mutex<Vec<Idle>>,
    /// There is one where there was none.
    filled: Notify,
}

#[derive(Debug)]
struct Idle {
    connection: Box<Connection>,
    since: Instant,
    until: Instant,
    came: Moment,
}

impl Idle {
    /// Whether what its provider did right behind the last answer may still be unknown.
    fn is_fresh(&self, now: Instant) -> bool {
        !self.came.is_looked_back_at() || now.saturating_duration_since(self.since) < FRESH
    }

    /// Whether it takes a request; else it is to be given up.
    fn is_ready(&mut self, now: Instant) -> bool {
        now < self.until && self.connection.is_ready()
    }
}

impl Pool {
    /// A connection that is ready for a request as far as can be known, and whether it is fresh.
    pub(super) fn take(&self, now: Instant) -> Option<(Box<Connection>, bool)> {
        let mut idle = self.lock();
        let fresh = idle.iter().rev().take_while(|idle| idle.is_fresh(now)).count();
        // From the end, and no further than needed: the old ones are `sweep`'s.
        for at in (0..idle.len() - fresh).rev() {
            let is_ready = idle[at].is_ready(now);
            let connection = idle.remove(at).connection;
            if is_ready {
                return Some((connection, false));
            }
        }
        if fresh == 0 { None } else { idle.pop().map(|idle| (idle.connection, true)) }
    }

    /// Keeps a connection whose exchange is over, for as long as its provider says it would.
    pub(super) fn put(&self, connection: Box<Connection>, keep_alive: Option<Duration>) {
        let idle_for = idle_for(keep_alive);
        if !idle_for.is_zero() {
            let since = Instant::now();
            let mut idle = self.lock();
            let is_first = idle.is_empty();
            idle.push(Idle { connection, since, until: since + idle_for, came: Moment::now() });
            drop(idle);
            if is_first {
                self.filled.notify_one();
            }
        }
    }

    /// Drops, and thereby closes, what has been idle for too long, or was closed by the other side. Whether anything
    /// stays.
    pub(super) fn sweep(&self) -> bool {
        let now = Instant::now();
        let mut idle = self.lock();
        idle.retain_mut(|idle| idle.is_ready(now));
        !idle.is_empty()
    }

    /// Does so now and then, as long as it is polled; never where there is none.
    pub(super) async fn keep_sweeping(&self) {
        loop {
            self.filled.notified().await;
            while self.sweep() {
                tokio::time::sleep(SWEEP).await;
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Idle>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How long a connection is kept whose provider says that it keeps it for `keep_alive`.
fn idle_for(keep_alive: Option<Duration>) -> Duration {
    // A second less than the provider's own clock: the request needs some time to get there.
    keep_alive.map_or(IDLE_FOR, |told| told.saturating_sub(Duration::from_secs(1)).min(IDLE_FOR))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_connection_is_given_up_before_its_provider_does() {
        for (told, kept) in [(None, 30), (Some(5), 4), (Some(1), 0), (Some(0), 0), (Some(u64::MAX), 30)] {
            assert_eq!(idle_for(told.map(Duration::from_secs)), Duration::from_secs(kept), "{told:?}");
        }
    }
}
