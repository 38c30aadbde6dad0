//! Giving calls their sessions by itself, without reading anything, for `bench/`.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::{Instant, SystemTime};

use perimeter_interceptor::{Answer, CallId, Completion, Exchange, ExchangeId, LlmEvent, Part, RequestHead};

use super::caller::Caller;
use super::sessions::{Ask, Sessions};
use super::{labels, names};
use crate::config;
use crate::dialect::{Asked, News};
use crate::memory::Memory;

/// The sessions, and nothing that reads.
#[derive(Debug)]
pub(crate) struct Attaching {
    sessions: Sessions,
    config: config::Session,
    now: Instant,
}

/// Who makes a call.
#[derive(Debug)]
pub(crate) struct Who {
    exchange: Exchange,
    caller: Caller,
}

/// A request that was read, and the answer to it.
#[derive(Debug)]
pub(crate) struct Spoken {
    asked: Asked,
    news: News,
    answer: LlmEvent,
}

impl Attaching {
    /// None yet.
    pub(crate) fn new(config: config::Session, memory: Arc<Memory>) -> Self {
        Self { sessions: Sessions::new(&config, memory), config, now: Instant::now() }
    }

    /// Who makes the exchange of this number, with this head.
    pub(crate) fn who(&self, number: u64, head: &RequestHead) -> Who {
        let client = SocketAddr::from((Ipv4Addr::LOCALHOST, 1));
        let id = ExchangeId::new(u128::from(number));
        let mut exchange = Exchange::new(id, SystemTime::UNIX_EPOCH, client, "bench");
        exchange.labels = labels::labels(head, self.config.legacy_headers);
        let mut caller = Caller::of(head, client.ip(), self.sessions.seed());
        caller.names = names::of(&head.headers, &self.config.headers);
        Who { exchange, caller }
    }

    /// Reads a request with this head and body. `None` where it is no call.
    pub(crate) fn spoken(&self, head: &RequestHead, body: &[u8], answer: &str) -> Option<Spoken> {
        let asked = Asked::of(head)?;
        let prompt = asked.read_request(CallId::default(), Some(b"application/json"), body, true);
        let news = News::all(&asked, self.sessions.seed(), prompt);
        let mut said = Completion::new(CallId::default());
        let mut choice = Answer::new(0);
        choice.parts.push(Part::Text(answer.into()));
        said.answers.push(choice);
        Some(Spoken { asked, news, answer: LlmEvent::Completion(Arc::new(said)) })
    }

    /// Gives a call its session, and notes the answer there. How many of its messages were known.
    pub(crate) fn attach(&mut self, who: &Who, spoken: &Spoken) -> usize {
        let ask = Ask::new(&who.exchange, &who.caller, CallId::default(), &spoken.asked, &spoken.news);
        let found = self.sessions.find(self.now, &ask);
        let known = self.sessions.known(&ask, &found);
        let (session, ticket) = self.sessions.attach(self.now, &ask, found, &mut drop);
        self.sessions.heard(self.now, &ticket, &spoken.answer);
        drop(std::hint::black_box(session));
        known.messages
    }
}
