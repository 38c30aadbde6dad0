//! One connection to the provider: our end of it, and what drives it.
//!
//! Whoever has an exchange on it drives it ([`Bell`]). Only what goes on when its exchange is over, or goes both ways
//! at once, gets a task: the rest of a request that was answered early, and a tunnel.

use std::fmt;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::{Method, Request, Response};
use http_body::{Body as HttpBody, Frame, SizeHint};
use hyper::body::Incoming;
use hyper::client::conn::TrySendError;
use hyper::client::conn::http1::{Builder, SendRequest};
use hyper_util::rt::TokioIo;
use tokio::runtime;
use tokio::task::AbortHandle;
use tokio_util::task::TaskTracker;

use super::stream::{Handle, Responded, Stream};
use crate::bell::Bell;
use crate::body::{Body, BoxError};
use crate::raw_head::RawHead;

/// A connection to the provider.
///
/// Dropping it closes it, whatever it is doing: hyper's connection would otherwise go on trying to write to a provider
/// that does not read, long after the exchange is over and the client gone.
#[derive(Debug)]
pub(super) struct Connection {
    sender: SendRequest<Sending>,
    stream: Handle,
    driver: Driver,
    bell: Bell,
    /// Whether a request's body is not all hyper's yet.
    sending: Arc<AtomicBool>,
    /// Whether the head of a response came, and with it, most likely, the beginning of its body.
    fresh: bool,
    /// Whether the body of a response passes hyper by.
    in_chunks: bool,
    /// Whether an exchange is on it.
    in_use: bool,
    tasks: TaskTracker,
}

/// hyper's connection.
type Engine = Pin<Box<dyn Future<Output = hyper::Result<()>> + Send>>;

/// Who drives it.
enum Driver {
    /// Whoever has an exchange on it.
    Here(Engine),
    /// A task that ends with it.
    Task(AbortHandle),
    /// A task that ends by itself, or nobody any more.
    Gone,
}

impl fmt::Debug for Driver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Here(_) => "Here",
            Self::Task(_) => "Task",
            Self::Gone => "Gone",
        })
    }
}

impl Connection {
    /// Speaks HTTP/1.1 on `stream`. What goes on by itself goes on on `tasks`.
    pub(super) async fn open(stream: Stream, tasks: TaskTracker) -> hyper::Result<Self> {
        let handle = stream.handle();
        let (sender, engine) = Builder::new()
            .allow_obsolete_multiline_headers_in_responses(true)
            .handshake(TokioIo::new(stream))
            .await?;
        Ok(Self {
            sender,
            stream: handle,
            driver: Driver::Here(Box::pin(engine.with_upgrades())),
            bell: Bell::new(),
            sending: Arc::default(),
            fresh: false,
            in_chunks: false,
            in_use: false,
            tasks,
        })
    }

    /// What is sent next was once `raw`: see [`Handle::expect`]. Only whoever drives a connection can read past hyper; one
    /// that a task was given, since its request was answered early, is hyper's to read for as long as it lives.
    pub(super) fn expect(&self, raw: Option<Arc<RawHead>>, method: &Method) {
        let has_body = !matches!(*method, Method::HEAD | Method::CONNECT);
        self.stream.expect(raw, has_body && matches!(self.driver, Driver::Here(_)));
    }

    /// Sends `request` and waits for the head of its response.
    ///
    /// # Errors
    /// hyper's, with the request where nothing of it was written.
    pub(super) fn send(
        &mut self,
        request: Request<Body>,
    ) -> impl Future<Output = Result<Response<Incoming>, TrySendError<Request<Sending>>>> {
        self.in_use = true;
        self.sending.store(true, Relaxed);
        let sending = self.sending.clone();
        let answer = self.sender.try_send_request(request.map(|body| Sending { body, sending }));
        let Self { driver, bell, .. } = self;
        bell.ring();
        async move {
            let mut answer = pin!(answer);
            std::future::poll_fn(|cx| {
                bell.answer(cx, |cx| {
                    driver.drive(cx);
                    answer.as_mut().poll(cx)
                })
            })
            .await
        }
    }

    /// Polls `body`, that of a response that came here.
    pub(super) fn poll_body(
        &mut self,
        body: &mut Incoming,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let Self { stream, driver, bell, fresh, in_chunks, .. } = self;
        if *in_chunks {
            let polled = stream.poll_chunk(cx);
            if polled.is_pending() {
                let grows_old = stream.grows_old();
                if grows_old {
                    bell.ring();
                }
                // It may still have something to write.
                let failed = bell.answer(cx, |cx| {
                    // Only for what is wanted does hyper look for room.
                    let failed = if grows_old { failure(Pin::new(&mut *body).poll_frame(cx)) } else { None };
                    driver.drive(cx);
                    failed.map_or(Poll::Pending, Poll::Ready)
                });
                if let Poll::Ready(failed) = failed {
                    return Poll::Ready(Some(Err(failed.into())));
                }
            }
            if let Some(data) = ready!(polled) {
                return Poll::Ready(Some(data.map(Frame::data).map_err(Into::into)));
            }
            *in_chunks = false;
            bell.ring();
        }
        if !matches!(driver, Driver::Here(_)) {
            return Pin::new(body).poll_frame(cx).map_err(Into::into);
        }
        let polled = bell.answer(cx, |cx| {
            if std::mem::take(fresh)
                && let Poll::Ready(frame) = Pin::new(&mut *body).poll_frame(cx)
            {
                return Poll::Ready(frame);
            }
            driver.drive(cx);
            Pin::new(&mut *body).poll_frame(cx)
        });
        polled.map_err(Into::into)
    }

    /// A response has begun: nobody looks here any more but for its body. What is not yet sent of the request goes on
    /// by itself.
    pub(super) fn answered(&mut self) -> Responded {
        let (responded, goes_on) = self.stream.responded(self.sending.load(Relaxed));
        if goes_on {
            self.hand_to_task();
        }
        (self.fresh, self.in_chunks) = (true, responded.age.is_some());
        responded
    }

    /// Whether it may be kept for another exchange. What is still to be sent goes on by itself.
    pub(super) fn rest(&mut self) -> bool {
        self.in_use = false;
        if !self.sender.is_ready() {
            self.look();
        }
        if !self.sender.is_ready() && !self.sender.is_closed() {
            self.hand_to_task();
        }
        self.bell.rest();
        !self.sender.is_closed()
    }

    /// Whether it takes a request now; none where it never will again.
    pub(super) fn is_ready(&mut self) -> Option<bool> {
        self.look();
        if self.sender.is_closed() { None } else { Some(self.sender.is_ready()) }
    }

    /// Finds out what happened since somebody looked last.
    fn look(&mut self) {
        let Self { driver, bell, .. } = self;
        let nobody = Context::from_waker(std::task::Waker::noop());
        let _ = bell.answer(&nobody, |cx| -> Poll<()> {
            driver.drive(cx);
            Poll::Pending
        });
    }

    /// Lets a task drive it from here on, for as long as it is held.
    fn hand_to_task(&mut self) {
        self.stream.leave_to_hyper();
        self.in_chunks = false;
        if let Driver::Here(engine) = std::mem::replace(&mut self.driver, Driver::Gone) {
            self.driver = Driver::Task(self.tasks.spawn(drive(engine)).abort_handle());
        }
    }

    /// From here on the connection is a tunnel's, and ends by itself.
    pub(super) fn detach(mut self) {
        self.hand_to_task();
        self.driver = Driver::Gone;
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        match std::mem::replace(&mut self.driver, Driver::Gone) {
            Driver::Task(task) => task.abort(),
            // Not before its exchange has told that it was broken off: what the provider does at the sight of a closed
            // connection is told after that.
            Driver::Here(engine) if self.in_use && runtime::Handle::try_current().is_ok() => {
                drop(self.tasks.spawn(async move { drop(engine) }));
            }
            Driver::Here(_) | Driver::Gone => {}
        }
    }
}

fn failure(polled: Poll<Option<Result<Frame<Bytes>, hyper::Error>>>) -> Option<hyper::Error> {
    if let Poll::Ready(Some(Err(error))) = polled { Some(error) } else { None }
}

async fn drive(engine: Engine) {
    tell(engine.await);
}

fn tell(result: hyper::Result<()>) {
    if let Err(error) = result {
        tracing::debug!(%error, "upstream connection ended");
    }
}

impl Driver {
    fn drive(&mut self, cx: &mut Context<'_>) {
        if let Self::Here(engine) = self
            && let Poll::Ready(result) = engine.as_mut().poll(cx)
        {
            tell(result);
            *self = Self::Gone;
        }
    }
}

/// The body of a request; its end says that hyper has all of it.
#[derive(Debug)]
pub(super) struct Sending {
    body: Body,
    sending: Arc<AtomicBool>,
}

impl Sending {
    /// The request that hyper could not send.
    pub(super) fn unsent(mut self) -> Body {
        std::mem::replace(&mut self.body, Body::full(Bytes::new()))
    }
}

impl Drop for Sending {
    fn drop(&mut self) {
        self.sending.store(false, Relaxed);
    }
}

impl HttpBody for Sending {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
