//! Writing heads with the looks that they had.

use std::io::{self, IoSlice};
use std::ops::Range;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use memchr::memmem;
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
        }
        if self.head.is_empty() {
            return io.poll_write_vectored(cx, bufs);
        }
        self.poll_write_head(io, cx, first, rest)
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
            let mut pieces = [IoSlice::new(&[]); PIECES];
            let head = &self.head[self.written..];
            pieces[0] = IoSlice::new(head);
            pieces[1] = IoSlice::new(first.get(self.stands_for..).unwrap_or_default());
            for (piece, buf) in pieces[2..].iter_mut().zip(rest) {
                *piece = *buf;
            }
            let count = (2 + rest.len()).min(PIECES);
            let left = head.len();
            let written = ready!(io.as_mut().poll_write_vectored(cx, &pieces[..count]))?;
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

/// Where the head that matters stands at the beginning of `written`: hyper may hold a `100 Continue` of its own
/// in front of it.
fn final_head(written: &[u8]) -> Option<Range<usize>> {
    let mut start = 0;
    loop {
        let rest = &written[start..];
        let end = start + memmem::find(rest, b"\r\n\r\n")? + 4;
        if !rest.starts_with(b"HTTP/1.1 100 ") {
            return Some(start..end);
        }
        start = end;
    }
}
