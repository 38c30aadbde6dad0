//! A configuration as a tree of nodes that know where each of them stands.
//!
//! The file, the environment and the command line all end up in one such tree before anything is read from it:
//! what overrides replaces a node, and an error about a node names the place it really came from.

/// Where a node was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Origin {
    /// In the file, counted from 1.
    File { line: usize, column: usize },
    /// On the command line, by that flag.
    Flag(&'static str),
    /// In that environment variable.
    Variable(&'static str),
    /// Nowhere: put in where a section is absent.
    Nowhere,
}

/// A value and its place.
// Neither it nor its parts are `Debug`: the text may be a secret.
#[derive(Clone)]
pub(super) struct Node {
    pub(super) origin: Origin,
    pub(super) value: Value,
}

/// What stands at a node.
#[derive(Clone)]
pub(super) enum Value {
    Null,
    Scalar(Scalar),
    List(Vec<Node>),
    Map(Vec<Entry>),
}

/// A scalar as written: `port: 0123` is still `0123`, since only its reader knows what it should be.
#[derive(Clone)]
pub(super) struct Scalar {
    pub(super) text: String,
    /// What YAML takes it for where its reader does not say.
    pub(super) kind: Kind,
    /// Whether `${…}` in it means nothing.
    pub(super) literal: bool,
}

/// The types of YAML's scalars.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Text,
    Bool,
    Integer,
    Float,
}

/// A key with its value.
#[derive(Clone)]
pub(super) struct Entry {
    pub(super) key: String,
    pub(super) origin: Origin,
    pub(super) node: Node,
}

impl Node {
    /// A mapping without keys.
    pub(super) fn empty_map(origin: Origin) -> Self {
        Self { origin, value: Value::Map(Vec::new()) }
    }

    /// A string that is taken as it is.
    pub(super) fn literal(origin: Origin, text: impl Into<String>) -> Self {
        let scalar = Scalar { text: text.into(), kind: Kind::Text, literal: true };
        Self { origin, value: Value::Scalar(scalar) }
    }

    /// The value of `key` in this mapping, unless it is empty.
    pub(super) fn get(&self, key: &str) -> Option<&Self> {
        let Value::Map(entries) = &self.value else { return None };
        let node = &entries.iter().find(|entry| entry.key == key)?.node;
        (!matches!(node.value, Value::Null)).then_some(node)
    }

    /// As `get`, to change it.
    pub(super) fn get_mut(&mut self, key: &str) -> Option<&mut Self> {
        let Value::Map(entries) = &mut self.value else { return None };
        let node = &mut entries.iter_mut().find(|entry| entry.key == key)?.node;
        (!matches!(node.value, Value::Null)).then_some(node)
    }

    /// The text of this scalar as it is written.
    pub(super) fn as_text(&self) -> Option<&str> {
        match &self.value {
            Value::Scalar(scalar) => Some(&scalar.text),
            _ => None,
        }
    }

    /// What stands at `path` (`server.admin.host`), unless it is empty.
    pub(super) fn at(&self, path: &str) -> Option<&Self> {
        path.split('.').try_fold(self, |node, key| node.get(key))
    }

    /// The elements of this list; of anything else, none.
    pub(super) fn elements(&self) -> &[Self] {
        match &self.value {
            Value::List(nodes) => nodes,
            _ => &[],
        }
    }

    /// Puts `node` at `path`, in place of what is there and with the sections on the way to it.
    ///
    /// A section that is not a mapping is left alone: reading it tells what is wrong with it.
    pub(super) fn put(&mut self, path: &str, node: Self) {
        let (key, rest) = match path.split_once('.') {
            Some((key, rest)) => (key, Some(rest)),
            None => (path, None),
        };
        let Some(entry) = self.entry(key, node.origin) else { return };
        match rest {
            Some(rest) => entry.node.put(rest, node),
            None => *entry = Entry { key: key.to_owned(), origin: node.origin, node },
        }
    }

    /// The entry of `key` in this mapping, made where it is not there yet.
    fn entry(&mut self, key: &str, origin: Origin) -> Option<&mut Entry> {
        if matches!(self.value, Value::Null) {
            self.value = Value::Map(Vec::new());
        }
        let Value::Map(entries) = &mut self.value else { return None };
        let index = match entries.iter().position(|entry| entry.key == key) {
            Some(index) => index,
            None => {
                entries.push(Entry {
                    key: key.to_owned(),
                    origin,
                    node: Self { origin, value: Value::Null },
                });
                entries.len() - 1
            }
        };
        entries.get_mut(index)
    }

    /// Takes `path` out of the tree; false if it is not there.
    pub(super) fn remove(&mut self, path: &str) -> bool {
        let Value::Map(entries) = &mut self.value else { return false };
        match path.split_once('.') {
            Some((key, rest)) => {
                entries.iter_mut().filter(|entry| entry.key == key).any(|entry| entry.node.remove(rest))
            }
            None => {
                let before = entries.len();
                entries.retain(|entry| entry.key != path);
                entries.len() < before
            }
        }
    }

    /// As `remove`, where the key is there without a value.
    pub(super) fn remove_empty(&mut self, path: &str) {
        if self.at(path).is_none() {
            self.remove(path);
        }
    }

    /// Makes every `${…}` below mean nothing.
    pub(super) fn make_literal(&mut self) {
        match &mut self.value {
            Value::Null => {}
            Value::Scalar(scalar) => scalar.literal = true,
            Value::List(nodes) => nodes.iter_mut().for_each(Self::make_literal),
            Value::Map(entries) => entries.iter_mut().for_each(|entry| entry.node.make_literal()),
        }
    }
}
