//! The cold start: from exec to the first answer, and what is resident before and after it.

use std::fs;
use std::io::{self, Write as _};

use serde::Serialize;

use super::{Setup, figure, mib, micros, process, resident, small, start};
use crate::clock;
use crate::error::Error;
use crate::load::Load;
use crate::memory::Resident;
use crate::statistics::Spread;
use crate::targets::{Kind, Launcher, Target};

#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    #[command(flatten)]
    setup: Setup,
    /// How often each is started, in turn.
    #[arg(long, default_value_t = 20)]
    starts: usize,
    /// What to start.
    #[arg(long, value_enum, value_delimiter = ',', default_values_t = KINDS, hide_possible_values = true)]
    targets: Vec<Kind>,
}

const KINDS: [Kind; 6] =
    [Kind::Floor, Kind::Nginx, Kind::Haproxy, Kind::Perimeter, Kind::PerimeterDefault, Kind::PerimeterAll];

#[derive(Debug, Serialize)]
struct Row {
    target: &'static str,
    /// Milliseconds from exec to the first answer.
    first_answer_ms: Option<Spread>,
    /// At rest, when nothing has come yet.
    idle: Option<Resident>,
    /// At rest, after the answer; the last start's.
    memory: Option<Resident>,
}

/// Starts each in turn, so often.
///
/// # Errors
/// [`Error`], where something does not start, or answers wrongly.
pub(crate) fn run(options: &Options) -> Result<(), Error> {
    let mut launcher = options.setup.launcher()?;
    launcher.how.cold = true;
    let mut starts: Vec<(Kind, Vec<f64>, Option<Resident>)> =
        options.targets.iter().map(|kind| (*kind, Vec::new(), None)).collect();
    for _ in 0..options.starts {
        for (kind, times, memory) in &mut starts {
            let Some(target) = start(&launcher, *kind)? else { continue };
            times.push(first_answer(&target)?);
            *memory = Some(resident(process(&target)?)?);
        }
    }
    let mut rows = Vec::new();
    for (kind, times, memory) in starts {
        let idle = idle(&launcher, kind)?;
        rows.push(Row { target: kind.name(), first_answer_ms: Spread::of(times), idle, memory });
    }
    let header = [
        "target",
        "first answer ms",
        "(min–max)",
        "MiB before",
        "of it anonymous",
        "MiB after",
        "of it anonymous",
        "of files",
    ];
    options.setup.tell(&header, &rows, Row::cells)?;
    binary(&launcher);
    Ok(())
}

/// What is resident of a process that listens, and was asked nothing.
fn idle(launcher: &Launcher, kind: Kind) -> Result<Option<Resident>, Error> {
    let Some(target) = start(launcher, kind)? else { return Ok(None) };
    resident(process(&target)?).map(Some)
}

/// Milliseconds since it was started, once it has answered.
fn first_answer(target: &Target) -> Result<f64, Error> {
    let one = small(1);
    Load::connect(target.address, &one)?.run(one.exchange, 1)?;
    let started = target.started().unwrap_or_default();
    Ok(micros(clock::now().saturating_sub(started)) / 1000.0)
}

/// How large perimeter is, if it is there.
fn binary(launcher: &Launcher) {
    let Ok(file) = fs::metadata(&launcher.perimeter) else { return };
    let mebibytes = file.len() as f64 / (1024.0 * 1024.0);
    _ = writeln!(io::stdout(), "\nperimeter's binary: {mebibytes:.2} MiB");
}

impl Row {
    fn cells(&self) -> Vec<String> {
        let spread = self.first_answer_ms;
        let told = |memory: &Option<Resident>, of: fn(&Resident) -> u64| {
            figure(memory.as_ref().map(|memory| mib(of(memory))), 1)
        };
        vec![
            self.target.to_owned(),
            figure(spread.map(|spread| spread.median), 1),
            spread.map_or_else(String::new, |spread| format!("{:.1}–{:.1}", spread.min, spread.max)),
            told(&self.idle, |memory| memory.all),
            told(&self.idle, |memory| memory.anonymous),
            told(&self.memory, |memory| memory.all),
            told(&self.memory, |memory| memory.anonymous),
            told(&self.memory, |memory| memory.all.saturating_sub(memory.anonymous)),
        ]
    }
}
