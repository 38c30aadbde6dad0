//! HTTP to Stackspot's services: one pool of connections each.

use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::header::{ACCEPT_ENCODING, CONTENT_TYPE, HOST, USER_AGENT};
use http::request::Builder;
use http::{Request, Response};
use http_body_util::BodyExt as _;
use rustls::ClientConfig;
use tokio_util::task::TaskTracker;
use tower::ServiceExt as _;

use super::super::{Failure, Kind};
use crate::body::Body;
use crate::config::BaseUrl;
use crate::metrics::Metrics;
use crate::upstream::{Connector, ConnectorError, HttpUpstream, Upstream, UpstreamError};

/// What connections are made with.
#[derive(Clone, Debug)]
pub(super) struct Network {
    /// None where no service is reached over TLS.
    pub tls: Option<Arc<ClientConfig>>,
    /// The time to connect.
    pub timeout: Duration,
    /// Where connections live.
    pub tasks: TaskTracker,
    /// What they are counted in.
    pub metrics: Arc<Metrics>,
}

/// One service.
#[derive(Clone, Debug)]
pub(super) struct Host {
    base: BaseUrl,
    http: HttpUpstream,
    upstream: Upstream,
}

impl Network {
    /// The service at `base`.
    pub(super) fn host(&self, base: &BaseUrl) -> Result<Host, ConnectorError> {
        let tls = if base.is_https() { self.tls.clone() } else { None };
        let connector = Connector::new(base, tls, self.timeout)?;
        let http = HttpUpstream::new(connector, self.tasks.clone(), self.metrics.clone());
        Ok(Host { base: base.clone(), upstream: http.clone().into_upstream(), http })
    }
}

impl Host {
    /// A request with this body for the `path` below the service's own.
    pub(super) fn post(&self, path: &str, content_type: &str, body: Bytes) -> Result<Request<Body>, Failure> {
        self.request(Request::post(self.uri(path)).header(CONTENT_TYPE, content_type), body)
    }

    /// A request for what is at the `path` below the service's own.
    pub(super) fn get(&self, path: &str) -> Result<Request<Body>, Failure> {
        self.request(Request::get(self.uri(path)), Bytes::new())
    }

    fn uri(&self, path: &str) -> String {
        format!("{}{path}", self.base.path())
    }

    fn request(&self, request: Builder, body: Bytes) -> Result<Request<Body>, Failure> {
        request
            .header(HOST, self.base.authority())
            // What is left out stands for any.
            .header(ACCEPT_ENCODING, "identity")
            .header(USER_AGENT, concat!("perimeter/", env!("CARGO_PKG_VERSION")))
            .body(Body::full(body))
            .map_err(|_| Failure::new(Kind::Upstream, "the request to Stackspot cannot be written"))
    }

    /// Sends it; the response's head is here when the future is done. Unbounded in time.
    pub(super) async fn send(&self, request: Request<Body>) -> Result<Response<Body>, UpstreamError> {
        self.http.sweep();
        self.upstream.clone().oneshot(request).await
    }

    /// Sends it and reads the whole response, within `bound`.
    pub(super) async fn ask(
        &self,
        request: Request<Body>,
        bound: Duration,
    ) -> Result<Response<Bytes>, Failure> {
        let whole = async {
            let (parts, body) = self.send(request).await.map_err(|error| unreachable(&error))?.into_parts();
            Ok(Response::from_parts(parts, whole(body).await?))
        };
        let late = || {
            Failure::new(Kind::UpstreamTimeout, format!("Stackspot took longer than {} s", bound.as_secs()))
        };
        tokio::time::timeout(bound, whole).await.map_err(|_| late())?
    }
}

/// All of a body that is no answer of a model.
pub(super) async fn whole(mut body: Body) -> Result<Bytes, Failure> {
    const MOST: usize = 1024 * 1024;
    let mut bytes = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|_| Failure::new(Kind::Upstream, "Stackspot's response broke off"))?;
        if let Some(data) = frame.data_ref() {
            if bytes.len() + data.len() > MOST {
                return Err(Failure::new(Kind::Upstream, "Stackspot's response is larger than 1 MiB"));
            }
            bytes.extend_from_slice(data);
        }
    }
    Ok(bytes.freeze())
}

/// Why there is no response, without the address.
pub(super) fn unreachable(error: &UpstreamError) -> Failure {
    tracing::warn!(%error, "Stackspot cannot be reached");
    let kind = if matches!(error, UpstreamError::ConnectTimeout { .. }) {
        Kind::UpstreamTimeout
    } else {
        Kind::Upstream
    };
    let why = match error {
        UpstreamError::Closed { .. } => "closed the connection before it had answered",
        UpstreamError::Protocol { .. } => "answered with something that is not HTTP",
        _ => "cannot be reached",
    };
    Failure::new(kind, format!("Stackspot {why}"))
}
