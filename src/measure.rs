//! The scribe by itself, for `bench/`: without sockets, queues and threads. Not a part of the library's promises.

use std::fmt;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::{Instant, SystemTime};

use bytes::Bytes;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use http::{Request, Response};
use perimeter_interceptor::{BodyEnd, Interest, Peer};

use crate::config;
use crate::journal::{Record, RequestHead, ResponseHead, What};
use crate::memory::Memory;
use crate::prices::Prices;
use crate::scribe::tally::Tally;
use crate::scribe::{self, Masks};

/// A scribe that goes on from exchange to exchange, as that of a proxy does.
pub struct Scribe {
    scribe: scribe::Scribe,
    exchange: u64,
}

impl fmt::Debug for Scribe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Scribe").field("exchange", &self.exchange).finish_non_exhaustive()
    }
}

impl Default for Scribe {
    #[expect(clippy::expect_used, reason = "a test says that the shipped prices can be read")]
    fn default() -> Self {
        let observe = config::Observe::default();
        let settings = scribe::Settings {
            masks: Masks::new(&[0; 32], &observe.mask),
            upstream: "bench".into(),
            session: config::Session::default(),
            body_limit: 32 * 1024 * 1024,
            run: 0,
            interest: Interest::LLM,
            prices: Arc::new(Prices::load(None).expect("the shipped prices")),
        };
        let memory = Arc::new(Memory::new(256 * 1024 * 1024));
        let clock = (Instant::now(), SystemTime::now());
        Self { scribe: scribe::Scribe::new(settings, memory, Arc::new(Tally::default()), clock), exchange: 0 }
    }
}

impl Scribe {
    /// The name of a session that has had no call.
    pub fn new_session(&self) -> String {
        format!("session {}", self.exchange)
    }

    /// Reads a whole call, heads, chunks and ends, of the session that its client tells. How many notices it told.
    pub fn read(
        &mut self,
        path: &str,
        session: Option<&str>,
        request: &[Bytes],
        response: &[Bytes],
        content_type: &'static str,
    ) -> usize {
        let now = Instant::now();
        let length: usize = request.iter().map(Bytes::len).sum();
        let mut post =
            Request::post(path).header(CONTENT_TYPE, "application/json").header(CONTENT_LENGTH, length);
        if let Some(session) = session {
            post = post.header("x-perimeter-session-id", session);
        }
        let post = post.body(());
        let answer = Response::builder().header(CONTENT_TYPE, content_type).body(());
        let (Ok(post), Ok(answer)) = (post, answer) else { return 0 };
        let client = SocketAddr::from((Ipv4Addr::LOCALHOST, 1));
        let head = RequestHead::Parts(Box::new(post.into_parts().0));
        let mut told = self.ingest(now, What::Request { head, client });
        told += self.body(now, Peer::Client, request);
        told += self.ingest(now, What::Response(ResponseHead::Parts(Box::new(answer.into_parts().0))));
        told += self.body(now, Peer::Upstream, response);
        self.exchange += 1;
        told
    }

    fn body(&mut self, now: Instant, from: Peer, chunks: &[Bytes]) -> usize {
        if chunks.is_empty() {
            return self.ingest(now, What::Closed { from, end: BodyEnd::COMPLETE, unseen: 0 });
        }
        let last = chunks.len().saturating_sub(1);
        let chunk = |(number, bytes): (usize, &Bytes)| {
            self.ingest(now, What::Chunk { from, bytes: bytes.clone(), ends: number == last })
        };
        chunks.iter().enumerate().map(chunk).sum()
    }

    fn ingest(&mut self, now: Instant, what: What) -> usize {
        let mut told = 0;
        self.scribe.ingest(Record::new(self.exchange, now, what), &mut |notice| {
            drop(std::hint::black_box(notice));
            told += 1;
        });
        told
    }
}
