//! Requests bring what was said before, each time. What was found out of it once is not found out again.
//!
//! Of a request's body it is remembered how it began, up to the ends of messages ([`Prefix`]). Where the next body of
//! the same line of talk begins with the same, that is known to be messages, and cut out; what is left is JSON if the
//! body is, and all that has to be read. What stands behind the messages, such as the tools, is often the same again,
//! and then cut off as well.

use std::borrow::Cow;
use std::num::NonZeroUsize;
use std::ops::Range;
use std::sync::Arc;

use foldhash::quality::RandomState;
use lru::LruCache;
use perimeter_interceptor::{Call, Prefix};

mod outline;
mod tail;

use outline::Outline;
use tail::Tail;

/// So many lines of talk are remembered, those read last.
const LINES: NonZeroUsize = NonZeroUsize::MIN.saturating_add(255);
/// A shorter body is read whole, bytes.
pub(crate) const SHORT: usize = 4 << 10;
/// From one end that is remembered to the next it is at least so far, bytes.
const STRETCH: usize = 2 << 10;
/// Of one body so many are remembered, and so much that was found before them: what is behind is read each time.
const MOST_ENDS: usize = 1 << 10;
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
    /// Ends of messages, one behind another.
    ends: Vec<End>,
    /// Where something in them was found that whoever remembers them looks for.
    found: Vec<Range<usize>>,
    /// What stood behind the messages.
    tail: Option<Tail>,
}

/// The end of a message.
#[derive(Clone, Copy, Debug)]
struct End {
    prefix: Prefix,
    /// How many messages there are up to it.
    messages: usize,
}

/// A body, and what of it is known.
#[derive(Debug)]
pub(crate) struct Body<'a> {
    call: &'a Call,
    /// The messages that are cut out, and the comma behind them.
    known: Range<usize>,
    /// How many they are.
    pub(crate) messages: usize,
    /// Where what is behind the messages begins, if that is known: it is cut off, and the list and the object closed.
    tail: Option<usize>,
    /// What is left: an object, if the body is one.
    pub(crate) rest: Cow<'a, str>,
    /// How many of the ends are known.
    ends: usize,
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
    /// The body of this call, without the messages that an earlier one had, or without `most` of them; `None` where it is
    /// no object of JSON, or one with two lists of messages.
    pub(crate) fn cut<'a>(&mut self, call: &'a Call, most: usize) -> Option<Body<'a>> {
        let whole = &call.body;
        let (ends, known, messages) = self.known(call, most);
        let left = |rest: Cow<'a, str>, tail: Option<usize>| {
            let outline = Outline::of(&rest)?;
            Some(Body { call, known: known.clone(), messages, tail, rest, ends, outline })
        };
        if ends == 0 {
            return left(simdutf8::basic::from_utf8(whole).ok()?.into(), None);
        }
        let rest = |tail: usize, end: &[u8]| {
            let rest = [whole.get(..known.start)?, whole.get(known.end..tail)?, end].concat();
            String::from_utf8(rest).ok()
        };
        let tail = self.tail(call).filter(|tail| known.end <= *tail);
        // Where it begins within a message, what is left is no JSON.
        let short = tail.and_then(|tail| left(rest(tail, tail::END)?.into(), Some(tail)));
        short.or_else(|| left(rest(whole.len(), &[])?.into(), None))
    }

    /// Where in this body what is behind the messages begins, if it is the same as before.
    fn tail(&mut self, call: &Call) -> Option<usize> {
        let tail = self.lines.get(&line_of(call))?.tail.as_ref()?;
        tail.place_in(&call.body, &self.seed)
    }

    /// How many ends of messages are known, where these messages are, and how many.
    fn known(&mut self, call: &Call, most: usize) -> (usize, Range<usize>, usize) {
        const NONE: (usize, Range<usize>, usize) = (0, 0..0, 0);
        let Call { body, prefixes, .. } = call;
        if body.len() < SHORT {
            return NONE;
        }
        let Some(history) = self.lines.get(&line_of(call)) else { return NONE };
        let is_same =
            |end: &End| end.messages <= most && prefix(prefixes, end.prefix.len) == Some(end.prefix);
        let Some(at) = history.ends.iter().rposition(is_same) else { return NONE };
        let Some(last) = history.ends.get(at) else { return NONE };
        let end = last.prefix.len;
        let behind = body.get(end..).unwrap_or_default().trim_ascii_start();
        let known = match behind {
            [b']', ..] => history.list..end,
            [b',', next @ ..] if !next.trim_ascii_start().starts_with(b"]") => {
                history.list..body.len() - next.len()
            }
            // Nothing else can stand there in JSON.
            _ => return NONE,
        };
        (at + 1, known, last.messages)
    }

    /// What was found in the messages of this body that are known, and behind them.
    pub(crate) fn found(&mut self, body: &Body<'_>) -> Vec<Range<usize>> {
        let Some(history) = self.lines.peek(&line_of(body.call)) else {
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
    pub(crate) fn plain_tail<'a>(&mut self, body: &Body<'a>) -> Option<&'a str> {
        let text = str::from_utf8(body.call.body.get(body.tail?..)?).ok()?;
        let history = self.lines.get_mut(&line_of(body.call))?;
        history.tail.as_mut()?.is_plain(text).then_some(text)
    }

    /// Remembers the messages of this body, and what was found in all of it, in its order.
    pub(crate) fn remember(&mut self, body: &Body<'_>, found: &[Range<usize>]) {
        let messages = &body.outline.messages;
        let first = messages.first().map(|first| first.start);
        if body.call.body.len() < SHORT || body.ends == 0 && first.is_none() {
            return;
        }
        let key = line_of(body.call);
        let mut history = self.lines.pop(&key).unwrap_or_default();
        history.ends.truncate(body.ends);
        if let (0, Some(first)) = (body.ends, first) {
            history.list = first;
        }
        let limit = found.get(MOST_FOUND).map_or(usize::MAX, |found| found.start);
        let ends = messages.iter().map(|message| body.place(message.end));
        for (end, messages) in ends.zip(body.messages + 1..).take_while(|(end, _)| *end <= limit) {
            if end >= history.end() + STRETCH
                && history.ends.len() < MOST_ENDS
                && let Some(prefix) = prefix(&body.call.prefixes, end)
            {
                history.ends.push(End { prefix, messages });
            }
        }
        let end = history.end();
        history.found = found.iter().filter(|found| found.end <= end).cloned().collect();
        if body.tail.is_none() {
            let end = messages.last().map_or(body.known.end, |last| body.place(last.end));
            let tail = body.call.body.get(end..).filter(|_| !body.outline.is_inner);
            history.tail = tail.and_then(|tail| Tail::of(tail, end, found, &self.seed));
        }
        self.lines.put(key, history);
    }
}

impl History {
    /// The last of the ends.
    fn end(&self) -> usize {
        self.ends.last().map_or(0, |last| last.prefix.len)
    }
}

/// The line of talk that a call belongs to.
fn line_of(call: &Call) -> (Arc<str>, u32) {
    (Arc::clone(&call.session.id), call.session.thread)
}

/// The one of this length.
fn prefix(prefixes: &[Prefix], len: usize) -> Option<Prefix> {
    let at = prefixes.binary_search_by_key(&len, |prefix| prefix.len).ok()?;
    prefixes.get(at).copied()
}

impl Body<'_> {
    /// How many messages the rest has; 0 where they stand in an object within it.
    pub(crate) fn left(&self) -> usize {
        if self.outline.is_inner { 0 } else { self.outline.messages.len() }
    }

    /// Whether nothing is cut out or off.
    pub(crate) fn is_whole(&self) -> bool {
        self.ends == 0
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
        String::from_utf8([rest, self.call.body.get(tail..)?].concat()).ok().map(Cow::Owned)
    }

    /// Where in the body a place of its rest is.
    pub(crate) fn place(&self, at: usize) -> usize {
        if at <= self.known.start { at } else { at + self.known.len() }
    }
}

#[cfg(test)]
pub(crate) mod tests;
