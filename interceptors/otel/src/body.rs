//! A request's body, or an answer's, looked into: some of its members, and the rest passed over.

use std::borrow::Cow;
use std::fmt;

use serde::de::{Deserializer as _, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;

/// Members of a JSON object, as they are written in it.
#[derive(Debug, Default)]
pub(crate) struct Members<'a>(Vec<(&'a str, &'a RawValue)>);

impl<'a> Members<'a> {
    /// Those of these names. Where the JSON breaks off, those before that; where it is no object, none.
    pub(crate) fn of(json: &'a [u8], names: &'a [&'a str]) -> Self {
        let json = json.strip_prefix(b"\xef\xbb\xbf").unwrap_or(json);
        let mut members = Self::default();
        let found = Found { names, members: &mut members };
        // What was found before an error counts.
        let _ = serde_json::Deserializer::from_slice(json).deserialize_map(found);
        members
    }

    /// Those of these names, of the object that is the member `name`.
    pub(crate) fn within(&self, name: &str, names: &'a [&'a str]) -> Self {
        self.get(name).map_or_else(Self::default, |object| Self::of(object.as_bytes(), names))
    }

    /// The member of this name, as it is written. Of several the last.
    pub(crate) fn get(&self, name: &str) -> Option<&'a str> {
        self.0.iter().rev().find(|(key, _)| *key == name).map(|(_, raw)| raw.get())
    }

    /// The first of these that is there and can be read as a `T`.
    pub(crate) fn read<T: serde::Deserialize<'a>>(&self, names: &[&str]) -> Option<T> {
        names.iter().find_map(|name| serde_json::from_str(self.get(name)?).ok())
    }

    /// These and those of another object, which win where both have one.
    pub(crate) fn and(mut self, other: Self) -> Self {
        self.0.extend(other.0);
        self
    }
}

struct Found<'a, 'm> {
    names: &'a [&'a str],
    members: &'m mut Members<'a>,
}

impl<'a> Visitor<'a> for Found<'a, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'a>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(key) = map.next_key::<Key<'a>>()? {
            match self.names.iter().find(|name| **name == key.0) {
                Some(name) => self.members.0.push((name, map.next_value()?)),
                None => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(())
    }
}

#[derive(serde::Deserialize)]
struct Key<'a>(#[serde(borrow)] Cow<'a, str>);

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const NAMES: &[&str] = &["a", "b", "in"];

    #[test]
    fn members_are_found_among_others_and_read_by_their_type() {
        let json = br#"{"x":[{"a":0}],"a":1,"in":{"b":"deep"},"\u0062":true,"a":2}"#;
        let members = Members::of(json, NAMES);
        assert_eq!(members.read::<u32>(&["a"]), Some(2));
        assert_eq!(members.read::<bool>(&["a", "b"]), Some(true));
        assert_eq!(members.read::<String>(&["a", "b"]), None);
        assert_eq!(members.within("in", NAMES).read::<String>(&["b"]).as_deref(), Some("deep"));
        assert_eq!(members.within("a", NAMES).get("b"), None);
    }

    #[test]
    fn what_stands_before_a_break_counts() {
        let members = Members::of(b"\xef\xbb\xbf {\"a\":1,\"b\":[1,", NAMES);
        assert_eq!((members.get("a"), members.get("b")), (Some("1"), None));
        assert_eq!(Members::of(b"[1]", NAMES).get("a"), None);
        assert_eq!(Members::of(b"", NAMES).get("a"), None);
    }

    proptest! {
        #[test]
        fn whatever_the_bytes_are_nothing_fails(json in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = Members::of(&json, NAMES).within("in", NAMES).get("a");
        }
    }
}
