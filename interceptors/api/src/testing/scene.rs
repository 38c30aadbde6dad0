use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri, Version};

use crate::host::What;
use crate::{
    BodyEnd, End, Exchange, ExchangeId, Failure, Labels, Peer, RequestHead, ResponseHead, Unseen, Upgrade,
};

/// One exchange, written down step by step as an interceptor is to be told of it.
///
/// Each method is one notice more, named after its callback; each comes a millisecond after the one before, unless
/// [`after`](Self::after) or [`pace`](Self::pace) says otherwise. A scene that has no end when it is played ends as
/// with [`end`](Self::end).
///
/// ```
/// use perimeter_interceptor::testing::Scene;
/// use perimeter_interceptor::Usage;
///
/// let scene = Scene::post("/v1/chat/completions")
///     .header("content-type", "application/json")
///     .request(r#"{"model":"m","stream":true,"messages":[{"role":"user","content":"Hello"}]}"#)
///     .asks("m", "Hello")
///     .response(200)
///     .header("content-type", "text/event-stream")
///     .response_chunk("data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"Hi\"}}]}\n\n")
///     .says("Hi")
///     .response_chunk("data: [DONE]\n\n")
///     .answers("Hi", Usage::new(9, 1))
///     .end();
/// ```
///
/// What it is told to tell it tells, also what no proxy would ([`assert_legal`](super::assert_legal) says what that
/// is, and [`play`](super::play) refuses it).
///
/// # Panics
/// Where something is not what it should be: a path, a header, a status.
#[derive(Clone, Debug)]
pub struct Scene {
    pub(super) name: String,
    pub(super) exchange: Exchange,
    pub(super) steps: Vec<(Duration, What)>,
    pub(super) talk: super::talk::Talk,
    now: Duration,
    pace: Duration,
    request_end: Option<BodyEnd>,
    quiet: Vec<Peer>,
    unseen: Unseen,
}

impl Scene {
    /// A request with this head.
    pub fn new(head: RequestHead) -> Self {
        let client = SocketAddr::from((Ipv4Addr::LOCALHOST, 50_000));
        let upstream = "https://api.provider.example";
        Self {
            name: format!("{} {}", head.method, head.uri),
            exchange: Exchange::new(ExchangeId::new(0), SystemTime::UNIX_EPOCH, client, upstream),
            steps: vec![(Duration::ZERO, What::RequestHead(Arc::new(head)))],
            talk: super::talk::Talk::default(),
            now: Duration::ZERO,
            pace: Duration::from_millis(1),
            request_end: None,
            quiet: Vec::new(),
            unseen: Unseen::default(),
        }
    }

    /// `GET`, which has no body: its end follows at once.
    pub fn get(path: &str) -> Self {
        Self::of(Method::GET, path).request_end(BodyEnd::COMPLETE)
    }

    /// `POST`. Its body comes with [`request`](Self::request), or in chunks.
    pub fn post(path: &str) -> Self {
        Self::of(Method::POST, path)
    }

    /// Any other method, without headers so far.
    pub fn of(method: Method, path: &str) -> Self {
        let uri = Uri::try_from(path).unwrap_or_else(|error| panic!("the path {path:?}: {error}"));
        Self::new(RequestHead::new(method, uri, Version::HTTP_11, HeaderMap::new()))
    }

    /// Names it in messages; else it is called by its method and path.
    pub fn named(mut self, name: &str) -> Self {
        name.clone_into(&mut self.name);
        self
    }

    /// What the client says of it besides.
    pub fn labels(mut self, labels: Labels) -> Self {
        self.exchange.labels = labels;
        self
    }

    /// One more header of the head that was told last.
    pub fn header(mut self, name: &str, value: impl AsRef<[u8]>) -> Self {
        let name = HeaderName::try_from(name).unwrap_or_else(|error| panic!("the header {name:?}: {error}"));
        let value = HeaderValue::from_bytes(value.as_ref())
            .unwrap_or_else(|error| panic!("the value of {name}: {error}"));
        let headers = self.steps.iter_mut().rev().find_map(|(_, what)| match what {
            What::RequestHead(head) => Some(&mut Arc::make_mut(head).headers),
            What::ResponseHead(head) => Some(&mut Arc::make_mut(head).headers),
            _ => None,
        });
        if let Some(headers) = headers {
            headers.append(name, value);
        }
        self
    }

    /// Lets time pass before what comes next.
    pub fn after(mut self, time: Duration) -> Self {
        self.now += time;
        self
    }

    /// Lets this much time pass before each notice from here on, instead of a millisecond.
    pub fn pace(mut self, time: Duration) -> Self {
        self.pace = time;
        self
    }

    /// The whole body of the request, in one chunk, and its end.
    pub fn request(self, body: impl Into<Bytes>) -> Self {
        self.request_chunk(body).request_end(BodyEnd::COMPLETE)
    }

    /// [`on_request_chunk`](crate::Interceptor::on_request_chunk).
    pub fn request_chunk(mut self, chunk: impl Into<Bytes>) -> Self {
        let chunk = chunk.into();
        if self.is_seen(Peer::Client, &chunk) {
            self.talk.request.extend_from_slice(&chunk);
            self.tell(What::RequestChunk(chunk));
        }
        self
    }

    /// [`on_request_end`](crate::Interceptor::on_request_end).
    pub fn request_end(mut self, end: BodyEnd) -> Self {
        self.request_end = Some(end.clone());
        self.tell(What::RequestEnd(end));
        self
    }

    /// [`on_response_head`](crate::Interceptor::on_response_head), with this status and no headers so far.
    pub fn response(mut self, status: u16) -> Self {
        let status =
            StatusCode::from_u16(status).unwrap_or_else(|error| panic!("the status {status}: {error}"));
        self.tell(What::ResponseHead(Arc::new(ResponseHead::new(
            status,
            Version::HTTP_11,
            HeaderMap::new(),
        ))));
        self
    }

    /// [`on_response_chunk`](crate::Interceptor::on_response_chunk).
    pub fn response_chunk(mut self, chunk: impl Into<Bytes>) -> Self {
        let chunk = chunk.into();
        if self.is_seen(Peer::Upstream, &chunk) {
            self.talk.response.extend_from_slice(&chunk);
            self.tell(What::ResponseChunk(chunk));
        }
        self
    }

    /// [`on_upgrade`](crate::Interceptor::on_upgrade).
    pub fn upgrade(mut self, protocol: &str) -> Self {
        self.tell(What::Upgrade(Arc::new(Upgrade::new(protocol))));
        self
    }

    /// [`on_upgraded_chunk`](crate::Interceptor::on_upgraded_chunk).
    pub fn upgraded_chunk(mut self, from: Peer, chunk: impl Into<Bytes>) -> Self {
        let chunk = chunk.into();
        if self.is_seen(from, &chunk) {
            self.tell(What::UpgradedChunk(from, chunk));
        }
        self
    }

    /// [`on_failure`](crate::Interceptor::on_failure).
    pub fn failure(mut self, code: &str, message: &str) -> Self {
        self.tell(What::Failure(Arc::new(Failure::new(code, message))));
        self
    }

    /// From here on, no chunk of this side is told, as when a queue is full: [`End::unseen`] counts them instead.
    ///
    /// Events are told as they are written down here. After this there will be no more of the model's than a
    /// [`LlmEvent::Cut`](crate::LlmEvent::Cut), or a [`LlmEvent::Call`](crate::LlmEvent::Call) that is partial.
    pub fn loses(mut self, side: Peer) -> Self {
        self.quiet.push(side);
        self
    }

    /// Says at the end that so many bytes more of this side were not told.
    pub fn unseen(mut self, side: Peer, bytes: u64) -> Self {
        self.unseen.add(side, bytes);
        self
    }

    /// [`on_end`](crate::Interceptor::on_end): everything was passed on whole, unless the request's end was told to be
    /// another.
    pub fn end(self) -> Self {
        self.ends(BodyEnd::COMPLETE, BodyEnd::COMPLETE)
    }

    /// The end: the client left.
    pub fn aborted(self) -> Self {
        self.ends(BodyEnd::Failed("the client left".into()), BodyEnd::Aborted)
    }

    /// The end: the upstream broke off in its response.
    pub fn broken_off(self, why: &str) -> Self {
        self.ends(BodyEnd::Aborted, BodyEnd::Failed(why.into()))
    }

    /// The end. The request's is `request`, unless another one was told before.
    pub fn ends(mut self, request: BodyEnd, response: BodyEnd) -> Self {
        let request = match self.request_end.clone() {
            Some(told) if !self.is_upgraded() => told,
            Some(_) => request,
            None => {
                self = self.request_end(request.clone());
                request
            }
        };
        let mut end = End::new(request, response, self.now);
        end.unseen = self.unseen;
        self.tell(What::End(end));
        self
    }

    /// What becomes of it when the client leaves after the first `notices` of it, head included.
    pub fn cut_short(&self, notices: usize) -> Self {
        let mut cut = self.clone();
        cut.steps.truncate(notices.max(1));
        cut.now = cut.steps.last().map(|(elapsed, _)| *elapsed).unwrap_or_default();
        cut.request_end = cut.steps.iter().find_map(|(_, what)| match what {
            What::RequestEnd(end) => Some(end.clone()),
            _ => None,
        });
        if cut.has_ended() {
            cut
        } else {
            cut.named(&format!("{}, cut after {notices}", self.name)).aborted()
        }
    }

    /// How many notices it is.
    pub(super) fn len(&self) -> usize {
        self.steps.len()
    }

    pub(super) fn has_ended(&self) -> bool {
        matches!(self.steps.last(), Some((_, What::End(_))))
    }

    pub(super) fn head(&self) -> Option<&RequestHead> {
        self.steps.iter().find_map(|(_, what)| match what {
            What::RequestHead(head) => Some(&**head),
            _ => None,
        })
    }

    pub(super) fn tell(&mut self, what: What) {
        if !self.steps.is_empty() {
            self.now += self.pace;
        }
        self.steps.push((self.now, what));
    }

    /// Whether this side is still told; if not, counts what it says.
    fn is_seen(&mut self, side: Peer, chunk: &Bytes) -> bool {
        let seen = !self.quiet.contains(&side);
        if !seen {
            self.unseen.add(side, chunk.len() as u64);
        }
        seen
    }

    fn is_upgraded(&self) -> bool {
        self.steps.iter().any(|(_, what)| matches!(what, What::Upgrade(_)))
    }
}
