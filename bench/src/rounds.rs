//! The order of measurement: for each workload of each round, every target one after the other, in an order that
//! turns from round to round, so that what the machine does meanwhile falls on all alike.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use serde::Serialize;

use crate::cpu::{self, CpuTime};
use crate::error::{Doing as _, Error};
use crate::load::{INTERRUPTED, Load, Outcome};
use crate::statistics::quantile;
use crate::targets::{Logged, Target, Watch};
use crate::workload::Workload;

/// How much to measure.
pub(crate) struct Plan {
    pub(crate) workloads: Vec<Workload>,
    pub(crate) rounds: usize,
    /// No round begins that would probably end after this.
    pub(crate) at_most: Duration,
}

/// What one target did with one workload in one round.
#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct Figures {
    /// CPU time of the target's process, in microseconds per unit; none where no process is between.
    pub(crate) cpu_us: Option<f64>,
    /// Of it, by the threads that forward.
    pub(crate) forwarding_us: Option<f64>,
    /// The share of the time in which the target's process was on a CPU.
    pub(crate) busy: Option<f64>,
    pub(crate) p50_us: f64,
    pub(crate) p99_us: f64,
    pub(crate) units_per_second: f64,
    /// What passed unseen by those who should see it, in MiB over all queues; none where nobody is to see anything.
    pub(crate) unseen_mib: Option<f64>,
    /// What the message logger wrote, in MiB; none where it is not hired.
    pub(crate) logged_mib: Option<f64>,
    /// Its lines per request: two, if it saw everything.
    pub(crate) logged_lines: Option<f64>,
}

/// One round: for each workload, for each target (in the order given, not in the order measured).
pub(crate) type Round = Vec<Vec<Figures>>;

/// Measures round after round; `on_round` is told after each.
pub(crate) fn measure(
    plan: &Plan,
    targets: &[Target],
    mut on_round: impl FnMut(usize, Duration),
) -> Result<Vec<Round>, Error> {
    let started = Instant::now();
    let mut rounds = Vec::new();
    for number in 0..plan.rounds {
        rounds.push(round(plan, targets, number)?);
        let elapsed = started.elapsed();
        on_round(number + 1, elapsed);
        let done = u32::try_from(number + 1).unwrap_or(u32::MAX);
        if elapsed + elapsed / done > plan.at_most {
            break;
        }
    }
    Ok(rounds)
}

fn round(plan: &Plan, targets: &[Target], number: usize) -> Result<Round, Error> {
    plan.workloads.iter().map(|workload| side_by_side(workload, targets, number)).collect()
}

fn side_by_side(workload: &Workload, targets: &[Target], number: usize) -> Result<Vec<Figures>, Error> {
    let mut measured = Vec::new();
    for place in turned(targets.len(), number) {
        let Some(target) = targets.get(place) else { continue };
        let figures = cell(workload, target).map_err(|error| match error {
            Error::Interrupted => error,
            source => Error::Cell {
                target: target.kind.name(),
                workload: workload.name,
                source: Box::new(source),
                said: target.last_words(),
            },
        })?;
        measured.push((place, figures));
    }
    measured.sort_by_key(|(place, _)| *place);
    Ok(measured.into_iter().map(|(_, figures)| figures).collect())
}

/// The numbers below `count`, beginning `by` later and going round.
fn turned(count: usize, by: usize) -> impl Iterator<Item = usize> {
    (0..count).map(move |place| (place + by) % count)
}

fn cell(workload: &Workload, target: &Target) -> Result<Figures, Error> {
    if INTERRUPTED.load(Ordering::Relaxed) {
        return Err(Error::Interrupted);
    }
    let mut load = Load::connect(target.address, workload.connections)?;
    let connections = u64::try_from(workload.connections).unwrap_or(u64::MAX);
    load.run(workload.exchange.warm_up(), (connections * 4).max(workload.requests / 20))?;
    // Asked for outside of the time in which CPU time is counted.
    let watch = target.watch.as_ref();
    let unseen_before = unseen(watch)?;
    let _of_the_warm_up = logged(watch)?;
    let before = used(target)?;
    let outcome = load.run(workload.exchange, workload.requests)?;
    let after = used(target)?;
    let cpu = before.zip(after).map(|(before, after)| after.since(before));
    let mut figures = figures(workload, outcome, cpu);
    figures.unseen_mib = unseen_before.zip(unseen(watch)?).map(|(before, after)| (after - before) / MIB);
    let logged = logged(watch)?;
    figures.logged_mib = logged.map(|logged| logged.bytes as f64 / MIB);
    figures.logged_lines = logged.map(|logged| logged.lines as f64 / workload.requests as f64);
    Ok(figures)
}

const MIB: f64 = 1024.0 * 1024.0;

fn unseen(watch: Option<&Watch>) -> Result<Option<f64>, Error> {
    let unseen = watch.map(Watch::unseen).transpose().doing("reading the metrics of a target")?;
    Ok(unseen.flatten())
}

fn logged(watch: Option<&Watch>) -> Result<Option<Logged>, Error> {
    let logged = watch.map(Watch::take_logged).transpose().doing("emptying the logs of a target")?;
    Ok(logged.flatten())
}

fn used(target: &Target) -> Result<Option<CpuTime>, Error> {
    target.pid().map(cpu::used_at_rest).transpose().doing("reading the CPU time of a target")
}

fn figures(workload: &Workload, outcome: Outcome, cpu: Option<CpuTime>) -> Figures {
    let units = workload.units(workload.requests);
    let Outcome { mut latencies, took } = outcome;
    latencies.sort_unstable();
    Figures {
        cpu_us: cpu.map(|cpu| micros(cpu.whole) / units),
        forwarding_us: cpu.map(|cpu| micros(cpu.forwarding) / units),
        busy: cpu.map(|cpu| micros(cpu.whole) / micros(took)),
        p50_us: micros(quantile(&latencies, 0.5)),
        p99_us: micros(quantile(&latencies, 0.99)),
        units_per_second: units / (micros(took) / 1e6),
        unseen_mib: None,
        logged_mib: None,
        logged_lines: None,
    }
}

fn micros(nanos: u64) -> f64 {
    nanos as f64 / 1000.0
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workload;

    #[test]
    fn every_target_is_first_once() {
        let orders: Vec<Vec<usize>> = (0..3).map(|number| turned(3, number).collect()).collect();
        assert_eq!(orders, [[0, 1, 2], [1, 2, 0], [2, 0, 1]]);
    }

    #[test]
    fn cpu_time_is_divided_by_units() {
        let workload = Workload { requests: 4, ..*workload::ALL.last().unwrap() };
        let outcome = Outcome { latencies: vec![3000, 1000, 2000], took: 16_000_000 };
        let cpu = CpuTime { whole: 8_000_000, forwarding: 4_000_000 };
        let figures = figures(&workload, outcome, Some(cpu));
        assert_eq!(figures.cpu_us, Some(10.0));
        assert_eq!(figures.forwarding_us, Some(5.0));
        assert_eq!(figures.busy, Some(0.5));
        assert_eq!((figures.p50_us, figures.p99_us), (2.0, 3.0));
        assert!((figures.units_per_second - 50_000.0).abs() < 1e-6);
    }
}
