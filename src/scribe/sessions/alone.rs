//! Exchanges that are a session each.

use std::time::Duration;

use perimeter_interceptor::{Exchange, Relation, Session, SessionEnd};

use super::Sessions;
use super::ask::Ask;

impl Sessions {
    pub(super) fn alone(&mut self, ask: &Ask<'_>) -> Session {
        let exchange = ask.exchange;
        let calls = self.alone.entry(exchange.id).or_default();
        *calls = calls.saturating_add(1);
        let mut session = Session::new(exchange.id.to_string());
        session.is_new = *calls == 1;
        session.call = *calls;
        if *calls > 1 {
            (session.relation, session.parent) = (Relation::Turn, Some(*calls - 1));
        }
        session.agent = ask.agent();
        session.client.clone_from(&ask.caller.client);
        session.tags.clone_from(&exchange.labels.tags);
        session
    }

    /// This exchange is over, having lasted so long. Its session's end, where it was one of its own.
    pub(in crate::scribe) fn exchange_over(
        &mut self,
        exchange: &Exchange,
        lasted: Duration,
    ) -> Option<SessionEnd> {
        let calls = self.alone.remove(&exchange.id)?;
        let mut end = SessionEnd::new(exchange.id.to_string(), calls, lasted);
        end.began = exchange.began;
        Some(end)
    }
}
