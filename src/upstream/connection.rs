//! One connection to the provider, and the exchange on it.
//!
//! Whoever has an exchange on it drives it: nothing of it goes on by itself but the rest of a request that was answered
//! early.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker, ready};

use bytes::Bytes;
use http::{HeaderMap, Method, StatusCode};
use tokio::io::{AsyncRead as _, ReadBuf};
use tokio::runtime;
use tokio::task::AbortHandle;
use tokio_util::task::TaskTracker;

use super::UpstreamError;
use super::answer::{self, Head};
use super::body::{Decoder, Framing};
use super::sending::Sending;
use super::source::Source;
use super::stream::{Stream, Switched};
use crate::raw_head::{RawHead, Shows};

/// A connection to the provider. Dropping it closes it, whatever it is doing.
#[derive(Debug)]
pub(super) struct Connection {
    io: Io,
    source: Source,
    head: answer::Reading,
    body: Decoder,
    /// Whether it may be used for another exchange, as far as this one is concerned.
    keeps: bool,
    /// Whether an exchange is on it.
    in_use: bool,
    tasks: TaskTracker,
}

/// Our end of it.
#[derive(Debug)]
enum Io {
    Own(Stream),
    /// The rest of a request is sent by a task.
    Shared(Arc<Mutex<Shared>>, AbortHandle),
    Gone,
}

#[derive(Debug)]
struct Shared {
    /// None when the request came to no good end.
    stream: Option<Stream>,
    rest: Rest,
    /// Whether the answer has come whole: whatever comes then, comes unasked.
    is_answered: bool,
    /// Who reads the answer, and then waits for the task.
    reader: Option<Waker>,
    /// The task.
    sender: Option<Waker>,
}

/// What became of the rest of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Rest {
    IsSent,
    Sent,
    /// The provider would not have it, it came to no good end, or the provider spoke or left meanwhile.
    Lost,
}

/// The request's body failed in the middle of its answer.
#[derive(Debug, thiserror::Error)]
#[error("the request broke off while it was answered")]
struct RequestCut;

impl Connection {
    /// Speaks HTTP/1.1 on `stream`. What goes on by itself goes on on `tasks`.
    pub(super) fn new(stream: Stream, tasks: TaskTracker) -> Self {
        Self {
            io: Io::Own(stream),
            source: Source::default(),
            head: answer::Reading::default(),
            body: Decoder::new(Framing::Sized(0)),
            keeps: true,
            in_use: false,
            tasks,
        }
    }

    /// Sends as much of `request` as can be sent, and waits for the head of its answer. None where the request is
    /// untouched: see [`Sending::is_untouched`]. `interim` is told of what comes before that head.
    ///
    /// # Errors
    /// [`UpstreamError`] where no answer came.
    pub(super) fn poll_answer(
        &mut self,
        request: &mut Sending,
        asked: (&Method, Shows),
        interim: impl Fn(StatusCode),
        cx: &mut Context<'_>,
    ) -> Poll<Result<Option<(Head, RawHead)>, UpstreamError>> {
        self.in_use = true;
        let Io::Own(stream) = &mut self.io else {
            return Poll::Ready(Err(UpstreamError::Closed { source: io::ErrorKind::NotConnected.into() }));
        };
        if !request.has_ended()
            && let Poll::Ready(Err(error)) = request.poll(Pin::new(stream), cx)
        {
            return Poll::Ready(Err(UpstreamError::Closed { source: io::Error::other(error) }));
        }
        if request.is_untouched() {
            return Poll::Ready(Ok(None));
        }
        let (head, raw) = ready!(self.head.poll(&mut self.source, Pin::new(stream), asked, interim, cx))?;
        self.body = Decoder::new(head.framing.unwrap_or(Framing::Sized(0)));
        self.keeps = head.keeps;
        Poll::Ready(Ok(Some((head, raw))))
    }

    /// An answer has begun: what is not sent yet of its request goes on by itself.
    pub(super) fn answered(&mut self, request: Sending) {
        if request.has_ended() {
            self.keeps &= request.was_taken();
            return;
        }
        if let Io::Own(stream) = std::mem::replace(&mut self.io, Io::Gone) {
            let shared = Arc::new(Mutex::new(Shared {
                stream: Some(stream),
                rest: Rest::IsSent,
                is_answered: false,
                reader: None,
                sender: None,
            }));
            let task = self.tasks.spawn(send_rest(shared.clone(), request)).abort_handle();
            self.io = Io::Shared(shared, task);
        }
    }

    /// The next data of the answer's body.
    pub(super) fn poll_data(&mut self, cx: &mut Context<'_>) -> Poll<Option<io::Result<Bytes>>> {
        let Self { io, source, body, .. } = self;
        match io {
            Io::Own(stream) => source.poll_data(Pin::new(stream), body, cx),
            Io::Shared(shared, _) => {
                let mut shared = lock(shared);
                shared.reader = Some(cx.waker().clone());
                match &mut shared.stream {
                    Some(stream) => source.poll_data(Pin::new(stream), body, cx),
                    None => Poll::Ready(Some(Err(io::Error::other(RequestCut)))),
                }
            }
            Io::Gone => Poll::Ready(Some(Err(io::ErrorKind::NotConnected.into()))),
        }
    }

    /// The answer's trailers, when all else has come.
    ///
    /// # Errors
    /// Where they are no fields.
    pub(super) fn trailers(&mut self) -> io::Result<Option<HeaderMap>> {
        self.body.trailers()
    }

    /// The body of the answer.
    pub(super) fn body(&self) -> &Decoder {
        &self.body
    }

    /// The answer has come whole. Says whether some of its request is still being sent: see [`Connection::poll_sent`].
    pub(super) fn rest(&mut self) -> bool {
        self.in_use = false;
        let Io::Shared(shared, _) = &self.io else { return false };
        let mut shared = lock(shared);
        shared.is_answered = true;
        if let Some(sender) = shared.sender.take() {
            sender.wake();
        }
        true
    }

    /// Waits for the end of a request that was answered early. Its connection is nobody's until then.
    pub(super) fn poll_sent(&mut self, cx: &Context<'_>) -> Poll<()> {
        if let Io::Shared(shared, _) = &self.io {
            let mut shared = lock(shared);
            if shared.rest == Rest::IsSent {
                shared.reader = Some(cx.waker().clone());
                return Poll::Pending;
            }
            self.keeps &= shared.rest == Rest::Sent;
            let stream = shared.stream.take();
            drop(shared);
            self.io = stream.map_or(Io::Gone, Io::Own);
        }
        Poll::Ready(())
    }

    /// Whether it takes a request, as far as can be known.
    pub(super) fn is_ready(&mut self) -> bool {
        let Io::Own(stream) = &mut self.io else { return false };
        self.keeps && self.body.has_ended() && !self.source.stirs(Pin::new(stream))
    }

    /// From here on it speaks another protocol.
    pub(super) fn switch(mut self) -> Option<Switched> {
        match std::mem::replace(&mut self.io, Io::Gone) {
            Io::Own(stream) => Some(Switched::new(stream, std::mem::take(&mut self.source).into_rest())),
            io => {
                self.io = io;
                None
            }
        }
    }

    /// Whether what it does not take of a request can go to another connection, if that is all of it.
    pub(super) fn fails_whole(&self) -> bool {
        matches!(&self.io, Io::Own(stream) if stream.fails_whole())
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        match std::mem::replace(&mut self.io, Io::Gone) {
            Io::Shared(_, task) => task.abort(),
            // Not before its exchange has told that it was broken off: what the provider does at the sight of a closed
            // connection is told after that.
            Io::Own(stream) if self.in_use && runtime::Handle::try_current().is_ok() => {
                drop(self.tasks.spawn(async move { stream.close() }));
            }
            Io::Own(stream) => stream.close(),
            Io::Gone => {}
        }
    }
}

async fn send_rest(shared: Arc<Mutex<Shared>>, mut request: Sending) {
    let mut spoke = false;
    let sent = std::future::poll_fn(|cx| {
        let mut shared = lock(&shared);
        let Shared { stream: Some(stream), is_answered, sender, .. } = &mut *shared else {
            return Poll::Ready(Ok(false));
        };
        if let Poll::Ready(sent) = request.poll(Pin::new(&mut *stream), cx) {
            return Poll::Ready(sent.map(|()| true));
        }
        // Nobody else would see that the provider leaves.
        let mut byte = [0];
        let mut buf = ReadBuf::new(&mut byte);
        if *is_answered && !spoke && Pin::new(stream).poll_read(cx, &mut buf).is_ready() {
            if buf.filled().is_empty() {
                return Poll::Ready(Ok(false));
            }
            spoke = true;
        }
        *sender = Some(cx.waker().clone());
        Poll::Pending
    });
    let sent = sent.await;
    let mut shared = lock(&shared);
    if let Err(error) = &sent {
        tracing::debug!(%error, "the rest of a request came to no good end");
    }
    let is_sent = matches!(sent, Ok(true)) && request.was_taken() && !spoke;
    shared.rest = if is_sent { Rest::Sent } else { Rest::Lost };
    // Nothing but the end of the connection tells the provider, unless it is still answering.
    if (sent.is_err() || (shared.is_answered && !is_sent))
        && let Some(stream) = shared.stream.take()
    {
        stream.close();
    }
    if let Some(reader) = shared.reader.take() {
        reader.wake();
    }
}

fn lock(shared: &Mutex<Shared>) -> MutexGuard<'_, Shared> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}
