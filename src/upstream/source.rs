//! What comes from a provider: heads and bodies.

use std::cell::RefCell;
use std::future::poll_fn;
use std::io;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker, ready};

use bytes::{Buf as _, Bytes, BytesMut};
use tokio::io::{AsyncRead, ReadBuf};
use tokio_util::io::poll_read_buf;

use super::body::{Decoder, Found};
use crate::raw_head::RawHead;

/// What came and is not passed on yet.
#[derive(Debug, Default)]
pub(super) struct Source {
    rest: Bytes,
    /// Whether the last read filled all the room there was.
    is_wide: bool,
}

/// What is read at once, bytes, without room for each connection.
const ROOM: usize = 16 * 1024;

/// What is read at once where that was filled: then it is not copied.
const WIDE: usize = 64 * 1024;

thread_local! {
    static READ: RefCell<Box<[u8]>> = RefCell::new(vec![0; ROOM].into());
}

impl Source {
    /// What is left over.
    pub(super) fn into_rest(self) -> Bytes {
        self.rest
    }

    /// More of `head`, and whether it has ended with that; `None` where the connection has.
    pub(super) fn poll_head(
        &mut self,
        io: Pin<&mut impl AsyncRead>,
        head: &mut RawHead,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<Option<bool>>> {
        if !self.rest.is_empty() {
            let (len, has_ended) = head.feed(&self.rest);
            self.pass(len);
            return Poll::Ready(Ok(Some(has_ended)));
        }
        self.poll_read(io, cx, |bytes| {
            let (len, has_ended) = head.feed(bytes);
            (len, if bytes.is_empty() { None } else { Some(has_ended) })
        })
    }

    /// The next data of the body that `decoder` reads; `None` at its end.
    pub(super) fn poll_data(
        &mut self,
        mut io: Pin<&mut impl AsyncRead>,
        decoder: &mut Decoder,
        cx: &mut Context<'_>,
    ) -> Poll<Option<io::Result<Bytes>>> {
        while !decoder.is_whole() {
            if !self.rest.is_empty() {
                let Found { data, passed } = decoder.find(&self.rest).map_err(invalid)?;
                let Some(data) = data else {
                    self.pass(passed);
                    continue;
                };
                let framing = decoder.pass(&self.rest[passed..]);
                let found = self.rest.slice(data);
                self.pass(passed + framing);
                return Poll::Ready(Some(Ok(found)));
            }
            if self.is_wide {
                if ready!(self.poll_read_wide(io.as_mut(), cx))? == 0 {
                    decoder.end().map_err(ended)?;
                }
                continue;
            }
            // Most reads have one piece of data, which is copied and needs no room of its own.
            let found = ready!(self.poll_read(io.as_mut(), cx, |bytes| {
                if bytes.is_empty() {
                    return (0, decoder.end().map(|()| None).map_err(ended));
                }
                match decoder.find(bytes) {
                    Ok(Found { data: Some(data), passed }) => {
                        let framing = decoder.pass(&bytes[passed..]);
                        (passed + framing, Ok(Some(Bytes::copy_from_slice(&bytes[data]))))
                    }
                    Ok(Found { data: None, passed }) => (passed, Ok(None)),
                    Err(error) => (bytes.len(), Err(invalid(error))),
                }
            }))?;
            if let Some(data) = found? {
                return Poll::Ready(Some(Ok(data)));
            }
        }
        Poll::Ready(None)
    }

    /// Whether something comes, or the connection ends, though nobody asked.
    pub(super) fn stirs(&mut self, mut io: Pin<&mut impl AsyncRead>) -> bool {
        let mut byte = [0];
        let mut nobody = Context::from_waker(Waker::noop());
        // Unconstrained: a task that has had its share would be told that nothing has come.
        let look =
            tokio::task::unconstrained(poll_fn(|cx| io.as_mut().poll_read(cx, &mut ReadBuf::new(&mut byte))));
        !self.rest.is_empty() || pin!(look).poll(&mut nobody).is_ready()
    }

    /// Reads, and keeps what `take` does not take: it says how much it takes, and what that was. It is given nothing at
    /// the end of the connection.
    fn poll_read<T>(
        &mut self,
        io: Pin<&mut impl AsyncRead>,
        cx: &mut Context<'_>,
        take: impl FnOnce(&[u8]) -> (usize, T),
    ) -> Poll<io::Result<T>> {
        READ.with_borrow_mut(|room| {
            let mut buf = ReadBuf::new(room);
            ready!(io.poll_read(cx, &mut buf))?;
            self.is_wide = buf.remaining() == 0;
            let bytes = buf.filled();
            let (taken, found) = take(bytes);
            if taken < bytes.len() {
                self.rest = Bytes::copy_from_slice(&bytes[taken..]);
            }
            Poll::Ready(Ok(found))
        })
    }

    fn poll_read_wide(
        &mut self,
        io: Pin<&mut impl AsyncRead>,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<usize>> {
        let mut room = BytesMut::with_capacity(WIDE);
        let polled = poll_read_buf(io, cx, &mut room);
        self.is_wide = matches!(polled, Poll::Ready(Ok(read)) if read > ROOM);
        let read = ready!(polled)?;
        self.rest = room.freeze();
        Poll::Ready(Ok(read))
    }

    fn pass(&mut self, len: usize) {
        if len == self.rest.len() {
            self.rest = Bytes::new();
        } else {
            self.rest.advance(len);
        }
    }
}

fn invalid(error: super::body::Broken) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, error)
}

fn ended(error: super::body::Broken) -> io::Error {
    io::Error::new(io::ErrorKind::UnexpectedEof, error)
}
