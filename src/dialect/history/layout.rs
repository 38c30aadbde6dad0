//! Where the large members of a request stand in it, and which of them were there in an earlier one.

use std::ops::Range;
use std::sync::Arc;

use perimeter_interceptor::Prefix;

use super::History;
use crate::dialect::skim::Skim;
use crate::dialect::units::Seed;
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
    /// Members that are told with the system prompt: it is read where they are.
    beside_system: &'static [&'static str],
    /// With one of these the request goes on where another ended: its messages are new, whatever they look like.
    goes_on: &'static [&'static str],
}

/// How many messages may have other bytes than the turn before, and those behind them the same again. A client of
/// Anthropic's moves up to four marks.
const MOST_AGAIN: usize = 4;

impl Shape {
    /// The shape of what is asked so. `None` where it has no messages.
    pub(super) fn of(asked: &Asked) -> Option<Self> {
        let dialect = asked.dialect;
        let shape = Self {
            dialect,
            within: None,
            list: "",
            system: &[],
            tools: &["tools"],
            beside_system: &[],
            goes_on: &[],
        };
        match dialect {
            _ if !asked.has_body => None,
            Dialect::OpenAiChat => Some(Self { list: "messages", tools: &["tools", "functions"], ..shape }),
            Dialect::OpenAiResponses => Some(Self {
                list: "input",
                system: &["instructions"],
                beside_system: &["prompt"],
                goes_on: &["previous_response_id", "conversation"],
                ..shape
            }),
            Dialect::AnthropicMessages => Some(Self { list: "messages", system: &["system"], ..shape }),
            Dialect::Gemini => Some(Self {
                within: Some("request"),
                list: "contents",
                system: &["systemInstruction", "system_instruction"],
                beside_system: &["cachedContent", "cached_content"],
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

    /// Whether a system prompt may stand outside of the list.
    pub(super) fn has_system(&self) -> bool {
        !self.system.is_empty()
    }
}

/// The hashes of a request's first two messages together, and of its first one.
pub(super) fn openings(body: &[u8], shape: &Shape, seed: &Seed) -> Option<(u64, u64)> {
    let mut skim = Skim::new(body);
    enter(&mut skim, shape.list, shape.within)?;
    if !skim.eat(b'[') || skim.peek()? != b'{' {
        return None;
    }
    let first = seed.of_bytes(body.get(skim.value()?)?);
    if !skim.eat(b',') {
        return Some((first, first));
    }
    skim.peek()?;
    let second = seed.of_bytes(body.get(skim.value()?)?);
    Some((seed.then(first, second), first))
}

/// Goes to the member of this name, which stands at the top or within another.
fn enter(skim: &mut Skim<'_>, name: &str, within: Option<&str>) -> Option<()> {
    if !skim.eat(b'{') {
        return None;
    }
    loop {
        let key = std::str::from_utf8(skim.key()?).ok()?;
        skim.peek()?;
        if key == name {
            return Some(());
        }
        if within == Some(key) {
            return enter(skim, name, None);
        }
        skim.value()?;
        if !skim.eat(b',') {
            return None;
        }
    }
}

/// A request, taken apart.
#[derive(Debug, Default)]
pub(super) struct Layout {
    /// The messages, from the first, that are those of the history `like`.
    pub(super) known: Vec<Known>,
    pub(super) like: usize,
    /// Which of them have other bytes: whether they still say the same is to be read.
    pub(super) again: Vec<usize>,
    /// The messages behind them.
    pub(super) fresh: Vec<Range<usize>>,
    pub(super) system: Option<Member>,
    /// Whether something else is told with the system prompt.
    pub(super) beside_system: bool,
    pub(super) tools: Option<Member>,
    /// Whether it goes on where another request ended.
    pub(super) goes_on: bool,
    /// What is known, and what stands in its place.
    cuts: Vec<(Range<usize>, &'static [u8])>,
}

/// A message of a history.
#[derive(Debug)]
pub(super) struct Known {
    pub(super) range: Range<usize>,
    /// That of its bytes, where they are the same.
    hash: Option<u64>,
}

/// A large member's value.
#[derive(Debug)]
pub(super) struct Member {
    pub(super) range: Range<usize>,
    /// The history that holds the same.
    pub(super) like: Option<usize>,
}

impl Layout {
    /// How the request begins, up to the end of each message.
    pub(super) fn prefixes(&self, body: &[u8], seed: &Seed) -> Arc<[Prefix]> {
        let known = self.known.iter().map(|known| (&known.range, known.hash));
        let mut last = Prefix::new(0, 0);
        let prefixes =
            known.chain(self.fresh.iter().map(|range| (range, None))).map_while(|(range, hash)| {
                let before = seed.then(last.hash, seed.of_bytes(body.get(last.len..range.start)?));
                let hash = hash.or_else(|| Some(seed.of_bytes(body.get(range.clone())?)))?;
                last = Prefix::new(range.end, seed.then(before, hash));
                Some(last)
            });
        prefixes.collect()
    }

    /// Takes a request apart, beside what is remembered. `None` where it is not quite as expected. Where it `resumes`,
    /// a message between known ones may be another.
    pub(super) fn of(
        body: &[u8],
        shape: &Shape,
        histories: &[History],
        resumes: bool,
        seed: &Seed,
    ) -> Option<Self> {
        let walk = Walk {
            skim: Skim::new(body),
            shape,
            histories,
            seed,
            resumes,
            has_list: false,
            has_within: false,
            last: None,
            layout: Self::default(),
        };
        let mut layout = walk.request()?;
        if layout.goes_on && !layout.known.is_empty() {
            return Self::of(body, shape, &[], false, seed);
        }
        if layout.beside_system
            && let Some(member) = &mut layout.system
            && member.like.take().is_some()
        {
            layout.cuts.retain(|(range, _)| *range != member.range);
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
    resumes: bool,
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
        self.layout.beside_system |= shape.beside_system.contains(&key) && value != b'n';
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
        self.messages()
    }

    /// Passes over the messages: those that are known, as long as they are, and then the others.
    fn messages(&mut self) -> Option<()> {
        let mut alike: Vec<usize> = (0..self.histories.len()).collect();
        alike.retain(|at| self.histories.get(*at).is_some_and(|one| one.dialect == self.shape.dialect));
        let mut kept = None;
        while !self.known(&mut alike, kept)? {
            if self.skim.peek()? != b'{' {
                return None;
            }
            let message = self.skim.value()?;
            kept = Some(message.end);
            if !self.skim.eat(b',') {
                self.layout.fresh.push(message);
                return self.skim.eat(b']').then_some(());
            }
            self.skim.peek()?;
            if !self.goes_on_behind(&alike) {
                self.layout.fresh.push(message);
                return self.fresh();
            }
            self.layout.again.push(self.layout.known.len());
            self.layout.known.push(Known { range: message, hash: None });
        }
        Some(())
    }

    /// Whether what comes next is known, though the message before it is not.
    fn goes_on_behind(&mut self, alike: &[usize]) -> bool {
        self.resumes
            && self.layout.again.len() < MOST_AGAIN
            && self.next_like(alike, self.layout.known.len() + 1).is_some()
    }

    /// Passes over messages that are known; says whether there are no others behind them. The last before them that
    /// is `kept` ends there.
    fn known(&mut self, alike: &mut Vec<usize>, kept: Option<usize>) -> Option<bool> {
        let start = self.skim.at();
        let mut end = start;
        while let Some(bytes) = self.next_known(alike) {
            let from = self.skim.at();
            self.skim.jump(bytes.length);
            end = self.skim.at();
            self.layout.known.push(Known { range: from..end, hash: Some(bytes.hash) });
            if !self.skim.eat(b',') {
                // No comma is left in front of them.
                self.layout.cuts.push((kept.unwrap_or(start)..end, b""));
                return self.skim.eat(b']').then_some(true);
            }
            self.skim.peek()?;
        }
        if end > start {
            self.layout.cuts.push((start..self.skim.at(), b""));
        }
        Some(false)
    }

    /// The next message, if one of the histories that were `alike` so far goes on with it.
    fn next_known(&mut self, alike: &mut Vec<usize>) -> Option<Stretch> {
        let (number, histories) = (self.layout.known.len(), self.histories);
        let bytes = self.next_like(alike, number)?;
        alike.retain(|at| histories.get(*at).and_then(|one| one.items.get(number)?.bytes) == Some(bytes));
        self.layout.like = alike.first().copied()?;
        Some(bytes)
    }

    /// What comes next, if it is the message of this number in one of these histories.
    fn next_like(&mut self, alike: &[usize], number: usize) -> Option<Stretch> {
        let histories = self.histories;
        let of = |at: &usize| histories.get(*at)?.items.get(number)?.bytes;
        alike.iter().find_map(|at| of(at).filter(|bytes| self.is_next(*bytes)))
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
