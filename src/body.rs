//! The one body type inside the proxy.

use std::error::Error as StdError;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body as HttpBody, Frame, SizeHint};
use http_body_util::{BodyExt, Full, combinators::UnsyncBoxBody};

use crate::pipe::Pipe;

/// Whatever a body can fail with.
pub type BoxError = Box<dyn StdError + Send + Sync>;

/// A request's or a response's body, wherever it comes from.
// A struct and not an alias: with an alias the erased lifetime inside `BoxError` leaks into the bounds of
// everything that is generic over services ("implementation of `Send` is not general enough").
#[derive(Debug)]
pub struct Body(Kind);

#[derive(Debug)]
enum Kind {
    Boxed(UnsyncBoxBody<Bytes, BoxError>),
    InSocket(Box<dyn InSocket>),
}

/// A body of known length, most of which is still in its sender's socket.
pub(crate) trait InSocket: Send + std::fmt::Debug {
    /// What comes next, into `pipe` where there is one. It must be empty.
    ///
    /// # Errors
    /// Where the body breaks off.
    fn poll_part(
        &mut self,
        pipe: &mut Option<Pipe>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Part, BoxError>>>;

    /// How many bytes are still to come.
    fn left(&self) -> u64;
}

/// What came next of a body.
#[derive(Debug)]
pub(crate) enum Part {
    Frame(Frame<Bytes>),
    /// All that the pipe holds now.
    Piped,
}

impl Body {
    /// Wraps any body of bytes.
    pub fn new<B>(body: B) -> Self
    where
        B: HttpBody<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        Self(Kind::Boxed(UnsyncBoxBody::new(body.map_err(Into::into))))
    }

    /// A body of these bytes.
    pub fn full(bytes: impl Into<Bytes>) -> Self {
        Self::new(Full::new(bytes.into()))
    }

    /// A body that whoever has a socket can have without its bytes: by [`Body::poll_part`]. For all others it is one like
    /// any.
    pub(crate) fn in_socket(body: impl InSocket + 'static) -> Self {
        Self(Kind::InSocket(Box::new(body)))
    }

    /// Whether it is worth a pipe.
    pub(crate) fn is_in_socket(&self) -> bool {
        matches!(self.0, Kind::InSocket(_))
    }

    /// What comes next, into `pipe` where there is one and that can be.
    pub(crate) fn poll_part(
        &mut self,
        pipe: &mut Option<Pipe>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Part, BoxError>>> {
        match &mut self.0 {
            Kind::Boxed(body) => {
                Pin::new(body).poll_frame(cx).map(|frame| frame.map(|frame| frame.map(Part::Frame)))
            }
            Kind::InSocket(body) => body.poll_part(pipe, cx),
        }
    }
}

impl HttpBody for Body {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        self.poll_part(&mut None, cx).map(|part| {
            part.map(|part| match part? {
                Part::Frame(frame) => Ok(frame),
                Part::Piped => Err("the body is in a pipe that is not there".into()),
            })
        })
    }

    fn is_end_stream(&self) -> bool {
        match &self.0 {
            Kind::Boxed(body) => body.is_end_stream(),
            Kind::InSocket(body) => body.left() == 0,
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.0 {
            Kind::Boxed(body) => body.size_hint(),
            Kind::InSocket(body) => SizeHint::with_exact(body.left()),
        }
    }
}
