//! How a backend is spoken to.

use std::time::Duration;

use bytes::Bytes;

use super::batch::Unreadable;
use super::{Batch, Signal};
use crate::settings::{Destination, Protocol};

mod grpc;
mod http;
mod tls;
mod words;

pub use tls::TlsError;

/// A client for one signal's destination.
#[derive(Debug)]
pub(crate) enum Transport {
    Http(http::Http),
    Grpc(grpc::Grpc),
}

/// What came of a request.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    /// The backend took it, but so many items of it.
    Taken { rejected: u64, message: Option<String> },
    /// It may take it another time.
    Retry(Retry),
    /// It is more than the backend takes at once.
    TooLarge(String),
    /// It will never take it: why.
    Refused(String),
}

/// Why, and when, to try again.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Retry {
    pub(crate) why: String,
    /// What the backend asks for.
    pub(crate) after: Option<Duration>,
    /// There was no answer at all.
    pub(crate) away: bool,
}

impl Answer {
    fn away(why: String) -> Self {
        Self::Retry(Retry { why, after: None, away: true })
    }
}

impl Transport {
    /// A client. It connects when there is something to be sent.
    pub(crate) fn new(signal: Signal, destination: &Destination) -> Result<Self, TransportError> {
        Ok(match destination.protocol {
            Protocol::Grpc => Self::Grpc(grpc::Grpc::new(signal, destination)?),
            Protocol::HttpProtobuf | Protocol::HttpJson => Self::Http(http::Http::new(signal, destination)?),
        })
    }

    /// The body of the request: made once, however often it is sent.
    pub(crate) fn encode(&self, batch: &Batch) -> Result<Bytes, EncodeError> {
        match self {
            Self::Http(http) => http.encode(batch),
            Self::Grpc(_) => Ok(batch.body.clone()),
        }
    }

    /// Makes the request once.
    pub(crate) fn send(&mut self, body: &Bytes) -> Answer {
        match self {
            Self::Http(http) => http.send(body),
            Self::Grpc(grpc) => grpc.send(body),
        }
    }

    /// Where it sends to, for logs.
    pub(crate) fn backend(&self) -> &str {
        match self {
            Self::Http(http) => http.backend(),
            Self::Grpc(grpc) => grpc.backend(),
        }
    }
}

/// Why a client cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum TransportError {
    /// What its TLS needs is not there.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// gRPC cannot be spoken.
    #[error("gRPC cannot be spoken to {endpoint}")]
    Grpc {
        /// Where.
        endpoint: String,
        /// Why.
        source: tonic::transport::Error,
    },
    /// The system gives no event loop.
    #[error("the system gives no event loop")]
    Runtime(#[source] std::io::Error),
}

/// Why a batch cannot be put into a request.
#[derive(Debug, thiserror::Error)]
pub(crate) enum EncodeError {
    #[error(transparent)]
    Unreadable(#[from] Unreadable),
    #[error("it cannot be compressed")]
    Compress(#[from] std::io::Error),
}
