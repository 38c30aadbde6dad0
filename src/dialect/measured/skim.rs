//! JSON without its bulk: vectors and pictures in base64 are replaced by their size, as they pass.

/// How long a text or a list of numbers may be written before it is bulk.
const BULK: usize = 1024;

/// Reads JSON that may be very long, and keeps little of it: in place of a long text or a long list of numbers stands
/// the number of bytes that it was written in.
#[derive(Debug)]
pub(super) struct Skim {
    kept: Vec<u8>,
    limit: usize,
    state: State,
}

#[derive(Clone, Copy, Debug)]
enum State {
    Between,
    /// In a text that begins at `from`.
    Text {
        from: usize,
        length: u64,
        escaped: bool,
    },
    /// In a list that begins at `from`, and has held only numbers so far.
    Numbers {
        from: usize,
        length: u64,
    },
}

impl Skim {
    /// Keeps at most `limit` bytes.
    pub(super) fn new(limit: usize) -> Self {
        Self { kept: Vec::new(), limit, state: State::Between }
    }

    /// Reads what came next.
    pub(super) fn feed(&mut self, mut chunk: &[u8]) {
        while let Some(first) = chunk.first() {
            let taken = match self.state {
                State::Between => self.between(chunk),
                State::Text { from, length, escaped: true } => {
                    self.state = State::Text { from, length: length + 1, escaped: false };
                    self.keep_of(from, length, &[*first]);
                    1
                }
                State::Text { from, length, escaped: false } => self.text(from, length, chunk),
                State::Numbers { from, length } => self.numbers(from, length, chunk),
            };
            chunk = chunk.get(taken..).unwrap_or_default();
        }
    }

    /// What is kept.
    pub(super) fn kept(&self) -> &[u8] {
        &self.kept
    }

    /// How many bytes of memory it holds.
    pub(super) fn held(&self) -> usize {
        self.kept.capacity()
    }

    fn between(&mut self, chunk: &[u8]) -> usize {
        let from = self.kept.len();
        let at = memchr::memchr2(b'"', b'[', chunk);
        let end = at.map_or(chunk.len(), |at| at + 1);
        self.keep(chunk.get(..end).unwrap_or_default());
        let from = from + end - 1;
        match at.and_then(|at| chunk.get(at)) {
            Some(b'"') => self.state = State::Text { from, length: 0, escaped: false },
            Some(_) => self.state = State::Numbers { from, length: 0 },
            None => {}
        }
        end
    }

    fn text(&mut self, from: usize, length: u64, chunk: &[u8]) -> usize {
        let at = memchr::memchr2(b'"', b'\\', chunk);
        let end = at.unwrap_or(chunk.len());
        self.keep_of(from, length, chunk.get(..end).unwrap_or_default());
        let length = length + end as u64;
        match at.and_then(|at| chunk.get(at)) {
            None => self.state = State::Text { from, length, escaped: false },
            Some(b'"') => {
                self.close(from, length, b'"');
                return end + 1;
            }
            Some(_) => {
                self.keep_of(from, length, b"\\");
                self.state = State::Text { from, length: length + 1, escaped: true };
                return end + 1;
            }
        }
        end
    }

    fn numbers(&mut self, from: usize, length: u64, chunk: &[u8]) -> usize {
        let is_number = |byte: &u8| {
            matches!(byte, b'0'..=b'9' | b'+' | b'-' | b'.' | b'e' | b'E' | b',')
                || byte.is_ascii_whitespace()
        };
        let at = chunk.iter().position(|byte| !is_number(byte));
        let end = at.unwrap_or(chunk.len());
        self.keep_of(from, length, chunk.get(..end).unwrap_or_default());
        let length = length + end as u64;
        match at.and_then(|at| chunk.get(at)) {
            None => self.state = State::Numbers { from, length },
            Some(b']') => {
                self.close(from, length, b']');
                return end + 1;
            }
            // It holds something else as well: what was left out stays so.
            Some(_) => {
                if length > BULK as u64 {
                    self.keep(format!("[{length},").as_bytes());
                }
                self.state = State::Between;
            }
        }
        end
    }

    /// Keeps more of what begins at `from`, and had `length` bytes so far, unless it is bulk.
    fn keep_of(&mut self, from: usize, length: u64, more: &[u8]) {
        if length > BULK as u64 {
            return;
        }
        if length + more.len() as u64 > BULK as u64 {
            self.kept.truncate(from);
        } else {
            self.keep(more);
        }
    }

    fn close(&mut self, from: usize, length: u64, end: u8) {
        if length > BULK as u64 {
            self.kept.truncate(from);
            self.keep(length.to_string().as_bytes());
        } else {
            self.keep(&[end]);
        }
        self.state = State::Between;
    }

    fn keep(&mut self, bytes: &[u8]) {
        let fits = bytes.len().min(self.limit.saturating_sub(self.kept.len()));
        let needed = self.kept.len() + fits;
        if needed > self.kept.capacity() {
            let capacity = needed.max(self.kept.capacity() * 2).min(self.limit);
            self.kept.reserve_exact(capacity - self.kept.len());
        }
        self.kept.extend_from_slice(bytes.get(..fits).unwrap_or_default());
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn skimmed<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> String {
        let mut skim = Skim::new(1 << 20);
        for piece in pieces {
            skim.feed(piece);
        }
        String::from_utf8(skim.kept).unwrap()
    }

    #[test]
    fn what_is_short_stays_as_it_is() {
        let body = r#"{"data": [{"embedding": [0.1, -2e-3], "t": "a\"[b\\"}, [], [1, "x", [2]]], "n": null}"#;
        assert_eq!(skimmed([body.as_bytes()]), body);
        assert_eq!(skimmed(body.as_bytes().chunks(1)), body);
    }

    #[test]
    fn what_is_long_becomes_its_size() {
        let vector = "0.25,".repeat(1000) + "1";
        let text = "a\\\"".repeat(1000);
        let body = format!(r#"{{"v": [{vector}], "t": "{text}", "e": 1}}"#);
        assert_eq!(skimmed([body.as_bytes()]), r#"{"v": 5001, "t": 3000, "e": 1}"#);
        assert_eq!(skimmed(body.as_bytes().chunks(3)), r#"{"v": 5001, "t": 3000, "e": 1}"#);
    }

    #[test]
    fn a_long_list_that_holds_other_things_too_is_still_a_list() {
        let body = format!(r#"{{"v": [{} "x", [1]], "e": 1}}"#, "0.25,".repeat(1000));
        assert_eq!(skimmed([body.as_bytes()]), r#"{"v": [5001,"x", [1]], "e": 1}"#);
    }

    #[test]
    fn no_more_is_held_than_is_allowed() {
        let mut skim = Skim::new(5000);
        for _ in 0..100_000 {
            skim.feed(b"{\"a\":[1,2,3],");
            assert!(skim.held() <= 5000);
        }
    }

    proptest! {
        #[test]
        fn it_is_the_same_however_it_is_cut(
            pieces in prop::collection::vec(
                prop::sample::select(vec!["\"", "[", "]", "{", "\\", "0.12345,", ":", "x", ","]), 0..40),
            times in 1usize..200,
            size in 1usize..50,
            limit in 0usize..3000,
        ) {
            let body = pieces.iter().map(|piece| piece.repeat(times)).collect::<String>();
            let mut whole = Skim::new(limit);
            whole.feed(body.as_bytes());
            let mut cut = Skim::new(limit);
            body.as_bytes().chunks(size).for_each(|piece| cut.feed(piece));
            prop_assert!(cut.held() <= limit);
            if limit >= 2 * body.len() {
                prop_assert_eq!(whole.kept(), cut.kept());
            }
        }
    }
}
