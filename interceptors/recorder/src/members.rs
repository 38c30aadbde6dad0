//! JSON objects whose values stay as they were written: numbers keep their digits.

use std::borrow::Cow;
use std::fmt;

use serde::de::{MapAccess, Visitor};
use serde::ser::SerializeMap;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::value::RawValue;

/// Members that list the messages, in one API or another.
pub(crate) const LISTS: [&str; 3] = ["messages", "input", "contents"];
/// Where Code Assist has the whole request.
pub(crate) const INNER: &str = "request";

/// An object as it was written: its members in their order, none read.
pub(crate) struct Members<'a>(pub(crate) Vec<(String, Cow<'a, RawValue>)>);

impl<'de> Deserialize<'de> for Members<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(Collect)
    }
}

struct Collect;

impl<'de> Visitor<'de> for Collect {
    type Value = Members<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Members<'de>, A::Error> {
        let mut members = Vec::new();
        while let Some((name, value)) = map.next_entry::<String, &RawValue>()? {
            members.push((name, Cow::Borrowed(value)));
        }
        Ok(Members(members))
    }
}

impl Serialize for Members<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for (name, value) in &self.0 {
            map.serialize_entry(name, value)?;
        }
        map.end()
    }
}

impl<'a> Members<'a> {
    /// The object that this is, if it is one.
    pub(crate) fn of(json: &'a str) -> Option<Self> {
        serde_json::from_str(json).ok()
    }

    /// The same of bytes, which may be anything.
    pub(crate) fn of_bytes(json: &'a [u8]) -> Option<Self> {
        Self::of(str::from_utf8(json).ok()?)
    }

    /// The member of this name, unless it is null.
    pub(crate) fn get(&self, name: &str) -> Option<&RawValue> {
        let (_, value) = self.0.iter().rev().find(|(known, _)| known == name)?;
        (value.get() != "null").then_some(value)
    }
}
