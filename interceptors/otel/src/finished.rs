//! A call that is over.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use http::Uri;
use http::uri::Scheme;
use opentelemetry_proto::tonic::common::v1::KeyValue;
use perimeter_interceptor::{Call, Completion, End, Exchange, SpanContext};

/// All that is known of a call when it is over: what its span, its log records and its metrics are made of.
#[derive(Clone, Debug)]
pub(crate) struct Finished {
    /// The exchange that it is part of.
    pub(crate) exchange: Arc<Exchange>,
    /// What was asked. Its `body`, `news` and `history` are empty by now, unless content is captured: a call may last
    /// for minutes, and they may be large.
    pub(crate) call: Arc<Call>,
    /// What its body asks for besides, such as a temperature: `gen_ai.request.*` and the like, as attributes. They were read
    /// when the call began.
    pub(crate) asked: Vec<KeyValue>,
    /// `gen_ai.operation.name`.
    pub(crate) operation: &'static str,
    /// `gen_ai.provider.name`.
    pub(crate) provider: &'static str,
    /// Where the provider is: `server.address` and `server.port`.
    pub(crate) server: Server,
    /// What was answered, whole or as far as it came.
    pub(crate) answer: Option<Arc<Completion>>,
    /// Why there is no whole answer.
    pub(crate) error: Option<Problem>,
    /// The status of the response.
    pub(crate) status: Option<u16>,
    /// When it began: the exchange, or behind an upgrade the call's own message.
    pub(crate) began: SystemTime,
    /// From there to its last byte, its failure, or its being given up.
    pub(crate) lasted: Duration,
    /// Its span, whether or not that is told.
    pub(crate) span: SpanContext,
    /// The end of its exchange; none where it ended before that, as calls of a socket do.
    pub(crate) end: Option<End>,
}

/// Why a call has no whole answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Problem {
    /// `error.type`: the provider's word, else the status, else ours, such as `client_cancelled`.
    pub(crate) kind: Arc<str>,
    /// What happened.
    pub(crate) message: Arc<str>,
}

/// Where a provider is.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Server {
    /// A name, or an address without brackets.
    pub(crate) address: Arc<str>,
    /// Its port, given or the scheme's own.
    pub(crate) port: Option<u16>,
}

impl Server {
    /// Where requests are forwarded to.
    pub(crate) fn of(upstream: &str) -> Self {
        let Ok(uri) = upstream.parse::<Uri>() else { return Self { address: upstream.into(), port: None } };
        let default = match uri.scheme() {
            Some(scheme) if *scheme == Scheme::HTTPS => Some(443),
            Some(scheme) if *scheme == Scheme::HTTP => Some(80),
            _ => None,
        };
        let host = uri.host().unwrap_or(upstream).trim_matches(['[', ']']);
        Self { address: host.into(), port: uri.port_u16().or(default) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_is_where_the_proxy_forwards_to() {
        for (upstream, address, port) in [
            ("https://api.openai.com", "api.openai.com", Some(443)),
            ("http://localhost:11434/v1", "localhost", Some(11434)),
            ("http://[::1]/x", "::1", Some(80)),
            ("claude-code", "claude-code", None),
            ("not a URL", "not a URL", None),
        ] {
            assert_eq!(Server::of(upstream), Server { address: address.into(), port }, "{upstream}");
        }
    }
}
