//! A provider over HTTP/1.1.
//!
//! hyper's connection is driven directly rather than through a pooling client, because three promises need to
//! know the connection: nothing is sent twice, connecting is not counted as the proxy's own time, and a
//! connection goes back to the pool when its response has ended, not earlier.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, Request, Response, StatusCode};
use http_body::{Body as HttpBody, Frame, SizeHint};
use hyper::body::Incoming;
use tokio_util::task::TaskTracker;

use super::connect::Connector;
use super::connection::{Connection, Sending};
use super::pool::Pool;
use super::stream::{Age, Responded};
use super::turn::look;
use super::{Handover, Upstream, UpstreamError};
use crate::body::{Body, BoxError};
use crate::metrics::Metrics;
use crate::raw_head::RawHead;

/// One provider, as one forwarding thread sees it.
#[derive(Clone, Debug)]
pub(crate) struct HttpUpstream(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    connector: Connector,
    pool: Pool,
    tasks: TaskTracker,
    metrics: Arc<Metrics>,
}

/// A response that has begun.
pub(crate) struct Received {
    pub(crate) response: Response<Body>,
    pub(crate) handover: Handover,
    /// Its head as it came.
    pub(crate) raw: Option<RawHead>,
    /// Where its connection wants to be told.
    pub(crate) age: Option<Age>,
}

impl HttpUpstream {
    /// A provider reached by `connector`. What goes on when its exchange is over goes on on `tasks`.
    pub(crate) fn new(connector: Connector, tasks: TaskTracker, metrics: Arc<Metrics>) -> Self {
        Self(Arc::new(Inner { connector, pool: Pool::default(), tasks, metrics }))
    }

    /// Sends `request`, with the looks of `raw`, and gives the response with its own. Without `raw` the response has all
    /// its headers; with it, those that are needed to forward it.
    ///
    /// # Errors
    /// [`UpstreamError`] where no whole response head came.
    pub(crate) fn send(
        &self,
        request: Request<Body>,
        raw: Option<RawHead>,
    ) -> impl Future<Output = Result<Received, UpstreamError>> + Send {
        self.0.send(request, raw)
    }

    /// As a service for somebody in this process: heads are as hyper reads them.
    pub(crate) fn into_upstream(self) -> Upstream {
        Upstream::new(tower::service_fn(move |request| {
            let upstream = self.clone();
            async move { upstream.send(request, None).await.map(|received| received.response) }
        }))
    }

    /// Closes connections that have been idle for too long. To be called now and then.
    pub(crate) fn sweep(&self) {
        self.0.pool.sweep();
    }
}

impl Inner {
    /// Not an `async fn`, which would hold its arguments twice.
    fn send(
        self: &Arc<Self>,
        mut request: Request<Body>,
        raw: Option<RawHead>,
    ) -> impl Future<Output = Result<Received, UpstreamError>> + Send {
        let raw = raw.map(Arc::new);
        async move {
            let mut connecting = Duration::ZERO;
            loop {
                let mut sent = Instant::now();
                let (mut connection, reused) = match self.pooled(&mut sent).await {
                    Some(connection) => (connection, true),
                    None => {
                        let started = Instant::now();
                        // Boxed: it is rare, and every request's future would have room for it.
                        let connection = Box::pin(self.connect()).await?;
                        sent = Instant::now();
                        connecting += sent.saturating_duration_since(started);
                        (connection, false)
                    }
                };
                connection.expect(raw.clone(), request.method());
                match connection.send(request).await {
                    Ok(response) => {
                        if reused {
                            self.metrics.upstream_reused();
                        }
                        let handover = Handover { sent, connecting, answered: Instant::now() };
                        let Responded { raw, age } = connection.answered();
                        let response = self.receive(response, connection);
                        return Ok(Received { response, handover, raw, age });
                    }
                    // hyper gives the request back only if not a byte of it was written.
                    Err(mut failed) => match failed.take_message() {
                        Some(unsent) if reused => request = unsent.map(Sending::unsent),
                        _ => return Err(classify(failed.into_error())),
                    },
                }
            }
        }
    }

    /// A kept connection; `now` becomes later where that takes a while.
    async fn pooled(&self, now: &mut Instant) -> Option<Box<Connection>> {
        loop {
            let (mut connection, is_fresh) = self.pool.take(*now)?;
            if !is_fresh {
                return Some(connection);
            }
            look().await;
            *now = Instant::now();
            if connection.is_ready() == Some(true) {
                return Some(connection);
            }
        }
    }

    async fn connect(&self) -> Result<Box<Connection>, UpstreamError> {
        let connection =
            Connection::open(self.connector.connect().await?, self.tasks.clone()).await.map_err(classify)?;
        self.metrics.upstream_opened();
        Ok(Box::new(connection))
    }

    fn receive(
        self: &Arc<Self>,
        response: Response<Incoming>,
        connection: Box<Connection>,
    ) -> Response<Body> {
        let (parts, incoming) = response.into_parts();
        let mut lease = Lease {
            connection: Some(connection),
            upstream: self.clone(),
            keep_alive: keep_alive(&parts.headers),
        };
        if parts.status == StatusCode::SWITCHING_PROTOCOLS {
            lease.detach();
        }
        if incoming.is_end_stream() {
            lease.give_back();
        }
        Response::from_parts(parts, Body::new(Leased { incoming, lease }))
    }
}

/// A response body that gives its connection back when it has ended, and closes it when it is dropped earlier.
#[derive(Debug)]
struct Leased {
    incoming: Incoming,
    lease: Lease,
}

#[derive(Debug)]
struct Lease {
    /// Boxed: it is handed on many times for each request.
    connection: Option<Box<Connection>>,
    upstream: Arc<Inner>,
    keep_alive: Option<Duration>,
}

impl Lease {
    fn poll(
        &mut self,
        body: &mut Incoming,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        match &mut self.connection {
            Some(connection) => connection.poll_body(body, cx),
            None => Pin::new(body).poll_frame(cx).map_err(Into::into),
        }
    }

    fn give_back(&mut self) {
        if let Some(mut connection) = self.connection.take()
            && connection.rest()
        {
            self.upstream.pool.put(connection, self.keep_alive);
        }
    }

    /// From here on the connection is a tunnel's.
    fn detach(&mut self) {
        if let Some(connection) = self.connection.take() {
            connection.detach();
        }
    }
}

impl HttpBody for Leased {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let this = &mut *self;
        let frame = ready!(this.lease.poll(&mut this.incoming, cx));
        match &frame {
            Some(Err(_)) => this.lease.connection = None,
            // Whoever reads this body may stop at its last frame and never ask for the `None`.
            Some(Ok(_)) if !this.incoming.is_end_stream() => {}
            _ => this.lease.give_back(),
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.incoming.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.incoming.size_hint()
    }
}

const KEEP_ALIVE: HeaderName = HeaderName::from_static("keep-alive");

/// `Keep-Alive: timeout=5`, as Node's servers send it, in time.
fn keep_alive(headers: &HeaderMap) -> Option<Duration> {
    let value = headers.get(KEEP_ALIVE)?.to_str().ok()?;
    let seconds = value.split(',').find_map(|part| part.trim().strip_prefix("timeout="))?;
    Some(Duration::from_secs(seconds.parse().ok()?))
}

fn classify(source: hyper::Error) -> UpstreamError {
    if source.is_parse() { UpstreamError::Protocol { source } } else { UpstreamError::Closed { source } }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_provider_says_how_long_it_keeps_a_connection() {
        for (value, seconds) in [
            ("timeout=5", Some(5)),
            ("timeout=5, max=100", Some(5)),
            ("max=100,timeout=72", Some(72)),
            ("timeout=0", Some(0)),
            ("max=100", None),
            ("timeout=", None),
            ("timeout=-1", None),
            ("timeout=5s", None),
            ("", None),
        ] {
            let headers = [(http::header::HeaderName::from_static("keep-alive"), value.parse().unwrap())];
            let told = keep_alive(&headers.into_iter().collect());
            assert_eq!(told, seconds.map(Duration::from_secs), "{value:?}");
        }
        assert_eq!(keep_alive(&HeaderMap::new()), None);
    }
}
