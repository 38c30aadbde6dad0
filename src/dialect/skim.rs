//! Passing over JSON: where its values begin and end, and nothing of what they mean.
//!
//! What is passed over need not be JSON. Whoever reads what was found finds out: a value of valid JSON ends where it is
//! said to end, and anything else is cut out with its faults.

use std::ops::Range;

use memchr::memchr2;

/// A place in a text of JSON.
pub(super) struct Skim<'b> {
    body: &'b [u8],
    at: usize,
}

impl<'b> Skim<'b> {
    pub(super) fn new(body: &'b [u8]) -> Self {
        Self { body, at: 0 }
    }

    pub(super) fn at(&self) -> usize {
        self.at
    }

    /// The next `length` bytes, where there are so many.
    pub(super) fn ahead(&self, length: usize) -> Option<&'b [u8]> {
        self.body.get(self.at..)?.get(..length)
    }

    /// Goes on by `length` bytes, as many as [`Self::ahead`] gave.
    pub(super) fn jump(&mut self, length: usize) {
        self.at += length;
    }

    /// The first byte that is no white space.
    pub(super) fn peek(&mut self) -> Option<u8> {
        loop {
            match self.body.get(self.at)? {
                b' ' | b'\n' | b'\r' | b'\t' => self.at += 1,
                byte => return Some(*byte),
            }
        }
    }

    /// Passes over white space and then this byte, if it is there.
    pub(super) fn eat(&mut self, byte: u8) -> bool {
        let found = self.peek() == Some(byte);
        self.at += usize::from(found);
        found
    }

    /// Passes over a key and its colon, up to the value. Nobody who wants one of ours writes it with escapes.
    pub(super) fn key(&mut self) -> Option<&'b [u8]> {
        let range = (self.peek()? == b'"').then(|| self.value()).flatten()?;
        let key = self.body.get(range.start + 1..range.end - 1)?;
        if key.contains(&b'\\') || !self.eat(b':') {
            return None;
        }
        self.peek()?;
        Some(key)
    }

    /// Passes over a value.
    pub(super) fn value(&mut self) -> Option<Range<usize>> {
        let first = self.peek()?;
        let start = self.at;
        match first {
            b'"' => self.string()?,
            b'{' | b'[' => self.container()?,
            _ => self.scalar(),
        }
        (self.at > start).then_some(start..self.at)
    }

    fn string(&mut self) -> Option<()> {
        self.at += 1;
        loop {
            let rest = self.body.get(self.at..)?;
            let found = memchr2(b'"', b'\\', rest)?;
            self.at += found + 1;
            if rest.get(found) == Some(&b'"') {
                return Some(());
            }
            self.at += 1;
        }
    }

    fn container(&mut self) -> Option<()> {
        let mut depth = 0_usize;
        loop {
            match self.body.get(self.at)? {
                b'"' => {
                    self.string()?;
                    continue;
                }
                b'{' | b'[' => depth += 1,
                b'}' | b']' => depth = depth.saturating_sub(1),
                _ => {}
            }
            self.at += 1;
            if depth == 0 {
                return Some(());
            }
        }
    }

    fn scalar(&mut self) {
        let ends =
            |byte: &u8| matches!(byte, b',' | b':' | b'"' | b'{' | b'}' | b'[' | b']') || *byte <= b' ';
        let rest = self.body.get(self.at..).unwrap_or_default();
        self.at += rest.iter().position(ends).unwrap_or(rest.len());
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::value::RawValue;

    use super::*;

    #[test]
    fn a_value_ends_where_it_ends() {
        for (text, value) in [
            (r#" "a\"b\\" ,"#, r#""a\"b\\""#),
            (r#"{"a":["}",{}]}]"#, r#"{"a":["}",{}]}"#),
            ("-1.5e3}", "-1.5e3"),
            ("null", "null"),
        ] {
            assert_eq!(&text[Skim::new(text.as_bytes()).value().unwrap()], value);
        }
        for text in ["", " ", ",", "]", "\"a", "\"a\\", "\"a\\\"", "{\"a\":1", "[[]"] {
            assert_eq!(Skim::new(text.as_bytes()).value(), None, "{text}");
        }
    }

    #[test]
    fn a_key_is_told_as_it_is_written_and_not_when_it_holds_escapes() {
        let mut skim = Skim::new(b" \"a\" : 1");
        assert_eq!((skim.key(), skim.ahead(1)), (Some(&b"a"[..]), Some(&b"1"[..])));
        for text in [r#""\u0061":1"#, "a:1", "\"a\" 1", "\"a\":", "\"a", ""] {
            assert_eq!(Skim::new(text.as_bytes()).key(), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn what_serde_reads_as_a_value_is_passed_over_as_one(
            text in r#"[\[\]{}",:\\a1 -]{0,12}"#,
            behind in "[,}\\] ]?",
        ) {
            let whole = format!("{text}{behind}");
            if let Ok(value) = serde_json::from_str::<&RawValue>(&text) {
                let range = Skim::new(whole.as_bytes()).value();
                prop_assert_eq!(range.map(|range| &whole[range]), Some(value.get()));
            } else {
                Skim::new(whole.as_bytes()).value();
                Skim::new(whole.as_bytes()).key();
            }
        }
    }
}
