//! How many instructions a request or an event takes, counted by valgrind: a figure that a busy machine does not
//! move. What comes before the first request and after the last cancels out between a short run and a long one.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::io::{self, Write as _};
use std::path::Path;
use std::process::Command;

use serde::Serialize;

use super::{Setup, figure, process, start, used};
use crate::error::{Doing as _, Error};
use crate::load::Load;
use crate::report::aligned;
use crate::targets::{Kind, Launcher};
use crate::workload::{self, Unit, Workload};

mod callgrind;

use callgrind::Profile;

#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    #[command(flatten)]
    setup: Setup,
    /// What to count.
    #[arg(long, value_enum, value_delimiter = ',', default_values_t = KINDS)]
    targets: Vec<Kind>,
    /// Names of workloads. Streams must be slow enough for a proxy that valgrind makes fifty times slower.
    #[arg(long, value_delimiter = ',', default_value = "w1-c16,w3-20ms")]
    workloads: Vec<String>,
    /// Requests of the short run.
    #[arg(long, default_value_t = 48)]
    few: u64,
    /// Requests of the long run; streams have a tenth of both.
    #[arg(long, default_value_t = 1008)]
    many: u64,
    /// Also list the functions with the most instructions of their own, so many, and all crates. That wants symbols:
    /// CARGO_PROFILE_RELEASE_STRIP=none CARGO_PROFILE_RELEASE_DEBUG=line-tables-only.
    #[arg(long, default_value_t = 0, value_name = "FUNCTIONS")]
    top: usize,
}

const KINDS: [Kind; 4] = [Kind::Floor, Kind::Perimeter, Kind::PerimeterPrinter, Kind::PerimeterAll];

#[derive(Debug, Serialize)]
struct Row {
    workload: &'static str,
    unit: &'static str,
    target: &'static str,
    /// Instructions a unit: of the process, of its forwarding threads, of each kind of thread.
    process: f64,
    forwarding: f64,
    process_to_first: Option<f64>,
    forwarding_to_first: Option<f64>,
    threads: BTreeMap<String, f64>,
    #[serde(skip)]
    functions: BTreeMap<String, f64>,
}

/// Counts for each workload and target; says so where there is no valgrind.
///
/// # Errors
/// [`Error`], where something does not start, or answers wrongly.
pub(crate) fn run(options: &Options) -> Result<(), Error> {
    if Command::new("valgrind").arg("--version").output().is_err() {
        return writeln!(io::stdout(), "valgrind is not installed: instructions cannot be counted")
            .doing("writing");
    }
    let mut launcher = options.setup.launcher()?;
    let mut rows: Vec<Row> = Vec::new();
    for name in &options.workloads {
        let workload = workload::ALL.iter().find(|workload| workload.name == name);
        let workload = workload.ok_or_else(|| Error::Usage(format!("no workload is called {name}")))?;
        let first = rows.len();
        for kind in &options.targets {
            let Some(mut row) = row(options, &mut launcher, *kind, workload)? else { continue };
            let (process, forwarding) = rows
                .get(first)
                .map_or((row.process, row.forwarding), |first| (first.process, first.forwarding));
            row.process_to_first = Some(row.process / process);
            row.forwarding_to_first = Some(row.forwarding / forwarding);
            rows.push(row);
        }
    }
    let header =
        ["workload", "target", "process a unit", "× first", "fwd a unit", "× first", "unit", "by thread"];
    options.setup.tell(&header, &rows, Row::cells)?;
    if options.top > 0 {
        for row in &rows {
            write!(io::stdout(), "{}", row.listed(options.top)).doing("writing")?;
        }
    }
    Ok(())
}

/// A long run less a short one.
fn row(
    options: &Options,
    launcher: &mut Launcher,
    kind: Kind,
    workload: &Workload,
) -> Result<Option<Row>, Error> {
    let part = if workload.unit == Unit::Event { 10 } else { 1 };
    let counts = [(options.few / part).max(1), (options.many / part).max(2)];
    let [few, many] = counts;
    let Some((short, short_units)) = counted(launcher, kind, workload, few)? else { return Ok(None) };
    let Some((long, long_units)) = counted(launcher, kind, workload, many)? else { return Ok(None) };
    let difference = long.since(&short, long_units - short_units);
    let forwards = |name: &str| name.starts_with("perimeter-fwd");
    let process: f64 = difference.threads.values().sum();
    let forwarding: Vec<f64> =
        difference.threads.iter().filter(|(name, _)| forwards(name)).map(|(_, count)| *count).collect();
    Ok(Some(Row {
        workload: workload.name,
        unit: workload.unit.name(),
        target: kind.name(),
        process,
        // A program without such names forwards on all it has.
        forwarding: if forwarding.is_empty() { process } else { forwarding.iter().sum() },
        process_to_first: None,
        forwarding_to_first: None,
        threads: difference.threads,
        functions: difference.functions,
    }))
}

/// What a run of so many requests took, start and stop included, and how many units it had.
fn counted(
    launcher: &mut Launcher,
    kind: Kind,
    workload: &Workload,
    requests: u64,
) -> Result<Option<(Profile, f64)>, Error> {
    let dir = tempfile::tempdir().doing("making a directory for counts")?;
    let mut out = OsString::from("--callgrind-out-file=");
    out.push(dir.path().join("out"));
    launcher.how.under =
        ["valgrind", "--tool=callgrind", "--separate-threads=yes", "--quiet"].map(Into::into).into();
    launcher.how.under.push(out);
    let Some(target) = start(launcher, kind)? else { return Ok(None) };
    let pid = process(&target)?;
    let outcome = Load::connect(target.address, workload)?.run(workload.exchange, requests)?;
    let units = match workload.unit {
        Unit::Request => requests as f64,
        Unit::Mib => outcome.sent as f64 / (1024.0 * 1024.0),
        Unit::Event => outcome.latencies.len() as f64,
    };
    used(pid)?;
    let names = thread_names(pid).doing("reading the names of a target's threads")?;
    target.end()?;
    let profile = gathered(dir.path(), &names).doing("reading what valgrind counted")?;
    Ok(Some((profile, units)))
}

/// In the order in which they were started, which is how valgrind numbers them.
fn thread_names(pid: u32) -> io::Result<Vec<String>> {
    let mut threads = Vec::new();
    for task in fs::read_dir(format!("/proc/{pid}/task"))? {
        let task = task?;
        let number: u32 = task.file_name().to_string_lossy().parse().unwrap_or(u32::MAX);
        threads.push((number, fs::read_to_string(task.path().join("comm"))?.trim().to_owned()));
    }
    threads.sort();
    let mut names: Vec<String> = threads.into_iter().map(|(_, name)| name).collect();
    // It is called as valgrind's tool is.
    if let Some(first) = names.first_mut() {
        "main".clone_into(first);
    }
    Ok(names)
}

/// Reads the file of each thread, `out-01` and so on.
fn gathered(dir: &Path, names: &[String]) -> io::Result<Profile> {
    let mut profile = Profile::default();
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        let file = entry.file_name();
        let file = file.to_string_lossy();
        // That of no thread is empty.
        let Some((_, number)) = file.rsplit_once('-') else { continue };
        let name = number.parse().ok().and_then(|number: usize| names.get(number.checked_sub(1)?));
        let text = fs::read(entry.path())?;
        profile.add(name.map_or("others", String::as_str), &String::from_utf8_lossy(&text));
    }
    Ok(profile)
}

impl Row {
    fn cells(&self) -> Vec<String> {
        let threads: Vec<String> =
            self.threads.iter().map(|(name, count)| format!("{name} {count:.0}")).collect();
        vec![
            self.workload.to_owned(),
            self.target.to_owned(),
            figure(Some(self.process), 0),
            figure(self.process_to_first, 2),
            figure(Some(self.forwarding), 0),
            figure(self.forwarding_to_first, 2),
            self.unit.to_owned(),
            threads.join(", "),
        ]
    }

    /// Crates and functions by the instructions of their own.
    fn listed(&self, top: usize) -> String {
        let mut crates = BTreeMap::new();
        for (function, count) in &self.functions {
            *crates.entry(callgrind::crate_of(function).to_owned()).or_insert(0.0) += count;
        }
        let table = |what: &str, counts: &BTreeMap<String, f64>, most: usize| {
            let mut sorted: Vec<(&String, &f64)> = counts.iter().collect();
            sorted.sort_by(|(_, one), (_, other)| other.total_cmp(one));
            let mut lines = vec![vec![what.to_owned(), format!("instructions a {}", self.unit)]];
            for (name, count) in sorted.into_iter().take(most).filter(|(_, count)| **count >= 0.5) {
                lines.push(vec![name.replace('|', "\\|"), format!("{count:.0}")]);
            }
            aligned(&lines)
        };
        format!(
            "\n### {}, {}\n\n{}\n{}",
            self.workload,
            self.target,
            table("crate", &crates, 30),
            table("function", &self.functions, top)
        )
    }
}
