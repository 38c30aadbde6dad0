//! A conversation grows turn by turn, and each request brings all of it: it is read only where it is new.
//!
//! Of the requests of a session it is remembered how long each message was, a hash of its bytes, and a hash of the
//! turn that it was read as; of the system prompt and the tools too. The next request is passed over as long as its
//! bytes are the same; what is left of it, still a request, is read by the dialect as any other. What is known is
//! decided by the meaning alone: bytes only save the reading. Whatever is not quite as expected is read whole.

mod layout;
#[cfg(test)]
mod tests;

use std::hash::{BuildHasher as _, Hasher as _};
use std::sync::Arc;

use foldhash::quality::RandomState;
use perimeter_interceptor::{CallId, Role, Tool, Turn};

use self::layout::{Layout, Shape, Stretch};
use super::{Asked, Dialect, Prompt};

/// How many conversations of a session are remembered: an agent's, its sub-agents', and side calls'.
const MOST: usize = 8;

/// The conversations of one session, by their last requests, the latest first.
#[derive(Debug, Default)]
pub(crate) struct Histories {
    latest: Vec<History>,
    seed: Seed,
}

/// What is remembered of a request.
#[derive(Debug)]
struct History {
    dialect: Dialect,
    items: Vec<Item>,
    system: System,
    tools: Option<(Stretch, Arc<[Tool]>)>,
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

/// A request, and what of it is new.
#[derive(Debug)]
pub(crate) struct News {
    /// What it asks. Its turns are those that are new, the system prompt first; its tools stand beside.
    pub(crate) prompt: Prompt,
    /// All its tools.
    pub(crate) tools: Arc<[Tool]>,
    /// How many of its messages, from the first, are not new.
    pub(crate) known: usize,
}

impl News {
    /// All of it is new.
    pub(crate) fn all(mut prompt: Prompt) -> Self {
        let tools = std::mem::take(&mut prompt.tools).into();
        Self { prompt, tools, known: 0 }
    }
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
    /// Reads the next request of the session, as [`Asked::read_request`] does.
    pub(crate) fn read(
        &mut self,
        asked: &Asked,
        call: CallId,
        content_type: Option<&[u8]>,
        body: &[u8],
        whole: bool,
    ) -> News {
        let read = |body: &[u8]| asked.read_request(call, content_type, body, whole);
        let Some(shape) = Shape::of(asked).filter(|_| whole) else { return News::all(read(body)) };
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
                    if self.take_again(&layout, &mut prompt.turns) {
                        return self.compare(&shape, &layout, system, prompt, body);
                    }
                } else if short.is_none() {
                    return News::all(prompt);
                }
            }
            skips = match skips {
                Skips::Resuming if !layout.again.is_empty() => Skips::Leading,
                Skips::Resuming | Skips::Leading => Skips::Nothing,
                Skips::Nothing => break,
            };
        }
        News::all(read(body))
    }

    /// About how many bytes of memory it holds.
    pub(crate) fn weight(&self) -> usize {
        self.latest.iter().map(History::weight).sum()
    }

    /// Takes out the turns that were read again. False where one of them is another now: then what follows is new.
    fn take_again(&self, layout: &Layout, turns: &mut Vec<Turn>) -> bool {
        let like = self.latest.get(layout.like);
        let is_same = |((at, _), turn): (&(usize, _), &Turn)| {
            let item = like.and_then(|like| like.items.get(*at));
            item.is_some_and(|item| item.turn == self.seed.of_turn(turn))
        };
        let same = layout.again.iter().zip(&*turns).all(is_same);
        turns.drain(..layout.again.len().min(turns.len()));
        same
    }

    /// Takes out what is known, and remembers the request. `prompt` holds the turns of the messages that are `fresh`.
    fn compare(
        &mut self,
        shape: &Shape,
        layout: &Layout,
        system: Option<Turn>,
        mut prompt: Prompt,
        body: &[u8],
    ) -> News {
        let history = self.history(shape, layout, system.as_ref(), &mut prompt, body);
        let known = if layout.goes_on { 0 } else { self.known(&history) };
        prompt.turns.drain(..known.saturating_sub(layout.known).min(prompt.turns.len()));
        let seen = |earlier: &History| earlier.system.turn == history.system.turn;
        if let Some(system) = system.filter(|_| !self.latest.iter().any(seen)) {
            prompt.turns.insert(0, system);
        }
        let tools = match &history.tools {
            Some((_, tools)) => tools.clone(),
            None => std::mem::take(&mut prompt.tools).into(),
        };
        self.remember(history);
        News { prompt, tools, known }
    }

    /// What is to be remembered of a request. What was odd in it must be read each time.
    fn history(
        &self,
        shape: &Shape,
        layout: &Layout,
        system: Option<&Turn>,
        prompt: &mut Prompt,
        body: &[u8],
    ) -> History {
        let seed = &self.seed;
        let is_fine = !prompt.partial;
        let stretch = |range: &std::ops::Range<usize>| {
            let value = body.get(range.clone()).filter(|_| is_fine)?;
            Stretch::of(value, seed)
        };
        let like = |at: usize| self.latest.get(at);
        let mut items = Vec::new();
        if !layout.goes_on {
            items.reserve_exact(layout.known + layout.fresh.len());
            let known = like(layout.like).and_then(|like| like.items.get(..layout.known));
            items.extend_from_slice(known.unwrap_or_default());
            for (at, range) in &layout.again {
                if let Some(item) = items.get_mut(*at) {
                    item.bytes = stretch(range);
                }
            }
            let fresh = layout.fresh.iter().zip(&prompt.turns);
            items.extend(fresh.map(|(range, turn)| Item { bytes: stretch(range), turn: seed.of_turn(turn) }));
        }
        let turn = system.map(|turn| seed.of_turn(turn));
        let system = match &layout.system {
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
        History { dialect: shape.dialect(), items, system, tools }
    }

    /// How many messages the request has, from the first, in common with one before.
    fn known(&self, history: &History) -> usize {
        self.latest.iter().map(|earlier| earlier.in_common(history)).max().unwrap_or(0)
    }

    /// Remembers a request, in place of the one that it goes on from. The last message of that one may have been
    /// another: clients add reminders there that they do not repeat.
    fn remember(&mut self, history: History) {
        let goes_on = |earlier: &History| {
            let common = earlier.in_common(&history);
            earlier.dialect == history.dialect
                && earlier.items.len() <= common + 1
                && (common > 0 || earlier.items.is_empty())
        };
        match self.latest.iter().position(goes_on) {
            Some(earlier) => drop(self.latest.remove(earlier)),
            None => self.latest.truncate(MOST - 1),
        }
        self.latest.insert(0, history);
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
        size_of::<Self>() + self.items.capacity() * size_of::<Item>() + tools
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

/// Makes hashes that nobody outside can make collide: it is another in each session.
#[derive(Debug, Default)]
struct Seed(RandomState);

impl Seed {
    fn of_bytes(&self, bytes: &[u8]) -> u64 {
        let mut hasher = self.0.build_hasher();
        hasher.write(bytes);
        hasher.finish()
    }

    fn of_turn(&self, turn: &Turn) -> u64 {
        self.0.hash_one(turn)
    }
}
