use std::fmt;

use proptest::prelude::*;
use serde::de::{DeserializeSeed, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

use super::*;
use crate::scan::tests::{json, pieces};

/// The same as serde reads it.
fn by_serde(text: &str) -> Option<Outline> {
    let mut messages = None;
    let mut json = serde_json::Deserializer::from_str(text);
    let is_inner = Object { messages: &mut messages, is_inner: false }.deserialize(&mut json).ok()?;
    json.end().ok()?;
    let range = |message: &RawValue| {
        let start = message.get().as_ptr().addr() - text.as_ptr().addr();
        start..start + message.get().len()
    };
    let messages = messages.unwrap_or_default().into_iter().map(range).collect();
    Some(Outline { messages, is_inner, ..Outline::default() })
}

struct Object<'a, 'de> {
    messages: &'a mut Option<Vec<&'de RawValue>>,
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

fn assert_same(text: &str) -> Result<(), TestCaseError> {
    let told = |outline: Option<Outline>| outline.map(|outline| (outline.messages, outline.is_inner));
    prop_assert_eq!(told(Outline::of(text)), told(by_serde(text)), "{:?}", text);
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn it_is_what_serde_reads(
        values in prop::collection::vec(json(), 4),
        names in prop::collection::vec(
            prop::sample::select(&["messages", "input", "\\u0069nput", "request", "model", "\\ud83d"][..]),
            4,
        ),
        odd in pieces(),
        change in prop::option::of(any::<prop::sample::Index>()),
    ) {
        let object = |of: Range<usize>| {
            let members = names[of.clone()].iter().zip(&values[of]);
            let members: Vec<_> = members.map(|(name, value)| format!("\"{name}\": {value}")).collect();
            format!("{{{}}}", members.join(","))
        };
        let (inner, outer) = (object(0..2), object(2..4));
        let whole = format!("{{\"request\":{inner},{}", &outer[1..]);
        for text in [&inner, &whole, &format!("{{\"input\":[{inner} ,{outer}]}}")] {
            assert_same(text)?;
            if let Some(at) = change {
                let places: Vec<_> = text.char_indices().map(|(at, _)| at).collect();
                let at = places[at.index(places.len())];
                assert_same(&[&text[..at], &odd, &text[at..]].concat())?;
                assert_same(&text[..at])?;
            }
        }
    }
}
