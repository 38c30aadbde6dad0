//! The order of measurement: for each workload of each round, every target one after the other, in an order that
//! turns from round to round, so that what the machine does meanwhile falls on all alike.

use std::time::{Duration, Instant};

use crate::cell::{self, Figures};
use crate::error::Error;
use crate::targets::{Kind, Launcher, Target};
use crate::workload::Workload;

/// How much to measure.
pub(crate) struct Plan {
    pub(crate) workloads: Vec<Workload>,
    pub(crate) rounds: usize,
    /// No round begins that would probably end after this.
    pub(crate) at_most: Duration,
    /// Whether every target is measured with each workload that it can run, also with those that tell nothing of it.
    pub(crate) whole: bool,
}

impl Plan {
    /// Whether there is anything to do in a whole run.
    pub(crate) fn has_work_for(&self, targets: &[Target]) -> bool {
        let mut pairs =
            self.workloads.iter().flat_map(|workload| targets.iter().map(move |it| (it.kind, workload)));
        pairs.any(|(kind, workload)| self.is_due(kind, workload, 0))
    }

    fn is_due(&self, kind: Kind, workload: &Workload, round: usize) -> bool {
        let wanted = kind.can_run(workload) && (self.whole || kind.is_meant_for(workload));
        wanted && round.is_multiple_of(workload.every)
    }

    /// How long a round will take, if each of its workloads takes so long.
    fn expected(&self, round: usize, times: &[Duration]) -> Duration {
        let due = self.workloads.iter().zip(times);
        due.filter(|(workload, _)| round.is_multiple_of(workload.every)).map(|(_, time)| *time).sum()
    }
}

/// One round: for each workload, for each target (in the order given, not in the order measured); none where it was
/// not due.
pub(crate) type Round = Vec<Vec<Option<Figures>>>;

/// Measures round after round; `on_round` is told after each.
pub(crate) fn measure(
    plan: &Plan,
    launcher: &Launcher,
    targets: &[Target],
    mut on_round: impl FnMut(usize, Duration),
) -> Result<Vec<Round>, Error> {
    let started = Instant::now();
    // The longest that each workload took.
    let mut times = vec![Duration::ZERO; plan.workloads.len()];
    let mut rounds = Vec::new();
    for number in 0..plan.rounds {
        let mut round = Vec::new();
        for (workload, time) in plan.workloads.iter().zip(&mut times) {
            let before = started.elapsed();
            round.push(side_by_side(plan, workload, launcher, targets, number)?);
            *time = started.elapsed().saturating_sub(before).max(*time);
        }
        rounds.push(round);
        on_round(number + 1, started.elapsed());
        if started.elapsed() + plan.expected(number + 1, &times) > plan.at_most {
            break;
        }
    }
    Ok(rounds)
}

fn side_by_side(
    plan: &Plan,
    workload: &Workload,
    launcher: &Launcher,
    targets: &[Target],
    round: usize,
) -> Result<Vec<Option<Figures>>, Error> {
    let mut measured = vec![None; targets.len()];
    for place in turned(targets.len(), round) {
        let (Some(target), Some(place)) = (targets.get(place), measured.get_mut(place)) else { continue };
        if plan.is_due(target.kind, workload, round) {
            *place = one(workload, launcher, target)?;
        }
    }
    Ok(measured)
}

fn one(workload: &Workload, launcher: &Launcher, target: &Target) -> Result<Option<Figures>, Error> {
    let workload = if target.kind.is_slow() { workload.for_the_slow() } else { *workload };
    let figures = |target: &Target| {
        cell::measure(&workload, launcher, target).map(Some).map_err(|error| match error {
            Error::Interrupted => error,
            source => Error::Cell {
                target: target.kind.name(),
                workload: workload.name,
                source: Box::new(source),
                said: target.last_words(),
            },
        })
    };
    if !workload.needs_own_process() {
        return figures(target);
    }
    match launcher.start_another(target.kind, workload.tls)? {
        Some(target) => figures(&target),
        None => Ok(None),
    }
}

/// The numbers below `count`, beginning `by` later and going round.
fn turned(count: usize, by: usize) -> impl Iterator<Item = usize> {
    (0..count).map(move |place| (place + by) % count)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_target_is_first_once() {
        let orders: Vec<Vec<usize>> = (0..3).map(|number| turned(3, number).collect()).collect();
        assert_eq!(orders, [[0, 1, 2], [1, 2, 0], [2, 0, 1]]);
    }

    #[test]
    fn what_takes_long_is_measured_less_often_and_all_only_when_asked_for() {
        let mut plan = Plan { workloads: Vec::new(), rounds: 6, at_most: Duration::ZERO, whole: false };
        let workload =
            |name: &str| crate::workload::ALL.iter().find(|workload| workload.name == name).unwrap();
        let rounds = |plan: &Plan, kind, name| {
            (0..6).filter(|round| plan.is_due(kind, workload(name), *round)).collect::<Vec<_>>()
        };
        assert_eq!(rounds(&plan, Kind::Floor, "w1-c1"), [0, 1, 2, 3, 4, 5]);
        assert_eq!(rounds(&plan, Kind::Floor, "w6-5000"), [0, 3]);
        assert!(rounds(&plan, Kind::FloorMt, "w1-c1").is_empty());
        plan.workloads = vec![*workload("w1-c1"), *workload("w6-5000")];
        let times = [Duration::from_secs(1), Duration::from_secs(60)];
        let expected: Vec<u64> = (0..4).map(|round| plan.expected(round, &times).as_secs()).collect();
        assert_eq!(expected, [61, 1, 1, 61]);
        plan.whole = true;
        assert_eq!(rounds(&plan, Kind::FloorMt, "w1-c1").len(), 6);
        assert!(rounds(&plan, Kind::Tcp, "w4-tls").is_empty(), "it cannot");
    }
}
