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
const HIDDEN: u8 = b'^';

/// Whether hyper would refuse `byte` in a request's target though it breaks nothing, or cut the target off there.
pub(crate) fn is_refused(byte: u8) -> bool {
    matches!(byte, b'"' | b'<' | b'>' | b'`' | b'#') || byte >= 0x80
}

impl RawHead {
    /// Whether nothing of it has come.
    pub(crate) fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// What has come of it.
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

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
        if !first.starts_with(b"HTTP/1.1 ") && !first.ends_with(b" HTTP/1.1\r\n") {
            return None;
        }
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
        if self.next.is_some()
            && let Some(head) = final_head(first)
            && let Some(raw) = self.next.take()
        {
            self.head.extend_from_slice(&first[..head.end]);
            raw.restore(&mut self.head[head.start..]);
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
            // After an informational head (RFC 9110 section 15.2) comes another one, and an empty line is none.
            if head.lines.len() > 1 && !head.is_informational() {
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn raw(text: &[u8]) -> RawHead {
        let mut head = RawHead::default();
        assert_eq!(head.feed(text), (text.len(), true));
        head
    }

    /// As hyper writes it: names in lower case, the values of one name side by side.
    fn as_hyper_writes(first: &str, fields: &[(String, String)]) -> Vec<u8> {
        let same = |name: &str, other: &str| name.eq_ignore_ascii_case(other);
        let mut sorted: Vec<_> = fields.iter().collect();
        sorted.sort_by_key(|(name, _)| fields.iter().position(|(other, _)| same(name, other)));
        let lines: String =
            sorted.iter().map(|(name, value)| format!("{}: {value}\r\n", name.to_lowercase())).collect();
        format!("{first}\r\n{lines}\r\n").into_bytes()
    }

    fn as_sent(first: &str, fields: &[(String, String)]) -> Vec<u8> {
        let lines: String = fields.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
        format!("{first}\r\n{lines}\r\n").into_bytes()
    }

    fn fields() -> impl Strategy<Value = Vec<(String, String)>> {
        proptest::collection::vec(
            ("[Xx]-[aAbB]{1,2}", "[ -~]{0,9}".prop_map(|text| text.trim().to_owned())),
            0..14,
        )
    }

    proptest! {
        #[test]
        fn what_hyper_made_of_a_head_is_the_head_again(fields in fields()) {
            let mut written = as_hyper_writes("GET / HTTP/1.1", &fields);
            let sent = as_sent("GET / HTTP/1.1", &fields);
            raw(&sent).restore(&mut written);
            prop_assert_eq!(String::from_utf8_lossy(&written), String::from_utf8_lossy(&sent));
        }

        /// Whatever was taken off or added on the way: the same lines, but for the case of names and their order.
        #[test]
        fn a_head_keeps_its_meaning(sent in fields(), written in fields()) {
            let mut restored = as_hyper_writes("GET / HTTP/1.1", &written);
            let before = restored.clone();
            raw(&as_sent("GET / HTTP/1.1", &sent)).restore(&mut restored);
            let lines = |bytes: &[u8]| {
                let text = String::from_utf8_lossy(bytes).into_owned();
                let mut lines: Vec<_> = text
                    .split("\r\n")
                    .map(|line| line.split_once(':').map_or((line.to_owned(), String::new()), |(name, value)| {
                        (name.to_lowercase(), value.to_owned())
                    }))
                    .collect();
                lines.sort();
                lines
            };
            prop_assert_eq!(lines(&restored), lines(&before));
            prop_assert!(restored.ends_with(b"\r\n\r\n"));
            // Equal names stay in their order.
            let values = |bytes: &[u8], name: &str| -> Vec<String> {
                String::from_utf8_lossy(bytes)
                    .split("\r\n")
                    .filter_map(|line| line.split_once(": "))
                    .filter(|(other, _)| other.eq_ignore_ascii_case(name))
                    .map(|(_, value)| value.to_owned())
                    .collect()
            };
            for (name, _) in &written {
                prop_assert_eq!(values(&restored, name), values(&before, name));
            }
        }

        #[test]
        fn arbitrary_bytes_do_not_panic(raw in proptest::collection::vec(any::<u8>(), 0..200), written in proptest::collection::vec(any::<u8>(), 0..200)) {
            let mut head = RawHead::default();
            head.feed_request(&mut raw.clone());
            let mut restored = written.clone();
            head.restore(&mut restored);
            prop_assert_eq!(restored.len(), written.len());
            let mut reader = HeadReader::default();
            reader.expect();
            reader.feed(&raw);
        }

        #[test]
        fn a_target_comes_back_whole(target in "/[!-~\u{80}-\u{ff}]{0,30}") {
            let sent = [b"GET ", target.as_bytes(), b" HTTP/1.1\r\n\r\n"].concat();
            let mut seen = sent.clone();
            let mut head = RawHead::default();
            head.feed_request(&mut seen);
            prop_assert!(!seen.iter().any(|byte| is_refused(*byte)));
            head.restore(&mut seen);
            prop_assert_eq!(seen, sent);
        }
    }

    #[test]
    fn the_head_after_informational_ones_is_kept() {
        let mut reader = HeadReader::default();
        reader.expect();
        reader
            .feed(b"\r\nHTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Hi\r\nLink: a\r\n\r\nHTTP/1.1 200 OK\r\nX");
        assert!(reader.take().is_none());
        reader.feed(b"-A: b\r\n\r\nbody: x\r\n\r\n");
        assert_eq!(reader.take().unwrap(), raw(b"HTTP/1.1 200 OK\r\nX-A: b\r\n\r\n"));
    }

    #[test]
    fn only_a_connection_that_says_nothing_need_not_be_passed_on() {
        let words = |text: &[u8]| raw(text).idle_words(text.len()).map(|words| text[words].to_vec());
        let idle = b"GET / HTTP/1.1\r\nHost: a\r\nCONNECTION: Keep-Alive\r\nX: y\r\n\r\n";
        assert_eq!(words(idle).unwrap(), b"CONNECTION: Keep-Alive\r\n");
        for telling in [
            &b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"[..],
            b"GET / HTTP/1.1\r\nConnection: keep-alive, x\r\n\r\n",
            b"GET / HTTP/1.1\r\nConnection: close\r\n\r\n",
            b"GET / HTTP/1.1\r\nX-Connection: keep-alive\r\n\r\n",
        ] {
            assert_eq!(words(telling), None);
        }
    }
}
