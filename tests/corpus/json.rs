//! JSON as programs write it: members in their order, with the spaces and escapes that their language has.

use std::fmt::Write as _;

use serde::Deserialize;
use serde_json::Value;

/// A value whose members keep their order.
#[derive(Clone, Debug)]
pub(crate) enum Json {
    Value(Value),
    List(Vec<Self>),
    Object(Vec<(String, Self)>),
}

/// How it is written.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Hand {
    /// As JavaScript does, and Python's `httpx`: no spaces, no escapes.
    #[default]
    Js,
    /// As Python's `json` does: spaces behind commas and colons, everything beyond ASCII escaped.
    Python,
    /// In lines.
    Pretty,
}

pub(crate) fn text(text: impl Into<String>) -> Json {
    Json::Value(Value::String(text.into()))
}

pub(crate) fn list(items: impl IntoIterator<Item = Json>) -> Json {
    Json::List(items.into_iter().collect())
}

pub(crate) fn object<const N: usize>(members: [(&str, Json); N]) -> Json {
    Json::Object(members.into_iter().map(|(name, value)| (name.to_owned(), value)).collect())
}

impl From<Value> for Json {
    fn from(value: Value) -> Self {
        Self::Value(value)
    }
}

impl From<u64> for Json {
    fn from(value: u64) -> Self {
        Self::Value(value.into())
    }
}

impl From<bool> for Json {
    fn from(value: bool) -> Self {
        Self::Value(value.into())
    }
}

impl Json {
    pub(crate) const NULL: Self = Self::Value(Value::Null);

    /// Sets a member of an object; `null` takes it out.
    pub(crate) fn set(&mut self, name: &str, value: impl Into<Self>) {
        let Self::Object(members) = self else { panic!("no object: {self:?}") };
        let value = value.into();
        match members.iter_mut().find(|(member, _)| member == name) {
            Some((_, member)) => *member = value,
            None => members.push((name.to_owned(), value)),
        }
    }

    /// An object with one more member.
    pub(crate) fn with(mut self, name: &str, value: impl Into<Self>) -> Self {
        self.set(name, value);
        self
    }

    /// The last item of a list that is that member.
    pub(crate) fn last_of(&mut self, name: &str) -> Option<&mut Self> {
        let Self::Object(members) = self else { return None };
        match members.iter_mut().find(|(member, _)| member == name)? {
            (_, Self::List(items)) => items.last_mut(),
            _ => None,
        }
    }

    pub(crate) fn written(&self, hand: Hand) -> String {
        let mut out = String::new();
        self.write(hand, 0, &mut out);
        out
    }

    fn write(&self, hand: Hand, depth: usize, out: &mut String) {
        match self {
            Self::Value(Value::Array(items)) => {
                list(items.iter().cloned().map(Self::from)).write(hand, depth, out);
            }
            Self::Value(Value::Object(members)) => {
                let members = members.iter().map(|(name, value)| (name.clone(), value.clone().into()));
                Self::Object(members.collect()).write(hand, depth, out);
            }
            Self::Value(Value::String(text)) => write_text(text, hand, out),
            Self::Value(value) => write!(out, "{value}").unwrap(),
            Self::List(items) => between(('[', ']'), hand, depth, items, out, |item, out| {
                item.write(hand, depth + 1, out);
            }),
            Self::Object(members) => between(('{', '}'), hand, depth, members, out, |(name, value), out| {
                write_text(name, hand, out);
                out.push_str(if hand == Hand::Js { ":" } else { ": " });
                value.write(hand, depth + 1, out);
            }),
        }
    }
}

fn between<T>(
    (opens, closes): (char, char),
    hand: Hand,
    depth: usize,
    items: &[T],
    out: &mut String,
    mut write: impl FnMut(&T, &mut String),
) {
    let new_line = |depth: usize, out: &mut String| {
        if hand == Hand::Pretty && !items.is_empty() {
            out.push('\n');
            out.push_str(&"  ".repeat(depth));
        }
    };
    out.push(opens);
    for (number, item) in items.iter().enumerate() {
        if number > 0 {
            out.push_str(if hand == Hand::Python { ", " } else { "," });
        }
        new_line(depth + 1, out);
        write(item, out);
    }
    new_line(depth, out);
    out.push(closes);
}

fn write_text(text: &str, hand: Hand, out: &mut String) {
    let plain = Value::from(text).to_string();
    if hand != Hand::Python {
        out.push_str(&plain);
        return;
    }
    for sign in plain.chars() {
        if sign.is_ascii() {
            out.push(sign);
        } else {
            for unit in sign.encode_utf16(&mut [0; 2]) {
                write!(out, "\\u{unit:04x}").unwrap();
            }
        }
    }
}
