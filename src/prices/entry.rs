//! One model of the price table.

use std::sync::Arc;

use super::decimal::Decimal;
use super::sheet::{Tariff, Tier};

/// A model and its prices.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    /// Its name, in lower case.
    pub(crate) model: Arc<str>,
    /// Other names of the very same model.
    pub(crate) aliases: Vec<String>,
    /// The tiers that are sold by the token, the standard one first.
    pub(crate) tiers: Vec<(Tier, Tariff)>,
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
    /// The prices of this tier, if it is sold.
    pub(crate) fn tier(&self, tier: Tier) -> Option<&Tariff> {
        self.tiers.iter().find(|(known, _)| *known == tier).map(|(_, prices)| prices)
    }
}
