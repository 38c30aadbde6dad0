//! Where a conversation was before: calls by what had been said when they were made, and when they were answered.

use super::shards::Shards;

/// So many calls have the same words behind them, at most, and are told apart. What more there are is not found by them.
pub(super) const ALIKE: usize = 8;

/// A call of a session that is held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct At {
    pub(super) session: u32,
    /// Its node in the session's tree.
    pub(super) node: u8,
    pub(super) by: By,
}

/// What of a call it is found by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum By {
    /// All that was said when it was made.
    Asked,
    /// That, and the answer to it.
    Answered,
    /// The answer, and what was said right before it.
    Pair,
}

/// Six bytes: there is one for each call that is held, and more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Entry([u16; 3]);

impl From<At> for Entry {
    fn from(at: At) -> Self {
        let by = match at.by {
            By::Asked => 0,
            By::Answered => 1,
            By::Pair => 2,
        };
        Self([(at.session & 0xffff) as u16, (at.session >> 16) as u16, u16::from(at.node) << 8 | by])
    }
}

impl From<Entry> for At {
    fn from(Entry([low, high, rest]): Entry) -> Self {
        let by = match rest & 0xff {
            0 => By::Asked,
            1 => By::Answered,
            _ => By::Pair,
        };
        let session = u32::from(high) << 16 | u32::from(low);
        Self { session, node: rest.to_be_bytes()[0], by }
    }
}

/// Calls by these hashes, which they hold themselves: `key` says which one.
#[derive(Debug, Default)]
pub(super) struct Index(Shards<Entry>);

impl Index {
    /// Adds a call by a key that is none of those that it is found by.
    pub(super) fn insert(&mut self, at: At, key: &impl Fn(At) -> u64) {
        let hash = key(at);
        let Some(table) = self.0.of_mut(hash) else { return };
        let alike = table.iter_hash(hash).filter(|entry| key((**entry).into()) == hash).take(ALIKE).count();
        if hash != 0 && alike < ALIKE {
            table.insert_unique(hash, at.into(), |entry| key((*entry).into()));
        }
    }

    pub(super) fn remove(&mut self, at: At, key: &impl Fn(At) -> u64) {
        let hash = key(at);
        let entry = self.0.of_mut(hash).map(|table| table.find_entry(hash, |entry| *entry == at.into()));
        if let Some(Ok(entry)) = entry {
            entry.remove();
        }
    }

    #[cfg(test)]
    pub(super) fn iter(&self) -> impl Iterator<Item = At> {
        self.0.iter().map(|entry| At::from(*entry))
    }

    /// The calls with this key.
    pub(super) fn find(&self, hash: u64, key: &impl Fn(At) -> u64) -> impl Iterator<Item = At> {
        let alike = self.0.of(hash).into_iter().flat_map(move |table| table.iter_hash(hash));
        alike.map(|entry| At::from(*entry)).filter(move |at| key(*at) == hash)
    }
}
