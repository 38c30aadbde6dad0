//! What an event says beyond its envelope.

use std::sync::Arc;

use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};
use serde_json::value::{RawValue, to_raw_value};

/// The attributes of an event, by name, in the order in which they are written. Values are JSON as it was written:
/// nobody rounds a number.
#[derive(Clone, Debug, Default)]
pub struct Attributes {
    own: Vec<(&'static str, Box<RawValue>)>,
    /// Those that every event has.
    shared: Arc<[(&'static str, Box<RawValue>)]>,
}

impl Attributes {
    /// Their names and values.
    pub fn iter(&self) -> impl Iterator<Item = (&'static str, &RawValue)> {
        self.own.iter().chain(self.shared.iter()).map(|(name, value)| (*name, &**value))
    }

    /// The value of this one.
    pub fn get(&self, name: &str) -> Option<&RawValue> {
        self.iter().find_map(|(known, value)| (known == name).then_some(value))
    }

    /// How many bytes they are, but for those that every event has.
    pub(super) fn len(&self) -> usize {
        self.own.iter().map(|(name, value)| name.len() + value.get().len()).sum()
    }

    pub(super) fn add(&mut self, name: &'static str, value: &(impl Serialize + ?Sized)) {
        if let Ok(value) = to_raw_value(value) {
            self.own.push((name, value));
        }
    }

    /// Adds what there is; nothing where there is none.
    pub(super) fn add_some(&mut self, name: &'static str, value: Option<&(impl Serialize + ?Sized)>) {
        if let Some(value) = value {
            self.add(name, value);
        }
    }

    pub(super) fn with(mut self, shared: &Arc<[(&'static str, Box<RawValue>)]>) -> Self {
        self.shared = Arc::clone(shared);
        self
    }

    pub(super) fn into_shared(self) -> Arc<[(&'static str, Box<RawValue>)]> {
        self.own.into()
    }
}

impl Serialize for Attributes {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.own.len() + self.shared.len()))?;
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
