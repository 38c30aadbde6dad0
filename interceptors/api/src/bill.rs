//! What a call used, and what that costs.

use std::fmt;
use std::iter::Sum;
use std::ops::Add;
use std::sync::Arc;

/// What a call used, in tokens.
///
/// The parts are contained in the wholes, whichever way the provider counts: Anthropic's `input_tokens` leave out what
/// was read from or written to the cache, and here they are in; Gemini's `candidatesTokenCount` leaves out the
/// thoughts, and here they are in `output`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Usage {
    /// The prompt, cached or not.
    pub input: u64,
    /// The answer, reasoning and all.
    pub output: u64,
    /// Of `input`: read from a cache.
    pub cache_read: Option<u64>,
    /// Of `input`: written to a cache.
    pub cache_write: Option<u64>,
    /// Of `cache_write`: to be kept for an hour, and priced higher for it.
    pub cache_write_1h: Option<u64>,
    /// Of `input`: sound.
    pub audio_input: Option<u64>,
    /// Of `audio_input` and of `cache_read`: sound that was read from a cache, and costs other than text read from it.
    pub audio_cache_read: Option<u64>,
    /// Of `input`: pictures.
    pub image_input: Option<u64>,
    /// Of `output`: reasoning.
    pub reasoning: Option<u64>,
    /// Of `output`: sound.
    pub audio_output: Option<u64>,
    /// Of `output`: pictures.
    pub image_output: Option<u64>,
    /// Searches of the web that the provider made, a number of requests.
    pub searches: Option<u64>,
    /// What the provider itself says that the call cost.
    pub charged: Option<Usd>,
}

impl Usage {
    /// These tokens, and no more known.
    pub fn new(input: u64, output: u64) -> Self {
        Self { input, output, ..Self::default() }
    }
}

/// US dollars, exactly: a number of 10⁻¹² USD. A price of 0.075 USD for a million tokens is 75,000 of them a token.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Usd(pub u64);

impl Usd {
    /// So many make a dollar.
    pub const DOLLAR: u64 = 1_000_000_000_000;

    /// In dollars, for where floating point is what is spoken.
    pub fn as_f64(self) -> f64 {
        self.0 as f64 / Self::DOLLAR as f64
    }
}

impl Add for Usd {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }
}

impl Sum for Usd {
    fn sum<I: Iterator<Item = Self>>(all: I) -> Self {
        all.fold(Self::default(), Add::add)
    }
}

/// Dollars, all the digits that there are but at least two: `0.0042`, `1.50`.
impl fmt::Display for Usd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (mut part, mut digits) = (self.0 % Self::DOLLAR, 12);
        while digits > 2 && part.is_multiple_of(10) {
            (part, digits) = (part / 10, digits - 1);
        }
        write!(f, "{}.{part:0digits$}", self.0 / Self::DOLLAR)
    }
}

/// What a call cost: the sum of its parts.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Cost {
    /// All of it.
    pub total: Usd,
    /// The prompt, but for what follows.
    pub input: Usd,
    /// What was read from a cache.
    pub cache_read: Usd,
    /// What was written to a cache.
    pub cache_write: Usd,
    /// The answer, reasoning and all.
    pub output: Usd,
    /// Tools that the provider ran, such as searches.
    pub tools: Usd,
    /// Where it comes from.
    pub source: CostSource,
}

/// Where a [`Cost`] comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum CostSource {
    /// The provider said so: then only the total is known.
    Provider,
    /// A price table.
    Prices {
        /// The model whose prices they are.
        model: Arc<str>,
        /// The tier whose prices they are, such as `standard` or `batch`.
        tier: &'static str,
        /// The day on which they were these, as `2026-11-01`.
        as_of: Arc<str>,
    },
}

impl Cost {
    /// What the provider says.
    pub fn charged(total: Usd) -> Self {
        let none = Usd::default();
        let (input, cache_read, cache_write, output, tools) = (none, none, none, none, none);
        Self { total, input, cache_read, cache_write, output, tools, source: CostSource::Provider }
    }

    /// Nothing yet, by a price table.
    pub fn new(source: CostSource) -> Self {
        Self { source, ..Self::charged(Usd::default()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_known_of_a_usage_is_not_nought() {
        let usage = Usage::new(12, 5);
        assert_eq!((usage.input, usage.output), (12, 5));
        assert_eq!((usage.cache_read, usage.cache_write, usage.reasoning), (None, None, None));
        assert_eq!(usage.charged, None);
    }

    #[test]
    fn dollars_are_written_with_all_their_digits_and_at_least_two() {
        let written = |picos: u64| Usd(picos).to_string();
        assert_eq!(written(0), "0.00");
        assert_eq!(written(1), "0.000000000001");
        assert_eq!(written(4_200_000_000), "0.0042");
        assert_eq!(written(1_500_000_000_000), "1.50");
        assert_eq!(written(12_340_000_000_000), "12.34");
        assert_eq!(written(u64::MAX), "18446744.073709551615");
    }

    #[test]
    fn a_sum_that_is_too_large_stays_the_largest() {
        assert_eq!([Usd(u64::MAX), Usd(1)].into_iter().sum::<Usd>(), Usd(u64::MAX));
        assert_eq!([Usd(2), Usd(3)].into_iter().sum::<Usd>(), Usd(5));
    }
}
