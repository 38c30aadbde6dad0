//! A conversation grows turn by turn, and each request brings all of it: it is read only where it is new.
//!
//! Of a request it is remembered how long each message was, a hash of its bytes, and a hash of the turn that it was
//! read as; of the system prompt and the tools too. The next request is passed over as long as its bytes are the same;
//! what is left of it, still a request, is read by the dialect as any other. This only saves reading: which session
//! has seen which message is decided elsewhere, by the units. Whatever is not quite as expected is read whole.

mod layout;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use perimeter_interceptor::{Agent, CallId, Prefix, Role, Tool, Turn};

use self::layout::{Layout, Shape, Stretch};
use super::units::{Seed, Units};
use super::{Asked, Dialect, Prompt};
use crate::scribe::agents::{prompt_text, shared_agent_of};

/// How many conversations are remembered side by side: of a session an agent's, its sub-agents', and side calls'; of
/// those that begin alike the latest.
const MOST: usize = 8;

/// Conversations, by their last requests, the latest first.
#[derive(Debug, Default)]
pub(crate) struct Histories {
    latest: Vec<History>,
    seed: Seed,
    /// Whether what is read is needed for nothing but to be told.
    forgets: bool,
}

/// What is remembered of a request.
#[derive(Debug)]
struct History {
    dialect: Dialect,
    items: Vec<Item>,
    system: System,
    tools: Option<(Stretch, Arc<[Tool]>)>,
    units: Units,
    lead: Lead,
}

/// One of its messages.
#[derive(Clone, Copy, Debug)]
struct Item {
    /// `None` where it may not be passed over.
    bytes: Option<Stretch>,
    turn: u64,
}

/// Its system prompt.
#[derive(Clone, Copy, Debug, Default)]
struct System {
    bytes: Option<Stretch>,
    turn: Option<u64>,
}

/// The instructions that a request begins with, in its list of messages or outside of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Lead {
    /// Tells them from others.
    pub(crate) hash: u64,
    /// How many messages of the list they are.
    pub(crate) messages: usize,
    /// Whose they are.
    pub(crate) agent: Arc<Agent>,
}

/// A request, without what was passed over in it.
#[derive(Debug)]
pub(crate) struct News {
    /// What it asks. Its turns are the messages behind those that were passed over; its tools stand beside.
    pub(crate) prompt: Prompt,
    /// The system prompt that stands outside of the list, where it was read.
    pub(crate) system: Option<Turn>,
    /// All its tools.
    pub(crate) tools: Arc<[Tool]>,
    /// How many of its messages, from the first, were passed over.
    pub(crate) passed: usize,
    /// Whether a system prompt outside of the list was passed over.
    passed_system: bool,
    /// All its messages.
    pub(crate) units: Units,
    pub(crate) lead: Lead,
    /// How its bytes begin, as far as that is known.
    pub(crate) prefixes: Arc<[Prefix]>,
    /// Whether it was not seen to its end: its last message may be another, or not the last.
    pub(crate) is_cut: bool,
}

impl News {
    /// All of it.
    pub(crate) fn all(asked: &Asked, seed: &Seed, mut prompt: Prompt) -> Self {
        let has_system = Shape::of(asked).is_none_or(|shape| shape.has_system());
        let is_system = |turn: &Turn| turn.role == Role::System;
        let system =
            (has_system && prompt.turns.first().is_some_and(is_system)).then(|| prompt.turns.remove(0));
        let tools = std::mem::take(&mut prompt.tools).into();
        let units = Units::of(seed, &prompt.turns);
        let leading = prompt.turns.iter().take_while(|turn| is_system(turn)).count();
        let hashes = prompt.turns.iter().take(leading).map(|turn| seed.of_turn(turn));
        let lead = Lead {
            hash: hash_of_lead(seed, system.as_ref().map(|turn| seed.of_turn(turn)), hashes),
            messages: leading,
            agent: agent(system.as_ref(), prompt.turns.get(..leading).unwrap_or_default()),
        };
        let prefixes = Arc::default();
        Self { prompt, system, tools, passed: 0, passed_system: false, units, lead, prefixes, is_cut: false }
    }

    /// With what is told of a request that only counts: how much there is, not what.
    pub(crate) fn counting(self, prompt: Prompt) -> Self {
        Self { prompt, system: None, passed: 0, passed_system: false, ..self }
    }

    /// Of a request that was seen to its end, or was not.
    pub(crate) fn seen(self, whole: bool) -> Self {
        Self { is_cut: !whole, ..self }
    }

    /// Whether the system prompt was passed over, or messages at its beginning.
    pub(crate) fn is_passed(&self) -> bool {
        self.passed > 0 || self.passed_system
    }

    /// Whether all is there that is new to somebody who knows so many messages, and the lead or not.
    pub(crate) fn suffices(&self, known: usize, knows_lead: bool) -> bool {
        self.passed <= known
            && (knows_lead || !self.passed_system && (self.passed == 0 || self.lead.messages == 0))
    }

    /// All the turns that were read, in their order.
    pub(crate) fn history(&self) -> Arc<[Turn]> {
        self.system.iter().chain(&self.prompt.turns).cloned().collect()
    }

    /// The turns that are new to somebody who knows so many messages, and the lead or not.
    pub(crate) fn turns(&mut self, known: usize, knows_lead: bool) -> Vec<Turn> {
        let mut turns = std::mem::take(&mut self.prompt.turns);
        let mut at = self.passed;
        let leading = if knows_lead { 0 } else { self.lead.messages };
        turns.retain(|_| {
            at += 1;
            at > known || at <= leading
        });
        if let Some(system) = self.system.take().filter(|_| !knows_lead) {
            turns.insert(0, system);
        }
        turns
    }
}

fn hash_of_lead(seed: &Seed, system: Option<u64>, messages: impl Iterator<Item = u64>) -> u64 {
    system.into_iter().chain(messages).fold(0, |before, hash| seed.then(before, hash))
}

/// The agent that has these instructions.
fn agent(system: Option<&Turn>, messages: &[Turn]) -> Arc<Agent> {
    let turns: Vec<Turn> = system.into_iter().chain(messages).cloned().collect();
    shared_agent_of(prompt_text(&turns).as_deref())
}

/// What of a request is passed over.
#[derive(Clone, Copy, Debug)]
enum Skips {
    /// The messages that are known, also behind one with other bytes.
    Resuming,
    /// The messages that are known up to the first that is not.
    Leading,
    Nothing,
}

impl Histories {
    /// None yet.
    pub(crate) fn new(seed: &Seed) -> Self {
        Self { latest: Vec::new(), seed: seed.clone(), forgets: false }
    }

    /// None, now and later: for a request that is read by itself.
    pub(crate) fn forgetting(seed: &Seed) -> Self {
        Self { forgets: true, ..Self::new(seed) }
    }

    /// What tells conversations apart that begin otherwise: by the first two messages, and by the first alone, as they
    /// are written.
    pub(crate) fn openings(asked: &Asked, body: &[u8], seed: &Seed) -> Option<(u64, u64)> {
        layout::openings(body, &Shape::of(asked)?, seed)
    }

    /// Reads the next request, as [`Asked::read_request`] does.
    pub(crate) fn read(
        &mut self,
        asked: &Asked,
        call: CallId,
        content_type: Option<&[u8]>,
        body: &[u8],
        whole: bool,
    ) -> News {
        let read = |body: &[u8]| asked.read_request(call, content_type, body, whole);
        // Where no system prompt stands outside of the list, a request that is read by itself need not be taken apart.
        let is_plain = |shape: &Shape| self.forgets && !shape.has_system();
        let Some(shape) = Shape::of(asked).filter(|shape| whole && !is_plain(shape)) else {
            return News::all(asked, &self.seed, read(body));
        };
        // What is left where all that is known is cut out; and where that is not as expected, all of it.
        let mut skips = Skips::Resuming;
        loop {
            let (histories, resumes) = match skips {
                Skips::Resuming => (&*self.latest, true),
                Skips::Leading => (&*self.latest, false),
                Skips::Nothing => (&[][..], false),
            };
            let Some(layout) = Layout::of(body, &shape, histories, resumes, &self.seed) else { break };
            let short = layout.shortened(body);
            let mut prompt = read(short.as_deref().unwrap_or(body));
            if short.is_none() || !prompt.partial {
                if let Some(system) = take_system(&layout, &mut prompt.turns) {
                    if self.take_again(&layout, &mut prompt.turns)
                        && let Some(history) =
                            self.history(&shape, &layout, system.as_ref(), &mut prompt, body)
                    {
                        let prefixes = self.prefixes(&layout, body);
                        return News { prefixes, ..self.remember(history, &layout, system, prompt) };
                    }
                } else if short.is_none() {
                    let prefixes = self.prefixes(&layout, body);
                    return News { prefixes, ..News::all(asked, &self.seed, prompt) };
                }
            }
            skips = match skips {
                Skips::Resuming if !layout.again.is_empty() => Skips::Leading,
                Skips::Resuming | Skips::Leading => Skips::Nothing,
                Skips::Nothing => break,
            };
        }
        let prefixes = if self.forgets { Arc::default() } else { Self::prefixes_of(asked, body, &self.seed) };
        News { prefixes, ..News::all(asked, &self.seed, read(body)) }
    }

    /// How a request begins that is not read here.
    pub(crate) fn prefixes_of(asked: &Asked, body: &[u8], seed: &Seed) -> Arc<[Prefix]> {
        let layout = Shape::of(asked).and_then(|shape| Layout::of(body, &shape, &[], false, seed));
        layout.map(|layout| layout.prefixes(body, seed)).unwrap_or_default()
    }

    fn prefixes(&self, layout: &Layout, body: &[u8]) -> Arc<[Prefix]> {
        if self.forgets { Arc::default() } else { layout.prefixes(body, &self.seed) }
    }

    /// About how many bytes of memory it holds.
    pub(crate) fn weight(&self) -> usize {
        self.latest.iter().map(History::weight).sum()
    }

    /// Takes out the turns that were read again. False where one of them is another now: then what follows is new.
    fn take_again(&self, layout: &Layout, turns: &mut Vec<Turn>) -> bool {
        let like = self.latest.get(layout.like);
        let is_same = |(at, turn): (&usize, &Turn)| {
            let item = like.and_then(|like| like.items.get(*at));
            item.is_some_and(|item| item.turn == self.seed.of_turn(turn))
        };
        let same = layout.again.iter().zip(&*turns).all(is_same);
        turns.drain(..layout.again.len().min(turns.len()));
        same
    }

    /// What is to be remembered of a request. What was odd in it must be read each time. `None` where more of it has to
    /// be read to say what it means.
    fn history(
        &self,
        shape: &Shape,
        layout: &Layout,
        system: Option<&Turn>,
        prompt: &mut Prompt,
        body: &[u8],
    ) -> Option<History> {
        let seed = &self.seed;
        let is_fine = !prompt.partial;
        let stretch = |range: &std::ops::Range<usize>| {
            let value = body.get(range.clone()).filter(|_| is_fine && !self.forgets)?;
            Stretch::of(value, seed)
        };
        let like = |at: usize| self.latest.get(at);
        let mut items = Vec::new();
        if !layout.goes_on && !self.forgets {
            items.reserve_exact(layout.known.len() + layout.fresh.len());
            let known = like(layout.like).and_then(|like| like.items.get(..layout.known.len()));
            items.extend_from_slice(known.unwrap_or_default());
            for at in &layout.again {
                if let (Some(item), Some(known)) = (items.get_mut(*at), layout.known.get(*at)) {
                    item.bytes = stretch(&known.range);
                }
            }
            let fresh = layout.fresh.iter().zip(&prompt.turns);
            items.extend(fresh.map(|(range, turn)| Item { bytes: stretch(range), turn: seed.of_turn(turn) }));
        }
        let units = self.units(layout, &prompt.turns)?;
        let turn = system.map(|turn| seed.of_turn(turn));
        let stretches = match &layout.system {
            Some(member) => match member.like.and_then(like) {
                Some(like) => like.system,
                // Told with something else, its bytes do not say what it means.
                None => System { bytes: stretch(&member.range).filter(|_| !layout.beside_system), turn },
            },
            None => System { bytes: None, turn },
        };
        let tools = layout.tools.as_ref().and_then(|member| match member.like.and_then(like) {
            Some(like) => like.tools.clone(),
            None => Some((stretch(&member.range)?, std::mem::take(&mut prompt.tools).into())),
        });
        let lead = self.lead(layout, &units, stretches.turn, &items, system, &prompt.turns)?;
        Some(History { dialect: shape.dialect(), items, system: stretches, tools, units, lead })
    }

    /// All messages: those that are known as they were read, and the others. `None` where the model's words begin in
    /// the known and go on behind it.
    fn units(&self, layout: &Layout, fresh: &[Turn]) -> Option<Units> {
        let known = match self.latest.get(layout.like) {
            Some(like) if !layout.known.is_empty() => like.units.prefix(layout.known.len())?,
            _ => Units::default(),
        };
        let mut units = known;
        let next = fresh.iter().find(|turn| turn.role != Role::System);
        if units.ends_by_model() && next.is_none_or(|turn| turn.role == Role::Assistant) {
            return None;
        }
        units.extend(&self.seed, fresh);
        Some(units)
    }

    /// The instructions at the beginning. `None` where some of them are new, and others were not read.
    fn lead(
        &self,
        layout: &Layout,
        units: &Units,
        system: Option<u64>,
        items: &[Item],
        read: Option<&Turn>,
        fresh: &[Turn],
    ) -> Option<Lead> {
        let messages = (0..).take_while(|message| units.leads(*message)).count();
        // The items of a request that goes on are not kept.
        let fresh_hashes = fresh.iter().map(|turn| self.seed.of_turn(turn));
        let hashes: Vec<u64> = match layout.goes_on || self.forgets {
            true => fresh_hashes.take(messages).collect(),
            false => items.iter().take(messages).map(|item| item.turn).collect(),
        };
        let hash = hash_of_lead(&self.seed, system, hashes.into_iter());
        if let Some(earlier) = self.latest.iter().find(|earlier| earlier.lead.hash == hash) {
            return Some(Lead { messages, ..earlier.lead.clone() });
        }
        let is_read = (system.is_none() || read.is_some()) && (messages == 0 || layout.known.is_empty());
        let leading = fresh.get(..messages).unwrap_or_default();
        is_read.then(|| Lead { hash, messages, agent: agent(read, leading) })
    }

    /// Remembers a request, in place of the one that it goes on from. The last message of that one may have been
    /// another: clients add reminders there that they do not repeat.
    fn remember(
        &mut self,
        history: History,
        layout: &Layout,
        system: Option<Turn>,
        mut prompt: Prompt,
    ) -> News {
        let goes_on = |earlier: &History| {
            let common = earlier.in_common(&history);
            earlier.dialect == history.dialect
                && earlier.items.len() <= common + 1
                && (common > 0 || earlier.items.is_empty())
        };
        let tools = match &history.tools {
            Some((_, tools)) => tools.clone(),
            None => std::mem::take(&mut prompt.tools).into(),
        };
        let news = News {
            passed_system: system.is_none() && history.system.turn.is_some(),
            prompt,
            system,
            tools,
            passed: layout.known.len(),
            units: history.units.clone(),
            lead: history.lead.clone(),
            prefixes: Arc::default(),
            is_cut: false,
        };
        if self.forgets {
            return news;
        }
        match self.latest.iter().position(goes_on) {
            Some(earlier) => drop(self.latest.remove(earlier)),
            None => self.latest.truncate(MOST - 1),
        }
        self.latest.insert(0, history);
        news
    }
}

impl History {
    fn in_common(&self, other: &Self) -> usize {
        if self.dialect != other.dialect {
            return 0;
        }
        self.items.iter().zip(&other.items).take_while(|(one, other)| one.turn == other.turn).count()
    }

    fn weight(&self) -> usize {
        let tool =
            |tool: &Tool| 64 + tool.name.len() + tool.description.as_ref().map_or(0, |text| text.len());
        let tools: usize = self.tools.iter().flat_map(|(_, tools)| tools.iter()).map(tool).sum();
        size_of::<Self>() + self.items.capacity() * size_of::<Item>() + self.units.weight() + tools
    }
}

/// Takes the system prompt out of the turns, so that one is left for each fresh message. `None` where that is not so.
fn take_system(layout: &Layout, turns: &mut Vec<Turn>) -> Option<Option<Turn>> {
    match turns.len().checked_sub(layout.again.len() + layout.fresh.len())? {
        0 => Some(None),
        1 => {
            let is_read = match &layout.system {
                Some(member) => member.like.is_none(),
                None => layout.beside_system,
            };
            let first = turns.first()?;
            (is_read && first.role == Role::System).then(|| Some(turns.remove(0)))
        }
        _ => None,
    }
}
