//! What perimeter costs, beside the least that a proxy could cost: load generator, scripted upstream and floor in
//! one binary, everything measured side by side in one run.

use std::ffi::OsString;
use std::fs;
use std::io::{self, Write as _};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::atomic::Ordering;
use std::time::Duration;

use clap::{Parser, Subcommand};

use crate::cpu::Cores;
use crate::error::{Doing as _, Error};
use crate::load::Load;
use crate::report::Report;
use crate::rounds::{Plan, Round};
use crate::targets::{Kind, Launcher, Target};
use crate::workload::Workload;

mod agent;
mod chat;
mod clock;
mod collector;
mod cpu;
mod error;
mod event;
mod floor;
mod load;
mod poller;
mod report;
mod rounds;
mod scribe;
mod sessions;
mod statistics;
mod streams;
mod targets;
mod upstream;
mod workload;

/// Measures perimeter side by side with a plain hyper proxy ("floor"), the direct way and nginx: CPU time of the
/// proxy's process per request, MiB and event, and the latency it adds.
///
/// Build perimeter first: `cargo build --release && cargo run --release -p perimeter-bench`.
#[derive(Debug, Parser)]
#[command(version, args_conflicts_with_subcommands = true)]
struct Cli {
    #[command(subcommand)]
    part: Option<Part>,
    #[command(flatten)]
    options: Options,
}

#[derive(Debug, clap::Args)]
struct Options {
    /// Three rounds of a third of the requests: under a minute.
    #[arg(long)]
    quick: bool,
    /// How often everything is measured; fewer when the time is up (one minute with --quick, else six).
    #[arg(long)]
    rounds: Option<usize>,
    /// What to measure.
    #[arg(
        long,
        value_enum,
        value_delimiter = ',',
        default_value = "direct,floor,floor2,perimeter,perimeter-printer,perimeter-both,perimeter-log,nginx"
    )]
    targets: Vec<Kind>,
    /// What the others are compared with: CPU times are told as multiples of its own.
    #[arg(long, value_enum, default_value = "floor")]
    reference: Kind,
    /// Only workloads whose names begin so (w1-c1, w1-c16, w1-c64, w2-256k, w2-2m, w3-1ms, w3-20ms, w3-flood).
    #[arg(long, value_delimiter = ',', value_name = "PREFIX")]
    only: Vec<String>,
    /// Requests of each workload in a round, instead of its own number.
    #[arg(long)]
    requests: Option<u64>,
    /// perimeter's binary; by default the one beside this executable.
    #[arg(long, value_name = "PATH")]
    perimeter: Option<PathBuf>,
    /// Let the scheduler place processes; otherwise proxies get one core, load and upstream another.
    #[arg(long)]
    no_pin: bool,
    /// Also write everything, round by round, as JSON.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

/// The parts that a run starts, usable by hand as well: to profile a proxy, start `upstream`, then the proxy under
/// the profiler, then `load`.
#[derive(Debug, Subcommand)]
enum Part {
    /// Answer scripts on a free port.
    Upstream,
    /// Forward plainly, on a free port.
    Floor {
        #[arg(long)]
        upstream: SocketAddr,
    },
    /// Run one workload against something that listens.
    Load {
        #[arg(long)]
        to: SocketAddr,
        #[arg(long)]
        workload: String,
        #[arg(long)]
        requests: Option<u64>,
    },
    /// Measure what reading costs by itself: the scribe beside serde_json, per MiB of request and per event.
    Scribe(scribe::Options),
    /// Measure what sessions cost: per request, in memory, and when many of them begin or end at once.
    Sessions(sessions::Options),
    /// Become a program on one core that dies with its parent.
    #[command(hide = true)]
    Launch {
        #[arg(long)]
        core: Option<usize>,
        #[arg(last = true)]
        command: Vec<OsString>,
    },
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    let result = match cli.part {
        None => compare(&cli.options),
        Some(Part::Upstream) => upstream::run(),
        Some(Part::Floor { upstream }) => floor::run(upstream),
        Some(Part::Load { to, workload, requests }) => load_only(to, &workload, requests),
        Some(Part::Scribe(options)) => scribe::run(&options),
        Some(Part::Sessions(options)) => sessions::run(&options),
        Some(Part::Launch { core, command }) => targets::launch(core, &command),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            _ = writeln!(io::stderr(), "perimeter-bench: {error}");
            ExitCode::from(if matches!(error, Error::Usage(_)) { 2 } else { 1 })
        }
    }
}

fn compare(options: &Options) -> Result<(), Error> {
    let plan = plan(options)?;
    let cores = if options.no_pin { None } else { Cores::choose().doing("asking for our cores")? };
    stop_on_signal()?;
    if let Some(cores) = cores {
        cpu::pin(cores.load).doing("pinning the load generator")?;
    }
    let launcher = Launcher::new(options.perimeter.clone(), cores)?;
    let targets = start(&launcher, &options.targets)?;
    let rounds = rounds::measure(&plan, &targets, |number, elapsed| {
        _ = writeln!(
            io::stderr(),
            "round {number} of {} done after {:.0} s",
            plan.rounds,
            elapsed.as_secs_f64()
        );
    })?;
    warn(&targets, &rounds);
    let kinds: Vec<Kind> = targets.iter().map(|target| target.kind).collect();
    let report = Report::new(cores.is_some(), options.reference, &plan.workloads, &kinds, &rounds);
    write!(io::stdout(), "{}", report.table()).doing("writing the table")?;
    let Some(file) = &options.json else { return Ok(()) };
    let json = serde_json::to_vec_pretty(&report).map_err(io::Error::from).doing("writing JSON")?;
    fs::write(file, json).doing(format!("writing {}", file.display()))
}

fn plan(options: &Options) -> Result<Plan, Error> {
    let wanted =
        |name: &str| options.only.is_empty() || options.only.iter().any(|only| name.starts_with(only));
    let mut workloads: Vec<Workload> =
        workload::ALL.iter().copied().filter(|workload| wanted(workload.name)).collect();
    if workloads.is_empty() {
        return Err(Error::Usage("no workload begins with what --only says".into()));
    }
    for workload in &mut workloads {
        let smaller = if options.quick { (workload.requests / 3).max(16) } else { workload.requests };
        workload.requests = options.requests.unwrap_or(smaller);
    }
    let rounds = options.rounds.unwrap_or(if options.quick { 3 } else { 9 });
    let at_most = Duration::from_secs(if options.quick { 55 } else { 350 });
    Ok(Plan { workloads, rounds, at_most })
}

fn start(launcher: &Launcher, kinds: &[Kind]) -> Result<Vec<Target>, Error> {
    let mut targets = Vec::new();
    for kind in kinds {
        match launcher.start(*kind)? {
            Some(target) => targets.push(target),
            None => _ = writeln!(io::stderr(), "{} is not installed: left out", kind.name()),
        }
    }
    Ok(targets)
}

/// Says what speaks against the figures: warnings of the targets, and a message logger that logged nothing.
fn warn(targets: &[Target], rounds: &[Round]) {
    for (at, target) in targets.iter().enumerate() {
        for line in target.warnings() {
            _ = writeln!(io::stderr(), "{} says: {line}", target.kind.name());
        }
        let mut logged = rounds.iter().flatten().filter_map(|figures| figures.get(at)?.logged_mib).peekable();
        if logged.peek().is_some() && logged.all(|mebibytes| mebibytes == 0.0) {
            _ = writeln!(io::stderr(), "{} logged no messages: its figures say nothing", target.kind.name());
        }
    }
}

fn load_only(to: SocketAddr, name: &str, requests: Option<u64>) -> Result<(), Error> {
    let workload = workload::ALL
        .iter()
        .find(|workload| workload.name == name)
        .ok_or_else(|| Error::Usage(format!("no workload is called {name}")))?;
    let requests = requests.unwrap_or(workload.requests);
    let outcome = Load::connect(to, workload.connections)?.run(workload.exchange, requests)?;
    let mut latencies = outcome.latencies;
    latencies.sort_unstable();
    let quantile = |q| Duration::from_nanos(statistics::quantile(&latencies, q));
    let (p50, p99, took) = (quantile(0.5), quantile(0.99), Duration::from_nanos(outcome.took));
    writeln!(io::stdout(), "{name}: {requests} requests in {took:?}, p50 {p50:?}, p99 {p99:?}")
        .doing("writing")
}

/// Makes SIGINT and SIGTERM end the run between two answers, so that every child is killed on the way out.
fn stop_on_signal() -> Result<(), Error> {
    use tokio::signal::unix::{SignalKind, signal};
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().doing("starting a runtime")?;
    let guard = runtime.enter();
    let mut interrupt = signal(SignalKind::interrupt()).doing("listening for SIGINT")?;
    let mut terminate = signal(SignalKind::terminate()).doing("listening for SIGTERM")?;
    drop(guard);
    std::thread::spawn(move || {
        runtime.block_on(async {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            }
        });
        load::INTERRUPTED.store(true, Ordering::Relaxed);
    });
    Ok(())
}
