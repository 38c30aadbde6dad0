//! Credentials are masked before anybody who watches sees a head.

use http::header::{HeaderMap, HeaderName, HeaderValue};
use http::uri::{PathAndQuery, Uri};
use percent_encoding::percent_decode_str;
use ring::hmac;

use crate::config;

/// Headers that hold an address, which may have secrets in it.
const ADDRESSES: [HeaderName; 3] =
    [http::header::REFERER, http::header::LOCATION, http::header::CONTENT_LOCATION];

/// How credentials begin in `Authorization` and `Proxy-Authorization`. Any other word may be a part of the secret.
const SCHEMES: [&str; 8] =
    ["basic", "bearer", "digest", "negotiate", "token", "apikey", "key", "aws4-hmac-sha256"];

/// Query parameters whose values are secrets.
const QUERY: [&str; 6] =
    ["key", "api_key", "access_token", "x-amz-signature", "x-amz-security-token", "x-amz-credential"];

/// A browser's WebSocket cannot send `Authorization`, so OpenAI takes the key as a protocol of this name.
const KEY_PROTOCOL: &str = "openai-insecure-api-key.";

/// What is a secret, and how it is told without being told.
#[derive(Debug)]
pub(crate) struct Masks {
    key: hmac::Key,
    headers: Vec<HeaderName>,
    query: Vec<String>,
}

impl Masks {
    /// The built-in table and `more`. The fingerprints of secrets are made with `key`.
    pub(crate) fn new(key: &[u8], more: &config::Mask) -> Self {
        let names = config::header::SECRETS.into_iter().chain(more.headers.iter().map(String::as_str));
        let query = QUERY.into_iter().chain(more.query.iter().map(String::as_str));
        Self {
            key: hmac::Key::new(hmac::HMAC_SHA256, key),
            headers: names.filter_map(|name| HeaderName::from_bytes(name.as_bytes()).ok()).collect(),
            query: query.map(str::to_ascii_lowercase).collect(),
        }
    }

    /// Whether a header of this name may hold a secret.
    pub(super) fn concern(&self, name: &HeaderName) -> bool {
        self.headers.contains(name)
            || *name == http::header::SEC_WEBSOCKET_PROTOCOL
            || ADDRESSES.contains(name)
    }

    /// Masks the headers that are secrets.
    pub(super) fn headers(&self, headers: &mut HeaderMap) {
        for (name, value) in headers.iter_mut() {
            let masked = if self.headers.contains(name) {
                self.header(value)
            } else if name == http::header::SEC_WEBSOCKET_PROTOCOL {
                self.protocols(value)
            } else if ADDRESSES.contains(name) {
                self.address(value)
            } else {
                continue;
            };
            if masked.as_bytes() != value.as_bytes() {
                // It is made of visible characters.
                *value = HeaderValue::try_from(masked).unwrap_or_else(|_| HeaderValue::from_static("***"));
            }
        }
    }

    /// Keeps the scheme, where there is one.
    fn header(&self, value: &HeaderValue) -> String {
        let bytes = value.as_bytes();
        let space = bytes
            .iter()
            .position(|byte| *byte == b' ')
            .filter(|at| SCHEMES.iter().any(|scheme| bytes[..*at].eq_ignore_ascii_case(scheme.as_bytes())));
        match space {
            Some(at) => {
                let scheme = String::from_utf8_lossy(&bytes[..at]);
                format!("{scheme} {}", self.fingerprint(bytes[at..].trim_ascii()))
            }
            None => self.fingerprint(bytes),
        }
    }

    fn protocols(&self, value: &HeaderValue) -> String {
        let text = String::from_utf8_lossy(value.as_bytes());
        let masked = text.split(',').map(|protocol| {
            let name = protocol.trim_start();
            let blank = &protocol[..protocol.len() - name.len()];
            match name.get(..KEY_PROTOCOL.len()) {
                Some(start) if start.eq_ignore_ascii_case(KEY_PROTOCOL) => {
                    let key = name.get(KEY_PROTOCOL.len()..).unwrap_or_default();
                    format!("{blank}{start}{}", self.fingerprint(key.trim_end().as_bytes()))
                }
                _ => protocol.to_owned(),
            }
        });
        masked.collect::<Vec<_>>().join(",")
    }

    /// An address in a header may have a user, and secrets among its parameters.
    fn address(&self, value: &HeaderValue) -> String {
        let text = String::from_utf8_lossy(value.as_bytes());
        let (place, rest) = text.split_at(next_mark(&text).map_or(text.len(), |(at, _)| at));
        without_user(place) + self.parameters(rest).as_deref().unwrap_or(rest)
    }

    /// Masks what is a secret in a target: parameters, and user information of the absolute form.
    pub(super) fn uri(&self, uri: &mut Uri) {
        let masked = uri.path_and_query().and_then(|target| self.parameters(target.as_str()));
        let user = uri.authority().is_some_and(|authority| authority.as_str().contains('@'));
        if masked.is_none() && !user {
            return;
        }
        let mut parts = std::mem::take(uri).into_parts();
        if let Some(masked) = masked {
            parts.path_and_query = PathAndQuery::try_from(masked).ok();
        }
        if let Some(authority) = parts.authority.take() {
            let host = authority.as_str().rsplit('@').next().unwrap_or_default();
            parts.authority = host.parse().ok();
        }
        *uri = Uri::from_parts(parts).unwrap_or_default();
    }

    /// A target with the secrets among its parameters masked, wherever they stand: in the query, in a fragment that
    /// should not be there, behind a `;`. `None` where it has none.
    fn parameters(&self, mut text: &str) -> Option<String> {
        let mut masked = String::with_capacity(text.len() + 16);
        let mut masks = false;
        while !text.is_empty() {
            let (at, length) = next_mark(text).unwrap_or((text.len(), 0));
            let (parameter, rest) = text.split_at(at);
            match parameter.split_once('=') {
                Some((name, value)) if !value.is_empty() && self.is_secret(name) => {
                    masks = true;
                    masked.push_str(name);
                    masked.push('=');
                    masked.push_str(&self.fingerprint(value.as_bytes()));
                }
                _ => masked.push_str(parameter),
            }
            let (mark, rest) = rest.split_at(length);
            masked.push_str(mark);
            text = rest;
        }
        masks.then_some(masked)
    }

    fn is_secret(&self, name: &str) -> bool {
        let name = percent_decode_str(name).decode_utf8_lossy().to_ascii_lowercase();
        self.query.contains(&name)
    }

    /// Tells the uses of one secret from those of another, and nothing else.
    fn fingerprint(&self, secret: &[u8]) -> String {
        if secret.is_empty() {
            return String::new();
        }
        let tag = hmac::sign(&self.key, secret);
        let hex: String = tag.as_ref().iter().take(4).map(|byte| format!("{byte:02x}")).collect();
        format!("***{hex}")
    }
}

/// `https://host/path` of `https://user:password@host/path`.
fn without_user(place: &str) -> String {
    let Some((scheme, rest)) = place.split_once("//") else { return place.to_owned() };
    let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    let host = authority.rsplit('@').next().unwrap_or_default();
    format!("{scheme}//{host}{path}")
}

/// Where the next parameter of a target begins behind a mark, and how long the mark is. A `#` is told encoded.
fn next_mark(text: &str) -> Option<(usize, usize)> {
    let encoded = text.find("%23").map(|at| (at, 3));
    let plain = text.find(['?', '&', ';', '#']).map(|at| (at, 1));
    encoded.into_iter().chain(plain).min()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn masks() -> Masks {
        let more = config::Mask { headers: vec!["X-My-Key".to_owned()], query: vec!["Sig".to_owned()] };
        Masks::new(&[7; 32], &more)
    }

    fn header(name: &'static str, value: &'static str) -> String {
        let mut headers = HeaderMap::new();
        headers.insert(name, HeaderValue::from_static(value));
        masks().headers(&mut headers);
        headers[name].to_str().unwrap().to_owned()
    }

    #[test]
    fn a_masked_header_keeps_its_scheme_and_tells_keys_apart() {
        let masked = header("authorization", "Bearer sk-secret");
        assert!(masked.starts_with("Bearer ***") && masked.len() == 18, "{masked}");
        assert_eq!(masked, header("authorization", "Bearer sk-secret"));
        assert_ne!(masked, header("authorization", "Bearer sk-other"));
        assert_eq!(header("x-api-key", "sk-secret"), masked["Bearer ".len()..]);
        for (name, value) in [
            ("api-key", "secret-1"),
            ("cookie", "a=secret-1; b=secret-2"),
            ("set-cookie", "a=secret-1; Path=/"),
            ("x-my-key", "secret-1"),
            ("x-perimeter-key", "secret-1"),
            ("proxy-authorization", "Basic secret-1"),
            ("authorization", "secret-1"),
            ("authorization", "secret-1 and a blank, such as no scheme has"),
        ] {
            assert!(!header(name, value).contains("secret-1"), "{name}: {}", header(name, value));
        }
    }

    #[test]
    fn what_is_no_secret_stays() {
        for (name, value) in [
            ("openai-organization", "org-1"),
            ("user-agent", "x"),
            ("sec-websocket-protocol", "realtime, openai-beta.realtime-v1"),
            ("authorization", ""),
            ("location", "/v1/files?after=1"),
        ] {
            assert_eq!(header(name, value), value);
        }
    }

    #[test]
    fn secrets_in_addresses_are_masked() {
        for (value, starts, ends) in [
            ("https://u:AIza@h/p?key=AIza&b=1", "https://h/p?key=***", "&b=1"),
            ("https://AIza@h", "https://h", ""),
            ("/p#access_token=AIza&b=1", "/p#access_token=***", "&b=1"),
            ("/p?a=1&key=AIza#b", "/p?a=1&key=***", "#b"),
            ("//u@h/a@b?c=//d@e", "//h/a@b?c=//d@e", ""),
        ] {
            for name in ["location", "referer"] {
                let masked = header(name, value);
                assert!(masked.starts_with(starts) && masked.ends_with(ends), "{value}: {masked}");
                assert!(!masked.contains("AIza"), "{masked}");
            }
        }
    }

    #[test]
    fn a_key_among_protocols_is_masked() {
        let masked = header("sec-websocket-protocol", "realtime, openai-insecure-api-key.sk-x, other");
        assert!(masked.starts_with("realtime, openai-insecure-api-key.***"), "{masked}");
        assert!(masked.ends_with(", other") && !masked.contains("sk-x"), "{masked}");
    }

    #[test]
    fn secrets_in_a_target_are_masked() {
        for (target, starts, ends) in [
            ("/v1/m?key=AIza&alt=sse", "/v1/m?key=***", "&alt=sse"),
            ("/v1/m?alt=sse&API_Key=x", "/v1/m?alt=sse&API_Key=***", ""),
            ("/v1/m?%6bey=AIza", "/v1/m?%6bey=***", ""),
            ("/v1/m?sig=AIza", "/v1/m?sig=***", ""),
            ("/v1/m?a=1;key=AIza", "/v1/m?a=1;key=***", ""),
            ("/v1/m;key=AIza?a=1", "/v1/m;key=***", "?a=1"),
            ("/v1/m%23key=AIza&a=1", "/v1/m%23key=***", "&a=1"),
            ("http://user:AIza@h/p?a=b", "http://h/p?a=b", ""),
        ] {
            let mut uri = target.parse().unwrap();
            masks().uri(&mut uri);
            let masked = uri.to_string();
            assert!(masked.starts_with(starts) && masked.ends_with(ends), "{target}: {masked}");
            assert!(!masked.contains("AIza"), "{masked}");
        }
        let mut uri: Uri = "/v1/m?keyboard=1&k".parse().unwrap();
        masks().uri(&mut uri);
        assert_eq!(uri, "/v1/m?keyboard=1&k");
    }
}
