//! What calls used and cost, by model.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use perimeter_interceptor::{Usage, Usd};

use super::tally::{Roll, Standing};

/// The kinds of tokens that are counted. Those of a cache are among the input, reasoning is among the output.
pub(crate) const KINDS: [&str; 5] = ["input", "cache_read", "cache_write", "output", "reasoning"];

/// How a model came to be known.
#[derive(Clone, Copy)]
pub(super) enum Model<'a> {
    /// It is one of the price table.
    Listed(&'a Arc<str>),
    /// A request or a response named it.
    Told(Option<&'a Arc<str>>),
}

/// What calls used and cost, read by the metrics.
#[derive(Debug)]
pub(crate) struct Takings(Mutex<Books>);

#[derive(Debug)]
struct Books {
    names: Roll,
    /// By model; where that is not shown, all of them together without a name.
    models: BTreeMap<Arc<str>, Taken>,
}

/// What the calls of one model used and cost.
#[derive(Clone, Debug, Default)]
pub(crate) struct Taken {
    /// What they cost, as far as that is known.
    pub(crate) cost: Usd,
    /// How many calls have a known cost.
    pub(crate) priced: u64,
    /// How many have none.
    pub(crate) unpriced: u64,
    /// What they used, by [`KINDS`].
    pub(crate) tokens: [u64; KINDS.len()],
}

impl Takings {
    /// Nothing yet, with lines for so many models besides those of the price table.
    pub(super) fn new(most: usize) -> Self {
        Self(Mutex::new(Books { names: Roll::new(most), models: BTreeMap::new() }))
    }

    /// A call was answered. A model of the price table always has a line of its own: there are only so many of them,
    /// and no others that a client makes up take their place.
    pub(super) fn count(&self, model: Model<'_>, usage: Option<&Usage>, cost: Option<Usd>) {
        let mut books = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (model, is_listed) = match model {
            Model::Listed(model) => (Arc::clone(model), true),
            Model::Told(model) => (model.cloned().unwrap_or_default(), false),
        };
        let shown = books.names.show(&model, Standing::Proven, |_| is_listed).unwrap_or_default();
        let taken = books.models.entry(shown).or_default();
        match cost {
            Some(cost) => {
                taken.cost = taken.cost + cost;
                taken.priced += 1;
            }
            None => taken.unpriced += 1,
        }
        let Some(usage) = usage else { return };
        let part = |tokens: Option<u64>| tokens.unwrap_or(0);
        let used = [
            usage.input,
            part(usage.cache_read),
            part(usage.cache_write),
            usage.output,
            part(usage.reasoning),
        ];
        for (sum, tokens) in taken.tokens.iter_mut().zip(used) {
            *sum = sum.saturating_add(tokens);
        }
    }

    /// All models so far.
    pub(crate) fn by_model(&self) -> Vec<(Arc<str>, Taken)> {
        let books = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        books.models.iter().map(|(model, taken)| (Arc::clone(model), taken.clone())).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_client_can_fill_the_metrics_with_models() {
        let takings = Takings::new(100);
        for number in 0..300 {
            takings.count(
                Model::Told(Some(&format!("m{number}").into())),
                Some(&Usage::new(2, 1)),
                Some(Usd(5)),
            );
        }
        takings.count(Model::Told(Some(&"m1".into())), None, None);
        takings.count(
            Model::Told(Some(&"x".repeat(500).into())),
            Some(&Usage::new(u64::MAX, 1)),
            Some(Usd(5)),
        );
        let models = takings.by_model();
        assert_eq!(models.len(), 100 + 1);
        let of = |name: &str| models.iter().find(|(model, _)| &**model == name).unwrap().1.clone();
        assert_eq!((of("m1").cost, of("m1").priced, of("m1").unpriced), (Usd(5), 1, 1));
        assert_eq!(of("m1").tokens, [2, 0, 0, 1, 0]);
        assert_eq!((of("other").priced, of("other").tokens[0]), (201, u64::MAX));
        takings.count(Model::Listed(&"gpt-5".into()), None, Some(Usd(7)));
        assert!(takings.by_model().iter().any(|(model, taken)| &**model == "gpt-5" && taken.cost == Usd(7)));
    }
}
