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
        let text = text.trim();
        if text.contains(['?', '#']) {
            return Err(BadUrl("a base URL has no query and no fragment"));
        }
        let uri: Uri = text.parse().map_err(|_| BadUrl("expected a URL such as https://api.openai.com"))?;
        let https = match uri.scheme_str() {
            Some("https") => true,
            Some("http") => false,
            _ => return Err(BadUrl("a base URL begins with http:// or https://")),
        };
        let Some(authority) = uri.authority().filter(|a| !a.host().is_empty()) else {
            return Err(BadUrl("the URL names no host"));
        };
        let (user_info, host_port) = match authority.as_str().rsplit_once('@') {
            Some((user, rest)) => (Some(user).filter(|user| !user.is_empty()), rest),
            None => (None, authority.as_str()),
        };
        Ok(Self {
            https,
            host: authority.host().trim_start_matches('[').trim_end_matches(']').to_owned(),
            port: port(host_port, authority.host())?.unwrap_or(if https { 443 } else { 80 }),
            authority: host_port.to_owned(),
            path: uri.path().trim_end_matches('/').to_owned(),
            user_info: user_info.map(Secret::new),
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

/// The port of `host:port`. One that is no port must not become the scheme's own.
fn port(host_port: &str, host: &str) -> Result<Option<u16>, BadUrl> {
    match host_port.strip_prefix(host).and_then(|rest| rest.strip_prefix(':')) {
        None => Ok(None),
        Some(port) => match port.parse() {
            Ok(0) | Err(_) => Err(BadUrl("the URL's port is not a number from 1 to 65535")),
            Ok(port) => Ok(Some(port)),
        },
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

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, host: &str, port: u16, authority: &str, path: &str) {
        let url = BaseUrl::parse(text).unwrap_or_else(|error| panic!("{text}: {error}"));
        assert_eq!(
            (url.host(), url.port(), url.authority(), url.path()),
            (host, port, authority, path),
            "{text}"
        );
    }

    #[test]
    fn a_url_in_parts() {
        check("https://api.openai.com", "api.openai.com", 443, "api.openai.com", "");
        check("https://api.openai.com/v1/", "api.openai.com", 443, "api.openai.com", "/v1");
        check("http://localhost:11434/", "localhost", 11434, "localhost:11434", "");
        check("HTTP://Host", "Host", 80, "Host", "");
        check(" https://h/a%2Fb//c ", "h", 443, "h", "/a%2Fb//c");
        check("http://[::1]:8080/x", "::1", 8080, "[::1]:8080", "/x");
        check("http://[2001:db8::1]", "2001:db8::1", 80, "[2001:db8::1]", "");
        check("https://user:pass@h:444/v1", "h", 444, "h:444", "/v1");
        check("https://@h", "h", 443, "h", "");
    }

    #[test]
    fn user_information_is_kept_and_never_shown() {
        let url = BaseUrl::parse("https://user:pa%40ss@h/v1").unwrap();
        assert_eq!(url.user_info().map(Secret::reveal), Some("user:pa%40ss"));
        assert_eq!(url.to_string(), "https://***@h/v1");
        assert!(!format!("{url:?}").contains("pa%40ss"));
        assert_eq!(serde_json::to_string(&url).unwrap(), r#""https://***@h/v1""#);
    }

    #[test]
    fn what_is_no_base_url_says_why() {
        for (text, why) in [
            ("", "expected a URL such as https://api.openai.com"),
            ("api.openai.com", "a base URL begins with http:// or https://"),
            ("localhost:8080", "a base URL begins with http:// or https://"),
            ("/v1", "a base URL begins with http:// or https://"),
            ("ftp://h", "a base URL begins with http:// or https://"),
            ("https://", "expected a URL such as https://api.openai.com"),
            ("https:///v1", "expected a URL such as https://api.openai.com"),
            ("https://h:", "the URL's port is not a number from 1 to 65535"),
            ("https://h:0", "the URL's port is not a number from 1 to 65535"),
            ("https://h:99999", "the URL's port is not a number from 1 to 65535"),
            ("https://h:x", "the URL's port is not a number from 1 to 65535"),
            ("https://h/v1?key=k", "a base URL has no query and no fragment"),
            ("https://h/#x", "a base URL has no query and no fragment"),
            ("https://h ost", "expected a URL such as https://api.openai.com"),
            ("https://exämple.org", "expected a URL such as https://api.openai.com"),
        ] {
            assert_eq!(
                BaseUrl::parse(text).map_err(|error| error.to_string()).err().as_deref(),
                Some(why),
                "{text}"
            );
        }
    }

    proptest::proptest! {
        #[test]
        fn no_text_panics(text in "(https?://)?[a-z0-9@:/%\\[\\].é -]{0,30}") {
            let _ = BaseUrl::parse(&text);
        }
    }
}
