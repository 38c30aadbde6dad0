//! A list in JSON, cut into its elements while it comes.

use super::sse::Read;

/// Reads one at a time.
#[derive(Debug)]
pub(crate) struct ListReader {
    limit: usize,
}

impl ListReader {
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
