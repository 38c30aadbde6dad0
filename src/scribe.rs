//! Reads the journal once, for everyone who watches: records in, notices out.
//!
//! Pure: it does no I/O, reads no clock and spawns nothing (but for [`task`], its thread). Time comes in with records.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use bytes::Bytes;
use foldhash::fast::RandomState;
use perimeter_interceptor::host::{Notice, What};
use perimeter_interceptor::{
    BodyEnd, End, Exchange, ExchangeId, Interest, Peer, SessionEnd, SpanContext, Unseen, Upgrade,
};

use crate::config;
use crate::journal::{self, Record, between};
use crate::memory::Memory;
use crate::prices::Prices;

pub(crate) mod agents;
mod attach;
pub(crate) mod attaching;
pub(crate) mod bounded;
mod caller;
pub(crate) mod census;
mod clients;
#[cfg(test)]
mod corpus;
pub(crate) mod decode;
pub(crate) mod events;
mod flow;
mod frames;
mod head;
mod heads;
mod labels;
mod list;
pub(crate) mod live;
pub(crate) mod markers;
mod mask;
mod meter;
mod names;
mod open;
mod pending;
mod reading;
mod remembered;
mod sessions;
mod socket;
pub(crate) mod sse;
pub(crate) mod takings;
pub(crate) mod tally;
pub(crate) mod task;
#[cfg(test)]
mod tests;
mod till;
pub(crate) mod websocket;

use attach::Tickets;
use flow::Flows;
use heads::{Answers, Heads, Said};
use live::Live;
pub(crate) use mask::Masks;
use open::Open;
use pending::Pending;
use reading::{Outcome, Reading};
use sessions::Sessions;
use socket::Socket;
use tally::Tally;
use till::Till;

/// What a scribe works with.
#[derive(Debug)]
pub(crate) struct Settings {
    /// What is masked.
    pub masks: Masks,
    /// Where exchanges go, for people.
    pub upstream: Arc<str>,
    /// `session`.
    pub session: config::Session,
    /// `observe.body_limit`, bytes.
    pub body_limit: usize,
    /// `observe.stall_threshold`.
    pub stall_threshold: Duration,
    /// Tells the exchanges of this run from those of others: random.
    pub run: u64,
    /// What anybody wants to hear.
    pub interest: Interest,
    /// What models cost.
    pub prices: Arc<Prices>,
}

/// Reads the journal.
#[derive(Debug)]
pub(crate) struct Scribe {
    settings: Settings,
    memory: Arc<Memory>,
    tally: Arc<Tally>,
    heads: Heads,
    answers: Answers,
    /// Behind pointers: a table that grows has room for twice as many.
    open: HashMap<u64, Box<Open>, RandomState>,
    sessions: Sessions,
    pending: Pending,
    clock: (Instant, SystemTime),
    /// The latest time in an id, milliseconds since 1970: ids grow, whatever the clock does.
    latest: u64,
}

/// Is told what the scribe has read.
pub(crate) type Tell<'a> = &'a mut dyn FnMut(Notice);

impl Scribe {
    /// A scribe that has read nothing. `clock` is what both clocks say at one moment.
    pub(crate) fn new(
        settings: Settings,
        memory: Arc<Memory>,
        tally: Arc<Tally>,
        clock: (Instant, SystemTime),
    ) -> Self {
        let sessions = Sessions::new(&settings.session, memory.clone());
        let (open, pending) = (HashMap::default(), Pending::default());
        let (heads, answers) = (Heads::default(), Answers::default());
        Self { settings, memory, tally, heads, answers, open, sessions, pending, clock, latest: 0 }
    }

    /// Sets the clock anew: the two drift apart when the machine sleeps or its time is set.
    pub(crate) fn set_clock(&mut self, clock: (Instant, SystemTime)) {
        self.clock = clock;
    }

    /// Reads one record.
    pub(crate) fn ingest(&mut self, record: Record, tell: Tell<'_>) {
        let Record { exchange, at, what, .. } = record;
        match what {
            journal::What::Request { head, client, span } => {
                self.begin(exchange, at, &head, (client, span), tell)
            }
            what => self.follow(exchange, at, what, tell),
        }
    }

    fn begin(
        &mut self,
        number: u64,
        at: Instant,
        head: &journal::RequestHead,
        (client, span): (SocketAddr, Option<SpanContext>),
        tell: Tell<'_>,
    ) {
        let seed = self.sessions.seed();
        let Said { head, labels, caller } = self.heads.read(head, client.ip(), &self.settings, seed);
        let began = self.system_time(at);
        let id = self.id(number, began);
        let mut exchange = Exchange::new(id, began, client, self.settings.upstream.clone());
        (exchange.labels, exchange.sent) = (labels, span);
        let reads = self.settings.interest.includes(Interest::LLM);
        let limit = self.settings.body_limit;
        let (mut reading, mut socket) = (None, None);
        if reads {
            reading = Reading::begin(&head, &self.memory, limit);
            socket = Socket::begin(&head, &self.memory, limit);
        }
        let open = Open {
            interest: self.settings.interest,
            exchange: Arc::new(exchange),
            caller,
            tickets: Tickets::default(),
            heard: Vec::new(),
            began: at,
            request: None,
            response: None,
            unseen: Unseen::default(),
            upgraded: false,
            failed: false,
            starved: 0,
            reading: reading.map(Box::new),
            till: Some(Till::new(&self.settings.prices, &self.tally, began)),
            flows: reads.then(|| Flows::new(at, self.settings.stall_threshold)),
            socket: socket.map(Box::new),
            panicked: false,
        };
        tell(open.notice(at, What::RequestHead(head)));
        self.open.insert(number, Box::new(open));
    }

    fn follow(&mut self, number: u64, at: Instant, what: journal::What, tell: Tell<'_>) {
        let Some(open) = self.open.get_mut(&number) else { return };
        let masks = &self.settings.masks;
        let mut attach = open.attach(&mut self.sessions, &mut self.pending, &self.tally, at);
        match what {
            journal::What::Request { .. } => {}
            journal::What::Response(head) => {
                let head = self.answers.read(&head, masks);
                if let Some(reading) = &mut open.reading
                    && !open.failed
                {
                    reading.response_head(&head);
                    if let Some(flows) = &mut open.flows {
                        flows.head(at, &head);
                    }
                }
                if let Some(socket) = &mut open.socket {
                    socket.response_head(&head);
                }
                tell(open.notice(at, What::ResponseHead(Arc::new(head))));
            }
            journal::What::Upgraded(protocol) => {
                open.upgraded = true;
                if let Some(flows) = &mut open.flows {
                    flows.upgraded();
                }
                tell(open.notice(at, What::Upgrade(Arc::new(Upgrade::new(protocol)))));
            }
            journal::What::Failed(failure) => {
                open.failed = true;
                if let Some(till) = &mut open.till {
                    till.meter.failed(&failure);
                }
                tell(open.notice(at, What::Failure(failure.into())));
            }
            journal::What::Chunk { from, data, ends, asked } => {
                match data {
                    journal::Data::Piped(part) if open.only_reads_requests() => open.piped(at, part, tell),
                    data => {
                        let len = data.len();
                        match data.into_bytes() {
                            Ok(bytes) => {
                                if let (Peer::Upstream, Some(flows)) = (from, &mut open.flows) {
                                    flows.chunk(at, asked, &bytes);
                                }
                                open.chunk(at, from, bytes, &mut attach, tell);
                            }
                            Err(error) => {
                                tracing::warn!(%error, "a part of a body is lost");
                                open.lost(at, len, tell);
                            }
                        }
                    }
                }
                if ends {
                    open.close(at, from, BodyEnd::COMPLETE, 0, masks, &mut attach, tell);
                }
            }
            journal::What::Closed { from, end, unseen, asked } => {
                if let (Peer::Upstream, Some(flows)) = (from, &mut open.flows) {
                    match (unseen, end.is_complete()) {
                        (0, true) => {}
                        (0, false) => flows.broke_off(at, asked),
                        _ => flows.missed(),
                    }
                }
                open.close(at, from, end, unseen, masks, &mut attach, tell);
            }
        }
        open.attached(attach, tell);
        open.count(&self.tally);
        if open.request.is_some() && open.response.is_some() {
            self.end(number, at, tell);
        }
    }

    /// Both sides are over.
    fn end(&mut self, number: u64, at: Instant, tell: Tell<'_>) {
        let Some(mut open) = self.open.remove(&number) else { return };
        let mut attach = open.attach(&mut self.sessions, &mut self.pending, &self.tally, at);
        open.read(at, tell, |reading, tell| {
            reading.request_end(false, &mut attach, tell);
            reading.response_end(false, &mut attach, tell);
        });
        open.listen(at, tell, |socket, tell| socket.finish(tell));
        open.attached(attach, tell);
        std::mem::take(&mut open.tickets).over(&mut self.sessions, at);
        open.count(&self.tally);
        if open.panicked {
            self.tally.panicked();
        }
        self.tally.starved(open.starved);
        let closed = open.closed_first();
        if let Some(till) = &mut open.till {
            till.meter.end(closed, open.unseen.total() == 0, between(open.began, at));
        }
        if let Some(reading) = &open.reading {
            self.tally.opaque(reading.opaque);
            let (dialect, agent) = (reading.asked.dialect.name(), open.till.as_ref().and_then(Till::agent));
            self.tally.call(dialect, reading.model.as_ref(), agent, reading.outcome);
        } else if !open.socket.as_ref().is_some_and(|socket| socket.has_called()) {
            let outcome = match &open.response {
                _ if open.failed => Outcome::None,
                Some(end) if end.is_complete() => Outcome::Complete,
                _ => Outcome::Cut,
            };
            self.tally.call("http", None, None, outcome);
        }
        let aborted = || BodyEnd::Aborted;
        let mut end = End::new(
            open.request.take().unwrap_or_else(aborted),
            open.response.take().unwrap_or_else(aborted),
            between(open.began, at),
        );
        end.unseen = open.unseen;
        let lasted = end.lasted;
        tell(open.notice(at, What::End(end)));
        if let Some(end) = self.sessions.exchange_over(&open.exchange, lasted) {
            tell(session_end(end));
        }
    }

    /// The sessions that are held, the latest first, no more than `limit` of them.
    pub(crate) fn live(&self, now: Instant, limit: usize) -> Vec<Live> {
        self.sessions.live(now, limit)
    }

    /// How many sessions are held.
    pub(crate) fn held(&self) -> usize {
        self.sessions.count()
    }

    /// Time has passed. Whether there is more to do before long.
    pub(crate) fn tick(&mut self, now: Instant, tell: Tell<'_>) -> bool {
        let is_more = self.sessions.expire(now, &mut |end| tell(session_end(end)));
        self.tally.census.hold(self.sessions.lively(), self.sessions.count() - self.sessions.lively());
        is_more
    }

    /// Nothing comes any more: ends whatever is open.
    pub(crate) fn close(&mut self, now: Instant, tell: Tell<'_>) {
        let mut numbers: Vec<u64> = self.open.keys().copied().collect();
        numbers.sort_unstable();
        for number in numbers {
            self.end(number, now, tell);
        }
        self.sessions.close(&mut |end| tell(session_end(end)));
    }

    /// Reading a record of this exchange failed in a way that nobody foresaw: it is not read any more, but ends.
    pub(crate) fn give_up(&mut self, exchange: u64) {
        if let Some(open) = self.open.get_mut(&exchange) {
            open.reading = None;
            if let Some(socket) = &mut open.socket {
                socket.give_up();
            }
        }
    }

    fn system_time(&self, at: Instant) -> SystemTime {
        let (instant, system) = self.clock;
        match at.checked_duration_since(instant) {
            Some(later) => system + later,
            None => system.checked_sub(between(at, instant)).unwrap_or(system),
        }
    }

    /// A UUID of version 7 (RFC 9562 section 5.7): milliseconds, then the number within this run, then the run.
    fn id(&mut self, number: u64, began: SystemTime) -> ExchangeId {
        let since = began.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        self.latest = self.latest.max(u64::try_from(since.as_millis()).unwrap_or(0));
        let millis = u128::from(self.latest & 0xffff_ffff_ffff);
        let (high, low) = (u128::from(number >> 32 & 0xfff), u128::from(number & 0xffff_ffff));
        let run = u128::from(self.settings.run & 0x3fff_ffff);
        ExchangeId::new(millis << 80 | 7 << 76 | high << 64 | 2 << 62 | low << 30 | run)
    }
}

/// A chunk that may be kept for as long as somebody likes: see [`journal::is_copied`].
pub(crate) fn kept(chunk: &Bytes) -> Bytes {
    if journal::is_copied(chunk.len()) { Bytes::copy_from_slice(chunk) } else { chunk.clone() }
}

fn session_end(end: SessionEnd) -> Notice {
    Notice::SessionEnd(Arc::new(end))
}
