//! The figures as tables for people and as JSON for programs.

use std::fmt::Write as _;
use std::path::PathBuf;

use serde::Serialize;

use crate::cell::Figures;
use crate::rounds::Round;
use crate::statistics::Spread;
use crate::targets::{self, Kind};
use crate::workload::{Exchange, Unit, Workload};

mod goals;
mod machine;
mod table;

use goals::Goals;
pub(crate) use machine::Machine;
pub(crate) use table::{aligned, ends, middle};

/// A whole run.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    date: String,
    machine: Machine,
    /// Of others' programs.
    versions: String,
    command: String,
    pinned: bool,
    /// Where targets wrote theirs.
    files: PathBuf,
    rounds: usize,
    reference: &'static str,
    workloads: Vec<Section>,
    goals: Goals,
}

/// One workload, every target that was measured with it.
#[derive(Debug, Serialize)]
struct Section {
    workload: &'static str,
    unit: Unit,
    /// What the latencies are: of requests, or of events.
    waits: &'static str,
    connections: usize,
    requests: u64,
    targets: Vec<Row>,
}

/// One workload, one target: medians over the rounds, and the rounds themselves.
#[derive(Debug, Serialize)]
struct Row {
    target: &'static str,
    cpu_us: Option<Spread>,
    forwarding_us: Option<Spread>,
    /// Ratios are taken round by round, so that what slows a whole round cancels out.
    cpu_to_reference: Option<Spread>,
    forwarding_to_reference: Option<Spread>,
    busy: Option<Spread>,
    load_busy: Option<Spread>,
    p50_us: Option<Spread>,
    p99_us: Option<Spread>,
    /// More than the direct way in the same round.
    added_p50_us: Option<Spread>,
    added_p99_us: Option<Spread>,
    first_byte_p50_us: Option<Spread>,
    first_byte_p99_us: Option<Spread>,
    added_first_byte_us: Option<Spread>,
    units_per_second: Option<Spread>,
    resident_kib: Option<Spread>,
    anonymous_kib: Option<Spread>,
    opened: Option<Spread>,
    unseen_mib: Option<Spread>,
    logged_mib: Option<Spread>,
    logged_lines: Option<Spread>,
    rounds: Vec<Option<Figures>>,
}

/// What is measured, and against what.
pub(crate) struct Run<'a> {
    pub(crate) pinned: bool,
    /// Where targets wrote theirs.
    pub(crate) files: PathBuf,
    pub(crate) reference: Kind,
    pub(crate) workloads: &'a [Workload],
    pub(crate) targets: &'a [Kind],
}

impl Report {
    pub(crate) fn new(run: Run<'_>, rounds: &[Round]) -> Self {
        let sections = run.workloads.iter().enumerate().map(|(at, workload)| {
            let rounds: Vec<_> = rounds.iter().filter_map(|round| round.get(at)).collect();
            Section {
                workload: workload.name,
                unit: workload.unit,
                waits: match workload.exchange {
                    Exchange::Json { .. } | Exchange::Turn => "latency",
                    Exchange::Stream { .. } => "lateness",
                },
                connections: workload.connections,
                requests: workload.requests,
                targets: rows(run.targets, run.reference, &rounds),
            }
        });
        let sections: Vec<Section> = sections.collect();
        Self {
            date: humantime::format_rfc3339_seconds(std::time::SystemTime::now()).to_string(),
            machine: Machine::this(),
            versions: targets::versions(),
            command: std::env::args().skip(1).collect::<Vec<_>>().join(" "),
            pinned: run.pinned,
            files: run.files,
            rounds: rounds.len(),
            reference: run.reference.name(),
            goals: Goals::of(&sections),
            workloads: sections,
        }
    }

    /// Markdown that is readable as it stands.
    pub(crate) fn table(&self) -> String {
        let placement =
            if self.pinned { "proxy on one core, load and upstream on another" } else { "not pinned" };
        let Self { date, machine, versions, command, rounds, .. } = self;
        let files = self.files.display();
        let mut text = format!(
            "{date}, {machine}; {versions}; `perimeter-bench {command}`, {rounds} rounds, {placement}, files \
             in {files}\n"
        );
        for section in self.workloads.iter().filter(|section| !section.targets.is_empty()) {
            let title = format!("{}: {} connections", section.workload, section.connections);
            _ = write!(text, "\n### {title}\n\n{}", section.table(self.reference));
        }
        text + &self.goals.table()
    }
}

fn rows(targets: &[Kind], reference: Kind, rounds: &[&Vec<Option<Figures>>]) -> Vec<Row> {
    let column = |kind: Kind| -> Vec<Option<Figures>> {
        let Some(at) = targets.iter().position(|target| *target == kind) else { return Vec::new() };
        rounds.iter().map(|round| round.get(at).copied().flatten()).collect()
    };
    let (reference, direct) = (column(reference), column(Kind::Direct));
    let columns = targets.iter().map(|kind| (*kind, column(*kind)));
    columns
        .filter(|(_, rounds)| rounds.iter().any(Option::is_some))
        .map(|(kind, rounds)| row(kind, rounds, &reference, &direct))
        .collect()
}

/// One figure of a round.
type Figure = fn(&Figures) -> Option<f64>;

/// What `how` makes of a figure of each round and the same figure of another target.
fn between(
    ours: &[Option<Figures>],
    theirs: &[Option<Figures>],
    of: Figure,
    how: fn(f64, f64) -> f64,
) -> Option<Spread> {
    let rounds = ours.iter().zip(theirs);
    Spread::of(rounds.filter_map(|(ours, theirs)| Some(how(of(ours.as_ref()?)?, of(theirs.as_ref()?)?))))
}

fn row(
    kind: Kind,
    rounds: Vec<Option<Figures>>,
    reference: &[Option<Figures>],
    direct: &[Option<Figures>],
) -> Row {
    let spread = |of: Figure| Spread::of(rounds.iter().flatten().filter_map(of));
    let to_reference = |of: Figure| between(&rounds, reference, of, |ours, theirs| ours / theirs);
    let added = |of: Figure| between(&rounds, direct, of, |ours, theirs| ours - theirs);
    Row {
        target: kind.name(),
        cpu_us: spread(|figures| figures.cpu_us),
        forwarding_us: spread(|figures| figures.forwarding_us),
        cpu_to_reference: to_reference(|figures| figures.cpu_us),
        forwarding_to_reference: to_reference(|figures| figures.forwarding_us),
        busy: spread(|figures| figures.busy),
        load_busy: spread(|figures| figures.load_busy),
        p50_us: spread(|figures| figures.p50_us),
        p99_us: spread(|figures| figures.p99_us),
        added_p50_us: added(|figures| figures.p50_us),
        added_p99_us: added(|figures| figures.p99_us),
        first_byte_p50_us: spread(|figures| figures.first_byte_p50_us),
        first_byte_p99_us: spread(|figures| figures.first_byte_p99_us),
        added_first_byte_us: added(|figures| figures.first_byte_p50_us),
        units_per_second: spread(|figures| figures.units_per_second),
        resident_kib: spread(|figures| figures.resident_kib),
        anonymous_kib: spread(|figures| figures.anonymous_kib),
        opened: spread(|figures| figures.opened),
        unseen_mib: spread(|figures| figures.unseen_mib),
        logged_mib: spread(|figures| figures.logged_mib),
        logged_lines: spread(|figures| figures.logged_lines),
        rounds,
    }
}

impl Section {
    fn table(&self, reference: &str) -> String {
        let (unit, waits) = (self.unit.name(), self.waits);
        let header = vec![
            "target".to_owned(),
            format!("process µs/{unit}"),
            format!("process × {reference}"),
            "(min–max)".to_owned(),
            format!("fwd µs/{unit}"),
            format!("fwd × {reference}"),
            "(min–max)".to_owned(),
            "busy".to_owned(),
            "load busy".to_owned(),
            format!("{waits} p50 µs"),
            "p99 µs".to_owned(),
            "added p50".to_owned(),
            "added p99".to_owned(),
            "first byte p50 µs".to_owned(),
            "p99 µs".to_owned(),
            "added p50".to_owned(),
            format!("{unit}s/s"),
            "KiB/stream".to_owned(),
            "anonymous".to_owned(),
            "opened/request".to_owned(),
            "unseen MiB".to_owned(),
            "lines/request".to_owned(),
        ];
        let mut lines = vec![header];
        lines.extend(self.targets.iter().map(Row::cells));
        table::full(&lines)
    }
}

impl Row {
    fn cells(&self) -> Vec<String> {
        vec![
            self.target.to_owned(),
            middle(self.cpu_us, 2),
            middle(self.cpu_to_reference, 2),
            ends(self.cpu_to_reference),
            middle(self.forwarding_us, 2),
            middle(self.forwarding_to_reference, 2),
            ends(self.forwarding_to_reference),
            middle(self.busy, 2),
            middle(self.load_busy, 2),
            middle(self.p50_us, 0),
            middle(self.p99_us, 0),
            middle(self.added_p50_us, 0),
            middle(self.added_p99_us, 0),
            middle(self.first_byte_p50_us, 0),
            middle(self.first_byte_p99_us, 0),
            middle(self.added_first_byte_us, 0),
            middle(self.units_per_second, 0),
            middle(self.resident_kib, 1),
            middle(self.anonymous_kib, 1),
            middle(self.opened, 4),
            middle(self.unseen_mib, 1),
            middle(self.logged_lines, 2),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn figures(cpu_us: Option<f64>, p50_us: f64) -> Option<Figures> {
        let forwarding_us = cpu_us.map(|time| time / 2.0);
        Some(Figures { cpu_us, forwarding_us, p50_us: Some(p50_us), ..Figures::default() })
    }

    #[test]
    fn ratios_and_added_times_are_taken_round_by_round() {
        let targets = [Kind::Direct, Kind::Floor, Kind::Perimeter];
        let quiet = vec![figures(None, 30.0), figures(Some(20.0), 50.0), figures(Some(22.0), 55.0)];
        let noisy = vec![figures(None, 60.0), figures(Some(40.0), 90.0), figures(Some(40.0), 80.0)];
        let rows = rows(&targets, Kind::Floor, &[&quiet, &noisy, &quiet]);
        assert_eq!(rows[0].cpu_us, None);
        assert_eq!(rows[1].cpu_to_reference, Some(Spread { median: 1.0, min: 1.0, max: 1.0 }));
        assert_eq!(rows[2].cpu_to_reference, Some(Spread { median: 1.1, min: 1.0, max: 1.1 }));
        assert_eq!(rows[2].forwarding_us, Some(Spread { median: 11.0, min: 11.0, max: 20.0 }));
        assert_eq!(rows[2].added_p50_us, Some(Spread { median: 25.0, min: 20.0, max: 25.0 }));
    }

    #[test]
    fn without_a_floor_there_are_no_ratios_and_without_figures_no_row() {
        let round = vec![figures(Some(20.0), 50.0), None];
        let rows = rows(&[Kind::Nginx, Kind::Haproxy], Kind::Floor, &[&round]);
        assert_eq!(rows.len(), 1);
        assert!(rows[0].cpu_to_reference.is_none() && rows[0].added_p50_us.is_none());
    }

    #[test]
    fn the_floor_forwards_on_all_it_has_and_perimeter_on_some() {
        let of = |cpu_us, forwarding_us| {
            Some(Figures { cpu_us: Some(cpu_us), forwarding_us: Some(forwarding_us), ..Figures::default() })
        };
        let round = vec![of(20.0, 20.0), of(60.0, 22.0)];
        let rows = rows(&[Kind::Floor, Kind::PerimeterBoth], Kind::Floor, &[&round]);
        let cells = rows[1].cells();
        assert_eq!(
            cells[..7],
            ["perimeter-both", "60.00", "3.00", "3.00–3.00", "22.00", "1.10", "1.10–1.10"]
        );
    }
}
