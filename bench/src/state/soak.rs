//! Minutes of mixed traffic: whether memory, and what the traffic costs, stay as they are.

use std::io::{self, Write as _};
use std::time::Duration;

use serde::Serialize;

use super::{Setup, empty_logs, figure, mib, micros, process, resident, small, start, unseen, used};
use crate::clock;
use crate::error::{Doing as _, Error};
use crate::load::Load;
use crate::memory::Resident;
use crate::statistics::Spread;
use crate::targets::{Kind, Target};
use crate::workload::{Unit, Workload};

#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    #[command(flatten)]
    setup: Setup,
    /// What to soak.
    #[arg(long, value_enum, default_value_t = Kind::PerimeterAll)]
    target: Kind,
    /// How long.
    #[arg(long, default_value_t = 10.0)]
    minutes: f64,
    /// After how many seconds to look, again and again.
    #[arg(long, default_value_t = 10.0)]
    every: f64,
    /// Requests of the mix: eight of ten of 1 KiB, and each tenth of 256 KiB, a stream, or over a new connection.
    #[arg(long, default_value_t = 1000)]
    mix: u64,
}

/// One look.
#[derive(Debug, Serialize)]
struct Row {
    /// Seconds since the start.
    at_s: f64,
    memory: Resident,
    /// Since the last look.
    requests: u64,
    process_us: f64,
    forwarding_us: f64,
    unseen_mib: Option<f64>,
}

/// Mixed traffic for so long, and a look now and then.
///
/// # Errors
/// [`Error`], where something does not start, or answers wrongly.
pub(crate) fn run(options: &Options) -> Result<(), Error> {
    let launcher = options.setup.launcher()?;
    let Some(target) = start(&launcher, options.target)? else { return Ok(()) };
    mixed(&target, options.mix)?;
    let began = clock::now();
    let seconds = || clock::now().saturating_sub(began) as f64 / 1e9;
    let mut rows = Vec::new();
    let mut next = options.every;
    while next < options.minutes * 60.0 + options.every {
        rows.push(window(options, &target, &seconds, next)?);
        next += options.every;
    }
    let header = [
        "s",
        "resident MiB",
        "of it anonymous",
        "requests",
        "process µs/request",
        "fwd µs/request",
        "unseen MiB",
    ];
    options.setup.tell(&header, &rows, Row::cells)?;
    write!(io::stdout(), "\n{}", summary(&rows)).doing("writing the summary")
}

/// Mixed traffic until `end`.
fn window(options: &Options, target: &Target, seconds: &impl Fn() -> f64, end: f64) -> Result<Row, Error> {
    let pid = process(target)?;
    let (unseen_before, before) = (unseen(target)?, used(pid)?);
    let mut requests = 0;
    loop {
        requests += mixed(target, options.mix)?;
        if seconds() >= end {
            break;
        }
    }
    let cpu = used(pid)?.since(before);
    let unseen = unseen_before.zip(unseen(target)?);
    empty_logs(target)?;
    Ok(Row {
        at_s: seconds(),
        memory: resident(pid)?,
        requests,
        process_us: micros(cpu.whole) / requests as f64,
        forwarding_us: micros(cpu.forwarding) / requests as f64,
        unseen_mib: unseen.map(|(before, after)| after - before),
    })
}

/// Some of everything; how many requests that was.
fn mixed(target: &Target, requests: u64) -> Result<u64, Error> {
    const LARGE: Workload = Workload::json("large", 256 * 1024, Unit::Mib, 4, 0);
    const STREAMS: Workload = Workload::stream("streams", 50, Duration::from_millis(2), 16, 0);
    let few = (requests / 15).max(1);
    let parts = [(small(64), requests), (LARGE, few), (STREAMS, few), (small(1).reconnecting(), few)];
    for (workload, requests) in parts {
        Load::connect(target.address, &workload)?.run(workload.exchange, requests)?;
    }
    Ok(requests + 3 * few)
}

/// The medians of the first and the last quarter.
fn summary(rows: &[Row]) -> String {
    let quarter = (rows.len() / 4).max(1);
    let (first, last) =
        (rows.get(..quarter).unwrap_or_default(), rows.get(rows.len() - quarter..).unwrap_or_default());
    let line = |what: &str, unit: &str, of: fn(&Row) -> f64| {
        let median = |rows: &[Row]| Spread::of(rows.iter().map(of)).map(|spread| spread.median);
        let (first, last) = (median(first), median(last));
        let ratio = first.zip(last).map(|(first, last)| last / first);
        format!(
            "- {what}: {} {unit} in the first quarter, {} in the last: {} ×\n",
            figure(first, 1),
            figure(last, 1),
            figure(ratio, 2)
        )
    };
    [
        line("resident", "MiB", |row| mib(row.memory.all)),
        line("anonymous", "MiB", |row| mib(row.memory.anonymous)),
        line("process", "µs a request", |row| row.process_us),
        line("forwarding", "µs a request", |row| row.forwarding_us),
    ]
    .concat()
}

impl Row {
    fn cells(&self) -> Vec<String> {
        vec![
            figure(Some(self.at_s), 0),
            figure(Some(mib(self.memory.all)), 1),
            figure(Some(mib(self.memory.anonymous)), 1),
            self.requests.to_string(),
            figure(Some(self.process_us), 1),
            figure(Some(self.forwarding_us), 1),
            figure(self.unseen_mib, 1),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_quarter_is_compared_with_the_first() {
        let row = |mebibytes: u64| {
            let memory = Resident { all: mebibytes * 1024, anonymous: mebibytes * 512 };
            Row { at_s: 0.0, memory, requests: 1, process_us: 8.0, forwarding_us: 4.0, unseen_mib: None }
        };
        let rows = [row(10), row(12), row(90), row(90), row(90), row(90), row(20), row(24)];
        let said = summary(&rows);
        assert!(
            said.starts_with("- resident: 11.0 MiB in the first quarter, 22.0 in the last: 2.00 ×\n"),
            "{said}"
        );
        assert!(
            said.contains("process: 8.0 µs a request in the first quarter, 8.0 in the last: 1.00 ×"),
            "{said}"
        );
    }
}
