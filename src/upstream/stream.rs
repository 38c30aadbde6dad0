//! The byte stream to a provider: TCP or TLS, with one repair.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;

use crate::raw_head::{HeadReader, HeadWriter, RawHead, Shows};

/// A connection to a provider.
///
/// A provider that answers early (413, 429) and closes makes our next write fail while its answer still waits
/// to be read. hyper gives such a connection up at the failed write and the answer is lost, so a failed write
/// is kept from it: the rest of the request goes nowhere, and reading tells how the exchange ends.
#[derive(Debug)]
pub(super) struct Stream {
    transport: Transport,
    write_failed: bool,
    heads: Heads,
}

/// How the heads on a connection look: what its exchange knows of the request's, and learns of the response's.
#[derive(Clone, Debug, Default)]
pub(super) struct Heads(Arc<Mutex<Passing>>);

#[derive(Debug, Default)]
struct Passing {
    writer: HeadWriter,
    reader: HeadReader,
    /// Whether the last write had to wait.
    write_blocked: bool,
}

impl Heads {
    /// What is written next is a request's head, once `raw`, and what is read next its response's. To be called when
    /// the connection is idle. Who knows no raw heads is shown all of the response's.
    pub(super) fn expect(&self, raw: Option<Arc<RawHead>>) {
        let Passing { writer, reader, .. } = &mut *self.lock();
        reader.expect(if raw.is_some() { Shows::Needed } else { Shows::All });
        if let Some(raw) = raw {
            writer.expect(raw);
        }
    }

    /// A response has begun: its head as it came, and whether hyper still holds some of the request.
    pub(super) fn responded(&self) -> (Option<RawHead>, bool) {
        let mut passing = self.lock();
        (passing.reader.take(), passing.write_blocked)
    }

    fn lock(&self) -> MutexGuard<'_, Passing> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[derive(Debug)]
pub(super) enum Transport {
    Tcp(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

impl Stream {
    pub(super) fn new(transport: Transport) -> Self {
        Self { transport, write_failed: false, heads: Heads::default() }
    }

    /// The looks of the heads that pass here.
    pub(super) fn heads(&self) -> Heads {
        self.heads.clone()
    }

    /// Closes the connection with a reset.
    pub(super) fn reset(self) {
        let tcp = match &self.transport {
            Transport::Tcp(tcp) => tcp,
            Transport::Tls(tls) => tls.get_ref().0,
        };
        // Nothing can be done where this fails: the socket is going away.
        let _ = SockRef::from(tcp).set_linger(Some(Duration::ZERO));
    }
}

macro_rules! transport {
    ($self:ident, $io:ident => $call:expr) => {
        match &mut $self.transport {
            Transport::Tcp($io) => $call,
            Transport::Tls($io) => $call,
        }
    };
}

impl AsyncRead for Stream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        ready!(transport!(self, io => Pin::new(io).poll_read(cx, buf)))?;
        // Never none of it: the empty line behind a head is shown.
        let shown = self.heads.lock().reader.feed(&mut buf.filled_mut()[before..]);
        buf.set_filled(before + shown);
        Poll::Ready(Ok(()))
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
        let this = &mut *self;
        let mut passing = this.heads.lock();
        let result = transport!(this, io => passing.writer.poll_write(Pin::new(io), cx, bufs));
        passing.write_blocked = result.is_pending();
        drop(passing);
        match result {
            Poll::Ready(Err(_)) => {
                this.write_failed = true;
                Poll::Ready(Ok(len))
            }
            other => other,
        }
    }

    fn is_write_vectored(&self) -> bool {
        match &self.transport {
            Transport::Tcp(io) => io.is_write_vectored(),
            Transport::Tls(io) => io.is_write_vectored(),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.write_failed {
            return Poll::Ready(Ok(()));
        }
        match transport!(self, io => Pin::new(io).poll_flush(cx)) {
            Poll::Ready(Err(_)) => {
                self.write_failed = true;
                Poll::Ready(Ok(()))
            }
            other => other,
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.write_failed {
            return Poll::Ready(Ok(()));
        }
        transport!(self, io => Pin::new(io).poll_shutdown(cx))
    }
}
