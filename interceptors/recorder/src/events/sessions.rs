//! What is remembered of sessions: what their tools were asked, which results were told, what it all came to.

use std::collections::{HashMap, VecDeque};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use lru::LruCache;
use perimeter_interceptor::{Completion, Operation, ToolResult, ToolUse, Usd};

use super::ids::SpanId;

/// So many sessions are remembered. The one without an event for the longest time is the first to go.
const SESSIONS: usize = 10_000;
/// So many tool calls are remembered, of all sessions together.
const TOOLS: usize = 100_000;
/// A name of a tool is remembered up to here, bytes.
const NAME: usize = 256;

/// The sessions, the one without an event for the longest time first to go.
#[derive(Debug)]
pub(super) struct Sessions {
    known: LruCache<Arc<str>, Known>,
    /// How many tool calls all of them remember.
    tools: usize,
}

/// What is known of a session.
#[derive(Debug)]
pub(super) struct Known {
    pub(super) agent: Arc<str>,
    pub(super) first: SystemTime,
    pub(super) latest: SystemTime,
    pub(super) totals: Totals,
    /// Calls without an answer so far.
    pub(super) open: u32,
    /// Whether its end was told.
    pub(super) ended: bool,
    /// It is over, but a call is not: how long it lasted.
    pub(super) ending: Option<Duration>,
    /// Those with the same key, which are of one answer, in its order.
    asked: HashMap<Key, VecDeque<Asked>>,
    /// How many those are.
    waiting: usize,
    /// How often the result of each tool call was told.
    told: HashMap<Key, u32>,
}

/// What a session came to.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Totals {
    pub(super) events: u64,
    pub(super) calls: u64,
    pub(super) errors: u64,
    pub(super) input: u64,
    pub(super) output: u64,
    pub(super) cost: Usd,
    /// Answers that cost something, nobody knows what.
    pub(super) unpriced: u64,
}

impl Totals {
    /// An answer, to a call of this kind.
    pub(super) fn add(&mut self, said: &Completion, operation: Operation) {
        if let Some(usage) = said.usage.as_ref().filter(|_| !said.repeated) {
            self.input = self.input.saturating_add(usage.input);
            self.output = self.output.saturating_add(usage.output);
        }
        match &said.cost {
            _ if !said.is_billed(operation) => {}
            Some(cost) => self.cost = self.cost + cost.total,
            None => self.unpriced += 1,
        }
    }
}

/// A tool that the model asked for, and that has not answered.
#[derive(Clone, Debug)]
pub(super) struct Asked {
    pub(super) name: Arc<str>,
    /// When the answer that asked was over.
    pub(super) at: SystemTime,
    pub(super) span: SpanId,
    /// The call that asked.
    pub(super) parent: SpanId,
    /// Whether it has an id. Without one, its result says the tool's name in place of it.
    pub(super) has_id: bool,
}

impl Asked {
    pub(super) fn new(tool: &ToolUse, at: SystemTime, span: SpanId, parent: SpanId) -> Self {
        let name = tool.name.get(..tool.name.floor_char_boundary(NAME)).unwrap_or_default();
        let name = if name.len() == tool.name.len() { Arc::clone(&tool.name) } else { name.into() };
        Self { name, at, span, parent, has_id: tool.id.is_some() }
    }
}

/// A tool call, by what its result says of it: its id, or the tool's name; or by the text of its result where that says
/// neither.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Key(u64);

impl Key {
    fn of(what: &impl Hash) -> Self {
        let mut hasher = DefaultHasher::new();
        what.hash(&mut hasher);
        Self(hasher.finish())
    }

    fn of_id(id: &str) -> Self {
        Self::of(&(0, id))
    }

    fn of_result(result: &ToolResult) -> Self {
        match &result.id {
            Some(id) => Self::of_id(id),
            None => Self::of(&(1, &*result.text)),
        }
    }
}

/// Where a result was found.
pub(super) enum Found<'a> {
    /// In an answer.
    Answer,
    /// In what is new in a request. An answer that was told comes again in it, as the model's turn.
    News { of_model: bool },
    /// In a request that brings everything that was ever said: what was told before is in it too.
    History(&'a mut Brought),
}

/// The results that one request brings.
#[derive(Debug, Default)]
pub(super) struct Brought(HashMap<Key, u32>);

impl Sessions {
    pub(super) fn new() -> Self {
        Self { known: LruCache::unbounded(), tools: 0 }
    }

    /// The session of this name, which has just said something.
    pub(super) fn get(&mut self, id: &str) -> Option<&mut Known> {
        self.known.get_mut(id)
    }

    /// A session that nothing is known of.
    pub(super) fn begin(&mut self, id: &Arc<str>, at: SystemTime) {
        let known = Known {
            agent: Arc::from(""),
            first: at,
            latest: at,
            totals: Totals::default(),
            open: 0,
            ended: false,
            ending: None,
            asked: HashMap::new(),
            waiting: 0,
            told: HashMap::new(),
        };
        self.known.put(Arc::clone(id), known);
    }

    /// The session that has to make room for others, if one has to. One with an open call stays.
    pub(super) fn make_room(&mut self) -> Option<(Arc<str>, Known)> {
        if self.known.len() <= SESSIONS && self.tools <= TOOLS {
            return None;
        }
        let (id, mut known) = self.known.pop_lru()?;
        self.tools -= known.tools();
        if known.open == 0 {
            return Some((id, known));
        }
        if self.tools == 0 {
            // It alone remembers too much.
            (known.asked, known.told, known.waiting) = (HashMap::new(), HashMap::new(), 0);
        }
        self.tools += known.tools();
        self.known.put(id, known);
        None
    }

    /// The model asked for a tool, which is to answer in a later request.
    pub(super) fn ask(&mut self, session: &str, tool: &ToolUse, asked: Asked) {
        let Some(known) = self.known.get_mut(session) else { return };
        self.tools -= known.tools();
        let same = known.asked.entry(Key::of_id(tool.id.as_ref().unwrap_or(&tool.name))).or_default();
        // Those of an earlier answer will not be answered any more.
        if same.back().is_some_and(|earlier| earlier.parent != asked.parent) {
            known.waiting -= same.len();
            same.clear();
        }
        same.push_back(asked);
        known.waiting += 1;
        self.tools += known.tools();
    }

    /// Whether this result is to be told; if so, it is from now on, and here is what it answers.
    pub(super) fn tell(
        &mut self,
        session: &str,
        result: &ToolResult,
        found: Found<'_>,
    ) -> Option<Option<Asked>> {
        let known = self.known.get_mut(session)?;
        let key = Key::of_result(result);
        let told = known.told.get(&key).copied().unwrap_or_default();
        let is_told = match found {
            Found::History(brought) => {
                let times = brought.0.entry(key).or_default();
                *times += 1;
                *times <= told
            }
            Found::News { of_model: true } if result.id.is_none() => told > 0,
            _ => told > 0 && result.id.is_some() && !known.asked.contains_key(&key),
        };
        if is_told {
            return None;
        }
        self.tools -= known.tools();
        known.told.insert(key, told.saturating_add(1));
        let asked = known.answered(key);
        self.tools += known.tools();
        Some(asked)
    }
}

impl Known {
    fn tools(&self) -> usize {
        self.waiting + self.told.len()
    }

    fn answered(&mut self, key: Key) -> Option<Asked> {
        let same = self.asked.get_mut(&key)?;
        let asked = same.pop_front();
        self.waiting -= usize::from(asked.is_some());
        if same.is_empty() {
            self.asked.remove(&key);
        }
        asked
    }
}

#[cfg(test)]
mod tests {
    use std::time::UNIX_EPOCH;

    use perimeter_interceptor::CallId;

    use super::*;

    const NEWS: Found<'_> = Found::News { of_model: false };

    fn result(id: Option<&str>) -> ToolResult {
        ToolResult::new(id.map(Into::into), "ok")
    }

    #[test]
    fn a_result_is_told_once_however_often_the_history_comes_again() {
        let mut sessions = Sessions::new();
        let id: Arc<str> = "s".into();
        sessions.begin(&id, UNIX_EPOCH);
        for (histories, new) in [(1, 1), (1, 0), (3, 2), (3, 0)] {
            let mut brought = Brought::default();
            let told = (0..histories).filter(|_| {
                // Without ids, and all of the same text.
                sessions.tell("s", &result(None), Found::History(&mut brought)).is_some()
            });
            assert_eq!(told.count(), new);
        }
        assert!(sessions.tell("s", &result(Some("a")), NEWS).is_some());
        assert!(sessions.tell("s", &result(Some("a")), NEWS).is_none());
        let all = Found::History(&mut Brought::default());
        assert!(sessions.tell("s", &result(Some("a")), all).is_none());
    }

    #[test]
    fn an_id_that_is_used_again_has_another_result() {
        let mut sessions = Sessions::new();
        let id: Arc<str> = "s".into();
        sessions.begin(&id, UNIX_EPOCH);
        let mut tool = ToolUse::new(CallId(0), "search", "{}");
        tool.id = Some("call_0".into());
        for _ in 0..2 {
            let span = SpanId::of_session("s");
            sessions.ask("s", &tool, Asked::new(&tool, UNIX_EPOCH, span, span));
            let asked = sessions.tell("s", &result(Some("call_0")), NEWS).unwrap().unwrap();
            assert_eq!(&*asked.name, "search");
        }
    }

    #[test]
    fn what_is_remembered_is_bounded_and_an_open_call_keeps_its_session() {
        let mut sessions = Sessions::new();
        let busy: Arc<str> = "busy".into();
        sessions.begin(&busy, UNIX_EPOCH);
        sessions.get("busy").unwrap().open = 1;
        for number in 0..SESSIONS + 10 {
            sessions.begin(&number.to_string().into(), UNIX_EPOCH);
            while sessions.make_room().is_some() {}
        }
        assert!(sessions.known.len() <= SESSIONS + 1);
        assert!(sessions.get("busy").is_some() && sessions.get("0").is_none());

        for number in 0..TOOLS + 10 {
            sessions.tell("busy", &result(Some(&number.to_string())), NEWS);
            while sessions.make_room().is_some() {}
        }
        assert!(sessions.tools <= TOOLS, "{}", sessions.tools);
        assert!(sessions.get("busy").is_some());
    }
}
