//! What a line looks like.

use std::borrow::Cow;
use std::time::Duration;

use perimeter_interceptor::{CallId, Cx, ExchangeId, Session};
use serde::{Serialize, Serializer};
use serde_json::value::RawValue;

use super::Open;
use crate::{line, time};

/// A line. The order of its fields is the order in the file.
#[derive(Serialize)]
pub(super) struct Line<'a> {
    pub(super) timestamp: String,
    #[serde(serialize_with = "in_words")]
    pub(super) exchange_id: ExchangeId,
    pub(super) session_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) session: Option<Place<'a>>,
    pub(super) direction: Direction,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) request: Option<Logged<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) response: Option<Logged<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) error_type: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) error_message: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) error: Option<ApiError<'a>>,
    pub(super) model: Option<&'a str>,
    pub(super) provider: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) metadata: Option<Metadata<'a>>,
    #[serde(skip)]
    pub(super) call: CallId,
}

/// Where a call stands in its session, and who makes it.
#[derive(Serialize)]
pub(super) struct Place<'a> {
    /// Which call of the session.
    call: u32,
    relation: &'static str,
    /// The call that it follows, or that it belongs to.
    #[serde(skip_serializing_if = "Option::is_none")]
    parent: Option<u32>,
    thread: u32,
    agent: &'a str,
    /// The agent's name for people, where there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    agent_name: Option<&'a str>,
    /// The program, where it is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    client: Option<&'a str>,
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
}

#[derive(Clone, Copy, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Direction {
    Request,
    Response,
    Error,
}

/// The provider's error.
#[derive(Serialize)]
pub(super) struct ApiError<'a> {
    #[serde(rename = "type")]
    pub(super) kind: Option<&'a str>,
    pub(super) message: &'a str,
}

#[derive(Default, Serialize)]
pub(super) struct Metadata<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) path: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) method: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) is_streaming: Option<bool>,
    /// What is asked for, where it is no chat.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) operation: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) partial: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) status_code: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) duration_ms: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) complete: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) ended_by: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) unseen_bytes: Option<u64>,
    /// Which call of its exchange, where it is not the first: a socket carries many.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) call: Option<u32>,
}

impl Metadata<'_> {
    pub(super) fn lasting(duration: Duration) -> Self {
        Self { duration_ms: Some(time::milliseconds(duration)), ..Self::default() }
    }
}

impl<'a> Line<'a> {
    /// A line about what was told `elapsed` after the exchange began.
    pub(super) fn of(cx: Cx<'a>, elapsed: Duration, direction: Direction) -> Self {
        Self {
            timestamp: time::timestamp(time::after(cx.exchange.began, elapsed)),
            exchange_id: cx.exchange.id,
            session_id: cx.exchange.labels.session.as_deref(),
            session: None,
            direction,
            request: None,
            response: None,
            error_type: None,
            error_message: None,
            error: None,
            model: None,
            provider: None,
            metadata: None,
            call: CallId::default(),
        }
    }

    /// That it is about this call.
    pub(super) fn in_call(mut self, open: &'a Open) -> Self {
        self.session_id = Some(&open.session.id);
        self.session = Some(Place::of(&open.session));
        self.model = open.model.as_deref();
        self.provider = open.dialect.split('_').next();
        self.call = open.call;
        self
    }

    /// Its JSON, in one line.
    pub(super) fn to_text(&self) -> String {
        line::of(self)
    }
}

fn in_words<S: Serializer>(id: &ExchangeId, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(id)
}

/// A body as it stands in a line.
#[derive(Serialize)]
#[serde(untagged)]
pub(super) enum Logged<'a> {
    Json(Cow<'a, RawValue>),
    Raw { raw: Cow<'a, str> },
    Null,
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

    pub(super) fn is_none(&self) -> bool {
        matches!(self, Self::Other(_))
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
