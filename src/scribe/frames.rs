//! Amazon's event stream (`application/vnd.amazon.eventstream`) cut into its frames.

use super::sse::Read;

/// Reads one at a time.
#[derive(Debug)]
pub(crate) struct FrameReader {
    limit: usize,
}

impl FrameReader {
    /// A reader of what takes at most `limit` bytes each.
    pub(crate) fn new(limit: usize) -> Self {
        Self { limit }
    }

    /// Changes what one may take.
    pub(crate) fn limit(&mut self, limit: usize) {
        self.limit = limit;
    }

    /// Reads what came next.
    pub(crate) fn feed(&mut self, _chunk: &[u8], _tell: &mut dyn FnMut(Read<'_>)) {}

    /// How many bytes of memory it holds.
    pub(crate) fn held(&self) -> usize {
        0
    }
}
