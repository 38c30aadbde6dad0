//! Which calls belong together: the sessions that are held, and what of them there is to tell.
//!
//! A session is a tree of calls ([`tree`]), found by what its client tells or by what was said in it ([`find`]). What
//! was said is held as hashes alone. Pure: one owner, no lock, no clock.

mod find;
mod index;
mod quotes;
mod state;
#[cfg(test)]
mod tests;
mod tree;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use foldhash::quality::RandomState;
use lru::LruCache;
use perimeter_interceptor::{
    Branch, Completion, Exchange, ExchangeId, LlmEvent, Operation, Part, Relation, Session, SessionEnd,
    ToolUse,
};

use self::find::Place;
pub(super) use self::find::{Ask, Found};
use self::index::{At, By, Index};
use self::quotes::{Kind, Quotes, Source};
use self::state::{Beginning, State};
use self::tree::{How, Node, Telling};
use super::live::Live;
use super::markers::{self, SideCall};
use super::remembered::Remembered;
use crate::config;
use crate::dialect::{Dialect, Run, Seed};
use crate::memory::Memory;

/// So many sessions are let go at once, at most, when their time is over: the next ones a beat later.
const OVER_AT_ONCE: usize = 4096;

/// The sessions that are held.
#[derive(Debug)]
pub(super) struct Sessions {
    held: Vec<Option<Box<State>>>,
    free: Vec<u32>,
    by_name: HashMap<Arc<str>, u32, RandomState>,
    index: Index,
    quotes: Quotes,
    /// Those whose end was not told, and those whose end was: the longest quiet first to go.
    lively: LruCache<u32, (), RandomState>,
    quiet: LruCache<u32, (), RandomState>,
    generation: u32,
    /// How many calls the open exchanges have had that are a session each.
    alone: HashMap<ExchangeId, u32>,
    enabled: bool,
    max: usize,
    /// How long a session is held without a call.
    ttl: Duration,
    /// How long after its last call it counts as over.
    complete_after: Duration,
    seed: Seed,
    /// What is remembered of requests, so that the next ones are read only where they are new.
    pub(super) remembered: Remembered,
}

/// A call that has its session, until it is answered.
#[derive(Debug)]
pub(super) struct Ticket {
    session: u32,
    generation: u32,
    call: u32,
    node: Option<u8>,
    operation: Operation,
    keeps_responses: bool,
    /// All that was said but for what the model is to go on with.
    said: u64,
    /// What was said last before the answer.
    before: u64,
    open: Option<Run>,
    asks_for_summary: bool,
    lane: u64,
    over: bool,
}

/// What a session knows of a request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Known {
    /// So many messages, from the first.
    pub(super) messages: usize,
    /// The instructions that it begins with.
    pub(super) lead: bool,
}

impl Sessions {
    pub(super) fn new(config: &config::Session, memory: Arc<Memory>) -> Self {
        let seed = Seed::default();
        Self {
            held: Vec::new(),
            free: Vec::new(),
            by_name: HashMap::default(),
            index: Index::default(),
            quotes: Quotes::new(&seed),
            lively: LruCache::unbounded_with_hasher(RandomState::default()),
            quiet: LruCache::unbounded_with_hasher(RandomState::default()),
            generation: 0,
            alone: HashMap::new(),
            enabled: config.enabled,
            max: config.max_sessions,
            ttl: config.session_ttl_seconds,
            complete_after: config.completion_timeout,
            remembered: Remembered::new(memory, &seed),
            seed,
        }
    }

    pub(super) fn seed(&self) -> &Seed {
        &self.seed
    }

    /// What is known of a request, in the session where it belongs.
    pub(super) fn known(&self, ask: &Ask<'_>, found: &Found) -> Known {
        let state = match found.place {
            Place::Held(slot) => self.state(slot),
            _ => None,
        };
        if ask.asked.operation == Operation::CountTokens {
            return Known { messages: 0, lead: true };
        }
        let Some(state) = state else { return Known { messages: 0, lead: ask.lead.hash == 0 } };
        Known { messages: ask.units.messages(found.known), lead: state.knows_lead(ask.lead.hash) }
    }

    /// Gives a call that is made `now` its place. `over` is told of a session that has to make room.
    pub(super) fn attach(
        &mut self,
        now: Instant,
        ask: &Ask<'_>,
        found: Found,
        over: &mut dyn FnMut(SessionEnd),
    ) -> (Session, Option<Ticket>) {
        let slot = match &found.place {
            Place::Held(slot) => *slot,
            Place::Alone => return (self.alone(ask), None),
            Place::Named(name) => {
                let slot = self.begin(now, ask, &found, name.clone(), true, over);
                self.by_name.insert(name.clone(), slot);
                slot
            }
            Place::New => {
                let id = ask.exchange.id;
                let name = match ask.call.0 {
                    0 => id.to_string(),
                    call => format!("{id}-{call}"),
                };
                self.begin(now, ask, &found, name.into(), false, over)
            }
        };
        self.touch(slot);
        let agent = ask.caller.names.agent.as_deref().map(|agent| self.seed.of_bytes(agent.as_bytes()));
        let (mut session, source) = {
            let Some(state) = self.state_mut(slot) else { return (self.alone(ask), None) };
            state.calls = state.calls.saturating_add(1);
            state.open = state.open.saturating_add(1);
            (state.last, state.ended, state.near) = (now, false, ask.caller.near());
            state.learn_lead(ask.lead.hash);
            state.add_model(ask.model);
            let mut branch = Branch::new(state.calls, found.relation);
            branch.parent = found.parent;
            branch.thread = u32::from(found.thread.unwrap_or_else(|| state.begin_thread()));
            if let Some(agent) = agent {
                state.add_agent(agent, u16::try_from(branch.thread).unwrap_or(u16::MAX));
            }
            state.branch(branch);
            let mut session = Session::new(state.id.clone());
            (session.told, session.is_new) = (state.told, state.calls == 1);
            (session.call, session.relation) = (branch.call, branch.relation);
            (session.parent, session.thread) = (branch.parent, branch.thread);
            let source = Source { session: slot, generation: state.generation, call: state.calls };
            (session, source)
        };
        if found.relation == Relation::Side {
            session.side = ask.side().map(SideCall::as_str);
        }
        session.agent = agent_of(ask);
        session.client.clone_from(&ask.caller.client);
        session.tags.clone_from(&ask.exchange.labels.tags);
        let ticket = self.enter(ask, &found, source, session.thread);
        (session, Some(ticket))
    }

    /// Enters a call into its session's tree, and what it may be found by.
    fn enter(&mut self, ask: &Ask<'_>, found: &Found, source: Source, thread: u32) -> Ticket {
        let chain = self.chain(found.base, ask.units);
        let asked = chain.last().copied().unwrap_or(found.base);
        let is_open = ask.units.open.is_some();
        let behind = usize::from(is_open);
        let said = chain.len().checked_sub(behind + 1).and_then(|at| chain.get(at)).copied();
        let before = ask.units.list.len().checked_sub(behind + 1).and_then(|at| ask.units.list.get(at));
        let converses = matches!(ask.asked.operation, Operation::Chat | Operation::TextCompletion);
        let is_probe = ask.asked.operation == Operation::CountTokens && matches!(found.place, Place::New);
        let is_entered = (converses && found.relation != Relation::Side || is_probe) && !chain.is_empty();
        let last = ask.turns.last();
        let mut ticket = Ticket {
            session: source.session,
            generation: source.generation,
            call: source.call,
            node: None,
            operation: ask.asked.operation,
            keeps_responses: ask.asked.dialect == Dialect::OpenAiResponses,
            said: said.unwrap_or(found.base),
            before: before.map_or(0, |unit| unit.hash()),
            open: ask.units.open.clone(),
            asks_for_summary: last.is_some_and(markers::asks_for_summary)
                || found.relation == Relation::Side && ask.side() == Some(SideCall::Summary),
            lane: found.lane,
            over: false,
        };
        if is_entered {
            let node = Node {
                asked,
                answered: 0,
                pair: 0,
                call: source.call,
                parent: found.goes_on,
                thread: u16::try_from(thread).unwrap_or(u16::MAX),
                how: if is_probe { How::Probe } else { How::Open },
                telling: found.telling,
            };
            ticket.node = self.put(source.session, node, found.instead);
        }
        let is_told = self.held(source).is_none_or(|state| state.told);
        let scope = self.quotable(found.scope, is_told, ask.caller.address);
        if !is_told && converses && found.relation != Relation::Side {
            if let Some(said) = last.filter(|turn| turn.role == perimeter_interceptor::Role::User) {
                for part in &said.parts {
                    if let Part::Text(text) = part {
                        self.quotes.add_text(Kind::Said, scope, source, &markers::lasting(text));
                    }
                }
            }
            if ticket.asks_for_summary {
                let near = self.near(ask);
                self.quotes.add(Kind::Summarising, scope, near, source);
            } else if found.relation == Relation::Compaction {
                let near = self.near(ask);
                self.quotes.remove(Kind::Summarising, scope, near);
            }
        }
        if let Some(trace) = ask.caller.names.trace.filter(|_| converses) {
            let (scope, trace) = (self.scope(ask), self.trace(trace));
            self.quotes.add(Kind::Trace, scope, trace, source);
        }
        ticket
    }

    /// Puts a call into a session's tree, and into the index.
    fn put(&mut self, slot: u32, node: Node, instead: Option<u8>) -> Option<u8> {
        let at = |node, by| At { session: slot, node, by };
        if instead.is_none()
            && let state = self.state(slot)?
            && state.tree.is_full()
        {
            let least = state.tree.least()?;
            self.take_out(slot, least);
            let tree = &mut self.state_mut(slot)?.tree;
            tree.put(node, Some(least));
            self.add_to_index(at(least, By::Asked));
            self.thin(slot, node.parent);
            return Some(least);
        }
        if let Some(instead) = instead {
            self.take_out(slot, instead);
        }
        let place = self.state_mut(slot)?.tree.put(node, instead)?;
        self.add_to_index(at(place, By::Asked));
        self.thin(slot, node.parent);
        Some(place)
    }

    /// Something goes on from the answer to this call: it is not tried again, and that was not the last answer.
    fn thin(&mut self, slot: u32, call: u32) {
        let state = self.state(slot);
        let node = state
            .and_then(|state| state.tree.iter().find(|(_, node)| node.call == call && node.answered != 0));
        if let Some((node, _)) = node.filter(|_| call > 0) {
            for by in [By::Asked, By::Pair] {
                self.take_from_index(At { session: slot, node, by });
            }
        }
    }

    fn take_out(&mut self, slot: u32, node: u8) {
        for by in [By::Asked, By::Answered, By::Pair] {
            self.take_from_index(At { session: slot, node, by });
        }
    }

    fn add_to_index(&mut self, at: At) {
        let Self { held, index, .. } = self;
        index.insert(at, &|at| key(held, at));
    }

    fn take_from_index(&mut self, at: At) {
        let Self { held, index, .. } = self;
        index.remove(at, &|at| key(held, at));
    }

    /// What a call is found by.
    fn key(&self, at: At) -> u64 {
        key(&self.held, at)
    }

    /// An event of a call that has its place.
    pub(super) fn heard(&mut self, now: Instant, ticket: &mut Ticket, event: &LlmEvent) {
        match event {
            LlmEvent::Completion(said) => self.answered(ticket, said, How::Answered),
            LlmEvent::Cut(said) => self.answered(ticket, said, How::Cut),
            LlmEvent::Failure(_) => {}
            _ => return,
        }
        self.over(now, ticket);
    }

    /// A call is over, answered or not.
    pub(super) fn over(&mut self, now: Instant, ticket: &mut Ticket) {
        if std::mem::replace(&mut ticket.over, true) {
            return;
        }
        let Some(state) = self.held_mut(ticket) else { return };
        state.open = state.open.saturating_sub(1);
        state.last = now;
        let mut failed = false;
        if let Some(node) =
            ticket.node.and_then(|node| state.tree.get_mut(node)).filter(|node| node.call == ticket.call)
        {
            if node.how == How::Open {
                node.how = How::Failed;
            }
            failed = matches!(node.how, How::Failed | How::Cut);
        }
        if failed {
            state.failed = state.failed.saturating_add(1);
        }
        self.touch(ticket.session);
    }

    fn answered(&mut self, ticket: &Ticket, said: &Arc<Completion>, how: How) {
        let source = Source { session: ticket.session, generation: ticket.generation, call: ticket.call };
        let Some(state) = self.held_mut(ticket) else { return };
        state.add(ticket.operation, said);
        state.add_model(said.model.as_ref());
        let (scope, told, address) = (state.scope, state.told, state.near.0);
        let scope = self.quotable(scope, told, address);
        if ticket.asks_for_summary {
            for answer in &said.answers {
                self.quotes.add_lines(Kind::Summary, scope, source, &answer.text());
            }
        }
        let Some(state) = self.held_mut(ticket) else { return };
        let Some(place) = ticket.node else { return };
        let Some(node) = state.tree.get_mut(place).filter(|node| node.call == ticket.call) else { return };
        if node.how == How::Probe {
            return;
        }
        node.how = how;
        let node = *node;
        let seed = self.seed.clone();
        let mut is_first = true;
        for answer in said.answers.iter().take(CHOICES) {
            let mut run = ticket.open.clone().unwrap_or_default();
            run.add(&answer.parts);
            let Some(unit) = run.unit(&seed) else { continue };
            let telling = if run.is_telling() { Telling::Itself } else { node.telling };
            let pair = self.pair(ticket.lane, ticket.before, unit.hash());
            let answered = Node { answered: seed.then(ticket.said, unit.hash()), pair, telling, ..node };
            self.give_answer(ticket.session, place, answered, std::mem::take(&mut is_first));
        }
        if let Some(id) = said.id.as_ref().filter(|_| ticket.keeps_responses) {
            let (scope, what) = (self.response_scope(), seed.of_text(id));
            self.quotes.add(Kind::Response, scope, what, source);
        }
        let tools = || said.answers.iter().flat_map(|answer| &answer.parts).filter_map(of_tool);
        self.quotes.add_tasks(scope, source, tools());
    }

    /// An answer to the call at `place`: the first one, or another that was asked for at once.
    fn give_answer(&mut self, slot: u32, place: u8, node: Node, is_first: bool) {
        let place = if is_first {
            for by in [By::Answered, By::Pair] {
                self.take_from_index(At { session: slot, node: place, by });
            }
            let Some(known) = self.state_mut(slot).and_then(|state| state.tree.get_mut(place)) else {
                return;
            };
            *known = node;
            place
        } else {
            let Some(state) = self.state_mut(slot) else { return };
            let Some(place) = state.tree.put(node, None) else { return };
            place
        };
        for by in [By::Answered, By::Pair] {
            self.add_to_index(At { session: slot, node: place, by });
        }
    }

    fn begin(
        &mut self,
        now: Instant,
        ask: &Ask<'_>,
        found: &Found,
        id: Arc<str>,
        told: bool,
        over: &mut dyn FnMut(SessionEnd),
    ) -> u32 {
        while self.count() >= self.max && self.forget_one(over) {}
        self.generation = self.generation.wrapping_add(1);
        let state = Box::new(State::new(Beginning {
            id,
            told,
            generation: self.generation,
            scope: found.scope,
            near: ask.caller.near(),
            began: ask.exchange.began,
            now,
            agent: agent_of(ask),
            client: ask.caller.client.clone(),
        }));
        match self.free.pop() {
            Some(slot) => {
                if let Some(place) = self.held.get_mut(slot as usize) {
                    *place = Some(state);
                }
                slot
            }
            None => {
                self.held.push(Some(state));
                u32::try_from(self.held.len() - 1).unwrap_or(u32::MAX)
            }
        }
    }

    /// It was heard of.
    fn touch(&mut self, slot: u32) {
        self.quiet.pop(&slot);
        self.lively.put(slot, ());
    }

    fn alone(&mut self, ask: &Ask<'_>) -> Session {
        let exchange = ask.exchange;
        let calls = self.alone.entry(exchange.id).or_default();
        *calls = calls.saturating_add(1);
        let mut session = Session::new(exchange.id.to_string());
        session.is_new = *calls == 1;
        session.call = *calls;
        if *calls > 1 {
            (session.relation, session.parent) = (Relation::Turn, Some(*calls - 1));
        }
        session.agent = agent_of(ask);
        session.client.clone_from(&ask.caller.client);
        session.tags.clone_from(&exchange.labels.tags);
        session
    }

    /// This exchange is over, having lasted so long. Its session's end, where it was one of its own.
    pub(super) fn exchange_over(&mut self, exchange: &Exchange, lasted: Duration) -> Option<SessionEnd> {
        let calls = self.alone.remove(&exchange.id)?;
        let mut end = SessionEnd::new(exchange.id.to_string(), calls, lasted);
        end.began = exchange.began;
        Some(end)
    }

    /// Tells `over` of the sessions that have been quiet for long enough, and forgets the old ones. No more than so
    /// many at once.
    pub(super) fn expire(&mut self, now: Instant, over: &mut dyn FnMut(SessionEnd)) {
        let complete_after = self.complete_after;
        for _ in 0..OVER_AT_ONCE {
            let Some(slot) = self.lively.peek_lru().map(|(slot, ())| *slot) else { break };
            let Some(state) = self.state_mut(slot) else {
                self.lively.pop(&slot);
                continue;
            };
            if now.saturating_duration_since(state.last) <= complete_after {
                break;
            }
            if state.open > 0 {
                // Being answered is no silence.
                state.last = now;
                self.lively.promote(&slot);
                continue;
            }
            state.ended = true;
            over(state.end());
            self.lively.pop(&slot);
            self.quiet.put(slot, ());
        }
        for _ in 0..OVER_AT_ONCE {
            let Some(slot) = self.quiet.peek_lru().map(|(slot, ())| *slot) else { break };
            let is_old = |state: &State| now.saturating_duration_since(state.last) > self.ttl;
            if !self.state(slot).is_none_or(is_old) {
                break;
            }
            self.forget(slot, over);
        }
    }

    /// Tells `over` of all that are left.
    pub(super) fn close(&mut self, over: &mut dyn FnMut(SessionEnd)) {
        while self.forget_one(over) {}
        self.remembered.clear();
    }

    /// Where the requests of the session of this name are remembered.
    pub(super) fn shelf_of(&self, name: &str) -> u64 {
        self.seed.then(1, self.seed.of_bytes(name.as_bytes()))
    }

    /// Those that are held, the one that was heard of last first, no more than `limit` of them.
    pub(super) fn live(&self, now: Instant, limit: usize) -> Vec<Live> {
        let all = self.lively.iter().chain(self.quiet.iter());
        let live = |state: &State| Live {
            end: state.end(),
            quiet: now.saturating_duration_since(state.last),
            open: state.open,
            over: state.ended,
        };
        all.filter_map(|(slot, ())| self.state(*slot)).take(limit).map(live).collect()
    }

    /// How many are held.
    pub(super) fn count(&self) -> usize {
        self.lively.len() + self.quiet.len()
    }

    /// Forgets the session that has been quiet for the longest time.
    fn forget_one(&mut self, over: &mut dyn FnMut(SessionEnd)) -> bool {
        let slot = self.quiet.peek_lru().or_else(|| self.lively.peek_lru()).map(|(slot, ())| *slot);
        slot.is_some_and(|slot| self.forget(slot, over))
    }

    fn forget(&mut self, slot: u32, over: &mut dyn FnMut(SessionEnd)) -> bool {
        self.quiet.pop(&slot);
        self.lively.pop(&slot);
        let nodes: Vec<u8> =
            self.state(slot).map(|state| state.tree.iter().map(|(at, _)| at).collect()).unwrap_or_default();
        for node in nodes {
            self.take_out(slot, node);
        }
        let Some(state) = self.held.get_mut(slot as usize).and_then(Option::take) else { return true };
        self.free.push(slot);
        if state.told {
            self.by_name.remove(&state.id);
            self.remembered.forget(self.shelf_of(&state.id));
        }
        if !state.ended {
            over(state.end());
        }
        true
    }

    fn state(&self, slot: u32) -> Option<&State> {
        self.held.get(slot as usize)?.as_deref()
    }

    fn state_mut(&mut self, slot: u32) -> Option<&mut State> {
        self.held.get_mut(slot as usize)?.as_deref_mut()
    }

    fn held(&self, source: Source) -> Option<&State> {
        self.state(source.session).filter(|state| state.generation == source.generation)
    }

    fn held_mut(&mut self, ticket: &Ticket) -> Option<&mut State> {
        self.state_mut(ticket.session).filter(|state| state.generation == ticket.generation)
    }
}

/// So many answers to one call are remembered.
const CHOICES: usize = 4;

fn key(held: &[Option<Box<State>>], at: At) -> u64 {
    let node = held.get(at.session as usize).and_then(|state| state.as_ref()?.tree.get(at.node));
    node.map_or(0, |node| match at.by {
        By::Asked => node.asked,
        By::Answered => node.answered,
        By::Pair => node.pair,
    })
}

/// Who makes the call: by its system prompt, and as the client says.
fn agent_of(ask: &Ask<'_>) -> Arc<perimeter_interceptor::Agent> {
    let mut agent = ask.lead.agent.clone();
    let told = ask.exchange.labels.agent.as_ref();
    let name = ask.caller.client.as_deref().filter(|client| super::clients::names_agent(client));
    if told.is_some() || name.is_some() {
        let agent = Arc::make_mut(&mut agent);
        agent.told = told.cloned();
        agent.name = name.map(|client| client.name.clone());
    }
    agent
}

fn of_tool(part: &Part) -> Option<&ToolUse> {
    match part {
        Part::ToolUse(tool) => Some(tool),
        _ => None,
    }
}
