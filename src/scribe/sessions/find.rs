//! Where a call belongs: by the name that the client tells, by the response that it continues, by what was said before
//! in it; and, where it begins anew, by what it begins with.
//!
//! Two people must never share a session. So whoever goes on with one that was recognised has the credential and the
//! user of the one who began it, and brings back what the model answered there; and where several sessions would do
//! alike, it is none of them.

use std::cell::OnceCell;
use std::cmp::Ordering;
use std::net::IpAddr;
use std::time::Duration;

use perimeter_interceptor::{CallId, Exchange, Operation, Relation, Role, Turn};

use super::Sessions;
use super::index::{At, By};
use super::quotes::{Kind, Source};
use super::state::State;
use super::tree::{How, Node, Telling};
use crate::dialect::{Asked, Dialect, Lead, Names, News, Unit, Units};
use crate::journal::between;
use crate::scribe::caller::Caller;
use crate::scribe::markers::{self, SideCall};

/// A summary is one of the first so many messages.
const SUMMARY_WITHIN: usize = 16;

/// With more messages than this a request does not begin.
const BEGINNING: usize = 2;

/// So many of the model's last words are looked for, each with what it answers.
const PAIRS: usize = 8;
/// So many of them may be the last that a session knows: the client may have added others behind.
const LAST_PAIRS: usize = 4;

/// For so long the same opening may be another attempt at a call that failed.
const RETRY_WITHIN: Duration = Duration::from_secs(300);

/// A call that is looking for its session.
#[derive(Debug)]
pub(in crate::scribe) struct Ask<'a> {
    pub(in crate::scribe) exchange: &'a Exchange,
    pub(in crate::scribe) caller: &'a Caller,
    pub(in crate::scribe) call: CallId,
    pub(in crate::scribe) asked: &'a Asked,
    pub(in crate::scribe) model: Option<&'a std::sync::Arc<str>>,
    /// What its body says.
    pub(in crate::scribe) names: &'a Names,
    pub(in crate::scribe) previous: Option<&'a str>,
    pub(in crate::scribe) conversation: Option<&'a std::sync::Arc<str>>,
    pub(in crate::scribe) units: &'a Units,
    pub(in crate::scribe) lead: &'a Lead,
    /// The system prompt outside of the list of messages, where it was read.
    pub(in crate::scribe) system: Option<&'a Turn>,
    /// The messages that were read: all, or the last.
    pub(in crate::scribe) turns: &'a [Turn],
    pub(in crate::scribe) is_all: bool,
    pub(in crate::scribe) tools: usize,
    /// Looked for once.
    side: OnceCell<Option<SideCall>>,
}

impl<'a> Ask<'a> {
    /// The call of this exchange whose request was read so.
    pub(in crate::scribe) fn new(
        exchange: &'a Exchange,
        caller: &'a Caller,
        call: CallId,
        asked: &'a Asked,
        news: &'a News,
    ) -> Self {
        let News { prompt, system, tools, units, lead, .. } = news;
        Self {
            exchange,
            caller,
            call,
            asked,
            model: prompt.model.as_ref(),
            names: &prompt.names,
            previous: prompt.previous.as_deref(),
            conversation: prompt.conversation.as_ref(),
            units,
            lead,
            system: system.as_ref(),
            turns: &prompt.turns,
            is_all: !news.is_passed(),
            tools: tools.len(),
            side: OnceCell::new(),
        }
    }

    /// Whether it is a part of a conversation, or may be.
    fn converses(&self) -> bool {
        matches!(self.asked.operation, Operation::Chat | Operation::TextCompletion | Operation::CountTokens)
            && self.asked.dialect != Dialect::OpenAiRealtime
    }

    /// What it is for, where that is no turn of a conversation.
    pub(super) fn side(&self) -> Option<SideCall> {
        *self.side.get_or_init(|| {
            if !self.is_all {
                return self.turns.last().and_then(markers::side_turn);
            }
            let system = self.system.map(Turn::text);
            markers::side_call(system.as_deref(), self.turns, self.tools)
        })
    }

    fn is_probe(&self) -> bool {
        self.asked.operation == Operation::CountTokens
    }

    /// Of the messages before the model's first words, the summary that stands for others.
    fn summary(&self) -> Option<&Turn> {
        let before = self.turns.iter().take_while(|turn| turn.role != Role::Assistant).take(SUMMARY_WITHIN);
        before.into_iter().find(|turn| turn.role != Role::System && markers::is_summary(turn))
    }

    /// The first message that is no instructions.
    fn first(&self) -> Option<&Turn> {
        self.turns.iter().find(|turn| turn.role != Role::System)
    }
}

/// Where a call belongs.
#[derive(Clone, Debug)]
pub(in crate::scribe) struct Found {
    pub(super) place: Place,
    pub(super) relation: Relation,
    /// The call that it follows, or belongs to.
    pub(super) parent: Option<u32>,
    /// The call whose answer it goes on from.
    pub(super) goes_on: u32,
    pub(super) thread: Option<u16>,
    /// It takes the place of this call in the tree, since it is the same.
    pub(super) instead: Option<u8>,
    /// So many of its units are known.
    pub(super) known: usize,
    /// Who may go on with it.
    pub(super) scope: u64,
    /// The same, and which agent of the session, where it has several.
    pub(super) lane: u64,
    /// What was said before its messages, as a hash.
    pub(super) base: u64,
    pub(super) telling: Telling,
    /// To say it, more of the request has to be read than was.
    pub(in crate::scribe) wants_all: bool,
}

/// In which session.
#[derive(Clone, Debug)]
pub(super) enum Place {
    /// One that is held.
    Held(u32),
    /// A new one of this name.
    Named(std::sync::Arc<str>),
    /// A new one.
    New,
    /// One of this exchange alone.
    Alone,
}

impl Found {
    fn new(place: Place, scope: u64) -> Self {
        Self {
            place,
            relation: Relation::Opening,
            parent: None,
            goes_on: 0,
            thread: None,
            instead: None,
            known: 0,
            scope,
            lane: scope,
            base: scope,
            telling: Telling::No,
            wants_all: false,
        }
    }

    fn wanting_all(scope: u64) -> Self {
        Self { wants_all: true, ..Self::new(Place::New, scope) }
    }

    /// What stands beside the call that this one would follow.
    fn beside_it(&self) -> Option<Self> {
        match self.place {
            Place::Held(session) => Some(Self::beside(session, self.scope, Relation::Side, self.parent)),
            _ => None,
        }
    }

    fn in_lane(self, lane: u64) -> Self {
        Self { lane, base: lane, ..self }
    }

    /// A new line of talk in a session that is held.
    fn beside(session: u32, scope: u64, relation: Relation, parent: Option<u32>) -> Self {
        Self { relation, parent, ..Self::new(Place::Held(session), scope) }
    }
}

/// A call that another one may follow.
#[derive(Clone, Copy, Debug)]
struct Hit {
    session: u32,
    node: Node,
    relation: Relation,
    instead: Option<u8>,
    known: usize,
}

/// How sure it is, the greater the better; and whether it is the next turn.
type Rank = (u8, bool);

/// From here on it is the same address and the same program.
const NEAR: u8 = 3;

/// The best call to follow, or none where several are as good.
type Clear = (Rank, Option<Hit>);

impl Sessions {
    /// Where a call belongs that is made now.
    pub(in crate::scribe) fn find(&self, now: std::time::Instant, ask: &Ask<'_>) -> Found {
        let is_alone =
            !self.enabled || ask.asked.dialect == Dialect::OpenAiRealtime && self.name_of(ask).is_none();
        if is_alone {
            return Found::new(Place::Alone, 0);
        }
        if let Some(name) = self.name_of(ask) {
            return self.find_named(now, ask, &name);
        }
        if let Some(previous) = ask.previous {
            let scope = self.response_scope();
            let source = self.quotes.find(Kind::Response, scope, self.seed.of_text(previous));
            return match source.and_then(|source| Some((source, self.held(source)?))) {
                Some((source, state)) => self.continued(ask, source, state, previous),
                None => {
                    Found { base: self.seed.of_text(previous), ..Found::new(Place::New, self.scope(ask)) }
                }
            };
        }
        let scope = self.scope(ask);
        if !ask.converses() {
            return self.by_trace(ask, scope).unwrap_or_else(|| Found::new(Place::Alone, 0));
        }
        let found = self.by_what_was_said(now, ask, scope, None);
        if ask.side().is_some() {
            let beside = found.as_ref().and_then(|found| found.beside_it());
            let beside = beside.or_else(|| self.by_what_it_is_about(ask, scope));
            return beside
                .unwrap_or_else(|| Found { relation: Relation::Side, ..Found::new(Place::New, scope) });
        }
        found.or_else(|| self.by_beginning(ask, scope, None, None)).unwrap_or_else(|| {
            let relation = if ask.is_probe() { Relation::Side } else { Relation::Opening };
            Found { relation, ..Found::new(Place::New, scope) }
        })
    }

    /// The name that the client tells.
    fn name_of(&self, ask: &Ask<'_>) -> Option<std::sync::Arc<str>> {
        let told = ask.exchange.labels.session.as_ref().or(ask.caller.names.session.as_ref());
        told.or(ask.names.session.as_ref()).or(ask.conversation).cloned()
    }

    /// Who may go on with a session that is recognised: who has the same credential, and calls for the same user.
    pub(super) fn scope(&self, ask: &Ask<'_>) -> u64 {
        let person = ask.caller.person(&self.seed);
        match &ask.names.user {
            Some(user) => self.seed.then(person, self.seed.of_bytes(user.as_bytes())),
            None => person,
        }
    }

    /// A response's id is the provider's, and names one response.
    pub(super) fn response_scope(&self) -> u64 {
        0
    }

    fn find_named(&self, now: std::time::Instant, ask: &Ask<'_>, name: &std::sync::Arc<str>) -> Found {
        let scope = self.seed.then(1, self.seed.of_bytes(name.as_bytes()));
        let Some(slot) = self.by_name.get(name).copied() else {
            let agent = ask.caller.names.agent.as_deref().map(|agent| self.seed.of_bytes(agent.as_bytes()));
            let lane = agent.map_or(scope, |agent| self.seed.then(scope, agent));
            let mut found = Found::new(Place::Named(name.clone()), scope).in_lane(lane);
            if !ask.converses() || ask.is_probe() || ask.side().is_some() {
                found.relation = Relation::Side;
            } else if ask.caller.names.parent_session.is_some() {
                found.relation = Relation::SubAgent;
            }
            return found;
        };
        let Some(state) = self.state(slot) else { return Found::new(Place::Named(name.clone()), scope) };
        let agent = ask.caller.names.agent.as_deref().map(|agent| self.seed.of_bytes(agent.as_bytes()));
        let lane = agent.map_or(scope, |agent| self.seed.then(scope, agent));
        let latest = state.tree.latest(None);
        let found = (ask.previous.is_none() && ask.conversation.is_none())
            .then(|| self.by_what_was_said(now, ask, lane, Some(slot)))
            .flatten();
        if !ask.converses() || ask.side().is_some() {
            let parent = found.and_then(|found| found.parent).or(latest.map(|node| node.call));
            return Found::beside(slot, scope, Relation::Side, parent);
        }
        if let Some(previous) = ask.previous {
            let what = self.seed.of_text(previous);
            let source = self.quotes.find(Kind::Response, self.response_scope(), what);
            if let Some(source) = source.filter(|source| source.session == slot)
                && let Some(state) = self.held(source)
            {
                return Found { lane, ..self.continued(ask, source, state, previous) };
            }
        }
        if ask.previous.is_some() || ask.conversation.is_some() {
            // The provider knows what was said before; whatever it looks like, it is new.
            let base = self.seed.then(scope, u64::from(state.calls) + 1);
            return match latest {
                Some(node) => Found {
                    base,
                    parent: Some(node.call),
                    goes_on: node.call,
                    thread: Some(node.thread),
                    ..Found::beside(slot, scope, Relation::Turn, None)
                },
                None => Found { base, ..Found::new(Place::Held(slot), scope) },
            };
        }
        if let Some(found) = found {
            return Found { scope, ..found };
        }
        if !ask.is_all {
            return Found::wanting_all(scope);
        }
        // Of an agent that was started by another one, or by the main one.
        let is_agent = agent.is_some();
        let thread = agent.and_then(|agent| state.thread_of(agent));
        let starter = ask.caller.names.parent.as_deref().map(|agent| self.seed.of_bytes(agent.as_bytes()));
        let starter = starter.map_or(Some(0), |agent| state.thread_of(agent)).filter(|_| is_agent);
        if let Some(found) = self.by_beginning(ask, scope, Some(slot), starter) {
            return Found { thread: found.thread.or(thread), ..found.in_lane(lane) };
        }
        let starter = starter.and_then(|thread| state.tree.latest(Some(thread))).or(latest);
        let (relation, parent) = match starter {
            Some(node) if is_agent && thread.is_none() => (Relation::SubAgent, Some(node.call)),
            Some(node) if ask.is_probe() => (Relation::Side, Some(node.call)),
            None if ask.is_probe() => (Relation::Side, None),
            _ => (Relation::Opening, None),
        };
        Found { thread, ..Found::beside(slot, scope, relation, parent).in_lane(lane) }
    }

    /// It continues a response.
    fn continued(&self, ask: &Ask<'_>, source: Source, state: &State, previous: &str) -> Found {
        let base = self.seed.then(state.scope, self.seed.of_text(previous));
        let found = Found { base, ..Found::new(Place::Held(source.session), state.scope) };
        let Some(node) = state.tree.of_call(source.call).and_then(|at| state.tree.get(at)) else {
            return Found { relation: Relation::Turn, parent: Some(source.call), thread: Some(0), ..found };
        };
        let asked = self.chain(base, ask.units).last().copied().unwrap_or(base);
        let (relation, same) = next_of(state, node, asked);
        Found {
            relation,
            parent: Some(same.map_or(node.call, |same| same.call)),
            goes_on: node.call,
            thread: Some(node.thread),
            instead: same
                .filter(|_| relation == Relation::Retry)
                .and_then(|same| state.tree.of_call(same.call)),
            known: if same.is_some() { ask.units.list.len() } else { 0 },
            telling: node.telling.after(),
            ..found
        }
    }

    /// The hashes of all that was said, message by message.
    pub(super) fn chain(&self, base: u64, units: &Units) -> Vec<u64> {
        let mut said = base;
        let then = |unit: &Unit| {
            said = self.seed.then(said, unit.hash());
            said
        };
        units.list.iter().map(then).collect()
    }

    /// By the longest beginning of what was said that a session knows.
    fn by_what_was_said(
        &self,
        now: std::time::Instant,
        ask: &Ask<'_>,
        scope: u64,
        told: Option<u32>,
    ) -> Option<Found> {
        let chain = self.chain(scope, ask.units);
        let said = ask.units.list.len() - usize::from(ask.units.open.is_some());
        let answered = ask.units.list.iter().take(said).rposition(|unit| unit.by_model());
        let answered = answered.map_or(0, |answer| answer + 1);
        let look = |near| self.longest(now, ask, scope, &chain, (answered, near), told);
        let mut best = look(true);
        // Who is elsewhere is followed only where nobody here knows what the model said last.
        if told.is_none() && best.as_ref().is_none_or(|(known, _)| *known < answered) {
            if !ask.is_all {
                return Some(Found::wanting_all(scope));
            }
            let here = self.by_last_answer(ask, scope, told, true);
            if let Some(found) = here.or_else(|| self.by_beginning(ask, scope, None, None)) {
                return Some(found);
            }
            let is_longer = |far: &(usize, Option<Hit>)| best.as_ref().is_none_or(|(near, _)| far.0 > *near);
            best = look(false).filter(is_longer).or(best);
        }
        let hit = match best {
            Some((_, None)) => return Some(Found::new(Place::New, scope)),
            Some((_, hit)) => hit,
            None => None,
        };
        if hit.is_none_or(|hit| matches!(hit.relation, Relation::Edit | Relation::Fork))
            && let Some(found) = self.by_last_answer(ask, scope, told, false)
        {
            return Some(found);
        }
        hit.map(|hit| self.found(ask, scope, hit))
    }

    /// By the longest beginning that a session of somebody near knows, or of somebody elsewhere: how much it knows, and
    /// the call to follow; none where it could be several.
    fn longest(
        &self,
        now: std::time::Instant,
        ask: &Ask<'_>,
        scope: u64,
        chain: &[u64],
        (answered, near): (usize, bool),
        told: Option<u32>,
    ) -> Option<(usize, Option<Hit>)> {
        let key = |at| self.key(at);
        let mut best: Option<(usize, Option<Hit>)> = None;
        for (before, said) in chain.iter().enumerate().rev() {
            let known = before + 1;
            let clearest = |calls: &mut dyn Iterator<Item = At>| {
                let fits = calls.filter_map(|at| self.fits(now, ask, at, known, chain, told));
                clearest(fits.filter(|((closeness, _), _)| (*closeness >= NEAR) == near))
            };
            let mut next = clearest(&mut self.index.find(*said, &key));
            if next.is_none() && answered == known {
                // What else stands there in the model's name may be the client's.
                let said = before.checked_sub(1).and_then(|at| chain.get(at)).copied().unwrap_or(scope);
                next = ask.units.begun.iter().rev().find_map(|unit| {
                    let calls = self.index.find(self.seed.then(said, unit.hash()), &key);
                    clearest(&mut calls.filter(|at| at.by == By::Answered))
                });
            }
            match (&mut best, next) {
                (None, Some((_, hit))) => best = Some((known, hit)),
                // One who repeats what was asked, and another who may ask it now: it could be either.
                (Some((_, hit)), Some(((_, true), next)))
                    if told.is_none()
                        && hit.zip(next).is_none_or(|(hit, next)| hit.session != next.session) =>
                {
                    *hit = None;
                }
                _ => {}
            }
            if best.is_some() && known <= answered {
                break;
            }
        }
        best
    }

    fn found(&self, ask: &Ask<'_>, scope: u64, hit: Hit) -> Found {
        let Hit { session, node, relation, instead, known } = hit;
        let is_beside = relation == Relation::Fork && node.how == How::Open;
        let repeats = matches!(relation, Relation::Retry | Relation::Regenerate) || instead.is_some();
        let before = (node.parent > 0).then_some(node.parent);
        let mut found = Found {
            relation,
            parent: before.filter(|_| is_beside).or(Some(node.call)),
            goes_on: if repeats || is_beside { node.parent } else { node.call },
            thread: Some(node.thread),
            instead,
            known,
            telling: node.telling.after(),
            ..Found::new(Place::Held(session), scope)
        };
        if instead.is_some() && relation != Relation::Retry {
            // What was only counted is asked now.
            found.parent = before;
        }
        if ask.is_probe() {
            (found.relation, found.instead, found.thread) = (Relation::Side, None, None);
        }
        found
    }

    /// Whether a call may follow this one, as which all of its first `known` units were said before.
    fn fits(
        &self,
        now: std::time::Instant,
        ask: &Ask<'_>,
        at: At,
        known: usize,
        chain: &[u64],
        told: Option<u32>,
    ) -> Option<(Rank, Hit)> {
        let state = self.state(at.session)?;
        let node = *state.tree.get(at.node)?;
        let is_told = told == Some(at.session);
        if told.is_some() != is_told || !is_told && state.told {
            return None;
        }
        let (address, program) = ask.caller.near();
        let is_near = state.near == (address, program);
        let closeness = match (state.near.0 == address, state.near.1 == program) {
            _ if is_told => 4,
            (true, true) => 3,
            (true, false) => 2,
            (false, true) => 1,
            (false, false) => 0,
        };
        let is_whole = known == chain.len();
        let hit = |relation, known| Some(Hit { session: at.session, node, relation, instead: None, known });
        let instead = |relation| hit(relation, known).map(|hit| Hit { instead: Some(at.node), ..hit });
        let is_opening = node.parent == 0;
        // What it is, as something that goes on from this call.
        let follow = |known| {
            let asked = chain.last().copied().unwrap_or(0);
            Some(match next_of(state, &node, asked) {
                (relation, Some(same)) => {
                    let instead =
                        (relation == Relation::Retry).then(|| state.tree.of_call(same.call)).flatten();
                    Hit { session: at.session, node: *same, relation, instead, known: chain.len() }
                }
                (relation, None) => Hit { session: at.session, node, relation, instead: None, known },
            })
        };
        // Nothing of the model's has come back that shows whose it is.
        let is_bare = is_opening && !is_told;
        let retries = ask.caller.names.retries.unwrap_or(0);
        let hit = match at.by {
            By::Pair => None,
            By::Asked if is_whole => match node.how {
                How::Probe if is_bare && !is_near => None,
                How::Probe => instead(if is_opening { Relation::Opening } else { Relation::Turn }),
                _ if ask.is_probe() && is_bare && !is_near => None,
                _ if ask.is_probe() => hit(Relation::Side, known),
                How::Failed | How::Cut => {
                    let soon = between(state.last, now) <= RETRY_WITHIN;
                    if is_bare && !(is_near && soon) { None } else { instead(Relation::Retry) }
                }
                How::Open | How::Answered if retries > 0 && (is_near || !is_bare) => {
                    hit(Relation::Retry, known)
                }
                How::Open | How::Answered if is_bare => None,
                How::Open => hit(Relation::Fork, known),
                How::Answered => hit(Relation::Regenerate, known),
            },
            By::Asked => {
                let by_model = ask.units.list.get(known).is_some_and(|unit| unit.by_model());
                match node.how {
                    How::Cut if by_model && (is_near || !is_bare) => follow(known + 1),
                    How::Answered if by_model && node.answered == 0 && !is_bare => follow(known + 1),
                    How::Answered if is_told => hit(Relation::Edit, known),
                    How::Answered if !by_model && !is_bare => hit(Relation::Edit, known),
                    How::Failed | How::Cut | How::Open if !by_model && (is_near || !is_bare) => follow(known),
                    How::Probe => hit(Relation::Turn, known).filter(|_| !is_bare),
                    _ => None,
                }
            }
            By::Answered => {
                if !is_told && !is_near && node.telling == Telling::No {
                    return None;
                }
                if is_whole { hit(Relation::Turn, known) } else { follow(known) }
            }
        }?;
        let is_next = matches!(hit.relation, Relation::Turn | Relation::Retry);
        Some(((closeness, is_next), hit))
    }

    /// By the model's last words, where what was said before is not all there, or another: the client left it out.
    fn by_last_answer(&self, ask: &Ask<'_>, scope: u64, told: Option<u32>, here: bool) -> Option<Found> {
        let units = &ask.units.list;
        let answers = units.iter().enumerate().rev().filter(|(_, unit)| unit.by_model());
        let pair = |(at, unit): (usize, &Unit)| {
            let before = units.get(at.checked_sub(1)?)?;
            Some((at, self.pair(scope, before.hash(), unit.hash())))
        };
        let pairs: Vec<(usize, u64)> = answers.take(PAIRS).filter_map(pair).collect();
        let is_summary = ask.summary().is_some();
        let key = |at| self.key(at);
        for (at, last) in pairs.iter().take(LAST_PAIRS) {
            let fits = |found: At| {
                let state = self.state(found.session)?;
                let node = *state.tree.get(found.node)?;
                let is_told = told == Some(found.session);
                if found.by != By::Pair || told.is_some() != is_told || !is_told && state.told {
                    return None;
                }
                let shared =
                    pairs.iter().filter(|(_, pair)| state.tree.iter().any(|(_, node)| node.pair == *pair));
                let is_near = state.near == ask.caller.near();
                let is_clear = is_told
                    || node.telling == Telling::Itself
                    || is_near && (is_summary || shared.count() > 1);
                (is_clear && state.tree.is_tip(node.call)).then_some((found.session, node))
            };
            let hits: Vec<_> = self.index.find(*last, &key).filter_map(fits).collect();
            let is_near = |session| self.state(session).is_some_and(|state| state.near == ask.caller.near());
            let near: Vec<_> = hits.iter().filter(|(session, _)| is_near(*session)).collect();
            let (session, node) = match (&*near, &*hits) {
                ([hit], _) => **hit,
                ([], [hit]) if !here => *hit,
                ([], hits) if here || hits.is_empty() => continue,
                _ => return None,
            };
            let relation = if is_summary { Relation::Compaction } else { Relation::Truncation };
            let hit = Hit { session, node, relation, instead: None, known: at + 1 };
            return Some(self.found(ask, scope, hit));
        }
        None
    }

    /// By what it begins with: the task of a sub-agent, or a summary. `starter` is the line of talk that it comes from,
    /// where that is told.
    fn by_beginning(
        &self,
        ask: &Ask<'_>,
        scope: u64,
        told: Option<u32>,
        starter: Option<u16>,
    ) -> Option<Found> {
        let first = ask.first()?;
        let here = |source: &Source| told.is_none_or(|slot| slot == source.session);
        let system = ask.system.or_else(|| ask.turns.first());
        let here_about = self.quotable(scope, told.is_some(), ask.caller.address);
        let task = |turn| self.quotes.within(Kind::Task, here_about, turn).filter(here);
        if let Some(source) = task(first).or_else(|| task(system?))
            && let Some(state) = self.held(source)
            && let Some(node) = state.tree.of_call(source.call).and_then(|at| state.tree.get(at))
            && state.tree.is_tip(source.call)
            && starter.is_none_or(|thread| node.thread == thread)
            && ask.units.list.len() <= BEGINNING
        {
            return Some(Found::beside(source.session, scope, Relation::SubAgent, Some(source.call)));
        }
        if let Some(summary) = ask.summary() {
            let latest = || {
                let node = self.state(told?)?.tree.latest(None)?;
                Some((told?, node.call))
            };
            let quoted = || self.quotes.within(Kind::Summary, here_about, summary).filter(here);
            let near = self.near(ask);
            // Whose summary was seen, begins with it.
            let is_unseen = |source: &Source| {
                let state = self.held(*source);
                let node = state.and_then(|state| state.tree.get(state.tree.of_call(source.call)?));
                node.is_some_and(|node| node.how == How::Cut)
            };
            let waiting =
                || self.quotes.find(Kind::Summarising, here_about, near).filter(here).filter(is_unseen);
            let source = quoted().or_else(waiting);
            let source = source.filter(|source| self.held(*source).is_some());
            let (session, call) = source.map(|source| (source.session, source.call)).or_else(latest)?;
            let thread = self.state(session)?.tree.of_call(call);
            let thread = thread.and_then(|at| Some(self.state(session)?.tree.get(at)?.thread));
            let found = Found::beside(session, scope, Relation::Compaction, Some(call));
            return Some(Found { goes_on: call, thread: thread.or(Some(0)), ..found });
        }
        None
    }

    /// By the words of a conversation that stands in a call beside it.
    fn by_what_it_is_about(&self, ask: &Ask<'_>, scope: u64) -> Option<Found> {
        let here_about = self.quotable(scope, false, ask.caller.address);
        let about = |turn: &Turn| self.quotes.within(Kind::Said, here_about, turn);
        let source = ask.turns.iter().rev().find_map(about)?;
        self.held(source)?;
        Some(Found::beside(source.session, scope, Relation::Side, Some(source.call)))
    }

    /// By the trace that it is a part of, where only one session is too.
    fn by_trace(&self, ask: &Ask<'_>, scope: u64) -> Option<Found> {
        let trace = self.trace(ask.caller.names.trace?);
        let source = self.quotes.find(Kind::Trace, scope, trace)?;
        self.held(source)?;
        Some(Found::beside(source.session, scope, Relation::Side, Some(source.call)))
    }

    pub(super) fn pair(&self, scope: u64, before: u64, answer: u64) -> u64 {
        self.seed.then(self.seed.then(scope, before), self.seed.then(2, answer))
    }

    /// Who may quote what was said in a session: who names it, or who goes on with it from the same address.
    pub(super) fn quotable(&self, scope: u64, told: bool, address: IpAddr) -> u64 {
        let here = || self.seed.of_bytes(address.to_string().as_bytes());
        if told { scope } else { self.seed.then(scope, here()) }
    }

    pub(super) fn near(&self, ask: &Ask<'_>) -> u64 {
        let (address, program) = ask.caller.near();
        let agent = self.seed.of_bytes(ask.lead.agent.stable.as_bytes());
        self.seed.then(self.seed.then(self.seed.of_bytes(address.to_string().as_bytes()), program), agent)
    }

    pub(super) fn trace(&self, trace: u128) -> u64 {
        self.seed.of_bytes(&trace.to_le_bytes())
    }
}

/// The best of these calls to follow; none of them where several are alike.
fn clearest(fits: impl Iterator<Item = (Rank, Hit)>) -> Option<Clear> {
    let mut best: Option<Clear> = None;
    for (rank, next) in fits {
        let Some((known, hit)) = &mut best else {
            best = Some((rank, Some(next)));
            continue;
        };
        let same = hit.filter(|hit| hit.session == next.session);
        match rank.cmp(known).then(same.map_or(Ordering::Equal, |hit| next.node.call.cmp(&hit.node.call))) {
            Ordering::Greater => best = Some((rank, Some(next))),
            Ordering::Equal if same.is_none() => *hit = None,
            Ordering::Equal | Ordering::Less => {}
        }
    }
    best
}

/// What a call is that goes on from the answer to `node`: `asked` is all that it says. The call that is the same, where
/// there is one.
fn next_of<'s>(state: &'s State, node: &Node, asked: u64) -> (Relation, Option<&'s Node>) {
    let same =
        state.tree.children(node.call).filter(|child| child.asked == asked).max_by_key(|child| child.call);
    let mut others = state.tree.children(node.call).peekable();
    match same {
        Some(same) => match same.how {
            How::Failed | How::Cut => (Relation::Retry, Some(same)),
            How::Open => (Relation::Fork, Some(same)),
            How::Answered | How::Probe => (Relation::Regenerate, Some(same)),
        },
        None if others.peek().is_none() => (Relation::Turn, None),
        None if others.any(|child| child.how == How::Open) => (Relation::Fork, None),
        None => (Relation::Edit, None),
    }
}
