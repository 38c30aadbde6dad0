//! An exchange that is not over: what is read of it, and told.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use perimeter_interceptor::host::{Notice, What};
use perimeter_interceptor::{BodyEnd, Exchange, Interest, LlmEvent, Peer, Unseen};

use super::attach::{Attach, Tickets};
use super::caller::Caller;
use super::flow::Flows;
use super::meter::closer;
use super::pending::Pending;
use super::reading::Reading;
use super::sessions::Sessions;
use super::socket::Socket;
use super::tally::Tally;
use super::tally::streams::Closer;
use super::till::Till;
use super::{Masks, Tell, kept, session_end};
use crate::journal::between;
use crate::pipe::Pipe;

/// An exchange that is not over.
#[derive(Debug)]
pub(super) struct Open {
    pub(super) interest: Interest,
    pub(super) exchange: Arc<Exchange>,
    pub(super) caller: Arc<Caller>,
    /// Its calls that have a place in a session.
    pub(super) tickets: Tickets,
    /// How calls ended that was told while a record is read.
    pub(super) heard: Vec<LlmEvent>,
    pub(super) began: Instant,
    pub(super) request: Option<BodyEnd>,
    pub(super) response: Option<BodyEnd>,
    pub(super) unseen: Unseen,
    pub(super) upgraded: bool,
    /// Whether the response is an answer of the proxy's own.
    pub(super) failed: bool,
    /// How many bytes there was no memory to read.
    pub(super) starved: u64,
    pub(super) reading: Option<Box<Reading>>,
    /// Taken out only while something is read.
    pub(super) till: Option<Till>,
    /// How its answers come. Taken out only while something is read.
    pub(super) flows: Option<Flows>,
    /// What is read of it once it is upgraded, where that is calls.
    pub(super) socket: Option<Box<Socket>>,
    /// Whether the reading was given up.
    pub(super) panicked: bool,
}

impl Open {
    pub(super) fn attach<'a>(
        &mut self,
        sessions: &'a mut Sessions,
        pending: &'a mut Pending,
        tally: &'a Tally,
        at: Instant,
    ) -> Attach<'a> {
        let tickets = std::mem::take(&mut self.tickets);
        let (exchange, caller) = (&self.exchange, &self.caller);
        let mut attach = Attach::new(sessions, pending, &tally.census, exchange, caller, at, tickets);
        attach.wants_history = self.interest.includes(Interest::HISTORY);
        attach
    }

    pub(super) fn attached(&mut self, attach: Attach<'_>, tell: Tell<'_>) {
        let heard = std::mem::take(&mut self.heard);
        self.tickets = attach.end(heard, &mut |end| tell(session_end(end)));
    }

    pub(super) fn notice(&self, at: Instant, what: What) -> Notice {
        Notice::Exchange { exchange: self.exchange.clone(), elapsed: between(self.began, at), what }
    }

    fn has_closed(&self, from: Peer) -> bool {
        match from {
            Peer::Client => self.request.is_some(),
            Peer::Upstream => self.response.is_some(),
        }
    }

    pub(super) fn chunk(
        &mut self,
        at: Instant,
        from: Peer,
        bytes: Bytes,
        attach: &mut Attach<'_>,
        tell: Tell<'_>,
    ) {
        if self.has_closed(from) {
            return;
        }
        if self.upgraded {
            if self.interest.includes(Interest::UPGRADED_CHUNKS) {
                tell(self.notice(at, What::UpgradedChunk(from, Bytes::copy_from_slice(&bytes))));
            }
            let starved = self.listen(at, tell, |socket, tell| socket.chunk(from, &bytes, attach, tell));
            return self.starved(from, starved);
        }
        match from {
            Peer::Client => {
                if self.interest.includes(Interest::REQUEST_CHUNKS) {
                    tell(self.notice(at, What::RequestChunk(kept(&bytes))));
                }
                let starved = self.read(at, tell, |reading, _| reading.request_chunk(&bytes));
                self.starved(Peer::Client, starved);
            }
            Peer::Upstream => {
                if self.interest.includes(Interest::RESPONSE_CHUNKS) {
                    tell(self.notice(at, What::ResponseChunk(kept(&bytes))));
                }
                let starved =
                    self.read(at, tell, |reading, tell| reading.response_chunk(&bytes, attach, tell));
                self.starved(Peer::Upstream, starved);
            }
        }
    }

    /// Whether the parts of a request's body are for nobody but who reads the whole of it.
    pub(super) fn only_reads_requests(&self) -> bool {
        !self.upgraded && !self.interest.includes(Interest::REQUEST_CHUNKS)
    }

    /// A part of a request's body came that only who reads it needs, in a pipe.
    pub(super) fn piped(&mut self, at: Instant, part: Pipe, tell: Tell<'_>) {
        if !self.has_closed(Peer::Client) {
            let starved = self.read(at, tell, |reading, _| reading.request_piped(part));
            self.starved(Peer::Client, starved);
        }
    }

    /// A part of a request's body could not be fetched.
    pub(super) fn lost(&mut self, at: Instant, len: usize, tell: Tell<'_>) {
        let starved = self.read(at, tell, |reading, _| reading.request_lost(len));
        self.starved(Peer::Client, starved);
    }

    /// There was no memory to read so many bytes.
    fn starved(&mut self, from: Peer, bytes: u64) {
        self.unseen.add(from, bytes);
        self.starved += bytes;
    }

    #[expect(clippy::too_many_arguments, reason = "they are what is borrowed from the scribe")]
    pub(super) fn close(
        &mut self,
        at: Instant,
        from: Peer,
        mut end: BodyEnd,
        unseen: u64,
        masks: &Masks,
        attach: &mut Attach<'_>,
        tell: Tell<'_>,
    ) {
        if self.has_closed(from) {
            return;
        }
        if let BodyEnd::Complete { trailers: Some(trailers) } = &mut end {
            masks.headers(Arc::make_mut(trailers));
        }
        self.unseen.add(from, unseen);
        let whole = end.is_complete() && unseen == 0;
        match from {
            Peer::Client => {
                self.read(at, tell, |reading, tell| {
                    reading.request_end(whole, attach, tell);
                });
                if !self.upgraded {
                    tell(self.notice(at, What::RequestEnd(end.clone())));
                }
                self.request = Some(end);
            }
            Peer::Upstream => {
                self.read(at, tell, |reading, tell| reading.response_end(whole, attach, tell));
                self.listen(at, tell, |socket, tell| socket.finish(tell));
                self.response = Some(end);
            }
        }
    }

    /// Reads, and tells what was read. A reading that panics, by a fault of ours, is the last of this exchange: what
    /// passes and how it ends is told all the same.
    pub(super) fn read<T: Default>(
        &mut self,
        at: Instant,
        tell: Tell<'_>,
        read: impl FnOnce(&mut Reading, &mut dyn FnMut(LlmEvent)) -> T,
    ) -> T {
        let Some(mut reading) = self.reading.take() else { return T::default() };
        let told = self.survives(at, tell, |tell| read(&mut reading, tell));
        if told.is_some() {
            self.reading = Some(reading);
        }
        told.unwrap_or_default()
    }

    /// Reads what is said behind an upgrade, like [`read`](Self::read).
    pub(super) fn listen<T: Default>(
        &mut self,
        at: Instant,
        tell: Tell<'_>,
        listen: impl FnOnce(&mut Socket, &mut dyn FnMut(LlmEvent)) -> T,
    ) -> T {
        let Some(mut socket) = self.socket.take() else { return T::default() };
        let told = self.survives(at, tell, |tell| listen(&mut socket, tell));
        if told.is_none() {
            socket.give_up();
        }
        self.socket = Some(socket);
        told.unwrap_or_default()
    }

    /// What `read` reads, unless it panics.
    fn survives<T>(
        &mut self,
        at: Instant,
        tell: Tell<'_>,
        read: impl FnOnce(&mut dyn FnMut(LlmEvent)) -> T,
    ) -> Option<T> {
        let (mut till, mut flows) = (self.till.take(), self.flows.take());
        let mut heard = std::mem::take(&mut self.heard);
        let told = catch_unwind(AssertUnwindSafe(|| {
            read(&mut |event| {
                let event = match &mut flows {
                    Some(flows) => flows.pass(at, event),
                    None => event,
                };
                let event = match &mut till {
                    Some(till) => till.ring(event, between(self.began, at), self.upgraded),
                    None => event,
                };
                if matches!(event, LlmEvent::Completion(_) | LlmEvent::Cut(_) | LlmEvent::Failure(_)) {
                    heard.push(event.clone());
                }
                tell(self.notice(at, What::Llm(event)));
            })
        }));
        (self.till, self.flows, self.heard) = (till, flows, heard);
        if told.is_err() {
            tracing::error!(exchange = %self.exchange.id, "reading it panicked; it is told without its meaning");
            self.panicked = true;
        }
        told.ok()
    }

    /// Counts the calls that have come to their end.
    pub(super) fn count(&mut self, tally: &Tally) {
        let closed = self.closed_first();
        if let Some(till) = &mut self.till {
            till.meter.settle(closed, self.unseen.total() == 0);
        }
        let Some(socket) = &mut self.socket else { return };
        let agent = self.till.as_ref().and_then(Till::agent);
        for over in socket.over() {
            tally.call(socket.dialect(), over.model.as_ref(), agent, over.outcome);
        }
    }

    /// Who closed it, where it is closed.
    pub(super) fn closed_first(&self) -> Option<Closer> {
        let upstream = |end| closer(end, Closer::Upstream, Closer::Client);
        let client = |end| closer(end, Closer::Client, Closer::Upstream);
        match (&self.response, &self.request) {
            (Some(end), _) => Some(upstream(end)),
            (None, Some(end)) if self.upgraded => Some(client(end)),
            _ => None,
        }
    }
}
