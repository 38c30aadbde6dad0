//! Which calls belong together: the sessions that are held, and what of them there is to tell.
//!
//! A session is a tree of calls ([`tree`]). A call is [looked up](find) by what its client tells or by what was said in
//! it, [enters](enter) its session, and is [answered](answer); a session that is quiet [ends](expiry). What was said is
//! held as hashes alone. Pure: one owner, no lock, no clock.

mod alone;
mod answer;
mod ask;
mod beginning;
mod enter;
mod expiry;
mod find;
mod follow;
mod found;
mod index;
mod named;
mod order;
mod quotes;
mod shards;
mod shortened;
mod state;
#[cfg(test)]
mod tests;
mod tree;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use foldhash::fast::RandomState;
use perimeter_interceptor::{ExchangeId, Operation, SessionEnd};

pub(super) use self::ask::Ask;
pub(super) use self::enter::Ticket;
pub(super) use self::found::Found;
use self::found::Place;
use self::index::{At, By, Index};
use self::named::Named;
use self::order::Order;
use self::quotes::{Quotes, Source};
use self::state::{Beginning, State};
use super::live::Live;
use super::remembered::Remembered;
use crate::config;
use crate::dialect::Seed;
use crate::memory::Memory;

/// The sessions that are held.
#[derive(Debug)]
pub(super) struct Sessions {
    held: Vec<Option<Box<State>>>,
    free: Vec<u32>,
    by_name: Named,
    index: Index,
    quotes: Quotes,
    /// Those whose end was not told, and those whose end was: the longest quiet first to go.
    lively: Order,
    quiet: Order,
    generation: u32,
    /// The open exchanges that are a session each.
    alone: HashMap<ExchangeId, Box<State>, RandomState>,
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
            by_name: Named::default(),
            index: Index::default(),
            quotes: Quotes::new(&seed),
            lively: Order::default(),
            quiet: Order::default(),
            generation: 0,
            alone: HashMap::default(),
            enabled: config.enabled,
            max: config.max_sessions,
            ttl: config.session_ttl_seconds,
            // What lives no longer is over.
            complete_after: config.completion_timeout.min(config.session_ttl_seconds),
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
            agent: ask.agent(),
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
        self.quiet.take(slot);
        self.lively.put(slot);
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
        all.filter_map(|slot| self.state(slot)).take(limit).map(live).collect()
    }

    /// Whether calls are gathered into sessions at all.
    pub(super) fn is_enabled(&self) -> bool {
        self.enabled
    }

    /// How many of those that are held are not over.
    pub(super) fn lively(&self) -> usize {
        self.lively.len()
    }

    /// How many are held.
    pub(super) fn count(&self) -> usize {
        self.lively.len() + self.quiet.len()
    }

    /// What a call is found by.
    fn key(&self, at: At) -> u64 {
        key(&self.held, at)
    }

    /// What was said, to note more of it; and whether the session of a source is held.
    fn quotes(&mut self) -> (&mut Quotes, impl Fn(Source) -> bool) {
        let Self { quotes, held, .. } = self;
        (quotes, |source| is_held(held, source))
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
        if let Some(exchange) = ticket.alone {
            return self.alone.get_mut(&exchange).map(Box::as_mut);
        }
        self.state_mut(ticket.session).filter(|state| state.generation == ticket.generation)
    }
}

fn is_held(held: &[Option<Box<State>>], source: Source) -> bool {
    let state = held.get(source.session as usize).and_then(|state| state.as_ref());
    state.is_some_and(|state| state.generation == source.generation)
}

fn key(held: &[Option<Box<State>>], at: At) -> u64 {
    let node = held.get(at.session as usize).and_then(|state| state.as_ref()?.tree.get(at.node));
    node.map_or(0, |node| match at.by {
        By::Asked => node.asked,
        By::Answered => node.answered,
        By::Pair => node.pair,
    })
}
