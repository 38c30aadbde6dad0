use std::fmt;
use std::net::IpAddr;

use http::Uri;
use http::uri::{Authority, Scheme};
use serde::de::Error;
use serde::{Deserialize, Deserializer};

use super::Protocol;
use crate::send::Signal;

/// Where a backend is: an `http` or `https` URL without user information.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Endpoint(Uri);

/// Why a text is no endpoint. It does not repeat the text, which may hold a password.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum NoEndpoint {
    #[error("expected a URL such as http://localhost:4318")]
    Form,
    #[error("expected http:// or https:// at the beginning, as in http://localhost:4318")]
    Scheme,
    #[error(
        "a URL cannot hold a user and a password here: they belong into a header, as in authorization: Basic ..."
    )]
    UserInfo,
    #[error("expected a port from 1 to 65535, as in http://localhost:4318")]
    Port,
    #[error(
        "expected it without /v1/traces and its like, which are appended; an address of one signal stands in endpoints"
    )]
    Whole,
}

impl Endpoint {
    pub(super) fn parse(text: &str) -> Result<Self, NoEndpoint> {
        let text = text.trim();
        let authority = text.split_once("://").map_or(text, |(_, rest)| rest);
        if authority.split(['/', '?', '#']).next().is_some_and(|authority| authority.contains('@')) {
            return Err(NoEndpoint::UserInfo);
        }
        let uri: Uri = text.parse().map_err(|_| NoEndpoint::Form)?;
        if !has_port(&uri) {
            return Err(NoEndpoint::Port);
        }
        match uri.scheme() {
            Some(scheme) if *scheme == Scheme::HTTP || *scheme == Scheme::HTTPS => Ok(Self(uri)),
            Some(_) => Err(NoEndpoint::Scheme),
            None if text.contains("://") || text.is_empty() => Err(NoEndpoint::Form),
            None => Err(NoEndpoint::Scheme),
        }
    }

    /// As `parse`; what signals' paths are appended to, and so does not end in one of them.
    pub(super) fn parse_base(text: &str) -> Result<Self, NoEndpoint> {
        let base = Self::parse(text)?;
        let path = base.0.path().trim_end_matches('/');
        let is_whole = Signal::ALL.iter().any(|signal| path.ends_with(signal.path()));
        if is_whole { Err(NoEndpoint::Whole) } else { Ok(base) }
    }

    /// As `parse`; for gRPC a bare `host:port` is one too, spoken to with TLS unless `insecure`.
    pub(super) fn parse_for(text: &str, protocol: Protocol, insecure: bool) -> Result<Self, NoEndpoint> {
        if protocol == Protocol::Grpc && !text.contains("://") {
            let scheme = if insecure { "http" } else { "https" };
            return Self::parse(&format!("{scheme}://{}", text.trim()));
        }
        Self::parse(text)
    }

    /// The backend on this machine, at the port that is OTLP's own.
    pub(super) fn local(protocol: Protocol) -> Self {
        Self(Uri::from_static(match protocol {
            Protocol::Grpc => "http://localhost:4317",
            Protocol::HttpProtobuf | Protocol::HttpJson => "http://localhost:4318",
        }))
    }

    /// Where requests that end in `path` go, if this is what they begin with. What follows a `?` stays behind them.
    pub(super) fn join(&self, path: &str) -> Option<Self> {
        let base = self.0.path().trim_end_matches('/');
        let query = self.0.query().map_or_else(String::new, |query| format!("?{query}"));
        let authority = self.0.authority()?;
        format!("{}://{authority}{base}{path}{query}", self.0.scheme_str()?).parse().ok().map(Self)
    }

    /// The URL itself. Its query may hold a key.
    pub(crate) fn uri(&self) -> &Uri {
        &self.0
    }

    /// The server, without what of it is asked.
    pub(crate) fn origin(&self) -> String {
        let authority = self.0.authority().map_or("", Authority::as_str);
        format!("{}://{authority}", self.0.scheme_str().unwrap_or_default())
    }

    /// Whether there is more to it than a server.
    pub(super) fn has_path(&self) -> bool {
        self.0.path() != "/" || self.0.query().is_some()
    }

    /// Whether it is on this machine.
    pub(crate) fn is_local(&self) -> bool {
        let host = self.0.host().unwrap_or_default().trim_start_matches('[').trim_end_matches(']');
        match host.parse::<IpAddr>() {
            Ok(address) => address.is_loopback(),
            Err(_) => host.eq_ignore_ascii_case("localhost"),
        }
    }

    /// Whether it is spoken to with TLS.
    pub(crate) fn is_secure(&self) -> bool {
        self.0.scheme() == Some(&Scheme::HTTPS)
    }
}

/// Whether its port is one, if it says any.
fn has_port(uri: &Uri) -> bool {
    let authority = uri.authority().map_or("", |authority| authority.as_str());
    let port = authority.rsplit_once(':').map(|(_, port)| port).filter(|port| !port.ends_with(']'));
    port.is_none_or(|port| port.parse().is_ok_and(|port: u16| port > 0))
}

/// Without the query, which may hold a key.
impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.origin())?;
        f.write_str(self.0.path().trim_end_matches('/'))
    }
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl<'de> Deserialize<'de> for Endpoint {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::parse(&String::deserialize(deserializer)?).map_err(Error::custom)
    }
}

/// An endpoint that signals' paths are appended to, unless the key is left empty.
pub(super) fn some_base<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Endpoint>, D::Error> {
    let Some(text) = Option::<String>::deserialize(deserializer)? else { return Ok(None) };
    Endpoint::parse_base(&text).map(Some).map_err(Error::custom)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signals_path_is_appended_to_a_base() {
        for (base, joined) in [
            ("http://localhost:4318", "http://localhost:4318/v1/traces"),
            ("https://h/", "https://h/v1/traces"),
            ("https://h/api/public/otel", "https://h/api/public/otel/v1/traces"),
            ("https://h/api/?k=v", "https://h/api/v1/traces?k=v"),
        ] {
            let joined_endpoint = Endpoint::parse(base).unwrap().join("/v1/traces").unwrap();
            assert_eq!(joined_endpoint.uri().to_string(), joined);
        }
    }

    #[test]
    fn what_is_no_endpoint_is_refused_without_being_repeated() {
        for (text, why) in [
            ("", NoEndpoint::Form),
            ("http://", NoEndpoint::Form),
            ("localhost:4318", NoEndpoint::Scheme),
            ("/v1/traces", NoEndpoint::Scheme),
            ("ftp://h", NoEndpoint::Scheme),
            ("http://h:99999", NoEndpoint::Port),
            ("http://[::1]:0", NoEndpoint::Port),
            ("https://h:/v1", NoEndpoint::Port),
            ("http://me:hunter2@h", NoEndpoint::UserInfo),
            ("me:hunter2@h", NoEndpoint::UserInfo),
        ] {
            assert_eq!(Endpoint::parse(text).unwrap_err(), why, "{text}");
            assert!(!why.to_string().contains("hunter2"));
        }
    }

    #[test]
    fn a_base_does_not_end_as_what_is_appended_does() {
        for text in ["http://h:4318/v1/traces", "http://h/otel/v1/logs/", "https://[::1]/v1/metrics?k=v"] {
            assert_eq!(Endpoint::parse_base(text), Err(NoEndpoint::Whole), "{text}");
            assert!(Endpoint::parse(text).is_ok(), "{text}");
        }
        assert!(Endpoint::parse_base("https://[::1]/v1").is_ok());
    }

    #[test]
    fn grpc_takes_a_bare_host_and_port() {
        let parse =
            |text, insecure| Endpoint::parse_for(text, Protocol::Grpc, insecure).unwrap().uri().to_string();
        assert_eq!(parse("h:4317", true), "http://h:4317/");
        assert_eq!(parse("h:4317", false), "https://h:4317/");
        assert_eq!(parse("http://h:4317", false), "http://h:4317/");
        assert_eq!(Endpoint::parse_for("h:4317", Protocol::HttpJson, true), Err(NoEndpoint::Scheme));
    }

    #[test]
    fn this_machine_has_many_names() {
        for (url, local) in [
            ("http://localhost:4318", true),
            ("http://LocalHost", true),
            ("http://127.0.0.2:1", true),
            ("http://[::1]:4318", true),
            ("http://localhost.example", false),
            ("http://10.0.0.1", false),
            ("http://[2001:db8::1]", false),
        ] {
            assert_eq!(Endpoint::parse(url).unwrap().is_local(), local, "{url}");
        }
    }

    #[test]
    fn a_key_in_a_query_is_not_shown() {
        let endpoint = Endpoint::parse("https://h/x?key=hunter2").unwrap();
        assert_eq!(format!("{endpoint} {endpoint:?}"), "https://h/x https://h/x");
    }
}
