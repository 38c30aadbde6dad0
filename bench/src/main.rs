//! What perimeter costs, beside the least that a proxy could cost: load generator, scripted upstream and floor in
//! one binary, everything measured side by side in one run.

use std::ffi::OsString;
use std::io::{self, Write as _};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Parser, Subcommand};

use crate::error::{Doing as _, Error};
use crate::load::Load;
use crate::workload::{Exchange, Way};

mod agent;
mod cell;
mod chat;
mod clock;
mod collector;
mod compare;
mod cores;
mod cpu;
mod descriptors;
mod error;
mod event;
mod files;
mod floor;
mod forwarder;
mod load;
mod memory;
mod poller;
mod report;
mod rounds;
mod scribe;
mod sessions;
mod slow;
mod state;
mod statistics;
mod streams;
mod targets;
mod upstream;
mod workload;

/// Measures perimeter side by side with a plain hyper proxy ("floor"), a forwarder of bytes, nginx, haproxy and others:
/// CPU time of the proxy's process per request, MiB and event, the latency it adds, and the memory it takes.
///
/// Build perimeter first: `cargo build --release && cargo run --release -p perimeter-bench`. In this
/// comparison files are written under TMPDIR, or where that is not set in memory, if there is room.
#[derive(Debug, Parser)]
#[command(version, args_conflicts_with_subcommands = true)]
struct Cli {
    #[command(subcommand)]
    part: Option<Part>,
    #[command(flatten)]
    options: compare::Options,
}

/// The parts that a run starts, usable by hand as well: to profile a proxy, start `upstream`, then the proxy under
/// the profiler, then `load`.
#[derive(Debug, Subcommand)]
enum Part {
    /// Answer scripts on a free port.
    Upstream {
        /// Answer within TLS as well, on another one, and write the certificate to trust into this file.
        #[arg(long, value_name = "FILE")]
        tls: Option<PathBuf>,
    },
    /// Forward plainly, on a free port.
    Floor(floor::Options),
    /// Forward bytes alone, on a free port.
    Tcp {
        /// Where to.
        #[arg(long)]
        upstream: SocketAddr,
    },
    /// Run one workload against something that listens.
    Load {
        /// Where it listens.
        #[arg(long)]
        to: SocketAddr,
        /// Which one; the connections are its own.
        #[arg(long)]
        workload: String,
        /// How many requests, in place of its own number.
        #[arg(long)]
        requests: Option<u64>,
    },
    /// Measure what reading costs by itself: the scribe beside serde_json, per MiB of request and per event.
    Scribe(scribe::Options),
    /// Measure what sessions cost: per request, in memory, and when many of them begin or end at once.
    Sessions(sessions::Options),
    /// Measure what an idle client connection takes of a proxy's memory, and whether it keeps one to the upstream.
    Idle(state::idle::Options),
    /// Measure the cold start, from exec to the first answer, and what is resident then.
    Start(state::start::Options),
    /// Measure CPU time per request as connections and requests grow.
    Growth(state::growth::Options),
    /// Run mixed traffic for minutes, and see whether memory and cost stay as they are.
    Soak(state::soak::Options),
    /// Count instructions per request and per event, under valgrind.
    Instructions(state::instructions::Options),
    /// Be perimeter with an interceptor that may sleep.
    #[command(hide = true)]
    SlowProxy {
        #[arg(last = true)]
        arguments: Vec<OsString>,
    },
    /// Become a program on some cores that dies with its parent.
    #[command(hide = true)]
    Launch {
        #[arg(long)]
        core: Vec<usize>,
        #[arg(last = true)]
        command: Vec<OsString>,
    },
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    let result = match cli.part {
        None => compare::run(&cli.options),
        Some(Part::Upstream { tls }) => with_descriptors(|| upstream::run(tls.as_deref())),
        Some(Part::Floor(options)) => with_descriptors(|| floor::run(&options)),
        Some(Part::Tcp { upstream }) => with_descriptors(|| forwarder::run(upstream)),
        Some(Part::Load { to, workload, requests }) => {
            with_descriptors(|| load_only(to, &workload, requests))
        }
        Some(Part::Scribe(options)) => scribe::run(&options),
        Some(Part::Sessions(options)) => sessions::run(&options),
        Some(Part::Idle(options)) => state::idle::run(&options),
        Some(Part::Start(options)) => state::start::run(&options),
        Some(Part::Growth(options)) => state::growth::run(&options),
        Some(Part::Soak(options)) => state::soak::run(&options),
        Some(Part::Instructions(options)) => state::instructions::run(&options),
        Some(Part::SlowProxy { arguments }) => return slow::run(arguments),
        Some(Part::Launch { core, command }) => targets::launch(&core, &command),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            _ = writeln!(io::stderr(), "perimeter-bench: {error}");
            ExitCode::from(if matches!(error, Error::Usage(_)) { 2 } else { 1 })
        }
    }
}

/// Many streams need many of them, also where a part is started by hand.
fn with_descriptors(part: impl FnOnce() -> Result<(), Error>) -> Result<(), Error> {
    descriptors::raise().doing("raising the limit of descriptors")?;
    part()
}

fn load_only(to: SocketAddr, name: &str, requests: Option<u64>) -> Result<(), Error> {
    let workload = workload::ALL.iter().find(|workload| workload.name == name).ok_or_else(|| {
        Error::Usage(format!("no workload is called {name}; there are {}", workload::names()))
    })?;
    let mut load = Load::connect(to, workload)?;
    let (outcome, what) = match (workload.way, workload.exchange) {
        (Way::Held(_), _) if requests.is_some() => {
            return Err(Error::Usage(format!(
                "{name} is so many streams at once, for a while: no --requests"
            )));
        }
        (Way::Held(window), Exchange::Stream { gap, .. }) => {
            let (outcome, _) = load.hold(workload.exchange, gap, window, || Ok(()))?;
            let what = format!("{} events of {} streams", outcome.latencies.len(), workload.connections);
            (outcome, what)
        }
        (_, exchange) => {
            let requests = requests.unwrap_or(workload.requests);
            (load.run(exchange, requests)?, format!("{requests} requests"))
        }
    };
    let mut latencies = outcome.latencies;
    latencies.sort_unstable();
    let quantile = |q| Duration::from_nanos(statistics::quantile(&latencies, q));
    let (p50, p99, took) = (quantile(0.5), quantile(0.99), Duration::from_nanos(outcome.took));
    writeln!(io::stdout(), "{name}: {what} in {took:?}, p50 {p50:?}, p99 {p99:?}").doing("writing")
}
