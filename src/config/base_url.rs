//! `llm.base_url`: where the provider is, parsed once.

use std::fmt;

use http::Uri;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::secret::Secret;

/// The provider's base URL in parts. `Display` and `Serialize` never show user information.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BaseUrl {
    https: bool,
    host: String,
    port: u16,
    authority: String,
    path: String,
    user_info: Option<Secret>,
}

/// Why a string is no base URL.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct BadUrl(&'static str);

impl BaseUrl {
    /// Reads `text`, an absolute `http` or `https` URL without query and fragment.
    ///
    /// # Errors
    /// [`BadUrl`] says what is wrong with it, without repeating it: it may hold a password.
    pub fn parse(text: &str) -> Result<Self, BadUrl> {
        if text.contains(['?', '#']) {
            return Err(BadUrl("a base URL has no query and no fragment"));
        }
        let uri: Uri = text.parse().map_err(|_| BadUrl("not a URL"))?;
        let https = match uri.scheme_str() {
            Some("https") => true,
            Some("http") => false,
            _ => return Err(BadUrl("a base URL begins with http:// or https://")),
        };
        let Some(authority) = uri.authority().filter(|a| !a.host().is_empty()) else {
            return Err(BadUrl("the URL names no host"));
        };
        let (user_info, host_port) = match authority.as_str().rsplit_once('@') {
            Some((user, rest)) => (Some(Secret::new(user)), rest),
            None => (None, authority.as_str()),
        };
        let port = match authority.port() {
            Some(port) => port.as_u16(),
            None if host_port.ends_with(':') => {
                return Err(BadUrl("the URL's port is missing after the colon"));
            }
            None if https => 443,
            None => 80,
        };
        Ok(Self {
            https,
            host: authority.host().trim_start_matches('[').trim_end_matches(']').to_owned(),
            port,
            authority: host_port.to_owned(),
            path: uri.path().trim_end_matches('/').to_owned(),
            user_info,
        })
    }

    /// Whether the provider is reached over TLS.
    pub fn is_https(&self) -> bool {
        self.https
    }

    /// The host name or address, an IPv6 address without its brackets.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The port, the scheme's own where the URL names none.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// What the `Host` header says: host, and port where the URL names one.
    pub fn authority(&self) -> &str {
        &self.authority
    }

    /// The path as written, without a slash at its end: empty, or `/…`.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// `user:password` where the URL carries it, still percent-encoded.
    pub fn user_info(&self) -> Option<&Secret> {
        self.user_info.as_ref()
    }
}

impl fmt::Display for BaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.https { "https" } else { "http" };
        let user = if self.user_info.is_some() { "***@" } else { "" };
        write!(f, "{scheme}://{user}{}{}", self.authority, self.path)
    }
}

impl<'de> Deserialize<'de> for BaseUrl {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::parse(&String::deserialize(deserializer)?).map_err(serde::de::Error::custom)
    }
}

impl Serialize for BaseUrl {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}
