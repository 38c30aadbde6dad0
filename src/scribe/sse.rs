//! Server-sent events out of bytes that are cut anywhere.

use memchr::memchr2;

/// How long the name of an event is kept.
const LONGEST_NAME: usize = 256;

/// What a reader keeps its buffer at between events.
const KEPT: usize = 64 * 1024;

/// An event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Event<'a> {
    /// Its name; empty where it has none.
    pub(crate) name: &'a [u8],
    /// Its data, lines joined by LF. Meant to be UTF-8, and here as it came.
    pub(crate) data: &'a [u8],
}

/// What was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Read<'a> {
    /// An event.
    Event(Event<'a>),
    /// An event that was larger than the limit, and passed over.
    TooLarge,
}

/// Reads a stream of events, of which it holds one at a time.
///
/// It reads what the standard describes, and is tolerant where that costs nothing: bytes need not be UTF-8, and the
/// last event need not end in an empty line. `id` and `retry` are of no use here.
#[derive(Debug)]
pub(crate) struct SseReader {
    limit: usize,
    /// The data of the event, a LF behind each line; behind `done`, the line that is not whole yet.
    buffer: Vec<u8>,
    done: usize,
    name: Vec<u8>,
    has_data: bool,
    /// A line has begun whose bytes are not kept: a comment, or a part of what is too large.
    dropping: bool,
    /// The event is too large.
    too_large: bool,
    after_cr: bool,
    first_line: bool,
}

impl SseReader {
    /// A reader of events that take at most `limit` bytes.
    pub(crate) fn new(limit: usize) -> Self {
        Self {
            limit,
            buffer: Vec::new(),
            done: 0,
            name: Vec::new(),
            has_data: false,
            dropping: false,
            too_large: false,
            after_cr: false,
            first_line: true,
        }
    }

    /// Changes what an event may take.
    pub(crate) fn limit(&mut self, limit: usize) {
        self.limit = limit;
    }

    /// Reads what came next.
    pub(crate) fn feed(&mut self, mut chunk: &[u8], tell: &mut dyn FnMut(Read<'_>)) {
        while !chunk.is_empty() {
            if std::mem::take(&mut self.after_cr) && chunk.first() == Some(&b'\n') {
                chunk = chunk.get(1..).unwrap_or_default();
                continue;
            }
            let Some(end) = memchr2(b'\n', b'\r', chunk) else {
                self.begin(chunk);
                return;
            };
            let (line, rest) = chunk.split_at(end);
            self.after_cr = rest.first() == Some(&b'\r');
            chunk = rest.get(1..).unwrap_or_default();
            if self.buffer.len() == self.done && !self.dropping {
                self.line(line, tell);
            } else {
                self.begin(line);
                self.end_line(tell);
            }
        }
    }

    /// Reads the end of a stream that ended well.
    pub(crate) fn finish(&mut self, tell: &mut dyn FnMut(Read<'_>)) {
        if self.buffer.len() > self.done || self.dropping {
            self.end_line(tell);
        }
        self.dispatch(tell);
    }

    /// How many bytes of memory it holds.
    pub(crate) fn held(&self) -> usize {
        self.buffer.capacity() + self.name.capacity()
    }

    /// Takes a part of a line whose end is not there yet.
    fn begin(&mut self, part: &[u8]) {
        let at_start = self.buffer.len() == self.done;
        self.dropping |= self.too_large || (at_start && part.first() == Some(&b':'));
        if !self.dropping {
            self.append(part);
            self.dropping = self.too_large;
        }
    }

    /// The line that was begun is whole.
    fn end_line(&mut self, tell: &mut dyn FnMut(Read<'_>)) {
        if std::mem::take(&mut self.dropping) {
            self.buffer.truncate(self.done);
            self.first_line = false;
            return;
        }
        let pending = self.buffer.get(self.done..).unwrap_or_default();
        let pending = without_bom(pending, std::mem::take(&mut self.first_line));
        match field(pending) {
            (b"data", value) => {
                // The value stands at the end of the buffer: it moves over its field's name.
                let from = self.buffer.len() - value.len();
                self.buffer.copy_within(from.., self.done);
                self.buffer.truncate(self.buffer.len() - (from - self.done));
                self.end_data();
            }
            (b"event", value) => {
                self.name = value.get(..LONGEST_NAME).unwrap_or(value).to_vec();
                self.buffer.truncate(self.done);
            }
            (b"", _) if pending.is_empty() => self.dispatch(tell),
            _ => self.buffer.truncate(self.done),
        }
    }

    /// A line that came whole.
    fn line(&mut self, whole: &[u8], tell: &mut dyn FnMut(Read<'_>)) {
        let line = without_bom(whole, std::mem::take(&mut self.first_line));
        if line.is_empty() {
            return self.dispatch(tell);
        }
        if whole.first() == Some(&b':') || !self.fits(whole) {
            return;
        }
        match field(line) {
            (b"data", value) => {
                self.append(value);
                self.end_data();
            }
            (b"event", value) => {
                self.name.clear();
                self.name.extend_from_slice(value.get(..LONGEST_NAME).unwrap_or(value));
            }
            _ => {}
        }
    }

    fn end_data(&mut self) {
        self.append(b"\n");
        self.has_data = true;
        self.done = self.buffer.len();
    }

    fn append(&mut self, bytes: &[u8]) {
        if !self.fits(bytes) {
            return;
        }
        let needed = self.buffer.len() + bytes.len();
        if needed > self.buffer.capacity() {
            let capacity = needed.max(self.buffer.capacity().saturating_mul(2)).max(256).min(self.limit);
            self.buffer.reserve_exact(capacity.max(needed) - self.buffer.len());
        }
        self.buffer.extend_from_slice(bytes);
    }

    /// Whether there is room for `bytes`; where there is none, the event is given up.
    fn fits(&mut self, bytes: &[u8]) -> bool {
        if self.too_large || self.buffer.len() + bytes.len() > self.limit {
            self.too_large = true;
            self.buffer = Vec::new();
            self.done = 0;
        }
        !self.too_large
    }

    fn dispatch(&mut self, tell: &mut dyn FnMut(Read<'_>)) {
        if std::mem::take(&mut self.too_large) {
            tell(Read::TooLarge);
        } else if self.has_data {
            let data = self.buffer.get(..self.done.saturating_sub(1)).unwrap_or_default();
            tell(Read::Event(Event { name: &self.name, data }));
        }
        self.has_data = false;
        self.name.clear();
        self.buffer.clear();
        self.done = 0;
        self.buffer.shrink_to(KEPT);
    }
}

/// A line without the byte order mark that the first one may begin with.
fn without_bom(line: &[u8], first: bool) -> &[u8] {
    line.strip_prefix(b"\xef\xbb\xbf").filter(|_| first).unwrap_or(line)
}

/// The name and value of a line. A comment's name is empty.
fn field(line: &[u8]) -> (&[u8], &[u8]) {
    match memchr::memchr(b':', line) {
        Some(colon) => {
            let (name, value) = line.split_at(colon);
            let value = value.get(1..).unwrap_or_default();
            (name, value.strip_prefix(b" ").unwrap_or(value))
        }
        None => (line, b""),
    }
}

#[cfg(test)]
mod tests;
