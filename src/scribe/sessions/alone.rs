//! Exchanges that are a session each.

use std::time::{Duration, Instant};

use perimeter_interceptor::{Branch, Exchange, ExchangeId, Operation, Relation, Session, SessionEnd};

use super::Sessions;
use super::ask::Ask;
use super::enter::Ticket;
use super::state::{Beginning, State};

impl Sessions {
    pub(super) fn alone(&mut self, now: Instant, ask: &Ask<'_>) -> (Session, Ticket) {
        let exchange = ask.exchange;
        let state = self.alone.entry(exchange.id).or_insert_with(|| {
            Box::new(State::new(Beginning {
                id: exchange.id.to_string().into(),
                told: false,
                generation: 0,
                scope: 0,
                near: ask.caller.near(),
                began: exchange.began,
                now,
                agent: ask.agent(),
                client: ask.caller.client.clone(),
            }))
        });
        state.calls = state.calls.saturating_add(1);
        state.open = state.open.saturating_add(1);
        state.add_model(ask.model);
        let mut session = Session::new(state.id.clone());
        session.is_new = state.calls == 1;
        session.call = state.calls;
        if state.calls > 1 {
            (session.relation, session.parent) = (Relation::Turn, Some(state.calls - 1));
        }
        state.branch(Branch::new(session.call, session.relation));
        session.agent = ask.agent();
        session.client.clone_from(&ask.caller.client);
        session.tags.clone_from(&exchange.labels.tags);
        let ticket = Ticket::alone(exchange.id, session.call, ask.asked.operation);
        (session, ticket)
    }

    /// This exchange is over, having lasted so long. Its session's end, where it was one of its own.
    pub(in crate::scribe) fn exchange_over(
        &mut self,
        exchange: &Exchange,
        lasted: Duration,
    ) -> Option<SessionEnd> {
        let mut end = self.alone.remove(&exchange.id)?.end();
        end.lasted = lasted;
        Some(end)
    }
}

impl Ticket {
    /// A call that no other one is looked up by.
    fn alone(exchange: ExchangeId, call: u32, operation: Operation) -> Self {
        Self {
            session: 0,
            generation: 0,
            call,
            node: None,
            operation,
            keeps_responses: false,
            said: 0,
            before: 0,
            open: None,
            asks_for_summary: false,
            lane: 0,
            person: 0,
            quotable: 0,
            alone: Some(exchange),
        }
    }

    /// Whether its exchange is a session by itself.
    pub(in crate::scribe) fn is_alone(&self) -> bool {
        self.alone.is_some()
    }
}
