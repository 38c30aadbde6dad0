//! Writing heads with the looks that they had.

use std::cell::RefCell;
use std::io::{self, IoSlice};
use std::ops::Range;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use memchr::memchr_iter;
use tokio::io::AsyncWrite;

use super::RawHead;

/// Writes a head with the looks of the raw one that it was given; everything else passes as it is.
#[derive(Debug, Default)]
pub(crate) struct HeadWriter {
    next: Option<Arc<RawHead>>,
    /// What was not taken at once of a head, and how much of that has been written since.
    head: Vec<u8>,
    written: usize,
    /// How much of what hyper wrote it stands for.
    stands_for: usize,
}

/// As many pieces as go into one write; hyper has up to 16.
const PIECES: usize = 18;

impl HeadWriter {
    /// What is written next is a head that was once `raw`.
    pub(crate) fn expect(&mut self, raw: Arc<RawHead>) {
        self.next = Some(raw);
    }

    /// As `AsyncWrite::poll_write_vectored` of `io`.
    pub(crate) fn poll_write(
        &mut self,
        io: Pin<&mut (impl AsyncWrite + ?Sized)>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let empty = bufs.iter().take_while(|buf| buf.is_empty()).count();
        let [first, rest @ ..] = &bufs[empty..] else { return io.poll_write_vectored(cx, bufs) };
        if !self.head.is_empty() {
            return self.poll_write_rest(io, cx, first, rest);
        }
        if self.next.is_some()
            && let Some(head) = final_head(first)
            && let Some(raw) = self.next.take()
        {
            return one_piece(|piece| {
                piece.extend_from_slice(&first[..head.start]);
                raw.restore(&first[head.clone()], piece);
                self.stands_for = head.end + take_along(piece, &first[head.end..], rest);
                self.poll_write_new(io, cx, piece, first, rest)
            });
        }
        poll_write_small(io, cx, bufs)
    }

    /// Writes a head, and keeps what was not taken of it.
    fn poll_write_new(
        &mut self,
        mut io: Pin<&mut (impl AsyncWrite + ?Sized)>,
        cx: &mut Context<'_>,
        head: &[u8],
        first: &[u8],
        rest: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = match poll_write_pieces(io.as_mut(), cx, head, first.get(self.stands_for..), rest) {
            Poll::Ready(Ok(written)) if written >= head.len() => {
                return Poll::Ready(Ok(written - head.len() + self.stands_for));
            }
            Poll::Ready(Ok(0)) => return Poll::Ready(Ok(0)),
            Poll::Ready(Ok(written)) => written,
            Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
            Poll::Pending => 0,
        };
        self.head = head[written..].to_vec();
        self.poll_write_rest(io, cx, first, rest)
    }

    /// Writes what is left of a head. What hyper wrote counts as written when all is that stands for it.
    fn poll_write_rest(
        &mut self,
        mut io: Pin<&mut (impl AsyncWrite + ?Sized)>,
        cx: &mut Context<'_>,
        first: &[u8],
        rest: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        loop {
            let left = &self.head[self.written..];
            let len = left.len();
            let behind = first.get(self.stands_for..);
            let written = ready!(poll_write_pieces(io.as_mut(), cx, left, behind, rest))?;
            if written == 0 {
                return Poll::Ready(Ok(0));
            }
            if written < len {
                self.written += written;
                continue;
            }
            (self.head, self.written) = (Vec::new(), 0);
            return Poll::Ready(Ok(written - len + self.stands_for));
        }
    }
}

/// A small body goes out with its head as one piece; returns its length, or 0.
fn take_along(head: &mut Vec<u8>, behind: &[u8], rest: &[IoSlice<'_>]) -> usize {
    let len = behind.len() + rest.iter().map(|buf| buf.len()).sum::<usize>();
    if len > SMALL {
        return 0;
    }
    head.extend_from_slice(behind);
    rest.iter().for_each(|buf| head.extend_from_slice(buf));
    len
}

/// Writes `head`, and what stands behind it where it has not taken that along.
fn poll_write_pieces(
    io: Pin<&mut (impl AsyncWrite + ?Sized)>,
    cx: &mut Context<'_>,
    head: &[u8],
    behind: Option<&[u8]>,
    rest: &[IoSlice<'_>],
) -> Poll<io::Result<usize>> {
    let Some(behind) = behind.filter(|behind| !behind.is_empty() || !rest.is_empty()) else {
        return io.poll_write(cx, head);
    };
    let mut pieces = [IoSlice::new(&[]); PIECES];
    pieces[0] = IoSlice::new(head);
    pieces[1] = IoSlice::new(behind);
    for (piece, buf) in pieces[2..].iter_mut().zip(rest) {
        *piece = *buf;
    }
    io.poll_write_vectored(cx, &pieces[..(2 + rest.len()).min(PIECES)])
}

/// Pieces that are together no larger are copied and written as one: the kernel takes longer to look at several than
/// a copy does.
const SMALL: usize = 4 * 1024;

thread_local! {
    static ONE_PIECE: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// Room to put a piece together, without one for each connection.
fn one_piece<T>(write: impl FnOnce(&mut Vec<u8>) -> T) -> T {
    ONE_PIECE.with_borrow_mut(|piece| {
        piece.clear();
        let result = write(piece);
        piece.shrink_to(4 * SMALL);
        result
    })
}

/// As `AsyncWrite::poll_write_vectored`, in one piece where that is small.
fn poll_write_small(
    io: Pin<&mut (impl AsyncWrite + ?Sized)>,
    cx: &mut Context<'_>,
    bufs: &[IoSlice<'_>],
) -> Poll<io::Result<usize>> {
    match bufs {
        [one] => io.poll_write(cx, one),
        _ if bufs.iter().map(|buf| buf.len()).sum::<usize>() > SMALL => io.poll_write_vectored(cx, bufs),
        _ => one_piece(|piece| {
            bufs.iter().for_each(|buf| piece.extend_from_slice(buf));
            io.poll_write(cx, piece)
        }),
    }
}

/// Where the head that matters stands at the beginning of `written`: hyper may hold a `100 Continue` of its own
/// in front of it.
fn final_head(written: &[u8]) -> Option<Range<usize>> {
    let mut start = 0;
    for at in memchr_iter(b'\n', written) {
        let end = at + 1;
        if !written[start..end].ends_with(b"\r\n\r\n") {
            continue;
        }
        if !written[start..].starts_with(b"HTTP/1.1 100 ") {
            return Some(start..end);
        }
        start = end;
    }
    None
}
