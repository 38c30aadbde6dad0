//! Reading JSON that may be anything: what is there is taken as it comes, what is not expected is skipped.
//!
//! serde's derived structs refuse a whole body for one field of an unexpected type, and lose what came before a cut.
//! Here a value is read *into* something that lives outside of the parser.

use std::borrow::Cow;
use std::cell::Cell;
use std::fmt;
use std::sync::Arc;

use serde::de::{DeserializeSeed, Deserializer, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

/// Takes a JSON value, whatever its type. Says whether it was of a type that is expected.
pub(super) trait Take<'de>: Sized {
    fn text(self, _: Cow<'de, str>) -> bool {
        false
    }

    /// A text that is gone when this returns, as one with escapes is: for whoever copies it into a form of its own.
    fn passing(self, text: &str) -> bool {
        self.text(Cow::Owned(text.to_owned()))
    }

    fn number(self, _: u64) -> bool {
        false
    }

    fn flag(self, _: bool) -> bool {
        false
    }

    fn list<A: SeqAccess<'de>>(self, mut list: A) -> Result<bool, A::Error> {
        while list.next_element::<IgnoredAny>()?.is_some() {}
        Ok(false)
    }

    fn object<A: MapAccess<'de>>(self, mut object: A) -> Result<bool, A::Error> {
        while object.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(false)
    }
}

/// How far a body could be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Read {
    /// To its end, and all of it was what we expect.
    Fine,
    /// To its end. Something in it was of an unexpected type.
    Odd,
    /// Up to where it is no JSON.
    Broken,
}

/// Reads `body` into `into`. A byte order mark may stand first: whoever sends one means nothing by it.
pub(super) fn read<'de>(body: &'de [u8], into: impl Take<'de>) -> Read {
    let body = body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body);
    // Looked at once, and not each text by itself.
    match std::str::from_utf8(body) {
        Ok(body) => read_by(serde_json::Deserializer::from_str(body), into),
        Err(_) => read_by(serde_json::Deserializer::from_slice(body), into),
    }
}

fn read_by<'de>(
    mut parser: serde_json::Deserializer<impl serde_json::de::Read<'de>>,
    into: impl Take<'de>,
) -> Read {
    match Value(into).deserialize(&mut parser) {
        Ok(_) if parser.end().is_err() => Read::Broken,
        Ok(true) => Read::Fine,
        Ok(false) => Read::Odd,
        Err(_) => Read::Broken,
    }
}

/// A copy of `body` without what keeps a JSON parser from reading text that is otherwise well: bytes that are no
/// UTF-8 become `?`, escaped halves of surrogate pairs U+FFFD. `None` where there is nothing to mend.
pub(super) fn mend(body: &[u8]) -> Option<Vec<u8>> {
    let mut mended = Vec::new();
    let mut found = false;
    for chunk in body.utf8_chunks() {
        mended.extend_from_slice(chunk.valid().as_bytes());
        mended.resize(mended.len() + chunk.invalid().len(), b'?');
        found |= !chunk.invalid().is_empty();
    }
    let mut at = 0;
    while let Some(next) = memchr::memchr(b'\\', mended.get(at..)?) {
        at += next;
        match surrogate(&mended, at) {
            Some(0xd800..0xdc00) if matches!(surrogate(&mended, at + 6), Some(0xdc00..0xe000)) => at += 12,
            Some(_) => {
                mended.get_mut(at + 2..at + 6)?.copy_from_slice(b"fffd");
                found = true;
                at += 6;
            }
            None => at = mended.len().min(at + 2),
        }
    }
    found.then_some(mended)
}

/// A shorter string that breaks off may be a name, and half a name is another. Bytes.
const TEXT: usize = 256;

/// A copy of `body`, which breaks off in a long text, with that text brought to an end: what was said by then can be
/// read. `None` where it does not break off in one.
pub(super) fn close(body: &[u8]) -> Option<Vec<u8>> {
    let (mut at, mut begins, mut escape) = (0, None, None);
    while at < body.len() {
        let rest = body.get(at..)?;
        match begins {
            None => {
                at += memchr::memchr(b'"', rest)? + 1;
                begins = Some(at);
            }
            Some(_) => {
                let Some(next) = memchr::memchr2(b'"', b'\\', rest) else { break };
                if rest.get(next) == Some(&b'"') {
                    begins = None;
                    at += next + 1;
                } else {
                    escape = Some(at + next);
                    at += next + 2;
                }
            }
        }
    }
    let begins = begins.filter(|begins| body.len() - begins >= TEXT)?;
    let mut text = body.get(begins..)?;
    if let Some(escape) = escape.and_then(|escape| escape.checked_sub(begins)) {
        let is_whole = match text.get(escape + 1) {
            None => false,
            Some(b'u') => text.len() >= escape + 6,
            Some(_) => true,
        };
        text = if is_whole { text } else { text.get(..escape)? };
    }
    // A letter of several bytes may be cut as well.
    let cut = text.utf8_chunks().last().map_or(0, |last| last.invalid().len());
    let text = text.get(..text.len() - cut)?;
    let mut closed = Vec::with_capacity(begins + text.len() + 1);
    closed.extend_from_slice(body.get(..begins)?);
    closed.extend_from_slice(text);
    closed.push(b'"');
    Some(closed)
}

/// The half of a surrogate pair whose escape begins at `at`.
fn surrogate(text: &[u8], at: usize) -> Option<u16> {
    let escape = text.get(at..at + 6)?.strip_prefix(b"\\u")?;
    let unit = u16::from_str_radix(std::str::from_utf8(escape).ok()?, 16).ok()?;
    (0xd800..0xe000).contains(&unit).then_some(unit)
}

/// The next key of an object.
pub(super) fn key<'de, A: MapAccess<'de>>(object: &mut A) -> Result<Option<Cow<'de, str>>, A::Error> {
    Ok(object.next_key::<Text<'de>>()?.map(|text| text.0))
}

/// Reads the value of the key that was just read.
pub(super) fn value<'de, A: MapAccess<'de>>(object: &mut A, into: impl Take<'de>) -> Result<bool, A::Error> {
    object.next_value_seed(Value(into))
}

/// Passes over the value of the key that was just read.
pub(super) fn skip<'de, A: MapAccess<'de>>(object: &mut A) -> Result<bool, A::Error> {
    object.next_value::<IgnoredAny>()?;
    Ok(true)
}

/// The value of the key that was just read as it is written, `null` being none.
pub(super) fn raw<'de, A: MapAccess<'de>>(object: &mut A) -> Result<Option<&'de RawValue>, A::Error> {
    let raw = object.next_value::<&'de RawValue>()?;
    Ok((raw.get() != "null").then_some(raw))
}

/// The value of the key that was just read: a string's text, anything else as it is written.
pub(super) fn written<'de, A: MapAccess<'de>>(object: &mut A) -> Result<Option<Cow<'de, str>>, A::Error> {
    match raw(object)? {
        Some(raw) if raw.get().starts_with('"') => {
            let text = serde_json::from_str::<Text<'de>>(raw.get()).map_err(A::Error::custom)?;
            Ok(Some(text.0))
        }
        Some(raw) => Ok(Some(Cow::Borrowed(raw.get()))),
        None => Ok(None),
    }
}

/// Reads the next element of a list: `None` where there is none.
pub(super) fn element<'de, A: SeqAccess<'de>>(
    list: &mut A,
    into: impl Take<'de>,
) -> Result<Option<bool>, A::Error> {
    list.next_element_seed(Value(into))
}

/// How many more pieces (turns, parts, tools) may be read out of a body: each takes more memory than the few bytes
/// that it can be written in.
pub(super) struct Room(Cell<u32>);

impl Room {
    /// Anthropic takes 100,000 messages in a request, others fewer.
    pub(super) fn new() -> Self {
        Self(Cell::new(200_000))
    }

    /// Whether there is room for one more.
    pub(super) fn take(&self) -> bool {
        let left = self.0.get();
        self.0.set(left.saturating_sub(1));
        left > 0
    }
}

/// Takes a string.
pub(super) struct Str<'s, 'de>(pub(super) &'s mut Option<Cow<'de, str>>);

impl<'de> Take<'de> for Str<'_, 'de> {
    fn text(self, text: Cow<'de, str>) -> bool {
        *self.0 = Some(text);
        true
    }
}

/// Takes a string to be kept.
pub(super) struct Name<'s>(pub(super) &'s mut Option<Arc<str>>);

impl<'de> Take<'de> for Name<'_> {
    fn text(self, text: Cow<'de, str>) -> bool {
        self.passing(&text)
    }

    fn passing(self, text: &str) -> bool {
        *self.0 = Some(text.into());
        true
    }
}

/// Takes a natural number.
pub(super) struct Number<'s>(pub(super) &'s mut Option<u64>);

impl<'de> Take<'de> for Number<'_> {
    fn number(self, number: u64) -> bool {
        *self.0 = Some(number);
        true
    }
}

/// Takes a boolean.
pub(super) struct Flag<'s>(pub(super) &'s mut bool);

impl<'de> Take<'de> for Flag<'_> {
    fn flag(self, flag: bool) -> bool {
        *self.0 = flag;
        true
    }
}

/// A string, borrowed where it holds no escapes.
struct Text<'de>(Cow<'de, str>);

impl<'de> serde::Deserialize<'de> for Text<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut text = None;
        Value(Str(&mut text)).deserialize(deserializer)?;
        text.map(Self).ok_or_else(|| D::Error::custom("not a string"))
    }
}

/// Feeds what serde finds to a [`Take`].
struct Value<T>(T);

impl<'de, T: Take<'de>> DeserializeSeed<'de> for Value<T> {
    type Value = bool;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<bool, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de, T: Take<'de>> Visitor<'de> for Value<T> {
    type Value = bool;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<bool, E> {
        Ok(self.0.text(Cow::Borrowed(text)))
    }

    fn visit_str<E>(self, text: &str) -> Result<bool, E> {
        Ok(self.0.passing(text))
    }

    fn visit_u64<E>(self, number: u64) -> Result<bool, E> {
        Ok(self.0.number(number))
    }

    fn visit_i64<E>(self, number: i64) -> Result<bool, E> {
        Ok(u64::try_from(number).is_ok_and(|number| self.0.number(number)))
    }

    fn visit_f64<E>(self, number: f64) -> Result<bool, E> {
        // A cast from a float saturates.
        Ok(number >= 0.0 && self.0.number(number as u64))
    }

    fn visit_bool<E>(self, flag: bool) -> Result<bool, E> {
        Ok(self.0.flag(flag))
    }

    fn visit_unit<E>(self) -> Result<bool, E> {
        Ok(true)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, list: A) -> Result<bool, A::Error> {
        self.0.list(list)
    }

    fn visit_map<A: MapAccess<'de>>(self, object: A) -> Result<bool, A::Error> {
        self.0.object(object)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_text_that_breaks_off_is_brought_to_an_end() {
        let long = "y".repeat(300);
        let closed = |end: &str| close(format!(r#"{{"a":"b","text":"{long}{end}"#).as_bytes());
        let ended = |end: &str| Some(format!(r#"{{"a":"b","text":"{long}{end}""#).into_bytes());
        assert_eq!(closed(""), ended(""));
        assert_eq!(closed(r"\n"), ended(r"\n"));
        assert_eq!(closed(r"\\"), ended(r"\\"));
        assert_eq!(closed(r"\"), ended(""));
        assert_eq!(closed(r"\u00e"), ended(""));
        assert_eq!(closed(r"\u00e9"), ended(r"\u00e9"));
        assert_eq!(closed(r#"", "n"#), None);
        assert_eq!(closed(r#"", "n": 1"#), None);
        assert_eq!(close(br#"{"model":"gpt-4"#), None);
        let body = format!("\"{long}é");
        assert_eq!(close(&body.as_bytes()[..body.len() - 1]), Some(format!("\"{long}\"").into_bytes()));
    }

    #[test]
    fn text_that_is_no_unicode_is_mended_and_nothing_else() {
        assert_eq!(mend(br#"{"a": "\ud83d\ude00 \\ud83d \" \n"}"#), None);
        let mended = mend(b"{\"a\": \"\\ud83d \\ude00\\uD83D\\uD83D\\uDE00 \xff\xe2\x82\"}").unwrap();
        assert_eq!(mended, br#"{"a": "\ufffd \ufffd\ufffd\uD83D\uDE00 ???"}"#);
        assert_eq!(mend(b"\\"), None);
        assert_eq!(mend(br"\ud83d"), Some(br"\ufffd".to_vec()));
    }
}
