//! The chunks of an answer, read past hyper.
//!
//! hyper reads a chunk into a buffer of the connection's, hands it through a channel, and is woken once more for each
//! to find that there is none behind it: a quarter of what an event of a stream took outside of the kernel
//! (bench/RESULTS.md). What nearly all chunks are is simple: a size, data, a line end. Those are read here. From the
//! first thing on that is anything else (the last chunk, an extension, an end in the wrong place), hyper reads: it
//! finds itself where it would be, and makes of it what it always does.

use std::cell::RefCell;
use std::io;
use std::ops::Range;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncRead, ReadBuf};
use tokio_util::io::poll_read_buf;

/// A chunked body, from its first byte.
#[derive(Debug, Default)]
pub(super) struct Chunks {
    /// What came and is not passed on yet.
    rest: Bytes,
    place: Place,
    /// Whether the last read filled all the room there was.
    is_wide: bool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Place {
    /// Before the line that tells a chunk's size (RFC 9112 section 7.1).
    #[default]
    Size,
    /// In a chunk of which so many bytes are still to come: at least one.
    Data(u64),
    /// Before the line end behind a chunk.
    End,
}

/// What came next.
#[derive(Debug)]
pub(super) enum Next {
    /// Data of a chunk, as much as was there.
    Data(Bytes),
    /// Something for hyper to read; or reading failed, which hyper is to be told.
    Hypers(Option<io::Error>),
    /// No line end behind the data of a chunk. What hyper says of that.
    Broken(&'static str),
}

/// What is found at the beginning of some bytes.
#[derive(Debug, PartialEq, Eq)]
enum Found {
    /// Data, there.
    Data(Range<usize>),
    /// Nothing yet, but so many bytes that are done with.
    Part(usize),
    /// Behind so many bytes, something for hyper.
    Other(usize),
    /// No line end where one must be.
    Broken(&'static str),
}

/// What is read at once, bytes, without room for each connection.
const ROOM: usize = 16 * 1024;

/// What is read at once where that was filled: then it is not copied.
const WIDE: usize = 64 * 1024;

/// The longest line with a size that is read here, its end included. No chunk has so many bytes.
const LONGEST_SIZE: usize = 15 + 2;

thread_local! {
    static READ: RefCell<Box<[u8]>> = RefCell::new(vec![0; LONGEST_SIZE + ROOM].into());
}

impl Chunks {
    /// A body that begins with `bytes`.
    pub(super) fn new(bytes: &[u8]) -> Self {
        Self { rest: Bytes::copy_from_slice(bytes), ..Self::default() }
    }

    /// What comes next, read from `io` where need be.
    pub(super) fn poll_next(
        &mut self,
        mut io: Pin<&mut (impl AsyncRead + ?Sized)>,
        cx: &mut Context<'_>,
    ) -> Poll<Next> {
        loop {
            match self.place.find(&self.rest) {
                Found::Data(data) => {
                    let _ = self.rest.split_to(data.start);
                    let whole = data.len() == self.rest.len();
                    let data =
                        if whole { std::mem::take(&mut self.rest) } else { self.rest.split_to(data.len()) };
                    return Poll::Ready(Next::Data(data));
                }
                Found::Other(passed) => {
                    let _ = self.rest.split_to(passed);
                    return Poll::Ready(Next::Hypers(None));
                }
                Found::Broken(why) => return Poll::Ready(Next::Broken(why)),
                Found::Part(passed) => {
                    let _ = self.rest.split_to(passed);
                }
            }
            let read = if self.is_wide {
                ready!(self.poll_read_wide(io.as_mut(), cx)).map(|len| (len, None))
            } else {
                ready!(self.poll_read(io.as_mut(), cx))
            };
            match read {
                Ok((_, Some(data))) => return Poll::Ready(Next::Data(data)),
                Ok((0, None)) => return Poll::Ready(Next::Hypers(None)),
                Ok((_, None)) => {}
                Err(error) => return Poll::Ready(Next::Hypers(Some(error))),
            }
        }
    }

    /// Reads, with what is left of a line before it. How much came, and data where that is what it begins with: most
    /// reads have one chunk, which is copied and needs no room of its own.
    fn poll_read(
        &mut self,
        io: Pin<&mut (impl AsyncRead + ?Sized)>,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<(usize, Option<Bytes>)>> {
        READ.with_borrow_mut(|room| {
            let mut buf = ReadBuf::new(room);
            buf.put_slice(&self.rest);
            let before = buf.filled().len();
            ready!(io.poll_read(cx, &mut buf))?;
            let read = buf.filled().len() - before;
            self.is_wide = buf.remaining() == 0;
            let bytes = buf.filled();
            let (behind, data) = match self.place.find(bytes) {
                Found::Data(data) => (&bytes[data.end..], Some(Bytes::copy_from_slice(&bytes[data]))),
                Found::Part(passed) | Found::Other(passed) => (&bytes[passed..], None),
                Found::Broken(_) => (bytes, None),
            };
            self.rest = if self.place == Place::End && behind == b"\r\n" {
                self.place = Place::Size;
                Bytes::new()
            } else {
                Bytes::copy_from_slice(behind)
            };
            Poll::Ready(Ok((read, data)))
        })
    }

    fn poll_read_wide(
        &mut self,
        io: Pin<&mut (impl AsyncRead + ?Sized)>,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<usize>> {
        let mut room = BytesMut::with_capacity(WIDE);
        room.extend_from_slice(&self.rest);
        let polled = poll_read_buf(io, cx, &mut room);
        self.is_wide = matches!(polled, Poll::Ready(Ok(read)) if read > ROOM);
        let read = ready!(polled)?;
        self.rest = room.freeze();
        Poll::Ready(Ok(read))
    }

    /// What hyper is to read, before what comes next: a body from the beginning of a chunk on.
    pub(super) fn into_rest(self) -> Bytes {
        match self.place {
            Place::Size => self.rest,
            Place::Data(left) => [format!("{left:x}\r\n").as_bytes(), &self.rest].concat().into(),
            // Half a line end behind which nothing comes. What hyper says of that is the same without it.
            Place::End => Bytes::new(),
        }
    }
}

impl Place {
    /// What `bytes` begin with, which come next. Where it is data, this is the place behind it then; otherwise the one
    /// behind those that are done with.
    fn find(&mut self, bytes: &[u8]) -> Found {
        let mut at = 0;
        loop {
            let rest = &bytes[at..];
            match *self {
                Self::Size => match Size::of(rest) {
                    Size::Of(size, len) => {
                        *self = Self::Data(size);
                        at += len;
                    }
                    Size::Part => return Found::Part(at),
                    Size::Other => return Found::Other(at),
                },
                Self::Data(_) if rest.is_empty() => return Found::Part(at),
                Self::Data(left) => {
                    let len = usize::try_from(left).map_or(rest.len(), |left| left.min(rest.len()));
                    *self = match left - len as u64 {
                        0 => Self::End,
                        left => Self::Data(left),
                    };
                    return Found::Data(at..at + len);
                }
                Self::End => match rest {
                    [b'\r', b'\n', ..] => {
                        *self = Self::Size;
                        at += 2;
                    }
                    [] | [b'\r'] => return Found::Part(at),
                    [b'\r', ..] => return Found::Broken("Invalid chunk body LF"),
                    _ => return Found::Broken("Invalid chunk body CR"),
                },
            }
        }
    }
}

/// A line that tells the size of a chunk.
#[derive(Debug, PartialEq, Eq)]
enum Size {
    /// That size, not 0, in a line of that length, its end included.
    Of(u64, usize),
    /// It has not come whole.
    Part,
    /// A line that hyper reads.
    Other,
}

impl Size {
    fn of(bytes: &[u8]) -> Self {
        let mut size = 0;
        for (at, byte) in bytes.iter().enumerate().take(LONGEST_SIZE - 1) {
            let digit = match byte {
                b'0'..=b'9' => byte - b'0',
                b'a'..=b'f' => byte - b'a' + 10,
                b'A'..=b'F' => byte - b'A' + 10,
                b'\r' if size > 0 => {
                    return match bytes.get(at + 1) {
                        Some(b'\n') => Self::Of(size, at + 2),
                        Some(_) => Self::Other,
                        None => Self::Part,
                    };
                }
                _ => return Self::Other,
            };
            size = size << 4 | u64::from(digit);
        }
        if bytes.len() < LONGEST_SIZE - 1 { Self::Part } else { Self::Other }
    }
}

#[cfg(test)]
mod tests;
