//! What stands behind the messages of a request.

use std::hash::BuildHasher as _;
use std::ops::Range;

use foldhash::quality::RandomState;
use perimeter_redact::secrets;

use super::MOST_FOUND;
use crate::members::Members;

/// What closes the list and the object in its place.
pub(super) const END: &[u8] = b"]}";
/// A shorter one is read each time, bytes.
const SHORT: usize = 512;

/// From the end of the list to that of the object.
#[derive(Debug)]
pub(super) struct Tail {
    length: usize,
    hash: u64,
    /// Where in it something was found.
    found: Vec<Range<usize>>,
    /// Whether it is [plain](Self::is_plain), once somebody has asked.
    plain: Option<bool>,
}

impl Tail {
    /// This text, which begins at `start`, and what was found in all of the body. `None` where it is too short, or has
    /// too much in it.
    pub(super) fn of(text: &[u8], start: usize, found: &[Range<usize>], seed: &RandomState) -> Option<Self> {
        if text.len() < SHORT {
            return None;
        }
        let behind = found.iter().filter(|found| found.start >= start);
        let found: Vec<_> = behind.map(|found| found.start - start..found.end - start).collect();
        let (length, hash) = (text.len(), seed.hash_one(text));
        (found.len() <= MOST_FOUND).then_some(Self { length, hash, found, plain: None })
    }

    /// Where it begins in this body, if that ends with it.
    pub(super) fn place_in(&self, body: &[u8], seed: &RandomState) -> Option<usize> {
        let start = body.len().checked_sub(self.length)?;
        (seed.hash_one(body.get(start..)?) == self.hash).then_some(start)
    }

    /// What was found in it, where it begins here.
    pub(super) fn found_from(&self, start: usize) -> impl Iterator<Item = Range<usize>> {
        self.found.iter().map(move |found| start + found.start..start + found.end)
    }

    /// Whether this text, which it is, has no secret, and members that are written anew as they are.
    pub(super) fn is_plain(&mut self, text: &str) -> bool {
        *self.plain.get_or_insert_with(|| {
            let object = [r#"{"":["#, text].concat();
            let written = Members::of(&object).and_then(|members| serde_json::to_string(&members).ok());
            // A space before it would be the list's.
            text.starts_with(']')
                && written.is_some_and(|written| written == object)
                && secrets(text).is_some_and(|found| found.is_empty())
        })
    }
}
