//! `server.client_keys`: by which a client shows that the proxy's owner has let it in.

use http::header::{AUTHORIZATION, HeaderMap, HeaderName, HeaderValue, SEC_WEBSOCKET_PROTOCOL};

use crate::caller::is_same_secret;
use crate::config::{Config, Secret};

const X_API_KEY: HeaderName = HeaderName::from_static("x-api-key");
const API_KEY: HeaderName = HeaderName::from_static("api-key");
const X_GOOG_API_KEY: HeaderName = HeaderName::from_static("x-goog-api-key");
const CLIENT_KEY: HeaderName = HeaderName::from_static("x-perimeter-key");

/// The forms in which providers take a credential.
const FORMS: [HeaderName; 4] = [AUTHORIZATION, X_API_KEY, API_KEY, X_GOOG_API_KEY];

/// The keys.
#[derive(Clone, Debug)]
pub(super) struct ClientKeys(Vec<Secret>);

/// A key that a client has shown.
pub(super) struct Shown<'a> {
    /// Which one.
    pub(super) key: &'a Secret,
    /// In which header in place of a provider's credential, as SDKs have no other place to put a key; none where it
    /// came in `x-perimeter-key`.
    pub(super) form: Option<HeaderName>,
}

impl ClientKeys {
    pub(super) fn of(config: &Config) -> Self {
        Self(config.server.client_keys.clone())
    }

    #[cfg(test)]
    pub(super) fn new(keys: Vec<Secret>) -> Self {
        Self(keys)
    }

    /// Whether there are none.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The key that a client with these headers shows. One that also brings a credential of its own wants to use that
    /// one.
    pub(super) fn shown(&self, headers: &HeaderMap) -> Option<Shown<'_>> {
        if self.is_empty() {
            return None;
        }
        let apart = headers.get(CLIENT_KEY).and_then(|value| self.known(value.as_bytes()));
        if let Some(key) = apart
            && !brings_credential(headers)
        {
            return Some(Shown { key, form: None });
        }
        FORMS.into_iter().find_map(|form| {
            let mut values = headers.get_all(&form).iter();
            let key = values.next().and_then(|value| self.known(token(value)))?;
            values.next().is_none().then_some(Shown { key, form: Some(form) })
        })
    }

    /// The key that a client with these headers shows, whatever else it brings.
    pub(super) fn shown_anywhere(&self, headers: &HeaderMap) -> Option<&Secret> {
        let apart = headers.get(CLIENT_KEY).and_then(|value| self.known(value.as_bytes()));
        apart.or_else(|| self.shown(headers).map(|shown| shown.key))
    }

    fn known(&self, shown: &[u8]) -> Option<&Secret> {
        // All of them, and each in constant time: how long it takes says nothing.
        self.0.iter().fold(None, |found, key| {
            if is_same_secret(key.reveal().as_bytes(), shown) { Some(key) } else { found }
        })
    }
}

fn token(value: &HeaderValue) -> &[u8] {
    let bytes = value.as_bytes();
    match bytes.split_at_checked(7) {
        Some((scheme, rest)) if scheme.eq_ignore_ascii_case(b"bearer ") => rest.trim_ascii(),
        _ => bytes,
    }
}

/// Whether they hold a provider's credential, in whatever form.
pub(super) fn brings_credential(headers: &HeaderMap) -> bool {
    FORMS.iter().any(|form| headers.contains_key(form))
        || headers.get_all(SEC_WEBSOCKET_PROTOCOL).iter().any(|value| {
            value.as_bytes().windows(23).any(|window| window.eq_ignore_ascii_case(b"openai-insecure-api-key"))
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_credential_of_any_form_is_one() {
        for (name, value, is_one) in [
            ("authorization", "Bearer sk", true),
            ("x-api-key", "sk", true),
            ("api-key", "sk", true),
            ("x-goog-api-key", "sk", true),
            ("sec-websocket-protocol", "realtime, OpenAI-Insecure-API-Key.sk", true),
            ("sec-websocket-protocol", "realtime", false),
            ("proxy-authorization", "Basic x", false),
            ("x-perimeter-key", "k", false),
        ] {
            let headers = [(HeaderName::from_static(name), HeaderValue::from_static(value))];
            assert_eq!(brings_credential(&headers.into_iter().collect()), is_one, "{name}: {value}");
        }
    }

    #[test]
    fn a_token_is_what_follows_its_scheme() {
        for (value, shown) in [
            ("Bearer k", "k"),
            ("bEARER   k ", "k"),
            ("k", "k"),
            ("Bearer", "Bearer"),
            ("Basic a2V5", "Basic a2V5"),
            ("Bearer ", ""),
        ] {
            assert_eq!(token(&HeaderValue::from_static(value)), shown.as_bytes(), "{value:?}");
        }
    }

    #[test]
    fn a_client_shows_its_key_apart_or_in_place_of_a_credential() {
        let keys = ClientKeys(vec![Secret::new("one"), Secret::new("two")]);
        for (fields, shown) in [
            (&[][..], None),
            (&[("x-perimeter-key", "two")], Some(None)),
            (&[("x-perimeter-key", "three")], None),
            (&[("x-perimeter-key", "on")], None),
            (&[("authorization", "Bearer one")], Some(Some("authorization"))),
            (&[("x-api-key", "two")], Some(Some("x-api-key"))),
            // A credential of its own: the client wants to use that one.
            (&[("x-perimeter-key", "one"), ("x-api-key", "sk-own")], None),
            (&[("x-api-key", "one"), ("x-api-key", "sk-own")], None),
        ] {
            let headers: HeaderMap = fields
                .iter()
                .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)))
                .fold(HeaderMap::new(), |mut headers, (name, value)| {
                    headers.append(name, value);
                    headers
                });
            let found = keys.shown(&headers).map(|found| found.form);
            assert_eq!(found.as_ref().map(|form| form.as_ref().map(HeaderName::as_str)), shown, "{fields:?}");
        }
    }
}
