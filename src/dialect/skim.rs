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
            let found = quote_or_escape(rest)?;
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

/// So many times eight bytes are looked at before the search that is made for long texts: what tools read has an escape
/// every few words, and to begin that search takes longer.
const NEAR: usize = 4;

/// Where the first quote or backslash is.
fn quote_or_escape(text: &[u8]) -> Option<usize> {
    const EACH: u64 = 0x0101_0101_0101_0101;
    // The lowest byte that is zero has its highest bit set, and none below it.
    let zeroes = |word: u64| word.wrapping_sub(EACH) & !word & (0x80 * EACH);
    let (eights, _) = text.as_chunks();
    let mut at = 0;
    for eight in eights.iter().take(NEAR) {
        let word = u64::from_le_bytes(*eight);
        let found = zeroes(word ^ (u64::from(b'"') * EACH)) | zeroes(word ^ (u64::from(b'\\') * EACH));
        if found != 0 {
            return Some(at + found.trailing_zeros() as usize / 8);
        }
        at += 8;
    }
    Some(at + memchr2(b'"', b'\\', text.get(at..)?)?)
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
        fn the_first_quote_or_backslash_is_found_wherever_it_is(
            text in prop::collection::vec(prop_oneof![any::<u8>(), Just(b'!'), Just(b'#'), Just(b']')], 0..60),
            mark in prop::sample::select(&b"\"\\"[..]),
            at in any::<prop::sample::Index>(),
        ) {
            let mut text = text;
            text.insert(at.index(text.len() + 1), mark);
            let first = |text: &[u8]| text.iter().position(|byte| matches!(byte, b'"' | b'\\'));
            prop_assert_eq!(quote_or_escape(&text), first(&text));
            text.retain(|byte| !matches!(byte, b'"' | b'\\'));
            prop_assert_eq!(quote_or_escape(&text), None);
        }

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
