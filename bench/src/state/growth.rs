//! Whether a request costs the same at one connection and at thousands, and the millionth what the first did.

use std::io::{self, Write as _};

use serde::Serialize;

use super::{Setup, empty_logs, figure, mib, micros, process, resident, small, start, unseen, used};
use crate::descriptors;
use crate::error::Error;
use crate::load::Load;
use crate::memory::Resident;
use crate::targets::{Kind, Target};

#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    #[command(flatten)]
    setup: Setup,
    /// What to measure, side by side. What others are compared with comes first.
    #[arg(long, value_enum, value_delimiter = ',', default_values_t = KINDS)]
    targets: Vec<Kind>,
    /// Numbers of connections.
    #[arg(long, value_delimiter = ',', default_value = "1,64,1000,5000")]
    connections: Vec<usize>,
    /// Requests over each number of connections.
    #[arg(long, default_value_t = 20_000)]
    requests: u64,
    /// How many requests each target answers after that, over 64 connections.
    #[arg(long, default_value_t = 1_000_000)]
    total: u64,
    /// After how many of these to look.
    #[arg(long, default_value_t = 100_000)]
    window: u64,
}

const KINDS: [Kind; 3] = [Kind::Floor, Kind::Perimeter, Kind::PerimeterAll];

/// What a request cost one target, at one point of the growth.
#[derive(Debug, Serialize)]
struct Row {
    point: String,
    target: &'static str,
    /// CPU time of the process and of its forwarding threads, µs a request.
    process_us: f64,
    forwarding_us: f64,
    /// Beside the first target at the same point.
    process_to_first: Option<f64>,
    /// Beside the same target at the first point of the same kind.
    process_to_own_first: Option<f64>,
    memory: Resident,
    /// MiB that passed unseen by those who should see it.
    unseen_mib: Option<f64>,
}

/// Measures all targets at each point, one after the other.
///
/// # Errors
/// [`Error`], where something does not start, or answers wrongly.
pub(crate) fn run(options: &Options) -> Result<(), Error> {
    let launcher = options.setup.launcher()?;
    descriptors::enough_for(options.connections.iter().copied().max().unwrap_or_default())?;
    let mut targets = Vec::new();
    for kind in &options.targets {
        targets.extend(start(&launcher, *kind)?);
    }
    let mut rows = Vec::new();
    let mut growth = Growth::default();
    for connections in options.connections.iter().copied() {
        let requests = options.requests.max(2 * connections as u64);
        let point =
            if connections == 1 { "1 connection".to_owned() } else { format!("{connections} connections") };
        rows.extend(growth.point(&point, &targets, connections, requests)?);
    }
    let mut growth = Growth::default();
    let mut done = 0;
    while done < options.total {
        let requests = options.window.clamp(1, options.total - done);
        done += requests;
        rows.extend(growth.point(&format!("to request {done}"), &targets, 64, requests)?);
    }
    let header = [
        "point",
        "target",
        "process µs/request",
        "fwd µs/request",
        "process × first target",
        "process × first point",
        "resident MiB",
        "of it anonymous",
        "unseen MiB",
    ];
    options.setup.tell(&header, &rows, Row::cells)
}

/// What the first point of a kind found.
#[derive(Default)]
struct Growth {
    first: Vec<f64>,
}

impl Growth {
    fn point(
        &mut self,
        point: &str,
        targets: &[Target],
        connections: usize,
        requests: u64,
    ) -> Result<Vec<Row>, Error> {
        let mut rows = Vec::new();
        for target in targets {
            let mut row = measured(target, connections, requests)?;
            point.clone_into(&mut row.point);
            rows.push(row);
        }
        let costs: Vec<f64> = rows.iter().map(|row| row.process_us).collect();
        if self.first.is_empty() {
            self.first.clone_from(&costs);
        }
        for (row, own_first) in rows.iter_mut().zip(&self.first) {
            row.process_to_first = costs.first().map(|first| row.process_us / first);
            row.process_to_own_first = Some(row.process_us / own_first);
        }
        _ = writeln!(io::stderr(), "{point}: measured");
        Ok(rows)
    }
}

fn measured(target: &Target, connections: usize, requests: u64) -> Result<Row, Error> {
    let pid = process(target)?;
    let workload = small(connections);
    let mut load = Load::connect(target.address, &workload)?;
    load.run(workload.exchange, connections as u64)?;
    let unseen_before = unseen(target)?;
    let before = used(pid)?;
    load.run(workload.exchange, requests)?;
    let cpu = used(pid)?.since(before);
    let memory = resident(pid)?;
    let unseen = unseen_before.zip(unseen(target)?);
    empty_logs(target)?;
    Ok(Row {
        point: String::new(),
        target: target.kind.name(),
        process_us: micros(cpu.whole) / requests as f64,
        forwarding_us: micros(cpu.forwarding) / requests as f64,
        process_to_first: None,
        process_to_own_first: None,
        memory,
        unseen_mib: unseen.map(|(before, after)| after - before),
    })
}

impl Row {
    fn cells(&self) -> Vec<String> {
        vec![
            self.point.clone(),
            self.target.to_owned(),
            figure(Some(self.process_us), 2),
            figure(Some(self.forwarding_us), 2),
            figure(self.process_to_first, 2),
            figure(self.process_to_own_first, 2),
            figure(Some(mib(self.memory.all)), 1),
            figure(Some(mib(self.memory.anonymous)), 1),
            figure(self.unseen_mib, 1),
        ]
    }
}
