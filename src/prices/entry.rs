//! One model of the price table.

use std::sync::Arc;

use super::day::Day;
use super::decimal::Decimal;
use super::sheet::{Tariff, Tier};

/// The tiers that are sold by the token, the standard one first.
pub(crate) type Tiers = Vec<(Tier, Tariff)>;

/// A model and its prices.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    /// Its name, in lower case.
    pub(crate) model: Arc<str>,
    /// Other names of the very same model.
    pub(crate) aliases: Vec<String>,
    /// The tiers that are sold by the token, the standard one first.
    pub(crate) tiers: Tiers,
    /// From a day on, the tiers in place of these, and the day as it was written; the earliest first.
    pub(crate) later: Vec<(Day, String, Tiers)>,
    /// What all prices are times where the name asks for a region.
    pub(crate) regional: Option<Decimal>,
    /// Where the prices stand.
    pub(crate) source: String,
    /// The day on which they stood there.
    pub(crate) as_of: Arc<str>,
    /// What else is worth knowing.
    pub(crate) note: Option<String>,
}

impl Entry {
    /// The tiers that are sold on this day.
    pub(crate) fn tiers(&self, day: Day) -> &[(Tier, Tariff)] {
        self.later.iter().rfind(|(from, ..)| day >= *from).map_or(&self.tiers, |(_, _, tiers)| tiers)
    }

    /// The prices of this tier on this day, if it is sold.
    pub(crate) fn tier(&self, tier: Tier, day: Day) -> Option<(Tier, &Tariff)> {
        let sold = |tier| self.tiers(day).iter().find(|(known, _)| *known == tier);
        // OpenAI renamed its priority tier to fast mode, and takes and tells either word.
        let found = sold(tier).or_else(|| if tier == Tier::Fast { sold(Tier::Priority) } else { None });
        found.map(|(tier, prices)| (*tier, prices))
    }
}
