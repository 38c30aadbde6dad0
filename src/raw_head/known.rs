//! Lines that come again and again.
//!
//! A client's heads are all alike, and so are a provider's: comparing a line with the one that stood in its place in
//! an earlier head takes much less than reading it.

use std::cell::RefCell;
use std::ops::Range;

use super::line::{Kind, Reading};
use super::{MAX_LINES, RawHead};

/// A head that came on this thread, without the lines that are needed: some of those are somebody's credentials.
#[derive(Debug, Default)]
pub(super) struct Known {
    bytes: Vec<u8>,
    /// Where each line stands in `bytes`, and what it says.
    lines: Vec<(Range<usize>, Reading)>,
}

/// No longer head is remembered.
const MAX_BYTES: usize = 16 * 1024;

thread_local! {
    static REQUEST: RefCell<Known> = RefCell::default();
    static RESPONSE: RefCell<Known> = RefCell::default();
}

impl Known {
    /// With what is known of requests' heads.
    pub(super) fn with_requests<T>(take: impl FnOnce(&mut Self) -> T) -> T {
        REQUEST.with_borrow_mut(take)
    }

    /// With what is known of responses' heads.
    pub(super) fn with_responses<T>(take: impl FnOnce(&mut Self) -> T) -> T {
        RESPONSE.with_borrow_mut(take)
    }

    /// Whether `bytes`, which come behind `index` lines of a head, begin with the line that stood there: its length, and
    /// what it says.
    pub(super) fn begins(&self, index: usize, bytes: &[u8]) -> Option<(usize, Reading)> {
        let (range, reading) = self.lines.get(index)?;
        let line = &self.bytes[range.clone()];
        (!line.is_empty() && bytes.starts_with(line)).then_some((line.len(), *reading))
    }

    /// `head` had so many lines that were not met here. Where those are most of them, others like it may follow.
    pub(super) fn learn(&mut self, head: &RawHead, unknown: usize) {
        let others = head.lines.iter().filter(|line| line.reading.kind == Kind::Other).count();
        if unknown * 2 <= others || head.bytes.len() > MAX_BYTES || head.lines.len() > MAX_LINES {
            return;
        }
        self.bytes.clear();
        self.lines.clear();
        for line in &head.lines {
            let start = self.bytes.len();
            if line.reading.kind != Kind::Needed {
                self.bytes.extend_from_slice(&head.bytes[line.range()]);
            }
            self.lines.push((start..self.bytes.len(), line.reading));
        }
    }
}
