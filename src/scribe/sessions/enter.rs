//! Gives a call its place in a session's tree, and what it is found by.

use std::time::Instant;

use perimeter_interceptor::{Branch, ExchangeId, Operation, Part, Relation, Role, Session, SessionEnd};

use super::ask::Ask;
use super::found::{Found, Place};
use super::index::{At, By};
use super::quotes::{Kind, Source};
use super::tree::{How, Node};
use super::{Sessions, key};
use crate::dialect::{Dialect, Run};
use crate::scribe::markers::{self, SideCall};

/// A call that has its session, until it is answered.
#[derive(Debug)]
pub(in crate::scribe) struct Ticket {
    pub(super) session: u32,
    pub(super) generation: u32,
    pub(super) call: u32,
    pub(super) node: Option<u8>,
    pub(super) operation: Operation,
    pub(super) keeps_responses: bool,
    /// All that was said but for what the model is to go on with.
    pub(super) said: u64,
    /// What was said last before the answer.
    pub(super) before: u64,
    pub(super) open: Option<Run>,
    pub(super) asks_for_summary: bool,
    pub(super) lane: u64,
    /// Who makes it: some providers count the ids of responses, and each counts for itself.
    pub(super) person: u64,
    /// Who may quote what is said.
    pub(super) quotable: u64,
    /// The exchange that it belongs to, where that is a session by itself.
    pub(super) alone: Option<ExchangeId>,
}

impl Sessions {
    /// Gives a call that is made `now` its place. `over` is told of a session that has to make room.
    pub(in crate::scribe) fn attach(
        &mut self,
        now: Instant,
        ask: &Ask<'_>,
        found: Found,
        over: &mut dyn FnMut(SessionEnd),
    ) -> (Session, Ticket) {
        let slot = match &found.place {
            Place::Held(slot) => *slot,
            Place::Alone => return self.alone(now, ask),
            Place::Named(name) => {
                let slot = self.begin(now, ask, &found, name.clone(), true, over);
                self.by_name.insert(name.clone(), slot, &self.seed);
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
        let hints = self.hints(ask);
        let (mut session, source) = {
            let Some(state) = self.state_mut(slot) else { return self.alone(now, ask) };
            state.calls = state.calls.saturating_add(1);
            state.open = state.open.saturating_add(1);
            (state.last, state.ended) = (state.last.max(now), false);
            // What stands beside a conversation may come from somewhere else.
            if found.relation != Relation::Side || state.calls == 1 {
                (state.near, state.hints) = (ask.caller.near(), hints);
            }
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
        session.agent = ask.agent();
        session.client.clone_from(&ask.caller.client);
        session.tags.clone_from(&ask.exchange.labels.tags);
        let ticket = self.enter(ask, &found, source, session.thread);
        (session, ticket)
    }

    /// Enters a call into its session's tree, and what it may be found by.
    fn enter(&mut self, ask: &Ask<'_>, found: &Found, source: Source, thread: u32) -> Ticket {
        let answered = ask.units.answered();
        let behind = ask.units.list.get(answered.len()..).unwrap_or_default();
        let said = self.said(found.base, answered);
        let asked = self.said(said, behind);
        let converses = matches!(ask.asked.operation, Operation::Chat | Operation::TextCompletion);
        let is_probe = ask.asked.operation == Operation::CountTokens && matches!(found.place, Place::New);
        let is_entered = (converses && found.relation != Relation::Side || is_probe)
            && !ask.units.list.is_empty()
            && !ask.is_cut;
        let is_told = self.held(source).is_none_or(|state| state.told);
        let quotable = self.quotable(found.scope, is_told, ask.caller.address);
        let last = ask.turns.last();
        let mut ticket = Ticket {
            session: source.session,
            generation: source.generation,
            call: source.call,
            node: None,
            operation: ask.asked.operation,
            keeps_responses: ask.asked.dialect == Dialect::OpenAiResponses,
            said,
            before: answered.last().map_or(0, |unit| unit.hash()),
            open: ask.units.open.clone(),
            asks_for_summary: last.is_some_and(markers::asks_for_summary)
                || found.relation == Relation::Side && ask.side() == Some(SideCall::Summary),
            lane: found.lane,
            person: ask.caller.person(&self.seed),
            quotable,
            alone: None,
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
                is_followed: false,
            };
            ticket.node = self.put(source.session, node, found.instead);
        }
        self.quote_call(ask, found, &ticket, is_told);
        ticket
    }

    /// Notes what of a call others may begin with, or be about.
    fn quote_call(&mut self, ask: &Ask<'_>, found: &Found, ticket: &Ticket, is_told: bool) {
        let last = ask.turns.last();
        let converses = matches!(ask.asked.operation, Operation::Chat | Operation::TextCompletion);
        let trace = ask.caller.names.trace.map(|trace| (self.scope(ask), self.trace(trace)));
        let is_compact = found.relation == Relation::Compaction;
        let near = if ticket.asks_for_summary || is_compact { self.near(ask) } else { 0 };
        let source = Source { session: ticket.session, generation: ticket.generation, call: ticket.call };
        let scope = ticket.quotable;
        let (quotes, is_held) = self.quotes();
        if !is_told && converses && found.relation != Relation::Side {
            if let Some(said) = last.filter(|turn| turn.role == Role::User) {
                let hash = ask.units.said_last(said);
                for part in &said.parts {
                    if let Part::Text(text) = part {
                        let text = markers::lasting(text);
                        quotes.add_hashed(Kind::Said, scope, source, (&text, hash), &is_held);
                    }
                }
            }
            if ticket.asks_for_summary {
                quotes.add(Kind::Summarising, scope, near, source, &is_held);
            } else if is_compact {
                quotes.remove(Kind::Summarising, scope, near);
            }
        }
        if let Some((scope, trace)) = trace.filter(|_| converses) {
            quotes.add(Kind::Trace, scope, trace, source, &is_held);
        }
    }

    /// Puts a call into a session's tree, and into the index.
    pub(super) fn put(&mut self, slot: u32, node: Node, instead: Option<u8>) -> Option<u8> {
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

    pub(super) fn take_out(&mut self, slot: u32, node: u8) {
        for by in [By::Asked, By::Answered, By::Pair] {
            self.take_from_index(At { session: slot, node, by });
        }
    }

    pub(super) fn add_to_index(&mut self, at: At) {
        let Self { held, index, .. } = self;
        index.insert(at, &|at| key(held, at));
    }

    pub(super) fn take_from_index(&mut self, at: At) {
        let Self { held, index, .. } = self;
        index.remove(at, &|at| key(held, at));
    }
}
