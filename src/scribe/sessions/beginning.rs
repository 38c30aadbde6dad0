//! By what a call begins with, quotes or is a part of: where nothing that was said before comes back.

use std::net::IpAddr;

use perimeter_interceptor::{Relation, Turn};

use super::Sessions;
use super::ask::Ask;
use super::found::Found;
use super::quotes::{Kind, Source};
use super::state::Hints;
use super::tree::How;

/// With more messages than this a request does not begin.
const BEGINNING: usize = 2;

impl Sessions {
    /// By what it begins with: the task of a sub-agent, or a summary. `starter` is the line of talk that it comes from,
    /// where that is told.
    pub(super) fn by_beginning(
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
        if ask.units.list.len() <= BEGINNING
            && let Some(source) = task(first).or_else(|| task(system?))
            && let Some(state) = self.held(source)
            && let Some(node) = state.tree.of_call(source.call).and_then(|at| state.tree.get(at))
            && state.tree.is_tip(source.call)
            && starter.is_none_or(|thread| node.thread == thread)
            && (told.is_some() || !state.is_of(&ask.lead.agent))
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
    pub(super) fn by_what_it_is_about(&self, ask: &Ask<'_>, scope: u64) -> Option<Found> {
        let here_about = self.quotable(scope, false, ask.caller.address);
        let about = |turn: &Turn| self.quotes.within(Kind::Said, here_about, turn);
        let source = ask.turns.iter().rev().find_map(about)?;
        self.held(source)?;
        Some(Found::beside(source.session, scope, Relation::Side, Some(source.call)))
    }

    /// By the trace that it is a part of, where only one session is too.
    pub(super) fn by_trace(&self, ask: &Ask<'_>, scope: u64) -> Option<Found> {
        let trace = self.trace(ask.caller.names.trace?);
        let source = self.quotes.find(Kind::Trace, scope, trace)?;
        self.held(source)?;
        Some(Found::beside(source.session, scope, Relation::Side, Some(source.call)))
    }

    /// Who may quote what was said in a session: who names it, or who goes on with it from the same address.
    pub(super) fn quotable(&self, scope: u64, told: bool, address: IpAddr) -> u64 {
        if told { scope } else { self.seed.then(scope, self.seed.of_address(address)) }
    }

    pub(super) fn near(&self, ask: &Ask<'_>) -> u64 {
        let (address, program) = ask.caller.near();
        let agent = self.seed.of_bytes(ask.lead.agent.stable.as_bytes());
        self.seed.then(self.seed.then(self.seed.of_address(address), program), agent)
    }

    /// What the call hints at.
    pub(super) fn hints(&self, ask: &Ask<'_>) -> Hints {
        let cache_key = ask.names.cache_key.as_ref().map_or(0, |key| self.seed.of_bytes(key.as_bytes()));
        Hints { cache_key, trace: ask.caller.names.trace.map_or(0, |trace| self.trace(trace)) }
    }

    pub(super) fn trace(&self, trace: u128) -> u64 {
        self.seed.of_bytes(&trace.to_le_bytes())
    }
}
