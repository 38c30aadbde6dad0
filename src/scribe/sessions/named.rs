//! Sessions by the names that clients tell.

use std::sync::Arc;

use super::shards::Shards;
use crate::dialect::Seed;

/// The places of sessions, by their names.
#[derive(Debug, Default)]
pub(super) struct Named {
    of: Shards<(Arc<str>, u32)>,
}

impl Named {
    pub(super) fn get(&self, name: &str, seed: &Seed) -> Option<u32> {
        let hash = seed.of_bytes(name.as_bytes());
        self.of.of(hash)?.find(hash, |(other, _)| **other == *name).map(|(_, slot)| *slot)
    }

    /// Adds a session whose name is none of those that are here.
    pub(super) fn insert(&mut self, name: Arc<str>, slot: u32, seed: &Seed) {
        let hash = seed.of_bytes(name.as_bytes());
        if let Some(table) = self.of.of_mut(hash) {
            table.insert_unique(hash, (name, slot), |(name, _)| seed.of_bytes(name.as_bytes()));
        }
    }

    /// The places of all.
    #[cfg(test)]
    pub(super) fn places(&self) -> impl Iterator<Item = &u32> {
        self.of.iter().map(|(_, slot)| slot)
    }

    pub(super) fn remove(&mut self, name: &str, seed: &Seed) {
        let hash = seed.of_bytes(name.as_bytes());
        let entry = self.of.of_mut(hash).map(|table| table.find_entry(hash, |(other, _)| **other == *name));
        if let Some(Ok(entry)) = entry {
            entry.remove();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_names_are_told_apart_until_they_are_removed() {
        let (mut named, seed) = (Named::default(), Seed::default());
        let name = |number: u32| format!("session {number}");
        (0..10_000).for_each(|number| named.insert(name(number).into(), number, &seed));
        (0..10_000).step_by(2).for_each(|number| named.remove(&name(number), &seed));
        named.remove("nobody", &seed);
        for number in 0..10_000 {
            assert_eq!(named.get(&name(number), &seed), (number % 2 == 1).then_some(number));
        }
    }
}
