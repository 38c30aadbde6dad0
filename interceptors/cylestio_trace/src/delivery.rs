//! How an event gets to the platform: the tries, the waits between them, and what it means that it did not.

use std::collections::HashSet;
use std::hash::{BuildHasher as _, RandomState};
use std::mem::{Discriminant, discriminant};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use crate::platform::{Answer, Platform};
use crate::queue::Queue;
use crate::token::{Issuer, NoToken, Token};

/// How often an event is tried.
const TRIES: u32 = 3;
/// So many times shorter are the waits when it is time to stop: by default that may take five seconds (`server.flush`).
const AT_THE_STOP: u32 = 4;

/// How long is waited for what.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Schedule {
    /// Before the second try; before each further one twice as long, and each time 10 to 30 % longer, so that not all
    /// who wait come back at once.
    pub first: Duration,
    /// Never longer than this, unless the platform says so (`Retry-After`, as far as five minutes).
    pub longest: Duration,
    /// After the access key was refused, until it is tried again.
    pub refused: Duration,
}

impl Default for Schedule {
    fn default() -> Self {
        Self {
            first: Duration::from_secs(1),
            longest: Duration::from_secs(30),
            refused: Duration::from_secs(10),
        }
    }
}

impl Schedule {
    /// How long to wait after so many tries; `chance` is anything.
    fn wait(&self, tries: u32, chance: u64) -> Duration {
        let doubled = self.first.saturating_mul(1 << tries.saturating_sub(1).min(16)).min(self.longest);
        let longer = 110 + u32::try_from(chance % 21).unwrap_or_default();
        (doubled.saturating_mul(longer) / 100).min(self.longest)
    }
}

/// Why an event did not reach the platform.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Loss {
    #[error("too many wait to be sent already (queue)")]
    Full,
    #[error("the platform answers {0}")]
    Busy(u16),
    #[error("the platform cannot be reached: {0}")]
    Away(String),
    #[error("the platform refuses it with {0}")]
    Refused(u16),
    #[error("the platform refuses each token with {0}")]
    TokenRefused(u16),
    #[error("the access key is refused with {0}: see access_key in its config, or CYLESTIO_ACCESS_KEY")]
    KeyRefused(u16),
    #[error("there is no token in the answer for the access key")]
    Unreadable,
    #[error("who gives tokens answers {0}")]
    IssuerBusy(u16),
    #[error("who gives tokens cannot be reached: {0}")]
    IssuerAway(String),
}

impl Loss {
    /// What is said once for all of its like.
    fn kind(&self) -> (Discriminant<Self>, u16) {
        let status = match self {
            Self::Busy(status)
            | Self::Refused(status)
            | Self::TokenRefused(status)
            | Self::KeyRefused(status)
            | Self::IssuerBusy(status) => *status,
            Self::Full | Self::Away(_) | Self::Unreadable | Self::IssuerAway(_) => 0,
        };
        (discriminant(self), status)
    }
}

/// Why a try failed.
enum Trouble {
    /// Another one may succeed, after a while that may have been told.
    Passing(Loss, Option<Duration>),
    /// No other will.
    Lasting(Loss),
}

impl From<NoToken> for Trouble {
    fn from(why: NoToken) -> Self {
        match why {
            NoToken::Later(loss, after) => Self::Passing(loss, after),
            NoToken::Never(loss) => Self::Lasting(loss),
        }
    }
}

/// Takes events out of the queue and to the platform. Shared by the threads that do.
pub(crate) struct Delivery {
    pub(crate) queue: Queue,
    pub(crate) issuer: Issuer,
    pub(crate) platform: Platform,
    pub(crate) schedule: Schedule,
    pub(crate) sent: Arc<AtomicU64>,
    pub(crate) lost: Arc<AtomicU64>,
    pub(crate) said: Mutex<HashSet<(Discriminant<Loss>, u16)>>,
    /// Why there was no way to the platform any more when it was time to stop: what still waits is given up.
    pub(crate) hopeless: OnceLock<Loss>,
}

impl Delivery {
    /// Sends all that comes, until nothing does any more.
    pub(crate) fn work(&self) {
        while let Some(sending) = self.queue.next() {
            let sent =
                self.hopeless.get().map_or_else(|| self.deliver(&sending.event), |why| Err(why.clone()));
            match sent {
                Ok(()) => {
                    self.sent.fetch_add(1, Relaxed);
                }
                Err(loss) => self.lose(&loss),
            }
            self.queue.done(sending);
        }
    }

    /// An event is lost. It is counted, and said if none was lost like this before.
    pub(crate) fn lose(&self, loss: &Loss) {
        self.lost.fetch_add(1, Relaxed);
        let is_new = self.said.lock().unwrap_or_else(PoisonError::into_inner).insert(loss.kind());
        if is_new {
            tracing::warn!(
                why = %loss,
                "an event did not reach the Cylestio platform, and is lost; more of its like are only counted"
            );
        }
    }

    fn deliver(&self, event: &str) -> Result<(), Loss> {
        let mut refused = None;
        let mut tries = 0;
        let is_last = self.queue.is_closed();
        loop {
            let (loss, after) = match self.attempt(event, &mut refused) {
                Ok(()) => return Ok(()),
                Err(Trouble::Lasting(loss)) => return Err(loss),
                Err(Trouble::Passing(loss, after)) => (loss, after),
            };
            if let Some(until) = after.and_then(|after| Instant::now().checked_add(after)) {
                // It is said to all.
                self.queue.pause(until);
            }
            tries += 1;
            if tries == TRIES {
                if is_last {
                    let _ = self.hopeless.set(loss.clone());
                }
                return Err(loss);
            }
            self.wait(tries, after);
        }
    }

    /// Waits before the next try. Who is to stop has no time for what the platform would like, and little for the rest.
    fn wait(&self, tries: u32, after: Option<Duration>) {
        let wait = self.schedule.wait(tries, RandomState::new().hash_one(tries));
        match self.queue.is_closed() {
            true => thread::sleep(wait / AT_THE_STOP),
            false => self.queue.rest(wait.max(after.unwrap_or_default())),
        }
    }

    /// One try, and where the token is `refused` for the first time another one with a new token.
    fn attempt(&self, event: &str, refused: &mut Option<Arc<Token>>) -> Result<(), Trouble> {
        loop {
            let token = self.issuer.token(refused.as_ref())?;
            match self.platform.post(&token, event) {
                Answer::Taken(_) => return Ok(()),
                Answer::Unauthorized(_) if refused.is_none() => *refused = Some(token),
                Answer::Unauthorized(status) => return Err(Trouble::Lasting(Loss::TokenRefused(status))),
                Answer::Busy(status, after) => return Err(Trouble::Passing(Loss::Busy(status), after)),
                Answer::Refused(status) => return Err(Trouble::Lasting(Loss::Refused(status))),
                Answer::Away(why) => return Err(Trouble::Passing(Loss::Away(why), None)),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_vary_and_are_bounded() {
        let schedule = Schedule::default();
        let millis = |tries, chance| schedule.wait(tries, chance).as_millis();
        assert_eq!((millis(1, 0), millis(1, 20), millis(2, 0), millis(2, 20)), (1100, 1300, 2200, 2600));
        assert_eq!((millis(5, 0), millis(6, 0), millis(u32::MAX, u64::MAX)), (17_600, 30_000, 30_000));
        for chance in 0..1000 {
            assert!((1100..=1300).contains(&millis(1, chance)));
        }
    }

    #[test]
    fn losses_of_one_kind_have_one_status_whatever_their_words() {
        assert_eq!(Loss::Away("a".into()).kind(), Loss::Away("b".into()).kind());
        assert_ne!(Loss::Refused(400).kind(), Loss::Refused(422).kind());
        assert_ne!(Loss::Refused(400).kind(), Loss::Busy(400).kind());
    }
}
