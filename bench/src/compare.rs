//! The comparison: every target through every workload, round after round, and the report.

use std::fs;
use std::io::{self, Write as _};
use std::num::{NonZeroU64, NonZeroUsize};
use std::path::PathBuf;
use std::sync::atomic::Ordering;
use std::time::Duration;

use crate::cores::{self, Cores};
use crate::descriptors;
use crate::error::{Doing as _, Error};
use crate::files;
use crate::load;
use crate::report::{Report, Run};
use crate::rounds::{self, Plan, Round};
use crate::targets::{Kind, Launcher, Target, USUAL, Wanted};
use crate::workload::{self, Way, Workload};

#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// What matters most, three rounds of a third of the requests: under a minute.
    #[arg(long)]
    quick: bool,
    /// How often everything is measured; fewer when the time is up (one minute with --quick, else twelve).
    #[arg(long)]
    rounds: Option<NonZeroUsize>,
    /// What to measure, with each workload that it can run: names as bench/RESULTS.md tells them, or groups (perimeters,
    /// workers, slow, servers, peers). Where this is not said: everything but peers, each with the workloads that tell
    /// something of it.
    #[arg(long, value_delimiter = ',', value_name = "TARGET")]
    targets: Option<Vec<Wanted>>,
    /// What the others are compared with: CPU times are told as multiples of its own.
    #[arg(long, value_enum, default_value = "floor", hide_possible_values = true)]
    reference: Kind,
    /// Only the workloads of these names, or whose names begin so (w1: 1 KiB, w2: large requests, w3: streams, w4: TLS, w5: a connection for
    /// each request, w6: many streams at once).
    #[arg(long, value_delimiter = ',', value_name = "PREFIX")]
    only: Vec<String>,
    /// Requests of each workload in a round, instead of its own number; w6 has none.
    #[arg(long)]
    requests: Option<NonZeroU64>,
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

/// What the quick form measures: what binding goals are about, and one of each other kind.
const QUICK: (&[&str], &[Kind]) = (
    &["w1-c1", "w1-c64", "w2-256k", "w2-grow", "w3-c1", "w3-1ms", "w3-flood", "w5-reconnect-tls", "w6-1000"],
    &[
        Kind::Direct,
        Kind::Tcp,
        Kind::Floor,
        Kind::Floor2,
        Kind::Perimeter,
        Kind::PerimeterDefault,
        Kind::PerimeterAll,
        Kind::Nginx,
        Kind::Haproxy,
    ],
);

pub(crate) fn run(options: &Options) -> Result<(), Error> {
    descriptors::raise().doing("raising the limit of descriptors")?;
    let (plan, kinds) = (plan(options)?, kinds(options));
    let cores = if options.no_pin { None } else { Cores::choose().doing("asking for our cores")? };
    stop_on_signal()?;
    if let Some(file) = &options.json {
        // Rather now than when all was measured.
        fs::File::options()
            .append(true)
            .create(true)
            .open(file)
            .doing(format!("writing {}", file.display()))?;
    }
    if let Some(cores) = cores {
        cores::pin(&[cores.load]).doing("pinning the load generator")?;
    }
    let files = files::place();
    let launcher = Launcher::new(options.perimeter.clone(), cores, &files)?;
    let targets = start(&launcher, &kinds)?;
    if !plan.has_work_for(&targets) {
        return Err(Error::Usage("none of these targets is measured with any of these workloads".into()));
    }
    let rounds = rounds::measure(&plan, &launcher, &targets, |number, elapsed| {
        _ = writeln!(
            io::stderr(),
            "round {number} of {} done after {:.0} s",
            plan.rounds,
            elapsed.as_secs_f64()
        );
    })?;
    warn(&targets, &rounds);
    let kinds: Vec<Kind> = targets.iter().map(|target| target.kind).collect();
    let (pinned, reference, workloads) = (cores.is_some(), options.reference, plan.workloads.as_slice());
    let report = Report::new(Run { pinned, files, reference, workloads, targets: &kinds }, &rounds);
    write!(io::stdout(), "{}", report.table()).doing("writing the table")?;
    let Some(file) = &options.json else { return Ok(()) };
    let json = serde_json::to_vec_pretty(&report).map_err(io::Error::from).doing("writing JSON")?;
    fs::write(file, json).doing(format!("writing {}", file.display()))
}

fn kinds(options: &Options) -> Vec<Kind> {
    let usual = if options.quick { QUICK.1 } else { USUAL };
    let Some(wanted) = &options.targets else { return usual.to_vec() };
    let mut kinds: Vec<Kind> = wanted.iter().flat_map(|wanted| wanted.0.clone()).collect();
    let mut seen = Vec::new();
    kinds.retain(|kind| {
        !seen.contains(kind) && {
            seen.push(*kind);
            true
        }
    });
    kinds
}

fn plan(options: &Options) -> Result<Plan, Error> {
    if let Some(none) =
        options.only.iter().find(|only| !workload::ALL.iter().any(|it| is_named(it.name, only)))
    {
        return Err(Error::Usage(format!("no workload begins with {none}; there are {}", workload::names())));
    }
    let named = |name: &str| options.only.iter().any(|only| is_named(name, only));
    let wanted = |name: &str| match (options.only.is_empty(), options.quick) {
        (true, true) => QUICK.0.contains(&name),
        (true, false) => true,
        (false, _) => named(name),
    };
    let mut workloads: Vec<Workload> =
        workload::ALL.iter().copied().filter(|workload| wanted(workload.name)).collect();
    workloads.retain(has_descriptors);
    if workloads.is_empty() {
        return Err(Error::Usage("nothing is left to measure".into()));
    }
    for workload in &mut workloads {
        if let Way::Held(window) = &mut workload.way {
            if options.quick {
                *window = Duration::from_secs(1);
            }
            continue;
        }
        let smaller = if options.quick { (workload.requests / 3).max(16) } else { workload.requests };
        workload.requests = options.requests.map_or(smaller, NonZeroU64::get);
    }
    let rounds = options.rounds.map_or(if options.quick { 3 } else { 6 }, NonZeroUsize::get);
    let at_most = Duration::from_secs(if options.quick { 55 } else { 700 });
    Ok(Plan { workloads, rounds, at_most, whole: options.targets.is_some() })
}

/// Whether `only` means this workload: by its name, or by the beginning of it and of others.
fn is_named(name: &str, only: &str) -> bool {
    name == only || name.starts_with(only) && !workload::ALL.iter().any(|workload| workload.name == only)
}

fn has_descriptors(workload: &Workload) -> bool {
    let (needed, most) = (workload.descriptors(), descriptors::most());
    if needed > most {
        let name = workload.name;
        _ = writeln!(io::stderr(), "{name} needs {needed} descriptors, of which there are {most}: left out");
    }
    needed <= most
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
        let figures = rounds.iter().flatten().filter_map(|figures| figures.get(at)?.as_ref());
        let mut logged = figures.filter_map(|figures| figures.logged_mib).peekable();
        if logged.peek().is_some() && logged.all(|mebibytes| mebibytes == 0.0) {
            _ = writeln!(io::stderr(), "{} logged no messages: its figures say nothing", target.kind.name());
        }
    }
}

/// Makes SIGINT, SIGTERM and SIGHUP end the run between two answers, so that every child is killed on the way out.
pub(crate) fn stop_on_signal() -> Result<(), Error> {
    use tokio::signal::unix::{SignalKind, signal};
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().doing("starting a runtime")?;
    let guard = runtime.enter();
    let mut interrupt = signal(SignalKind::interrupt()).doing("listening for SIGINT")?;
    let mut terminate = signal(SignalKind::terminate()).doing("listening for SIGTERM")?;
    let mut hang_up = signal(SignalKind::hangup()).doing("listening for SIGHUP")?;
    drop(guard);
    std::thread::spawn(move || {
        runtime.block_on(async {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
                _ = hang_up.recv() => {}
            }
        });
        load::INTERRUPTED.store(true, Ordering::Relaxed);
    });
    Ok(())
}
