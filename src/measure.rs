//! The scribe by itself, for `bench/`: without sockets, queues and threads. Not a part of the library's promises.

use std::fmt;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use bytes::Bytes;
use http::Request;
use http::header::{AUTHORIZATION, CONTENT_LENGTH, CONTENT_TYPE};
use perimeter_interceptor::{BodyEnd, Interest, Peer};

use crate::config;
use crate::journal::{Data, Record, RequestHead, ResponseHead, What};
use crate::memory::Memory;
use crate::prices::Prices;
use crate::scribe::attaching::{self, Spoken, Who};
use crate::scribe::tally::Tally;
use crate::scribe::{self, Masks};

/// A call, cut as it comes from sockets.
#[derive(Clone, Copy, Debug)]
pub struct Call<'a> {
    /// Its path.
    pub path: &'a str,
    /// The session that its client tells.
    pub session: Option<&'a str>,
    /// Whose key it is made with.
    pub key: Option<&'a str>,
    /// The request's body.
    pub request: &'a [Bytes],
    /// The response's body.
    pub response: &'a [Bytes],
    /// The response's type.
    pub content_type: &'static str,
}

/// What an SDK of OpenAI's writes into each request, besides.
const ASKED: &str = "Host: api.openai.com\r\n\
    Accept-Encoding: gzip, deflate\r\n\
    Connection: keep-alive\r\n\
    Accept: application/json\r\n\
    Content-Type: application/json\r\n\
    User-Agent: OpenAI/Python 2.8.1\r\n\
    X-Stainless-Lang: python\r\n\
    X-Stainless-Package-Version: 2.8.1\r\n\
    X-Stainless-OS: Linux\r\n\
    X-Stainless-Arch: x64\r\n\
    X-Stainless-Runtime: CPython\r\n\
    X-Stainless-Runtime-Version: 3.12.3\r\n";

/// What the API writes into each answer, besides.
const ANSWERED: &str = "Date: Sat, 21 Nov 2026 09:00:00 GMT\r\n\
    Connection: keep-alive\r\n\
    openai-organization: made-up\r\n\
    openai-processing-ms: 312\r\n\
    openai-version: 2020-10-01\r\n\
    x-ratelimit-limit-requests: 10000\r\n\
    x-ratelimit-remaining-requests: 9999\r\n\
    x-request-id: req_0123456789abcdef0123456789abcdef\r\n\
    strict-transport-security: max-age=31536000; includeSubDomains; preload\r\n";

impl Call<'_> {
    /// The head of the request, as it comes from a socket.
    fn asked(&self) -> Bytes {
        let length: usize = self.request.iter().map(Bytes::len).sum();
        let mut head = format!("POST {} HTTP/1.1\r\n{ASKED}Content-Length: {length}\r\n", self.path);
        let session = self.session.map(|session| ("x-perimeter-session-id", session));
        let key = self.key.map(|key| ("Authorization", key));
        for (name, value) in [session, key].into_iter().flatten() {
            head.extend([name, ": ", value, "\r\n"]);
        }
        head.push_str("\r\n");
        head.into()
    }

    /// That of the answer.
    fn answered(&self) -> Bytes {
        format!("HTTP/1.1 200 OK\r\n{ANSWERED}Content-Type: {}\r\n\r\n", self.content_type).into()
    }

    fn head(&self) -> Option<http::request::Parts> {
        let length: usize = self.request.iter().map(Bytes::len).sum();
        let mut post =
            Request::post(self.path).header(CONTENT_TYPE, "application/json").header(CONTENT_LENGTH, length);
        if let Some(session) = self.session {
            post = post.header("x-perimeter-session-id", session);
        }
        if let Some(key) = self.key {
            post = post.header(AUTHORIZATION, key);
        }
        Some(post.body(()).ok()?.into_parts().0)
    }
}

/// How sessions are held: as many at once, or none at all.
fn sessions(most: Option<usize>) -> config::Session {
    let session = config::Session::default();
    config::Session { enabled: most.is_some(), max_sessions: most.unwrap_or(1), ..session }
}

fn memory() -> Arc<Memory> {
    Arc::new(Memory::new(256 * 1024 * 1024))
}

/// A scribe that goes on from exchange to exchange, as that of a proxy does.
pub struct Scribe {
    scribe: scribe::Scribe,
    exchange: u64,
    /// How much later it is than the clock says.
    later: Duration,
}

impl fmt::Debug for Scribe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Scribe").field("exchange", &self.exchange).finish_non_exhaustive()
    }
}

impl Default for Scribe {
    fn default() -> Self {
        Self::with(config::Session::default())
    }
}

impl Scribe {
    /// One that holds so many sessions at once, or gathers no calls into sessions.
    pub fn holding(most: Option<usize>) -> Self {
        Self::with(sessions(most))
    }

    #[expect(clippy::expect_used, reason = "a test says that the shipped prices can be read")]
    fn with(session: config::Session) -> Self {
        let observe = config::Observe::default();
        let settings = scribe::Settings {
            masks: Masks::new(&[0; 32], &observe.mask),
            upstream: "bench".into(),
            session,
            body_limit: 32 * 1024 * 1024,
            stall_threshold: observe.stall_threshold,
            run: 0,
            interest: Interest::LLM,
            prices: Arc::new(Prices::load(None).expect("the shipped prices")),
        };
        let clock = (Instant::now(), SystemTime::now());
        let scribe = scribe::Scribe::new(settings, memory(), Arc::new(Tally::default()), clock);
        Self { scribe, exchange: 0, later: Duration::ZERO }
    }

    /// The name of a session that has had no call.
    pub fn new_session(&self) -> String {
        format!("session {}", self.exchange)
    }

    /// How many sessions are held.
    pub fn held(&self) -> usize {
        self.scribe.held()
    }

    /// From now on it is so much later.
    pub fn pass(&mut self, time: Duration) {
        self.later += time;
    }

    /// Lets the scribe look at the time. How many notices it told.
    pub fn tick(&mut self) -> usize {
        let (now, mut told) = (self.now(), 0);
        self.scribe.tick(now, &mut |notice| {
            drop(std::hint::black_box(notice));
            told += 1;
        });
        told
    }

    /// Reads a whole call, heads, chunks and ends. How many notices it told.
    pub fn read(&mut self, call: &Call<'_>) -> usize {
        let (exchange, told) = self.ask(call);
        told + self.answer(exchange, call)
    }

    /// Reads a call's request: the number of its exchange, and how many notices it told.
    pub fn ask(&mut self, call: &Call<'_>) -> (u64, usize) {
        let (now, exchange) = (self.now(), self.exchange);
        self.exchange += 1;
        let head = RequestHead::Raw(call.asked());
        let client = SocketAddr::from((Ipv4Addr::LOCALHOST, 1));
        let told = self.ingest(exchange, now, What::Request { head, client, span: None });
        (exchange, told + self.body(exchange, now, Peer::Client, call.request))
    }

    /// Reads the answer to it. How many notices it told.
    pub fn answer(&mut self, exchange: u64, call: &Call<'_>) -> usize {
        let now = self.now();
        let told = self.ingest(exchange, now, What::Response(ResponseHead::Raw(call.answered())));
        told + self.body(exchange, now, Peer::Upstream, call.response)
    }

    fn now(&self) -> Instant {
        Instant::now() + self.later
    }

    fn body(&mut self, exchange: u64, now: Instant, from: Peer, chunks: &[Bytes]) -> usize {
        if chunks.is_empty() {
            return self.ingest(
                exchange,
                now,
                What::Closed { from, end: BodyEnd::COMPLETE, unseen: 0, asked: None },
            );
        }
        let last = chunks.len().saturating_sub(1);
        let chunk = |(number, bytes): (usize, &Bytes)| {
            let chunk =
                What::Chunk { from, data: Data::Bytes(bytes.clone()), ends: number == last, asked: None };
            self.ingest(exchange, now, chunk)
        };
        chunks.iter().enumerate().map(chunk).sum()
    }

    fn ingest(&mut self, exchange: u64, now: Instant, what: What) -> usize {
        let mut told = 0;
        self.scribe.ingest(Record::new(exchange, now, what), &mut |notice| {
            drop(std::hint::black_box(notice));
            told += 1;
        });
        told
    }
}

/// Giving calls their sessions, without reading anything.
#[derive(Debug)]
pub struct Attaching(attaching::Attaching);

/// A call whose request was read, with the answer to it.
#[derive(Debug)]
pub struct Read {
    who: Who,
    spoken: Spoken,
}

impl Attaching {
    /// With room for so many sessions at once.
    pub fn holding(most: usize) -> Self {
        Self(attaching::Attaching::new(sessions(Some(most)), memory()))
    }

    /// Reads a request that is of exchange `number`, and will have this answer. `None` where it is no call.
    pub fn read(&self, number: u64, call: &Call<'_>, answer: &str) -> Option<Read> {
        let head = call.head()?;
        let head = interceptor_head(head);
        let spoken = self.0.spoken(&head, &call.request.concat(), answer)?;
        Some(Read { who: self.0.who(number, &head), spoken })
    }

    /// Gives a call its session, and notes the answer there. How many of its messages were known.
    pub fn attach(&mut self, read: &Read) -> usize {
        self.0.attach(&read.who, &read.spoken)
    }
}

fn interceptor_head(head: http::request::Parts) -> perimeter_interceptor::RequestHead {
    perimeter_interceptor::RequestHead::new(head.method, head.uri, head.version, head.headers)
}
