//! The byte stream to a provider: TCP or TLS, with one repair.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;

/// A connection to a provider.
///
/// A provider that answers early (413, 429) and closes makes our next write fail while its answer still waits
/// to be read. hyper gives such a connection up at the failed write and the answer is lost, so a failed write
/// is kept from it: the rest of the request goes nowhere, and reading tells how the exchange ends.
#[derive(Debug)]
pub(super) struct Stream {
    transport: Transport,
    write_failed: bool,
}

#[derive(Debug)]
pub(super) enum Transport {
    Tcp(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

impl Stream {
    pub(super) fn new(transport: Transport) -> Self {
        Self { transport, write_failed: false }
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

    /// Passes `result` on, but for a failure: then all `len` bytes count as written.
    fn forgive(&mut self, result: Poll<io::Result<usize>>, len: usize) -> Poll<io::Result<usize>> {
        match result {
            Poll::Ready(Err(_)) => {
                self.write_failed = true;
                Poll::Ready(Ok(len))
            }
            other => other,
        }
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
        transport!(self, io => Pin::new(io).poll_read(cx, buf))
    }
}

impl AsyncWrite for Stream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        if self.write_failed {
            return Poll::Ready(Ok(buf.len()));
        }
        let result = transport!(self, io => Pin::new(io).poll_write(cx, buf));
        self.forgive(result, buf.len())
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
        let result = transport!(self, io => Pin::new(io).poll_write_vectored(cx, bufs));
        self.forgive(result, len)
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
