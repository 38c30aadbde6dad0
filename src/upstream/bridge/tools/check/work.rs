//! How much work a schema can make at most: a client's schema may double with every reference, or never end.

use std::collections::HashMap;

use serde_json::Value;

/// Whether a validator that tries every branch is done with `value` in good time. Says no where it cannot tell, as with
/// references to anything but a place in the schema itself.
pub(super) fn is_bounded(schema: &Value, value: &Value) -> bool {
    /// The most schemas that are applied: a fraction of a second.
    const MOST: u64 = 2_000_000;
    let mut size = Size { nodes: 0, depth: 0 };
    size.measure(value, 1);
    let mut work = Work { root: schema, known: HashMap::new() };
    let on_a_path = work.of(schema, size.depth, 0);
    on_a_path.is_some_and(|applied| applied.saturating_mul(size.nodes) <= MOST)
}

struct Size {
    nodes: u64,
    depth: usize,
}

impl Size {
    fn measure(&mut self, value: &Value, depth: usize) {
        self.nodes += 1;
        self.depth = self.depth.max(depth);
        match value {
            Value::Array(items) => items.iter().for_each(|item| self.measure(item, depth + 1)),
            Value::Object(members) => members.values().for_each(|member| self.measure(member, depth + 1)),
            _ => {}
        }
    }
}

/// Counts how many schemas are applied on the way from a value to one of its leaves.
struct Work<'a> {
    root: &'a Value,
    /// By schema and depth of the value; none while it is being counted.
    known: HashMap<(*const Value, usize), Option<u64>>,
}

/// How deep schemas may lead into each other, and for how many the count is kept.
const DEEPEST: usize = 400;
const KNOWN: usize = 100_000;

impl<'a> Work<'a> {
    /// For a value of this depth. None if there is no bound.
    fn of(&mut self, schema: &'a Value, depth: usize, nested: usize) -> Option<u64> {
        let Value::Object(_) = schema else { return Some(1) };
        if depth == 0 {
            return Some(0);
        }
        if nested > DEEPEST || self.known.len() > KNOWN {
            return None;
        }
        if let Some(known) = self.known.get(&(std::ptr::from_ref(schema), depth)) {
            // None: it leads back to itself with the same value.
            return *known;
        }
        self.known.insert((std::ptr::from_ref(schema), depth), None);
        let here = self.count(schema, depth, nested + 1)?;
        self.known.insert((std::ptr::from_ref(schema), depth), Some(here));
        Some(here)
    }

    fn count(&mut self, schema: &'a Value, depth: usize, nested: usize) -> Option<u64> {
        let Value::Object(keywords) = schema else { return Some(1) };
        let mut all: u64 = 1;
        for (keyword, value) in keywords {
            let more = match keyword.as_str() {
                "$ref" => {
                    let to = self.root.pointer(value.as_str()?.strip_prefix('#')?)?;
                    self.of(to, depth, nested)?
                }
                "$dynamicRef" | "$recursiveRef" | "$id" | "id" => return None,
                // To the same value.
                "allOf" | "anyOf" | "oneOf" => self.sum(value.as_array()?, depth, nested)?,
                "not" | "if" | "then" | "else" => self.of(value, depth, nested)?,
                "dependentSchemas" | "dependencies" => {
                    self.sum(value.as_object()?.values(), depth, nested)?
                }
                // To what is in it: each member by one of them, or by all.
                "properties" => self.most(value.as_object()?.values(), depth - 1, nested)?,
                "prefixItems" => self.most(value.as_array()?, depth - 1, nested)?,
                "patternProperties" => self.sum(value.as_object()?.values(), depth - 1, nested)?,
                "items" if value.is_array() => self.most(value.as_array()?, depth - 1, nested)?,
                "items"
                | "additionalItems"
                | "additionalProperties"
                | "contains"
                | "unevaluatedItems"
                | "unevaluatedProperties" => self.of(value, depth - 1, nested)?,
                "propertyNames" => self.of(value, 1, nested)?,
                _ => 0,
            };
            all = all.saturating_add(more);
        }
        Some(all)
    }

    fn sum(&mut self, all: impl IntoIterator<Item = &'a Value>, depth: usize, nested: usize) -> Option<u64> {
        all.into_iter().try_fold(0_u64, |sum, one| Some(sum.saturating_add(self.of(one, depth, nested)?)))
    }

    fn most(&mut self, all: impl IntoIterator<Item = &'a Value>, depth: usize, nested: usize) -> Option<u64> {
        all.into_iter().try_fold(0_u64, |most, one| Some(most.max(self.of(one, depth, nested)?)))
    }
}
