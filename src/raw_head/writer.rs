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
    /// The head under way, and how much of it has been written.
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
        if self.next.is_some()
            && let Some(head) = final_head(first)
            && let Some(raw) = self.next.take()
        {
            self.head.extend_from_slice(&first[..head.start]);
            raw.restore(&first[head.clone()], &mut self.head);
            self.stands_for = head.end;
            self.take_along(first, rest);
        }
        if self.head.is_empty() {
            return poll_write_small(io, cx, bufs);
        }
        self.poll_write_head(io, cx, first, rest)
    }

    /// A small body goes out with its head as one piece.
    fn take_along(&mut self, first: &[u8], rest: &[IoSlice<'_>]) {
        let behind = &first[self.stands_for..];
        let len = behind.len() + rest.iter().map(|buf| buf.len()).sum::<usize>();
        if len <= SMALL {
            self.head.extend_from_slice(behind);
            rest.iter().for_each(|buf| self.head.extend_from_slice(buf));
            self.stands_for += len;
        }
    }

    /// What hyper wrote counts as written when all is that stands for it.
    fn poll_write_head(
        &mut self,
        mut io: Pin<&mut (impl AsyncWrite + ?Sized)>,
        cx: &mut Context<'_>,
        first: &[u8],
        rest: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        loop {
            let head = &self.head[self.written..];
            let left = head.len();
            let written = match first.get(self.stands_for..) {
                Some(behind) => {
                    let mut pieces = [IoSlice::new(&[]); PIECES];
                    pieces[0] = IoSlice::new(head);
                    pieces[1] = IoSlice::new(behind);
                    for (piece, buf) in pieces[2..].iter_mut().zip(rest) {
                        *piece = *buf;
                    }
                    let count = (2 + rest.len()).min(PIECES);
                    ready!(io.as_mut().poll_write_vectored(cx, &pieces[..count]))?
                }
                // It took along all that there was.
                None => ready!(io.as_mut().poll_write(cx, head))?,
            };
            if written == 0 {
                return Poll::Ready(Ok(0));
            }
            if written < left {
                self.written += written;
                continue;
            }
            self.head.clear();
            self.written = 0;
            return Poll::Ready(Ok(written - left + self.stands_for));
        }
    }
}

/// Pieces that are together no larger are copied and written as one: the kernel takes longer to look at several than
/// a copy does.
const SMALL: usize = 4 * 1024;

thread_local! {
    static ONE_PIECE: RefCell<Vec<u8>> = RefCell::new(Vec::with_capacity(SMALL));
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
        _ => ONE_PIECE.with_borrow_mut(|piece| {
            piece.clear();
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
