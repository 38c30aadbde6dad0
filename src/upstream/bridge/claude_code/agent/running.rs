//! What runs now: one turn of a session at a time, each of which can be stopped.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::upstream::bridge::{Failure, Kind};

/// How long whoever stops a turn waits for its end.
const PATIENCE: Duration = Duration::from_secs(10);

/// The turns that run.
#[derive(Clone, Debug, Default)]
pub(super) struct Running(Arc<Mutex<HashMap<String, Entry>>>);

#[derive(Debug)]
struct Entry {
    owner: String,
    stop: CancellationToken,
    end: watch::Receiver<()>,
}

/// A turn of a session. There is no other until it is dropped.
#[derive(Debug)]
pub(super) struct Turn {
    session: String,
    running: Running,
    stop: CancellationToken,
    /// Dropped with it, which those who wait for the end hear.
    _end: watch::Sender<()>,
}

impl Running {
    /// Takes the session for a turn, which is stopped when its client has `left`, too.
    ///
    /// # Errors
    /// Where it is taken.
    pub(super) fn take(&self, session: &str, owner: &str, left: &CancellationToken) -> Result<Turn, Failure> {
        let mut all = self.lock();
        if all.contains_key(session) {
            let message = format!("Session {session} is at work for another request");
            return Err(Failure { param: Some("session_id".into()), ..Failure::new(Kind::Busy, message) });
        }
        let (tell, end) = watch::channel(());
        let stop = left.child_token();
        all.insert(session.to_owned(), Entry { owner: owner.to_owned(), stop: stop.clone(), end });
        Ok(Turn { session: session.to_owned(), running: self.clone(), stop, _end: tell })
    }

    /// Whether something runs in the session.
    pub(super) fn is(&self, session: &str) -> bool {
        self.lock().contains_key(session)
    }

    /// The sessions of `owner` that something runs in.
    pub(super) fn of(&self, owner: &str) -> Vec<String> {
        let all = self.lock();
        let mut of: Vec<_> =
            all.iter().filter(|(_, entry)| entry.owner == owner).map(|(id, _)| id.clone()).collect();
        of.sort_unstable();
        of
    }

    /// The sessions of everybody that something runs in.
    pub(super) fn all(&self) -> Vec<String> {
        self.lock().keys().cloned().collect()
    }

    /// Stops what runs in the session, and waits for its end.
    pub(super) async fn stop(&self, session: &str) {
        let Some(mut end) = self.lock().get(session).map(|entry| {
            entry.stop.cancel();
            entry.end.clone()
        }) else {
            return;
        };
        if tokio::time::timeout(PATIENCE, end.changed()).await.is_err() {
            tracing::warn!(session, "a turn was told to stop and still runs");
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Entry>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Turn {
    /// Done when somebody has told it to stop.
    pub(super) async fn stopped(&self) {
        self.stop.cancelled().await;
    }

    /// Whether somebody has.
    pub(super) fn is_stopped(&self) -> bool {
        self.stop.is_cancelled()
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.running.lock().remove(&self.session);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_session_has_one_turn_at_a_time_and_who_stops_it_waits_for_its_end() {
        let (running, left) = (Running::default(), CancellationToken::new());
        let turn = running.take("s", "me", &left).unwrap();
        assert_eq!(running.take("s", "me", &left).unwrap_err().kind, Kind::Busy);
        assert_eq!((running.of("me"), running.of("you")), (vec!["s".to_owned()], vec![]));
        let (stop, ()) = tokio::join!(running.stop("s"), async {
            turn.stopped().await;
            assert!(running.is("s"));
            drop(turn);
        });
        assert_eq!(stop, ());
        assert!(!running.is("s"));
        running.stop("s").await;
        let turn = running.take("s", "me", &left).unwrap();
        left.cancel();
        turn.stopped().await;
    }
}
