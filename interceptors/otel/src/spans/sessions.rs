//! What is remembered of sessions: their agents at work, and the tools that have not answered.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;
use std::time::SystemTime;

use lru::LruCache;
use opentelemetry_proto::tonic::trace::v1::Span;
use perimeter_interceptor::{Call, ExchangeId, Part, Relation, Role, ToolResult};

use super::agent::{Agent, First, State};
use super::ids::{self, SpanId, TraceId};
use super::span::Above;
use super::tool::{self, Asked, Ending};
use crate::finished::Problem;

/// So many sessions are remembered. The one without a call for the longest time is the first to go, and what was
/// remembered of it is told.
const SESSIONS: usize = 10_000;
/// So many tools and agents are remembered, of all sessions together.
const WAITING: usize = 100_000;
/// A session that holds more than this part of them makes room itself, and not the others.
const SHARE: usize = 10;

/// The sessions, the one without a call for the longest time first to go.
#[derive(Debug)]
pub(super) struct Sessions {
    known: LruCache<Arc<str>, Known>,
    /// How many tools and agents all of them remember.
    waiting: usize,
    limits: (usize, usize),
}

/// What is known of a session.
#[derive(Debug)]
struct Known {
    trace: TraceId,
    /// By their lines of talk.
    agents: BTreeMap<u32, Agent>,
    /// The line of talk of the main one.
    main: Option<u32>,
    /// Whether it is remembered from its first call on.
    is_whole: bool,
    /// By what their results say of them.
    asked: HashMap<u64, VecDeque<Asked>>,
    /// How many of those there are.
    tools: usize,
}

/// Who asked for an agent.
#[derive(Debug, Default)]
struct Origin {
    /// The line of talk that did.
    starter: Option<u32>,
    /// The tool call that did.
    tool: Option<SpanId>,
    /// By which name.
    name: Option<Arc<str>>,
}

/// Where a call stands among the agents of its session.
#[derive(Debug, Default)]
pub(super) struct Standing {
    pub(super) above: Above,
    /// Whose call it is, by the line of talk.
    pub(super) agent: Option<u32>,
    /// The name that this agent was asked for by.
    pub(super) name: Option<Arc<str>>,
}

impl Sessions {
    pub(super) fn new() -> Self {
        Self { known: LruCache::unbounded(), waiting: 0, limits: (SESSIONS, WAITING) }
    }

    /// A call begins: the tools whose results it brings are over, and its agent is at work. `converses`: whether it
    /// is a part of an agent's conversation.
    pub(super) fn call(
        &mut self,
        exchange: ExchangeId,
        call: &Call,
        first: &First<'_>,
        converses: bool,
        told: &mut Vec<Span>,
    ) -> Standing {
        let id = &call.session.id;
        if !self.known.contains(id) {
            let known = Known::new(ids::trace_of_session(id), is_first(call));
            self.known.put(Arc::clone(id), known);
        }
        let standing = self.change(id, |known| {
            known.results(call, first.began, told);
            if converses { known.converse(exchange, call, first) } else { known.beside() }
        });
        self.make_room(id, told);
        standing.unwrap_or_default()
    }

    /// A call begins that is told elsewhere: the tools whose results it brings are over nonetheless.
    pub(super) fn call_elsewhere(&mut self, call: &Call, began: SystemTime, told: &mut Vec<Span>) {
        self.change(&call.session.id, |known| known.results(call, began, told));
    }

    /// The model asked for tools.
    pub(super) fn ask(&mut self, session: &Arc<str>, asked: Vec<Asked>, told: &mut Vec<Span>) {
        self.change(session, |known| {
            for asked in asked {
                known.ask(asked, told);
            }
        });
        self.make_room(session, told);
    }

    /// A call of an agent is over.
    pub(super) fn answered(
        &mut self,
        session: &Arc<str>,
        agent: u32,
        (ended, problem): (SystemTime, Option<&Problem>),
        told: &mut Vec<Span>,
    ) {
        self.change(session, |known| {
            let trace = known.trace;
            let Some(agent) = known.agents.get_mut(&agent) else { return };
            told.extend(agent.answered(trace, ended, problem));
            let (tool, ended) = (agent.tool, agent.ended);
            known.lasts(tool, ended);
        });
    }

    /// A session is over, as far as anybody knows.
    pub(super) fn end(&mut self, session: &Arc<str>, told: &mut Vec<Span>) {
        self.change(session, |known| {
            known.unanswered(told);
            for agent in known.agents.values_mut() {
                told.extend(agent.end(known.trace));
            }
        });
    }

    /// All that is remembered.
    pub(super) fn end_all(&mut self, told: &mut Vec<Span>) {
        while let Some((_, mut known)) = self.known.pop_lru() {
            known.end_now(told);
        }
        self.waiting = 0;
    }

    /// After this session has grown.
    fn make_room(&mut self, session: &Arc<str>, told: &mut Vec<Span>) {
        let (sessions, waiting) = self.limits;
        while self.known.len() > sessions || self.waiting > waiting {
            let share = self.known.peek(session).map_or(0, Known::waiting);
            let gone = match self.waiting > waiting && share > waiting / SHARE {
                true => self.known.pop(session),
                false => self.known.pop_lru().map(|(_, known)| known),
            };
            let Some(mut known) = gone else { return };
            self.waiting -= known.waiting();
            known.end_now(told);
        }
    }

    fn change<T>(&mut self, session: &Arc<str>, change: impl FnOnce(&mut Known) -> T) -> Option<T> {
        let known = self.known.get_mut(session)?;
        self.waiting -= known.waiting();
        let changed = change(known);
        self.waiting += known.waiting();
        Some(changed)
    }
}

impl Known {
    fn new(trace: TraceId, is_whole: bool) -> Self {
        Self { trace, agents: BTreeMap::new(), main: None, is_whole, asked: HashMap::new(), tools: 0 }
    }

    fn waiting(&self) -> usize {
        self.agents.len() + self.tools
    }

    /// The results that a call brings: of those that look alike, the latest are new.
    fn results(&mut self, call: &Call, at: SystemTime, told: &mut Vec<Span>) {
        let turns = call.news.iter().filter(|turn| turn.role != Role::Assistant);
        let results: Vec<_> = turns.flat_map(|turn| &turn.parts).filter_map(result).collect();
        for result in results.into_iter().rev() {
            let Some(asked) = result.id.as_ref().and_then(|id| self.answer(tool::key(id))) else { continue };
            told.push(asked.tell(self.trace, Ending::Result { at, failed: result.is_error }));
            let agent = asked.agent.and_then(|thread| self.agents.get_mut(&thread));
            if let Some(agent) = agent.filter(|agent| agent.tool == Some(asked.span)) {
                told.extend(agent.end(self.trace));
            }
        }
    }

    fn answer(&mut self, key: u64) -> Option<Asked> {
        let same = self.asked.get_mut(&key)?;
        let asked = same.pop_back();
        self.tools -= usize::from(asked.is_some());
        if same.is_empty() {
            self.asked.remove(&key);
        }
        asked
    }

    /// A call of an agent's conversation.
    fn converse(&mut self, exchange: ExchangeId, call: &Call, first: &First<'_>) -> Standing {
        let thread = call.session.thread;
        let is_at_work = self.agents.get(&thread).is_some_and(|agent| agent.state != State::Told);
        if !is_at_work {
            let agent = self.begin(exchange, call, first);
            self.agents.insert(thread, agent);
        }
        let Some(agent) = self.agents.get_mut(&thread) else { return Standing::default() };
        agent.call(call.session.call, first.began);
        Standing { above: Above::Ours(agent.span), agent: Some(thread), name: agent.name.clone() }
    }

    /// An agent begins, or goes on after its end.
    fn begin(&mut self, exchange: ExchangeId, call: &Call, first: &First<'_>) -> Agent {
        let thread = call.session.thread;
        let is_new = !self.agents.contains_key(&thread);
        let Origin { starter, tool, name } = self.origin(call);
        let is_first = is_new && self.main.is_none() && self.is_whole && starter.is_none();
        let span = if is_first { ids::session(&call.session.id) } else { ids::agent(exchange, call.id) };
        if starter.is_none() && call.session.relation != Relation::SubAgent {
            self.main.get_or_insert(thread);
        }
        let starts = starter.and_then(|thread| self.agents.get(&thread)).map(|agent| agent.span);
        let above = tool.or(starts).map_or(Above::None, Above::Ours);
        let mut agent = Agent::new(first, span, above);
        (agent.tool, agent.starter, agent.name) = (tool, starter, name);
        agent
    }

    /// Who asked for the agent that begins with this call, or goes on with it.
    fn origin(&mut self, call: &Call) -> Origin {
        let asked_for = call.session.relation == Relation::SubAgent;
        let mut origin = match self.agents.get(&call.session.thread) {
            Some(before) => Origin { starter: before.starter, tool: None, name: before.name.clone() },
            None if asked_for => Origin { starter: self.starter(call), ..Origin::default() },
            None => Origin::default(),
        };
        if let Some(asked) = asked_for.then(|| self.tool_of(call)).flatten() {
            (origin.tool, origin.name) = (Some(asked.span), asked.agent_name.clone());
        }
        origin
    }

    /// The line of talk that asked for a sub-agent: that of the call that it belongs to, else the main one.
    fn starter(&self, call: &Call) -> Option<u32> {
        let of_call = |parent| self.agents.iter().find(|(_, agent)| agent.latest == parent);
        let asked = |parent| self.asked.values().flatten().find(|asked| asked.session.call == parent);
        let thread = call.session.parent.and_then(|parent| {
            let thread = of_call(parent).map(|(thread, _)| *thread);
            thread.or_else(|| asked(parent).map(|asked| asked.session.thread))
        });
        thread.or(self.main)
    }

    /// The tool that asked for the sub-agent that begins with this call: the one whose input it begins with, else the
    /// only one that it can be.
    fn tool_of(&mut self, call: &Call) -> Option<&Asked> {
        let parent = call.session.parent?;
        let thread = call.session.thread;
        let mut open: Vec<_> = self.asked.values_mut().flatten().collect();
        open.retain(|asked| asked.session.call == parent && asked.agent.is_none());
        open.sort_by_key(|asked| asked.number);
        let quoted = open.iter().position(|asked| asked.quotes(&call.news));
        let starters = || {
            let mut starters = open.iter().enumerate().filter(|(_, asked)| asked.is_starter());
            starters.next().filter(|_| starters.next().is_none()).map(|(at, _)| at)
        };
        let only = || (open.len() == 1).then_some(0);
        let at = quoted.or_else(starters).or_else(only)?;
        let asked = open.swap_remove(at);
        asked.agent = Some(thread);
        Some(asked)
    }

    /// A call beside the conversation.
    fn beside(&self) -> Standing {
        let main = self.main.and_then(|main| self.agents.get(&main));
        let above = main.map_or(Above::None, |agent| Above::Ours(agent.span));
        Standing { above, ..Standing::default() }
    }

    fn ask(&mut self, asked: Asked, told: &mut Vec<Span>) {
        let same = self.asked.entry(asked.key).or_default();
        // Those of an earlier answer will not be answered any more.
        if same.back().is_some_and(|earlier| earlier.call != asked.call) {
            self.tools -= same.len();
            told.extend(same.drain(..).filter_map(|asked| given_up(&asked, self.trace)));
        }
        same.push_back(asked);
        self.tools += 1;
    }

    /// What is in a tool has lasted until then.
    fn lasts(&mut self, tool: Option<SpanId>, until: SystemTime) {
        let Some(tool) = tool else { return };
        let asked = self.asked.values_mut().flatten().find(|asked| asked.span == tool);
        if let Some(asked) = asked {
            asked.inner = Some(asked.inner.map_or(until, |inner| inner.max(until)));
        }
    }

    fn unanswered(&mut self, told: &mut Vec<Span>) {
        let mut left: Vec<_> = self.asked.drain().flat_map(|(_, same)| same).collect();
        self.tools = 0;
        left.sort_by_key(|asked| (asked.session.call, asked.number));
        told.extend(left.iter().filter_map(|asked| given_up(asked, self.trace)));
    }

    fn end_now(&mut self, told: &mut Vec<Span>) {
        self.unanswered(told);
        for agent in self.agents.values_mut() {
            told.extend(agent.end_now(self.trace));
        }
    }
}

/// The span of a tool that never answered. One that an answer asked for which broke off was hardly run.
fn given_up(asked: &Asked, trace: TraceId) -> Option<Span> {
    (asked.certain || asked.agent.is_some()).then(|| asked.tell(trace, Ending::None))
}

/// Whether a session's first call is the first of all. One that the client named may go on from an earlier run of the
/// proxy, which has told the session's own span.
fn is_first(call: &Call) -> bool {
    let session = &call.session;
    let goes_on = || session.told && call.news.iter().any(|turn| turn.role == Role::Assistant);
    session.is_new && !goes_on()
}

fn result(part: &Part) -> Option<&ToolResult> {
    match part {
        Part::ToolResult(result) => Some(result),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
