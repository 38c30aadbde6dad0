//! What a call touches of that which outlives it: its session, and answers that were not ready.

use std::sync::Arc;
use std::time::Instant;

use perimeter_interceptor::{Exchange, Session, SessionEnd};

use super::pending::Pending;
use super::sessions::Sessions;
use crate::dialect::Histories;

/// Lent to the calls of one exchange while one record of it is read.
pub(super) struct Attach<'a> {
    pub(super) pending: &'a mut Pending,
    sessions: &'a mut Sessions,
    exchange: Arc<Exchange>,
    at: Instant,
    ended: Vec<SessionEnd>,
}

impl<'a> Attach<'a> {
    pub(super) fn new(
        sessions: &'a mut Sessions,
        pending: &'a mut Pending,
        exchange: &Arc<Exchange>,
        at: Instant,
    ) -> Self {
        Self { pending, sessions, exchange: exchange.clone(), at, ended: Vec::new() }
    }

    /// The session of a call whose request is there.
    pub(super) fn session(&mut self) -> Arc<Session> {
        Arc::new(self.sessions.attach(self.at, &self.exchange, &mut |end| self.ended.push(end)))
    }

    /// What is remembered of the session's earlier requests, if it can have any.
    pub(super) fn histories(&mut self, session: &Session) -> Option<Histories> {
        session.told.then(|| self.sessions.remembered.take(&session.id))
    }

    /// Remembers it with this request.
    pub(super) fn remember(&mut self, session: &Session, histories: Histories) {
        self.sessions.remembered.put(&session.id, histories);
    }

    /// Tells of the sessions that had to make room.
    pub(super) fn ended(self, tell: &mut dyn FnMut(SessionEnd)) {
        self.ended.into_iter().for_each(tell);
    }
}
