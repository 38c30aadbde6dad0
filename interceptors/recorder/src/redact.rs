//! Takes secrets out of JSON text.
//!
//! The text stays valid JSON of the same shape: what is replaced lies inside one string, and neither begins nor ends
//! within an escape. One pass looks for the beginnings of keys and the names of secrets; only there is anything read
//! more closely, each time to an end that the next look begins behind. So it takes linear time, and next to none
//! where there is nothing. What is left behind is not found again.

use std::borrow::Cow;
use std::ops::Range;
use std::sync::LazyLock;

use aho_corasick::{AhoCorasick, AhoCorasickKind, Input, MatchKind};

mod named;
mod shape;

use named::Name;
use shape::Shape;

/// What stands in place of a secret.
const REDACTED: &str = "[REDACTED]";

/// Replaces the secrets in JSON text by `[REDACTED]`: keys and tokens of known shapes, wherever they stand, and the
/// values of members that are named as secrets (`"password"`, `"api_key"`, …), also in JSON inside strings.
pub fn redact(json: &str) -> Cow<'_, str> {
    let mut redacted = String::new();
    let mut kept = 0;
    let mut from = 0;
    while let Some(found) = CLUES.find(json, from) {
        match found.secret_in(json.as_bytes(), kept) {
            Some(secret) => {
                redacted.push_str(&json[kept..secret.start]);
                redacted.push_str(REDACTED);
                kept = secret.end;
                from = secret.end;
            }
            None => from = found.at.start + 1,
        }
    }
    if kept == 0 {
        return Cow::Borrowed(json);
    }
    redacted.push_str(&json[kept..]);
    Cow::Owned(redacted)
}

static CLUES: LazyLock<Clues> = LazyLock::new(Clues::new);

/// What a secret may be recognised by.
struct Clues {
    texts: AhoCorasick,
    clues: Vec<Clue>,
}

enum Clue {
    Shape(&'static Shape),
    Name(&'static Name),
}

/// A clue, and where its text stands.
struct Found<'a> {
    clue: &'a Clue,
    at: Range<usize>,
}

impl Clues {
    #[expect(clippy::expect_used, reason = "its texts are constants, and a few dozen")]
    fn new() -> Self {
        let mut texts = Vec::new();
        let mut clues = Vec::new();
        for shape in shape::SHAPES {
            texts.push(shape.prefix.to_owned());
            clues.push(Clue::Shape(shape));
        }
        for name in named::NAMES {
            for spelling in name.spellings() {
                texts.push(spelling);
                clues.push(Clue::Name(name));
            }
        }
        let texts = AhoCorasick::builder()
            .ascii_case_insensitive(true)
            .match_kind(MatchKind::LeftmostLongest)
            .kind(Some(AhoCorasickKind::DFA))
            .build(&texts)
            .expect("a few dozen short texts make an automaton");
        Self { texts, clues }
    }

    fn find(&self, text: &str, from: usize) -> Option<Found<'_>> {
        let found = self.texts.find(Input::new(text).range(from..))?;
        Some(Found { clue: self.clues.get(found.pattern().as_usize())?, at: found.range() })
    }
}

impl Found<'_> {
    /// The secret that this clue gives away, if it does. What is before `floor` has been dealt with.
    fn secret_in(&self, text: &[u8], floor: usize) -> Option<Range<usize>> {
        let before = text.get(floor..self.at.start)?;
        let rest = text.get(self.at.end..)?;
        let secret = match self.clue {
            Clue::Shape(shape) => shape.secret_after(before, text.get(self.at.clone())?, rest),
            Clue::Name(name) => name.secret_after(before, rest),
        }?;
        Some(self.at.end + secret.start..self.at.end + secret.end)
    }
}

/// How many bytes from the start of `text` are of this class.
fn run(text: &[u8], class: fn(u8) -> bool) -> usize {
    text.iter().position(|byte| !class(*byte)).unwrap_or(text.len())
}

/// Letters, digits, `-` and `_`: base64url, and most keys.
fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_')
}

/// Whether no human wrote it: somewhere it goes on for `long` letters and digits, or for ten in which a letter
/// follows a digit.
fn is_random(text: &[u8], long: usize) -> bool {
    let mixes = |run: &[u8]| {
        run.windows(2).any(|pair| matches!(pair, [a, b] if a.is_ascii_digit() && b.is_ascii_alphabetic()))
    };
    text.split(|byte| !byte.is_ascii_alphanumeric())
        .any(|run| run.len() >= long || run.len() >= 10 && mixes(run))
}

#[cfg(test)]
mod tests;
