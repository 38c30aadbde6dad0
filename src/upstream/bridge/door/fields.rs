//! JSON of clients: every value knows its place, so that what is wrong with it can be said, and no key is overlooked.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

use crate::upstream::bridge::ask::Warnings;
use crate::upstream::bridge::{Failure, Kind};

/// How deep a document may be. What reads it later has bounds of its own, of 128.
const DEEPEST: usize = 100;

/// An object of which not everything has been read yet.
#[derive(Debug)]
pub(super) struct Object<'a> {
    place: String,
    fields: BTreeMap<String, &'a RawValue>,
}

/// A value and its place in the body, such as `messages[2].content`.
#[derive(Debug)]
pub(super) struct Field<'a> {
    place: String,
    raw: &'a RawValue,
}

/// What a value is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shape {
    /// `null`
    Null,
    /// `true`, `false`
    Flag,
    /// A number.
    Number,
    /// A string.
    Text,
    /// An array.
    List,
    /// An object.
    Object,
}

/// The object that a request's body is.
///
/// # Errors
/// Where it is none, or too deep.
pub(super) fn object(body: &[u8]) -> Result<Object<'_>, Failure> {
    let invalid = |what: &str| Failure::new(Kind::Invalid, format!("the body is not JSON: {what}"));
    if body.trim_ascii().is_empty() {
        return Err(invalid("there is nothing in it"));
    }
    if body.starts_with(b"\xef\xbb\xbf") {
        return Err(invalid("it begins with a byte order mark; leave it out"));
    }
    let raw: &RawValue = serde_json::from_slice(body).map_err(|error| invalid(&error.to_string()))?;
    if too_deep(raw) {
        return Err(Failure::new(Kind::Invalid, format!("the body is nested deeper than {DEEPEST} levels")));
    }
    Field { place: String::new(), raw }.object()
}

/// The value that `json`, which stands at `place`, is. It has been looked at before.
///
/// # Errors
/// Where it is none.
pub(super) fn value<'a>(place: &str, json: &'a str) -> Result<Field<'a>, Failure> {
    let raw: &RawValue = serde_json::from_str(json)
        .map_err(|error| Failure::invalid(place.to_owned(), format!("{place}: not JSON: {error}")))?;
    Ok(Field { place: place.to_owned(), raw })
}

/// The JSON object that `text`, which stands at `place`, is; byte for byte. Nothing at all is an empty one: some
/// models write that for a tool without arguments.
///
/// # Errors
/// Where it is something else, or too deep.
pub(super) fn inner_object(place: &str, text: &str) -> Result<Box<RawValue>, Failure> {
    let text = if text.trim().is_empty() { "{}" } else { text };
    let wrong = |what: &str| Failure::invalid(place.to_owned(), format!("{place}: {what}"));
    let raw: Box<RawValue> = serde_json::from_str(text)
        .map_err(|error| wrong(&format!("a JSON object in a string would be right: {error}")))?;
    if too_deep(&raw) {
        return Err(wrong(&format!("nested deeper than {DEEPEST} levels")));
    }
    match shape(&raw) {
        Shape::Object => Ok(raw),
        other => Err(wrong(&format!("a JSON object in a string would be right, found {}", other.name()))),
    }
}

impl<'a> Object<'a> {
    /// Where it is; empty for the body itself.
    pub(super) fn place(&self) -> &str {
        &self.place
    }

    /// Where its field `name` is.
    pub(super) fn place_of(&self, name: &str) -> String {
        if self.place.is_empty() { name.to_owned() } else { format!("{}.{name}", self.place) }
    }

    /// Whether `name` is there and nobody has read it yet.
    pub(super) fn has(&self, name: &str) -> bool {
        self.fields.get(name).is_some_and(|raw| shape(raw) != Shape::Null)
    }

    /// Reads `name`; `null` is as good as nothing.
    pub(super) fn take(&mut self, name: &str) -> Option<Field<'a>> {
        let raw = self.fields.remove(name)?;
        (shape(raw) != Shape::Null).then(|| Field { place: self.place_of(name), raw })
    }

    /// Reads `name`, without which the request makes no sense. `right` is what belongs there.
    pub(super) fn need(&mut self, name: &str, right: &str) -> Result<Field<'a>, Failure> {
        self.take(name).ok_or_else(|| {
            let place = self.place_of(name);
            let message = format!("{place}: missing; {right} would be right");
            Failure::invalid(place, message)
        })
    }

    /// Reads the string `name`, if it is there.
    pub(super) fn text(&mut self, name: &str) -> Result<Option<String>, Failure> {
        self.take(name).map(|field| field.text()).transpose()
    }

    /// Reads the boolean `name`, if it is there.
    pub(super) fn flag(&mut self, name: &str) -> Result<Option<bool>, Failure> {
        self.take(name).map(|field| field.flag()).transpose()
    }

    /// Reads `name`, which has no effect here: that is worth a warning unless it is `default`, in JSON. `null` always
    /// is.
    pub(super) fn ignore(&mut self, name: &str, default: &str, warnings: &mut Warnings) {
        if let Some(field) = self.take(name)
            && !field.is(default)
        {
            warnings.dropped(without_indices(&field.place));
        }
    }

    /// Notes all that nobody has read.
    pub(super) fn finish(mut self, warnings: &mut Warnings) {
        while let Some((name, raw)) = self.fields.pop_first() {
            if shape(raw) != Shape::Null {
                warnings.dropped(without_indices(&self.place_of(&name)));
            }
        }
    }
}

impl<'a> Field<'a> {
    /// Where it is.
    pub(super) fn place(&self) -> &str {
        &self.place
    }

    /// It, byte for byte.
    pub(super) fn raw(&self) -> Box<RawValue> {
        self.raw.to_owned()
    }

    /// What it is.
    pub(super) fn shape(&self) -> Shape {
        shape(self.raw)
    }

    /// Whether it is the same as this JSON. Numbers are the same if they are equal.
    pub(super) fn is(&self, json: &str) -> bool {
        let read = |text: &str| serde_json::from_str::<serde_json::Value>(text).ok();
        match (read(self.raw.get()), read(json)) {
            (Some(a), Some(b)) => a == b || (a.is_number() && a.as_f64() == b.as_f64()),
            _ => false,
        }
    }

    /// A string.
    pub(super) fn text(&self) -> Result<String, Failure> {
        if self.shape() != Shape::Text {
            return Err(self.wrong("a string"));
        }
        serde_json::from_str(self.raw.get()).map_err(|_| self.wrong("a string of valid Unicode"))
    }

    /// A boolean.
    pub(super) fn flag(&self) -> Result<bool, Failure> {
        serde_json::from_str(self.raw.get()).map_err(|_| self.wrong("true or false"))
    }

    /// A whole number that is not negative.
    pub(super) fn whole(&self) -> Result<u64, Failure> {
        serde_json::from_str(self.raw.get()).map_err(|_| self.wrong("a whole number"))
    }

    /// An object. One with the same key twice is none: whoever else reads it may read the other value.
    pub(super) fn object(self) -> Result<Object<'a>, Failure> {
        if self.shape() != Shape::Object {
            return Err(self.wrong("an object"));
        }
        match serde_json::from_str::<Pairs<'a>>(self.raw.get()) {
            Ok(Pairs { fields, twice: None }) => Ok(Object { place: self.place, fields }),
            Ok(Pairs { twice: Some(name), .. }) => {
                let name: String = name.chars().take(64).collect();
                let place = if self.place.is_empty() { name } else { format!("{}.{name}", self.place) };
                Err(Failure::invalid(place.clone(), format!("{place}: twice, where once would be right")))
            }
            Err(_) => Err(self.wrong("an object whose keys are valid Unicode")),
        }
    }

    /// An object that is passed on as it is: a JSON schema and the like.
    pub(super) fn raw_object(&self) -> Result<Box<RawValue>, Failure> {
        if self.shape() == Shape::Object { Ok(self.raw()) } else { Err(self.wrong("an object")) }
    }

    /// A list of at most this many.
    pub(super) fn list(&self, most: usize) -> Result<Vec<Field<'a>>, Failure> {
        let items: Vec<&'a RawValue> =
            serde_json::from_str(self.raw.get()).map_err(|_| self.wrong("a list"))?;
        if items.len() > most {
            let place = self.place.clone();
            let message = format!("{place}: {} items, of which {most} can be had at most", items.len());
            return Err(Failure::invalid(place, message));
        }
        let item = |(index, raw)| Field { place: format!("{}[{index}]", self.place), raw };
        Ok(items.into_iter().enumerate().map(item).collect())
    }

    /// A failure: it is not what would be `right`.
    pub(super) fn wrong(&self, right: &str) -> Failure {
        let place = if self.place.is_empty() { "the body" } else { &self.place };
        let found = match self.shape() {
            Shape::Flag | Shape::Number => Cow::Owned(self.raw.get().chars().take(32).collect()),
            other => Cow::Borrowed(other.name()),
        };
        let message = format!("{place}: found {found}, where {right} would be right");
        Failure { param: self.param(), ..Failure::new(Kind::Invalid, message) }
    }

    /// A failure: the word `found` is none of those that would be `right`.
    pub(super) fn unknown(&self, found: &str, right: &str) -> Failure {
        const LONGEST: usize = 40;
        let mut found: String = found.chars().take(LONGEST + 1).collect();
        if found.chars().count() > LONGEST {
            found = found.chars().take(LONGEST).chain(['…']).collect();
        }
        let message = format!("{}: found {found:?}, where {right} would be right", self.place);
        Failure { param: self.param(), ..Failure::new(Kind::Invalid, message) }
    }

    /// A failure: it cannot be had here, for the reason that `message` gives.
    pub(super) fn unsupported(&self, message: &str) -> Failure {
        Failure::unsupported(self.place.clone(), format!("{}: {message}", self.place))
    }

    fn param(&self) -> Option<Cow<'static, str>> {
        (!self.place.is_empty()).then(|| self.place.clone().into())
    }
}

/// The pairs of an object.
struct Pairs<'a> {
    fields: BTreeMap<String, &'a RawValue>,
    /// A key that is there twice.
    twice: Option<String>,
}

impl<'de> Deserialize<'de> for Pairs<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(PairsVisitor)
    }
}

struct PairsVisitor;

impl<'de> Visitor<'de> for PairsVisitor {
    type Value = Pairs<'de>;

    fn expecting(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        to.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Pairs<'de>, A::Error> {
        let mut pairs = Pairs { fields: BTreeMap::new(), twice: None };
        while let Some(name) = map.next_key::<String>()? {
            let value = map.next_value()?;
            if pairs.twice.is_none() && pairs.fields.contains_key(&name) {
                pairs.twice = Some(name);
            } else {
                pairs.fields.insert(name, value);
            }
        }
        Ok(pairs)
    }
}

impl Shape {
    fn name(self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Flag => "a boolean",
            Self::Number => "a number",
            Self::Text => "a string",
            Self::List => "a list",
            Self::Object => "an object",
        }
    }
}

fn shape(raw: &RawValue) -> Shape {
    match raw.get().trim_start().bytes().next() {
        Some(b'{') => Shape::Object,
        Some(b'[') => Shape::List,
        Some(b'"') => Shape::Text,
        Some(b't' | b'f') => Shape::Flag,
        Some(b'n') | None => Shape::Null,
        Some(_) => Shape::Number,
    }
}

/// `messages[].name` for `messages[7].name`: a header has no room for each of them.
pub(super) fn without_indices(place: &str) -> String {
    let mut inside = false;
    let keep = |c: &char| match c {
        '[' => {
            inside = true;
            true
        }
        ']' => {
            inside = false;
            true
        }
        _ => !inside,
    };
    place.chars().filter(keep).collect()
}

/// Whether valid JSON is nested deeper than [`DEEPEST`]. (Reading it raw knows no bound.)
fn too_deep(raw: &RawValue) -> bool {
    let (mut depth, mut quoted, mut escaped) = (0_usize, false, false);
    for byte in raw.get().bytes() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            b'{' | b'[' if !quoted => depth += 1,
            b'}' | b']' if !quoted => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth > DEEPEST {
            return true;
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(result: Result<impl Sized, Failure>) -> String {
        let failure = result.err().expect("a failure");
        assert_eq!(failure.kind, Kind::Invalid);
        failure.message
    }

    #[test]
    fn what_is_wrong_is_named_with_its_place_and_with_what_would_be_right() {
        let body = br#"{"a": [{"b": 7}, {"c": "x", "d": null}], "e": 1.5}"#;
        let mut body = object(body).unwrap();
        let list = body.take("a").unwrap().list(2).unwrap();
        let mut items = list.into_iter().map(|item| item.object().unwrap());
        let mut first = items.next().unwrap();
        assert_eq!(message(first.text("b")), "a[0].b: found 7, where a string would be right");
        let mut second = items.next().unwrap();
        assert_eq!(second.text("d").unwrap(), None);
        assert_eq!(message(second.need("d", "a list")), "a[1].d: missing; a list would be right");
        let c = second.need("c", "").unwrap();
        assert_eq!(message(c.list(9)), "a[1].c: found a string, where a list would be right");
        let failure = c.unknown(&"x".repeat(50), "\"y\"");
        assert_eq!(failure.param.as_deref(), Some("a[1].c"));
        assert_eq!(
            failure.message,
            format!("a[1].c: found \"{}…\", where \"y\" would be right", "x".repeat(40))
        );
        assert_eq!(
            message(body.take("e").unwrap().whole()),
            "e: found 1.5, where a whole number would be right"
        );
    }

    #[test]
    fn a_body_that_is_no_object_is_refused() {
        assert_eq!(message(object(b"[1]")), "the body: found a list, where an object would be right");
        assert!(message(object(b"{\"a\": tru")).starts_with("the body is not JSON: "));
        assert!(message(object(b"\xff")).starts_with("the body is not JSON: "));
        assert_eq!(message(object(b" ")), "the body is not JSON: there is nothing in it");
        let marked = message(object(b"\xef\xbb\xbf{}"));
        assert_eq!(marked, "the body is not JSON: it begins with a byte order mark; leave it out");
    }

    #[test]
    fn a_key_that_is_there_twice_is_refused_wherever_it_is() {
        let failure = object(br#"{"model": "a", "b": 1, "mod\u0065l": "c"}"#).unwrap_err();
        assert_eq!(failure.param.as_deref(), Some("model"));
        assert_eq!(failure.message, "model: twice, where once would be right");
        let mut body = object(br#"{"a": [{"b": 1, "b": 1}]}"#).unwrap();
        let item = body.take("a").unwrap().list(1).unwrap().remove(0);
        assert_eq!(message(item.object()), "a[0].b: twice, where once would be right");
        let surrogate = object(br#"{"\ud800": 1}"#);
        assert_eq!(
            message(surrogate),
            "the body: found an object, where an object whose keys are valid Unicode would be right"
        );
    }

    #[test]
    fn depth_has_a_bound_and_brackets_in_strings_are_not_depth() {
        let nested = |depth: usize| format!("{{\"a\":{}{}}}", "[".repeat(depth), "]".repeat(depth));
        assert!(object(nested(DEEPEST - 1).as_bytes()).is_ok());
        assert!(object(nested(DEEPEST).as_bytes()).is_err());
        assert!(object(nested(1_000_000).as_bytes()).is_err());
        assert!(object(format!("{{\"a\":\"\\\"{}\"}}", "[".repeat(1000)).as_bytes()).is_ok());
    }

    #[test]
    fn keys_that_nobody_reads_are_noted_once_for_all_items_of_a_list() {
        let body = object(br#"{"z": 1, "b": null, "list": [{"x": 1}, {"x": 2}]}"#);
        let mut body = body.unwrap();
        let mut warnings = Warnings::default();
        for item in body.take("list").unwrap().list(9).unwrap() {
            item.object().unwrap().finish(&mut warnings);
        }
        body.finish(&mut warnings);
        assert_eq!(warnings.header().unwrap(), "dropped=list[].x,z");
    }

    #[test]
    fn a_parameter_at_its_default_is_not_worth_a_warning() {
        let mut body = object(br#"{"a": 1.0, "b": 0.5, "c": ["text"], "d": null}"#).unwrap();
        let mut warnings = Warnings::default();
        for (name, default) in [("a", "1"), ("b", "1"), ("c", "[\"text\"]"), ("d", "1"), ("e", "1")] {
            body.ignore(name, default, &mut warnings);
        }
        assert_eq!(warnings.header().unwrap(), "dropped=b");
    }

    #[test]
    fn arguments_are_a_json_object_byte_for_byte() {
        let read = |text| inner_object("a", text).map(|raw| raw.get().to_owned());
        assert_eq!(read("{\"x\" : 1e3}").unwrap(), "{\"x\" : 1e3}");
        assert_eq!(read("").unwrap(), "{}");
        assert_eq!(read(" ").unwrap(), "{}");
        assert_eq!(message(read("[]")), "a: a JSON object in a string would be right, found a list");
        assert!(message(read("{\"x\"")).starts_with("a: a JSON object in a string would be right: EOF"));
        assert!(read(&format!("{{\"a\":{}{}}}", "[".repeat(500), "]".repeat(500))).is_err());
    }
}
