//! A request's body on its way from the client to the upstream.

use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body as HttpBody, Frame, SizeHint};
use hyper::body::Incoming;
use tokio::time::Sleep;

use super::account::Account;
use crate::body::BoxError;

/// How long a client that asked for 100-continue waits for an upstream that says nothing.
const CONTINUE_AFTER: Duration = Duration::from_secs(1);

/// Passes the client's body on and keeps its account.
///
/// hyper sends `100 Continue` when a body is first asked for. A body behind a closed [`Gate`] is not asked for, so
/// that the client's 100 follows the upstream's.
#[derive(Debug)]
pub(super) struct RequestBody {
    incoming: Incoming,
    account: Arc<Account>,
    gate: Option<Waiting>,
    broken: Option<BoxError>,
}

#[derive(Debug)]
struct Waiting {
    gate: Gate,
    patience: Pin<Box<Sleep>>,
}

impl RequestBody {
    pub(super) fn new(incoming: Incoming, account: Arc<Account>, gate: Option<Gate>) -> Self {
        let gate = gate.map(|gate| Waiting { gate, patience: Box::pin(tokio::time::sleep(CONTINUE_AFTER)) });
        Self { incoming, account, gate, broken: None }
    }
}

impl HttpBody for RequestBody {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let this = &mut *self;
        if let Some(waiting) = &mut this.gate {
            match waiting.gate.look(cx) {
                GateState::Open => {}
                GateState::Shut => return Poll::Ready(Some(Err(NotWanted.into()))),
                GateState::Closed if waiting.patience.as_mut().poll(cx).is_pending() => return Poll::Pending,
                GateState::Closed => {}
            }
            this.gate = None;
        }
        if let Some(error) = this.broken.take() {
            return Poll::Ready(Some(Err(error)));
        }
        let frame = match ready!(Pin::new(&mut this.incoming).poll_frame(cx)) {
            Some(Ok(frame)) => frame,
            Some(Err(error)) => {
                this.account.client_broke();
                // A turn later: what goes before it, and be it the head alone, is written first.
                this.broken = Some(error.into());
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            None => return Poll::Ready(None),
        };
        if let Some(chunk) = frame.data_ref() {
            this.account.request_bytes(chunk.len());
        }
        Poll::Ready(Some(Ok(frame)))
    }

    fn is_end_stream(&self) -> bool {
        self.incoming.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.incoming.size_hint()
    }
}

/// Holds a request's body back until the upstream has said that it wants it.
#[derive(Clone, Debug, Default)]
pub(super) struct Gate(Arc<Mutex<(GateState, Option<Waker>)>>);

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum GateState {
    #[default]
    Closed,
    Open,
    /// For good: the exchange is over and nobody has asked for the body.
    Shut,
}

/// The upstream answered without asking for the body.
#[derive(Debug, thiserror::Error)]
#[error("the upstream did not ask for the request's body")]
pub(super) struct NotWanted;

impl Gate {
    /// The upstream wants the body.
    pub(super) fn open(&self) {
        self.set(GateState::Open);
    }

    /// The exchange is over: a body that was not asked for will not be.
    pub(super) fn shut(&self) {
        self.set(GateState::Shut);
    }

    fn set(&self, state: GateState) {
        let mut inner = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if inner.0 == GateState::Closed {
            inner.0 = state;
            if let Some(waker) = inner.1.take() {
                waker.wake();
            }
        }
    }

    fn look(&self, cx: &Context<'_>) -> GateState {
        let mut inner = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if inner.0 == GateState::Closed {
            inner.1 = Some(cx.waker().clone());
        }
        inner.0
    }
}
