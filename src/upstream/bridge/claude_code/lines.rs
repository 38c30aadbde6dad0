//! Lines of JSON out of a pipe, whatever else comes with them.

use memchr::{memchr, memmem};
use serde::Deserialize;
use serde::de::IgnoredAny;

/// The longest line that is taken. Bytes. A whole answer of a model is on one line, and no more.
pub(super) const LONGEST: usize = 64 * 1024 * 1024;

/// How many places of a broken line are tried.
const TRIES: usize = 8;

/// A line is longer than anything that the CLI has to say.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a line of the CLI is longer than {LONGEST} bytes")]
pub(super) struct TooLong;

/// Bytes as they come, and the JSON objects that are lines among them. Other lines are passed over. Where another
/// writer's line has come into the midst of an object, both are found.
#[derive(Debug, Default)]
pub(super) struct Lines {
    bytes: Vec<u8>,
    /// Where the next line begins.
    begin: usize,
    /// From where on nobody has looked for its end.
    seen: usize,
    /// The beginning of an object that was broken into.
    broken: Option<Vec<u8>>,
    /// An object that was mended and comes before what is in `bytes`.
    mended: Option<Vec<u8>>,
}

impl Lines {
    /// Room for more bytes to be appended.
    pub(super) fn room(&mut self) -> &mut Vec<u8> {
        if self.begin > 0 {
            self.bytes.drain(..self.begin);
            self.seen -= self.begin;
            self.begin = 0;
        }
        &mut self.bytes
    }

    /// The next object. `None`: more bytes are needed.
    pub(super) fn next(&mut self) -> Result<Option<Vec<u8>>, TooLong> {
        loop {
            if let Some(mended) = self.mended.take() {
                return Ok(Some(mended));
            }
            let unseen = self.bytes.get(self.seen..).unwrap_or_default();
            let Some(length) = memchr(b'\n', unseen) else {
                self.seen = self.bytes.len();
                return if self.seen - self.begin > LONGEST { Err(TooLong) } else { Ok(None) };
            };
            let end = self.seen + length;
            let line = self.bytes.get(self.begin..end).unwrap_or_default().trim_ascii().to_vec();
            self.begin = end + 1;
            self.seen = self.begin;
            if let Some(object) = self.object(line) {
                return Ok(Some(object));
            }
        }
    }

    /// What is left when the pipe has ended: a line may lack its end.
    pub(super) fn rest(&mut self) -> Option<Vec<u8>> {
        let rest = self.bytes.get(self.begin..).unwrap_or_default().trim_ascii().to_vec();
        self.begin = self.bytes.len();
        self.seen = self.begin;
        is_object(&rest).then_some(rest)
    }

    /// The object that a line is, or that one has been broken into by.
    fn object(&mut self, line: Vec<u8>) -> Option<Vec<u8>> {
        if is_object(&line) {
            return Some(line);
        }
        if let Some(mut whole) = self.broken.take() {
            whole.extend_from_slice(&line);
            if is_object(&whole) {
                return Some(whole);
            }
        }
        if line.first() != Some(&b'{') {
            return None;
        }
        let inner = memmem::find_iter(&line, b"{\"type\":").skip_while(|at| *at == 0).take(TRIES);
        let at = inner.into_iter().find(|at| line.get(*at..).is_some_and(is_object))?;
        self.broken = line.get(..at).map(<[u8]>::to_vec);
        line.get(at..).map(<[u8]>::to_vec)
    }
}

fn is_object(line: &[u8]) -> bool {
    #[derive(Deserialize)]
    struct Object {
        #[serde(rename = "type")]
        _kind: IgnoredAny,
    }
    line.first() == Some(&b'{') && serde_json::from_slice::<Object>(line).is_ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(chunks: &[&[u8]]) -> Vec<String> {
        let mut lines = Lines::default();
        let mut found = Vec::new();
        for chunk in chunks {
            lines.room().extend_from_slice(chunk);
            while let Some(line) = lines.next().unwrap() {
                found.push(String::from_utf8(line).unwrap());
            }
        }
        found.extend(lines.rest().map(|line| String::from_utf8(line).unwrap()));
        found
    }

    #[test]
    fn what_is_no_object_is_passed_over() {
        let text = b"warning: {x\n\n{\"type\":\"a\"}\r\n[1]\n{\"no\":1}\n{\"type\":\"b\"}";
        assert_eq!(read(&[text]), ["{\"type\":\"a\"}", "{\"type\":\"b\"}"]);
    }

    #[test]
    fn an_object_that_another_was_written_into_is_found_and_so_is_the_other() {
        let text = b"{\"type\":\"a\",\"tex{\"type\":\"b\",\"c\":{}}\nt\":\"{}\"}\n{\"type\":\"c\"}\n";
        let expected = ["{\"type\":\"b\",\"c\":{}}", "{\"type\":\"a\",\"text\":\"{}\"}", "{\"type\":\"c\"}"];
        assert_eq!(read(&[text]), expected);
    }

    #[test]
    fn a_line_without_end_is_given_up() {
        let mut lines = Lines::default();
        lines.room().resize(LONGEST + 1, b'x');
        assert_eq!(lines.next(), Err(TooLong));
    }

    proptest! {
        #[test]
        fn it_does_not_matter_how_the_bytes_come(
            text in "(\\{\"type\":\"[a-c\\\\n{}]{0,3}\"\\}|[{}\"a:]{0,4}|\n){0,12}",
            size in 1..9_usize,
        ) {
            let chunks: Vec<_> = text.as_bytes().chunks(size).collect();
            prop_assert_eq!(read(&chunks), read(&[text.as_bytes()]));
        }
    }
}
