//! Giving what hyper wrote the looks of the head that it was.

use memchr::memchr;

use super::{HIDDEN, RawHead, View, is_refused, target_of};

/// A line that hyper wrote.
struct Written {
    /// Which of ours it was; where it was none, the one that it stands behind, or none of them.
    index: usize,
    /// The length of its name, if it was one of ours: that is as the sender wrote it.
    name: usize,
    start: usize,
    end: usize,
}

impl RawHead {
    /// Writes a head to `out`: what was written of this one as hyper does, in this one's letters and in its order, and
    /// what was left out of it.
    pub(crate) fn restore(&self, written: &[u8], out: &mut Vec<u8>) {
        let first_end = memchr(b'\n', written).map_or(written.len(), |at| at + 1);
        out.reserve(self.bytes.len().max(written.len()));
        out.extend_from_slice(&written[..first_end]);
        if self.hides {
            let begin = out.len() - first_end;
            self.restore_target(&mut out[begin..]);
        }
        let (mut lines, end) = self.find_lines(written, first_end);
        if !lines.is_sorted_by_key(|line| line.index) {
            // Equal ones stay in their order.
            lines.sort_by_key(|line| line.index);
        }
        let mut next = 1;
        for line in &lines {
            self.put_back(next..line.index, out);
            next = next.max(line.index);
            if line.name > 0 {
                let start = self.lines[line.index].start();
                out.extend_from_slice(&self.bytes[start..start + line.name]);
                next = line.index + 1;
            }
            out.extend_from_slice(&written[line.start + line.name..line.end]);
        }
        self.put_back(next..self.lines.len(), out);
        out.extend_from_slice(&written[end..]);
    }

    /// The lines that were kept from hyper.
    fn put_back(&self, range: std::ops::Range<usize>, out: &mut Vec<u8>) {
        let mut run = 0..0;
        for line in self.lines.get(range).unwrap_or_default().iter().filter(|line| line.view == View::Kept) {
            if run.end != line.start() {
                out.extend_from_slice(&self.bytes[run]);
                run = line.start()..line.start();
            }
            run.end = line.end();
        }
        out.extend_from_slice(&self.bytes[run]);
    }

    /// The lines of `written` from `start` on, and where the empty one begins.
    fn find_lines(&self, written: &[u8], mut start: usize) -> (Vec<Written>, usize) {
        let mut lines = Vec::with_capacity(8);
        let mut search = Search { raw: self, next: 1, skipped: Vec::new() };
        let mut last = 0;
        while let Some(len) = memchr(b'\n', &written[start..]) {
            let end = start + len + 1;
            if matches!(&written[start..end], b"\r\n" | b"\n") {
                break;
            }
            let found = search.find(&written[start..end]);
            last = found.unwrap_or(last);
            let name = found.map_or(0, |index| self.lines[index].reading.name());
            lines.push(Written { index: last, name, start, end });
            start = end;
        }
        // What was added at the end stays at the end.
        for line in lines.iter_mut().rev().take_while(|line| line.name == 0) {
            line.index = self.lines.len();
        }
        (lines, start)
    }

    /// What the target was forwarded as ends with what it was, but for the bytes that were hidden.
    fn restore_target(&self, written: &mut [u8]) {
        let first = self.line(0);
        let (Some(ours), Some(theirs)) = (target_of(written), target_of(first)) else { return };
        let theirs = first[theirs].iter().rev();
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
    /// Which line this was that hyper wrote. It writes the values of one name side by side and in their order, so it
    /// was the first of its name that was not met yet.
    fn find(&mut self, written: &[u8]) -> Option<usize> {
        let raw = self.raw;
        let is_it = |index: usize| {
            let line = &raw.lines[index];
            let (start, name, view) = (line.start(), line.reading.name(), line.view);
            view == View::Shown
                && name > 0
                && written.get(name) == Some(&b':')
                && written[..name].eq_ignore_ascii_case(&raw.bytes[start..start + name])
        };
        if let Some(at) = self.skipped.iter().position(|index| is_it(*index)) {
            return Some(self.skipped.remove(at));
        }
        let found = (self.next..raw.lines.len()).find(|index| is_it(*index))?;
        self.skipped.extend((self.next..found).filter(|index| raw.lines[*index].view == View::Shown));
        self.next = found + 1;
        Some(found)
    }
}
