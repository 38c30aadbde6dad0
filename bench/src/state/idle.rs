//! Idle clients: what a connection costs that was used once and is kept, and what of the upstream it keeps.

use std::time::Duration;

use serde::Serialize;

use super::{Setup, figure, mib, process, resident, small, sockets, start};
use crate::descriptors;
use crate::error::{Doing as _, Error};
use crate::load::Load;
use crate::memory::Resident;
use crate::targets::{Kind, Launcher, Target};

#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    #[command(flatten)]
    setup: Setup,
    /// What to measure.
    #[arg(long, value_enum, value_delimiter = ',', default_values_t = KINDS)]
    targets: Vec<Kind>,
    /// So many clients stay connected.
    #[arg(long, default_value_t = 2000)]
    connections: usize,
    /// So many of them make their request at the same time: all, and what is measured is the traces of a burst.
    #[arg(long, default_value_t = 16)]
    together: usize,
    /// Seconds after the last answer at which to look. What was freed may be given back to the system later.
    #[arg(long, value_delimiter = ',', default_value = "0,1,12")]
    after: Vec<f64>,
}

const KINDS: [Kind; 7] = [
    Kind::Tcp,
    Kind::Floor,
    Kind::Nginx,
    Kind::Haproxy,
    Kind::Perimeter,
    Kind::PerimeterPrinter,
    Kind::PerimeterAll,
];

#[derive(Debug, Serialize)]
struct Row {
    target: &'static str,
    connections: usize,
    /// Before the first of them came.
    before: Resident,
    looks: Vec<Look>,
}

/// What there is some time after the last answer.
#[derive(Debug, Serialize)]
struct Look {
    after_s: f64,
    memory: Resident,
    upstream_connections: usize,
}

/// Measures each target after the other, each in a process of its own.
///
/// # Errors
/// [`Error`], where something does not start, or answers wrongly.
pub(crate) fn run(options: &Options) -> Result<(), Error> {
    let launcher = options.setup.launcher()?;
    descriptors::enough_for(options.connections)?;
    let mut rows = Vec::new();
    for kind in &options.targets {
        if let Some(target) = start(&launcher, *kind)? {
            rows.push(row(options, &launcher, &target)?);
        }
    }
    let mut header = vec!["target".to_owned(), "before MiB".to_owned()];
    for after in &options.after {
        header.extend([
            format!("{after} s: KiB each"),
            "of it anonymous".to_owned(),
            "upstream connections".to_owned(),
        ]);
    }
    let header: Vec<&str> = header.iter().map(String::as_str).collect();
    options.setup.tell(&header, &rows, Row::cells)
}

fn row(options: &Options, launcher: &Launcher, target: &Target) -> Result<Row, Error> {
    let pid = process(target)?;
    // What a first request makes once for all is no matter of connections.
    let few = small(options.together);
    Load::connect(target.address, &few)?.run(few.exchange, 10 * options.together as u64)?;
    let before = resident(pid)?;
    let mut clients = Vec::new();
    let mut left = options.connections;
    while left > 0 {
        let now = left.min(options.together.max(1));
        let mut some = Load::connect(target.address, &small(now))?;
        some.run(few.exchange, now as u64)?;
        clients.push((some, now));
        left -= now;
    }
    let mut looks = Vec::new();
    let mut passed = 0.0;
    for after_s in options.after.iter().copied() {
        std::thread::sleep(Duration::from_secs_f64(f64::max(after_s - passed, 0.0)));
        passed = after_s;
        let memory = resident(pid)?;
        let upstream_connections = sockets::connected(pid, launcher.upstream.address())
            .doing("counting connections to the upstream")?;
        looks.push(Look { after_s, memory, upstream_connections });
    }
    // They were idle, not lost.
    for (some, now) in &mut clients {
        some.run(few.exchange, *now as u64)?;
    }
    Ok(Row { target: target.kind.name(), connections: options.connections, before, looks })
}

impl Row {
    fn cells(&self) -> Vec<String> {
        let each = |now: u64, before: u64| {
            Some((now as f64 - before as f64) / self.connections as f64).filter(|each| each.is_finite())
        };
        let mut cells = vec![self.target.to_owned(), figure(Some(mib(self.before.all)), 1)];
        for Look { memory, upstream_connections, .. } in &self.looks {
            cells.push(figure(each(memory.all, self.before.all), 1));
            cells.push(figure(each(memory.anonymous, self.before.anonymous), 1));
            cells.push(upstream_connections.to_string());
        }
        cells
    }
}
