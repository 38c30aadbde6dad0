//! Where the messages of a request are, in one pass that reads none of them.

use std::borrow::Cow;
use std::fmt;
use std::ops::Range;

use serde::de::{DeserializeSeed, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

use crate::members::{INNER, LISTS};

/// An object of JSON that asks for something.
#[derive(Debug, Default)]
pub(super) struct Outline {
    /// Its messages.
    pub(super) messages: Vec<Range<usize>>,
    /// Whether they stand in an object within it.
    pub(super) is_inner: bool,
}

impl Outline {
    /// That of this text; `None` where it is no object, or one with two lists.
    pub(super) fn of(text: &str) -> Option<Self> {
        let mut messages = None;
        let mut json = serde_json::Deserializer::from_str(text);
        let is_inner = Object { messages: &mut messages, is_inner: false }.deserialize(&mut json).ok()?;
        json.end().ok()?;
        let range = |message: &RawValue| {
            let start = message.get().as_ptr().addr() - text.as_ptr().addr();
            start..start + message.get().len()
        };
        let messages = messages.unwrap_or_default().into_iter().map(range).collect();
        Some(Self { messages, is_inner })
    }
}

/// The first list of messages in an object, if it is one. Where an inner one has a list and the outer has one behind it,
/// there is no telling which is meant. Its value is whether the list is that of an inner one.
struct Object<'a, 'de> {
    messages: &'a mut Option<Vec<&'de RawValue>>,
    /// Whether it stands in another, and may be anything else.
    is_inner: bool,
}

#[derive(Deserialize)]
struct Name<'a>(#[serde(borrow)] Cow<'a, str>);

impl<'de> DeserializeSeed<'de> for Object<'_, 'de> {
    type Value = bool;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<bool, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Object<'_, 'de> {
    type Value = bool;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<bool, A::Error> {
        let mut is_of_inner = false;
        while let Some(Name(name)) = map.next_key()? {
            let is_list = LISTS.contains(&&*name);
            if is_list && is_of_inner {
                return Err(A::Error::custom("two lists"));
            } else if is_list && self.messages.is_none() {
                map.next_value_seed(List(self.messages))?;
            } else if name == INNER && !self.is_inner && self.messages.is_none() {
                map.next_value_seed(Object { messages: self.messages, is_inner: true })?;
                is_of_inner = self.messages.is_some();
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }
        Ok(is_of_inner)
    }
}

/// A list of messages, or a text in place of one. What else may stand there is not worth knowing.
struct List<'a, 'de>(&'a mut Option<Vec<&'de RawValue>>);

impl<'de> DeserializeSeed<'de> for List<'_, 'de> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for List<'_, 'de> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<(), A::Error> {
        let messages = self.0.insert(Vec::new());
        while let Some(message) = list.next_element()? {
            messages.push(message);
        }
        Ok(())
    }

    fn visit_str<E: Error>(self, _: &str) -> Result<(), E> {
        *self.0 = Some(Vec::new());
        Ok(())
    }
}
