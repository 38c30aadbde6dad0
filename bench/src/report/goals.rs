//! What this project wants to cost at most, beside what was measured.

use std::fmt::Write as _;

use serde::Serialize;

use super::table::{aligned, ends, extremes, middle};
use super::{Figure, Row, Section, between};
use crate::statistics::Spread;
use crate::targets::Kind;

/// What a target's figure is held against, in the same round.
#[derive(Clone, Copy)]
enum Against {
    Itself,
    /// How many times another target's it is.
    Times(Kind),
    /// How much more than another target's it is.
    More(Kind),
}

#[derive(Clone, Copy)]
enum Limit {
    AtMost(f64),
    /// No more than floor and floor2 differ by, in most rounds.
    Noise,
}

#[derive(Clone, Copy)]
struct Goal {
    workload: &'static str,
    what: &'static str,
    target: Kind,
    figure: Figure,
    against: Against,
    limit: Limit,
    /// Whether it is one to reach, not one to come near.
    binding: bool,
}

const PROCESS: Figure = |figures| figures.cpu_us;
const FORWARDING: Figure = |figures| figures.forwarding_us;
const FLOOR: Against = Against::Times(Kind::Floor);

const fn cpu(workload: &'static str, target: Kind, figure: Figure, limit: f64) -> Goal {
    let what = "CPU × floor";
    Goal { workload, what, target, figure, against: FLOOR, limit: Limit::AtMost(limit), binding: false }
}

/// CPU time of the process.
const fn process(workload: &'static str, target: Kind, limit: f64) -> Goal {
    cpu(workload, target, PROCESS, limit)
}

/// CPU time of the forwarding threads, which nobody may slow down.
const fn forwarding(workload: &'static str, target: Kind, limit: f64) -> Goal {
    let what = "CPU of forwarding threads × floor";
    Goal { what, binding: true, ..cpu(workload, target, FORWARDING, limit) }
}

const fn near_floor(workload: &'static str, what: &'static str, target: Kind, figure: Figure) -> Goal {
    let against = Against::More(Kind::Floor);
    Goal { workload, what, target, figure, against, limit: Limit::Noise, binding: false }
}

const fn alone(workload: &'static str, what: &'static str, target: Kind, figure: Figure, limit: f64) -> Goal {
    let limit = Limit::AtMost(limit);
    Goal { workload, what, target, figure, against: Against::Itself, limit, binding: false }
}

/// What traffic may cost. What is no traffic (start, idleness, reading alone) other subcommands measure.
const GOALS: &[Goal] = &[
    process("w1-c64", Kind::Perimeter, 0.90),
    forwarding("w1-c64", Kind::PerimeterAll, 1.10),
    Goal { binding: false, ..forwarding("w1-c64", Kind::PerimeterApart, 1.10) },
    forwarding("w1-rate", Kind::PerimeterAll, 1.10),
    process("w1-c64", Kind::PerimeterAll, 1.60),
    process("w2-256k", Kind::Perimeter, 1.05),
    process("w2-2m", Kind::Perimeter, 1.05),
    forwarding("w2-256k", Kind::PerimeterAll, 1.10),
    forwarding("w2-2m", Kind::PerimeterAll, 1.10),
    forwarding("w2-256k-rate", Kind::PerimeterAll, 1.10),
    forwarding("w2-2m-rate", Kind::PerimeterAll, 1.10),
    process("w2-grow", Kind::PerimeterAll, 3.0),
    process("w2-grow-rate", Kind::PerimeterAll, 3.0),
    process("w3-1ms", Kind::Perimeter, 1.0),
    process("w3-flood", Kind::Perimeter, 0.75),
    process("w3-flood-busy", Kind::Perimeter, 0.75),
    forwarding("w3-1ms", Kind::PerimeterAll, 1.20),
    forwarding("w3-flood", Kind::PerimeterAll, 1.20),
    forwarding("w3-flood-busy", Kind::PerimeterAll, 1.20),
    near_floor("w1-c1", "latency p50, µs more than the floor", Kind::PerimeterDefault, |figures| {
        figures.p50_us
    }),
    near_floor("w3-c1", "first byte p50, µs more than the floor", Kind::PerimeterDefault, |figures| {
        figures.first_byte_p50_us
    }),
    near_floor("w1-c1", "latency p50, µs more than the floor", Kind::Perimeter, |figures| figures.p50_us),
    near_floor("w3-c1", "first byte p50, µs more than the floor", Kind::Perimeter, |figures| {
        figures.first_byte_p50_us
    }),
    alone("w6-5000", "KiB resident a stream", Kind::Perimeter, |figures| figures.resident_kib, 24.0),
    alone("w6-5000", "KiB resident a stream", Kind::PerimeterAll, |figures| figures.resident_kib, 34.0),
    near_floor("w6-5000", "lateness p99, µs more than the floor", Kind::Perimeter, |figures| figures.p99_us),
    near_floor("w6-5000", "lateness p99, µs more than the floor", Kind::PerimeterAll, |figures| {
        figures.p99_us
    }),
    Goal {
        what: "CPU × one worker",
        against: Against::Times(Kind::PerimeterW1),
        ..process("w1-c64", Kind::PerimeterW2, 1.20)
    },
    Goal {
        what: "CPU of forwarding threads × an idle interceptor",
        against: Against::Times(Kind::PerimeterIdle),
        limit: Limit::Noise,
        ..forwarding("w1-c64", Kind::PerimeterSlow, 1.0)
    },
    Goal {
        what: "CPU of forwarding threads × an idle interceptor",
        against: Against::Times(Kind::PerimeterIdle),
        limit: Limit::Noise,
        ..forwarding("w3-1ms", Kind::PerimeterSlow, 1.0)
    },
    Goal {
        what: "latency p50, µs more than with an idle interceptor",
        against: Against::More(Kind::PerimeterIdle),
        ..near_floor("w1-c64", "", Kind::PerimeterSlow, |figures| figures.p50_us)
    },
    // One connection in a hundred requests, since an idle one may be given up.
    alone("w5-reconnect", "upstream connections a request", Kind::Perimeter, |figures| figures.opened, 0.01),
    alone(
        "w5-reconnect-tls",
        "upstream handshakes a request",
        Kind::Perimeter,
        |figures| figures.opened,
        0.01,
    ),
    alone(
        "w5-reconnect-tls",
        "upstream handshakes a request",
        Kind::PerimeterAll,
        |figures| figures.opened,
        0.01,
    ),
];

/// The goals of the workloads that were measured, and how far the floors differ.
#[derive(Debug, Serialize)]
pub(super) struct Goals {
    results: Vec<Judged>,
    noise: Vec<Noise>,
}

/// A goal and what was measured for it.
#[derive(Debug, Serialize)]
struct Judged {
    workload: &'static str,
    target: &'static str,
    what: &'static str,
    binding: bool,
    limit: f64,
    measured: Spread,
    /// What floor and floor2 differ by in this figure, in the same terms.
    noise: Option<f64>,
    /// What passed by those who should have seen it: who looks away has less to do.
    unseen_mib: Option<Spread>,
    met: bool,
}

/// How far the same program differs from itself.
#[derive(Debug, Serialize)]
struct Noise {
    workload: &'static str,
    /// floor2 to floor.
    process: Option<Spread>,
    p50_us: Option<Spread>,
    p99_us: Option<Spread>,
}

impl Goals {
    pub(super) fn of(sections: &[Section]) -> Self {
        let results = GOALS.iter().filter_map(|goal| {
            let section = sections.iter().find(|section| section.workload == goal.workload)?;
            Judged::of(goal, section)
        });
        Self { results: results.collect(), noise: sections.iter().filter_map(Noise::of).collect() }
    }

    /// Nothing where nothing can be said.
    pub(super) fn table(&self) -> String {
        let mut text = String::new();
        if !self.results.is_empty() {
            let header =
                ["workload", "target", "figure", "at most", "measured", "(min–max)", "floors differ", ""];
            let mut lines = vec![header.map(str::to_owned).to_vec()];
            lines.extend(self.results.iter().map(Judged::cells));
            _ = write!(text, "\n### Targets\n\n{}", aligned(&lines));
        }
        if !self.noise.is_empty() {
            let header = [
                "workload",
                "process ×",
                "(min–max)",
                "p50 µs more",
                "(min–max)",
                "p99 µs more",
                "(min–max)",
            ];
            let mut lines = vec![header.map(str::to_owned).to_vec()];
            lines.extend(self.noise.iter().map(Noise::cells));
            _ = write!(text, "\n### floor2 to floor\n\n{}", aligned(&lines));
        }
        text
    }
}

fn row(section: &Section, kind: Kind) -> Option<&Row> {
    section.targets.iter().find(|row| row.target == kind.name())
}

fn times(ours: f64, theirs: f64) -> f64 {
    ours / theirs
}

fn more(ours: f64, theirs: f64) -> f64 {
    ours - theirs
}

impl Judged {
    /// None where it was not measured.
    fn of(goal: &Goal, section: &Section) -> Option<Self> {
        let ours = row(section, goal.target)?;
        let measured = match goal.against {
            Against::Itself => Spread::of(ours.rounds.iter().flatten().filter_map(goal.figure)),
            Against::Times(other) => between(&ours.rounds, &row(section, other)?.rounds, goal.figure, times),
            Against::More(other) => between(&ours.rounds, &row(section, other)?.rounds, goal.figure, more),
        }?;
        let noise = noise(goal, section);
        let limit = match (goal.limit, goal.against) {
            (Limit::AtMost(limit), _) => limit,
            (Limit::Noise, Against::Times(_)) => 1.0 + noise?,
            (Limit::Noise, _) => noise?,
        };
        Some(Self {
            workload: goal.workload,
            target: ours.target,
            what: goal.what,
            binding: goal.binding,
            limit,
            measured,
            noise,
            unseen_mib: ours.unseen_mib,
            met: measured.median <= limit,
        })
    }

    fn cells(&self) -> Vec<String> {
        let near = self.noise.is_some_and(|noise| self.measured.median - self.limit <= noise);
        let verdict = match (self.met, near) {
            (true, _) => "met",
            (false, true) => "missed by less than the floors differ",
            (false, false) if self.binding => "**missed**",
            (false, false) => "missed",
        };
        let unseen = self.unseen_mib.filter(|unseen| unseen.median > 0.05);
        let verdict = unseen.map_or_else(
            || verdict.to_owned(),
            |unseen| format!("{verdict}, with {:.1} MiB unseen", unseen.median),
        );
        vec![
            self.workload.to_owned(),
            self.target.to_owned(),
            if self.binding { format!("{} (binding)", self.what) } else { self.what.to_owned() },
            format!("{:.2}", self.limit),
            middle(Some(self.measured), 2),
            ends(Some(self.measured)),
            self.noise.map_or_else(String::new, |noise| format!("{noise:.2}")),
            verdict,
        ]
    }
}

/// The middle of what floor2 differs from floor by, to whichever side.
fn noise(goal: &Goal, section: &Section) -> Option<f64> {
    let how: fn(f64, f64) -> f64 = match goal.against {
        Against::Itself => return None,
        Against::Times(_) => |ours, theirs| (ours / theirs - 1.0).abs(),
        Against::More(_) => |ours, theirs| (ours - theirs).abs(),
    };
    let (floor, floor2) = (row(section, Kind::Floor)?, row(section, Kind::Floor2)?);
    Some(between(&floor2.rounds, &floor.rounds, goal.figure, how)?.median)
}

impl Noise {
    fn of(section: &Section) -> Option<Self> {
        let (floor, floor2) = (row(section, Kind::Floor)?, row(section, Kind::Floor2)?);
        let of = |figure: Figure, how| between(&floor2.rounds, &floor.rounds, figure, how);
        Some(Self {
            workload: section.workload,
            process: of(PROCESS, times),
            p50_us: of(|figures| figures.p50_us, more),
            p99_us: of(|figures| figures.p99_us, more),
        })
    }

    fn cells(&self) -> Vec<String> {
        let mut cells = vec![self.workload.to_owned()];
        for (spread, digits) in [(self.process, 2), (self.p50_us, 0), (self.p99_us, 0)] {
            cells.extend([middle(spread, digits), extremes(spread, digits)]);
        }
        cells
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cell::Figures;
    use crate::workload::Unit;

    fn section(workload: &'static str, rows: &[(Kind, f64)]) -> Section {
        let round = |cpu: f64| {
            let (cpu_us, forwarding_us, p50_us) = (Some(cpu), Some(cpu), Some(cpu));
            Some(Figures { cpu_us, forwarding_us, p50_us, ..Figures::default() })
        };
        let targets =
            rows.iter().map(|(kind, cpu)| super::super::row(*kind, vec![round(*cpu)], &[], &[])).collect();
        Section { workload, unit: Unit::Request, waits: "latency", connections: 1, requests: 1, targets }
    }

    fn verdicts(section: Section) -> Vec<(&'static str, bool)> {
        Goals::of(&[section]).results.iter().map(|judged| (judged.target, judged.met)).collect()
    }

    #[test]
    fn a_goal_is_met_or_missed_and_what_was_not_measured_is_neither() {
        let floors = [(Kind::Floor, 20.0), (Kind::Floor2, 21.0)];
        let quick = section("w1-c64", &[floors[0], floors[1], (Kind::Perimeter, 17.0)]);
        assert_eq!(verdicts(quick), [("perimeter", true)]);
        let slow = section("w1-c64", &[floors[0], floors[1], (Kind::Perimeter, 19.0)]);
        assert_eq!(verdicts(slow), [("perimeter", false)]);
        assert!(verdicts(section("w1-c64", &floors)).is_empty());
    }

    #[test]
    fn a_latency_is_the_floors_while_it_differs_no_more_than_the_floors_do() {
        let with = |latency| {
            section("w1-c1", &[(Kind::Floor, 100.0), (Kind::Floor2, 97.0), (Kind::Perimeter, latency)])
        };
        assert_eq!(verdicts(with(103.0)), [("perimeter", true)]);
        assert_eq!(verdicts(with(104.0)), [("perimeter", false)]);
    }
}
