//! Upstreams in this process, made by others.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::Response;
use http::header::CONTENT_LENGTH;
use http_body::{Body as HttpBody, Frame, SizeHint};
use tower::ServiceExt as _;

use super::Upstream;
use crate::body::{Body, BoxError};

/// The same upstream; its bodies know when they have said what their `content-length` announced. Nobody asks them for
/// more then, so one that waits to be asked would seem to have been left before its end.
pub(crate) fn own(upstream: Upstream) -> Upstream {
    Upstream::new(upstream.map_response(measured))
}

fn measured(response: Response<Body>) -> Response<Body> {
    let length = response.headers().get(CONTENT_LENGTH);
    match length.and_then(|length| length.to_str().ok()?.parse().ok()) {
        Some(left) => response.map(|body| Body::new(Measured { body, left })),
        None => response,
    }
}

#[derive(Debug)]
struct Measured {
    body: Body,
    left: u64,
}

impl HttpBody for Measured {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let frame = ready!(Pin::new(&mut self.body).poll_frame(cx));
        if let Some(Ok(frame)) = &frame {
            let data = frame.data_ref().map_or(0, Bytes::len);
            self.left = self.left.saturating_sub(data as u64);
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.left == 0 || self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;
    use std::convert::Infallible;

    use http::{HeaderValue, Request};
    use http_body_util::BodyExt as _;

    use super::*;
    use crate::upstream::UpstreamError;

    struct Pieces(VecDeque<Bytes>);

    impl HttpBody for Pieces {
        type Data = Bytes;
        type Error = Infallible;

        fn poll_frame(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
        ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
            Poll::Ready(self.0.pop_front().map(|piece| Ok(Frame::data(piece))))
        }
    }

    #[tokio::test]
    async fn a_body_has_ended_when_it_has_said_what_its_head_announced() {
        for (length, ends) in [(Some("3"), [false, false, true]), (Some("4"), [false; 3]), (None, [false; 3])]
        {
            let upstream = own(Upstream::new(tower::service_fn(move |_: Request<Body>| async move {
                let pieces = VecDeque::from([Bytes::from_static(b"a"), Bytes::from_static(b"bc")]);
                let mut response = Response::new(Body::new(Pieces(pieces)));
                let length = length.map(|length| (CONTENT_LENGTH, HeaderValue::from_static(length)));
                response.headers_mut().extend(length);
                Ok::<_, UpstreamError>(response)
            })));
            let response = upstream.oneshot(Request::new(Body::full(""))).await.unwrap();
            let mut body = response.into_body();
            for (at, end) in ends.into_iter().enumerate() {
                assert_eq!(body.is_end_stream(), end, "{length:?}, after {at} pieces");
                body.frame().await;
            }
        }
        let empty = measured(Response::new(Body::full("")));
        assert!(empty.body().is_end_stream());
    }
}
