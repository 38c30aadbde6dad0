//! What a proxy holds, and whether it lasts: memory with idle connections, the cold start, cost as connections and
//! requests grow, a soak, and instructions where a profiler counts them.

use std::fs;
use std::io::{self, Write as _};
use std::path::PathBuf;

use serde::Serialize;

use crate::compare;
use crate::cores::{self, Cores};
use crate::cpu::{self, CpuTime, Resting};
use crate::descriptors;
use crate::error::{Doing as _, Error};
use crate::memory::Resident;
use crate::report::{Machine, aligned};
use crate::targets::{Kind, Launcher, Target, Watch};
use crate::workload::{Unit, Workload};

pub(crate) mod growth;
pub(crate) mod idle;
pub(crate) mod instructions;
pub(crate) mod soak;
mod sockets;
pub(crate) mod start;

/// What all of these are told.
#[derive(Debug, clap::Args)]
pub(crate) struct Setup {
    /// perimeter's binary; by default the one beside this executable.
    #[arg(long, value_name = "PATH")]
    perimeter: Option<PathBuf>,
    /// Let the scheduler place processes; otherwise proxies get one core, load and upstream another.
    #[arg(long)]
    no_pin: bool,
    /// Also write the figures as JSON.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

impl Setup {
    /// Gets ready to start targets: many descriptors, our place on the machine, an upstream.
    fn launcher(&self) -> Result<Launcher, Error> {
        if let Some(file) = &self.json {
            // Better now than in ten minutes.
            fs::write(file, []).doing(format!("writing {}", file.display()))?;
        }
        descriptors::raise().doing("raising the limit of descriptors")?;
        let cores = if self.no_pin { None } else { Cores::choose().doing("asking for our cores")? };
        compare::stop_on_signal()?;
        if let Some(cores) = cores {
            cores::pin(&[cores.load]).doing("pinning the load generator")?;
        }
        Launcher::new(self.perimeter.clone(), cores, &std::env::temp_dir())
    }

    /// Prints a table of rows under what ran them, and writes them as JSON where that is wanted.
    fn tell<R: Serialize>(
        &self,
        header: &[&str],
        rows: &[R],
        cells: impl Fn(&R) -> Vec<String>,
    ) -> Result<(), Error> {
        let date = humantime::format_rfc3339_seconds(std::time::SystemTime::now());
        let command = std::env::args().skip(1).collect::<Vec<_>>().join(" ");
        let mut lines = vec![header.iter().map(|name| (*name).to_owned()).collect()];
        lines.extend(rows.iter().map(cells));
        write!(
            io::stdout(),
            "{date}, {}, `perimeter-bench {command}`\n\n{}",
            Machine::this(),
            aligned(&lines)
        )
        .doing("writing the table")?;
        let Some(file) = &self.json else { return Ok(()) };
        let json = serde_json::to_vec_pretty(rows).map_err(io::Error::from).doing("writing JSON")?;
        fs::write(file, json).doing(format!("writing {}", file.display()))
    }
}

/// Starts a target, or says that it cannot be had here.
fn start(launcher: &Launcher, kind: Kind) -> Result<Option<Target>, Error> {
    let target = launcher.start_another(kind, false)?;
    if target.is_none() {
        _ = writeln!(io::stderr(), "{} is not installed: left out", kind.name());
    }
    Ok(target)
}

/// The process of a target; that of the direct way, which has none, is a wrong use.
fn process(target: &Target) -> Result<u32, Error> {
    target.pid().ok_or_else(|| Error::Usage(format!("{} has no process to look at", target.kind.name())))
}

/// What it has used, once it rests.
fn used(pid: u32) -> Result<CpuTime, Error> {
    cpu::used_at_rest(pid, Resting::All).doing("reading the CPU time of a target")
}

/// What is resident of it, once it rests.
fn resident(pid: u32) -> Result<Resident, Error> {
    used(pid)?;
    Resident::of(pid).doing("reading the memory of a target")
}

/// MiB that passed unseen so far, where somebody is to see anything.
fn unseen(target: &Target) -> Result<Option<f64>, Error> {
    let unseen =
        target.watch.as_ref().map(Watch::unseen).transpose().doing("reading the metrics of a target")?;
    Ok(unseen.flatten().map(|bytes| bytes / (1024.0 * 1024.0)))
}

/// Throws away what was logged: a long run would fill the disk.
fn empty_logs(target: &Target) -> Result<(), Error> {
    let logged = target.watch.as_ref().map(Watch::take_logged).transpose();
    logged.map(|_| ()).doing("emptying the logs of a target")
}

/// Requests of 1 KiB over so many connections.
fn small(connections: usize) -> Workload {
    Workload::json("small", 1024, Unit::Request, connections, 0)
}

/// A figure with so many digits; a dash where there is none.
fn figure(value: Option<f64>, digits: usize) -> String {
    value.map_or_else(|| "–".to_owned(), |value| format!("{value:.digits$}"))
}

/// Kibibytes as mebibytes.
fn mib(kib: u64) -> f64 {
    kib as f64 / 1024.0
}

fn micros(nanos: u64) -> f64 {
    nanos as f64 / 1000.0
}
