//! Earlier responses, by their ids: what a client may go on from, and look at again.

use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use lru::LruCache;

use super::seal::Seal;
use crate::state;
use crate::upstream::Caller;
use crate::upstream::bridge::{Failure, Kind};

/// Responses at most.
const MOST: usize = 2_000;

/// Bytes of all of them at most, roughly.
const BYTES: usize = 128 * 1024 * 1024;

/// How long one is kept at most.
const AGE: Duration = Duration::from_secs(24 * 60 * 60);

/// Responses of one conversation.
const CHAIN: usize = 1_000;

/// Responses of this run. Cheap to clone; all clones are the same.
#[derive(Clone)]
pub(in crate::upstream::bridge) struct Kept(Arc<Inner>);

struct Inner {
    seal: Seal,
    shelf: Mutex<Shelf>,
}

/// The least recently used is the first to go.
struct Shelf {
    responses: LruCache<String, Arc<Earlier>>,
    bytes: usize,
}

/// An earlier response.
pub(super) struct Earlier {
    /// Whose it is. For all others there is none.
    pub(super) caller: Caller,
    /// Since when.
    pub(super) since: Instant,
    /// The response before it.
    pub(super) previous: Option<String>,
    /// What was asked and what came, in items: `{"input":[…],"output":[…]}`.
    pub(super) items: String,
    /// The response itself, in JSON.
    pub(super) response: String,
}

impl Default for Kept {
    /// What is sealed is of no use in another run.
    fn default() -> Self {
        Self::with(Seal::new(&state::random::<32>().unwrap_or_default()))
    }
}

impl Kept {
    /// What is sealed can be opened in each run that has this `state_dir`.
    ///
    /// # Errors
    /// Where the key in it can be neither read nor made.
    pub(in crate::upstream::bridge) fn open(state_dir: &Path) -> io::Result<Self> {
        Ok(Self::with(Seal::new(&state::mask_key(state_dir)?)))
    }

    fn with(seal: Seal) -> Self {
        let shelf = Mutex::new(Shelf { responses: LruCache::unbounded(), bytes: 0 });
        Self(Arc::new(Inner { seal, shelf }))
    }

    /// What thinking is sealed with.
    pub(super) fn seal(&self) -> &Seal {
        &self.0.seal
    }

    fn shelf<T>(&self, look: impl FnOnce(&mut Shelf) -> T) -> T {
        look(&mut self.0.shelf.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Keeps a response under its id.
    pub(super) fn keep(&self, id: String, response: Earlier) {
        self.shelf(|shelf| shelf.put(id, Arc::new(response)));
    }

    /// The response of this id.
    ///
    /// # Errors
    /// Where `caller` has none.
    pub(super) fn find(&self, caller: &Caller, id: &str) -> Result<Arc<Earlier>, Failure> {
        let found = self.shelf(|shelf| shelf.responses.get(id).cloned());
        found.filter(|found| found.caller == *caller && found.since.elapsed() < AGE).ok_or_else(|| {
            let id: String = id.chars().take(64).collect();
            Failure::new(Kind::NotFound, format!("there is no response {id:?} here, or not any more"))
        })
    }

    /// Forgets the response of this id.
    ///
    /// # Errors
    /// Where `caller` has none.
    pub(super) fn forget(&self, caller: &Caller, id: &str) -> Result<(), Failure> {
        self.find(caller, id)?;
        self.shelf(|shelf| shelf.take(id));
        Ok(())
    }

    /// The responses that lead to the one of this id, the oldest first.
    ///
    /// # Errors
    /// Where one of them is gone, or there are too many.
    pub(super) fn chain(&self, caller: &Caller, id: &str) -> Result<Vec<Arc<Earlier>>, Failure> {
        let mut chain = Vec::new();
        let mut next = Some(id.to_owned());
        while let Some(id) = next {
            if chain.len() == CHAIN {
                let message = format!("this conversation is longer than {CHAIN} responses");
                return Err(Failure::new(Kind::TooLong, message));
            }
            let earlier = self.find(caller, &id)?;
            next = earlier.previous.clone();
            chain.push(earlier);
        }
        chain.reverse();
        Ok(chain)
    }
}

impl Shelf {
    fn put(&mut self, id: String, response: Arc<Earlier>) {
        self.bytes += response.bytes();
        if let Some(former) = self.responses.put(id, response) {
            self.bytes -= former.bytes();
        }
        while self.responses.len() > MOST || self.bytes > BYTES || self.is_old() {
            let Some((_, gone)) = self.responses.pop_lru() else { return };
            self.bytes -= gone.bytes();
        }
    }

    fn is_old(&self) -> bool {
        self.responses.peek_lru().is_some_and(|(_, oldest)| oldest.since.elapsed() >= AGE)
    }

    fn take(&mut self, id: &str) {
        if let Some(gone) = self.responses.pop(id) {
            self.bytes -= gone.bytes();
        }
    }
}

impl Earlier {
    fn bytes(&self) -> usize {
        /// What one takes beside its text.
        const REST: usize = 512;
        self.items.len() + self.response.len() + REST
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn earlier(caller: &Caller, previous: Option<&str>, bytes: usize) -> Earlier {
        Earlier {
            caller: caller.clone(),
            since: Instant::now(),
            previous: previous.map(str::to_owned),
            items: " ".repeat(bytes),
            response: String::new(),
        }
    }

    #[test]
    fn a_response_is_kept_for_whoever_asked_and_for_nobody_else() {
        let (kept, ours, other) = (Kept::default(), Caller::local(), Caller::with_key("k", b""));
        kept.keep("a".to_owned(), earlier(&ours, None, 1));
        kept.keep("b".to_owned(), earlier(&ours, Some("a"), 1));
        assert_eq!(kept.clone().chain(&ours, "b").unwrap().len(), 2);
        assert_eq!(kept.find(&other, "b").err().unwrap().kind, Kind::NotFound);
        assert!(kept.forget(&other, "a").is_err());
        kept.forget(&ours, "a").unwrap();
        assert!(kept.forget(&ours, "a").is_err());
        assert!(kept.chain(&ours, "b").is_err(), "what leads to it is gone");
    }

    #[test]
    fn what_is_kept_has_bounds_and_the_least_recently_used_goes_first() {
        let (kept, ours) = (Kept::default(), Caller::local());
        for id in ["a", "b", "c"] {
            kept.keep(id.to_owned(), earlier(&ours, None, BYTES / 3 - 1_000));
        }
        assert!(kept.find(&ours, "a").is_ok());
        kept.keep("d".to_owned(), earlier(&ours, None, 9_000));
        let here = |id: &str| kept.find(&ours, id).is_ok();
        assert_eq!(["a", "b", "c", "d"].map(here), [true, false, true, true]);
        for id in 0..=MOST {
            kept.keep(id.to_string(), earlier(&ours, None, 1));
        }
        assert!(!here("0") && here("1"));
        assert!(kept.shelf(|shelf| shelf.bytes < MOST * 1_000));
        kept.keep("large".to_owned(), earlier(&ours, None, BYTES));
        assert!(!here("large"));
        assert_eq!(kept.shelf(|shelf| (shelf.bytes, shelf.responses.len())), (0, 0));
    }

    #[test]
    fn what_is_kept_grows_old() {
        let (kept, ours) = (Kept::default(), Caller::local());
        let Some(since) = Instant::now().checked_sub(AGE) else { return };
        kept.keep("a".to_owned(), Earlier { since, ..earlier(&ours, None, 1) });
        assert!(kept.find(&ours, "a").is_err());
    }

    #[test]
    fn what_is_sealed_can_be_opened_in_the_next_run() {
        use super::super::seal::Thought;
        let state = tempfile::tempdir().unwrap();
        let (ours, thought) = (Caller::local(), Thought::Redacted("a".to_owned()));
        let sealed = Kept::open(state.path()).unwrap().seal().seal(&ours, &thought).unwrap();
        assert_eq!(Kept::open(state.path()).unwrap().seal().open(&ours, &sealed), Some(thought));
        assert_eq!(Kept::default().seal().open(&ours, &sealed), None);
    }
}
