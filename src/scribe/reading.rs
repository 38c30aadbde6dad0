//! One exchange being read.

use std::fmt;
use std::mem;
use std::sync::Arc;

use bytes::Bytes;
use http::header::{CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue};
use perimeter_interceptor::{Call, CallId, LlmEvent, RequestHead, ResponseHead, Session};

use super::attach::Attach;
use super::decode::Decoder;
use super::sessions::Known;
use crate::dialect::{Asked, Form, Histories, News, Prompt, Reader, Seed};
use crate::memory::Memory;
use crate::pipe::Pipe;
use crate::weight;

mod body;

use body::Body;

/// Events of a response that came before its request had ended wait for it, up to so many. After that the request
/// counts as cut, and the rest of the answer is told when it is whole.
const WAITING: usize = 256;

/// A shorter request is read sooner than compared with those before it, bytes. Those of tests are of both kinds.
pub(super) const SHORT: usize = if cfg!(test) { 128 } else { 4 * 1024 };

/// How a call ended, for the metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Outcome {
    /// The model finished.
    Complete,
    /// The provider answered with an error.
    Error,
    /// The answer broke off, or was not seen to its end.
    Cut,
    /// There was no answer.
    None,
}

impl Outcome {
    /// Notes what this event says of it.
    pub(super) fn note(&mut self, event: &LlmEvent) {
        match event {
            LlmEvent::Completion(_) => *self = Self::Complete,
            LlmEvent::Failure(_) => *self = Self::Error,
            LlmEvent::Cut(_) => *self = Self::Cut,
            _ => {}
        }
    }

    /// The word for it.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Complete => "complete",
            Self::Error => "error",
            Self::Cut => "cut",
            Self::None => "none",
        }
    }
}

/// A call being read: its request, and then the answer.
pub(super) struct Reading {
    pub(super) asked: Asked,
    /// The request's content type.
    content_type: Option<HeaderValue>,
    id: CallId,
    request: Request,
    response: Option<Response>,
    waiting: Vec<LlmEvent>,
    /// Whether a piece of the answer was not told: then no more are, only the whole of it.
    quiet: bool,
    /// Whether there was no memory for the answer.
    starved: bool,
    pub(super) model: Option<Arc<str>>,
    pub(super) outcome: Outcome,
    /// How many of its bodies have a content coding that nobody here knows.
    pub(super) opaque: u64,
    /// What it holds of `memory`, bytes.
    held: usize,
    memory: Arc<Memory>,
    limit: usize,
}

enum Request {
    Coming(Box<Body>),
    Told,
}

struct Response {
    decoder: Option<Decoder>,
    /// Gone when the end was read, or nothing more can be.
    reader: Option<Reader>,
    /// Whether its content coding is one that nobody here knows.
    opaque: bool,
    /// What kind of error it is, where a header says so.
    kind: Option<Arc<str>>,
}

/// Amazon names an error here, and in a body of its own only what went wrong. A colon and a URL may follow.
fn kind_of_error(head: &ResponseHead) -> Option<Arc<str>> {
    let kind = head.headers.get("x-amzn-errortype")?.to_str().ok()?.split(':').next()?.trim();
    (!kind.is_empty()).then(|| kind.into())
}

/// An event with this kind, where it is an error that does not say its own.
fn of_kind(kind: Option<&Arc<str>>, mut event: LlmEvent) -> LlmEvent {
    if let LlmEvent::Failure(failure) = &mut event
        && failure.kind.is_none()
        && let Some(kind) = kind
    {
        Arc::make_mut(failure).kind = Some(kind.clone());
    }
    event
}

/// Is told what is read.
pub(super) type Tell<'a> = &'a mut dyn FnMut(LlmEvent);

impl Reading {
    /// Begins to read the call of this request, if it is one.
    pub(super) fn begin(head: &RequestHead, memory: &Arc<Memory>, limit: usize) -> Option<Self> {
        let asked = Asked::of(head)?;
        let length = head.headers.get(CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse().ok());
        let expected = usize::min(length.unwrap_or(0), EARLY);
        let content_type = head.headers.get(CONTENT_TYPE).cloned();
        let form = asked.form(content_type.as_ref().map(HeaderValue::as_bytes));
        let decoder = decoder(&head.headers, limit);
        let opaque = u64::from(decoder.is_err());
        let body = Body::new(decoder, form, expected);
        Some(Self {
            asked,
            content_type,
            id: CallId::default(),
            request: Request::Coming(body.into()),
            response: None,
            waiting: Vec::new(),
            quiet: false,
            starved: false,
            model: None,
            outcome: Outcome::None,
            opaque,
            held: 0,
            memory: memory.clone(),
            limit,
        })
    }

    /// A part of the request's body came.
    ///
    /// Gives back how many bytes of it there was no memory for. What came before is kept.
    pub(super) fn request_chunk(&mut self, chunk: &Bytes) -> u64 {
        self.request_part(chunk.len(), |body, limit| {
            body.add(chunk, limit);
            true
        })
    }

    /// The same of a part that is in a pipe.
    pub(super) fn request_piped(&mut self, part: Pipe) -> u64 {
        self.request_part(part.holds(), |body, limit| {
            let added = body.add_piped(part, limit);
            added.inspect_err(|error| tracing::warn!(%error, "a part of a body is lost")).is_ok()
        })
    }

    /// So many bytes of the request's body are lost.
    pub(super) fn request_lost(&mut self, len: usize) -> u64 {
        self.request_part(len, |_, _| false)
    }

    /// Adds a part of the request's body, if it can be added.
    fn request_part(&mut self, len: usize, add: impl FnOnce(&mut Body, usize) -> bool) -> u64 {
        let Request::Coming(body) = &mut self.request else { return 0 };
        if body.is_starved() {
            return len as u64;
        }
        let before = body.len();
        if add(body, self.limit) && self.account() {
            return 0;
        }
        if let Request::Coming(body) = &mut self.request {
            body.starve(before);
        }
        self.account();
        len as u64
    }

    /// The request has ended, whole or not.
    pub(super) fn request_end(&mut self, whole: bool, attach: &mut Attach<'_>, tell: Tell<'_>) {
        let Request::Coming(body) = mem::replace(&mut self.request, Request::Told) else { return };
        let (body, form, whole) = body.finish(whole);
        let news = match form {
            Some(form) => News::all(&self.asked, attach.seed(), self.asked.read_form(form, whole)),
            None => self.read_request(attach, &body, whole),
        };
        let again = |seed: &Seed| self.read_all(seed, &body, whole);
        let prefixes = Arc::clone(&news.prefixes);
        let (session, news, known) = attach.session(&self.asked, self.id, news, again);
        let history = attach.wants_history.then(|| news.history());
        let mut call = call_of(&self.asked, self.id, news, known, body, session);
        (call.history, call.prefixes) = (history.unwrap_or_default(), prefixes);
        call.partial |= !whole;
        self.model.clone_from(&call.model);
        tell(LlmEvent::Call(Arc::new(call)));
        for event in mem::take(&mut self.waiting) {
            tell(event);
        }
        self.account();
    }

    /// Reads the request, beside what is remembered of those before it.
    fn read_request(&self, attach: &mut Attach<'_>, body: &Bytes, whole: bool) -> News {
        let is_worth_it = whole && body.len() >= SHORT;
        let shelf = if is_worth_it { attach.shelf(&self.asked, body) } else { None };
        let Some(shelf) = shelf else {
            return self.read_all(attach.seed(), body, whole);
        };
        let mut histories = attach.histories(shelf);
        let news = self.read_with(&mut histories, body, whole);
        attach.remember(shelf, histories);
        news
    }

    fn read_with(&self, histories: &mut Histories, body: &Bytes, whole: bool) -> News {
        let content_type = self.content_type.as_ref().map(HeaderValue::as_bytes);
        let news = match self.asked.counted() {
            None => histories.read(&self.asked, self.id, content_type, body, whole),
            Some(conversation) => histories
                .read(&conversation, self.id, content_type, body, whole)
                .counting(self.asked.read_request(self.id, content_type, body, whole)),
        };
        news.seen(whole)
    }

    fn read_all(&self, seed: &Seed, body: &Bytes, whole: bool) -> News {
        self.read_with(&mut Histories::forgetting(seed), body, whole)
    }

    /// The response's head came.
    pub(super) fn response_head(&mut self, head: &ResponseHead) {
        let content_type = head.headers.get(CONTENT_TYPE).map(HeaderValue::as_bytes);
        let reader = self.asked.reader(self.id, head.status.as_u16(), Form::of(content_type), self.limit);
        let kind = kind_of_error(head);
        self.response = Some(match decoder(&head.headers, self.limit) {
            Ok(decoder) => Response { decoder, reader: Some(reader), opaque: false, kind },
            Err(Opaque) => Response { decoder: None, reader: Some(reader), opaque: true, kind },
        });
        self.opaque += u64::from(self.response.as_ref().is_some_and(|response| response.opaque));
    }

    /// A part of the response's body came.
    ///
    /// Gives back how many bytes of it there was no memory for: from then on nothing is read.
    pub(super) fn response_chunk(&mut self, chunk: &[u8], attach: &mut Attach<'_>, tell: Tell<'_>) -> u64 {
        if self.starved {
            return chunk.len() as u64;
        }
        let Self { asked, response, request, waiting, quiet, outcome, .. } = self;
        let Some(Response { decoder, reader: Some(reader), opaque: false, kind }) = response else {
            return 0;
        };
        let broken = {
            let mut keep = told_after(request, waiting, quiet, outcome, &mut *tell);
            let mut keep =
                |event| attach.pending.tell(asked.operation, of_kind(kind.as_ref(), event), &mut keep);
            match decoder {
                None => {
                    reader.read(chunk, &mut keep);
                    false
                }
                Some(decoder) => decoder.decode(chunk, &mut |piece| reader.read(piece, &mut keep)).is_err(),
            }
        };
        if self.waiting.len() >= WAITING {
            self.request_end(false, attach, tell);
        }
        self.starved = !self.account();
        if broken || self.starved {
            self.response_end(false, attach, tell);
        }
        if self.starved { chunk.len() as u64 } else { 0 }
    }

    /// The response has ended, whole or not.
    pub(super) fn response_end(&mut self, whole: bool, attach: &mut Attach<'_>, tell: Tell<'_>) {
        let Self { asked, response, request, waiting, quiet, outcome, .. } = self;
        let Some(Response { decoder, reader, opaque, kind }) = response else { return };
        let Some(reader) = reader.take() else { return };
        let decoded = decoder.take().is_none_or(|decoder| decoder.finish().is_ok());
        {
            let mut keep = told_after(request, waiting, quiet, outcome, tell);
            let mut keep =
                |event| attach.pending.tell(asked.operation, of_kind(kind.as_ref(), event), &mut keep);
            reader.finish(whole && decoded && !*opaque, &mut keep);
        }
        self.account();
    }

    /// Brings what is taken of the memory up to date with what is held. False where there is no room for it.
    fn account(&mut self) -> bool {
        let request = match &self.request {
            Request::Coming(body) => body.held(),
            Request::Told => 0,
        };
        let waiting: usize = self.waiting.iter().map(|event| 64 + weight::event_of(event)).sum();
        let model = self.model.as_ref().map_or(0, |model| model.len());
        let holds = model + request + self.response.as_ref().map_or(0, Response::held) + waiting;
        if holds <= self.held {
            self.memory.give_back(self.held - holds);
        } else if !self.memory.take(holds - self.held) {
            return false;
        }
        self.held = holds;
        true
    }
}

/// The call that this is.
pub(super) fn call_of(
    asked: &Asked,
    id: CallId,
    mut news: News,
    known: Known,
    body: Bytes,
    session: Arc<Session>,
) -> Call {
    let turns = news.turns(known.messages, known.lead);
    let News { prompt, tools, .. } = news;
    let Prompt { model, streaming, partial, previous, conversation, .. } = prompt;
    let mut call = Call::new(id, asked.dialect.name(), session);
    call.operation = asked.operation;
    call.vendor = asked.vendor;
    call.model = model;
    call.streaming = streaming;
    call.partial = partial;
    call.previous = previous;
    call.conversation = conversation;
    call.known = known.messages;
    call.news = turns;
    call.tools = tools;
    call.body = body;
    call
}

/// Tells the events of a response once its call has been told.
fn told_after(
    request: &Request,
    waiting: &mut Vec<LlmEvent>,
    quiet: &mut bool,
    outcome: &mut Outcome,
    tell: Tell<'_>,
) -> impl FnMut(LlmEvent) {
    let is_told = matches!(request, Request::Told);
    move |event| {
        outcome.note(&event);
        if matches!(event, LlmEvent::Delta(_)) {
            *quiet |= !is_told && waiting.len() >= WAITING;
            if *quiet {
                return;
            }
        }
        if is_told {
            tell(event);
        } else {
            waiting.push(event);
        }
    }
}

impl fmt::Debug for Reading {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { asked, model, outcome, held, .. } = self;
        write!(f, "Reading {{ {:?}, {model:?}, {outcome:?}, {held} bytes }}", asked.dialect)
    }
}

impl Drop for Reading {
    fn drop(&mut self) {
        self.memory.give_back(self.held);
    }
}

/// So much of a body is made room for before it comes, at most. A length may be a lie.
const EARLY: usize = 1024 * 1024;

impl Response {
    fn held(&self) -> usize {
        self.decoder.as_ref().map_or(0, Decoder::held) + self.reader.as_ref().map_or(0, Reader::held)
    }
}

/// A content encoding that nobody here knows.
struct Opaque;

fn decoder(headers: &HeaderMap, limit: usize) -> Result<Option<Decoder>, Opaque> {
    let encodings = headers.get_all(CONTENT_ENCODING).iter().map(HeaderValue::as_bytes);
    Decoder::of(encodings, limit).map_err(|_| Opaque)
}
