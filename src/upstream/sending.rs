//! A request on its way to a provider.

use std::cell::RefCell;
use std::io::{self, IoSlice, Write as _};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf as _, Bytes};
use http::header::{
    AUTHORIZATION, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, HOST,
    HeaderMap, HeaderName, HeaderValue, MAX_FORWARDS, SET_COOKIE, TE, TRAILER, TRANSFER_ENCODING,
};
use http::{Method, Request, request};
use http_body::{Body as HttpBody, Frame};
use tokio::io::AsyncWrite;

use super::answer;
use crate::body::{Body, BoxError, Part};
use crate::pipe::{self, Pipe};
use crate::raw_head::RawHead;

/// What of a request is not written yet.
#[derive(Debug)]
pub(super) struct Sending {
    /// What goes before the data: the head, a chunk's size.
    before: Vec<u8>,
    data: Bytes,
    /// Data that goes behind that, where there is any in it.
    pipe: Option<Pipe>,
    /// What goes behind it: the line end of a chunk, the last one, trailers.
    behind: Bytes,
    body: Body,
    framing: Framing,
    /// Whether a byte of it was taken.
    has_begun: bool,
    /// Whether there are other connections for what is not begun.
    may_begin_again: bool,
    /// Whether the provider takes no more: the rest goes nowhere.
    failed: Option<io::Error>,
    has_ended: bool,
}

/// Where a request is written.
pub(super) trait Sink: AsyncWrite {
    /// Whether it takes what is in a pipe.
    fn takes_pipes(&self) -> bool {
        false
    }

    /// Takes from a pipe as much as it can. Returns how much, bytes.
    ///
    /// # Errors
    /// As a write, and see [`pipe::is_refused`].
    fn poll_drain(self: Pin<&mut Self>, _: &mut Pipe, _: &mut Context<'_>) -> Poll<io::Result<usize>> {
        Poll::Ready(Err(io::ErrorKind::Unsupported.into()))
    }
}

/// How the body is framed.
#[derive(Debug)]
enum Framing {
    /// So many bytes are still to come.
    Sized(u64),
    /// In chunks, and these may be trailers.
    Chunked(Vec<HeaderName>),
    /// It was all read.
    Ended,
}

/// The body of a request came to no good end: what was sent is not whole.
#[derive(Debug, thiserror::Error)]
#[error("the request's body failed")]
pub(super) struct Cut(#[source] BoxError);

/// The body of a request is shorter than its head says.
#[derive(Debug, thiserror::Error)]
#[error("{0} bytes of the body are missing")]
struct TooShort(u64);

/// Pieces that are together no larger are copied and written as one: the kernel takes longer to look at several than
/// a copy does.
const SMALL: usize = 4 * 1024;

/// After so many bytes a body that is read from a socket right here lets others have their turn; the task of a client
/// comes back a few times before it is theirs (`bell.rs`).
const AT_ONCE: usize = 256 * 1024;

thread_local! {
    static HEAD: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

impl Sending {
    /// `request`, with the looks of `raw`.
    pub(super) fn new(request: Request<Body>, raw: Option<&RawHead>) -> Self {
        let (mut parts, body) = request.into_parts();
        let framing = frame(&mut parts, &body);
        Self {
            before: head(&parts, raw),
            data: Bytes::new(),
            pipe: None,
            behind: Bytes::new(),
            body,
            framing,
            has_begun: false,
            may_begin_again: false,
            failed: None,
            has_ended: false,
        }
    }

    /// It is sent over a connection, which may be another one than before: one that was used already, or a new one.
    pub(super) fn begin(&mut self, is_reused: bool) {
        (self.failed, self.may_begin_again) = (None, is_reused);
    }

    /// Whether the provider would not take a single byte of it over a connection that was used already. It can be sent
    /// over another one then.
    pub(super) fn is_untouched(&self) -> bool {
        self.failed.is_some() && !self.has_begun && self.may_begin_again
    }

    /// Whether all of it is written.
    pub(super) fn has_ended(&self) -> bool {
        self.has_ended
    }

    /// Whether the provider took all of it.
    pub(super) fn was_taken(&self) -> bool {
        self.has_ended && self.failed.is_none()
    }

    /// Writes what there is; ready when that was all.
    ///
    /// A provider that answers early (413, 429) and closes makes a write fail while its answer still waits to be read.
    /// So that is no error: the rest goes nowhere, and reading tells how the exchange ends.
    ///
    /// # Errors
    /// [`Cut`] where the body fails.
    pub(super) fn poll(
        &mut self,
        mut io: Pin<&mut impl Sink>,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), Cut>> {
        let mut moved = 0;
        while !self.has_ended {
            if moved >= AT_ONCE && self.has_no_data() && !matches!(self.framing, Framing::Ended) {
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            // A body that is there goes out with its head.
            if self.has_no_data() && !matches!(self.framing, Framing::Ended) {
                if self.body.is_in_socket()
                    && self.pipe.is_none()
                    && self.failed.is_none()
                    && io.takes_pipes()
                {
                    self.pipe = Pipe::new();
                }
                let polled = self.poll_body(cx);
                if self.body.is_in_socket() {
                    moved += self.data.len() + self.piped();
                    if polled.is_pending() {
                        // Others may need it while this client says nothing.
                        self.pipe = None;
                    }
                }
                match polled {
                    Poll::Ready(Ok(())) if self.has_no_data() => continue,
                    Poll::Ready(Ok(())) => self.join(),
                    Poll::Ready(Err(error)) => return Poll::Ready(Err(Cut(error))),
                    Poll::Pending if self.before.is_empty() => {
                        let _ = self.poll_flush(io, cx);
                        return Poll::Pending;
                    }
                    Poll::Pending => {}
                }
            }
            if self.failed.is_some() {
                // Nothing is kept for nobody; but what was not begun may be wanted again.
                if self.is_untouched() {
                    return Poll::Pending;
                }
                (self.before, self.data, self.behind) = (Vec::new(), Bytes::new(), Bytes::new());
                self.pipe = None;
            }
            if self.before.is_empty() && self.has_no_data() {
                if matches!(self.framing, Framing::Ended) {
                    ready!(self.poll_flush(io.as_mut(), cx));
                    self.has_ended = true;
                }
                continue;
            }
            if self.before.is_empty() && self.data.is_empty() && self.piped() > 0 {
                ready!(self.poll_drain(io.as_mut(), cx));
                continue;
            }
            match ready!(self.poll_write(io.as_mut(), cx)) {
                Ok(0) => self.failed = Some(io::ErrorKind::WriteZero.into()),
                Ok(written) => self.written(written),
                Err(error) => self.failed = Some(error),
            }
        }
        Poll::Ready(Ok(()))
    }

    fn has_no_data(&self) -> bool {
        self.data.is_empty() && self.behind.is_empty() && self.piped() == 0
    }

    fn piped(&self) -> usize {
        self.pipe.as_ref().map_or(0, Pipe::holds)
    }

    /// Writes what is in the pipe.
    fn poll_drain(&mut self, io: Pin<&mut impl Sink>, cx: &mut Context<'_>) -> Poll<()> {
        let Some(pipe) = &mut self.pipe else { return Poll::Ready(()) };
        match ready!(io.poll_drain(pipe, cx)) {
            Ok(0) => self.failed = Some(io::ErrorKind::WriteZero.into()),
            Ok(_) => self.has_begun = true,
            Err(error) if pipe::is_refused(&error) => {
                match self.pipe.take().map(Pipe::into_bytes).transpose() {
                    Ok(bytes) => self.data = bytes.unwrap_or_default().into(),
                    Err(error) => self.failed = Some(error),
                }
            }
            Err(error) => self.failed = Some(error),
        }
        Poll::Ready(())
    }

    /// TLS takes what it cannot write yet.
    fn poll_flush(&mut self, io: Pin<&mut impl AsyncWrite>, cx: &mut Context<'_>) -> Poll<()> {
        if self.failed.is_none()
            && let Err(error) = ready!(io.poll_flush(cx))
        {
            self.failed = Some(error);
        }
        Poll::Ready(())
    }

    fn poll_write(&self, io: Pin<&mut impl AsyncWrite>, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        let pieces: [&[u8]; 3] = [&self.before, &self.data, &self.behind];
        if let [one, [], []] | [[], one, []] = pieces {
            return io.poll_write(cx, one);
        }
        io.poll_write_vectored(cx, &pieces.map(IoSlice::new))
    }

    /// Makes one piece of what is small.
    fn join(&mut self) {
        if self.before.len() + self.data.len() + self.behind.len() <= SMALL {
            for piece in [&mut self.data, &mut self.behind] {
                self.before.extend_from_slice(&std::mem::take(piece));
            }
        }
    }

    fn written(&mut self, mut len: usize) {
        self.has_begun = true;
        if len < self.before.len() {
            self.before.drain(..len);
            return;
        }
        len -= self.before.len();
        self.before = Vec::new();
        let data = len.min(self.data.len());
        self.data.advance(data);
        if self.data.is_empty() {
            // It may belong to something large.
            self.data = Bytes::new();
        }
        self.behind.advance(len - data);
    }

    /// Makes ready what comes next of the body.
    fn poll_body(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        match ready!(self.body.poll_part(&mut self.pipe, cx)) {
            Some(part) => {
                match part? {
                    Part::Frame(frame) => self.frame(frame),
                    Part::Piped => self.took_into_pipe(),
                }
                if self.body.is_end_stream() {
                    self.end()?;
                }
            }
            None => self.end()?,
        }
        Poll::Ready(Ok(()))
    }

    fn frame(&mut self, frame: Frame<Bytes>) {
        let frame = match frame.into_data() {
            Ok(data) => return self.data(data),
            Err(frame) => frame,
        };
        if let (Ok(trailers), Framing::Chunked(allowed)) = (frame.into_trailers(), &self.framing) {
            self.behind = last_chunk(&trailers, allowed);
            self.framing = Framing::Ended;
        }
    }

    fn data(&mut self, mut data: Bytes) {
        match &mut self.framing {
            Framing::Sized(left) => {
                data.truncate(usize::try_from(*left).unwrap_or(usize::MAX));
                *left -= data.len() as u64;
            }
            Framing::Chunked(_) if data.is_empty() => {}
            Framing::Chunked(_) => {
                // Into memory: that cannot fail.
                let _ = write!(self.before, "{:X}\r\n", data.len());
                self.behind = Bytes::from_static(b"\r\n");
            }
            Framing::Ended => return,
        }
        self.data = data;
    }

    /// Only a body that is sized comes through a pipe.
    fn took_into_pipe(&mut self) {
        if let Framing::Sized(left) = &mut self.framing {
            *left = left.saturating_sub(self.pipe.as_ref().map_or(0, |pipe| pipe.holds() as u64));
        }
    }

    fn end(&mut self) -> Result<(), TooShort> {
        match std::mem::replace(&mut self.framing, Framing::Ended) {
            Framing::Sized(0) | Framing::Ended => Ok(()),
            Framing::Sized(left) => Err(TooShort(left)),
            Framing::Chunked(_) => {
                let is_behind_data = !self.behind.is_empty();
                let end: &[u8] = if is_behind_data { b"\r\n0\r\n\r\n" } else { b"0\r\n\r\n" };
                self.behind = Bytes::from_static(end);
                Ok(())
            }
        }
    }
}

/// How the body is framed. Its head says so, unless who asks is in this process.
fn frame(parts: &mut request::Parts, body: &Body) -> Framing {
    if body.is_end_stream() {
        return Framing::Ended;
    }
    if parts.headers.contains_key(TRANSFER_ENCODING) {
        let trailers = parts.headers.get_all(TRAILER).iter().filter_map(|value| value.to_str().ok());
        let names = trailers.flat_map(|value| value.split(','));
        return Framing::Chunked(
            names.filter_map(|name| HeaderName::from_bytes(name.trim().as_bytes()).ok()).collect(),
        );
    }
    if let Ok(Some(length)) = answer::length(&parts.headers) {
        return Framing::Sized(length);
    }
    if let Some(length) = body.size_hint().exact() {
        parts.headers.insert(CONTENT_LENGTH, length.into());
        return Framing::Sized(length);
    }
    if matches!(parts.method, Method::GET | Method::HEAD | Method::CONNECT) {
        return Framing::Ended;
    }
    parts.headers.insert(TRANSFER_ENCODING, HeaderValue::from_static("chunked"));
    Framing::Chunked(Vec::new())
}

/// A head, with the looks of `raw`.
fn head(parts: &request::Parts, raw: Option<&RawHead>) -> Vec<u8> {
    HEAD.with_borrow_mut(|written| {
        written.clear();
        written.extend_from_slice(parts.method.as_str().as_bytes());
        written.push(b' ');
        // Into memory: that cannot fail.
        let _ = match parts.uri.path_and_query() {
            Some(path) if parts.uri.scheme().is_none() && parts.uri.authority().is_none() => {
                written.write_all(path.as_str().as_bytes())
            }
            _ => write!(written, "{}", parts.uri),
        };
        written.extend_from_slice(b" HTTP/1.1\r\n");
        write_fields(&parts.headers, written);
        written.extend_from_slice(b"\r\n");
        match raw {
            Some(raw) => {
                let mut head = Vec::new();
                raw.restore(written, &mut head);
                head
            }
            None => written.clone(),
        }
    })
}

fn write_fields(fields: &HeaderMap, out: &mut Vec<u8>) {
    for (name, value) in fields {
        for piece in [name.as_str().as_bytes(), b": ", value.as_bytes(), b"\r\n"] {
            out.extend_from_slice(piece);
        }
    }
}

/// The last chunk, with those trailers that were announced and may be some (RFC 9110 section 6.5.1).
fn last_chunk(trailers: &HeaderMap, announced: &[HeaderName]) -> Bytes {
    let mut chunk = b"0\r\n".to_vec();
    let may_be = |name: &HeaderName| announced.contains(name) && !NO_TRAILERS.contains(name);
    write_fields(
        &trailers
            .iter()
            .filter(|(name, _)| may_be(name))
            .map(|(name, value)| (name.clone(), value.clone()))
            .collect(),
        &mut chunk,
    );
    chunk.extend_from_slice(b"\r\n");
    chunk.into()
}

/// What frames, routes or describes a message is none of its trailers.
const NO_TRAILERS: [HeaderName; 12] = [
    AUTHORIZATION,
    CACHE_CONTROL,
    CONTENT_ENCODING,
    CONTENT_LENGTH,
    CONTENT_RANGE,
    CONTENT_TYPE,
    HOST,
    MAX_FORWARDS,
    SET_COOKIE,
    TRAILER,
    TRANSFER_ENCODING,
    TE,
];

#[cfg(test)]
mod tests;
