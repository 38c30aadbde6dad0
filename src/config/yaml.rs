//! YAML text into a tree: the only place that knows the YAML crate.

use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_yaml::{DuplicateKeyPolicy, Error, Location, NonFiniteFloatPolicy, Spanned};

use super::problem::{Problem, What};
use super::tree::{Entry, Kind, Node, Origin, Scalar, Value};

/// Reading a level takes some tens of KiB of stack, and no configuration is half as deep.
const MAX_DEPTH: usize = 24;

/// So many values make no configuration, and aliases could make many more out of few.
const MAX_NODES: usize = 50_000;

/// Reads one YAML document. An empty one is an empty mapping.
pub(super) fn parse(text: &str) -> Result<Node, Problem> {
    // A streamed mapping shows each of two equal keys only under this policy; `entries` refuses them then.
    let options = serde_yaml::options! {
        budget: serde_yaml::budget! { max_depth: MAX_DEPTH, flow_nesting_limit: MAX_DEPTH, max_nodes: MAX_NODES },
        alias_limits: serde_yaml::alias_limits! { max_total_replayed_events: MAX_NODES },
        strict_booleans: true,
        duplicate_keys: DuplicateKeyPolicy::LastWins,
        non_finite_float_policy: NonFiniteFloatPolicy::PassThrough,
    };
    let raw: Spanned<Raw> =
        serde_yaml::from_str_with_options(text, options).map_err(|error| syntax(&error))?;
    let root = node(raw, text)?;
    Ok(match root.value {
        Value::Null => Node::empty_map(root.origin),
        _ => root,
    })
}

/// What the YAML crate hands over, with its own places.
enum Raw {
    Null,
    Text(String),
    Other(Kind),
    List(Vec<Spanned<Raw>>),
    Map(Vec<(Spanned<String>, Spanned<Raw>)>),
}

fn node(raw: Spanned<Raw>, text: &str) -> Result<Node, Problem> {
    let value = match raw.value {
        Raw::Null => Value::Null,
        Raw::Text(text) => Value::Scalar(Scalar { text, kind: Kind::Text, literal: false }),
        Raw::Other(kind) => {
            Value::Scalar(Scalar { text: written(raw.defined, text).to_owned(), kind, literal: false })
        }
        Raw::List(items) => {
            Value::List(items.into_iter().map(|item| node(item, text)).collect::<Result<_, _>>()?)
        }
        Raw::Map(pairs) => Value::Map(entries(pairs, text)?),
    };
    Ok(Node { origin: origin(raw.defined), value })
}

fn entries(pairs: Vec<(Spanned<String>, Spanned<Raw>)>, text: &str) -> Result<Vec<Entry>, Problem> {
    let mut entries: Vec<Entry> = Vec::with_capacity(pairs.len());
    for (key, value) in pairs {
        let place = origin(key.defined);
        let key = key.value;
        if let Some(first) = entries.iter().find(|entry| entry.key == key) {
            return Err(Problem::new(What::Duplicate { first: first.origin }).at_key(place, &key));
        }
        let node = node(value, text).map_err(|problem| problem.within_key(&key))?;
        entries.push(Entry { key, origin: place, node });
    }
    Ok(entries)
}

/// The scalar as the file has it: `0123` would come back as 123 otherwise.
fn written(location: Location, text: &str) -> &str {
    let span = location.span();
    let range = span.byte_offset().zip(span.byte_len()).and_then(|(start, length)| {
        let start = usize::try_from(start).ok()?;
        Some(start..start.checked_add(usize::try_from(length).ok()?)?)
    });
    range.and_then(|range| text.get(range)).unwrap_or_default().trim()
}

fn origin(location: Location) -> Origin {
    let number = |n: u64| usize::try_from(n).unwrap_or(usize::MAX);
    Origin::File { line: number(location.line()), column: number(location.column()) }
}

const TOO_MUCH: &str = "nested too deeply, or too large, for a configuration";

/// The crate's own rendering shows lines of the file, and those may hold secrets; its bare message does not.
fn syntax(error: &Error) -> Problem {
    let error = error.without_snippet();
    let message = match error {
        Error::MultipleDocuments { .. } => "a second document; a configuration is one".to_owned(),
        Error::Budget { .. } | Error::AliasReplayLimitExceeded { .. } => TOO_MUCH.to_owned(),
        Error::Unexpected { expected: "string scalar", .. } | Error::NullIntoString { .. } => {
            "a key must be a plain word".to_owned()
        }
        other => not_yaml(&strip_place(&other.to_string(), other.location())),
    };
    let problem = Problem::new(What::Syntax(message));
    match error.location() {
        Some(location) => problem.at(origin(location)),
        None => problem,
    }
}

/// The crate's words, with what usually helps.
fn not_yaml(message: &str) -> String {
    const HINTS: [(&str, &str); 7] = [
        ("unexpected character", "put quotes around a value that begins like this"),
        ("unknown anchor", "put quotes around a value that begins with * or &"),
        ("flow mapping", "between braces, put quotes around a value that holds braces, such as ${NAME}"),
        ("flow sequence", "between brackets, put quotes around a value that holds braces, such as ${NAME}"),
        ("mapping values are not allowed", "is a colon missing before this, or does this value need quotes?"),
        ("expected ':'", "a key is followed by a colon and a blank"),
        ("expected key", "do the lines of this section begin in the same column?"),
    ];
    if message.starts_with("recursion limit") {
        return TOO_MUCH.to_owned();
    }
    match HINTS.iter().find(|(part, _)| message.contains(part)) {
        Some((_, hint)) => format!("not YAML: {message}; {hint}"),
        None => format!("not YAML: {message}"),
    }
}

/// Takes the place off the end of `message`: ours stands in front.
fn strip_place(message: &str, location: Option<Location>) -> String {
    let place = location.map(|at| format!(" at line {}, column {}", at.line(), at.column()));
    place.and_then(|place| message.strip_suffix(&place)).unwrap_or(message).to_owned()
}

impl<'de> Deserialize<'de> for Raw {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(RawVisitor)
    }
}

struct RawVisitor;

impl<'de> Visitor<'de> for RawVisitor {
    type Value = Raw;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("YAML")
    }

    fn visit_unit<E>(self) -> Result<Raw, E> {
        Ok(Raw::Null)
    }

    fn visit_bool<E>(self, _: bool) -> Result<Raw, E> {
        Ok(Raw::Other(Kind::Bool))
    }

    fn visit_u64<E>(self, _: u64) -> Result<Raw, E> {
        Ok(Raw::Other(Kind::Integer))
    }

    fn visit_i64<E>(self, _: i64) -> Result<Raw, E> {
        Ok(Raw::Other(Kind::Integer))
    }

    fn visit_f64<E>(self, _: f64) -> Result<Raw, E> {
        Ok(Raw::Other(Kind::Float))
    }

    fn visit_str<E>(self, text: &str) -> Result<Raw, E> {
        Ok(Raw::Text(text.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Raw, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element()? {
            list.push(item);
        }
        Ok(Raw::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut pairs: A) -> Result<Raw, A::Error> {
        let mut map = Vec::new();
        while let Some(pair) = pairs.next_entry()? {
            map.push(pair);
        }
        Ok(Raw::Map(map))
    }
}
