//! Attributes, as OTLP has them.

use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, ArrayValue, KeyValue};

use crate::text::{self, storable};

/// So many texts of a list are told.
const MANY: usize = 128;
/// So much of a key is told that others make up, bytes.
const KEY: usize = 256;

/// Attributes, each key once.
#[derive(Clone, Debug, Default)]
pub(super) struct Attributes(Vec<KeyValue>);

impl Attributes {
    /// A word of ours, or of a provider's.
    pub(super) fn word(&mut self, key: &str, word: &str) {
        self.add(key, Value::StringValue(storable(word)));
    }

    /// What a client or a provider says: cut, and without secrets.
    pub(super) fn said(&mut self, key: &str, said: &str) {
        self.add(key, text(said));
    }

    /// The same, where it says something.
    pub(super) fn maybe_said(&mut self, key: &str, said: Option<&str>) {
        if let Some(said) = said.filter(|said| !said.is_empty()) {
            self.said(key, said);
        }
    }

    /// The same below a key that others make up.
    pub(super) fn tagged(&mut self, prefix: &str, key: &str, said: &str) {
        self.said(&format!("{prefix}{}", text::name(key, KEY)), said);
    }

    /// Several, in their order.
    pub(super) fn all_said<'a>(&mut self, key: &str, said: impl IntoIterator<Item = &'a str>) {
        let values = said.into_iter().take(MANY).map(|said| any(text(said))).collect();
        self.add(key, Value::ArrayValue(ArrayValue { values }));
    }

    /// A whole number.
    pub(super) fn count(&mut self, key: &str, number: impl TryInto<i64>) {
        self.add(key, Value::IntValue(number.try_into().unwrap_or(i64::MAX)));
    }

    /// The same, where it is known.
    pub(super) fn maybe_count(&mut self, key: &str, number: Option<u64>) {
        if let Some(number) = number {
            self.count(key, number);
        }
    }

    /// A number.
    pub(super) fn double(&mut self, key: &str, number: f64) {
        self.add(key, Value::DoubleValue(number));
    }

    /// What is so.
    pub(super) fn yes(&mut self, key: &str) {
        self.add(key, Value::BoolValue(true));
    }

    /// More, but for keys that are there.
    pub(super) fn and(&mut self, more: impl IntoIterator<Item = KeyValue>) {
        for attribute in more {
            if !self.0.iter().any(|known| known.key == attribute.key) {
                self.0.push(attribute);
            }
        }
    }

    pub(super) fn into_inner(self) -> Vec<KeyValue> {
        self.0
    }

    fn add(&mut self, key: &str, value: Value) {
        self.0.push(KeyValue { key: key.to_owned(), value: Some(any(value)), ..KeyValue::default() });
    }
}

fn text(said: &str) -> Value {
    Value::StringValue(text::said(said, text::MOST))
}

fn any(value: Value) -> AnyValue {
    AnyValue { value: Some(value) }
}
