//! Which calls belong together: the labelled corpus, played through the binary. What is asked when, answers decide,
//! never time.

mod player;

use crate::corpus::scenario::Scenario;
use crate::corpus::score::{Score, judge};
use crate::corpus::{Dice, interleaved, scenarios, scenarios_of_others};
use crate::support::{Provider, Watch};
use player::{Keys, Play, Stage, found};

/// Those in which no time must pass.
fn timeless() -> Vec<Scenario> {
    scenarios().into_iter().filter(|scenario| !scenario.alone).collect()
}

/// Plays the scenarios, one after another or however `play` does, and judges what was found.
fn judged(scenarios: &[Scenario], play: impl FnOnce(&Stage<'_>)) -> Score {
    let provider = Provider::start();
    let watch = Watch::of(&[("witness", "texts: false, chunks: false")]);
    let proxy = watch.setup(&provider).yaml("logging: {level: warn}\nserver: {flush: 60s}").start();
    let calls = scenarios.iter().map(|scenario| scenario.exchanges.len()).sum();
    Stage::with(&provider, &proxy, calls, play);
    let told = watch.stop(proxy);
    let references: Vec<&Scenario> = scenarios.iter().collect();
    judge(&references, &found(&told, &references))
}

/// One hand plays all, a step here and a step there: many streams are open at once.
fn interwoven(stage: &Stage<'_>, scenarios: &[Scenario], keys: Keys, seed: u64) {
    let mut dice = Dice(seed);
    let mut plays: Vec<Play<'_>> =
        scenarios.iter().map(|scenario| Play::new(stage, scenario, keys, seed)).collect();
    let steps: Vec<usize> = scenarios.iter().map(|scenario| scenario.steps.len()).collect();
    for at in interleaved(&steps, &mut dice) {
        plays[at].step();
    }
}

/// Each scenario has a hand of its own, and nobody says whose step is next.
fn at_once(stage: &Stage<'_>, scenarios: &[Scenario], keys: Keys, seed: u64) {
    std::thread::scope(|scope| {
        for hand in 0..16 {
            scope.spawn(move || {
                for scenario in scenarios.iter().skip(hand).step_by(16) {
                    let mut play = Play::new(stage, scenario, keys, seed);
                    scenario.steps.iter().for_each(|_| play.step());
                }
            });
        }
    });
}

#[test]
fn every_call_of_the_corpus_passes_and_is_told_once() {
    let scenarios = timeless();
    let score = judged(&scenarios, |stage| interwoven(stage, &scenarios, Keys::Own, 1));
    assert_eq!(score.missing(), Vec::<String>::new());
}

#[test]
fn sessions_are_recognised_in_any_order_of_their_steps() {
    let scenarios = timeless();
    for seed in 0..4 {
        for keys in [Keys::Own, Keys::Shared] {
            let score = judged(&scenarios, |stage| interwoven(stage, &scenarios, keys, seed));
            score.assert_good(&format!("{keys:?} keys, seed {seed}"));
        }
    }
}

#[test]
fn sessions_are_recognised_while_many_talk_at_once() {
    let scenarios = timeless();
    for (seed, keys) in [(0, Keys::Own), (1, Keys::Shared)] {
        let score = judged(&scenarios, |stage| at_once(stage, &scenarios, keys, seed));
        score.assert_good(&format!("{keys:?} keys"));
    }
}

#[test]
fn nobody_is_taken_for_somebody_who_says_the_same_at_the_same_time() {
    let mut scenarios = timeless();
    scenarios.extend(scenarios_of_others().into_iter().filter(|scenario| !scenario.alone));
    for keys in [Keys::Own, Keys::Shared] {
        let score = judged(&scenarios, |stage| at_once(stage, &scenarios, keys, 3));
        score.assert_good(&format!("{keys:?} keys"));
    }
}
