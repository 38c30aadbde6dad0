//! WebSockets: after the upstream's 101 the connection speaks another protocol, and bytes go both ways untouched.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use http::header::{CONNECTION, UPGRADE};
use http::request::Parts;
use http::{Method, Version};
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use perimeter_interceptor::BodyEnd;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf, copy_bidirectional};

use super::account::Account;
use super::client_stream::Handle;
use super::forward::{is_one_of, tokens};
use crate::journal::Lane;
use crate::upstream::Switched;

/// The client's end of the tunnel, where this request asks for a WebSocket (RFC 6455 section 4.1). Other protocols
/// are not asked for upstream: we could not watch what they say.
pub(super) fn requested(parts: &mut Parts) -> Option<OnUpgrade> {
    let on_upgrade = parts.extensions.remove::<OnUpgrade>()?;
    let says = |name, word| {
        parts.headers.get_all(name).iter().any(|value| tokens(value).any(|token| is_one_of(token, &[word])))
    };
    let is_websocket = parts.version == Version::HTTP_11
        && parts.method == Method::GET
        && says(CONNECTION, "upgrade")
        && says(UPGRADE, "websocket");
    is_websocket.then_some(on_upgrade)
}

/// What a connection becomes after a 101.
#[derive(Debug)]
pub(super) struct Tunnel {
    /// The client's socket.
    pub(super) client: Handle,
    /// Who counts the bytes.
    pub(super) account: Arc<Account>,
    /// Who is told what the client says.
    pub(super) from_client: Option<Lane>,
    /// Who is told what the upstream says.
    pub(super) from_upstream: Option<Lane>,
}

impl Tunnel {
    /// Carries bytes both ways until both ends have said that they are done, or one of them broke off.
    pub(super) async fn pump(self, client_side: OnUpgrade, mut upstream_side: Switched) {
        if let Some(lane) = &self.from_upstream {
            lane.upgraded("websocket");
        }
        let client_side = match client_side.await {
            Ok(client_side) => client_side,
            Err(error) => {
                tracing::debug!(%error, "an upgrade did not come about");
                return;
            }
        };
        let client = self.client.clone();
        let mut client_side =
            Watched { stream: TokioIo::new(client_side), tunnel: self, told: 0, broken: false };
        if let Err(error) = copy_bidirectional(&mut client_side, &mut upstream_side).await {
            tracing::debug!(%error, "a tunnel broke off");
            if !client_side.broken
                && let Some(lane) = &mut client_side.tunnel.from_upstream
            {
                lane.close(BodyEnd::Failed(error.to_string().into()));
            }
            client.reset_when_closed(true);
            upstream_side.reset();
        }
    }
}

/// The client's end of a tunnel: what is read from it, the client said; what is written to it, the upstream.
struct Watched<S> {
    stream: S,
    tunnel: Tunnel,
    /// How much of what is about to be written has been told.
    told: usize,
    /// Whether it was this end that failed.
    broken: bool,
}

impl<S: AsyncRead + Unpin> AsyncRead for Watched<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let result = ready!(Pin::new(&mut self.stream).poll_read(cx, buf));
        self.broken |= result.is_err();
        let read = &buf.filled()[before..];
        self.tunnel.account.request_bytes(read.len());
        if let Some(lane) = &mut self.tunnel.from_client {
            match &result {
                Ok(()) if read.is_empty() => lane.close(BodyEnd::COMPLETE),
                Ok(()) => lane.bytes(read),
                Err(error) => lane.close(BodyEnd::Failed(error.to_string().into())),
            }
        }
        Poll::Ready(result)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Watched<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let this = &mut *self;
        // Before it goes on its way, and once, however many attempts it takes.
        if let (Some(lane), Some(news)) = (&mut this.tunnel.from_upstream, buf.get(this.told..)) {
            lane.bytes(news);
            this.told = buf.len();
        }
        let result = ready!(Pin::new(&mut this.stream).poll_write(cx, buf));
        this.broken |= result.is_err();
        let written = result?;
        this.told = this.told.saturating_sub(written);
        this.tunnel.account.response_bytes(written);
        Poll::Ready(Ok(written))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if let Some(lane) = &mut self.tunnel.from_upstream {
            lane.close(BodyEnd::COMPLETE);
        }
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
