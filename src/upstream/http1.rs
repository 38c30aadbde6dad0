//! A provider over HTTP/1.1.
//!
//! Its connections are ours and not a client library's, because three promises need to know them: nothing is sent
//! twice, connecting is not counted as the proxy's own time, and a connection goes back to the pool when its response
//! has ended, not earlier. What is said on them is, too: a library reads and writes all of a head, and hands each part
//! of a body on through buffers and channels of its own, which was a fifth of what a small request took outside of the
//! kernel, and a quarter of what an event of a fast stream did (bench/TRIED.md).

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, Request, Response, StatusCode, response};
use http_body::{Body as HttpBody, Frame, SizeHint};
use tokio_util::task::TaskTracker;

use super::connect::Connector;
use super::connection::Connection;
use super::pool::Pool;
use super::sending::Sending;
use super::stream::Switched;
use super::turn::look;
use super::{Handover, OnInterim, Upstream, UpstreamError};
use crate::body::{Body, BoxError};
use crate::metrics::Metrics;
use crate::raw_head::{RawHead, Shows};

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
    pub(crate) raw: RawHead,
    /// What the connection is after a 101.
    pub(crate) switched: Option<Switched>,
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

    /// As a service for somebody in this process: responses have all their headers.
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

    /// Does so every second while there are some, as long as it is polled.
    pub(crate) async fn keep_sweeping(&self) {
        self.0.pool.keep_sweeping().await;
    }
}

impl Inner {
    /// Not an `async fn`, which would hold its arguments twice.
    fn send(
        self: &Arc<Self>,
        request: Request<Body>,
        raw: Option<RawHead>,
    ) -> impl Future<Output = Result<Received, UpstreamError>> + Send {
        let method = request.method().clone();
        let interim = request.extensions().get::<OnInterim>().cloned();
        let shows = if raw.is_some() { Shows::Needed } else { Shows::All };
        let mut request = Sending::new(request, raw.as_ref());
        drop(raw);
        async move {
            let mut connecting = Duration::ZERO;
            loop {
                let mut sent = Instant::now();
                let (mut connection, is_reused) = match self.pooled(&mut sent).await {
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
                request.begin(is_reused && connection.fails_whole());
                let tell = |status| interim.iter().for_each(|interim| interim.tell(status));
                let answer = std::future::poll_fn(|cx| {
                    connection.poll_answer(&mut request, (&method, shows), tell, cx)
                });
                // Else not a byte of it was taken: there are other connections.
                if let Some((head, raw)) = answer.await? {
                    if is_reused {
                        self.metrics.upstream_reused();
                    }
                    let handover = Handover { sent, connecting, answered: Instant::now() };
                    connection.answered(request);
                    let (response, switched) = self.receive(head.parts, connection);
                    return Ok(Received { response, handover, raw, switched });
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
            if connection.is_ready() {
                return Some(connection);
            }
        }
    }

    /// Keeps `connection` for another exchange, if it can be.
    fn keep(&self, mut connection: Box<Connection>, keep_alive: Option<Duration>) {
        if connection.is_ready() {
            self.pool.put(connection, keep_alive);
        }
    }

    async fn connect(&self) -> Result<Box<Connection>, UpstreamError> {
        let connection = Connection::new(self.connector.connect().await?, self.tasks.clone());
        self.metrics.upstream_opened();
        Ok(Box::new(connection))
    }

    fn receive(
        self: &Arc<Self>,
        parts: response::Parts,
        connection: Box<Connection>,
    ) -> (Response<Body>, Option<Switched>) {
        let keep_alive = keep_alive(&parts.headers);
        if parts.status == StatusCode::SWITCHING_PROTOCOLS {
            return (Response::from_parts(parts, Body::full(Bytes::new())), connection.switch());
        }
        let mut body = Leased { connection: Some(connection), upstream: self.clone(), keep_alive };
        body.give_back_if_ended();
        (Response::from_parts(parts, Body::new(body)), None)
    }
}

/// A response body that gives its connection back when it has ended, and closes it when it is dropped earlier.
#[derive(Debug)]
struct Leased {
    /// None when the body has ended, well or badly.
    connection: Option<Box<Connection>>,
    upstream: Arc<Inner>,
    keep_alive: Option<Duration>,
}

/// A body that broke off, or is not framed as it must be.
#[derive(Debug, thiserror::Error)]
#[error("error reading a body from connection")]
struct BrokenBody(#[source] io::Error);

impl Leased {
    fn give_back_if_ended(&mut self) {
        if self.connection.as_ref().is_some_and(|connection| connection.body().has_ended())
            && let Some(mut connection) = self.connection.take()
        {
            let keep_alive = self.keep_alive;
            if connection.rest() {
                let upstream = self.upstream.clone();
                self.upstream.tasks.spawn(async move {
                    std::future::poll_fn(|cx| connection.poll_sent(cx)).await;
                    upstream.keep(connection, keep_alive);
                });
            } else {
                self.upstream.keep(connection, keep_alive);
            }
        }
    }

    fn broken(&mut self, error: io::Error) -> Option<Result<Frame<Bytes>, BoxError>> {
        self.connection = None;
        Some(Err(BrokenBody(error).into()))
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
        let Some(connection) = &mut this.connection else { return Poll::Ready(None) };
        let frame = match ready!(connection.poll_data(cx)) {
            Some(Ok(data)) => Some(Frame::data(data)),
            Some(Err(error)) => return Poll::Ready(this.broken(error)),
            None => match connection.trailers() {
                Ok(trailers) => trailers.map(Frame::trailers),
                Err(error) => return Poll::Ready(this.broken(error)),
            },
        };
        // Whoever reads this body may stop at its last frame and never ask for the `None`.
        this.give_back_if_ended();
        Poll::Ready(frame.map(Ok))
    }

    fn is_end_stream(&self) -> bool {
        self.connection.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        let left = self.connection.as_ref().map_or(Some(0), |connection| connection.body().left());
        left.map_or_else(SizeHint::default, SizeHint::with_exact)
    }
}

const KEEP_ALIVE: HeaderName = HeaderName::from_static("keep-alive");

/// `Keep-Alive: timeout=5`, as Node's servers send it, in time.
fn keep_alive(headers: &HeaderMap) -> Option<Duration> {
    let value = headers.get(KEEP_ALIVE)?.to_str().ok()?;
    let seconds = value.split(',').find_map(|part| part.trim().strip_prefix("timeout="))?;
    Some(Duration::from_secs(seconds.parse().ok()?))
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
