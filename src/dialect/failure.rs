//! Errors that a provider tells, in all the shapes that they come in.

use std::borrow::Cow;

use bytes::Bytes;
use perimeter_interceptor::{ApiFailure, CallId};
use serde::de::{MapAccess, SeqAccess};

use super::json::{self, Str, Take};

/// How much of a text that is no JSON is its message, in characters.
const EXCERPT: usize = 500;

/// Where other errors have their type, OpenAI's `rate_limit_exceeded` has what there was too much of.
const LIMITS: [&str; 2] = ["tokens", "requests"];

/// An error as it was found: `{"type", "status", "code", "message"}`, or just a text.
#[derive(Debug, Default)]
pub(super) struct Told<'de> {
    /// Whether there is one.
    pub(super) found: bool,
    kind: Option<Cow<'de, str>>,
    /// Google's word for it.
    status: Option<Cow<'de, str>>,
    code: Option<Cow<'de, str>>,
    message: Option<Cow<'de, str>>,
}

impl<'de> Told<'de> {
    /// What is told of it, where it stood in `body`.
    pub(super) fn failure(self, call: CallId, status: u16, body: &[u8]) -> ApiFailure {
        let message = match self.message {
            Some(message) if !message.is_empty() => message,
            _ => Cow::Owned(excerpt(body)),
        };
        let mut failure = ApiFailure::new(call, status, message);
        let is_limit = |kind: &Cow<'_, str>| LIMITS.contains(&&**kind);
        let kind = self.kind.filter(|kind| self.code.is_none() || !is_limit(kind));
        failure.kind = kind.or(self.status).or(self.code).filter(|kind| !kind.is_empty()).map(Into::into);
        failure
    }

    /// What is told of it, where it stood in the `data` of an event.
    pub(super) fn in_event(self, call: CallId, status: u16, data: &[u8]) -> ApiFailure {
        with_body(self.failure(call, status, data), data)
    }
}

/// The error that all of an event's `data` is.
pub(super) fn of_event(call: CallId, status: u16, data: &[u8]) -> ApiFailure {
    with_body(of_body(call, status, data), data)
}

fn with_body(mut failure: ApiFailure, data: &[u8]) -> ApiFailure {
    failure.body = Bytes::copy_from_slice(data);
    failure
}

/// The error that all of `body` is.
pub(super) fn of_body(call: CallId, status: u16, body: &[u8]) -> ApiFailure {
    let mut told = Told::default();
    if json::read(body, Envelope(&mut told)) == json::Read::Broken && !told.found {
        told = Told::default();
    }
    told.failure(call, status, body)
}

fn excerpt(body: &[u8]) -> String {
    // A character takes at most four bytes.
    let head = body.get(..4 * EXCERPT).unwrap_or(body);
    String::from_utf8_lossy(head).trim().chars().take(EXCERPT).collect()
}

impl<'de> Take<'de> for &mut Told<'de> {
    fn text(self, text: Cow<'de, str>) -> bool {
        // Some write an empty one where there is none.
        self.found = !text.is_empty();
        self.message = Some(text);
        true
    }

    fn object<A: MapAccess<'de>>(self, mut object: A) -> Result<bool, A::Error> {
        while let Some(key) = json::key(&mut object)? {
            self.found = true;
            match &*key {
                "type" => json::value(&mut object, Str(&mut self.kind))?,
                "status" => json::value(&mut object, Str(&mut self.status))?,
                "code" => json::value(&mut object, Code(&mut self.code))?,
                "message" => json::value(&mut object, Str(&mut self.message))?,
                _ => json::skip(&mut object)?,
            };
        }
        Ok(true)
    }
}

/// A body around an error, or a body that itself is one (as vLLM and FastAPI write them).
struct Envelope<'s, 'de>(&'s mut Told<'de>);

impl<'de> Take<'de> for Envelope<'_, 'de> {
    fn text(self, text: Cow<'de, str>) -> bool {
        self.0.text(text)
    }

    /// Google's compatible endpoint puts an error in a list.
    fn list<A: SeqAccess<'de>>(self, mut list: A) -> Result<bool, A::Error> {
        while json::element(&mut list, Element(&mut *self.0))?.is_some() {}
        Ok(true)
    }

    fn object<A: MapAccess<'de>>(self, object: A) -> Result<bool, A::Error> {
        Element(self.0).object(object)
    }
}

struct Element<'s, 'de>(&'s mut Told<'de>);

impl<'de> Take<'de> for Element<'_, 'de> {
    fn object<A: MapAccess<'de>>(self, mut object: A) -> Result<bool, A::Error> {
        let told = self.0;
        while let Some(key) = json::key(&mut object)? {
            match &*key {
                "error" => {
                    // What an outer `type` said is about the envelope.
                    *told = Told::default();
                    json::value(&mut object, &mut *told)?
                }
                "type" if !told.found => json::value(&mut object, Str(&mut told.kind))?,
                "code" if !told.found => json::value(&mut object, Code(&mut told.code))?,
                "message" | "detail" if !told.found => json::value(&mut object, Str(&mut told.message))?,
                _ => json::skip(&mut object)?,
            };
        }
        Ok(true)
    }
}

/// Takes a code: a word, or a number as a word.
struct Code<'s, 'de>(&'s mut Option<Cow<'de, str>>);

impl<'de> Take<'de> for Code<'_, 'de> {
    fn text(self, text: Cow<'de, str>) -> bool {
        *self.0 = Some(text);
        true
    }

    fn number(self, number: u64) -> bool {
        *self.0 = Some(Cow::Owned(number.to_string()));
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_that_was_reached_is_no_type_of_error() {
        let kind = |error: &str| of_body(CallId(0), 429, format!("{{\"error\":{error}}}").as_bytes()).kind;
        let limited =
            r#"{"message":"Slow down","type":"requests","param":null,"code":"rate_limit_exceeded"}"#;
        assert_eq!(kind(limited).as_deref(), Some("rate_limit_exceeded"));
        assert_eq!(kind(r#"{"message":"Slow down","type":"requests"}"#).as_deref(), Some("requests"));
        assert_eq!(
            kind(r#"{"type":"insufficient_quota","code":"x"}"#).as_deref(),
            Some("insufficient_quota")
        );
    }

    #[test]
    fn a_text_that_is_no_json_is_the_message_in_part() {
        let failure = of_body(CallId(0), 502, format!(" {}", "é".repeat(900)).as_bytes());
        assert_eq!(&*failure.message, "é".repeat(500));
        assert_eq!(failure.kind, None);
    }
}
