//! What a call cost.
//!
//! The rules, each as the providers have it:
//!
//! - What the provider itself charged is what the call cost.
//! - The response's model is priced, and only where it names none the request's.
//! - A call whose prompt (cached or not) has more tokens than a model's threshold has the prices of long prompts
//!   altogether, the answer too.
//! - A part without a price of its own costs what it is part of where providers list a price only if it differs:
//!   pictures and sound in a prompt as input, reasoning as output. For what is read from or written to a cache, and for
//!   sound and pictures in an answer, there is no such rule: then the cost is unknown.
//! - A part that was not used needs no price; a usage whose parts exceed the whole has no cost.
//! - Nothing is rounded but each part to 10⁻¹² USD.

use std::sync::Arc;

use perimeter_interceptor::{Completion, Cost, CostSource, Operation, Usage, Usd};

use super::day::Day;
use super::decimal::Decimal;
use super::entry::Entry;
use super::names::Way;
use super::sheet::{Part, Sheet, Tier};

/// What a call comes to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Bill {
    /// That much.
    Cost(Cost),
    /// It is of a kind that costs nothing, or was billed before.
    Free,
    /// Nobody here knows.
    Unknown(Why),
}

/// Why a cost is unknown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Why {
    /// The provider did not say what was used.
    Usage,
    /// No table has the model.
    Model,
    /// The model is not sold in that tier, as far as the table knows.
    Tier,
    /// It was computed in a region of which nobody here knows what it costs.
    Region,
    /// Of what was used, the table has no price for this.
    Part(Part),
    /// The parts that were used are more than the whole.
    Sum,
}

impl super::Prices {
    /// What `completion` cost, an answer to a call of this day that asked for `model`.
    pub(crate) fn bill(
        &self,
        operation: Operation,
        model: Option<&str>,
        completion: &Completion,
        day: Day,
    ) -> Bill {
        if !completion.is_billed(operation) {
            return Bill::Free;
        }
        let Some(usage) = &completion.usage else { return Bill::Unknown(Why::Usage) };
        if let Some(charged) = usage.charged {
            return Bill::Cost(Cost::charged(charged));
        }
        let Some((entry, mut way)) = self.model(completion.model.as_deref(), model) else {
            return Bill::Unknown(Why::Model);
        };
        match completion.region.as_deref() {
            None => {}
            Some("us") => way.regional = true,
            Some(_) => return Bill::Unknown(Why::Region),
        }
        match price(entry, &way, (completion.tier.as_deref(), day), usage) {
            Ok(cost) => Bill::Cost(cost),
            Err(why) => Bill::Unknown(why),
        }
    }

    /// The entry of the model that answered, or where the response names none of the one that was asked for. Which region
    /// was asked for stands in the request's name alone.
    fn model(&self, answered: Option<&str>, asked: Option<&str>) -> Option<(&Entry, Way)> {
        let asked = asked.and_then(|name| self.find(name));
        let regional = asked.as_ref().is_some_and(|(_, way)| way.regional);
        let (entry, mut way) = match answered.filter(|name| !name.is_empty()) {
            Some(name) => self.find(name)?,
            None => asked?,
        };
        way.regional |= regional;
        Some((entry, way))
    }
}

fn price(entry: &Entry, way: &Way, when: (Option<&str>, Day), usage: &Usage) -> Result<Cost, Why> {
    let tier = Tier::told(when.0).ok_or(Why::Tier)?;
    let (tier, tariff) = entry.tier(tier, when.1).ok_or(Why::Tier)?;
    let sheet = tariff.of(usage.input);
    let factor = entry.regional.filter(|_| way.regional).unwrap_or(Decimal::ONE);
    let parts = Parts::of(usage, sheet)?;
    let sum = |parts: &[(Part, u64)]| -> Result<Usd, Why> {
        let amounts = parts.iter().map(|(part, tokens)| amount(sheet, *part, *tokens));
        let sum = amounts.sum::<Result<u128, Why>>()?;
        Ok(usd(sum.saturating_mul(factor.units().into()), 1_000_000 * u128::from(Decimal::ONE.units())))
    };
    let source = CostSource::Prices {
        model: Arc::clone(&entry.model),
        tier: tier.as_str(),
        as_of: Arc::clone(&entry.as_of),
    };
    let mut cost = Cost::new(source);
    cost.input = sum(&parts.input)?;
    cost.cache_read = sum(&parts.cache_read)?;
    cost.cache_write = sum(&parts.cache_write)?;
    cost.output = sum(&parts.output)?;
    cost.tools = usd(amount(sheet, Part::Searches, usage.searches.unwrap_or(0))?, 1000);
    cost.total = [cost.input, cost.cache_read, cost.cache_write, cost.output, cost.tools].into_iter().sum();
    Ok(cost)
}

/// The number times its price, which is not needed for none.
fn amount(sheet: &Sheet, part: Part, number: u64) -> Result<u128, Why> {
    if number == 0 {
        return Ok(0);
    }
    let price = sheet.get(part).ok_or(Why::Part(part))?;
    Ok(u128::from(number).saturating_mul(price.units().into()))
}

/// To the nearest of 10⁻¹² USD.
fn usd(amount: u128, scale: u128) -> Usd {
    Usd(u64::try_from(amount.saturating_add(scale / 2) / scale).unwrap_or(u64::MAX))
}

/// What was used, no token in two places, each where there is a price for it.
struct Parts {
    input: [(Part, u64); 3],
    cache_read: [(Part, u64); 2],
    cache_write: [(Part, u64); 2],
    output: [(Part, u64); 4],
}

impl Parts {
    fn of(usage: &Usage, sheet: &Sheet) -> Result<Self, Why> {
        let less = |whole: u64, part: u64| whole.checked_sub(part).ok_or(Why::Sum);
        // What has no price of its own stays where it is.
        let own = |part, number: Option<u64>| number.filter(|_| sheet.get(part).is_some()).unwrap_or(0);

        let (read, written) = (usage.cache_read.unwrap_or(0), usage.cache_write.unwrap_or(0));
        let hour = usage.cache_write_1h.unwrap_or(0);
        let fresh = less(less(usage.input, read)?, written)?;
        let sound = own(Part::AudioInput, usage.audio_input);
        let pictures = own(Part::ImageInput, usage.image_input);
        let cached_sound = cached_sound(usage, sheet, sound)?;
        let sound = less(sound, cached_sound)?;
        if pictures > 0 && read > 0 && sheet.get(Part::ImageInput) != sheet.get(Part::Input) {
            // Nobody says how much of either was the other.
            return Err(Why::Part(Part::ImageInput));
        }

        let reasoning = own(Part::Reasoning, usage.reasoning);
        // These have no price but their own, unless the model says nothing else.
        let spoken = usage.audio_output.unwrap_or(0);
        let drawn = usage.image_output.unwrap_or(0);
        Ok(Self {
            input: [
                (Part::Input, less(less(fresh, sound)?, pictures)?),
                (Part::AudioInput, sound),
                (Part::ImageInput, pictures),
            ],
            cache_read: [(Part::CacheRead, less(read, cached_sound)?), (Part::AudioCacheRead, cached_sound)],
            cache_write: [(Part::CacheWrite, less(written, hour)?), (Part::CacheWrite1h, hour)],
            output: [
                (Part::Output, less(less(less(usage.output, reasoning)?, spoken)?, drawn)?),
                (Part::Reasoning, reasoning),
                (Part::AudioOutput, spoken),
                (Part::ImageOutput, drawn),
            ],
        })
    }
}

/// How much of the sound was read from a cache. It matters only where that has a price of its own.
fn cached_sound(usage: &Usage, sheet: &Sheet, sound: u64) -> Result<u64, Why> {
    if sound == 0 || usage.cache_read.unwrap_or(0) == 0 {
        return Ok(0);
    }
    match usage.audio_cache_read {
        Some(cached) if cached > 0 && sheet.get(Part::AudioCacheRead).is_none() => {
            Err(Why::Part(Part::AudioCacheRead))
        }
        Some(cached) => Ok(cached),
        None => Err(Why::Part(Part::AudioCacheRead)),
    }
}
