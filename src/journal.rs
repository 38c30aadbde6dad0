//! What passes, told in one order for all: the forwarding threads write records, the scribe reads them.
//!
//! Writing never waits and never fails. A record is written before what it tells of goes on its way, so whatever
//! follows from it is written after it.

use std::cell::RefCell;
use std::io;
use std::mem;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use http::{request, response};
use perimeter_interceptor::{BodyEnd, Failure, Interest, Peer, SpanContext};

use crate::memory::Memory;
use crate::pipe::Pipe;
use crate::queue;
use crate::raw_head::RawHead;
use crate::weight;

mod appetite;

pub(crate) use appetite::Appetite;

/// Something that passed.
#[derive(Debug)]
pub(crate) struct Record {
    /// In which exchange of this run.
    pub exchange: u64,
    /// When.
    pub at: Instant,
    /// What.
    pub what: What,
    /// What it counts in the queue, bytes.
    weight: u32,
}

impl Record {
    /// A record that came by no queue.
    pub(crate) fn new(exchange: u64, at: Instant, what: What) -> Self {
        Self { exchange, at, what, weight: 0 }
    }

    /// What it counts in the queue, bytes.
    pub(crate) fn weight(&self) -> usize {
        self.weight as usize
    }
}

/// What passed.
#[derive(Debug)]
pub(crate) enum What {
    /// An exchange began.
    Request {
        /// As the client sent it, credentials and all.
        head: RequestHead,
        /// The client's end of the connection.
        client: SocketAddr,
        /// The span that the forwarded request names.
        span: Option<SpanContext>,
    },
    /// A response began.
    Response(ResponseHead),
    /// Bytes follow that are not HTTP.
    Upgraded(Arc<str>),
    /// No provider answered.
    Failed(Box<Failure>),
    /// A part of a body.
    Chunk {
        /// Whose.
        from: Peer,
        /// The part.
        data: Data,
        /// Whether the body ends with it, whole and without trailers.
        ends: bool,
        /// When it was first asked for in vain; not, where it was there when it was asked for, or nobody measures.
        asked: Option<Instant>,
    },
    /// A lane is over.
    Closed {
        /// Whose.
        from: Peer,
        /// How.
        end: BodyEnd,
        /// How many bytes of it were not told, its last ones.
        unseen: u64,
        /// When more of it was first asked for in vain.
        asked: Option<Instant>,
    },
}

/// A part of a body, as cheaply as it can be had.
#[derive(Debug)]
pub(crate) enum Data {
    Bytes(Bytes),
    /// Where the system put it.
    Piped(Pipe),
}

impl Data {
    /// How many bytes it is.
    pub(crate) fn len(&self) -> usize {
        match self {
            Self::Bytes(bytes) => bytes.len(),
            Self::Piped(pipe) => pipe.holds(),
        }
    }

    /// Its bytes, which may have to be fetched.
    ///
    /// # Errors
    /// As reading from a pipe.
    pub(crate) fn into_bytes(self) -> io::Result<Bytes> {
        match self {
            Self::Bytes(bytes) => Ok(bytes),
            Self::Piped(pipe) => pipe.into_bytes().map(Bytes::from),
        }
    }
}

/// A request's head, as cheaply as it can be had.
#[derive(Debug)]
pub(crate) enum RequestHead {
    /// As it came.
    Raw(Bytes),
    /// As hyper read it.
    Parts(Box<request::Parts>),
}

impl RequestHead {
    /// The bytes of `raw`, or else what was made of them.
    pub(crate) fn of(raw: Option<&RawHead>, parts: &request::Parts) -> Self {
        match raw {
            Some(raw) => Self::Raw(copied(raw.bytes())),
            None => Self::Parts(Box::new(parts.clone())),
        }
    }
}

/// A response's head, as cheaply as it can be had.
#[derive(Debug)]
pub(crate) enum ResponseHead {
    /// As it came.
    Raw(Bytes),
    /// As it was made.
    Parts(Box<response::Parts>),
}

impl ResponseHead {
    /// The bytes of `raw`, or else what was made of them.
    pub(crate) fn of(raw: Option<&RawHead>, parts: &response::Parts) -> Self {
        match raw {
            Some(raw) => Self::Raw(copied(raw.bytes())),
            None => Self::Parts(Box::new(parts.clone())),
        }
    }
}

/// What a record weighs besides what it holds: its place in a list that doubles when it grows.
const RECORD: usize = 2 * mem::size_of::<Record>();

/// What a head weighs besides its text: the ends of its exchange, which must arrive, are paid for here.
const HEAD: usize = 1024;

/// A shorter chunk is copied: a clone keeps the whole buffer that it was cut from, and keeps hyper from using that
/// buffer again.
const COPIED: usize = 16 * 1024;

/// The writing end of the journal.
#[derive(Clone, Debug)]
pub(crate) struct Journal(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    queue: queue::Sender<Record>,
    losses: Arc<Losses>,
    appetite: Appetite,
    stopped: AtomicBool,
}

/// What was lost on the way to the scribe.
#[derive(Debug, Default)]
pub(crate) struct Losses {
    /// The exchanges so far, those that were lost too.
    exchanges: AtomicU64,
    /// Exchanges of which nothing was told.
    pub refused: AtomicU64,
    /// Bytes that were not told.
    pub unseen: AtomicU64,
}

/// The reading end.
pub(crate) type Reader = queue::Receiver<Record>;

/// Wakes it.
pub(crate) type Nudge = queue::Nudge<Record>;

/// Makes a journal that holds at most `capacity` bytes, which also count as `memory`, and tells only of the bodies in
/// `appetite`.
pub(crate) fn journal(capacity: usize, memory: Arc<Memory>, appetite: Appetite) -> (Journal, Reader) {
    let (queue, reader) = queue::bounded(capacity, memory);
    (
        Journal(Arc::new(Inner { queue, losses: Arc::default(), appetite, stopped: AtomicBool::new(false) })),
        reader,
    )
}

/// Both lanes of an exchange that is told.
#[derive(Debug)]
pub(crate) struct Opened {
    /// What the client says.
    pub client: Lane,
    /// What the upstream says, or we in its place.
    pub upstream: Lane,
}

impl Journal {
    /// Tells that an exchange began. `None` where there is no room for it: then nothing of it will be told.
    pub(crate) fn open(
        &self,
        head: RequestHead,
        client: SocketAddr,
        span: Option<SpanContext>,
        at: Instant,
    ) -> Option<Opened> {
        let text = match &head {
            RequestHead::Raw(raw) => raw.len(),
            RequestHead::Parts(parts) => weight::uri(&parts.uri) + weight::headers(&parts.headers),
        };
        let Inner { losses, appetite, .. } = &*self.0;
        let reads = appetite::reads(&self.0, &head);
        let exchange = losses.exchanges.fetch_add(1, Relaxed);
        let what = What::Request { head, client, span };
        if !self.offer(exchange, at, what, text + HEAD) {
            losses.refused.fetch_add(1, Relaxed);
            return None;
        }
        let lane = |from, chunks| Lane {
            journal: self.clone(),
            exchange,
            from,
            tells: appetite.wants(chunks, reads.call),
            tells_upgraded: appetite.wants(Interest::UPGRADED_CHUNKS, reads.socket),
            is_measured: reads.call && from == Peer::Upstream,
            asked: None,
            unseen: 0,
            open: true,
        };
        Some(Opened {
            client: lane(Peer::Client, Interest::REQUEST_CHUNKS),
            upstream: lane(Peer::Upstream, Interest::RESPONSE_CHUNKS),
        })
    }

    /// What is still open is cut off by the proxy itself, and by nobody else.
    pub(crate) fn stop(&self) {
        self.0.stopped.store(true, Relaxed);
    }

    /// What was lost so far.
    pub(crate) fn losses(&self) -> &Arc<Losses> {
        &self.0.losses
    }

    /// How many bytes wait.
    pub(crate) fn weight(&self) -> &Arc<AtomicUsize> {
        self.0.queue.weight()
    }

    fn offer(&self, exchange: u64, at: Instant, what: What, weight: usize) -> bool {
        let weight = weight + RECORD;
        let record = Record { exchange, at, what, weight: clamp(weight) };
        self.0.queue.offer(record, weight)
    }

    fn push(&self, exchange: u64, at: Instant, what: What, weight: usize) {
        let weight = weight + RECORD;
        self.0.queue.push(Record { exchange, at, what, weight: clamp(weight) }, weight);
    }
}

/// No record is near that large: a chunk is what one read brought.
fn clamp(weight: usize) -> u32 {
    u32::try_from(weight).unwrap_or(u32::MAX)
}

/// What is copied is put together in blocks of this size: memory that one thread takes and another gives back is slow
/// to take.
const BLOCK: usize = 64 * 1024;

thread_local! {
    static COPIES: RefCell<BytesMut> = RefCell::new(BytesMut::new());
}

/// Whether a chunk of `len` bytes is copied. It shares its memory with others, then, and who keeps it must copy it
/// again.
pub(crate) fn is_copied(len: usize) -> bool {
    len < COPIED
}

/// A copy that shares its memory with those before and after it. It is for the way to the scribe and no further: who
/// keeps it keeps a whole block.
fn copied(bytes: &[u8]) -> Bytes {
    COPIES.with_borrow_mut(|block| {
        if block.capacity() < bytes.len() {
            block.reserve(BLOCK.max(bytes.len()));
        }
        block.extend_from_slice(bytes);
        block.split().freeze()
    })
}

/// What one peer says in one exchange. Dropped before its end, it tells that it was aborted, so the end is told
/// whatever happens.
#[derive(Debug)]
pub(crate) struct Lane {
    journal: Journal,
    exchange: u64,
    from: Peer,
    /// Whether somebody wants to hear of the body.
    tells: bool,
    /// Whether somebody wants to hear of the protocol behind an upgrade.
    tells_upgraded: bool,
    /// Whether it matters who waits for whom.
    is_measured: bool,
    /// When the next part was first asked for in vain.
    asked: Option<Instant>,
    /// Once something was refused nothing more is told: what was told is a prefix.
    unseen: u64,
    open: bool,
}

impl Lane {
    /// The response's head.
    pub(crate) fn head(&self, head: ResponseHead, at: Instant) {
        let text = match &head {
            ResponseHead::Raw(raw) => raw.len(),
            ResponseHead::Parts(parts) => weight::headers(&parts.headers),
        };
        self.journal.push(self.exchange, at, What::Response(head), text);
    }

    /// What follows on the connection is this protocol.
    pub(crate) fn upgraded(&self, protocol: &str) {
        self.journal.push(self.exchange, Instant::now(), What::Upgraded(protocol.into()), protocol.len());
    }

    /// No provider answered.
    pub(crate) fn failed(&self, failure: Failure) {
        let weight = failure.message.len();
        self.journal.push(self.exchange, Instant::now(), What::Failed(Box::new(failure)), weight);
    }

    /// More of the body is wanted, and not there yet.
    pub(crate) fn waits(&mut self) {
        if self.is_measured && self.asked.is_none() {
            self.asked = Some(Instant::now());
        }
    }

    /// A part of the body, and whether the body ends with it.
    pub(crate) fn chunk(&mut self, chunk: &Bytes, ends: bool) {
        if !self.open {
            return;
        }
        if self.tells && !chunk.is_empty() && self.unseen == 0 {
            let bytes = if is_copied(chunk.len()) { copied(chunk) } else { chunk.clone() };
            let asked = self.asked.take();
            if self.offer(Data::Bytes(bytes), chunk.len(), ends, asked) {
                self.open = !ends;
                return;
            }
        }
        self.passed(chunk.len(), ends);
    }

    /// A part of the body, in a pipe, and whether the body ends with it. Where it cannot be told like that nothing
    /// becomes of it, and this returns false: it must be told by [`Lane::chunk`].
    pub(crate) fn piped(&mut self, part: &Pipe, ends: bool) -> bool {
        let len = part.holds();
        if !self.open {
            return true;
        }
        if self.tells && self.unseen == 0 {
            let Some(copy) = Some(part).filter(|_| !is_copied(len)).and_then(Pipe::copy) else {
                return false;
            };
            if self.offer(Data::Piped(copy), len, ends, None) {
                self.open = !ends;
                return true;
            }
        }
        self.passed(len, ends);
        true
    }

    /// So many bytes were not told, and whether the body ends with them.
    fn passed(&mut self, len: usize, ends: bool) {
        if self.tells {
            self.missed(len);
        }
        if ends {
            self.close(BodyEnd::COMPLETE);
        }
    }

    /// Bytes of another protocol.
    pub(crate) fn bytes(&mut self, bytes: &[u8]) {
        if self.open
            && self.tells_upgraded
            && !bytes.is_empty()
            && (self.unseen > 0 || !self.offer(Data::Bytes(copied(bytes)), bytes.len(), false, None))
        {
            self.missed(bytes.len());
        }
    }

    fn offer(&self, data: Data, len: usize, ends: bool, asked: Option<Instant>) -> bool {
        let weight = weight::chunk(len);
        let what = What::Chunk { from: self.from, data, ends, asked };
        self.journal.offer(self.exchange, Instant::now(), what, weight)
    }

    fn missed(&mut self, bytes: usize) {
        let bytes = bytes as u64;
        self.unseen += bytes;
        self.journal.0.losses.unseen.fetch_add(bytes, Relaxed);
    }

    /// The lane is over. The first to say how is right.
    pub(crate) fn close(&mut self, end: BodyEnd) {
        if mem::replace(&mut self.open, false) {
            let weight = weight::end_of(&end);
            let what = What::Closed { from: self.from, end, unseen: self.unseen, asked: self.asked };
            self.journal.push(self.exchange, Instant::now(), what, weight);
        }
    }
}

impl Drop for Lane {
    fn drop(&mut self) {
        if self.open {
            let stopped = self.journal.0.stopped.load(Relaxed);
            self.close(if stopped { BodyEnd::Stopped } else { BodyEnd::Aborted });
        }
    }
}

/// The time from `earlier` to `later`.
pub(crate) fn between(earlier: Instant, later: Instant) -> Duration {
    later.saturating_duration_since(earlier)
}
