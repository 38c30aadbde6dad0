//! What a model's parts cost.

use super::decimal::Decimal;

/// What there may be a price for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Part {
    /// The prompt.
    Input,
    /// Of the prompt: read from a cache.
    CacheRead,
    /// Of the prompt: written to a cache.
    CacheWrite,
    /// Of the prompt: written to a cache that keeps it for an hour.
    CacheWrite1h,
    /// Of the prompt: sound.
    AudioInput,
    /// Of the prompt: sound, read from a cache.
    AudioCacheRead,
    /// Of the prompt: pictures.
    ImageInput,
    /// The answer.
    Output,
    /// Of the answer: reasoning.
    Reasoning,
    /// Of the answer: sound.
    AudioOutput,
    /// Of the answer: pictures.
    ImageOutput,
    /// Searches of the web.
    Searches,
}

impl Part {
    /// All of them, in the order in which they are shown.
    pub(crate) const ALL: [Self; 12] = [
        Self::Input,
        Self::CacheRead,
        Self::CacheWrite,
        Self::CacheWrite1h,
        Self::AudioInput,
        Self::AudioCacheRead,
        Self::ImageInput,
        Self::Output,
        Self::Reasoning,
        Self::AudioOutput,
        Self::ImageOutput,
        Self::Searches,
    ];

    /// Its key in a price file.
    pub(crate) fn key(self) -> &'static str {
        match self {
            Self::Input => "input",
            Self::CacheRead => "cache_read",
            Self::CacheWrite => "cache_write_5m",
            Self::CacheWrite1h => "cache_write_1h",
            Self::AudioInput => "audio_input",
            Self::AudioCacheRead => "audio_cache_read",
            Self::ImageInput => "image_input",
            Self::Output => "output",
            Self::Reasoning => "reasoning",
            Self::AudioOutput => "audio_output",
            Self::ImageOutput => "image_output",
            Self::Searches => "searches",
        }
    }

    /// The part with this key.
    pub(super) fn named(key: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|part| part.key() == key)
    }
}

/// Tariff: USD for a million tokens, and for a thousand searches.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Sheet([Option<Decimal>; Part::ALL.len()]);

impl Sheet {
    /// The price of this part, where it has one of its own.
    pub(crate) fn get(&self, part: Part) -> Option<Decimal> {
        self.0.get(part as usize).copied().flatten()
    }

    pub(super) fn set(&mut self, part: Part, price: Decimal) {
        if let Some(slot) = self.0.get_mut(part as usize) {
            *slot = Some(price);
        }
    }

    /// The parts that have a price of their own.
    pub(crate) fn listed(&self) -> impl Iterator<Item = (Part, Decimal)> {
        Part::ALL.into_iter().filter_map(|part| Some((part, self.get(part)?)))
    }

    /// These prices times `factor`, exactly. What a tool takes is not a matter of tiers.
    pub(super) fn times(&self, factor: Decimal) -> Option<Self> {
        let mut product = Self::default();
        for (part, price) in self.listed() {
            product.set(part, if part == Part::Searches { price } else { price.times(factor)? });
        }
        Some(product)
    }

    /// What a tool takes is the same in every tier, unless that says otherwise.
    pub(super) fn searches_as_in(&mut self, other: &Self) {
        if let (None, Some(price)) = (self.get(Part::Searches), other.get(Part::Searches)) {
            self.set(Part::Searches, price);
        }
    }
}

/// In which tier a call was served.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Tier {
    /// As calls are unless they ask for something else.
    Standard,
    /// Later, for less.
    Batch,
    /// Slower, for less.
    Flex,
    /// Faster, for more.
    Priority,
    /// Anthropic's fast mode, for much more.
    Fast,
}

impl Tier {
    /// Its name, as in a price file.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Standard => "standard",
            Self::Batch => "batch",
            Self::Flex => "flex",
            Self::Priority => "priority",
            Self::Fast => "fast",
        }
    }

    /// The tier that a provider means by this word; none for those that are not billed by the token, such as OpenAI's
    /// `scale` and Google's `PROVISIONED_THROUGHPUT`, and for words that nobody here knows.
    pub(super) fn told(word: Option<&str>) -> Option<Self> {
        let Some(word) = word else { return Some(Self::Standard) };
        match word.to_ascii_lowercase().as_str() {
            "" | "default" | "auto" | "standard" | "standard_only" | "on_demand" => Some(Self::Standard),
            "batch" => Some(Self::Batch),
            "flex" | "on_demand_flex" => Some(Self::Flex),
            "priority" | "on_demand_priority" => Some(Self::Priority),
            "fast" => Some(Self::Fast),
            _ => None,
        }
    }
}

/// The prices of one tier.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Tariff {
    /// Where the prompt is not long.
    pub(crate) usual: Sheet,
    /// Where it has more than so many tokens, the prices of the whole call; the fewest first.
    pub(crate) long: Vec<(u64, Sheet)>,
}

impl Tariff {
    /// The prices of a call with so many tokens of input.
    pub(crate) fn of(&self, input: u64) -> &Sheet {
        self.long.iter().rfind(|(above, _)| input > *above).map_or(&self.usual, |(_, sheet)| sheet)
    }

    pub(super) fn times(&self, factor: Decimal) -> Option<Self> {
        let long: Option<Vec<_>> =
            self.long.iter().map(|(above, sheet)| Some((*above, sheet.times(factor)?))).collect();
        Some(Self { usual: self.usual.times(factor)?, long: long? })
    }
}
