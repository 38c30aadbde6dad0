//! How fast the account is used: Stackspot lets it send 100 requests a minute, all agents together.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::super::{Failure, Kind};

const MINUTE: Duration = Duration::from_secs(60);

/// The longest that Stackspot can keep us waiting.
const LONGEST: Duration = Duration::from_secs(300);

/// Keeps requests apart. Those who wait are served in the order they came.
#[derive(Debug)]
pub(super) struct Limiter {
    line: tokio::sync::Mutex<()>,
    pace: Mutex<Pace>,
}

#[derive(Debug)]
struct Pace {
    per_minute: usize,
    cooldown: Duration,
    /// When the requests of the last minute were sent.
    sent: VecDeque<Instant>,
    /// Nothing is sent before.
    resume: Option<Instant>,
    /// Half of it until then: Stackspot has said that we were too fast.
    slow_until: Option<Instant>,
}

impl Limiter {
    /// At most so many in any minute, and none for `cooldown` after a 429.
    pub(super) fn new(per_minute: usize, cooldown: Duration) -> Self {
        Self { line: tokio::sync::Mutex::default(), pace: Mutex::new(Pace::new(per_minute, cooldown)) }
    }

    /// Waits until a request may be sent, but not beyond `deadline`.
    pub(super) async fn turn(&self, deadline: Instant) -> Result<(), Failure> {
        let line = tokio::time::timeout_at(deadline.into(), self.line.lock()).await;
        let _first = line.map_err(|_| limited(self.lock().wait(Instant::now())))?;
        loop {
            let now = Instant::now();
            let wait = self.lock().wait(now);
            if wait.is_zero() {
                self.lock().sent.push_back(now);
                return Ok(());
            }
            if now + wait > deadline {
                return Err(limited(wait));
            }
            tokio::time::sleep(wait).await;
        }
    }

    /// Stackspot has refused a request, and said when to come again or not. The time until then.
    pub(super) fn refused(&self, retry_after: Option<Duration>) -> Duration {
        self.lock().refused(Instant::now(), retry_after)
    }

    fn lock(&self) -> MutexGuard<'_, Pace> {
        self.pace.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Too many requests, as far as we know.
fn limited(wait: Duration) -> Failure {
    let message = "the Stackspot account may send no more requests for now";
    Failure::new(Kind::RateLimit, message).after(wait.max(Duration::from_secs(1)))
}

impl Pace {
    fn new(per_minute: usize, cooldown: Duration) -> Self {
        Self { per_minute, cooldown, sent: VecDeque::new(), resume: None, slow_until: None }
    }

    /// How long the next request has to wait.
    fn wait(&mut self, now: Instant) -> Duration {
        while self.sent.front().is_some_and(|sent| now.saturating_duration_since(*sent) >= MINUTE) {
            self.sent.pop_front();
        }
        let slow = self.slow_until.is_some_and(|until| now < until);
        let most = if slow { (self.per_minute / 2).max(1) } else { self.per_minute };
        // The one whose minute has to be over for another to be sent.
        let full =
            self.sent.len().checked_sub(most).and_then(|at| self.sent.get(at)).map(|sent| *sent + MINUTE);
        [full, self.resume]
            .into_iter()
            .flatten()
            .map(|at| at.saturating_duration_since(now))
            .max()
            .unwrap_or_default()
    }

    fn refused(&mut self, now: Instant, retry_after: Option<Duration>) -> Duration {
        let wait = retry_after.map_or(self.cooldown, |told| told.min(LONGEST));
        let resume = self.resume.map_or(now + wait, |resume| resume.max(now + wait));
        self.resume = Some(resume);
        // Once an episode: what was on its way already is refused for the same reason.
        self.slow_until = Some(resume + MINUTE);
        resume.saturating_duration_since(now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn in_no_minute_more_is_sent_than_the_account_may() {
        let (mut pace, start) = (Pace::new(3, Duration::from_secs(15)), Instant::now());
        let at = |seconds| start + Duration::from_secs(seconds);
        for second in [0, 10, 20] {
            assert_eq!(pace.wait(at(second)), Duration::ZERO);
            pace.sent.push_back(at(second));
        }
        assert_eq!(pace.wait(at(25)), Duration::from_secs(35));
        assert_eq!(pace.wait(at(60)), Duration::ZERO);
        pace.sent.push_back(at(60));
        assert_eq!(pace.wait(at(61)), Duration::from_secs(9));
    }

    #[test]
    fn a_429_stops_everything_for_a_while_and_halves_the_pace_once() {
        let (mut pace, start) = (Pace::new(4, Duration::from_secs(15)), Instant::now());
        let at = |seconds| start + Duration::from_secs(seconds);
        assert_eq!(pace.refused(start, None), Duration::from_secs(15));
        assert_eq!(pace.refused(start, None), Duration::from_secs(15), "the same episode");
        assert_eq!(pace.wait(at(5)), Duration::from_secs(10));
        for second in [15, 16] {
            assert_eq!(pace.wait(at(second)), Duration::ZERO);
            pace.sent.push_back(at(second));
        }
        assert_eq!(pace.wait(at(17)), Duration::from_secs(58), "half of four a minute");
        assert_eq!(pace.wait(at(76)), Duration::ZERO, "and all of it again");
        assert_eq!(pace.refused(at(80), Some(Duration::from_secs(3600))), LONGEST);
        assert_eq!(
            pace.refused(at(80), Some(Duration::from_secs(1))),
            LONGEST,
            "a later word shortens nothing"
        );
    }
}
