//! Which models are told by name.

use std::collections::HashMap;
use std::sync::Arc;

/// So many are: half as many as an instrument has sets of attributes, since a model answers in more than one way.
pub(super) const MOST: usize = 100;

/// What the others are told as, as on the page of metrics.
pub(super) const OTHER: &str = "other";

/// The models that are told by name: those used last. One gives way to another only after what is known of it was
/// told, and it was not used since.
#[derive(Debug, Default)]
pub(super) struct Models {
    /// When each was used last.
    used: HashMap<Arc<str>, u64>,
    uses: u64,
    /// How many uses there had been when all was told.
    told: u64,
}

impl Models {
    /// The name to tell a model by, and the model that gave way to it.
    pub(super) fn name(&mut self, model: Option<&Arc<str>>) -> (Option<Arc<str>>, Option<Arc<str>>) {
        let Some(model) = model else { return (None, None) };
        self.uses += 1;
        if let Some(used) = self.used.get_mut(model) {
            *used = self.uses;
            return (Some(model.clone()), None);
        }
        let evicted = if self.used.len() < MOST { None } else { self.oldest() };
        if self.used.len() >= MOST && evicted.is_none() {
            return (Some(OTHER.into()), None);
        }
        if let Some(evicted) = &evicted {
            self.used.remove(evicted);
        }
        self.used.insert(model.clone(), self.uses);
        (Some(model.clone()), evicted)
    }

    /// All that is known was told.
    pub(super) fn told(&mut self) {
        self.told = self.uses;
    }

    /// The one used longest ago, if that was before all was told.
    fn oldest(&self) -> Option<Arc<str>> {
        let (model, used) = self.used.iter().min_by_key(|(_, used)| **used)?;
        (*used <= self.told).then(|| model.clone())
    }
}
