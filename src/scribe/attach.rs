//! What a call touches of that which outlives it: its session, what earlier requests held, and answers that were not
//! ready.

use std::sync::Arc;
use std::time::Instant;

use perimeter_interceptor::{CallId, Exchange, LlmEvent, Session, SessionEnd};

use super::bounded;
use super::caller::Caller;
use super::census::Census;
use super::pending::Pending;
use super::sessions::{Ask, Found, Known, Sessions, Ticket};
use crate::dialect::{Asked, Histories, News, Seed};

/// The calls of an exchange that have their place in a session, and are not over.
#[derive(Debug, Default)]
pub(super) struct Tickets(Vec<(CallId, Ticket)>);

/// Lent to the calls of one exchange while one record of it is read.
pub(super) struct Attach<'a> {
    pub(super) pending: &'a mut Pending,
    /// Whether somebody wants all turns of each request.
    pub(super) wants_history: bool,
    sessions: &'a mut Sessions,
    census: &'a Census,
    exchange: Arc<Exchange>,
    caller: Arc<Caller>,
    at: Instant,
    tickets: Tickets,
    ended: Vec<SessionEnd>,
}

/// So few messages are read again where some were passed over.
const SHORT: usize = 2;

/// Where the requests of a conversation are remembered.
#[derive(Clone, Copy, Debug)]
pub(super) struct Shelf {
    key: u64,
    /// Where they may be, too.
    or: u64,
}

impl<'a> Attach<'a> {
    pub(super) fn new(
        sessions: &'a mut Sessions,
        pending: &'a mut Pending,
        census: &'a Census,
        exchange: &Arc<Exchange>,
        caller: &Arc<Caller>,
        at: Instant,
        tickets: Tickets,
    ) -> Self {
        let (exchange, caller) = (exchange.clone(), caller.clone());
        Self {
            pending,
            wants_history: false,
            sessions,
            census,
            exchange,
            caller,
            at,
            tickets,
            ended: Vec::new(),
        }
    }

    pub(super) fn seed(&self) -> &Seed {
        self.sessions.seed()
    }

    /// Gives a call its session. `again` reads all of its request, where more of it is wanted than was read.
    pub(super) fn session(
        &mut self,
        asked: &Asked,
        call: CallId,
        mut news: News,
        again: impl Fn(&Seed) -> News,
    ) -> (Arc<Session>, News, Known) {
        // It may stand beside the conversation: how it begins shows that.
        if news.is_passed() && news.units.list.len() <= SHORT {
            news = again(self.sessions.seed());
        }
        let (mut found, mut known) = self.find(asked, call, &news);
        if found.wants_all || !news.suffices(known.messages, known.lead) {
            news = again(self.sessions.seed());
            (found, known) = self.find(asked, call, &news);
        } else if self.wants_history && news.is_passed() {
            news = again(self.sessions.seed());
        }
        let Self { sessions, exchange, caller, ended, .. } = self;
        let ask = Ask::new(exchange, caller, call, asked, &news);
        let (session, ticket) = sessions.attach(self.at, &ask, found, &mut |end| ended.push(end));
        self.census.call(&session, !ticket.is_alone());
        bounded::push(&mut self.tickets.0, (call, ticket));
        (Arc::new(session), news, known)
    }

    fn find(&self, asked: &Asked, call: CallId, news: &News) -> (Found, Known) {
        let ask = Ask::new(&self.exchange, &self.caller, call, asked, news);
        let found = self.sessions.find(self.at, &ask);
        let known = self.sessions.known(&ask, &found);
        (found, known)
    }

    /// Where requests like this are remembered: by the name of the session, or by how they begin. Nowhere, where there
    /// are no sessions in which they would be known.
    pub(super) fn shelf(&self, asked: &Asked, body: &[u8]) -> Option<Shelf> {
        if !self.sessions.is_enabled() {
            return None;
        }
        let seed = self.sessions.seed();
        let told = self.exchange.labels.session.as_ref().or(self.caller.names.session.as_ref());
        if let Some(name) = told {
            let key = self.sessions.shelf_of(name);
            return Some(Shelf { key, or: key });
        }
        let (key, or) = Histories::openings(asked.counted().as_ref().unwrap_or(asked), body, seed)?;
        Some(Shelf { key: seed.then(2, key), or: seed.then(2, or) })
    }

    /// What is remembered of earlier requests.
    pub(super) fn histories(&mut self, shelf: Shelf) -> Histories {
        self.sessions.remembered.take(shelf.key, shelf.or)
    }

    /// Remembers it with this request.
    pub(super) fn remember(&mut self, shelf: Shelf, histories: Histories) {
        self.sessions.remembered.put(shelf.key, histories);
    }

    /// Notes what was told of the calls, and gives back those that are not over; `tell` is told of the sessions that had
    /// to make room.
    pub(super) fn end(mut self, heard: Vec<LlmEvent>, tell: &mut dyn FnMut(SessionEnd)) -> Tickets {
        for event in heard {
            let tickets = &mut self.tickets.0;
            if let Some(at) = tickets.iter().position(|(call, _)| *call == event.call())
                && let Some((_, ticket)) = tickets.get_mut(at)
                && self.sessions.heard(self.at, ticket, &event)
            {
                // A socket has any number of calls.
                tickets.swap_remove(at);
            }
        }
        self.ended.into_iter().for_each(tell);
        self.tickets
    }
}

impl Tickets {
    /// Nothing more is heard of the calls.
    pub(super) fn over(self, sessions: &mut Sessions, at: Instant) {
        for (_, ticket) in &self.0 {
            sessions.over(at, ticket, false);
        }
    }
}
