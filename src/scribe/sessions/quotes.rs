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
    /// `None` where it was said in several sessions.
    of: LruCache<u64, Option<Source>, RandomState>,
    seed: Seed,
}

impl Quotes {
    pub(super) fn new(seed: &Seed) -> Self {
        // With a bound it would make room for all of them at once.
        Self { of: LruCache::unbounded_with_hasher(RandomState::default()), seed: seed.clone() }
    }

    fn key(&self, kind: Kind, scope: u64, what: u64) -> u64 {
        self.seed.then(self.seed.then(scope, kind as u64 + 1), what)
    }

    /// `is_held` is whether a session still is: one that is not is not said in any more.
    pub(super) fn add(&mut self, kind: Kind, scope: u64, what: u64, source: Source, is_held: &Held<'_>) {
        let key = self.key(kind, scope, what);
        let is_other = |known: &Source| !known.is_beside(source) && is_held(*known);
        match self.of.get_mut(&key) {
            Some(known) if known.as_ref().is_none_or(is_other) => *known = None,
            Some(known) => *known = Some(source),
            None => {
                if self.of.len() >= MOST {
                    self.of.pop_lru();
                }
                self.of.put(key, Some(source));
            }
        }
    }

    #[cfg(test)]
    pub(super) fn count(&self) -> usize {
        self.of.len()
    }

    /// Where this was said, if in one session alone.
    pub(super) fn find(&self, kind: Kind, scope: u64, what: u64) -> Option<Source> {
        *self.of.peek(&self.key(kind, scope, what))?
    }

    /// It is not to be found any more.
    pub(super) fn remove(&mut self, kind: Kind, scope: u64, what: u64) {
        self.of.pop(&self.key(kind, scope, what));
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
        let least = if kind == Kind::Said { 1 } else { SHORTEST };
        let text = up_to(text);
        let first = text.trim().lines().next().unwrap_or_default();
        let second = Some(first).filter(|line| line.len() < text.trim().len());
        for text in [Some(text), second].into_iter().flatten() {
            if is_long(text, least) {
                self.add(kind, scope, self.seed.of_text(text), source, is_held);
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
            let line = |line: &str| {
                let behind = line.split_once(": ").map(|(_, text)| text);
                find(line).or_else(|| find(behind?))
            };
            let only_line = |text: &str| find(text.trim().split_once(": ")?.1);
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

fn up_to(text: &str) -> &str {
    text.get(..text.floor_char_boundary(LONGEST)).unwrap_or(text)
}

fn is_long(text: &str, least: usize) -> bool {
    text.bytes().filter(|byte| !byte.is_ascii_whitespace()).take(least).count() >= least
}
