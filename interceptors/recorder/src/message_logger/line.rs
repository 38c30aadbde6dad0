//! What a line looks like.

use std::borrow::Cow;
use std::time::Duration;

use perimeter_interceptor::{CallId, Cx, ExchangeId, Session};
use serde::{Serialize, Serializer};
use serde_json::value::RawValue;

use super::Open;
use super::read::Read;
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

#[derive(Serialize)]
pub(super) struct Start<'a> {
    timestamp: String,
    #[serde(serialize_with = "in_words")]
    exchange_id: ExchangeId,
    session_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    session: Option<Place<'a>>,
    direction: Direction,
}

#[derive(Default, Serialize)]
pub(super) struct Rest<'a> {
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
}

/// About as long is what stands before a body, and behind it, bytes.
const AROUND: usize = 512;

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
        let (mut json, rest) = self.around();
        if let Some((_, body)) = &self.body
            && serde_json::to_writer(&mut json, body).is_err()
        {
            json.extend_from_slice(b"null");
        }
        json.extend_from_slice(&rest);
        line::of_json(json)
    }

    /// What stands before the body, and behind it. Without a body they are one object.
    pub(super) fn around(&self) -> (Vec<u8>, Vec<u8>) {
        let [mut start, mut rest] = [(); 2].map(|()| Vec::with_capacity(AROUND));
        // Neither can fail: all keys are names.
        let _ = serde_json::to_writer(&mut start, &self.start);
        let _ = serde_json::to_writer(&mut rest, &self.rest);
        // One object goes on in the other.
        start.pop();
        if let Some(brace) = rest.first_mut() {
            *brace = b',';
        }
        if let Some((name, _)) = &self.body {
            start.extend_from_slice(b",\"");
            start.extend_from_slice(name.as_bytes());
            start.extend_from_slice(b"\":");
        }
        (start, rest)
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
