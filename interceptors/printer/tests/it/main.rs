//! The printer as its readers see it.

mod output;
mod properties;
mod scene;
mod snapshots;
