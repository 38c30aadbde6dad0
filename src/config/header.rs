//! Names of headers, and which of them hold credentials.

use http::HeaderName;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serializer};

/// Headers whose values are secrets.
pub(crate) const SECRETS: [&str; 10] = [
    "authorization",
    "proxy-authorization",
    "x-api-key",
    "api-key",
    "x-goog-api-key",
    "ocp-apim-subscription-key",
    "x-amz-security-token",
    "cookie",
    "set-cookie",
    "x-perimeter-key",
];

/// A header with one of these words in its name holds a credential, more often than not.
const SECRET_WORDS: [&str; 9] =
    ["key", "apikey", "token", "secret", "password", "credential", "auth", "jwt", "cookie"];

/// Headers that are the same in each request of a client, or others in each: they would join all sessions, or none.
const NO_SESSION: [&str; 30] = [
    "accept",
    "accept-encoding",
    "accept-language",
    "anthropic-beta",
    "anthropic-version",
    "connection",
    "content-encoding",
    "content-length",
    "content-type",
    "date",
    "expect",
    "forwarded",
    "host",
    "idempotency-key",
    "openai-beta",
    "openai-organization",
    "openai-project",
    "origin",
    "referer",
    "te",
    "traceparent",
    "tracestate",
    "transfer-encoding",
    "upgrade",
    "user-agent",
    "via",
    "x-client-request-id",
    "x-forwarded-for",
    "x-real-ip",
    "x-request-id",
];

/// More names than these are a mistake, and each costs a look at every call.
const MOST_SESSIONS: usize = 16;

/// Each name is checked at its own place.
pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    let names = Vec::<Name>::deserialize(deserializer)?;
    Ok(names.into_iter().map(|Name(name)| name).collect())
}

struct Name(String);

impl<'de> Deserialize<'de> for Name {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let name = String::deserialize(deserializer)?;
        match HeaderName::from_bytes(name.as_bytes()) {
            Ok(_) => Ok(Self(name)),
            Err(_) => Err(D::Error::custom("expected the name of a header, such as x-my-key")),
        }
    }
}

/// Headers that name sessions.
pub(super) fn deserialize_sessions<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Vec<HeaderName>, D::Error> {
    let names = Vec::<SessionHeader>::deserialize(deserializer)?;
    if names.len() > MOST_SESSIONS {
        return Err(D::Error::custom(format!("expected at most {MOST_SESSIONS} names of headers")));
    }
    Ok(names.into_iter().map(|SessionHeader(name)| name).collect())
}

struct SessionHeader(HeaderName);

impl<'de> Deserialize<'de> for SessionHeader {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let name = String::deserialize(deserializer)?;
        let name = HeaderName::from_bytes(name.as_bytes())
            .map_err(|_| D::Error::custom("expected the name of a header, such as x-my-session"))?;
        match objection(name.as_str()) {
            None => Ok(Self(name)),
            Some(objection) => Err(D::Error::custom(objection)),
        }
    }
}

/// Why the header of this name, in lower case, names no session.
fn objection(name: &str) -> Option<&'static str> {
    if SECRETS.contains(&name) || name.split(['-', '_']).any(|word| SECRET_WORDS.contains(&word)) {
        Some(
            "expected a header that names the session; this one holds a credential, which would be kept as a name",
        )
    } else if name.starts_with("x-perimeter-") || name.starts_with("x-cylestio-") {
        Some("expected a header of your own; what this one means is fixed")
    } else if NO_SESSION.contains(&name) {
        Some("expected a header that is the same in each request of a session, and another in other sessions")
    } else {
        None
    }
}

pub(super) fn serialize<S: Serializer>(names: &[HeaderName], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(names.iter().map(HeaderName::as_str))
}
