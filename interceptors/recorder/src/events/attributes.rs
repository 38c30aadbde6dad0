//! What an event says beyond its envelope.

use std::ops::Range;
use std::sync::Arc;

use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};
use serde_json::value::RawValue;

use crate::quoted;

/// The attributes of an event, by name, in the order in which they are written. Values are JSON as it was written:
/// nobody rounds a number.
#[derive(Clone, Debug, Default)]
pub struct Attributes {
    own: Members,
    /// Those that every event has.
    shared: Arc<Members>,
}

/// An event has about so many bytes of attributes, and so many of them.
const USUAL: usize = 1 << 10;
const MANY: usize = 32;

/// Members of an object.
#[derive(Clone, Debug, Default)]
pub(super) struct Members {
    /// `"name":value,"name":value`
    json: Vec<u8>,
    /// Their names, and where in it their values are.
    values: Vec<(&'static str, Range<usize>)>,
    /// Where in it there may be secrets, in their order: all but what we say ourselves.
    foreign: Vec<Range<usize>>,
}

/// Between two foreign parts that are as close as this all is foreign: to look at a few bytes more costs less than to
/// begin anew.
const CLOSE: usize = 64;

/// Adds a part to those before it.
pub(super) fn add_part(parts: &mut Vec<Range<usize>>, part: Range<usize>) {
    match parts.last_mut() {
        Some(last) if part.start <= last.end + CLOSE => last.end = part.end,
        _ if part.is_empty() => {}
        _ => parts.push(part),
    }
}

impl Members {
    /// Adds a member, if a value is written. Which part of that holds no secret?
    fn add(&mut self, name: &'static str, write: impl FnOnce(&mut Vec<u8>) -> Option<Range<usize>>) {
        let before = self.json.len();
        if before > 0 {
            self.json.push(b',');
        } else {
            self.json.reserve(USUAL);
            self.values.reserve(MANY);
        }
        let name_at = self.json.len();
        self.json.push(b'"');
        self.json.extend_from_slice(name.as_bytes());
        self.json.extend_from_slice(b"\":");
        let start = self.json.len();
        let Some(plain) = write(&mut self.json) else { return self.json.truncate(before) };
        let end = self.json.len();
        self.values.push((name, start..end));
        if plain == (start..end) {
            return;
        }
        add_part(&mut self.foreign, name_at..if plain.is_empty() { end } else { plain.start });
        if !plain.is_empty() {
            add_part(&mut self.foreign, plain.end..end);
        }
    }

    fn iter(&self) -> impl Iterator<Item = (&'static str, &RawValue)> {
        self.values.iter().filter_map(|(name, value)| {
            Some((*name, serde_json::from_slice(self.json.get(value.clone())?).ok()?))
        })
    }
}

impl Attributes {
    /// Their names and values.
    pub fn iter(&self) -> impl Iterator<Item = (&'static str, &RawValue)> {
        self.own.iter().chain(self.shared.iter())
    }

    /// The value of this one.
    pub fn get(&self, name: &str) -> Option<&RawValue> {
        self.iter().find_map(|(known, value)| (known == name).then_some(value))
    }

    /// How many bytes they are, but for those that every event has.
    pub(super) fn len(&self) -> usize {
        self.own.json.len()
    }

    /// Writes them as the members of an object, without its braces; and adds where in the text there may be secrets.
    pub(super) fn write(&self, text: &mut Vec<u8>, foreign: &mut Vec<Range<usize>>) {
        for members in [&self.own, &*self.shared] {
            if members.json.is_empty() {
                continue;
            }
            if text.last() != Some(&b'{') {
                text.push(b',');
            }
            let start = text.len();
            text.extend_from_slice(&members.json);
            for part in &members.foreign {
                add_part(foreign, start + part.start..start + part.end);
            }
        }
    }

    /// Adds what may hold anything.
    pub(super) fn add(&mut self, name: &'static str, value: &(impl Serialize + ?Sized)) {
        self.own.add(name, |json| serde_json::to_writer(json, value).ok().map(|()| 0..0));
    }

    /// Adds a text, which may hold anything.
    pub(super) fn add_text(&mut self, name: &'static str, text: &str) {
        self.own.add(name, |json| {
            quoted::write(text, json);
            Some(0..0)
        });
    }

    /// Adds what we say ourselves: a number, a word of ours, an id that we made. It holds no secret.
    pub(super) fn add_own(&mut self, name: &'static str, value: &(impl Serialize + ?Sized)) {
        self.own.add(name, |json| {
            let start = json.len();
            serde_json::to_writer(&mut *json, value).ok().map(|()| start..json.len())
        });
    }

    /// Adds JSON, if any is written, and a part of it that holds no secret.
    pub(super) fn add_json(
        &mut self,
        name: &'static str,
        write: impl FnOnce(&mut Vec<u8>) -> Option<Range<usize>>,
    ) {
        self.own.add(name, write);
    }

    /// Adds what there is; nothing where there is none.
    pub(super) fn add_some(&mut self, name: &'static str, value: Option<&(impl Serialize + ?Sized)>) {
        if let Some(value) = value {
            self.add(name, value);
        }
    }

    /// The same of what we say ourselves.
    pub(super) fn add_some_own(&mut self, name: &'static str, value: Option<&(impl Serialize + ?Sized)>) {
        if let Some(value) = value {
            self.add_own(name, value);
        }
    }

    pub(super) fn with(mut self, shared: &Arc<Members>) -> Self {
        self.shared = Arc::clone(shared);
        self
    }

    pub(super) fn into_shared(self) -> Arc<Members> {
        self.own.into()
    }
}

impl Serialize for Attributes {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.own.values.len() + self.shared.values.len()))?;
        for (name, value) in self.iter() {
            map.serialize_entry(name, value)?;
        }
        map.end()
    }
}

/// The machine that all this happens on.
pub(super) fn of_this_machine() -> Attributes {
    let machine = rustix::system::uname();
    let mut attributes = Attributes::default();
    attributes.add("os.type", &machine.sysname().to_string_lossy());
    attributes.add("os.version", &machine.release().to_string_lossy());
    attributes.add("env.machine.type", &machine.machine().to_string_lossy());
    attributes.add("host.name", &machine.nodename().to_string_lossy());
    attributes
}
