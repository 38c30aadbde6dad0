//! A configured key is money, and any web page can send requests to loopback. This is where it is decided whether a
//! request may spend it.

use std::net::SocketAddr;

use base64::prelude::{BASE64_STANDARD, Engine as _};
use http::header::{AUTHORIZATION, HOST, HeaderMap, HeaderName, HeaderValue, SEC_WEBSOCKET_PROTOCOL};
use http::request::Parts;
use percent_encoding::percent_decode_str;

use crate::api::Api;
use crate::caller::{is_from_foreign_page, is_our_host, is_same_secret};
use crate::config::{Config, Secret};

const X_API_KEY: HeaderName = HeaderName::from_static("x-api-key");
const API_KEY: HeaderName = HeaderName::from_static("api-key");
const X_GOOG_API_KEY: HeaderName = HeaderName::from_static("x-goog-api-key");
const CLIENT_KEY: HeaderName = HeaderName::from_static("x-perimeter-key");

/// The forms in which providers take a credential.
const FORMS: [HeaderName; 4] = [AUTHORIZATION, X_API_KEY, API_KEY, X_GOOG_API_KEY];

/// The configured key, and for whom it is.
#[derive(Clone, Debug)]
pub(crate) struct Credential {
    /// What `Authorization` says.
    authorization: HeaderValue,
    /// The key by itself, for APIs that have a header for it; none where it is not a key.
    key: Option<HeaderValue>,
    client_keys: Vec<Secret>,
    bound_beyond_loopback: bool,
    allow_open: bool,
}

impl Credential {
    /// The credential that `config` has for clients which bring none: `llm.api_key`, else the user information of
    /// `llm.base_url`.
    ///
    /// # Errors
    /// Where the key holds what no header value may.
    pub(crate) fn of(config: &Config) -> Result<Option<Self>, http::header::InvalidHeaderValue> {
        let (authorization, key) = if let Some(key) = &config.llm.api_key {
            (format!("Bearer {}", key.reveal()), Some(key.reveal()))
        } else if let Some(user) = config.llm.base_url.user_info() {
            let user: Vec<u8> = percent_decode_str(user.reveal()).collect();
            (format!("Basic {}", BASE64_STANDARD.encode(user)), None)
        } else {
            return Ok(None);
        };
        Ok(Some(Self {
            authorization: sensitive(&authorization)?,
            key: key.map(sensitive).transpose()?,
            client_keys: config.server.client_keys.clone(),
            bound_beyond_loopback: !config.server.host.is_loopback(),
            allow_open: config.server.allow_open,
        }))
    }

    /// Adds the credential to a request of `api` that came without one and may use it. To be called while the client's
    /// own `Host` still stands in its headers; `local` is our end of its connection.
    pub(super) fn add(&self, parts: &mut Parts, api: Api, local: SocketAddr) {
        // The target's own host stands above the header (RFC 9112 section 3.2.2).
        let calls_us_by_name =
            parts.uri.authority().is_none_or(|name| is_our_host(name.as_str().as_bytes(), local))
                && parts.headers.get(HOST).is_none_or(|host| is_our_host(host.as_bytes(), local));
        let brings_key_in_query = api == Api::Gemini && has_key(parts.uri.query());
        let headers = &mut parts.headers;
        let shown = self.shown_key(headers);
        if shown.is_none() && (brings_credential(headers) || brings_key_in_query) {
            return;
        }
        if is_from_foreign_page(headers, local) {
            return self.kept("the request comes from a web page that is not ours");
        }
        let is_known = shown.is_some();
        if self.bound_beyond_loopback && !is_known && !self.allow_open {
            return self.kept("the client shows none of server.client_keys");
        }
        // A client that shows its key is no rebound name in somebody's browser, whatever it calls us.
        if !is_known && !calls_us_by_name {
            return self.kept("the Host header is not one of ours");
        }
        let (name, value) = self.header(api);
        if let Some(Shown::As(form)) = shown {
            // In its place: the client's key is addressed to us, and is taken off like everything that is.
            if form != name {
                *headers = headers
                    .iter()
                    .filter(|(name, _)| **name != form)
                    .map(|(name, value)| (name.clone(), value.clone()))
                    .collect();
            }
        }
        headers.insert(name, value.clone());
    }

    /// Where and how `api` takes it.
    fn header(&self, api: Api) -> (HeaderName, &HeaderValue) {
        match (api, &self.key) {
            (Api::OpenAi, _) | (_, None) => (AUTHORIZATION, &self.authorization),
            (Api::Azure, Some(key)) => (API_KEY, key),
            (Api::Anthropic, Some(key)) => (X_API_KEY, key),
            (Api::Gemini, Some(key)) => (X_GOOG_API_KEY, key),
        }
    }

    fn kept(&self, why: &'static str) {
        tracing::warn!(why, "a request came without a credential and does not get the configured key");
    }

    fn shown_key(&self, headers: &HeaderMap) -> Option<Shown> {
        if self.client_keys.is_empty() {
            return None;
        }
        if headers.get(CLIENT_KEY).is_some_and(|value| self.is_client_key(value.as_bytes()))
            && !brings_credential(headers)
        {
            return Some(Shown::Apart);
        }
        FORMS
            .into_iter()
            .find(|form| {
                let mut values = headers.get_all(form).iter();
                values.next().is_some_and(|value| self.is_client_key(token(value))) && values.next().is_none()
            })
            .map(Shown::As)
    }

    fn is_client_key(&self, shown: &[u8]) -> bool {
        // All of them, and each in constant time: how long it takes says nothing.
        self.client_keys
            .iter()
            .fold(false, |found, key| found | is_same_secret(key.reveal().as_bytes(), shown))
    }
}

/// How a client showed one of `server.client_keys`.
enum Shown {
    /// In `x-perimeter-key`.
    Apart,
    /// As its provider credential, in this header: SDKs have no other place to put a key.
    As(HeaderName),
}

fn token(value: &HeaderValue) -> &[u8] {
    let bytes = value.as_bytes();
    match bytes.split_at_checked(7) {
        Some((scheme, rest)) if scheme.eq_ignore_ascii_case(b"bearer ") => rest.trim_ascii(),
        _ => bytes,
    }
}

/// Gemini's clients may write their key into the URL.
fn has_key(query: Option<&str>) -> bool {
    query.is_some_and(|query| query.split('&').any(|field| field.starts_with("key=")))
}

fn sensitive(value: &str) -> Result<HeaderValue, http::header::InvalidHeaderValue> {
    let mut value = HeaderValue::from_str(value)?;
    value.set_sensitive(true);
    Ok(value)
}

fn brings_credential(headers: &HeaderMap) -> bool {
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
        let credential = Credential {
            authorization: HeaderValue::from_static("Bearer sk"),
            key: Some(HeaderValue::from_static("sk")),
            client_keys: vec![Secret::new("one"), Secret::new("two")],
            bound_beyond_loopback: true,
            allow_open: false,
        };
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
            let found = credential.shown_key(&headers).map(|found| match found {
                Shown::Apart => None,
                Shown::As(form) => Some(form),
            });
            assert_eq!(found.as_ref().map(|form| form.as_ref().map(HeaderName::as_str)), shown, "{fields:?}");
        }
    }
}
