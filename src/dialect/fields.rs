//! The fields of an object as they are written, for answers that are put together again.

use std::borrow::Cow;

use serde::de::MapAccess;
use serde_json::value::RawValue;

use super::budget::Budget;
use super::json::{self, Take};

/// How many fields an object is read to have. Providers write a dozen.
const MOST: usize = 64;

/// What a field takes besides its name and value. A vector that grows holds up to twice what is in it.
const FIELD: usize = size_of::<(Box<str>, Box<RawValue>)>();

/// Fields that were read, still where they stand.
#[derive(Debug, Default)]
pub(super) struct Fields<'de>(pub(super) Vec<(Cow<'de, str>, &'de RawValue)>);

impl<'de> Fields<'de> {
    pub(super) fn push(&mut self, name: Cow<'de, str>, value: &'de RawValue) {
        if self.0.len() < MOST {
            self.0.push((name, value));
        }
    }

    /// The text of the field `name`, where it is a string.
    pub(super) fn text(&self, name: &str) -> Option<String> {
        let (_, value) = self.0.iter().find(|(other, _)| other == name)?;
        serde_json::from_str(value.get()).ok()
    }

    /// The field `name` as it is written.
    pub(super) fn raw(&self, name: &str) -> Option<&'de RawValue> {
        self.0.iter().find(|(other, _)| other == name).map(|(_, value)| *value)
    }
}

impl<'de> Take<'de> for &mut Fields<'de> {
    fn object<A: MapAccess<'de>>(self, mut object: A) -> Result<bool, A::Error> {
        while let Some(name) = json::key(&mut object)? {
            let value = object.next_value::<&'de RawValue>()?;
            self.push(name, value);
        }
        Ok(true)
    }
}

/// Fields that are kept, in the order in which they came first.
#[derive(Debug, Default)]
pub(super) struct Kept(Vec<(Box<str>, Box<RawValue>)>);

impl Kept {
    /// Keeps a field, in place of an older one of its name.
    pub(super) fn set(&mut self, name: &str, value: &RawValue, budget: &mut Budget) {
        if let Some((_, old)) = self.0.iter_mut().find(|(other, _)| **other == *name) {
            if budget.take(value.get().len()) {
                budget.give(old.get().len());
                *old = value.to_owned();
            }
        } else if self.0.len() < MOST && budget.take(2 * FIELD + name.len() + value.get().len()) {
            self.0.push((name.into(), value.to_owned()));
        }
    }

    pub(super) fn get(&self, name: &str) -> Option<&RawValue> {
        self.0.iter().find(|(other, _)| **other == *name).map(|(_, value)| &**value)
    }

    /// The text of the field `name`, where it is a string.
    pub(super) fn text(&self, name: &str) -> Option<String> {
        serde_json::from_str(self.get(name)?.get()).ok()
    }

    /// The natural number in the field `name`, where it is one.
    pub(super) fn number(&self, name: &str) -> Option<u64> {
        self.get(name)?.get().parse().ok()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&str, &RawValue)> {
        self.0.iter().map(|(name, value)| (&**name, &**value))
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}
