//! Takes secrets out of text: out of JSON with [`redact`], out of any other with [`redact_start`].
//!
//! JSON stays valid JSON of the same shape: what is replaced lies inside one string, and neither begins nor ends
//! within an escape. One pass looks for the beginnings of keys, and for names of secrets before `:` and `=`; only there
//! is anything read more closely, and what was read in vain is read again only so often. So it takes linear time, and
//! next to none where there is nothing. What is left behind is not found again.

use std::borrow::Cow;
use std::iter;
use std::ops::Range;

mod escape;
mod marks;
mod named;
mod shape;

use named::Name;
use shape::Shape;

/// What stands in place of a secret.
pub const REDACTED: &str = "[REDACTED]";

/// Replaces the secrets in JSON text by `[REDACTED]`: keys and tokens of known shapes, wherever they stand, and the
/// values of members that are named as secrets (`"password"`, `"api_key"`, …), also in JSON inside strings. Where letters
/// of it are written as code points (`\u0073`) and there are secrets, they are written as themselves.
pub fn redact(json: &str) -> Cow<'_, str> {
    let Some(plain) = escape::without_code_points(json) else { return redact_until(json, json.len()) };
    match redact_until(&plain, plain.len()) {
        Cow::Borrowed(_) => Cow::Borrowed(json),
        Cow::Owned(redacted) => Cow::Owned(redacted),
    }
}

/// Where the secrets are in JSON text that [`redact`] would replace, in their order. `None` where letters are written as
/// code points: then they are found elsewhere.
///
/// Each lies within a string, and nothing outside of that string and the name before it decides about it. So what stands
/// between two tokens may be cut out or put in, and the others stay what they are.
pub fn secrets(json: &str) -> Option<Vec<Range<usize>>> {
    secrets_in(json.as_bytes())
}

/// The same of a text as bytes, which nobody has to look through first for what is no text.
pub fn secrets_in(json: &[u8]) -> Option<Vec<Range<usize>>> {
    if escape::has_code_points(json) {
        return None;
    }
    let mut clues = Clues::in_text(json);
    Some(iter::from_fn(|| clues.next_secret()).collect())
}

/// How far is read behind the start of a text. What begins in the start shows itself as a secret by then.
const AHEAD: usize = 1024;

/// The first `most` bytes of a text that is not JSON as a whole, whatever else it is, or a few less, so as to end with
/// a character; in it, the secrets replaced that [`redact`] would replace if the text were a string in JSON.
///
/// So much of a secret as stands in the start is replaced, also where it is too little to be seen as one.
pub fn redact_start(text: &str, most: usize) -> Cow<'_, str> {
    let start = &text[..text.floor_char_boundary(most)];
    if Clues::in_text(start.as_bytes()).is_none() {
        return Cow::Borrowed(start);
    }
    // As JSON, escaped quotes are told from those that end the text.
    let read = &text[..text.floor_char_boundary(most.saturating_add(AHEAD))];
    let Some(end) = to_json(start).len().checked_sub(1) else { return Cow::Borrowed(REDACTED) };
    match redact_until(&to_json(read), end) {
        Cow::Borrowed(_) => Cow::Borrowed(start),
        Cow::Owned(redacted) => {
            let text = serde_json::from_str(&(redacted + "\""));
            text.map_or(Cow::Borrowed(REDACTED), Cow::Owned)
        }
    }
}

fn to_json(text: &str) -> String {
    serde_json::to_string(text).unwrap_or_default()
}

/// What is before `end`, redacted. What is behind it is only read.
fn redact_until(json: &str, end: usize) -> Cow<'_, str> {
    let mut redacted = String::new();
    let mut clues = Clues::in_text(json.as_bytes());
    let mut kept = 0;
    while let Some(secret) = clues.next_secret().filter(|secret| secret.start < end) {
        redacted.push_str(&json[kept..secret.start]);
        redacted.push_str(REDACTED);
        kept = secret.end;
    }
    if kept == 0 {
        return Cow::Borrowed(&json[..end]);
    }
    redacted.push_str(json.get(kept..end).unwrap_or_default());
    Cow::Owned(redacted)
}

/// What may be the beginning of a secret, or its name.
struct Clue<T: 'static> {
    kind: &'static T,
    at: Range<usize>,
    /// Where to look for the next one.
    next: usize,
}

/// A text, and the next clues in it.
struct Clues<'a> {
    text: &'a [u8],
    /// What is before it has been dealt with.
    floor: usize,
    shape: Option<Clue<Shape>>,
    name: Option<Clue<Name>>,
}

impl<'a> Clues<'a> {
    fn in_text(text: &'a [u8]) -> Self {
        Self { text, floor: 0, shape: shape::find(text, 0), name: named::find(text, 0, 0) }
    }

    fn is_none(&self) -> bool {
        self.shape.is_none() && self.name.is_none()
    }

    fn next_secret(&mut self) -> Option<Range<usize>> {
        loop {
            let shape_at = self.shape.as_ref().map(|clue| clue.at.start);
            let name_at = self.name.as_ref().map(|clue| clue.at.start);
            let is_shape = match (shape_at, name_at) {
                (None, None) => return None,
                (Some(shape), Some(name)) => shape <= name,
                (shape, _) => shape.is_some(),
            };
            let secret = if is_shape { self.behind_shape() } else { self.behind_name() };
            if let Some(secret) = secret {
                self.go_on_behind(secret.end);
                return Some(secret);
            }
        }
    }

    /// Reads what is behind the next shape, and finds the one after it.
    fn behind_shape(&mut self) -> Option<Range<usize>> {
        let Clue { kind, at, next } = self.shape.take()?;
        self.shape = shape::find(self.text, next);
        let secret = kind.secret_after(self.text.get(self.floor..at.start)?, self.text.get(at.end..)?)?;
        Some(at.end + secret.start..at.end + secret.end)
    }

    /// The same for the next name.
    fn behind_name(&mut self) -> Option<Range<usize>> {
        let Clue { kind, at, next } = self.name.take()?;
        self.name = named::find(self.text, self.floor, next);
        let secret = kind.secret_after(self.text.get(self.floor..at.start)?, self.text.get(at.end..)?)?;
        Some(at.end + secret.start..at.end + secret.end)
    }

    fn go_on_behind(&mut self, end: usize) {
        self.floor = end;
        if self.shape.as_ref().is_some_and(|clue| clue.at.start < end) {
            self.shape = shape::find(self.text, end);
        }
        if self.name.as_ref().is_some_and(|clue| clue.at.start < end) {
            self.name = named::find(self.text, end, end);
        }
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
