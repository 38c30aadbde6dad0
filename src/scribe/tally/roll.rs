//! Which values of a label have lines of their own.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::Arc;

use foldhash::quality::RandomState;
use perimeter_redact::redact;

/// What stands for the values that have none.
pub(crate) const OTHER: &str = "other";

/// Longer values have none. Bytes.
const LONG: usize = 128;

/// How much speaks for a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::scribe) enum Standing {
    /// A client said it, and nothing else is known of it. Such values take no more than half of the places, however
    /// many are made up.
    Said,
    /// It is real: a model that answered, an agent that its client names.
    Proven,
    /// It is one of a list that is never too long, and always has a line.
    Listed,
}

/// The values of one label: those that came first have lines of their own, for as long as the proxy runs, since a
/// counter that goes away and comes back is none.
#[derive(Debug)]
pub(in crate::scribe) struct Roll {
    most: usize,
    held: HashMap<Arc<str>, Standing, RandomState>,
    said: usize,
    proven: usize,
}

impl Roll {
    /// With places for so many values that are not listed.
    pub(in crate::scribe) fn new(most: usize) -> Self {
        Self { most, held: HashMap::with_hasher(RandomState::default()), said: 0, proven: 0 }
    }

    /// The value as it is shown; nothing where the label is left out. `is_listed` is asked where it is not held yet.
    pub(in crate::scribe) fn show(
        &mut self,
        value: &str,
        standing: Standing,
        is_listed: impl FnOnce(&str) -> bool,
    ) -> Option<Arc<str>> {
        if self.most == 0 {
            return None;
        }
        if let Some((held, its)) = self.held.get_key_value(value) {
            let held = Arc::clone(held);
            if (*its, standing) == (Standing::Said, Standing::Proven) {
                self.said -= 1;
                self.proven += 1;
                self.held.insert(Arc::clone(&held), Standing::Proven);
            }
            return Some(held);
        }
        if value.len() > LONG {
            return Some(OTHER.into());
        }
        // A client may put a key where a name belongs.
        let value = redact(value);
        if let Cow::Owned(masked) = &value
            && let Some((held, _)) = self.held.get_key_value(&**masked)
        {
            return Some(Arc::clone(held));
        }
        let value: Arc<str> = value.into();
        let standing = if is_listed(&value) { Standing::Listed } else { standing };
        if !self.has_room_for(standing) {
            return Some(OTHER.into());
        }
        match standing {
            Standing::Listed => {}
            Standing::Said => self.said += 1,
            Standing::Proven => self.proven += 1,
        }
        self.held.insert(Arc::clone(&value), standing);
        Some(value)
    }

    fn has_room_for(&self, standing: Standing) -> bool {
        let is_free = self.said + self.proven < self.most;
        match standing {
            Standing::Listed => true,
            Standing::Said => is_free && self.said < self.most / 2,
            Standing::Proven => is_free,
        }
    }
}

#[cfg(test)]
impl Roll {
    pub(super) fn held(&self) -> usize {
        self.held.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn show(roll: &mut Roll, value: &str, standing: Standing) -> String {
        roll.show(value, standing, |value| value.starts_with("gpt-")).unwrap().to_string()
    }

    #[test]
    fn what_is_made_up_takes_half_of_the_places_and_none_of_the_listed() {
        let mut roll = Roll::new(10);
        let shown: Vec<String> =
            (0..100).map(|n| show(&mut roll, &format!("made-up-{n}"), Standing::Said)).collect();
        assert_eq!(shown.iter().filter(|shown| *shown != OTHER).count(), 5);
        for real in 0..5 {
            let real = format!("real-{real}");
            assert_eq!(show(&mut roll, &real, Standing::Proven), real);
        }
        assert_eq!(show(&mut roll, "real-5", Standing::Proven), OTHER);
        assert_eq!(show(&mut roll, "real-4", Standing::Said), "real-4");
        assert_eq!(show(&mut roll, "gpt-5", Standing::Said), "gpt-5");
        assert_eq!(show(&mut roll, &format!("gpt-{}", "5".repeat(200)), Standing::Proven), OTHER);
    }

    #[test]
    fn what_was_said_and_turns_out_to_be_real_makes_room_for_more_of_what_is_said() {
        let mut roll = Roll::new(4);
        for value in ["a", "b"] {
            assert_eq!(show(&mut roll, value, Standing::Said), value);
        }
        assert_eq!(show(&mut roll, "c", Standing::Said), OTHER);
        assert_eq!(show(&mut roll, "a", Standing::Proven), "a");
        assert_eq!(show(&mut roll, "c", Standing::Said), "c");
        assert_eq!(show(&mut roll, "d", Standing::Proven), "d");
        assert_eq!(show(&mut roll, "e", Standing::Proven), OTHER);
    }

    #[test]
    fn a_key_in_the_place_of_a_name_is_masked() {
        let mut roll = Roll::new(10);
        for key in ["sk-proj-abcdefghijklmnopqrstuvwxyz012345", "sk-proj-zyxwvutsrqponmlkjihgfedcba543210"] {
            for _ in 0..2 {
                assert_eq!(show(&mut roll, key, Standing::Proven), "sk-proj-[REDACTED]");
            }
        }
        assert_eq!(roll.held.len(), 1);
    }

    #[test]
    fn a_label_without_places_is_left_out() {
        assert_eq!(Roll::new(0).show("a", Standing::Proven, |_| true), None);
    }
}
