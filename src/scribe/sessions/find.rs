//! Where a call belongs: by the name that the client tells, by the response that it continues, by what was said before
//! in it; and, where it begins anew, by what it begins with.
//!
//! Two people must never share a session. So whoever goes on with one that was recognised has the credential and the
//! user of the one who began it, and brings back what the model answered there; and where several sessions would do
//! alike, it is none of them.

use std::sync::Arc;
use std::time::Instant;

use perimeter_interceptor::Relation;

use super::Sessions;
use super::ask::Ask;
use super::found::{Found, Place};
use super::quotes::Kind;
use crate::dialect::Dialect;

impl Sessions {
    /// Where a call belongs that is made now.
    pub(in crate::scribe) fn find(&self, now: Instant, ask: &Ask<'_>) -> Found {
        if !self.enabled {
            return Found::new(Place::Alone, 0);
        }
        if let Some(name) = ask.name() {
            return self.find_named(now, ask, name);
        }
        if ask.asked.dialect == Dialect::OpenAiRealtime {
            return Found::new(Place::Alone, 0);
        }
        if let Some(previous) = ask.previous {
            let source =
                self.quotes.find(Kind::Response, ask.caller.person(&self.seed), self.seed.of_text(previous));
            return match source.and_then(|source| Some((source, self.held(source)?))) {
                Some((source, state)) => self.continued(ask, source, state, (self.seed.of_text(previous), 0)),
                None => {
                    Found { base: self.seed.of_text(previous), ..Found::new(Place::New, self.scope(ask)) }
                }
            };
        }
        let scope = self.scope(ask);
        if let Some(found) = self.by_reference(ask, scope, None) {
            return found;
        }
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
        found.unwrap_or_else(|| {
            let relation = if ask.is_probe() { Relation::Side } else { Relation::Opening };
            Found { relation, ..Found::new(Place::New, scope) }
        })
    }

    /// Who may go on with a session that is recognised: who has the same credential, and calls for the same user.
    pub(super) fn scope(&self, ask: &Ask<'_>) -> u64 {
        let person = ask.caller.person(&self.seed);
        match &ask.names.user {
            Some(user) => self.seed.then(person, self.seed.of_bytes(user.as_bytes())),
            None => person,
        }
    }

    /// By the last item of an answer's that it only refers to.
    fn by_reference(&self, ask: &Ask<'_>, scope: u64, told: Option<u32>) -> Option<Found> {
        let referred = ask.units.referred.filter(|_| ask.converses() && !ask.is_probe())?;
        let behind = ask.units.list.get(referred.units..)?;
        let source = self.quotes.find(Kind::Response, scope, referred.id)?;
        let state = self.held(source)?;
        let is_here = told.map_or(!state.told, |slot| slot == source.session);
        let is_last = !behind.iter().any(|unit| unit.by_model());
        (is_here && is_last).then(|| self.continued(ask, source, state, (referred.id, referred.units)))
    }

    fn find_named(&self, now: Instant, ask: &Ask<'_>, name: &Arc<str>) -> Found {
        let scope = self.seed.then(1, self.seed.of_bytes(name.as_bytes()));
        let agent = ask.caller.names.agent.as_deref().map(|agent| self.seed.of_bytes(agent.as_bytes()));
        let lane = agent.map_or(scope, |agent| self.seed.then(scope, agent));
        let Some(slot) = self.by_name.get(name, &self.seed) else {
            let mut found = Found::new(Place::Named(name.clone()), scope).in_lane(lane);
            if !ask.converses() || ask.is_probe() || ask.side().is_some() {
                found.relation = Relation::Side;
            } else if ask.caller.names.parent_session.is_some() {
                found.relation = Relation::SubAgent;
            }
            return found;
        };
        let Some(state) = self.state(slot) else { return Found::new(Place::Named(name.clone()), scope) };
        let latest = state.tree.latest(None);
        let by_itself = || {
            let referred = self.by_reference(ask, scope, Some(slot)).map(|found| Found { lane, ..found });
            referred.or_else(|| self.by_what_was_said(now, ask, lane, Some(slot)))
        };
        let found = (ask.previous.is_none() && ask.conversation.is_none()).then(by_itself).flatten();
        if !ask.converses() || ask.side().is_some() {
            let parent = found.and_then(|found| found.parent).or(latest.map(|node| node.call));
            return Found::beside(slot, scope, Relation::Side, parent);
        }
        if let Some(previous) = ask.previous {
            let what = self.seed.of_text(previous);
            let source = self.quotes.find(Kind::Response, ask.caller.person(&self.seed), what);
            if let Some(source) = source.filter(|source| source.session == slot)
                && let Some(state) = self.held(source)
            {
                return Found { lane, ..self.continued(ask, source, state, (what, 0)) };
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
}
