//! OTLP over gRPC.

use std::error::Error;
use std::time::Duration;

use bytes::{Buf, BufMut, Bytes};
use http::uri::PathAndQuery;
use prost::Message;
use tokio::runtime::{Builder, Runtime};
use tonic::codec::{Codec, CompressionEncoding, DecodeBuf, Decoder, EncodeBuf, Encoder};
use tonic::metadata::MetadataMap;
use tonic::transport::{Channel, ClientTlsConfig, Endpoint};
use tonic::{Code, Request, Status};

use super::words::{self, Words};
use super::{Answer, Retry, TlsError, TransportError, tls};
use crate::send::Signal;
use crate::settings::{Compression, Destination};

#[derive(Debug)]
pub(crate) struct Grpc {
    runtime: Runtime,
    client: tonic::client::Grpc<Channel>,
    method: &'static str,
    backend: String,
    metadata: MetadataMap,
    timeout: Duration,
    words: Words,
}

impl Grpc {
    pub(super) fn new(signal: Signal, destination: &Destination) -> Result<Self, TransportError> {
        let backend = destination.endpoint.to_string();
        let runtime = Builder::new_current_thread().enable_all().build().map_err(TransportError::Runtime)?;
        let no_grpc = |source| TransportError::Grpc { endpoint: backend.clone(), source };
        let mut endpoint = Endpoint::from(destination.endpoint.uri().clone())
            .connect_timeout(destination.timeout)
            .user_agent(concat!("perimeter/", env!("CARGO_PKG_VERSION")))
            .map_err(no_grpc)?;
        if destination.endpoint.is_secure() {
            endpoint = endpoint.tls_config(tls_config(destination)?).map_err(no_grpc)?;
        }
        // The channel spawns a task, which takes a runtime.
        let channel = {
            let _entered = runtime.enter();
            endpoint.connect_lazy()
        };
        let mut client = tonic::client::Grpc::new(channel).accept_compressed(CompressionEncoding::Gzip);
        if destination.compression == Compression::Gzip {
            client = client.send_compressed(CompressionEncoding::Gzip);
        }
        Ok(Self {
            runtime,
            client,
            method: signal.method(),
            backend,
            metadata: MetadataMap::from_headers(destination.headers.map().clone()),
            timeout: destination.timeout,
            words: Words::new(destination.headers.map()),
        })
    }

    pub(super) fn send(&mut self, body: &Bytes) -> Answer {
        let Self { runtime, client, method, metadata, timeout, words, .. } = self;
        let mut request = Request::new(body.clone());
        *request.metadata_mut() = metadata.clone();
        request.set_timeout(*timeout);
        let call = async {
            client.ready().await.map_err(|error| chain(&error))?;
            Ok::<_, String>(client.unary(request, PathAndQuery::from_static(method), Raw).await)
        };
        match runtime.block_on(async { tokio::time::timeout(*timeout, call).await }) {
            Ok(Ok(Ok(response))) => words.taken_protobuf(response.get_ref()),
            Ok(Ok(Err(status))) => answer(words, &status),
            Ok(Err(why)) => Answer::away(words.clean(&why)),
            Err(_) => Answer::away(format!("no answer within {timeout:?}")),
        }
    }

    pub(super) fn backend(&self) -> &str {
        &self.backend
    }
}

/// As OTLP has it: these codes may be tried again, no others; `RESOURCE_EXHAUSTED` where the backend says when.
fn answer(words: &Words, status: &Status) -> Answer {
    // A status that has a cause was made on this side: there was no answer.
    if let Some(cause) = status.source() {
        return Answer::away(words.clean(&chain(cause)));
    }
    let why = match words.clean(status.message()) {
        empty if empty.is_empty() => format!("status {:?}", status.code()),
        said => format!("status {:?}: {said}", status.code()),
    };
    // There is no code for this; it is what gRPC's libraries for Go and Rust say.
    if ["larger than max", "length too large"].iter().any(|words| status.message().contains(words)) {
        return Answer::TooLarge(why);
    }
    let after = words::Status::decode(status.details()).unwrap_or_default().delay();
    let again = match status.code() {
        Code::Cancelled
        | Code::DeadlineExceeded
        | Code::Aborted
        | Code::OutOfRange
        | Code::Unavailable
        | Code::DataLoss => true,
        Code::ResourceExhausted => after.is_some(),
        _ => false,
    };
    if again { Answer::Retry(Retry { why, after, away: false }) } else { Answer::Refused(why) }
}

/// The error, and what caused it, without what only says the same.
fn chain(error: &dyn Error) -> String {
    let (mut said, mut cause) = (error.to_string(), error.source());
    while let Some(error) = cause {
        let why = error.to_string();
        if !said.ends_with(&why) {
            said = format!("{said}: {why}");
        }
        cause = error.source();
    }
    said
}

fn tls_config(destination: &Destination) -> Result<ClientTlsConfig, TlsError> {
    let tls = tls::Tls::load(&destination.files)?;
    let mut config = ClientTlsConfig::new();
    if let Some(pem) = &tls.trusted {
        config = config.ca_certificate(tonic::transport::Certificate::from_pem(pem));
    }
    if tls.has_system_roots {
        config = config.with_native_roots();
    } else if tls.trusted.is_none() {
        config = config.with_webpki_roots();
    }
    if let Some(identity) = &tls.identity {
        config = config.identity(tonic::transport::Identity::from_pem(&identity.certificate, &identity.key));
    }
    Ok(config)
}

/// Messages that are encoded already, and answers as they come.
#[derive(Debug)]
struct Raw;

impl Codec for Raw {
    type Encode = Bytes;
    type Decode = Bytes;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        Self
    }

    fn decoder(&mut self) -> Self {
        Self
    }
}

impl Encoder for Raw {
    type Item = Bytes;
    type Error = Status;

    fn encode(&mut self, message: Bytes, into: &mut EncodeBuf<'_>) -> Result<(), Status> {
        into.put(message);
        Ok(())
    }
}

impl Decoder for Raw {
    type Item = Bytes;
    type Error = Status;

    fn decode(&mut self, from: &mut DecodeBuf<'_>) -> Result<Option<Bytes>, Status> {
        Ok(Some(from.copy_to_bytes(from.remaining())))
    }
}
