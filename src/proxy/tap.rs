//! A body that tells a lane of the journal what passes through it.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Body as HttpBody, Frame, SizeHint};
use perimeter_interceptor::BodyEnd;

use super::request_body::NotWanted;
use crate::body::BoxError;
use crate::error::chain;
use crate::journal::Lane;

/// Passes a body on, frame by frame, and tells its lane of each before it goes on its way. Without a lane it only
/// passes it on.
#[derive(Debug)]
pub(super) struct Tap<B> {
    /// Dropped first: that a body was left is told before its sender can see it.
    lane: Option<Lane>,
    inner: B,
}

impl<B> Tap<B>
where
    B: HttpBody<Data = Bytes> + Unpin,
{
    pub(super) fn new(inner: B, mut lane: Option<Lane>) -> Self {
        // Such a body is never polled.
        if inner.is_end_stream()
            && let Some(lane) = &mut lane
        {
            lane.close(BodyEnd::COMPLETE);
        }
        Self { lane, inner }
    }
}

impl<B> HttpBody for Tap<B>
where
    B: HttpBody<Data = Bytes, Error = BoxError> + Unpin,
{
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let this = &mut *self;
        let polled = Pin::new(&mut this.inner).poll_frame(cx);
        let Some(lane) = &mut this.lane else { return polled };
        if polled.is_pending() {
            lane.waits();
        }
        let frame = ready!(polled);
        match &frame {
            Some(Ok(frame)) => {
                if let Some(chunk) = frame.data_ref() {
                    // Whoever reads this body may stop at its last frame and never poll for the `None`.
                    lane.chunk(chunk, this.inner.is_end_stream());
                } else if let Some(trailers) = frame.trailers_ref() {
                    lane.close(BodyEnd::Complete { trailers: Some(trailers.clone().into()) });
                }
            }
            // No fault of its writer: we have not asked for it.
            Some(Err(error)) if error.is::<NotWanted>() => lane.close(BodyEnd::Aborted),
            Some(Err(error)) => lane.close(BodyEnd::Failed(chain(&**error).into())),
            None => lane.close(BodyEnd::COMPLETE),
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

#[cfg(test)]
mod tests;
