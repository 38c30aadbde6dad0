//! Reads typed values out of the tree: a serde deserializer that expands `${…}` as it goes.
//!
//! Going through serde lets the structs be the schema. Going through our own tree, rather than straight from YAML,
//! lets every error name its place and keeps what is never read (a disabled interceptor) from being expanded.

use std::borrow::Cow;

use serde::de::value::StrDeserializer;
use serde::de::{DeserializeSeed, Deserializer, IntoDeserializer, MapAccess, SeqAccess, Visitor};
use serde::forward_to_deserialize_any;

use super::problem::{Problem, What};
use super::tree::{Entry, Kind, Node, Scalar, Value};
use super::variables::{self, Lookup};

/// A node about to be read.
#[derive(Clone, Copy)]
pub(crate) struct Reader<'de> {
    node: &'de Node,
    lookup: Lookup<'de>,
}

impl<'de> Reader<'de> {
    pub(super) fn new(node: &'de Node, lookup: Lookup<'de>) -> Self {
        Self { node, lookup }
    }

    /// Of a problem that says no place of its own: it is here.
    pub(crate) fn place(&self, problem: Problem) -> Problem {
        problem.at(self.node.origin)
    }

    fn expected(&self, what: &str) -> Problem {
        Problem::new(What::Expected(what.to_owned())).at_node(self.node)
    }

    /// Where a whole section should be, any of its secrets may have come to stand: nothing of it is told.
    fn expected_shape(&self, expected: &str) -> Problem {
        let found = match &self.node.value {
            Value::Null => "nothing",
            Value::Scalar(scalar) if scalar.text.contains(':') => {
                "a single value, maybe for want of a blank after a colon"
            }
            Value::Scalar(_) => "a single value",
            Value::List(_) => "a list",
            Value::Map(_) => "a mapping",
        };
        Problem::new(What::Shape { expected: expected.to_owned(), found }).at(self.node.origin)
    }

    fn scalar(&self) -> Option<&'de Scalar> {
        match &self.node.value {
            Value::Scalar(scalar) => Some(scalar),
            _ => None,
        }
    }

    /// The text of this scalar with its variables replaced.
    fn text(&self, expected: &str) -> Result<Cow<'de, str>, Problem> {
        let scalar = self.scalar().ok_or_else(|| self.expected(expected))?;
        if scalar.literal {
            return Ok(Cow::Borrowed(&scalar.text));
        }
        variables::expand(&scalar.text, self.lookup)
            .map_err(|error| Problem::new(What::Variable(error.to_string())).at(self.node.origin))
    }

    fn number<T: std::str::FromStr>(&self, expected: &str) -> Result<T, Problem> {
        self.text(expected)?.trim().parse().map_err(|_| self.expected(expected))
    }

    fn list<V: Visitor<'de>>(self, nodes: &'de [Node], visitor: V) -> Result<V::Value, Problem> {
        visitor.visit_seq(Elements { nodes: nodes.iter().enumerate(), lookup: self.lookup })
    }

    fn map<V: Visitor<'de>>(self, entries: &'de [Entry], visitor: V) -> Result<V::Value, Problem> {
        visitor.visit_map(Entries { entries: entries.iter(), value: None, lookup: self.lookup })
    }

    fn section<V: Visitor<'de>>(self, expected: &str, visitor: V) -> Result<V::Value, Problem> {
        match &self.node.value {
            Value::Null => self.map(&[], visitor),
            Value::Map(entries) => self.map(entries, visitor),
            _ => Err(self.expected_shape(expected)),
        }
        .map_err(|problem| problem.at(self.node.origin))
    }

    /// What YAML makes of a scalar by itself.
    fn untyped<V: Visitor<'de>>(self, scalar: &'de Scalar, visitor: V) -> Result<V::Value, Problem> {
        let text = scalar.text.as_str();
        match scalar.kind {
            Kind::Bool => visitor.visit_bool(text.eq_ignore_ascii_case("true")),
            Kind::Integer => match (text.parse::<u64>(), text.parse::<i64>()) {
                (Ok(number), _) => visitor.visit_u64(number),
                (_, Ok(number)) => visitor.visit_i64(number),
                _ => visitor.visit_borrowed_str(text),
            },
            Kind::Float => match text.parse() {
                Ok(number) => visitor.visit_f64(number),
                Err(_) => visitor.visit_borrowed_str(text),
            },
            Kind::Text => match self.text("text")? {
                Cow::Borrowed(text) => visitor.visit_borrowed_str(text),
                Cow::Owned(text) => visitor.visit_string(text),
            },
        }
    }
}

/// Whole numbers, each told with the range that its type has.
macro_rules! whole_numbers {
    ($($method:ident, $visit:ident, $type:ty;)*) => {$(
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Problem> {
            let range = if <$type>::BITS > 32 {
                "a whole number".to_owned()
            } else {
                format!("a whole number from {} to {}", <$type>::MIN, <$type>::MAX)
            };
            let number = self.number::<$type>(&range)?;
            visitor.$visit(number).map_err(|problem: Problem| problem.at_node(self.node))
        }
    )*};
}

impl<'de> Deserializer<'de> for Reader<'de> {
    type Error = Problem;

    whole_numbers! {
        deserialize_u8, visit_u8, u8;
        deserialize_u16, visit_u16, u16;
        deserialize_u32, visit_u32, u32;
        deserialize_u64, visit_u64, u64;
        deserialize_i8, visit_i8, i8;
        deserialize_i16, visit_i16, i16;
        deserialize_i32, visit_i32, i32;
        deserialize_i64, visit_i64, i64;
    }

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Problem> {
        let value = match &self.node.value {
            Value::Null => visitor.visit_unit(),
            Value::Scalar(scalar) => self.untyped(scalar, visitor),
            Value::List(nodes) => self.list(nodes, visitor),
            Value::Map(entries) => self.map(entries, visitor),
        };
        value.map_err(|problem| problem.at_node(self.node))
    }

    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Problem> {
        let expected = "true or false";
        match self.text(expected)?.trim() {
            text if text.eq_ignore_ascii_case("true") => visitor.visit_bool(true),
            text if text.eq_ignore_ascii_case("false") => visitor.visit_bool(false),
            _ => Err(self.expected(expected)),
        }
    }

    fn deserialize_f64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Problem> {
        visitor.visit_f64(self.number("a number")?)
    }

    fn deserialize_f32<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Problem> {
        visitor.visit_f32(self.number("a number")?)
    }

    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Problem> {
        let value = match self.text("text")? {
            Cow::Borrowed(text) => visitor.visit_borrowed_str(text),
            Cow::Owned(text) => visitor.visit_string(text),
        };
        value.map_err(|problem: Problem| problem.at_node(self.node))
    }

    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Problem> {
        self.deserialize_str(visitor)
    }

    /// Empty is none: `api_key:`, `api_key: ""` and `api_key: ${KEY:-}` all say that there is no key.
    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Problem> {
        let empty = match &self.node.value {
            Value::Null => true,
            Value::Scalar(_) => self.text("text")?.is_empty(),
            _ => false,
        };
        if empty { visitor.visit_none() } else { visitor.visit_some(self) }
    }

    /// A list without elements may be left empty altogether, as when all of them are commented out.
    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Problem> {
        match &self.node.value {
            Value::Null => self.list(&[], visitor),
            Value::List(nodes) => self.list(nodes, visitor),
            _ => Err(self.expected_shape("a list")),
        }
        .map_err(|problem| problem.at_node(self.node))
    }

    /// A section without keys may be left empty altogether, as when all of them are commented out.
    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Problem> {
        self.section("a mapping of keys to values", visitor)
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        keys: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Problem> {
        self.section(&format!("a mapping of these keys: {}", keys.join(", ")), visitor)
    }

    /// One of a few words, in any case.
    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Problem> {
        let text = self.text(&format!("one of {}", variants.join(", ")))?;
        match variants.iter().find(|variant| variant.eq_ignore_ascii_case(text.trim())) {
            Some(variant) => visitor.visit_enum(IntoDeserializer::<Problem>::into_deserializer(*variant)),
            None => Err(Problem::new(What::UnknownName { known: variants.to_vec() }).at_node(self.node)),
        }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Problem> {
        visitor.visit_newtype_struct(self)
    }

    forward_to_deserialize_any! {
        i128 u128 char bytes byte_buf unit unit_struct tuple tuple_struct identifier ignored_any
    }
}

impl<'de> IntoDeserializer<'de, Problem> for Reader<'de> {
    type Deserializer = Self;

    fn into_deserializer(self) -> Self {
        self
    }
}

struct Elements<'de, I> {
    nodes: I,
    lookup: Lookup<'de>,
}

impl<'de, I: Iterator<Item = (usize, &'de Node)>> SeqAccess<'de> for Elements<'de, I> {
    type Error = Problem;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, Problem> {
        let Some((index, node)) = self.nodes.next() else { return Ok(None) };
        let element = seed.deserialize(Reader::new(node, self.lookup));
        element.map(Some).map_err(|problem| problem.at_node(node).within_index(index))
    }
}

struct Entries<'de, I> {
    entries: I,
    value: Option<&'de Entry>,
    lookup: Lookup<'de>,
}

impl<'de, I: Iterator<Item = &'de Entry>> MapAccess<'de> for Entries<'de, I> {
    type Error = Problem;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, Problem> {
        let Some(entry) = self.entries.next() else { return Ok(None) };
        self.value = Some(entry);
        let key: StrDeserializer<'de, Problem> = entry.key.as_str().into_deserializer();
        seed.deserialize(key).map(Some).map_err(|problem| problem.at_key(entry.origin, &entry.key))
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Problem> {
        let Some(entry) = self.value.take() else {
            return Err(Problem::new(What::Other("a value was read before its key".to_owned())));
        };
        let value = seed.deserialize(Reader::new(&entry.node, self.lookup));
        value.map_err(|problem| problem.at_node(&entry.node).within_key(&entry.key))
    }
}
