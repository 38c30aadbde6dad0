//! Heads as their senders wrote them.
//!
//! hyper gives headers back in lower case, the values of one name side by side, and refuses a few bytes in a request's
//! target. It can remember how names were written, at a quarter of the price of a whole exchange and without their
//! order. So the bytes of a head are kept as they came, and what hyper writes is given their looks before it leaves:
//! only letters change their case, and only whole lines their place. The length never changes, nor what it means.

use std::io::{self, IoSlice};
use std::ops::Range;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use memchr::{memchr, memchr_iter, memmem};
use tokio::io::{AsyncWrite, ReadBuf};

/// The bytes of a head, from its first line to the empty one, and where its lines are.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct RawHead {
    bytes: Vec<u8>,
    /// The lines that have ended, the first and the empty one included.
    lines: Vec<Line>,
    /// Whether bytes of the target were hidden from hyper.
    hides: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Line {
    start: usize,
    end: usize,
    /// The length of the name, where there is one.
    name: usize,
}

/// More lines than most heads have.
const USUAL_LINES: usize = 32;

/// What stands for a byte of a request's target that hyper would refuse, or cut off.
const HIDDEN: u8 = b'_';

/// Whether hyper would refuse `byte` in a request's target though it breaks nothing, or cut the target off there.
fn is_refused(byte: u8) -> bool {
    matches!(byte, b'"' | b'<' | b'>' | b'`' | b'#') || byte >= 0x80
}

impl RawHead {
    /// Takes what belongs to this head of `bytes`: their number, and whether the head has ended with them.
    pub(crate) fn feed(&mut self, bytes: &[u8]) -> (usize, bool) {
        let before = self.bytes.len();
        if before == 0 {
            self.lines.reserve(USUAL_LINES);
        }
        for at in memchr_iter(b'\n', bytes) {
            let start = self.lines.last().map_or(0, |line| line.end);
            let end = before + at + 1;
            let is_empty = match end - start {
                1 => true,
                2 => at.checked_sub(1).map_or(self.bytes.last(), |last| bytes.get(last)) == Some(&b'\r'),
                _ => false,
            };
            self.lines.push(Line { start, end, name: 0 });
            if is_empty {
                self.bytes.extend_from_slice(&bytes[..=at]);
                self.find_names();
                return (at + 1, true);
            }
        }
        self.bytes.extend_from_slice(bytes);
        (bytes.len(), false)
    }

    fn find_names(&mut self) {
        for line in self.lines.iter_mut().skip(1) {
            let text = &self.bytes[line.start..line.end];
            line.name = text.iter().position(|byte| *byte == b':').unwrap_or(0);
        }
    }

    /// Takes what belongs to this request's head of `bytes`, like [`RawHead::feed`], and hides from hyper what it would
    /// refuse in the target.
    pub(crate) fn feed_request(&mut self, bytes: &mut [u8]) -> (usize, bool) {
        let is_first_line = self.lines.is_empty();
        let mut in_target = is_first_line && self.bytes.contains(&b' ');
        let result = self.feed(bytes);
        for byte in bytes.iter_mut().take_while(|byte| is_first_line && **byte != b'\n') {
            if in_target && is_refused(*byte) {
                *byte = HIDDEN;
                self.hides = true;
            }
            in_target |= *byte == b' ';
        }
        result
    }

    /// All lines, each with its end.
    pub(crate) fn lines(&self) -> impl Iterator<Item = &[u8]> {
        self.lines.iter().map(|line| &self.bytes[line.start..line.end])
    }

    /// Where in the last `len` bytes of this head, which is whole, a line says no more than `Connection: keep-alive`.
    /// In HTTP/1.1 that says nothing (RFC 9112 section 9.3), and it is hop-by-hop: taken off before hyper reads the
    /// head, it need not be taken out of a map that has to be built anew for it.
    pub(crate) fn idle_words(&self, len: usize) -> Option<Range<usize>> {
        let first = self.lines.first().map(|line| &self.bytes[line.start..line.end])?;
        memmem::find(first, b"HTTP/1.1")?;
        let passed = self.bytes.len() - len;
        let line = self.lines.iter().find(|line| {
            line.name == b"connection".len()
                && line.start >= passed
                && self.bytes[line.start..line.end].eq_ignore_ascii_case(b"connection: keep-alive\r\n")
        })?;
        Some(line.start - passed..line.end - passed)
    }

    fn is_informational(&self) -> bool {
        let status = self.bytes.split(|byte| *byte == b' ').nth(1).unwrap_or_default();
        status.starts_with(b"1") && !status.starts_with(b"101")
    }

    /// Gives `written`, a whole head as hyper wrote it, the looks of this one.
    fn restore(&self, written: &mut [u8]) {
        let Some(first_end) = memchr(b'\n', written).map(|at| at + 1) else { return };
        if self.hides {
            self.restore_target(&mut written[..first_end]);
        }
        let mut last = 0;
        let mut in_order = true;
        self.each_line(written, first_end, |written, found, start, _| {
            if let Some(index) = found {
                let line = self.lines[index];
                let name = &self.bytes[line.start..line.start + line.name];
                written[start..start + line.name].copy_from_slice(name);
                in_order &= index > last;
                last = index;
            }
        });
        if !in_order {
            let mut places = Vec::with_capacity(self.lines.len());
            self.each_line(written, first_end, |_, found, start, end| places.push((found, start, end)));
            reorder(written, &mut places);
        }
    }

    /// Calls `f` for each line of `written` from `start` on: which of ours it was, where it begins, and where it ends.
    fn each_line(
        &self,
        written: &mut [u8],
        mut start: usize,
        mut f: impl FnMut(&mut [u8], Option<usize>, usize, usize),
    ) {
        let mut search = Search { raw: self, next: 1, skipped: Vec::new() };
        while let Some((found, end)) = search.find(written, start) {
            f(written, found, start, end);
            start = end;
        }
    }

    /// What the target was forwarded as ends with what it was, but for the bytes that were hidden.
    fn restore_target(&self, written: &mut [u8]) {
        let theirs = self.lines().next().and_then(target_of);
        let (Some(ours), Some(theirs)) = (target_of(written), theirs) else { return };
        let theirs = self.bytes[theirs].iter().rev();
        for (byte, original) in written[ours].iter_mut().rev().zip(theirs) {
            match *byte {
                _ if *byte == *original => {}
                HIDDEN if is_refused(*original) => *byte = *original,
                _ => return,
            }
        }
    }
}

/// Goes through the lines of a raw head beside those that hyper wrote of it.
struct Search<'a> {
    raw: &'a RawHead,
    next: usize,
    /// Lines before `next` that were not met yet: they were taken off, or come later.
    skipped: Vec<usize>,
}

impl Search<'_> {
    /// The line that begins at `start` in `written`: which it was, and where it ends. hyper writes the values of one
    /// name side by side and in their order, so it was the first of its name that was not met yet.
    fn find(&mut self, written: &[u8], start: usize) -> Option<(Option<usize>, usize)> {
        let rest = &written[start..];
        let raw = self.raw;
        let is_it = |index: usize| {
            let line = raw.lines[index];
            let name = &raw.bytes[line.start..line.start + line.name];
            !name.is_empty()
                && rest.get(line.name) == Some(&b':')
                && rest[..line.name].eq_ignore_ascii_case(name)
        };
        let found = if let Some(at) = self.skipped.iter().position(|index| is_it(*index)) {
            Some(self.skipped.remove(at))
        } else if let Some(index) = (self.next..raw.lines.len()).find(|index| is_it(*index)) {
            self.skipped.extend(self.next..index);
            self.next = index + 1;
            Some(index)
        } else {
            None
        };
        let end = start + memchr(b'\n', rest)? + 1;
        Some((found, end))
    }
}

/// Where the target stands in a request line.
fn target_of(line: &[u8]) -> Option<Range<usize>> {
    let start = memchr(b' ', line)? + 1;
    let end = line.iter().rposition(|byte| *byte == b' ')?;
    (start <= end).then_some(start..end)
}

/// Puts the lines of `written` into the order of what they were; one that is new stays behind the one before it.
fn reorder(written: &mut [u8], places: &mut [(Option<usize>, usize, usize)]) {
    let begin = places.first().map_or(0, |place| place.1);
    let end = places.last().map_or(0, |place| place.2);
    let old = written[begin..end].to_vec();
    // The empty line is the last one, and stays there.
    let mut last = 0;
    let count = places.len().saturating_sub(1);
    for place in &mut places[..count] {
        last = place.0.unwrap_or(last);
        place.0 = Some(last);
    }
    places[..count].sort_by_key(|place| place.0);
    let mut at = begin;
    for (_, from, to) in places {
        let line = &old[*from - begin..*to - begin];
        written[at..at + line.len()].copy_from_slice(line);
        at += line.len();
    }
}

/// Writes a head with the looks of the raw one that it was given; everything else passes as it is.
#[derive(Debug, Default)]
pub(crate) struct HeadWriter {
    next: Option<Arc<RawHead>>,
    /// The head under way, and how much of it has been written.
    head: Vec<u8>,
    written: usize,
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
        if let Some(raw) = self.next.take()
            && let Some(len) = memmem::find(first, b"\r\n\r\n").map(|at| at + 4)
        {
            self.head.extend_from_slice(&first[..len]);
            raw.restore(&mut self.head);
        }
        if self.head.is_empty() {
            return io.poll_write_vectored(cx, bufs);
        }
        let left = (self.head.len() - self.written).min(first.len());
        let mut pieces = [IoSlice::new(&[]); PIECES];
        pieces[0] = IoSlice::new(&self.head[self.written..self.written + left]);
        pieces[1] = IoSlice::new(&first[left..]);
        for (piece, buf) in pieces[2..].iter_mut().zip(rest) {
            *piece = *buf;
        }
        let count = (2 + rest.len()).min(PIECES);
        let written = ready!(io.poll_write_vectored(cx, &pieces[..count]))?;
        self.written += written.min(left);
        if self.written == self.head.len() {
            self.head.clear();
            self.written = 0;
        }
        Poll::Ready(Ok(written))
    }
}

/// Keeps the head of a response as it came.
#[derive(Debug, Default)]
pub(crate) struct HeadReader {
    reading: Option<RawHead>,
    read: Option<RawHead>,
}

/// hyper gives a head up that is longer.
const MAX_HEAD: usize = 512 * 1024;

impl HeadReader {
    /// What is read next is a head.
    pub(crate) fn expect(&mut self) {
        *self = Self { reading: Some(RawHead::default()), read: None };
    }

    /// The head, where it has come whole.
    pub(crate) fn take(&mut self) -> Option<RawHead> {
        self.read.take()
    }

    /// The other end sent `bytes`. Where the head ends in them, gives the part of them that need not be passed on.
    pub(crate) fn feed(&mut self, bytes: &[u8]) -> Option<Range<usize>> {
        let mut passed = 0;
        while let Some(head) = &mut self.reading {
            let (len, ended) = head.feed(&bytes[passed..]);
            if !ended {
                if head.bytes.len() > MAX_HEAD {
                    self.reading = None;
                }
                return None;
            }
            let head = std::mem::take(head);
            // After an informational head (RFC 9110 section 15.2) comes another one.
            if !head.is_informational() {
                let idle = head.idle_words(len).map(|words| words.start + passed..words.end + passed);
                *self = Self { reading: None, read: Some(head) };
                return idle;
            }
            passed += len;
        }
        None
    }
}

/// Takes `words` out of what was read into `buf` after `before`.
pub(crate) fn take_out(buf: &mut ReadBuf<'_>, before: usize, words: Range<usize>) {
    let len = words.len();
    let read = &mut buf.filled_mut()[before..];
    read.copy_within(words.end.., words.start);
    let filled = buf.filled().len() - len;
    buf.set_filled(filled);
}
