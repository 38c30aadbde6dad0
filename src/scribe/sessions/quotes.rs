//! What was said in a session that another line of talk may begin with: the task of a sub-agent, the words of which a
//! title is wanted, a summary.

use foldhash::quality::RandomState;
use lru::LruCache;
use perimeter_interceptor::{Part, ToolUse, Turn};
use serde_json::Value;

use crate::dialect::Seed;

/// So many are remembered, of all sessions together: the latest.
const MOST: usize = 65_536;
/// So many of one call, at most.
const OF_CALL: usize = 32;
/// So many lines of a message are looked at.
const LINES: usize = 64;
/// A shorter task or line of a summary is too common, bytes without white space.
const SHORTEST: usize = 16;
/// A text is looked at up to here, bytes.
const LONGEST: usize = 64 * 1024;

/// What a quote is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// What a tool was given.
    Task,
    /// What the user said.
    Said,
    /// A summary of the conversation.
    Summary,
    /// A summary was asked for, by a client that may go on with it.
    Summarising,
    /// The trace that a call is a part of.
    Trace,
    /// The id of a response.
    Response,
}

/// A call of a session that may be over by now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Source {
    pub(super) session: u32,
    pub(super) generation: u32,
    pub(super) call: u32,
}

impl Source {
    fn is_beside(self, other: Self) -> bool {
        (self.session, self.generation) == (other.session, other.generation)
    }
}

/// Whether the session of a source is held.
pub(super) type Held<'s> = dyn Fn(Source) -> bool + 's;

/// Where what was said.
#[derive(Debug)]
pub(super) struct Quotes {
    of: LruCache<u64, Quote, RandomState>,
    /// How many there are of a kind in a scope, and of others that fall together with it: of most there are none, and
    /// then no text has to be looked at.
    counts: Box<[u32; COUNTS]>,
    seed: Seed,
}

/// Of how many counts each is of.
const COUNTS: usize = 4096;

#[derive(Debug)]
struct Quote {
    /// `None` where it was said in several sessions.
    source: Option<Source>,
    /// Where it is counted.
    count: u16,
}

impl Quotes {
    pub(super) fn new(seed: &Seed) -> Self {
        // With a bound it would make room for all of them at once.
        let of = LruCache::unbounded_with_hasher(RandomState::default());
        Self { of, counts: Box::new([0; COUNTS]), seed: seed.clone() }
    }

    fn of_kind(&self, kind: Kind, scope: u64) -> u64 {
        self.seed.then(scope, kind as u64 + 1)
    }

    fn key(&self, kind: Kind, scope: u64, what: u64) -> u64 {
        self.seed.then(self.of_kind(kind, scope), what)
    }

    fn count_of(&mut self, count: u16) -> Option<&mut u32> {
        self.counts.get_mut(usize::from(count))
    }

    fn forgotten(&mut self, quote: Option<Quote>) {
        if let Some(count) = quote.and_then(|quote| self.count_of(quote.count)) {
            *count -= 1;
        }
    }

    /// Whether there may be anything of this kind.
    fn has(&self, kind: Kind, scope: u64) -> bool {
        self.counts.get(place(self.of_kind(kind, scope))).is_some_and(|count| *count > 0)
    }

    /// `is_held` is whether a session still is: one that is not is not said in any more.
    pub(super) fn add(&mut self, kind: Kind, scope: u64, what: u64, source: Source, is_held: &Held<'_>) {
        let of_kind = self.of_kind(kind, scope);
        let key = self.seed.then(of_kind, what);
        let is_other = |known: &Source| !known.is_beside(source) && is_held(*known);
        match self.of.get_mut(&key).map(|quote| &mut quote.source) {
            Some(known) if known.as_ref().is_none_or(is_other) => *known = None,
            Some(known) => *known = Some(source),
            None => {
                if self.of.len() >= MOST {
                    let oldest = self.of.pop_lru().map(|(_, quote)| quote);
                    self.forgotten(oldest);
                }
                let count = u16::try_from(place(of_kind)).unwrap_or(0);
                if let Some(count) = self.count_of(count) {
                    *count += 1;
                }
                self.of.put(key, Quote { source: Some(source), count });
            }
        }
    }

    #[cfg(test)]
    pub(super) fn count(&self) -> usize {
        self.of.len()
    }

    /// Where this was said, if in one session alone.
    pub(super) fn find(&self, kind: Kind, scope: u64, what: u64) -> Option<Source> {
        self.of.peek(&self.key(kind, scope, what))?.source
    }

    /// It is not to be found any more.
    pub(super) fn remove(&mut self, kind: Kind, scope: u64, what: u64) {
        let quote = self.of.pop(&self.key(kind, scope, what));
        self.forgotten(quote);
    }

    /// Remembers the texts that tools are given.
    pub(super) fn add_tasks<'t>(
        &mut self,
        scope: u64,
        source: Source,
        tools: impl Iterator<Item = &'t ToolUse>,
        is_held: &Held<'_>,
    ) {
        let mut texts = Vec::new();
        for tool in tools.filter(|tool| !tool.hosted && tool.input.len() <= LONGEST) {
            if let Ok(input) = serde_json::from_str(&tool.input) {
                strings(&input, 2, &mut texts);
            }
        }
        for text in texts {
            self.add_text(Kind::Task, scope, source, &text, is_held);
        }
    }

    /// Remembers a text, and its first line.
    pub(super) fn add_text(
        &mut self,
        kind: Kind,
        scope: u64,
        source: Source,
        text: &str,
        is_held: &Held<'_>,
    ) {
        self.add_hashed(kind, scope, source, (text, None), is_held);
    }

    /// The same of a text whose hash ([`Seed::of_text`]) may be known.
    pub(super) fn add_hashed(
        &mut self,
        kind: Kind,
        scope: u64,
        source: Source,
        (text, hash): (&str, Option<u64>),
        is_held: &Held<'_>,
    ) {
        let least = if kind == Kind::Said { 1 } else { SHORTEST };
        let hash = hash.filter(|_| text.len() <= LONGEST);
        let text = up_to(text);
        let first = text.trim().lines().next().unwrap_or_default();
        let second = Some((first, None)).filter(|_| first.len() < text.trim().len());
        for (text, hash) in [Some((text, hash)), second].into_iter().flatten() {
            if is_long(text, least) {
                let what = hash.unwrap_or_else(|| self.seed.of_text(text));
                self.add(kind, scope, what, source, is_held);
            }
        }
    }

    /// Remembers the lines of a text.
    pub(super) fn add_lines(
        &mut self,
        kind: Kind,
        scope: u64,
        source: Source,
        text: &str,
        is_held: &Held<'_>,
    ) {
        let lines = up_to(text).lines().map(untagged).filter(|line| is_long(line, SHORTEST));
        for line in lines.take(OF_CALL) {
            self.add(kind, scope, self.seed.of_text(line), source, is_held);
        }
    }

    /// The source of something in this message: a text of it, a line, or what a line says behind a colon.
    pub(super) fn within(&self, kind: Kind, scope: u64, turn: &Turn) -> Option<Source> {
        if !self.has(kind, scope) {
            return None;
        }
        let least = if kind == Kind::Said { 1 } else { SHORTEST };
        let find = |text: &str| {
            let text = text.trim().trim_matches(['"', '`', '\'']);
            is_long(text, least).then(|| self.find(kind, scope, self.seed.of_text(text))).flatten()
        };
        let texts = turn.parts.iter().filter_map(|part| match part {
            Part::Text(text) => Some(up_to(text)),
            _ => None,
        });
        // Of one text alone, it is the same.
        let is_one = texts.clone().nth(1).is_none();
        let whole = || find(up_to(&turn.text()));
        (!is_one).then(whole).flatten().or_else(|| {
            let line = |line: &str| find(line).or_else(|| find(behind_colon(line)?));
            let only_line = |text: &str| find(behind_colon(text.trim())?);
            texts.take(OF_CALL).find_map(|text| match text.trim().contains(['\n', '\r']) {
                true => find(text).or_else(|| text.lines().take(LINES).find_map(line)),
                false => find(text).or_else(|| only_line(text)),
            })
        })
    }
}

/// The strings in a value, as deep as that.
fn strings(value: &Value, depth: u8, texts: &mut Vec<String>) {
    if texts.len() >= OF_CALL {
        return;
    }
    match value {
        Value::String(text) => texts.push(text.clone()),
        Value::Array(items) if depth > 0 => items.iter().for_each(|item| strings(item, depth - 1, texts)),
        Value::Object(members) if depth > 0 => {
            members.values().for_each(|value| strings(value, depth - 1, texts));
        }
        _ => {}
    }
}

/// A line without the tags around it: who quotes a summary takes them off.
fn untagged(line: &str) -> &str {
    let line = line.trim();
    let line = match line.strip_prefix('<').and_then(|line| line.split_once('>')) {
        Some((tag, rest)) if !tag.contains([' ', '<']) => rest,
        _ => line,
    };
    match line.strip_suffix('>').and_then(|line| line.rsplit_once("</")) {
        Some((rest, tag)) if !tag.contains([' ', '>']) => rest,
        _ => line,
    }
}

/// What a line says behind the first colon that a blank follows.
fn behind_colon(line: &str) -> Option<&str> {
    let mut colons = memchr::memchr_iter(b':', line.as_bytes());
    colons.find_map(|colon| line.get(colon + 1..)?.strip_prefix(' '))
}

/// Which count is that of a kind in a scope.
fn place(of_kind: u64) -> usize {
    of_kind as usize % COUNTS
}

fn up_to(text: &str) -> &str {
    text.get(..text.floor_char_boundary(LONGEST)).unwrap_or(text)
}

fn is_long(text: &str, least: usize) -> bool {
    text.bytes().filter(|byte| !byte.is_ascii_whitespace()).take(least).count() >= least
}

#[cfg(test)]
mod tests {
    use perimeter_interceptor::Role;
    use proptest::prelude::*;

    use super::*;

    const SOURCE: Source = Source { session: 0, generation: 1, call: 1 };

    fn turn(text: &str) -> Turn {
        Turn::new(Role::User, vec![Part::Text(text.into())])
    }

    proptest! {
        #[test]
        fn what_is_held_is_found_and_counted_until_it_is_removed(
            steps in prop::collection::vec((any::<bool>(), 0..2_u64, 0..3_u8), 1..40),
        ) {
            let mut quotes = Quotes::new(&Seed::default());
            let mut held = std::collections::BTreeSet::new();
            for (adds, scope, word) in steps {
                let text = format!("the same words as before, number {word}");
                let what = quotes.seed.of_text(&text);
                if adds {
                    quotes.add(Kind::Task, scope, what, SOURCE, &|_| true);
                    held.insert((scope, word));
                } else {
                    quotes.remove(Kind::Task, scope, what);
                    held.remove(&(scope, word));
                }
                let is_held = held.contains(&(scope, word));
                prop_assert_eq!(quotes.within(Kind::Task, scope, &turn(&text)), is_held.then_some(SOURCE));
                let count: u32 = quotes.counts.iter().sum();
                prop_assert_eq!(count as usize, held.len());
            }
        }

        #[test]
        fn what_stands_behind_a_colon_is_what_splitting_tells(line in "[a: \u{e9}]{0,8}") {
            prop_assert_eq!(behind_colon(&line), line.split_once(": ").map(|(_, text)| text));
        }

        #[test]
        fn a_known_hash_is_that_of_the_text(text in "[ab \n\u{e9}]{0,8}|a<system-reminder>b</system-reminder>") {
            let seed = Seed::default();
            let said = turn(&text);
            let units = crate::dialect::Units::of(&seed, std::slice::from_ref(&said));
            let lasts = crate::scribe::markers::lasting(&text);
            let expected = (!lasts.trim().is_empty()).then(|| seed.of_text(&lasts));
            prop_assert_eq!(units.said_last(&said), expected);
        }
    }
}
