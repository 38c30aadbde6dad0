//! Values of attributes: made, read from JSON, and written as it.

use std::borrow::Cow;
use std::fmt;

use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, ArrayValue, KeyValue, KeyValueList};
use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde::ser::{Serialize, SerializeMap as _, Serializer};

use crate::text::storable;

/// So many levels of lists and objects are passed on as such. Readers of protobuf commonly give up at a hundred messages
/// in one another, of which each level takes up to three and a log record's own take sixteen.
const DEPTH: usize = 24;

/// A text.
pub(crate) fn text<'t>(text: impl Into<Cow<'t, str>>) -> AnyValue {
    AnyValue { value: Some(Value::StringValue(storable(text))) }
}

/// A whole number.
pub(crate) fn int(number: i64) -> AnyValue {
    AnyValue { value: Some(Value::IntValue(number)) }
}

/// A number.
pub(crate) fn double(number: f64) -> AnyValue {
    AnyValue { value: Some(Value::DoubleValue(number)) }
}

/// Yes or no.
pub(crate) fn flag(yes: bool) -> AnyValue {
    AnyValue { value: Some(Value::BoolValue(yes)) }
}

/// A list.
pub(crate) fn list(values: impl IntoIterator<Item = AnyValue>) -> AnyValue {
    AnyValue { value: Some(Value::ArrayValue(ArrayValue { values: values.into_iter().collect() })) }
}

/// An object.
pub(crate) fn object(members: Vec<KeyValue>) -> AnyValue {
    AnyValue { value: Some(Value::KvlistValue(KeyValueList { values: members })) }
}

/// A member of an object, or an attribute.
pub(crate) fn member(key: impl Into<String>, value: AnyValue) -> KeyValue {
    KeyValue { key: key.into(), value: Some(value), ..KeyValue::default() }
}

/// What JSON says. Nothing where it is none, or too deep to be told.
pub(crate) fn read(json: &str) -> Option<AnyValue> {
    let mut json = serde_json::Deserializer::from_str(json);
    let value = Read { left: DEPTH }.deserialize(&mut json).ok()?;
    json.end().is_ok().then_some(value)
}

/// As compact JSON.
pub(crate) fn write(value: &AnyValue) -> String {
    serde_json::to_string(&Json(value)).unwrap_or_default()
}

/// How many bytes it has as compact JSON.
pub(crate) fn length(value: &AnyValue) -> usize {
    struct Count(usize);
    impl std::io::Write for Count {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0 += bytes.len();
            Ok(bytes.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    let mut count = Count(0);
    serde_json::to_writer(&mut count, &Json(value)).map_or(usize::MAX, |()| count.0)
}

struct Json<'a>(&'a AnyValue);

impl Serialize for Json<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let null = AnyValue::default();
        match &self.0.value {
            Some(Value::StringValue(text)) => serializer.serialize_str(text),
            Some(Value::BoolValue(yes)) => serializer.serialize_bool(*yes),
            Some(Value::IntValue(number)) => serializer.serialize_i64(*number),
            Some(Value::DoubleValue(number)) => serializer.serialize_f64(*number),
            Some(Value::ArrayValue(list)) => serializer.collect_seq(list.values.iter().map(Json)),
            Some(Value::KvlistValue(object)) => {
                let mut map = serializer.serialize_map(Some(object.values.len()))?;
                for member in &object.values {
                    map.serialize_entry(&member.key, &Json(member.value.as_ref().unwrap_or(&null)))?;
                }
                map.end()
            }
            // Nothing of these is made here.
            Some(Value::BytesValue(_) | Value::StringValueStrindex(_)) | None => serializer.serialize_unit(),
        }
    }
}

/// Reads a value with so many levels below it.
#[derive(Clone, Copy)]
struct Read {
    left: usize,
}

impl Read {
    fn below<E: Error>(self) -> Result<Self, E> {
        let left = self.left.checked_sub(1).ok_or_else(|| E::custom("too deep"))?;
        Ok(Self { left })
    }
}

impl<'de> DeserializeSeed<'de> for Read {
    type Value = AnyValue;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<AnyValue, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Read {
    type Value = AnyValue;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E: Error>(self) -> Result<AnyValue, E> {
        Ok(AnyValue::default())
    }

    fn visit_bool<E: Error>(self, yes: bool) -> Result<AnyValue, E> {
        Ok(flag(yes))
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<AnyValue, E> {
        Ok(int(number))
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<AnyValue, E> {
        Ok(i64::try_from(number).map_or_else(|_| double(number as f64), int))
    }

    fn visit_f64<E: Error>(self, number: f64) -> Result<AnyValue, E> {
        Ok(double(number))
    }

    fn visit_str<E: Error>(self, string: &str) -> Result<AnyValue, E> {
        Ok(text(string))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<AnyValue, A::Error> {
        let below = self.below()?;
        let mut values = Vec::new();
        while let Some(value) = seq.next_element_seed(below)? {
            values.push(value);
        }
        Ok(list(values))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<AnyValue, A::Error> {
        let below = self.below()?;
        let mut members: Vec<KeyValue> = Vec::new();
        while let Some(key) = map.next_key::<String>()? {
            members.push(member(storable(key), map.next_value_seed(below)?));
        }
        Ok(object(unique(members)))
    }
}

/// Of members of the same name the last, as readers of JSON have it: no map may have a key twice.
fn unique(mut members: Vec<KeyValue>) -> Vec<KeyValue> {
    let mut seen = std::collections::HashSet::new();
    let last: Vec<bool> = members.iter().rev().map(|member| seen.insert(member.key.clone())).collect();
    if last.iter().any(|is_last| !is_last) {
        let mut last = last.into_iter().rev();
        members.retain(|_| last.next().unwrap_or(true));
    }
    members
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn json_is_read_in_its_order_and_written_compactly() {
        let json = r#"{"b":[1,-2.5,true,null],"a":{"ü":"\"\n"},"big":1.8446744073709552e+19}"#;
        assert_eq!(write(&read(json).unwrap()), json);
        assert_eq!(write(&read("{ \"b\" : 1, \"a\" : 2, \"b\" : 3 }").unwrap()), r#"{"a":2,"b":3}"#);
        assert_eq!(read(r#"{"a":1"#), None);
        assert_eq!(read(r#"{"a":1} x"#), None);
    }

    #[test]
    fn what_is_too_deep_for_readers_of_protobuf_is_not_read() {
        let nested = |levels: usize| format!("{}{}", "[".repeat(levels), "]".repeat(levels));
        assert!(read(&nested(DEPTH)).is_some());
        assert!(read(&nested(DEPTH + 1)).is_none());
        assert!(read(&nested(100_000)).is_none());
    }

    proptest! {
        #[test]
        fn what_is_written_has_the_length_told_and_is_read_again(
            texts in prop::collection::vec(any::<String>(), 0..5),
            number in any::<i64>(),
        ) {
            let values = texts.into_iter().map(text).chain([int(number)]);
            let value = object(vec![member("a", list(values))]);
            let json = write(&value);
            prop_assert_eq!(json.len(), length(&value));
            prop_assert_eq!(read(&json), Some(value));
        }
    }
}
