//! The labelled corpus of sessions: what apps send and get, byte for byte, and which of it belongs together.
//!
//! Read by the scribe's own tests, which play it in virtual time, and by those that play it through the binary. How a
//! scenario is written is told in `tests/fixtures/sessions/README.md`.

pub(crate) mod json;
pub(crate) mod said;
pub(crate) mod scenario;
pub(crate) mod score;
pub(crate) mod wire;

use std::fs;
use std::path::Path;

use scenario::{Scenario, read};

/// All scenarios, by their names.
pub(crate) fn scenarios() -> Vec<Scenario> {
    named(|name| name.to_owned())
}

/// All untold scenarios, as they happen to other people at other addresses: these say the same and are answered alike.
pub(crate) fn scenarios_of_others() -> Vec<Scenario> {
    let mut scenarios = named(|name| format!("{name}_of_others"));
    let is_told = |scenario: &Scenario| scenario.exchanges.iter().any(|exchange| exchange.label.told);
    scenarios.retain(|scenario| !scenario.single && !is_told(scenario));
    for exchange in scenarios.iter_mut().flat_map(|scenario| &mut scenario.exchanges) {
        exchange.client.ip = Some(exchange.client.ip() + 100);
    }
    scenarios
}

fn named(new_name: impl Fn(&str) -> String) -> Vec<Scenario> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/sessions");
    let mut files: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|file| file.extension().is_some_and(|ending| ending == "yaml"));
    files.sort();
    let scenario = |file: &Path| {
        let name = file.file_stem().unwrap().to_str().unwrap();
        read(&new_name(name), &fs::read_to_string(file).unwrap())
    };
    files.iter().map(|file| scenario(file)).collect()
}

/// The same throws for the same seed, everywhere.
#[derive(Debug)]
pub(crate) struct Dice(pub(crate) u64);

impl Dice {
    pub(crate) fn below(&mut self, sides: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % sides
    }
}

/// Steps of several sequences, so many each, in one order that chance finds and that keeps the order of each: which
/// sequence is next.
pub(crate) fn interleaved(steps: &[usize], dice: &mut Dice) -> Vec<usize> {
    let mut left: Vec<usize> = steps.to_vec();
    let mut all: usize = left.iter().sum();
    let mut order = Vec::with_capacity(all);
    while all > 0 {
        let mut at = dice.below(all);
        let next = left.iter().position(|left| match at.checked_sub(*left) {
            Some(rest) => {
                at = rest;
                false
            }
            None => true,
        });
        let next = next.unwrap();
        left[next] -= 1;
        all -= 1;
        order.push(next);
    }
    order
}
