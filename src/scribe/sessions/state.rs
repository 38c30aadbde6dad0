//! What is held of one session.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Instant, SystemTime};

use perimeter_interceptor::{Agent, Branch, Client, Completion, Operation, Relation, SessionEnd, Usage, Usd};

use super::enter::Ticket;
use super::tree::{Node, Tree};
use crate::journal::between;

/// So many models of a session are named, at most.
const MODELS: usize = 16;
/// So many calls that are no next turn are told at its end: the latest.
const BRANCHES: usize = 64;
/// So many agents of a session are told apart: the latest.
const AGENTS: usize = 64;
/// So many system prompts are known to have been told: the latest.
const LEADS: usize = 6;

/// A session.
#[derive(Debug)]
pub(super) struct State {
    pub(super) id: Arc<str>,
    pub(super) told: bool,
    /// Tells it from others that have its place before and after it.
    pub(super) generation: u32,
    /// Who may go on with it, as a hash: those who name it, or those who have the same credential and user.
    pub(super) scope: u64,
    /// Where its last call came from: the client's address, and a hash of the program's name.
    pub(super) near: (IpAddr, u64),
    /// What its last call hinted at.
    pub(super) hints: Hints,
    pub(super) calls: u32,
    /// Calls that are being answered.
    pub(super) open: u32,
    pub(super) failed: u32,
    unpriced: u32,
    pub(super) threads: u16,
    pub(super) began: SystemTime,
    pub(super) first: Instant,
    pub(super) last: Instant,
    /// Whether its end was told since its last call.
    pub(super) ended: bool,
    agent: Arc<Agent>,
    client: Option<Arc<Client>>,
    models: Vec<Arc<str>>,
    used: Used,
    cost: Usd,
    leads: [u32; LEADS],
    pub(super) tree: Tree,
    branches: Vec<Branch>,
    /// The agents that the client tells apart, each with its line of talk.
    agents: Vec<(u64, u16)>,
}

/// What a call says that hints at its session, and is no name of it: hashes, 0 where there is none.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Hints {
    /// What the app says begins alike.
    pub(super) cache_key: u64,
    /// The trace that it is a part of.
    pub(super) trace: u64,
}

impl Hints {
    /// How many agree. A trace ends sooner than a conversation: only what the app says of it may disagree.
    pub(super) fn agree(&self, other: &Self) -> i8 {
        let same = |one: u64, other: u64| i8::from(one != 0 && one == other);
        let differ = self.cache_key != other.cache_key && self.cache_key != 0 && other.cache_key != 0;
        same(self.cache_key, other.cache_key) + same(self.trace, other.trace) - 2 * i8::from(differ)
    }
}

/// Tokens.
#[derive(Debug, Default)]
struct Used {
    input: u64,
    output: u64,
    cache_read: u64,
    cache_write: u64,
}

/// With which a session begins.
pub(super) struct Beginning {
    pub(super) id: Arc<str>,
    pub(super) told: bool,
    pub(super) generation: u32,
    pub(super) scope: u64,
    pub(super) near: (IpAddr, u64),
    pub(super) began: SystemTime,
    pub(super) now: Instant,
    pub(super) agent: Arc<Agent>,
    pub(super) client: Option<Arc<Client>>,
}

impl State {
    pub(super) fn new(beginning: Beginning) -> Self {
        let Beginning { id, told, generation, scope, near, began, now, agent, client } = beginning;
        Self {
            id,
            told,
            generation,
            scope,
            near,
            hints: Hints::default(),
            calls: 0,
            open: 0,
            failed: 0,
            unpriced: 0,
            threads: 0,
            began,
            first: now,
            last: now,
            ended: false,
            agent,
            client,
            models: Vec::new(),
            used: Used::default(),
            cost: Usd::default(),
            leads: [0; LEADS],
            tree: Tree::default(),
            branches: Vec::new(),
            agents: Vec::new(),
        }
    }

    /// The call of a ticket, where it is remembered.
    pub(super) fn node_of(&mut self, ticket: &Ticket) -> Option<&mut Node> {
        self.tree.get_mut(ticket.node?).filter(|node| node.call == ticket.call)
    }

    /// Whether this agent began it. Somebody with the same instructions, who asks for what a tool was given, is rather
    /// one more person than an agent.
    pub(super) fn is_of(&self, agent: &Agent) -> bool {
        self.agent.stable == agent.stable
    }

    /// The line of talk of an agent that the client tells.
    pub(super) fn thread_of(&self, agent: u64) -> Option<u16> {
        self.agents.iter().find(|(known, _)| *known == agent).map(|(_, thread)| *thread)
    }

    pub(super) fn add_agent(&mut self, agent: u64, thread: u16) {
        if self.thread_of(agent).is_none() {
            if self.agents.len() >= AGENTS {
                self.agents.remove(0);
            }
            self.agents.push((agent, thread));
        }
    }

    /// A new line of talk.
    pub(super) fn begin_thread(&mut self) -> u16 {
        let thread = self.threads;
        self.threads = self.threads.saturating_add(1);
        thread
    }

    /// Notes a call, where it is no simple next turn.
    pub(super) fn branch(&mut self, branch: Branch) {
        if branch.relation == Relation::Turn {
            return;
        }
        if self.branches.len() >= BRANCHES {
            self.branches.remove(0);
        }
        if self.branches.len() == self.branches.capacity() {
            self.branches.reserve_exact(if self.branches.is_empty() { 1 } else { 8 });
        }
        self.branches.push(branch);
    }

    /// Whether this lead was told.
    pub(super) fn knows_lead(&self, hash: u64) -> bool {
        hash == 0 || self.leads.contains(&short(hash))
    }

    /// Notes that it is told.
    pub(super) fn learn_lead(&mut self, hash: u64) {
        if !self.knows_lead(hash) {
            self.leads.rotate_right(1);
            self.leads[0] = short(hash);
        }
    }

    pub(super) fn add_model(&mut self, model: Option<&Arc<str>>) {
        let Some(model) = model else { return };
        if self.models.len() < MODELS && !self.models.contains(model) {
            if self.models.len() == self.models.capacity() {
                self.models.reserve_exact(1);
            }
            self.models.push(model.clone());
        }
    }

    /// Adds what an answer to a call of this kind came to.
    pub(super) fn add(&mut self, operation: Operation, said: &Completion) {
        if let Some(usage) = said.usage.as_ref().filter(|_| !said.repeated) {
            let used = &mut self.used;
            let add = |sum: &mut u64, more: u64| *sum = sum.saturating_add(more);
            add(&mut used.input, usage.input);
            add(&mut used.output, usage.output);
            add(&mut used.cache_read, usage.cache_read.unwrap_or(0));
            add(&mut used.cache_write, usage.cache_write.unwrap_or(0));
        }
        match &said.cost {
            _ if !said.is_billed(operation) => {}
            Some(cost) => self.cost = self.cost + cost.total,
            None => self.unpriced = self.unpriced.saturating_add(1),
        }
    }

    /// What it came to so far.
    pub(super) fn end(&self) -> SessionEnd {
        let mut end = SessionEnd::new(self.id.clone(), self.calls, between(self.first, self.last));
        end.told = self.told;
        end.began = self.began;
        end.agent = self.agent.clone();
        end.client.clone_from(&self.client);
        end.models.clone_from(&self.models);
        let some = |count: u64| (count > 0).then_some(count);
        let mut usage = Usage::new(self.used.input, self.used.output);
        (usage.cache_read, usage.cache_write) = (some(self.used.cache_read), some(self.used.cache_write));
        end.usage = usage;
        end.cost = self.cost;
        end.unpriced = self.unpriced;
        end.failed = self.failed;
        end.tree.clone_from(&self.branches);
        end
    }
}

/// 0 is none.
fn short(hash: u64) -> u32 {
    (hash >> 32) as u32 | 1
}

#[cfg(test)]
mod tests {
    use super::super::tree::Node;
    use super::*;

    #[test]
    fn a_session_and_its_calls_take_no_more_than_is_documented() {
        let sizes = (size_of::<State>(), size_of::<Node>(), size_of::<Branch>(), size_of::<(u64, u16)>());
        assert!(sizes.0 <= 400 && sizes.1 <= 40 && sizes.2 <= 24 && sizes.3 <= 16, "{sizes:?}");
    }
}
