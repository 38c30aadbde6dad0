//! The figures as a table for people and as JSON for programs.

use std::fmt::Write as _;

use serde::Serialize;

use crate::rounds::{Figures, Round};
use crate::statistics::Spread;
use crate::targets::Kind;
use crate::workload::{Unit, Workload};

mod machine;

pub(crate) use machine::Machine;

/// A whole run.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    date: String,
    machine: Machine,
    command: String,
    pinned: bool,
    rounds: usize,
    reference: &'static str,
    workloads: Vec<Section>,
}

/// One workload, every target.
#[derive(Debug, Serialize)]
struct Section {
    workload: &'static str,
    unit: Unit,
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
    p50_us: Option<Spread>,
    p99_us: Option<Spread>,
    /// More than the direct way in the same round.
    added_p50_us: Option<Spread>,
    added_p99_us: Option<Spread>,
    units_per_second: Option<Spread>,
    unseen_mib: Option<Spread>,
    logged_mib: Option<Spread>,
    logged_lines: Option<Spread>,
    rounds: Vec<Figures>,
}

impl Report {
    pub(crate) fn new(
        pinned: bool,
        reference: Kind,
        workloads: &[Workload],
        targets: &[Kind],
        rounds: &[Round],
    ) -> Self {
        let sections = workloads.iter().enumerate().map(|(at, workload)| Section {
            workload: workload.name,
            unit: workload.unit,
            connections: workload.connections,
            requests: workload.requests,
            targets: rows(
                targets,
                reference,
                &rounds.iter().filter_map(|round| round.get(at)).collect::<Vec<_>>(),
            ),
        });
        Self {
            date: humantime::format_rfc3339_seconds(std::time::SystemTime::now()).to_string(),
            machine: Machine::this(),
            command: std::env::args().skip(1).collect::<Vec<_>>().join(" "),
            pinned,
            rounds: rounds.len(),
            reference: reference.name(),
            workloads: sections.collect(),
        }
    }

    /// Markdown that is readable as it stands.
    pub(crate) fn table(&self) -> String {
        let mut text = format!(
            "{}, {}, `perimeter-bench {}`, {} rounds, {}\n",
            self.date,
            self.machine,
            self.command,
            self.rounds,
            if self.pinned { "proxy on one core, load and upstream on another" } else { "not pinned" },
        );
        for section in &self.workloads {
            section.write(self.reference, &mut text);
        }
        text
    }
}

fn rows(targets: &[Kind], reference: Kind, rounds: &[&Vec<Figures>]) -> Vec<Row> {
    let column = |kind: Kind| -> Option<Vec<Figures>> {
        let at = targets.iter().position(|target| *target == kind)?;
        rounds.iter().map(|round| round.get(at).copied()).collect()
    };
    let reference = column(reference).unwrap_or_default();
    let direct = column(Kind::Direct).unwrap_or_default();
    targets.iter().map(|kind| row(*kind, column(*kind).unwrap_or_default(), &reference, &direct)).collect()
}

fn row(kind: Kind, rounds: Vec<Figures>, reference: &[Figures], direct: &[Figures]) -> Row {
    let spread = |of: fn(&Figures) -> Option<f64>| Spread::of(rounds.iter().filter_map(of));
    let to_reference = |of: fn(&Figures) -> Option<f64>| {
        Spread::of(rounds.iter().zip(reference).filter_map(|(ours, theirs)| Some(of(ours)? / of(theirs)?)))
    };
    let added = |of: fn(&Figures) -> f64| {
        Spread::of(rounds.iter().zip(direct).map(|(ours, direct)| of(ours) - of(direct)))
    };
    Row {
        target: kind.name(),
        cpu_us: spread(|figures| figures.cpu_us),
        forwarding_us: spread(|figures| figures.forwarding_us),
        cpu_to_reference: to_reference(|figures| figures.cpu_us),
        forwarding_to_reference: to_reference(|figures| figures.forwarding_us),
        busy: spread(|figures| figures.busy),
        p50_us: spread(|figures| Some(figures.p50_us)),
        p99_us: spread(|figures| Some(figures.p99_us)),
        added_p50_us: added(|figures| figures.p50_us),
        added_p99_us: added(|figures| figures.p99_us),
        units_per_second: spread(|figures| Some(figures.units_per_second)),
        unseen_mib: spread(|figures| figures.unseen_mib),
        logged_mib: spread(|figures| figures.logged_mib),
        logged_lines: spread(|figures| figures.logged_lines),
        rounds,
    }
}

impl Section {
    fn write(&self, reference: &str, text: &mut String) {
        let (unit, latency) =
            (self.unit.name(), if self.unit == Unit::Event { "lateness" } else { "latency" });
        let header = [
            "target".to_owned(),
            format!("process µs/{unit}"),
            format!("process × {reference}"),
            "(min–max)".to_owned(),
            format!("fwd µs/{unit}"),
            format!("fwd × {reference}"),
            "(min–max)".to_owned(),
            "busy".to_owned(),
            format!("{latency} p50 µs"),
            "p99 µs".to_owned(),
            "added p50".to_owned(),
            "added p99".to_owned(),
            format!("{unit}s/s"),
            "unseen MiB".to_owned(),
            "lines/request".to_owned(),
        ];
        let mut lines = vec![header.to_vec()];
        lines.extend(self.targets.iter().map(Row::cells));
        _ = write!(text, "\n### {}: {} connections\n\n{}", self.workload, self.connections, aligned(&lines));
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
            middle(self.p50_us, 0),
            middle(self.p99_us, 0),
            middle(self.added_p50_us, 0),
            middle(self.added_p99_us, 0),
            middle(self.units_per_second, 0),
            middle(self.unseen_mib, 1),
            middle(self.logged_lines, 2),
        ]
    }
}

pub(crate) fn middle(spread: Option<Spread>, digits: usize) -> String {
    spread.map_or_else(|| "–".to_owned(), |spread| format!("{:.digits$}", spread.median))
}

pub(crate) fn ends(spread: Option<Spread>) -> String {
    spread.map_or_else(String::new, |spread| format!("{:.2}–{:.2}", spread.min, spread.max))
}

/// A Markdown table whose columns line up in plain text too; the first line is its header.
pub(crate) fn aligned(lines: &[Vec<String>]) -> String {
    let columns = lines.iter().map(Vec::len).max().unwrap_or(0);
    let widths: Vec<usize> = (0..columns)
        .map(|column| lines.iter().filter_map(|line| line.get(column)).map(|cell| cell.chars().count()).max())
        .map(Option::unwrap_or_default)
        .collect();
    let mut text = String::new();
    for (number, line) in lines.iter().enumerate() {
        for (column, (cell, width)) in line.iter().zip(&widths).enumerate() {
            _ = if column == 0 {
                write!(text, "| {cell:<width$} ")
            } else {
                write!(text, "| {cell:>width$} ")
            };
        }
        text.push_str("|\n");
        if number == 0 {
            for (column, width) in widths.iter().enumerate() {
                _ = write!(text, "|{}{}", "-".repeat(width + 1), if column == 0 { "-" } else { ":" });
            }
            text.push_str("|\n");
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn figures(cpu_us: Option<f64>, p50_us: f64) -> Figures {
        Figures {
            cpu_us,
            forwarding_us: cpu_us.map(|time| time / 2.0),
            busy: cpu_us,
            p50_us,
            p99_us: p50_us,
            units_per_second: 1.0,
            unseen_mib: None,
            logged_mib: None,
            logged_lines: None,
        }
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
    fn without_a_floor_there_are_no_ratios() {
        let round = vec![figures(Some(20.0), 50.0)];
        let rows = rows(&[Kind::Nginx], Kind::Floor, &[&round]);
        assert!(rows[0].cpu_to_reference.is_none() && rows[0].added_p50_us.is_none());
    }

    #[test]
    fn the_floor_forwards_on_all_it_has_and_perimeter_on_some() {
        let floor = Figures { forwarding_us: Some(20.0), ..figures(Some(20.0), 50.0) };
        let both = Figures { forwarding_us: Some(22.0), ..figures(Some(60.0), 50.0) };
        let rows = rows(&[Kind::Floor, Kind::PerimeterBoth], Kind::Floor, &[&vec![floor, both]]);
        let cells = rows[1].cells();
        assert_eq!(
            cells[..7],
            ["perimeter-both", "60.00", "3.00", "3.00–3.00", "22.00", "1.10", "1.10–1.10"]
        );
    }

    #[test]
    fn columns_line_up() {
        let lines = [vec!["a".to_owned(), "µs".to_owned()], vec!["long".to_owned(), "1.00".to_owned()]];
        assert_eq!(aligned(&lines), "| a    |   µs |\n|------|-----:|\n| long | 1.00 |\n");
    }
}
