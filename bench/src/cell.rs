//! One workload through one target, once: what is read before, what after, and the figures between.

use std::sync::atomic::Ordering;

use serde::Serialize;

use crate::clock;
use crate::cores::Busy;
use crate::cpu::{self, CpuTime, Resting};
use crate::error::{Doing as _, Error};
use crate::load::{INTERRUPTED, Load, Outcome};
use crate::memory::Resident;
use crate::statistics::quantile;
use crate::targets::{Launcher, Logged, Target, Watch};
use crate::workload::{Exchange, Unit, Way, Workload};

/// What one target did with one workload in one round.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub(crate) struct Figures {
    /// CPU time of the target's process, in microseconds per unit; none where no process is between.
    pub(crate) cpu_us: Option<f64>,
    /// Of it, by the threads that forward.
    pub(crate) forwarding_us: Option<f64>,
    /// The share of the time in which the target's process was on a CPU.
    pub(crate) busy: Option<f64>,
    /// The same of load generator and upstream together: close to 1, they are what is waited for.
    pub(crate) load_busy: Option<f64>,
    pub(crate) p50_us: Option<f64>,
    pub(crate) p99_us: Option<f64>,
    /// Until the first byte of the answer.
    pub(crate) first_byte_p50_us: Option<f64>,
    pub(crate) first_byte_p99_us: Option<f64>,
    pub(crate) units_per_second: Option<f64>,
    /// What each connection holds resident in the target's process, where all are open at once.
    pub(crate) resident_kib: Option<f64>,
    /// Of it, what belongs to no file.
    pub(crate) anonymous_kib: Option<f64>,
    /// Connections that the upstream accepted for each request, where each has a connection of its own.
    pub(crate) opened: Option<f64>,
    /// What passed unseen by those who should see it, in MiB over all queues; none where nobody is to see anything.
    pub(crate) unseen_mib: Option<f64>,
    /// What the message logger wrote, in MiB; none where it is not hired.
    pub(crate) logged_mib: Option<f64>,
    /// Its lines per request: two, if it saw everything.
    pub(crate) logged_lines: Option<f64>,
}

pub(crate) fn measure(workload: &Workload, launcher: &Launcher, target: &Target) -> Result<Figures, Error> {
    if INTERRUPTED.load(Ordering::Relaxed) {
        return Err(Error::Interrupted);
    }
    target.place_observers()?;
    match (workload.way, workload.exchange) {
        (Way::Held(window), Exchange::Stream { gap, .. }) => held(workload, (gap, window), launcher, target),
        _ => answered(workload, launcher, target),
    }
}

/// So many requests, and all that is done for them.
fn answered(workload: &Workload, launcher: &Launcher, target: &Target) -> Result<Figures, Error> {
    let mut load = Load::connect(target.address, workload)?;
    let connections = u64::try_from(workload.connections).unwrap_or(u64::MAX);
    let warm_up =
        if target.kind.is_slow() { connections } else { (connections * 4).max(workload.requests / 20) };
    load.run(workload.exchange.warm_up(), warm_up)?;
    // What is still written for the warm-up is not to be counted.
    at_rest(target)?;
    // Asked for outside of the time in which CPU time is counted.
    let watch = target.watch.as_ref();
    let unseen_before = unseen(watch)?;
    let _of_the_warm_up = logged(watch)?;
    let opened_before = opened(launcher)?;

    let (before, load_before) = (at_rest(target)?, load_used(launcher)?);
    let busy = if workload.busy { Some(Busy::at(launcher.core()).doing("starting a thread")?) } else { None };
    let outcome = load.run(workload.exchange, workload.requests)?;
    drop(busy);
    let (load_after, after) = (load_used(launcher)?, at_rest(target)?);

    let cpu = before.zip(after).map(|(before, after)| after.since(before));
    let mut figures = figures(workload, outcome, cpu, load_after.saturating_sub(load_before));
    let asked = workload.requests as f64;
    if workload.way == Way::Reconnecting {
        // The second question itself was one.
        figures.opened = Some((opened(launcher)? - opened_before).saturating_sub(1) as f64 / asked);
    }
    figures.unseen_mib = unseen_before.zip(unseen(watch)?).map(|(before, after)| (after - before) / MIB);
    let logged = logged(watch)?;
    figures.logged_mib = logged.map(|logged| logged.bytes as f64 / MIB);
    figures.logged_lines = logged.map(|logged| logged.lines as f64 / asked);
    Ok(figures)
}

/// Streams that are all open: what their events cost, and what the target holds for them.
fn held(
    workload: &Workload,
    (gap, window): (std::time::Duration, std::time::Duration),
    launcher: &Launcher,
    target: &Target,
) -> Result<Figures, Error> {
    let one = Workload { connections: 1, way: Way::Kept, ..*workload };
    Load::connect(target.address, &one)?.run(workload.exchange.warm_up(), 4)?;
    let watch = target.watch.as_ref();
    let unseen_before = unseen(watch)?;
    at_rest(target)?;
    let empty = resident(target)?;
    let look = || {
        let cpu = target.pid().map(cpu::used).transpose().doing("reading the CPU time of a target")?;
        Ok((cpu, load_used(launcher)?, resident(target)?))
    };
    let mut load = Load::connect(target.address, workload)?;
    let (outcome, [before, after]) = load.hold(workload.exchange, gap, window, look)?;
    let cpu = before.0.zip(after.0).map(|(before, after)| after.since(before));
    let mut figures = figures(workload, outcome, cpu, after.1.saturating_sub(before.1));
    let each = |of: fn(Resident) -> u64| {
        let (empty, full) = (empty.map(of)?, after.2.map(of)?);
        Some((full as f64 - empty as f64) / workload.connections as f64)
    };
    figures.resident_kib = each(|resident| resident.all);
    figures.anonymous_kib = each(|resident| resident.anonymous);
    figures.unseen_mib = unseen_before.zip(unseen(watch)?).map(|(before, after)| (after - before) / MIB);
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

fn opened(launcher: &Launcher) -> Result<u64, Error> {
    launcher.upstream.opened().doing("asking the upstream")
}

fn at_rest(target: &Target) -> Result<Option<CpuTime>, Error> {
    let who = if target.kind.never_rests() { Resting::Forwarding } else { Resting::All };
    let used = target.pid().map(|pid| cpu::used_at_rest(pid, who)).transpose();
    used.doing("reading the CPU time of a target")
}

fn resident(target: &Target) -> Result<Option<Resident>, Error> {
    target.pid().map(Resident::of).transpose().doing("reading the memory of a target")
}

/// What load generator and upstream have used, nanoseconds.
fn load_used(launcher: &Launcher) -> Result<u64, Error> {
    let upstream = cpu::used(launcher.upstream.pid()).doing("reading the CPU time of the upstream")?;
    Ok(upstream.whole + clock::thread_time())
}

fn figures(workload: &Workload, outcome: Outcome, cpu: Option<CpuTime>, load: u64) -> Figures {
    let Outcome { mut latencies, mut first_bytes, sent, took } = outcome;
    let units = match workload.unit {
        Unit::Request => first_bytes.len() as f64,
        Unit::Mib => sent as f64 / MIB,
        Unit::Event => latencies.len() as f64,
    };
    latencies.sort_unstable();
    first_bytes.sort_unstable();
    let waits = |sorted: &[u64], share| Some(micros(quantile(sorted, share)));
    let tells_first = matches!(workload.exchange, Exchange::Stream { .. }) && !first_bytes.is_empty();
    Figures {
        cpu_us: cpu.map(|cpu| micros(cpu.whole) / units),
        forwarding_us: cpu.map(|cpu| micros(cpu.forwarding) / units),
        busy: cpu.map(|cpu| micros(cpu.whole) / micros(took)),
        load_busy: Some(micros(load) / micros(took)),
        p50_us: waits(&latencies, 0.5),
        p99_us: waits(&latencies, 0.99),
        // Of a JSON answer, which comes in one piece, it says the same again.
        first_byte_p50_us: waits(&first_bytes, 0.5).filter(|_| tells_first),
        first_byte_p99_us: waits(&first_bytes, 0.99).filter(|_| tells_first),
        units_per_second: Some(units / (micros(took) / 1e6)),
        ..Figures::default()
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
    fn cpu_time_is_divided_by_units() {
        let outcome = || Outcome {
            latencies: vec![3000, 1000, 2000, 4000],
            first_bytes: vec![5000, 7000],
            sent: 4 << 20,
            took: 16_000_000,
        };
        let cpu = CpuTime { whole: 8_000_000, forwarding: 4_000_000 };
        let of = |name: &str| {
            let workload = workload::ALL.iter().find(|workload| workload.name == name).unwrap();
            figures(workload, outcome(), Some(cpu), 12_000_000)
        };
        let events = of("w3-1ms");
        assert_eq!((events.cpu_us, events.forwarding_us), (Some(2000.0), Some(1000.0)));
        assert_eq!((events.busy, events.load_busy), (Some(0.5), Some(0.75)));
        assert_eq!((events.p50_us, events.p99_us), (Some(2.0), Some(4.0)));
        assert_eq!(events.first_byte_p99_us, Some(7.0));
        assert!((events.units_per_second.unwrap() - 250.0).abs() < 1e-6);
        assert_eq!(of("w1-c1").cpu_us, Some(4000.0), "per request");
        assert_eq!(of("w2-256k").cpu_us, Some(2000.0), "per MiB");
    }
}
