//! A list in JSON, cut into its elements while it comes.

use memchr::memchr2;

use super::sse::{Event, Read};

/// What a reader keeps its buffer at between elements.
const KEPT: usize = 64 * 1024;

/// Reads the elements of a list, of which it holds one at a time: each is told at its last byte, not at the comma
/// behind it, which may come much later.
///
/// It looks at brackets, strings and commas only: whether an element is JSON is for others to say.
#[derive(Debug)]
pub(crate) struct ListReader {
    limit: usize,
    place: Place,
    /// The element as far as it came in earlier chunks.
    buffer: Vec<u8>,
    /// The element is too large.
    too_large: bool,
}

/// Where the next byte stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    /// Before the list.
    Before,
    /// In the list, between elements.
    Between,
    /// In an element that has no end of its own, such as a number.
    Word,
    /// In so many brackets.
    Brackets(usize),
    /// In a string, within so many brackets.
    String(usize),
    /// Behind a backslash in such a string.
    Escaped(usize),
    /// Behind the list, or in something that is none.
    After,
}

/// Whether an element ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    /// Not here, or there is none.
    No,
    /// Before this byte.
    Before,
    /// With this byte.
    With,
}

impl Place {
    /// The place behind `byte`, and whether an element ends there.
    fn behind(self, byte: u8) -> (Self, End) {
        match (self, byte) {
            (Self::Before, b'[') => (Self::Between, End::No),
            // A byte order mark may stand first.
            (Self::Before, b' ' | b'\t' | b'\n' | b'\r' | 0xef | 0xbb | 0xbf) => (Self::Before, End::No),
            (Self::Before | Self::After, _) => (Self::After, End::No),
            (Self::Between, b' ' | b'\t' | b'\n' | b'\r' | b',') => (Self::Between, End::No),
            (Self::Between, b']') => (Self::After, End::No),
            (Self::Between, b'{' | b'[') => (Self::Brackets(1), End::No),
            (Self::Between, b'"') => (Self::String(0), End::No),
            (Self::Between, _) => (Self::Word, End::No),
            (Self::Word, b' ' | b'\t' | b'\n' | b'\r' | b',') => (Self::Between, End::Before),
            (Self::Word, b']') => (Self::After, End::Before),
            (Self::Word, _) => (Self::Word, End::No),
            (Self::Brackets(depth), b'{' | b'[') => (Self::Brackets(depth.saturating_add(1)), End::No),
            (Self::Brackets(depth), b'}' | b']') => Self::closed(depth.saturating_sub(1)),
            (Self::Brackets(depth), b'"') => (Self::String(depth), End::No),
            (Self::Brackets(depth), _) => (Self::Brackets(depth), End::No),
            (Self::String(depth), b'"') => Self::closed(depth),
            (Self::String(depth), b'\\') => (Self::Escaped(depth), End::No),
            (Self::String(depth) | Self::Escaped(depth), _) => (Self::String(depth), End::No),
        }
    }

    /// Behind a bracket or a string that was closed within `depth` brackets.
    fn closed(depth: usize) -> (Self, End) {
        if depth == 0 { (Self::Between, End::With) } else { (Self::Brackets(depth), End::No) }
    }

    fn is_in_element(self) -> bool {
        !matches!(self, Self::Before | Self::Between | Self::After)
    }
}

impl ListReader {
    /// A reader of elements that take at most `limit` bytes.
    pub(crate) fn new(limit: usize) -> Self {
        Self { limit, place: Place::Before, buffer: Vec::new(), too_large: false }
    }

    /// Changes what an element may take.
    pub(crate) fn limit(&mut self, limit: usize) {
        self.limit = limit;
    }

    /// Reads what came next.
    pub(crate) fn feed(&mut self, chunk: &[u8], tell: &mut dyn FnMut(Read<'_>)) {
        // Where the element begins, as far as it is not in the buffer.
        let mut start = 0;
        let mut at = 0;
        while let Some(rest) = chunk.get(at..).filter(|rest| !rest.is_empty()) {
            if self.place == Place::After {
                return;
            }
            at += self.plain(rest);
            let Some(byte) = chunk.get(at) else { break };
            let was_in_element = self.place.is_in_element();
            let (place, end) = self.place.behind(*byte);
            self.place = place;
            if !was_in_element {
                start = at;
            }
            at += 1;
            let end = match end {
                End::No => continue,
                End::Before => at - 1,
                End::With => at,
            };
            self.end(chunk.get(start..end).unwrap_or_default(), tell);
        }
        if self.place.is_in_element() {
            self.append(chunk.get(start..).unwrap_or_default());
        }
    }

    /// How many bytes of memory it holds.
    pub(crate) fn held(&self) -> usize {
        self.buffer.capacity()
    }

    /// How many bytes at the beginning of `rest` are plain text in a string.
    fn plain(&self, rest: &[u8]) -> usize {
        match self.place {
            Place::String(_) => memchr2(b'"', b'\\', rest).unwrap_or(rest.len()),
            _ => 0,
        }
    }

    /// An element ends, of which this is the last part.
    fn end(&mut self, part: &[u8], tell: &mut dyn FnMut(Read<'_>)) {
        let in_one_piece = self.buffer.is_empty() && !self.too_large && part.len() <= self.limit;
        if !in_one_piece {
            self.append(part);
        }
        if std::mem::take(&mut self.too_large) {
            tell(Read::TooLarge);
        } else {
            let data = if in_one_piece { part } else { &self.buffer };
            tell(Read::Event(Event { name: b"", data }));
        }
        self.buffer.clear();
        self.buffer.shrink_to(KEPT);
    }

    fn append(&mut self, part: &[u8]) {
        let needed = self.buffer.len() + part.len();
        if self.too_large || needed > self.limit {
            self.too_large = true;
            self.buffer = Vec::new();
            return;
        }
        if needed > self.buffer.capacity() {
            let capacity = needed.max(self.buffer.capacity().saturating_mul(2)).max(256).min(self.limit);
            self.buffer.reserve_exact(capacity.max(needed) - self.buffer.len());
        }
        self.buffer.extend_from_slice(part);
    }
}

#[cfg(test)]
mod tests;
