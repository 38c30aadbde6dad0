//! Heads as their senders wrote them.
//!
//! hyper gives headers back in lower case, the values of one name side by side, and refuses a few bytes in a request's
//! target. It can remember how names were written, at a quarter of the price of a whole exchange and without their
//! order. So the bytes of a head are kept as they came, and what hyper writes is given their looks before it leaves.
//!
//! Most lines of a head are neither hyper's business nor ours. Those are kept from hyper altogether: it need not parse
//! them, nor make a map of them, nor write them again: a quarter of what a small request took outside of the kernel
//! (bench/TRIED.md). They are put back where they stood, byte for byte. What it is shown is listed in [`needed`].
//!
//! hyper reads requests and writes responses. Requests are written, and responses read, by `upstream`: with the same
//! lines left out, and put back in the same way.

use std::ops::Range;

use memchr::memchr;

mod known;
mod line;
mod needed;
mod restore;
mod writer;

use known::Known;
use line::{Kind, Line, Reading, View};
pub(crate) use writer::HeadWriter;

/// The bytes of a head, from its first line to the empty one, and where its lines are.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct RawHead {
    bytes: Vec<u8>,
    /// The lines that have ended, the first and the empty one included.
    lines: Vec<Line>,
    /// Whether bytes of the target were hidden from hyper.
    hides: bool,
}

/// How much of a head is shown to hyper, or, of a response's, to whoever forwards it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Shows {
    /// What is needed to forward it.
    #[default]
    Needed,
    /// All but a `Connection` that says nothing: whoever answers in this process wants to read it.
    All,
}

/// hyper refuses more lines than these, the first and the last one included; so it shall see them.
pub(crate) const MAX_LINES: usize = 102;

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

    /// Takes what belongs to this head of a response of `bytes`: their number, and whether the head has ended with them.
    pub(crate) fn feed(&mut self, bytes: &[u8]) -> (usize, bool) {
        Known::with_responses(|known| self.take(bytes, known))
    }

    fn take(&mut self, bytes: &[u8], known: &mut Known) -> (usize, bool) {
        let begins = self.bytes.is_empty();
        if begins {
            self.lines.reserve(USUAL_LINES);
        }
        // So many of them are kept here, and so many belong to lines that have ended.
        let (mut copied, mut at) = (0, 0);
        let mut unknown = 0;
        loop {
            let index = self.lines.len();
            let rest = &bytes[at..];
            let start = self.lines.last().map_or(0, Line::end);
            let met = if begins { known.begins(index, rest) } else { None };
            let (end, reading) = match met {
                Some((len, reading)) => (at + len, reading),
                None => {
                    let Some(len) = memchr(b'\n', rest) else { break };
                    let end = at + len + 1;
                    // What had come of it stands here already.
                    let reading = if at == 0 && start < self.bytes.len() {
                        self.bytes.extend_from_slice(&bytes[..end]);
                        copied = end;
                        Reading::of(&self.bytes[start..], index)
                    } else {
                        Reading::of(&bytes[at..end], index)
                    };
                    unknown += usize::from(reading.kind == Kind::Other);
                    (end, reading)
                }
            };
            let before = self.bytes.len() - copied;
            self.lines.push(Line::new(start..before + end, reading));
            at = end;
            if reading.kind == Kind::Empty {
                self.bytes.extend_from_slice(&bytes[copied..at]);
                if begins && unknown > 0 {
                    known.learn(self, unknown);
                }
                return (at, true);
            }
        }
        self.bytes.extend_from_slice(&bytes[copied..]);
        (bytes.len(), false)
    }

    /// Takes what belongs to this request's head of `bytes`, like [`RawHead::feed`], and hides from hyper what it would
    /// refuse in the target.
    pub(crate) fn feed_request(&mut self, bytes: &mut [u8]) -> (usize, bool) {
        let is_first_line = self.lines.is_empty();
        let mut in_target = is_first_line && self.bytes.contains(&b' ');
        let result = Known::with_requests(|known| self.take(bytes, known));
        for byte in bytes.iter_mut().take_while(|byte| is_first_line && **byte != b'\n') {
            if in_target && is_refused(*byte) {
                *byte = HIDDEN;
                self.hides = true;
            }
            in_target |= *byte == b' ';
        }
        result
    }

    /// The lines that hyper is shown, each with its end.
    pub(crate) fn shown(&self) -> impl Iterator<Item = &[u8]> {
        self.lines.iter().filter(|line| line.view == View::Shown).map(|line| &self.bytes[line.range()])
    }

    /// How many lines it has, the first and the last one included.
    pub(crate) fn len(&self) -> usize {
        self.lines.len()
    }

    /// This head is whole, and `read` are the last bytes of it: keeps from hyper what it need not see. What it is
    /// shown of them is moved to their beginning; returns its length.
    pub(crate) fn show(&mut self, read: &mut [u8], shows: Shows) -> usize {
        let passed = self.bytes.len() - read.len();
        self.decide(passed, shows);
        let (mut from, mut left) = (0, 0);
        for line in self.lines.iter().filter(|line| line.view != View::Shown) {
            let hidden = line.start() - passed..line.end() - passed;
            if from < hidden.start {
                read.copy_within(from..hidden.start, left);
                left += hidden.start - from;
            }
            from = hidden.end;
        }
        read.copy_within(from.., left);
        left + read.len() - from
    }

    /// Decides what is kept from hyper, of the lines that begin behind the first `passed` bytes.
    fn decide(&mut self, passed: usize, shows: Shows) {
        let first = self.line(0);
        let is_http11 = first.starts_with(b"HTTP/1.1 ") || first.ends_with(b" HTTP/1.1\r\n");
        if !is_http11 || self.lines.len() > MAX_LINES {
            return;
        }
        let mut keeps = shows == Shows::Needed;
        for line in &self.lines {
            match line.reading.kind {
                // hyper's to mend or to refuse.
                Kind::Folded => return,
                Kind::NamesOthers => keeps = false,
                _ => keeps &= line.reading.is_plain || line.start() < passed,
            }
        }
        for line in self.lines.iter_mut().filter(|line| line.start() >= passed) {
            line.view = match line.reading.kind {
                Kind::KeepAlive => View::Dropped,
                Kind::Other if keeps => View::Kept,
                _ => View::Shown,
            };
        }
    }

    /// This head of a response is whole. Decides what of it need not be read to forward it; says whether each line that
    /// is left can be read by itself, and in one way only. Where not, whoever reads it reads all of it: see
    /// [`RawHead::leave_nothing_out`].
    pub(crate) fn sort_out(&mut self, shows: Shows) -> bool {
        self.decide(0, shows);
        let [_, fields @ .., _] = &self.lines[..] else { return false };
        self.lines.len() <= MAX_LINES
            && fields.iter().all(|line| {
                let Reading { kind, is_plain, .. } = line.reading;
                is_plain && kind != Kind::Folded && line.reading.name() > 0
            })
    }

    /// All of it is read, whatever was left out before.
    pub(crate) fn leave_nothing_out(&mut self) {
        self.lines.iter_mut().for_each(|line| line.view = View::Shown);
    }

    /// Names and values of what was not left out of it by [`RawHead::sort_out`].
    pub(crate) fn fields(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        let fields = self.lines.iter().filter(|line| line.view == View::Shown && line.reading.name() > 0);
        fields.map(|line| {
            let (name, value) = self.bytes[line.range()].split_at(line.reading.name());
            (name, value[1..].trim_ascii())
        })
    }

    /// The first line, with its end.
    pub(crate) fn first_line(&self) -> &[u8] {
        self.line(0)
    }

    fn line(&self, at: usize) -> &[u8] {
        self.lines.get(at).map_or(&[], |line| &self.bytes[line.range()])
    }
}

/// Where the target stands in a request line.
fn target_of(line: &[u8]) -> Option<Range<usize>> {
    let start = memchr(b' ', line)? + 1;
    let end = line.iter().rposition(|byte| *byte == b' ')?;
    (start <= end).then_some(start..end)
}

#[cfg(test)]
mod tests;
