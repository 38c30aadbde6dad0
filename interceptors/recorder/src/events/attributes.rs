//! What an event says beyond its envelope.

use std::ops::Range;
use std::sync::Arc;

use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};
use serde_json::value::RawValue;

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
}

impl Members {
    fn add(&mut self, name: &'static str, write: impl FnOnce(&mut Vec<u8>) -> bool) {
        let before = self.json.len();
        if before > 0 {
            self.json.push(b',');
        } else {
            self.json.reserve(USUAL);
            self.values.reserve(MANY);
        }
        self.json.push(b'"');
        self.json.extend_from_slice(name.as_bytes());
        self.json.extend_from_slice(b"\":");
        let start = self.json.len();
        if write(&mut self.json) {
            self.values.push((name, start..self.json.len()));
        } else {
            self.json.truncate(before);
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

    /// Writes them as the members of an object, without its braces.
    pub(super) fn write(&self, text: &mut Vec<u8>) {
        text.extend_from_slice(&self.own.json);
        if !self.own.json.is_empty() && !self.shared.json.is_empty() {
            text.push(b',');
        }
        text.extend_from_slice(&self.shared.json);
    }

    pub(super) fn add(&mut self, name: &'static str, value: &(impl Serialize + ?Sized)) {
        self.own.add(name, |json| serde_json::to_writer(json, value).is_ok());
    }

    /// Adds JSON, if any is written.
    pub(super) fn add_json(&mut self, name: &'static str, write: impl FnOnce(&mut Vec<u8>) -> bool) {
        self.own.add(name, write);
    }

    /// Adds what there is; nothing where there is none.
    pub(super) fn add_some(&mut self, name: &'static str, value: Option<&(impl Serialize + ?Sized)>) {
        if let Some(value) = value {
            self.add(name, value);
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
