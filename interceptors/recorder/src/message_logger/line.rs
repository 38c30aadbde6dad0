//! What a line looks like.

use std::borrow::Cow;
use std::time::Duration;

use perimeter_interceptor::{CallId, Cx, ExchangeId, Session};
use serde::Serialize;
use serde_json::value::RawValue;

use super::Open;
use super::read::Read;
use super::write::Members;
use crate::{line, time};

/// A line: what stands before a body, the body, and what stands behind it. The order of their fields is the order in the
/// file.
pub(super) struct Line<'a> {
    pub(super) start: Start<'a>,
    /// The body, and its name.
    pub(super) body: Option<(&'static str, Logged<'a>)>,
    pub(super) rest: Rest<'a>,
    pub(super) call: CallId,
}

pub(super) struct Start<'a> {
    timestamp: String,
    exchange_id: ExchangeId,
    session_id: Option<&'a str>,
    session: Option<Place<'a>>,
    direction: Direction,
}

#[derive(Default)]
pub(super) struct Rest<'a> {
    pub(super) error_type: Option<&'a str>,
    pub(super) error_message: Option<&'a str>,
    pub(super) error: Option<ApiError<'a>>,
    pub(super) model: Option<&'a str>,
    pub(super) provider: Option<&'a str>,
    pub(super) metadata: Option<Metadata<'a>>,
}

/// Longer than what stands around a body is with most, bytes.
const AROUND: usize = 1 << 10;

/// Where a call stands in its session, and who makes it.
pub(super) struct Place<'a> {
    /// Which call of the session.
    call: u32,
    relation: &'static str,
    /// The call that it follows, or that it belongs to.
    parent: Option<u32>,
    thread: u32,
    agent: &'a str,
    /// The agent's name for people, where there is one.
    agent_name: Option<&'a str>,
    /// The program, where it is known.
    client: Option<&'a str>,
}

impl Start<'_> {
    fn write(&self, members: &mut Members<'_>) {
        members.text("timestamp", &self.timestamp);
        members.text("exchange_id", &self.exchange_id.to_string());
        members.text_or_null("session_id", self.session_id);
        if let Some(place) = &self.session {
            members.object("session", |members| place.write(members));
        }
        members.text("direction", self.direction.as_str());
    }
}

impl Rest<'_> {
    fn write(&self, members: &mut Members<'_>) {
        members.some_text("error_type", self.error_type);
        members.some_text("error_message", self.error_message);
        if let Some(error) = &self.error {
            members.object("error", |members| {
                members.text_or_null("type", error.kind);
                members.text("message", error.message);
            });
        }
        members.text_or_null("model", self.model);
        members.text_or_null("provider", self.provider);
        if let Some(metadata) = &self.metadata {
            members.object("metadata", |members| metadata.write(members));
        }
    }
}

impl<'a> Place<'a> {
    fn of(session: &'a Session) -> Self {
        Self {
            call: session.call,
            relation: session.relation.as_str(),
            parent: session.parent,
            thread: session.thread,
            agent: session.agent.id(),
            agent_name: session.agent.name.as_deref(),
            client: session.client.as_ref().map(|client| &*client.name),
        }
    }

    fn write(&self, members: &mut Members<'_>) {
        members.some("call", Some(self.call));
        members.text("relation", self.relation);
        members.some("parent", self.parent);
        members.some("thread", Some(self.thread));
        members.text("agent", self.agent);
        members.some_text("agent_name", self.agent_name);
        members.some_text("client", self.client);
    }
}

#[derive(Clone, Copy)]
pub(super) enum Direction {
    Request,
    Response,
    Error,
}

impl Direction {
    fn as_str(self) -> &'static str {
        match self {
            Self::Request => "request",
            Self::Response => "response",
            Self::Error => "error",
        }
    }
}

/// The provider's error.
pub(super) struct ApiError<'a> {
    pub(super) kind: Option<&'a str>,
    pub(super) message: &'a str,
}

#[derive(Default)]
pub(super) struct Metadata<'a> {
    pub(super) path: Option<&'a str>,
    pub(super) method: Option<&'a str>,
    pub(super) is_streaming: Option<bool>,
    /// What is asked for, where it is no chat.
    pub(super) operation: Option<&'a str>,
    pub(super) partial: Option<bool>,
    pub(super) status_code: Option<u16>,
    pub(super) duration_ms: Option<f64>,
    pub(super) complete: Option<bool>,
    pub(super) ended_by: Option<&'a str>,
    pub(super) unseen_bytes: Option<u64>,
    /// Which call of its exchange, where it is not the first: a socket carries many.
    pub(super) call: Option<u32>,
}

impl Metadata<'_> {
    pub(super) fn lasting(duration: Duration) -> Self {
        Self { duration_ms: Some(time::milliseconds(duration)), ..Self::default() }
    }

    fn write(&self, members: &mut Members<'_>) {
        members.some_text("path", self.path);
        members.some_text("method", self.method);
        members.some("is_streaming", self.is_streaming);
        members.some_text("operation", self.operation);
        members.some("partial", self.partial);
        members.some("status_code", self.status_code);
        members.some("duration_ms", self.duration_ms);
        members.some("complete", self.complete);
        members.some_text("ended_by", self.ended_by);
        members.some("unseen_bytes", self.unseen_bytes);
        members.some("call", self.call);
    }
}

impl<'a> Line<'a> {
    /// A line about what was told `elapsed` after the exchange began.
    pub(super) fn of(cx: Cx<'a>, elapsed: Duration, direction: Direction) -> Self {
        let start = Start {
            timestamp: time::timestamp(time::after(cx.exchange.began, elapsed)),
            exchange_id: cx.exchange.id,
            session_id: cx.exchange.labels.session.as_deref(),
            session: None,
            direction,
        };
        Self { start, body: None, rest: Rest::default(), call: CallId::default() }
    }

    /// That it is about this call.
    pub(super) fn in_call(mut self, open: &'a Open) -> Self {
        self.start.session_id = Some(&open.session.id);
        self.start.session = Some(Place::of(&open.session));
        self.rest.model = open.model.as_deref();
        self.rest.provider = open.dialect.split('_').next();
        self.call = open.call;
        self
    }

    /// That it has this body.
    pub(super) fn with(mut self, name: &'static str, body: Logged<'a>) -> Self {
        self.body = Some((name, body));
        self
    }

    /// Its JSON, in one line.
    pub(super) fn to_text(&self) -> String {
        let (mut json, half) = self.around();
        if let Some((_, body)) = &self.body {
            let rest = json.split_off(half);
            if serde_json::to_writer(&mut json, body).is_err() {
                json.extend_from_slice(b"null");
            }
            json.extend_from_slice(&rest);
        }
        line::of_json(json)
    }

    /// What stands before the body, and behind it, and where the body belongs. Without a body they are one object.
    pub(super) fn around(&self) -> (Vec<u8>, usize) {
        let mut json = Vec::with_capacity(AROUND);
        let mut members = Members(&mut json);
        self.start.write(&mut members);
        if let Some((name, _)) = &self.body {
            members.name(name);
        }
        let half = members.0.len();
        // One object goes on in the other.
        self.rest.write(&mut members);
        if let Some(comma) = json.first_mut() {
            *comma = b'{';
        }
        json.push(b'}');
        (json, half)
    }
}

/// A body as it stands in a line.
#[derive(Serialize)]
#[serde(untagged)]
pub(super) enum Logged<'a> {
    Json(Cow<'a, RawValue>),
    Raw {
        raw: Cow<'a, str>,
    },
    Null,
    /// JSON that has been read, and is written by itself.
    #[serde(skip)]
    Read(Read<'a>),
}

/// A body, which may be JSON.
pub(super) enum Body<'a> {
    Json(Cow<'a, RawValue>),
    Other(&'a [u8]),
}

impl<'a> Body<'a> {
    /// What these bytes are. They are read once, and nothing is made of them.
    pub(super) fn of(bytes: &'a [u8]) -> Self {
        match serde_json::from_slice::<&RawValue>(bytes) {
            Ok(json) => Self::Json(Cow::Borrowed(json)),
            Err(_) => Self::Other(bytes),
        }
    }

    /// The same with something taken out of its JSON.
    pub(super) fn without(self, take_out: fn(&RawValue) -> Option<Box<RawValue>>) -> Self {
        match self {
            Self::Json(json) => match take_out(&json) {
                Some(rest) => Self::Json(Cow::Owned(rest)),
                None => Self::Json(json),
            },
            other @ Self::Other(_) => other,
        }
    }

    /// Never half of it.
    pub(super) fn or_null(self) -> Logged<'a> {
        match self {
            Self::Json(json) => Logged::Json(json),
            Self::Other(_) => Logged::Null,
        }
    }

    /// As text, where it is no JSON.
    pub(super) fn or_raw(self) -> Logged<'a> {
        match self {
            Self::Json(json) => Logged::Json(json),
            Self::Other([]) => Logged::Null,
            Self::Other(bytes) => Logged::Raw { raw: String::from_utf8_lossy(bytes) },
        }
    }
}
