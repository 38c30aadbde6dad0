//! A configured key is money, and any web page can send requests to loopback. This is where it is decided whether a
//! request may spend it.

use std::net::SocketAddr;

use base64::prelude::{BASE64_STANDARD, Engine as _};
use http::header::{AUTHORIZATION, HeaderName, HeaderValue};
use http::request::Parts;
use percent_encoding::percent_decode_str;

use super::client_keys::{ClientKeys, brings_credential};
use crate::api::Api;
use crate::caller::{calls_us, is_from_foreign_page};
use crate::config::Config;

const X_API_KEY: HeaderName = HeaderName::from_static("x-api-key");
const API_KEY: HeaderName = HeaderName::from_static("api-key");
const X_GOOG_API_KEY: HeaderName = HeaderName::from_static("x-goog-api-key");

/// The configured key, and for whom it is.
#[derive(Clone, Debug)]
pub(crate) struct Credential {
    /// What `Authorization` says.
    authorization: HeaderValue,
    /// The key by itself, for APIs that have a header for it; none where it is not a key.
    key: Option<HeaderValue>,
    client_keys: ClientKeys,
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
            client_keys: ClientKeys::of(config),
            bound_beyond_loopback: !config.server.host.is_loopback(),
            allow_open: config.server.allow_open,
        }))
    }

    /// Adds the credential to a request of `api` that came without one and may use it. To be called while the client's
    /// own `Host` still stands in its headers; `local` is our end of its connection.
    pub(super) fn add(&self, parts: &mut Parts, api: Api, local: SocketAddr) {
        let calls_us = calls_us(parts, local);
        let brings_key_in_query = api == Api::Gemini && has_key(parts.uri.query());
        let headers = &mut parts.headers;
        let shown = self.client_keys.shown(headers);
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
        if !is_known && !calls_us {
            return self.kept("the Host header is not one of ours");
        }
        let (name, value) = self.header(api);
        if let Some(form) = shown.and_then(|shown| shown.form) {
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
