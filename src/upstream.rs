//! Where exchanges go: a provider over HTTP, or something in this process that answers like one.
//!
//! Nothing outside of this module opens a connection outward, and nothing here knows what a body means.

use std::io;
use std::time::{Duration, Instant};

use http::{Request, Response, StatusCode};

use crate::body::{Body, BoxError};

mod answer;
mod body;
pub mod bridge;
mod connect;
mod connection;
mod http1;
mod own;
mod pool;
mod sending;
mod source;
mod stream;
mod tls;
mod tunnel;
mod turn;

pub use answer::BadAnswer;
pub(crate) use connect::Connector;
pub use connect::ConnectorError;
pub(crate) use http1::{HttpUpstream, Received};
pub(crate) use own::own;
pub(crate) use stream::Switched;
pub use tls::TlsError;
pub(crate) use tls::client_config;
pub(crate) use turn::Moment;

/// A service that answers requests as a provider does. Each forwarding thread has its own clone.
///
/// A request comes as it would leave for `llm.base_url`. A response leaves as it is, less what belongs to one
/// connection; its body may fail, and then breaks off for the client.
///
/// ```
/// use http::{Request, Response};
/// use perimeter::body::Body;
/// use perimeter::upstream::{Upstream, UpstreamError};
///
/// let upstream = Upstream::new(tower::service_fn(|request: Request<Body>| async move {
///     Ok::<_, UpstreamError>(Response::new(Body::full(format!("you asked for {}", request.uri()))))
/// }));
/// ```
pub type Upstream = tower::util::BoxCloneSyncService<Request<Body>, Response<Body>, UpstreamError>;

/// When an upstream did what; in the extensions of its response, so that the proxy's own time can be told
/// from the provider's. An upstream that does not say is not measured.
#[derive(Clone, Copy, Debug)]
pub struct Handover {
    /// When the request was handed to the connection.
    pub sent: Instant,
    /// How long connecting took before that; zero on a reused connection.
    pub connecting: Duration,
    /// When the response head came.
    pub answered: Instant,
}

/// Who is told of the heads that come before a response's (RFC 9110 section 15.2): in the extensions of a request.
#[derive(Clone)]
pub(crate) struct OnInterim(std::sync::Arc<dyn Fn(StatusCode) + Send + Sync>);

impl OnInterim {
    /// `tell` is told the status of each.
    pub(crate) fn new(tell: impl Fn(StatusCode) + Send + Sync + 'static) -> Self {
        Self(std::sync::Arc::new(tell))
    }

    fn tell(&self, status: StatusCode) {
        (self.0)(status);
    }
}

/// Who sent a request: in its extensions, where the upstream spends its owner's money and only those may use it whom
/// the owner lets in.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Caller(std::sync::Arc<str>);

impl Caller {
    /// Anybody on this machine.
    pub fn local() -> Self {
        Self("local".into())
    }

    /// Whoever shows this key of `server.client_keys`, as whoever knows `secret` tells keys apart: without it not even
    /// a guess at the key can be tried.
    pub fn with_key(key: &str, secret: &[u8]) -> Self {
        let secret = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, secret);
        let digest = ring::hmac::sign(&secret, key.as_bytes());
        Self(digest.as_ref().iter().take(8).map(|byte| format!("{byte:02x}")).collect::<String>().into())
    }

    /// What tells it from others.
    pub fn id(&self) -> &str {
        &self.0
    }
}

/// Why an upstream gave no whole response head.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum UpstreamError {
    /// The name has no address.
    #[error("cannot find the address of {host}")]
    Dns {
        /// The name looked up.
        host: String,
        /// What the resolver said.
        source: io::Error,
    },
    /// No address took the connection.
    #[error("cannot connect to {address}")]
    Connect {
        /// `host:port`.
        address: String,
        /// What the last attempt said.
        source: io::Error,
    },
    /// Connecting took longer than `llm.timeout`.
    #[error("cannot connect to {address} within {} s", .after.as_secs_f32())]
    ConnectTimeout {
        /// `host:port`.
        address: String,
        /// The bound.
        after: Duration,
    },
    /// The proxy that `HTTPS_PROXY` names did not let us through.
    #[error("the proxy {proxy} gave no way to the upstream")]
    Proxy {
        /// `host:port`.
        proxy: String,
        /// What it said.
        source: io::Error,
    },
    /// The TLS handshake failed.
    #[error("cannot agree on TLS with {host}")]
    Tls {
        /// The name that was asked for.
        host: String,
        /// What rustls said.
        source: io::Error,
    },
    /// The connection ended before a whole response head.
    #[error("the upstream closed the connection before it had answered")]
    Closed {
        /// What the connection said.
        source: io::Error,
    },
    /// What came is no HTTP response.
    #[error("the upstream answered with something that is not HTTP")]
    Protocol {
        /// Why it is none.
        source: BadAnswer,
    },
    /// The upstream switched protocols though nobody had asked it to.
    #[error("the upstream switched protocols unasked")]
    Unasked,
    /// An upstream in this process has no answer.
    #[error("the upstream failed")]
    Failed {
        /// Why.
        source: BoxError,
    },
}

impl UpstreamError {
    /// The word for it in `x-perimeter-error` and in logs.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Dns { .. } => "upstream_dns",
            Self::Connect { .. } => "upstream_connect",
            Self::ConnectTimeout { .. } => "upstream_connect_timeout",
            Self::Proxy { .. } => "upstream_proxy",
            Self::Tls { .. } => "upstream_tls",
            Self::Closed { .. } => "upstream_closed",
            Self::Protocol { .. } | Self::Unasked => "upstream_protocol",
            Self::Failed { .. } => "upstream_failed",
        }
    }
}

/// `host:port`, an IPv6 address in brackets.
fn host_port(host: &str, port: u16) -> String {
    if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_written_so_that_its_port_can_be_told() {
        for (host, text) in [("h.example", "h.example:1"), ("127.0.0.1", "127.0.0.1:1"), ("::1", "[::1]:1")] {
            assert_eq!(host_port(host, 1), text);
        }
    }
}
