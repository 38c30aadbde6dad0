//! How much of an answer is held in memory.

/// What an answer may hold, and holds.
#[derive(Debug)]
pub(super) struct Budget {
    limit: usize,
    held: usize,
    over: bool,
}

/// What is kept back for the usage of an answer, which comes behind all else: however long the answer was, that much is
/// to be paid for.
const USAGE: usize = 4096;

impl Budget {
    /// For what an answer used, beside what is for all else.
    pub(super) fn of_usage() -> Self {
        Self::new(USAGE)
    }

    pub(super) fn new(limit: usize) -> Self {
        Self { limit, held: 0, over: false }
    }

    /// Appends as much of `text` as may be held. Once something is missing, nothing: what is held stays a prefix.
    pub(super) fn push(&mut self, into: &mut String, text: &str) {
        if self.over {
            return;
        }
        let spare = into.capacity() - into.len();
        if let Some(missing) = text.len().checked_sub(spare).filter(|missing| *missing > 0) {
            let before = into.capacity();
            let wanted = missing.max(before).max(64);
            into.reserve_exact(spare + wanted.min(self.room()));
            self.held += into.capacity() - before;
        }
        let fits = text.floor_char_boundary(into.capacity() - into.len());
        into.push_str(text.get(..fits).unwrap_or_default());
        self.over |= fits < text.len();
    }

    /// Whether `bytes` more may be held; then they count as held.
    pub(super) fn take(&mut self, bytes: usize) -> bool {
        let fits = !self.over && bytes <= self.room();
        if fits {
            self.held += bytes;
        } else {
            self.over = true;
        }
        fits
    }

    /// Gives back what was taken.
    pub(super) fn give(&mut self, bytes: usize) {
        self.held = self.held.saturating_sub(bytes);
    }

    /// What is held.
    pub(super) fn held(&self) -> usize {
        self.held
    }

    /// Notes that something is missing.
    pub(super) fn lose(&mut self) {
        self.over = true;
    }

    /// Whether something is missing in what is held.
    pub(super) fn over(&self) -> bool {
        self.over
    }

    fn room(&self) -> usize {
        self.limit.saturating_sub(self.held)
    }
}
