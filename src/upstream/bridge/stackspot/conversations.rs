//! The conversations that Stackspot remembers.
//!
//! A client names one and sends all of it each time; only what is new goes on. What Stackspot has heard is known by a
//! fingerprint: a history that does not begin with it was edited, or goes on from an earlier point, and becomes a
//! conversation of its own. A client that sends no history leaves remembering to Stackspot.

use std::num::NonZeroUsize;
use std::sync::{Mutex, MutexGuard, PoisonError};

use lru::LruCache;
use ring::rand::{SecureRandom as _, SystemRandom};

use super::super::Ask;
use super::super::ask::{Role, Turn};
use super::super::event::Answer;

mod fingerprint;
mod ulid;

use fingerprint::Heard;

/// Conversations known at once. The one not heard of for longest is forgotten, and begins anew.
const MOST: NonZeroUsize = NonZeroUsize::new(10_000).expect("it is not zero");

/// What is known of them.
#[derive(Debug)]
pub(super) struct Conversations(Mutex<LruCache<[u8; 16], Known>>);

/// One of them.
#[derive(Debug)]
struct Known {
    /// Its name at Stackspot.
    id: String,
    /// What was said in it so far; none once that is uncertain.
    heard: Option<Heard>,
    /// Whether an answer is being given in it now.
    busy: bool,
}

/// Where a request goes on. Dropped, the answer was not given.
#[derive(Debug)]
pub(super) struct Place<'a> {
    /// The conversation's name at Stackspot.
    pub id: String,
    /// The first turn that Stackspot does not know.
    pub from: usize,
    /// All that will have been said, up to the answer.
    asked: Heard,
    /// Where that is kept. None where the request goes on beside another.
    key: Option<[u8; 16]>,
    of: &'a Conversations,
}

impl Conversations {
    /// None yet.
    pub(super) fn new() -> Self {
        Self(Mutex::new(LruCache::new(MOST)))
    }

    /// Where `ask` goes on in the conversation that its client calls `name`, with the agent of that id.
    pub(super) fn enter(&self, ask: &Ask, name: &str, agent: &str) -> Place<'_> {
        let key = ulid::key(&[ask.caller.id(), agent, name]);
        let has_history = ask.turns.iter().any(|turn| turn.role == Role::Assistant);
        let mut known = self.lock();
        let (id, from, asked) = match known.get_mut(&key) {
            Some(known) if known.busy => {
                let asked = Heard::default().and(&ask.turns);
                return Place { id: fresh(), from: 0, asked, key: None, of: self };
            }
            Some(known) => known.go_on(&ask.turns, has_history),
            None => {
                // What Stackspot may have heard under that name is not known here: a history would be said twice.
                let id = if has_history { fresh() } else { ulid::of(name, &key) };
                (id, 0, Heard::default().and(&ask.turns))
            }
        };
        known.put(key, Known { id: id.clone(), heard: None, busy: true });
        Place { id, from, asked, key: Some(key), of: self }
    }

    fn lock(&self) -> MutexGuard<'_, LruCache<[u8; 16], Known>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Known {
    /// The name, the first new turn, and all that will have been said.
    fn go_on(&self, turns: &[Turn], has_history: bool) -> (String, usize, Heard) {
        let afresh = || (fresh(), 0, Heard::default().and(turns));
        match &self.heard {
            Some(heard) if has_history => match heard.new_in(turns) {
                Some(from) => (self.id.clone(), from, Heard::default().and(turns)),
                None => afresh(),
            },
            // The very beginning once more is another try at it.
            Some(heard) if heard.began_with(turns) => afresh(),
            Some(heard) => (self.id.clone(), 0, heard.clone().and(turns)),
            None if has_history => afresh(),
            None => (self.id.clone(), 0, Heard::default().and(turns)),
        }
    }
}

impl Place<'_> {
    /// The answer was given: the conversation goes on after it.
    pub(super) fn answered(mut self, answer: &Answer) {
        let Some(key) = self.key.take() else { return };
        let heard = std::mem::take(&mut self.asked).and_answer(answer);
        self.of.lock().put(key, Known { id: self.id.clone(), heard: Some(heard), busy: false });
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        if let Some(key) = self.key {
            // Stackspot has heard the question, and may have heard an answer that nobody else has.
            self.of.lock().put(key, Known { id: self.id.clone(), heard: None, busy: false });
        }
    }
}

/// A name that no conversation has.
fn fresh() -> String {
    let mut bytes = [0; 16];
    // Without randomness the name is one that the next cannot have either: it is never reused by mistake for long.
    if SystemRandom::new().fill(&mut bytes).is_err() {
        tracing::warn!("the system gives no random bytes: a conversation's name may repeat");
    }
    ulid::write(&ulid::dated(bytes))
}

#[cfg(test)]
mod tests;
