//! Values that must not be seen: keys and tokens.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A secret string. `Debug` and `Serialize` print `***`; only [`Secret::reveal`] tells it.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Wraps `secret`.
    pub fn new(secret: impl Into<String>) -> Self {
        Self(secret.into())
    }

    /// The secret itself, for the one place that sends or compares it.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// A key or token travels in a header: what could not is refused here, with the file's line.
impl<'de> Deserialize<'de> for Secret {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let secret = String::deserialize(deserializer)?;
        if secret.is_empty() {
            return Err(serde::de::Error::custom("a key or token cannot be empty"));
        }
        if !secret.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(serde::de::Error::custom(
                "a key or token holds visible ASCII characters only: no blanks, no line ends",
            ));
        }
        Ok(Self(secret))
    }
}

impl Serialize for Secret {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str("***")
    }
}

/// Whether what stands under this key is a secret, going by the key's name.
pub(super) fn is_secret_name(key: &str) -> bool {
    let key = key.to_ascii_lowercase();
    ["key", "token", "secret", "password", "passwd", "credential", "auth", "cookie"]
        .iter()
        .any(|word| key.contains(word))
}

/// Whether `text` has the looks of a secret, wherever it stands.
pub(super) fn looks_secret(text: &str) -> bool {
    let prefixes = ["sk-", "sk_", "pk-", "Bearer ", "Basic ", "ghp_", "AKIA", "AIza", "eyJ", "xox"];
    prefixes.iter().any(|prefix| text.starts_with(prefix))
        || text.contains('@')
        || is_telling_url(text)
        || is_lost_entry(text)
}

/// Whether `text` is a URL with a place for secrets: a query, or a password whose `@` got lost.
fn is_telling_url(text: &str) -> bool {
    let Some((_, rest)) = text.split_once("://") else { return false };
    let authority = rest.split('/').next().unwrap_or_default();
    // Nothing but digits after its only colon; whatever else is there may be the password.
    let port = authority.split_once(':').map_or("", |(_, port)| port);
    rest.contains(['?', '#'])
        || (!authority.starts_with('[') && !port.bytes().all(|byte| byte.is_ascii_digit()))
}

/// Whether `text` may be an entry whose colon got lost, and so hold a secret: `api_key abc`.
fn is_lost_entry(text: &str) -> bool {
    let mut words = text.split_whitespace();
    words.clone().count() > 1 && words.any(is_secret_name)
}

/// `value` with the values of its secret keys masked, and those of headers: any of them may carry a key.
pub(super) fn masked(value: &serde_json::Value) -> serde_json::Value {
    use serde_json::Value;
    match value {
        Value::Object(map) => {
            let mask = |(key, value): (&String, &Value)| {
                let shown = if let (Value::Object(headers), "headers") = (value, &**key) {
                    headers.keys().map(|name| (name.clone(), Value::from("***"))).collect()
                } else if is_secret_name(key) && !value.is_boolean() && !value.is_null() {
                    Value::from("***")
                } else {
                    masked(value)
                };
                (key.clone(), shown)
            };
            map.iter().map(mask).collect()
        }
        Value::Array(values) => values.iter().map(masked).collect(),
        Value::String(text) if looks_secret(text) => Value::from("***"),
        other => other.clone(),
    }
}
