//! A response's body on its way from the upstream to the client.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Body as HttpBody, Frame, SizeHint};

use super::account::Account;
use super::client_stream::OpenExchange;
use super::request_body::Gate;
use super::tap::Tap;
use crate::body::{Body, BoxError};
use crate::metrics::Outcome;

/// Passes the upstream's body on, keeps its account, and breaks off for the client where it broke off for us.
#[derive(Debug)]
pub(super) struct ResponseBody {
    body: Tap<Body>,
    account: Arc<Account>,
    client: OpenExchange,
    gate: Option<Gate>,
    shape: Shape,
    broken: Option<BoxError>,
    /// How many parts have come.
    parts: u32,
}

/// Of so many parts one is measured: looking at the clock is no small part of what a part costs.
const MEASURED: u32 = 8;

/// What the head says of its body.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Shape {
    /// The length that the head claims for a body that does not come (304), or that is empty. hyper keeps a
    /// `Content-Length` in its place only where the body agrees with it.
    pub(super) claimed: Option<u64>,
    /// Whether the end of the client's connection is the end of the body.
    pub(super) ends_with_connection: bool,
}

impl ResponseBody {
    pub(super) fn new(
        body: Tap<Body>,
        account: Arc<Account>,
        client: OpenExchange,
        gate: Option<Gate>,
        shape: Shape,
    ) -> Self {
        let this = Self { body, account, client, gate, shape, broken: None, parts: 0 };
        if shape.ends_with_connection {
            this.client.reset_when_closed(true);
        }
        if this.body.is_end_stream() {
            this.complete();
        }
        this
    }

    fn complete(&self) {
        self.account.ended(Outcome::Complete);
        if self.shape.ends_with_connection {
            self.client.reset_when_closed(false);
        }
    }

    /// hyper drops what it has not written yet when a body fails. So it is told only when all has been written:
    /// what the client gets is then all that the upstream had sent.
    fn poll_broken(&mut self) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        if self.client.is_write_blocked() {
            return Poll::Pending;
        }
        Poll::Ready(self.broken.take().map(Err))
    }
}

impl HttpBody for ResponseBody {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let this = &mut *self;
        if this.broken.is_some() {
            return this.poll_broken();
        }
        let frame = ready!(Pin::new(&mut this.body).poll_frame(cx));
        match frame {
            Some(Ok(frame)) => {
                if let Some(chunk) = frame.data_ref() {
                    this.account.response_bytes(chunk.len());
                    if this.parts.is_multiple_of(MEASURED) {
                        this.client.took_in_hand();
                    }
                    this.parts = this.parts.wrapping_add(1);
                }
                if this.body.is_end_stream() {
                    this.complete();
                }
                Poll::Ready(Some(Ok(frame)))
            }
            Some(Err(error)) => {
                this.account.ended(Outcome::UpstreamBroke);
                this.broken = Some(error);
                cx.waker().wake_by_ref();
                Poll::Pending
            }
            None => {
                this.complete();
                Poll::Ready(None)
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.shape.claimed.is_none() && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.shape.claimed.map_or_else(|| self.body.size_hint(), SizeHint::with_exact)
    }
}

impl Drop for ResponseBody {
    fn drop(&mut self) {
        if let Some(gate) = &self.gate {
            gate.shut();
        }
    }
}
