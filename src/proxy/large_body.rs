//! The body of a large request, of which hyper reads only what came with its head.
//!
//! Where the provider is spoken to without TLS, the rest need not come to where we could see it: the system moves it
//! from one socket to the other, and for those who watch keeps what it moved. They read that later, on a thread of
//! theirs. Reading and writing megabytes were nearly all that a large request cost (bench/TRIED.md).

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::{Bytes, BytesMut};
use http_body::{Body as _, Frame};
use hyper::body::Incoming;
use perimeter_interceptor::BodyEnd;

use super::account::Account;
use super::client_stream::BeyondHyper;
use crate::body::{BoxError, InSocket, Part};
use crate::error::chain;
use crate::journal::{self, Lane};
use crate::pipe::{self, Pipe};

/// Passes the client's body on, keeps its account, and tells its lane.
#[derive(Debug)]
pub(super) struct LargeBody {
    /// Dropped first: that a body was left is told before its sender can see it.
    lane: Option<Lane>,
    account: Arc<Account>,
    /// What came with the head.
    incoming: Incoming,
    /// What comes behind that.
    beyond: BeyondHyper,
    /// Where it is read to when there is no pipe for it.
    memory: BytesMut,
    /// Whether it comes in parts so small that those who watch get copies of them: a pipe is not worth it.
    is_slow: bool,
    broken: Option<BoxError>,
}

/// How much memory is taken for a read, bytes.
const READ: usize = 256 * 1024;

/// The client went away.
#[derive(Debug, thiserror::Error)]
#[error("error reading a body from connection")]
struct Broken(#[source] io::Error);

/// What was in a pipe cannot be had.
#[derive(Debug, thiserror::Error)]
#[error("cannot read a pipe")]
struct Unread(#[source] io::Error);

impl LargeBody {
    pub(super) fn new(
        incoming: Incoming,
        beyond: BeyondHyper,
        account: Arc<Account>,
        lane: Option<Lane>,
    ) -> Self {
        Self { lane, account, incoming, beyond, memory: BytesMut::new(), is_slow: false, broken: None }
    }

    fn poll_next(
        &mut self,
        pipe: &mut Option<Pipe>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Part, BoxError>>> {
        if !self.incoming.is_end_stream() {
            let frame = ready!(Pin::new(&mut self.incoming).poll_frame(cx));
            match frame.map(|frame| frame.map(Frame::into_data)) {
                Some(Ok(Ok(bytes))) => return Poll::Ready(Some(Ok(self.read(bytes)))),
                Some(Err(error)) => return Poll::Ready(Some(Err(error.into()))),
                // A body that is sized has no trailers.
                Some(Ok(Err(_))) | None => {}
            }
        }
        if self.beyond.left() == 0 {
            return Poll::Ready(None);
        }
        if let Some(filled) = pipe
            && !self.is_slow
        {
            match ready!(self.beyond.poll_pipe(filled, cx)) {
                Ok(0) => return Poll::Ready(Some(Err(ended()))),
                Ok(_) => return Poll::Ready(Some(self.piped(pipe))),
                Err(error) if pipe::is_refused(&error) => *pipe = None,
                Err(error) => return Poll::Ready(Some(Err(Broken(error).into()))),
            }
        }
        let most = usize::try_from(self.beyond.left()).map_or(READ, |left| left.min(READ));
        if self.memory.capacity() < most.min(READ / 4) {
            self.memory.reserve(most);
        }
        match ready!(self.beyond.poll_read(&mut self.memory, cx)) {
            Ok(0) => Poll::Ready(Some(Err(ended()))),
            Ok(len) => {
                self.is_slow &= journal::is_copied(len);
                let bytes = self.memory.split().freeze();
                Poll::Ready(Some(Ok(self.read(bytes))))
            }
            Err(error) => Poll::Ready(Some(Err(Broken(error).into()))),
        }
    }

    /// These bytes come next.
    fn read(&mut self, bytes: Bytes) -> Part {
        self.account.request_bytes(bytes.len());
        let ends = self.left() == 0;
        if let Some(lane) = &mut self.lane {
            lane.chunk(&bytes, ends);
        }
        Part::Frame(Frame::data(bytes))
    }

    /// What is in `pipe` comes next. It is read only where somebody watches who cannot have it otherwise.
    fn piped(&mut self, pipe: &mut Option<Pipe>) -> Result<Part, BoxError> {
        let len = pipe.as_ref().map_or(0, Pipe::holds);
        let ends = self.left() == 0;
        let is_told = match (&mut self.lane, &*pipe) {
            (Some(lane), Some(pipe)) => lane.piped(pipe, ends),
            _ => true,
        };
        if !is_told && let Some(pipe) = pipe.take() {
            self.is_slow = journal::is_copied(len);
            let bytes = pipe.into_bytes().map_err(Unread)?;
            return Ok(self.read(bytes.into()));
        }
        self.account.request_bytes(len);
        Ok(Part::Piped)
    }
}

/// What hyper says of a body that is shorter than it claims to be.
fn ended() -> BoxError {
    Broken(io::Error::new(io::ErrorKind::UnexpectedEof, "end of file before message length reached")).into()
}

impl InSocket for LargeBody {
    fn poll_part(
        &mut self,
        pipe: &mut Option<Pipe>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Part, BoxError>>> {
        if let Some(error) = self.broken.take() {
            if let Some(lane) = &mut self.lane {
                lane.close(BodyEnd::Failed(chain(&*error).into()));
            }
            return Poll::Ready(Some(Err(error)));
        }
        match ready!(self.poll_next(pipe, cx)) {
            Some(Err(error)) => {
                self.account.client_broke();
                // A turn later: what goes before it, and be it the head alone, is written first.
                self.broken = Some(error);
                cx.waker().wake_by_ref();
                Poll::Pending
            }
            part => Poll::Ready(part),
        }
    }

    fn left(&self) -> u64 {
        self.incoming.size_hint().exact().unwrap_or(0) + self.beyond.left()
    }
}
