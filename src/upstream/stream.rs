//! The byte stream to a provider: TCP or TLS, with one repair, and a way past hyper for an answer's chunks.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;

use bytes::Bytes;
use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;

use super::chunks::{Chunks, Next};
use crate::pages;
use crate::raw_head::{Fed, HeadReader, HeadWriter, RawHead, Shows};

macro_rules! transport {
    ($transport:expr, $io:ident => $call:expr) => {
        match $transport {
            Transport::Tcp($io) => $call,
            Transport::Tls($io) => $call,
        }
    };
}

/// A connection to a provider, as hyper reads and writes it.
///
/// A provider that answers early (413, 429) and closes makes our next write fail while its answer still waits
/// to be read. hyper gives such a connection up at the failed write and the answer is lost, so a failed write
/// is kept from it: the rest of the request goes nowhere, and reading tells how the exchange ends.
#[derive(Debug)]
pub(super) struct Stream {
    handle: Handle,
    write_failed: bool,
    /// Whether what was written may wait to be flushed.
    holds_back: bool,
}

/// Everybody else's end: how heads look, and an answer's chunks, which pass hyper by.
#[derive(Clone, Debug)]
pub(super) struct Handle(Arc<Mutex<Inner>>);

#[derive(Debug)]
struct Inner {
    transport: Transport,
    writer: HeadWriter,
    reader: HeadReader,
    /// Whether something that was written has to wait.
    write_blocked: bool,
    /// Whether the body of an answer may pass hyper by.
    may_pass_by: bool,
    /// An answer's body, while it passes hyper by, and who of hyper's wants to read meanwhile.
    chunks: Option<Chunks>,
    waiting: Option<Waker>,
    /// What hyper reads before anything else: what was read past it, and how reading failed.
    behind: Bytes,
    failed: Option<io::Error>,
    age: Age,
    /// Whether hyper's room to read into is to be given back.
    lies: bool,
}

/// Whether an answer has been under way for a while. Memory that it does not need is given back then.
#[derive(Clone, Debug, Default)]
pub(crate) struct Age(Arc<AtomicBool>);

impl Age {
    /// It has.
    pub(crate) fn grows(&self) {
        self.0.store(true, Relaxed);
    }

    /// Whether it was said since somebody asked last.
    fn has_grown(&self) -> bool {
        self.0.load(Relaxed) && self.0.swap(false, Relaxed)
    }
}

/// What the head of an answer brought.
pub(super) struct Responded {
    /// The head as it came.
    pub(super) raw: Option<RawHead>,
    /// Where its body can be had with [`Handle::poll_chunk`]: that of the answer.
    pub(super) age: Option<Age>,
}

impl Handle {
    fn new(transport: Transport) -> Self {
        Self(Arc::new(Mutex::new(Inner {
            transport,
            writer: HeadWriter::default(),
            reader: HeadReader::default(),
            write_blocked: false,
            may_pass_by: false,
            chunks: None,
            waiting: None,
            behind: Bytes::new(),
            failed: None,
            age: Age::default(),
            lies: false,
        })))
    }

    /// What is written next is a request's head, once `raw`, and what is read next its response's, whose body may pass
    /// hyper by where that is said. To be called when the connection is idle. Who knows no raw heads is shown all of the
    /// response's.
    pub(super) fn expect(&self, raw: Option<Arc<RawHead>>, may_pass_by: bool) {
        let mut inner = self.lock();
        inner.age.has_grown();
        inner.may_pass_by = may_pass_by;
        inner.reader.expect(if raw.is_some() { Shows::Needed } else { Shows::All });
        if let Some(raw) = raw {
            inner.writer.expect(raw);
        }
    }

    /// A response has begun. Says as well whether some of the request is still to be sent; then hyper reads all of the
    /// body.
    pub(super) fn responded(&self, is_sending: bool) -> (Responded, bool) {
        let mut inner = self.lock();
        let goes_on = is_sending || inner.write_blocked;
        if goes_on {
            inner.leave_to_hyper(None);
        }
        let age = inner.chunks.is_some().then(|| inner.age.clone());
        (Responded { raw: inner.reader.take(), age }, goes_on)
    }

    /// From here on, hyper reads.
    pub(super) fn leave_to_hyper(&self) {
        self.lock().leave_to_hyper(None);
    }

    /// The next data of a chunked answer; `None` from where on hyper reads it.
    pub(super) fn poll_chunk(&self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, BrokenBody>>> {
        let mut inner = self.lock();
        let Inner { transport, chunks: Some(chunks), .. } = &mut *inner else { return Poll::Ready(None) };
        match ready!(transport!(transport, io => chunks.poll_next(Pin::new(io), cx))) {
            Next::Data(data) => Poll::Ready(Some(Ok(data))),
            Next::Broken(why) => {
                Poll::Ready(Some(Err(BrokenBody(io::Error::new(io::ErrorKind::InvalidInput, why)))))
            }
            Next::Hypers(failed) => {
                inner.leave_to_hyper(failed);
                Poll::Ready(None)
            }
        }
    }

    /// Whether the answer has grown old, so that hyper is to have a turn: it gives up what it read the head into.
    pub(super) fn grows_old(&self) -> bool {
        let mut inner = self.lock();
        inner.lies = inner.age.has_grown();
        inner.lies
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A body that is not framed as it must be, in hyper's words.
#[derive(Debug, thiserror::Error)]
#[error("error reading a body from connection")]
pub(super) struct BrokenBody(#[source] io::Error);

impl Inner {
    /// From here on, hyper reads.
    fn leave_to_hyper(&mut self, failed: Option<io::Error>) {
        if let Some(chunks) = self.chunks.take() {
            (self.behind, self.failed) = (chunks.into_rest(), failed);
        }
        if let Some(waiting) = self.waiting.take() {
            waiting.wake();
        }
    }

    fn poll_read(&mut self, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if !self.behind.is_empty() {
            let len = self.behind.len().min(buf.remaining());
            buf.put_slice(&self.behind.split_to(len));
            return Poll::Ready(Ok(()));
        }
        if let Some(error) = self.failed.take() {
            return Poll::Ready(Err(error));
        }
        if self.chunks.is_some() {
            if std::mem::take(&mut self.lies) {
                pages::give_back(buf);
            }
            self.waiting = Some(cx.waker().clone());
            return Poll::Pending;
        }
        let before = buf.filled().len();
        ready!(transport!(&mut self.transport, io => Pin::new(io).poll_read(cx, buf)))?;
        let read = &mut buf.filled_mut()[before..];
        // Never none of it: the empty line behind a head is shown.
        let Fed { mut shown, body } = self.reader.feed(read);
        if let Some(body) = body
            && self.may_pass_by
        {
            self.chunks = Some(Chunks::new(&read[body..shown]));
            shown = body;
        }
        buf.set_filled(before + shown);
        Poll::Ready(Ok(()))
    }
}

#[derive(Debug)]
pub(super) enum Transport {
    Tcp(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

impl Stream {
    pub(super) fn new(transport: Transport) -> Self {
        let holds_back = matches!(transport, Transport::Tls(_));
        Self { handle: Handle::new(transport), write_failed: false, holds_back }
    }

    /// Everybody else's end of it.
    pub(super) fn handle(&self) -> Handle {
        self.handle.clone()
    }

    /// Closes the connection with a reset.
    pub(super) fn reset(self) {
        let inner = self.handle.lock();
        let tcp = match &inner.transport {
            Transport::Tcp(tcp) => tcp,
            Transport::Tls(tls) => tls.get_ref().0,
        };
        // Nothing can be done where this fails: the socket is going away.
        let _ = SockRef::from(tcp).set_linger(Some(Duration::ZERO));
    }
}

impl AsyncRead for Stream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        self.handle.lock().poll_read(cx, buf)
    }
}

impl AsyncWrite for Stream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(cx, &[IoSlice::new(buf)])
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let len = bufs.iter().map(|buf| buf.len()).sum();
        if self.write_failed {
            return Poll::Ready(Ok(len));
        }
        let mut inner = self.handle.lock();
        let Inner { transport, writer, .. } = &mut *inner;
        let result = transport!(transport, io => writer.poll_write(Pin::new(io), cx, bufs));
        inner.write_blocked = result.is_pending();
        drop(inner);
        match result {
            Poll::Ready(Err(_)) => {
                self.write_failed = true;
                Poll::Ready(Ok(len))
            }
            other => other,
        }
    }

    fn is_write_vectored(&self) -> bool {
        transport!(&self.handle.lock().transport, io => io.is_write_vectored())
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.write_failed || !self.holds_back {
            return Poll::Ready(Ok(()));
        }
        let mut inner = self.handle.lock();
        let flushed = transport!(&mut inner.transport, io => Pin::new(io).poll_flush(cx));
        // TLS takes what it cannot write yet.
        inner.write_blocked = flushed.is_pending();
        drop(inner);
        match flushed {
            Poll::Ready(Err(_)) => {
                self.write_failed = true;
                Poll::Ready(Ok(()))
            }
            other => other,
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.write_failed {
            return Poll::Ready(Ok(()));
        }
        transport!(&mut self.handle.lock().transport, io => Pin::new(io).poll_shutdown(cx))
    }
}
