//! Calls on a WebSocket: what its messages say of themselves, whatever they mean.

use std::borrow::Cow;

use bytes::Bytes;
use http::Method;
use perimeter_interceptor::{Operation, RequestHead};
use serde::de::MapAccess;
use serde_json::value::RawValue;

use super::asked::{decoded, is_azure};
use super::json::{self, Number, Str, Take};
use super::{Asked, Dialect};

/// Whether a request, where it becomes a WebSocket, carries calls, by its method and path (without the query).
pub(crate) fn is_socket(method: &Method, path: &str) -> bool {
    dialect(method, path).is_some()
}

impl Asked {
    /// What the calls on a WebSocket have in common that begins with this request, if it carries any.
    pub(crate) fn of_socket(head: &RequestHead) -> Option<Self> {
        let dialect = dialect(&head.method, head.uri.path())?;
        let query = head.uri.query().unwrap_or_default();
        let mut asked = Self::new(&head.method, dialect, Operation::Chat);
        asked.has_body = true;
        asked.streaming = true;
        if is_azure(head.uri.query(), &head.headers) {
            asked.vendor = "azure";
        }
        asked.model = query.split('&').find_map(|field| {
            let (name, value) = field.split_once('=')?;
            matches!(name, "model" | "deployment").then(|| decoded(value))
        });
        Some(asked)
    }
}

fn dialect(method: &Method, path: &str) -> Option<Dialect> {
    let path = path.strip_suffix('/').unwrap_or(path);
    match path.rsplit('/').next() {
        Some("responses") if *method == Method::GET => Some(Dialect::OpenAiResponses),
        Some("realtime") if *method == Method::GET => Some(Dialect::OpenAiRealtime),
        _ => None,
    }
}

/// What a message says of itself, on the way either way.
#[derive(Debug, Default)]
pub(crate) struct Heading<'m> {
    /// Its type.
    pub(crate) kind: Option<Cow<'m, str>>,
    /// Which of several conversations on the socket it belongs to, where it says so.
    pub(crate) lane: Option<Cow<'m, str>>,
    /// The response that it belongs to, where it says so.
    pub(crate) response: Option<Cow<'m, str>>,
    /// The response that this one follows.
    pub(crate) previous: Option<Cow<'m, str>>,
    /// The model that a session has.
    pub(crate) model: Option<Cow<'m, str>>,
    /// Of an error, the status that an HTTP response would have had.
    pub(crate) status: Option<u64>,
}

impl<'m> Heading<'m> {
    /// What `message` says of itself, as far as it can be read.
    pub(crate) fn of(message: &'m [u8]) -> Self {
        let mut heading = Self::default();
        json::read(message, &mut heading);
        heading
    }

    /// Its type; empty where it has none.
    pub(crate) fn kind(&self) -> &str {
        self.kind.as_deref().unwrap_or_default()
    }

    /// Whether it asks for an answer.
    pub(crate) fn asks(&self) -> bool {
        matches!(self.kind(), "response.create" | "response.append")
    }

    /// Whether an answer ends with it.
    pub(crate) fn ends(&self) -> bool {
        matches!(
            self.kind(),
            "response.completed"
                | "response.incomplete"
                | "response.failed"
                | "response.cancelled"
                | "response.done"
                | "error"
        )
    }
}

impl<'de> Take<'de> for &mut Heading<'de> {
    fn object<A: MapAccess<'de>>(self, mut object: A) -> Result<bool, A::Error> {
        while let Some(key) = json::key(&mut object)? {
            match &*key {
                "type" => json::value(&mut object, Str(&mut self.kind))?,
                "stream_id" => json::value(&mut object, Str(&mut self.lane))?,
                "response_id" => json::value(&mut object, Str(&mut self.response))?,
                "previous_response_id" => json::value(&mut object, Str(&mut self.previous))?,
                "status" | "status_code" => json::value(&mut object, Number(&mut self.status))?,
                "response" => json::value(&mut object, InResponse(&mut *self))?,
                "session" => json::value(&mut object, InSession(&mut self.model))?,
                _ => json::skip(&mut object)?,
            };
        }
        Ok(true)
    }
}

/// What stands in a session.
struct InSession<'s, 'm>(&'s mut Option<Cow<'m, str>>);

impl<'de> Take<'de> for InSession<'_, 'de> {
    fn object<A: MapAccess<'de>>(self, mut object: A) -> Result<bool, A::Error> {
        while let Some(key) = json::key(&mut object)? {
            match &*key {
                "model" => json::value(&mut object, Str(self.0))?,
                _ => json::skip(&mut object)?,
            };
        }
        Ok(true)
    }
}

/// What stands in the response itself.
struct InResponse<'s, 'm>(&'s mut Heading<'m>);

impl<'de> Take<'de> for InResponse<'_, 'de> {
    fn object<A: MapAccess<'de>>(self, mut object: A) -> Result<bool, A::Error> {
        while let Some(key) = json::key(&mut object)? {
            match &*key {
                "id" => json::value(&mut object, Str(&mut self.0.response))?,
                "previous_response_id" => json::value(&mut object, Str(&mut self.0.previous))?,
                _ => json::skip(&mut object)?,
            };
        }
        Ok(true)
    }
}

/// The request that a message makes, as it would be the body of one over HTTP: the message itself, or what it holds
/// as `response`.
pub(crate) fn request_of(message: &Bytes) -> Bytes {
    let mut wrapped = Wrapped(None);
    json::read(message, &mut wrapped);
    match wrapped.0.filter(|raw| raw.get().starts_with('{')) {
        Some(raw) => message.slice_ref(raw.get().as_bytes()),
        None => message.clone(),
    }
}

struct Wrapped<'de>(Option<&'de RawValue>);

impl<'de> Take<'de> for &mut Wrapped<'de> {
    fn object<A: MapAccess<'de>>(self, mut object: A) -> Result<bool, A::Error> {
        while let Some(key) = json::key(&mut object)? {
            match &*key {
                "response" => self.0 = json::raw(&mut object)?,
                _ => {
                    json::skip(&mut object)?;
                }
            }
        }
        Ok(true)
    }
}
