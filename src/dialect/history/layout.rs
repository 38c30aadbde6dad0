//! Where the large members of a request stand in it, and which of them were there in an earlier one.

use std::ops::Range;

use super::{History, Seed};
use crate::dialect::skim::Skim;
use crate::dialect::{Asked, Dialect};

/// What a dialect calls the members of a request that grow large. They stand at its top, or in `within`.
pub(super) struct Shape {
    dialect: Dialect,
    within: Option<&'static str>,
    list: &'static str,
    /// The system prompt, where it stands outside of the list.
    system: &'static [&'static str],
    /// The tools. Where there are two of these, their order matters, and nobody writes both.
    tools: &'static [&'static str],
    /// With one of these the request goes on where another ended: its messages are new, whatever they look like.
    goes_on: &'static [&'static str],
}

impl Shape {
    /// The shape of what is asked so. `None` where it has no messages.
    pub(super) fn of(asked: &Asked) -> Option<Self> {
        let dialect = asked.dialect;
        let shape = Self { dialect, within: None, list: "", system: &[], tools: &["tools"], goes_on: &[] };
        match dialect {
            _ if !asked.has_body => None,
            Dialect::OpenAiChat => Some(Self { list: "messages", tools: &["tools", "functions"], ..shape }),
            Dialect::OpenAiResponses => Some(Self {
                list: "input",
                system: &["instructions"],
                goes_on: &["previous_response_id", "conversation"],
                ..shape
            }),
            Dialect::AnthropicMessages => Some(Self { list: "messages", system: &["system"], ..shape }),
            Dialect::Gemini => Some(Self {
                within: Some("request"),
                list: "contents",
                system: &["systemInstruction", "system_instruction"],
                ..shape
            }),
            Dialect::OpenAiCompletions
            | Dialect::OpenAiRealtime
            | Dialect::OpenAiOther
            | Dialect::AnthropicOther
            | Dialect::GeminiOther => None,
        }
    }

    pub(super) fn dialect(&self) -> Dialect {
        self.dialect
    }
}

/// A request, taken apart.
#[derive(Debug, Default)]
pub(super) struct Layout {
    /// How many messages, from the first, are those of the history `like`.
    pub(super) known: usize,
    pub(super) like: usize,
    /// The messages behind them.
    pub(super) fresh: Vec<Range<usize>>,
    pub(super) system: Option<Member>,
    pub(super) tools: Option<Member>,
    /// Whether it goes on where another request ended.
    pub(super) goes_on: bool,
    /// What is known, and what stands in its place.
    cuts: Vec<(Range<usize>, &'static [u8])>,
}

/// A large member's value.
#[derive(Debug)]
pub(super) struct Member {
    pub(super) range: Range<usize>,
    /// The history that holds the same.
    pub(super) like: Option<usize>,
}

impl Layout {
    /// Takes a request apart, beside what is remembered. `None` where it is not quite as expected.
    pub(super) fn of(body: &[u8], shape: &Shape, histories: &[History], seed: &Seed) -> Option<Self> {
        let walk = Walk {
            skim: Skim::new(body),
            shape,
            histories,
            seed,
            has_list: false,
            has_within: false,
            last: None,
            layout: Self::default(),
        };
        let layout = walk.request()?;
        if layout.goes_on && layout.known > 0 {
            return Self::of(body, shape, &[], seed);
        }
        Some(layout)
    }

    /// The request without what is known. `None` where that is nothing.
    pub(super) fn shortened(&self, body: &[u8]) -> Option<Vec<u8>> {
        if self.cuts.is_empty() {
            return None;
        }
        let less: usize = self.cuts.iter().map(|(range, _)| range.len()).sum();
        let mut short = Vec::with_capacity(body.len().saturating_sub(less) + 8 * self.cuts.len());
        let mut from = 0;
        for (range, instead) in &self.cuts {
            short.extend_from_slice(body.get(from..range.start)?);
            short.extend_from_slice(instead);
            from = range.end;
        }
        short.extend_from_slice(body.get(from..)?);
        Some(short)
    }
}

struct Walk<'a> {
    skim: Skim<'a>,
    shape: &'a Shape,
    histories: &'a [History],
    seed: &'a Seed,
    has_list: bool,
    has_within: bool,
    /// The stretch that was looked at last: where, how long, and its hash.
    last: Option<(usize, usize, u64)>,
    layout: Layout,
}

impl Walk<'_> {
    fn request(mut self) -> Option<Layout> {
        self.object(true)?;
        let is_whole = self.skim.peek().is_none();
        (is_whole && self.has_list).then_some(self.layout)
    }

    fn object(&mut self, at_top: bool) -> Option<()> {
        if !self.skim.eat(b'{') {
            return None;
        }
        if self.skim.eat(b'}') {
            return Some(());
        }
        loop {
            let key = std::str::from_utf8(self.skim.key()?).ok()?;
            self.member(key, at_top)?;
            if !self.skim.eat(b',') {
                return self.skim.eat(b'}').then_some(());
            }
        }
    }

    fn member(&mut self, key: &str, at_top: bool) -> Option<()> {
        let shape = self.shape;
        if key == shape.list {
            return self.list();
        }
        if shape.system.contains(&key) {
            let system = self.large(|history| history.system.bytes)?;
            return once(&mut self.layout.system, system);
        }
        if shape.tools.contains(&key) {
            let tools = self.large(|history| history.tools.as_ref().map(|(bytes, _)| *bytes))?;
            return once(&mut self.layout.tools, tools);
        }
        if at_top && shape.within == Some(key) {
            let is_first = !std::mem::replace(&mut self.has_within, true);
            return is_first.then(|| self.object(false)).flatten();
        }
        let value = self.skim.peek()?;
        self.skim.value()?;
        self.layout.goes_on |= shape.goes_on.contains(&key) && value != b'n';
        Some(())
    }

    /// Passes over a value that may be remembered.
    fn large(&mut self, of: impl Fn(&History) -> Option<Stretch>) -> Option<Member> {
        let start = self.skim.at();
        let like = self.histories.iter().position(|history| {
            history.dialect == self.shape.dialect && of(history).is_some_and(|bytes| self.is_next(bytes))
        });
        if let Some(bytes) = like.and_then(|like| of(self.histories.get(like)?)) {
            self.skim.jump(bytes.length);
            let range = start..self.skim.at();
            self.layout.cuts.push((range.clone(), b"null"));
            return Some(Member { range, like });
        }
        Some(Member { range: self.skim.value()?, like: None })
    }

    fn list(&mut self) -> Option<()> {
        if std::mem::replace(&mut self.has_list, true) {
            return None;
        }
        if self.skim.peek()? == b'"' {
            // One message, by its text alone.
            self.layout.fresh.push(self.skim.value()?);
            return Some(());
        }
        if !self.skim.eat(b'[') {
            return None;
        }
        if self.skim.eat(b']') {
            return Some(());
        }
        if self.skim.peek()? != b'{' {
            return None;
        }
        if self.known()? { Some(()) } else { self.fresh() }
    }

    /// Passes over the leading messages that are known; says whether these are all.
    fn known(&mut self) -> Option<bool> {
        let start = self.skim.at();
        let mut alike: Vec<usize> = (0..self.histories.len()).collect();
        alike.retain(|at| self.histories.get(*at).is_some_and(|one| one.dialect == self.shape.dialect));
        let mut all = false;
        while !all && let Some(bytes) = self.next_known(&mut alike) {
            self.skim.jump(bytes.length);
            let end = self.skim.at();
            self.layout.known += 1;
            all = !self.skim.eat(b',');
            if all {
                if !self.skim.eat(b']') {
                    return None;
                }
                self.layout.cuts.push((start..end, b""));
            } else {
                self.skim.peek()?;
            }
        }
        if self.layout.known > 0 && !all {
            self.layout.cuts.push((start..self.skim.at(), b""));
        }
        Some(all)
    }

    /// The next message, if one of the histories that were `alike` so far goes on with it.
    fn next_known(&mut self, alike: &mut Vec<usize>) -> Option<Stretch> {
        let (number, histories) = (self.layout.known, self.histories);
        let of = |at: &usize| histories.get(*at)?.items.get(number)?.bytes;
        let bytes = alike.iter().find_map(|at| of(at).filter(|bytes| self.is_next(*bytes)))?;
        alike.retain(|at| of(at) == Some(bytes));
        self.layout.like = alike.first().copied()?;
        Some(bytes)
    }

    fn fresh(&mut self) -> Option<()> {
        loop {
            if self.skim.peek()? != b'{' {
                return None;
            }
            let message = self.skim.value()?;
            self.layout.fresh.push(message);
            if !self.skim.eat(b',') {
                return self.skim.eat(b']').then_some(());
            }
        }
    }

    /// Whether these bytes are what comes next.
    fn is_next(&mut self, bytes: Stretch) -> bool {
        let (at, length) = (self.skim.at(), bytes.length);
        if let Some((last_at, last_length, hash)) = self.last
            && (last_at, last_length) == (at, length)
        {
            return hash == bytes.hash;
        }
        let Some(next) = self.skim.ahead(length) else { return false };
        let hash = self.seed.of_bytes(next);
        self.last = Some((at, length, hash));
        hash == bytes.hash
    }
}

/// A member that stands there twice is not what anybody expects.
fn once(place: &mut Option<Member>, member: Member) -> Option<()> {
    place.is_none().then(|| *place = Some(member))
}

/// Bytes that were a whole value, which shows where it ends: an object, a list or a string.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stretch {
    length: usize,
    hash: u64,
}

impl Stretch {
    pub(super) fn of(value: &[u8], seed: &Seed) -> Option<Self> {
        let ends_itself = matches!(value.first(), Some(b'{' | b'[' | b'"'));
        ends_itself.then(|| Self { length: value.len(), hash: seed.of_bytes(value) })
    }
}
