//! One request and its response, as they passed.

use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use http::{HeaderMap, Method, StatusCode, Uri, Version};

use crate::SpanContext;

/// Names an exchange, also beyond this run of the proxy. Written as a UUID; a later exchange has a greater one.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ExchangeId(u128);

impl ExchangeId {
    /// The id of these 128 bits.
    pub const fn new(bits: u128) -> Self {
        Self(bits)
    }

    /// Its 128 bits.
    pub const fn bits(self) -> u128 {
        self.0
    }
}

impl fmt::Display for ExchangeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digit = |half: u8| if half < 10 { b'0' + half } else { b'a' + half - 10 };
        let mut text = [b'-'; 36];
        let mut places = text.iter_mut().enumerate().filter(|(at, _)| !matches!(at, 8 | 13 | 18 | 23));
        for byte in self.0.to_be_bytes() {
            for half in [byte >> 4, byte & 15] {
                if let Some((_, place)) = places.next() {
                    *place = digit(half);
                }
            }
        }
        f.write_str(str::from_utf8(&text).unwrap_or_default())
    }
}

impl fmt::Debug for ExchangeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// One request and its response: what is known from the first byte on, and never changes.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Exchange {
    /// Its name.
    pub id: ExchangeId,
    /// When its request head had been read.
    pub began: SystemTime,
    /// The client's end of the connection.
    pub client: SocketAddr,
    /// Where requests are forwarded to, as configured, without user information.
    pub upstream: Arc<str>,
    /// What the client said about it, in headers and path that are addressed to the proxy.
    pub labels: Labels,
    /// The span that the forwarded request names in its `traceparent`, where the proxy was asked to add one.
    pub sent: Option<SpanContext>,
}

impl Exchange {
    /// An exchange without labels.
    pub fn new(id: ExchangeId, began: SystemTime, client: SocketAddr, upstream: impl Into<Arc<str>>) -> Self {
        Self { id, began, client, upstream: upstream.into(), labels: Labels::default(), sent: None }
    }
}

/// What a client says about an exchange besides the exchange itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Labels {
    /// The workflow of `/agent-workflow/{id}/…`.
    pub workflow: Option<Arc<str>>,
    /// The session that the client says this belongs to.
    pub session: Option<Arc<str>>,
    /// The agent that the client says it is.
    pub agent: Option<Arc<str>>,
    /// Free words, with or without a value (`"true"`).
    pub tags: BTreeMap<String, String>,
}

/// The head of a request as the client sent it, credentials masked.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RequestHead {
    /// The method.
    pub method: Method,
    /// The target. Bytes that no URI may hold are percent-encoded here.
    pub uri: Uri,
    /// The version that the client spoke.
    pub version: Version,
    /// The headers.
    pub headers: HeaderMap,
}

impl RequestHead {
    /// A head of these parts.
    pub fn new(method: Method, uri: Uri, version: Version, headers: HeaderMap) -> Self {
        Self { method, uri, version, headers }
    }
}

/// The head of a response as it came, credentials masked.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ResponseHead {
    /// The status.
    pub status: StatusCode,
    /// The version that the upstream spoke.
    pub version: Version,
    /// The headers.
    pub headers: HeaderMap,
}

impl ResponseHead {
    /// A head of these parts.
    pub fn new(status: StatusCode, version: Version, headers: HeaderMap) -> Self {
        Self { status, version, headers }
    }
}

/// Who said something.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Peer {
    /// The app or agent.
    Client,
    /// The provider, or the proxy in its place.
    Upstream,
}

impl Peer {
    /// The word for it: `client` or `upstream`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Client => "client",
            Self::Upstream => "upstream",
        }
    }
}

/// How a body came to its end.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum BodyEnd {
    /// It was passed on whole.
    Complete {
        /// The headers behind it, if there were any, credentials masked.
        trailers: Option<Arc<HeaderMap>>,
    },
    /// Its reader went away before it ended, or it never began.
    Aborted,
    /// Its writer failed: why.
    Failed(Arc<str>),
    /// The proxy stopped before it ended, and is the only one to blame.
    Stopped,
}

impl BodyEnd {
    /// The whole body, without trailers.
    pub const COMPLETE: Self = Self::Complete { trailers: None };

    /// Whether it was passed on whole.
    pub fn is_complete(&self) -> bool {
        matches!(self, Self::Complete { .. })
    }
}

/// The end of an exchange.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct End {
    /// The end of the request's body; after an upgrade, of what the client said.
    pub request: BodyEnd,
    /// The end of the response's body; after an upgrade, of what the upstream said.
    pub response: BodyEnd,
    /// From the request head read to the last byte of either side.
    pub lasted: Duration,
    /// What the interceptor was not told. Where it is nothing, the exchange was told whole; else what was told
    /// is a true prefix of each side.
    pub unseen: Unseen,
}

impl End {
    /// The end of an exchange that was told whole.
    pub fn new(request: BodyEnd, response: BodyEnd, lasted: Duration) -> Self {
        Self { request, response, lasted, unseen: Unseen::default() }
    }
}

/// Bytes that passed and were not told, or not read, since a queue or the memory was full. An event that was not told counts as
/// many bytes as it would have held.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Unseen {
    /// Of what the client said.
    pub client: u64,
    /// Of what the upstream said.
    pub upstream: u64,
}

impl Unseen {
    /// Of both sides.
    pub fn total(self) -> u64 {
        self.client.saturating_add(self.upstream)
    }

    /// Adds what was not told of one side.
    pub fn add(&mut self, from: Peer, bytes: u64) {
        let side = match from {
            Peer::Client => &mut self.client,
            Peer::Upstream => &mut self.upstream,
        };
        *side = side.saturating_add(bytes);
    }
}

/// A connection that went on to speak another protocol.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Upgrade {
    /// Its name in `Upgrade`, such as `websocket`.
    pub protocol: Arc<str>,
}

impl Upgrade {
    /// An upgrade to `protocol`.
    pub fn new(protocol: impl Into<Arc<str>>) -> Self {
        Self { protocol: protocol.into() }
    }
}

/// Why no provider answered.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Failure {
    /// The word for it, as in the header `x-perimeter-error`.
    pub code: Arc<str>,
    /// What happened.
    pub message: Arc<str>,
}

impl Failure {
    /// A failure of this code.
    pub fn new(code: impl Into<Arc<str>>, message: impl Into<Arc<str>>) -> Self {
        Self { code: code.into(), message: message.into() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_exchange_id_is_written_as_a_uuid() {
        let id = ExchangeId::new(0x0190_1234_5678_7abc_8def_0123_4567_89ab);
        assert_eq!(id.to_string(), "01901234-5678-7abc-8def-0123456789ab");
        assert_eq!(format!("{id:?}"), id.to_string());
        assert_eq!(ExchangeId::new(0).to_string(), "00000000-0000-0000-0000-000000000000");
        assert_eq!(ExchangeId::new(u128::MAX).to_string(), "ffffffff-ffff-ffff-ffff-ffffffffffff");
    }

    #[test]
    fn ids_written_are_ordered_as_the_ids_are() {
        let ids = [1, 0xff, 1 << 64, (1 << 96) - 1, u128::MAX].map(ExchangeId::new);
        assert!(ids.is_sorted());
        assert!(ids.map(|id| id.to_string()).is_sorted());
        assert!(ids.iter().all(|id| ExchangeId::new(id.bits()) == *id));
    }

    #[test]
    fn only_a_body_that_was_passed_on_whole_is_complete() {
        assert!(BodyEnd::COMPLETE.is_complete());
        assert!(BodyEnd::Complete { trailers: Some(Arc::new(HeaderMap::new())) }.is_complete());
        assert!(!BodyEnd::Aborted.is_complete());
        assert!(!BodyEnd::Failed("reset".into()).is_complete());
    }

    #[test]
    fn unseen_bytes_are_counted_by_side_and_never_overflow() {
        let mut unseen = Unseen::default();
        unseen.add(Peer::Client, 2);
        unseen.add(Peer::Upstream, u64::MAX - 1);
        assert_eq!((unseen.client, unseen.upstream), (2, u64::MAX - 1));
        unseen.add(Peer::Upstream, 5);
        assert_eq!((unseen.upstream, unseen.total()), (u64::MAX, u64::MAX));
    }
}
