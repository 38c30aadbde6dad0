//! A table that grows little by little.

use hashbrown::HashTable;

/// Of how many tables it is.
const MANY: usize = 1024;

/// A hash table cut into many: each grows by itself, so that no call waits until all of a large one is moved.
#[derive(Debug)]
pub(super) struct Shards<T>(Box<[HashTable<T>]>);

impl<T> Default for Shards<T> {
    fn default() -> Self {
        Self((0..MANY).map(|_| HashTable::new()).collect())
    }
}

impl<T> Shards<T> {
    /// The table of what has this hash.
    pub(super) fn of(&self, hash: u64) -> Option<&HashTable<T>> {
        self.0.get(at(hash))
    }

    /// The same, to be changed.
    pub(super) fn of_mut(&mut self, hash: u64) -> Option<&mut HashTable<T>> {
        self.0.get_mut(at(hash))
    }

    /// All of it.
    #[cfg(test)]
    pub(super) fn iter(&self) -> impl Iterator<Item = &T> {
        self.0.iter().flatten()
    }
}

/// By bits that the tables themselves hardly look at.
fn at(hash: u64) -> usize {
    (hash >> 40) as usize % MANY
}
