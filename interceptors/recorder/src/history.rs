//! Requests bring what was said before, each time. What was found out of it once is not found out again.
//!
//! Of a request's body stretches are remembered, as lengths and hashes: they end with whole messages. Where the next
//! body of the same line of talk begins with the same, that is known to be messages, and cut out; what is left is JSON
//! if the body is, and all that has to be read. What stands behind the messages, such as the tools, is often the same
//! again, and then cut off as well.

use std::borrow::Cow;
use std::hash::BuildHasher as _;
use std::num::NonZeroUsize;
use std::ops::Range;
use std::sync::Arc;

use foldhash::quality::RandomState;
use lru::LruCache;
use perimeter_interceptor::Session;

mod outline;
mod tail;

use outline::Outline;
use tail::Tail;

/// So many lines of talk are remembered, those read last.
const LINES: NonZeroUsize = NonZeroUsize::MIN.saturating_add(255);
/// A shorter body is read whole, bytes.
pub(crate) const SHORT: usize = 4 << 10;
/// A stretch is at least so long, bytes.
const STRETCH: usize = 2 << 10;
/// Of one body so many are remembered, and so much that was found in them: what is behind is read each time.
const MOST_STRETCHES: usize = 1 << 10;
const MOST_FOUND: usize = 64;

/// What earlier requests had, by the lines of talk of all sessions.
#[derive(Debug)]
pub(crate) struct Histories {
    lines: LruCache<(Arc<str>, u32), History>,
    seed: RandomState,
}

/// What the last request of a line of talk had.
#[derive(Debug, Default)]
struct History {
    /// Where the list of its messages begins: the first of them.
    list: usize,
    /// One behind another, the first from the body's beginning.
    stretches: Vec<Stretch>,
    /// Where something in them was found that whoever remembers them looks for.
    found: Vec<Range<usize>>,
    /// What stood behind the messages.
    tail: Option<Tail>,
}

/// Some messages of a body.
#[derive(Clone, Copy, Debug)]
struct Stretch {
    end: usize,
    hash: u64,
    /// How many messages there are up to its end.
    messages: usize,
}

/// A body, and what of it is known.
#[derive(Debug)]
pub(crate) struct Body<'a> {
    whole: &'a [u8],
    /// The messages that are cut out, and the comma behind them.
    known: Range<usize>,
    /// How many they are.
    pub(crate) messages: usize,
    /// Where what is behind the messages begins, if that is known: it is cut off, and the list and the object closed.
    tail: Option<usize>,
    /// What is left: an object, if the body is one.
    pub(crate) rest: Cow<'a, str>,
    /// How many stretches are known.
    stretches: usize,
    outline: Outline,
}

impl Default for Histories {
    fn default() -> Self {
        // It grows as it is filled.
        let mut lines = LruCache::unbounded();
        lines.resize(LINES);
        Self { lines, seed: RandomState::default() }
    }
}

impl Histories {
    /// This body, without the messages that an earlier one had, or without `most` of them; `None` where it is no object
    /// of JSON, or one with two lists of messages.
    pub(crate) fn cut<'a>(&mut self, session: &Session, whole: &'a [u8], most: usize) -> Option<Body<'a>> {
        let (stretches, known, messages) = self.known(session, whole, most);
        let left = |rest: Cow<'a, str>, tail: Option<usize>| {
            let outline = Outline::of(&rest)?;
            Some(Body { whole, known: known.clone(), messages, tail, rest, stretches, outline })
        };
        if stretches == 0 {
            return left(simdutf8::basic::from_utf8(whole).ok()?.into(), None);
        }
        let rest = |tail: usize, end: &[u8]| {
            let rest = [whole.get(..known.start)?, whole.get(known.end..tail)?, end].concat();
            String::from_utf8(rest).ok()
        };
        let tail = self.tail(session, whole).filter(|tail| known.end <= *tail);
        // Where it begins within a message, what is left is no JSON.
        let short = tail.and_then(|tail| left(rest(tail, tail::END)?.into(), Some(tail)));
        short.or_else(|| left(rest(whole.len(), &[])?.into(), None))
    }

    /// Where in this body what is behind the messages begins, if it is the same as before.
    fn tail(&mut self, session: &Session, body: &[u8]) -> Option<usize> {
        let tail = self.lines.get(&(Arc::clone(&session.id), session.thread))?.tail.as_ref()?;
        tail.place_in(body, &self.seed)
    }

    /// How many stretches of this body are known, where their messages are, and how many.
    fn known(&mut self, session: &Session, body: &[u8], most: usize) -> (usize, Range<usize>, usize) {
        const NONE: (usize, Range<usize>, usize) = (0, 0..0, 0);
        if body.len() < SHORT {
            return NONE;
        }
        let Some(history) = self.lines.get(&(Arc::clone(&session.id), session.thread)) else { return NONE };
        let mut start = 0;
        let same = history.stretches.iter().take_while(|stretch| {
            let is_same = stretch.messages <= most
                && body.get(start..stretch.end).is_some_and(|text| self.seed.hash_one(text) == stretch.hash);
            start = stretch.end;
            is_same
        });
        let count = same.count();
        let Some(last) = count.checked_sub(1).and_then(|last| history.stretches.get(last)) else {
            return NONE;
        };
        let behind = body.get(last.end..).unwrap_or_default().trim_ascii_start();
        let known = match behind {
            [b']', ..] => history.list..last.end,
            [b',', next @ ..] if !next.trim_ascii_start().starts_with(b"]") => {
                history.list..body.len() - next.len()
            }
            // Nothing else can stand there in JSON.
            _ => return NONE,
        };
        (count, known, last.messages)
    }

    /// What was found in the messages of this body that are known, and behind them.
    pub(crate) fn found(&mut self, session: &Session, body: &Body<'_>) -> Vec<Range<usize>> {
        let Some(history) = self.lines.peek(&(Arc::clone(&session.id), session.thread)) else {
            return Vec::new();
        };
        let is_known = |found: &&Range<usize>| body.known.start <= found.start && found.end <= body.known.end;
        let known = history.found.iter().filter(is_known).cloned();
        let tail = body.tail.zip(history.tail.as_ref());
        let behind = tail.into_iter().flat_map(|(start, tail)| tail.found_from(start));
        known.chain(behind).collect()
    }

    /// What stands behind the messages of this body, if it is cut off, holds no secret, and is written as all that is
    /// not messages is when it is written anew.
    pub(crate) fn plain_tail<'a>(&mut self, session: &Session, body: &Body<'a>) -> Option<&'a str> {
        let text = str::from_utf8(body.whole.get(body.tail?..)?).ok()?;
        let history = self.lines.get_mut(&(Arc::clone(&session.id), session.thread))?;
        history.tail.as_mut()?.is_plain(text).then_some(text)
    }

    /// Remembers the messages of this body, and what was found in all of it, in its order.
    pub(crate) fn remember(&mut self, session: &Session, body: &Body<'_>, found: &[Range<usize>]) {
        let messages = &body.outline.messages;
        let first = messages.first().map(|first| first.start);
        if body.whole.len() < SHORT || body.stretches == 0 && first.is_none() {
            return;
        }
        let key = (Arc::clone(&session.id), session.thread);
        let mut history = self.lines.pop(&key).unwrap_or_default();
        history.stretches.truncate(body.stretches);
        if let (0, Some(first)) = (body.stretches, first) {
            history.list = first;
        }
        let limit = found.get(MOST_FOUND).map_or(usize::MAX, |found| found.start);
        let ends = messages.iter().map(|message| body.place(message.end));
        for (end, messages) in ends.zip(body.messages + 1..).take_while(|(end, _)| *end <= limit) {
            let start = history.stretches.last().map_or(0, |last| last.end);
            let stretch = body.whole.get(start..end).filter(|stretch| stretch.len() >= STRETCH);
            if let Some(stretch) = stretch.filter(|_| history.stretches.len() < MOST_STRETCHES) {
                history.stretches.push(Stretch { end, hash: self.seed.hash_one(stretch), messages });
            }
        }
        let end = history.stretches.last().map_or(0, |last| last.end);
        history.found = found.iter().filter(|found| found.end <= end).cloned().collect();
        if body.tail.is_none() {
            let end = messages.last().map_or(body.known.end, |last| body.place(last.end));
            let tail = body.whole.get(end..).filter(|_| !body.outline.is_inner);
            history.tail = tail.and_then(|tail| Tail::of(tail, end, found, &self.seed));
        }
        self.lines.put(key, history);
    }
}

impl Body<'_> {
    /// How many messages the rest has; 0 where they stand in an object within it.
    pub(crate) fn left(&self) -> usize {
        if self.outline.is_inner { 0 } else { self.outline.messages.len() }
    }

    /// Whether nothing is cut out or off.
    pub(crate) fn is_whole(&self) -> bool {
        self.stretches == 0
    }

    /// The members of the rest, and their values as they were written.
    pub(crate) fn members(&self) -> impl Iterator<Item = (Cow<'_, str>, &str)> {
        self.outline.members.iter().filter_map(|(name, value)| {
            Some((outline::read(&self.rest, name.clone())?, self.rest.get(value.clone())?))
        })
    }

    /// The messages of the rest but for the first `from`.
    pub(crate) fn messages_from(&self, from: usize) -> impl Iterator<Item = &str> {
        let messages = self.outline.messages.iter().skip(from);
        messages.filter_map(|message| self.rest.get(message.clone()))
    }

    /// The rest with what is cut off behind the messages.
    pub(crate) fn rest_with_tail(&self) -> Option<Cow<'_, str>> {
        let Some(tail) = self.tail else { return Some(Cow::Borrowed(&self.rest)) };
        let rest = self.rest.as_bytes().strip_suffix(tail::END)?;
        String::from_utf8([rest, self.whole.get(tail..)?].concat()).ok().map(Cow::Owned)
    }

    /// Where in the body a place of its rest is.
    pub(crate) fn place(&self, at: usize) -> usize {
        if at <= self.known.start { at } else { at + self.known.len() }
    }
}

#[cfg(test)]
mod tests;
