//! Many sessions: the memory that they take, and what beginning and ending so many costs.

use std::fs;
use std::io;
use std::process::Command;
use std::time::Duration;

use perimeter::measure::Scribe;
use serde::Serialize;

use super::each;
use super::talk::{Dialect, Talk, Turn};
use crate::clock::thread_time;
use crate::error::{Doing as _, Error};
use crate::statistics::Spread;

/// Something that was measured.
#[derive(Debug, Serialize)]
pub(super) struct Figure {
    pub(super) what: String,
    pub(super) of: Spread,
    pub(super) unit: &'static str,
}

impl Figure {
    fn one(what: impl Into<String>, figure: f64, unit: &'static str) -> Self {
        Self { what: what.into(), of: Spread { median: figure, min: figure, max: figure }, unit }
    }

    fn spread(what: impl Into<String>, figures: &[f64], unit: &'static str) -> Option<Self> {
        Some(Self { what: what.into(), of: Spread::of(figures.iter().copied())?, unit })
    }
}

/// Milliseconds that this thread works for it.
fn millis<T>(work: impl FnOnce() -> T) -> (T, f64) {
    let started = thread_time();
    let done = work();
    (done, thread_time().saturating_sub(started) as f64 / 1e6)
}

/// An opening of 1 KiB, with a short answer.
fn opening() -> Talk {
    Talk::new(Dialect::Chat, 3, 900)
}

/// What sessions cost an exchange of 1 KiB: openings, each of its own.
pub(super) fn off(rounds: usize) -> Vec<Figure> {
    const BATCH: u64 = 500;
    let talk = opening();
    let (mut on, mut off) = (Scribe::holding(Some(10_000)), Scribe::holding(None));
    let (mut with, mut without, mut ratios) = (Vec::new(), Vec::new(), Vec::new());
    for round in 0..=rounds as u64 {
        let turns: Vec<Turn> =
            (round * BATCH..(round + 1) * BATCH).map(|number| talk.before(number, false)).collect();
        let read = |scribe: &mut Scribe| {
            each(&turns, |turn| {
                scribe.read(&turn.call());
            })
        };
        let (on, off) = if round % 2 == 0 {
            (read(&mut on), read(&mut off))
        } else {
            let off = read(&mut off);
            (read(&mut on), off)
        };
        // The first one warms up.
        if round > 0 {
            with.push(on);
            without.push(off);
            ratios.push(on / off);
        }
    }
    [
        Figure::spread("1 KiB exchange, sessions off", &without, "µs"),
        Figure::spread("1 KiB exchange, an opening each", &with, "µs"),
        Figure::spread("the second to the first", &ratios, "×"),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// Many openings by one credential, that differ or do not.
pub(super) fn one_shot(calls: u64) -> Vec<Figure> {
    let talk = opening();
    let mut figures = Vec::new();
    for (what, same) in [("different", false), ("identical", true)] {
        let mut scribe = Scribe::holding(Some(usize::try_from(calls).unwrap_or(usize::MAX)));
        let tenth = calls / 10;
        let (mut tenths, mut longest) = (Vec::new(), 0_f64);
        for part in 0..10 {
            let mut total = 0.0;
            for number in part * tenth..(part + 1) * tenth {
                let turn = talk.before(if same { 0 } else { number }, false);
                let (_, took) = millis(|| scribe.read(&turn.call()));
                total += took;
                longest = longest.max(took);
            }
            tenths.push(total * 1000.0 / tenth as f64);
        }
        let last = tenths.last().copied().unwrap_or(0.0) / tenths.first().copied().unwrap_or(1.0);
        figures.extend(Figure::spread(format!("{calls} {what} openings: a call"), &tenths, "µs"));
        figures.push(Figure::one(format!("{calls} {what} openings: last tenth to first"), last, "×"));
        figures.push(Figure::one(format!("{calls} {what} openings: longest call"), longest, "ms"));
        figures.push(Figure::one(format!("{calls} {what} openings: held"), scribe.held() as f64, "sessions"));
    }
    figures
}

/// All of many sessions end at the same time, and then are forgotten at the same time.
pub(super) fn expiry(sessions: u64) -> Vec<Figure> {
    let talk = Talk::new(Dialect::Chat, 3, 100);
    let mut scribe = Scribe::holding(Some(usize::try_from(sessions).unwrap_or(usize::MAX)));
    let mut longest = 0_f64;
    for number in 0..sessions {
        let turn = talk.before(number, false);
        longest = longest.max(millis(|| scribe.read(&turn.call())).1);
    }
    let mut figures = vec![Figure::one(format!("{sessions} sessions begin: longest call"), longest, "ms")];
    for (what, later) in [("end", Duration::from_secs(301)), ("are forgotten", Duration::from_hours(48))] {
        scribe.pass(later);
        let (mut ticks, mut total, mut longest, mut longest_call) = (0_u32, 0.0, 0_f64, 0_f64);
        let before = scribe.held();
        loop {
            let held = scribe.held();
            let (told, took) = millis(|| scribe.tick());
            if told == 0 && scribe.held() == held {
                break;
            }
            ticks += 1;
            total += took;
            longest = longest.max(took);
            // Somebody goes on calling.
            let turn = talk.before(sessions + u64::from(ticks % 8), true);
            longest_call = longest_call.max(millis(|| scribe.read(&turn.call())).1);
        }
        let mut figure = |name: &str, figure, unit| {
            figures.push(Figure::one(format!("{before} sessions {what}: {name}"), figure, unit));
        };
        figure("longest look at the time", longest, "ms");
        figure("all looks", total, "ms");
        figure("how many looks", f64::from(ticks), "");
        figure("longest call meanwhile", longest_call, "ms");
    }
    figures
}

/// What sessions take of the memory, each case in a process of its own.
pub(super) fn memory(sessions: u64) -> Result<Vec<Figure>, Error> {
    let mut figures = Vec::new();
    for calls in [25, 50] {
        for named in [false, true] {
            let mut command = Command::new(std::env::current_exe().doing("asking where we are")?);
            command.args([
                "sessions",
                "--memory-of",
                &calls.to_string(),
                "--sessions",
                &sessions.to_string(),
            ]);
            if named {
                command.arg("--named");
            }
            let output = command.output().doing("measuring memory")?;
            let bytes: u64 = String::from_utf8_lossy(&output.stdout).trim().parse().unwrap_or(0);
            let who = if named { "named" } else { "unnamed" };
            figures.push(Figure::one(
                format!("{sessions} {who} sessions of {calls} calls: resident"),
                bytes as f64 / (1024.0 * 1024.0),
                "MiB",
            ));
            let each = bytes as f64 / sessions as f64;
            figures.push(Figure::one(format!("{who}, {calls} calls: a session"), each, "bytes"));
        }
    }
    Ok(figures)
}

/// How much more is resident with so many sessions of so many calls each. They speak in turn, a thousand at a time.
pub(super) fn memory_here(sessions: u64, calls: u32, named: bool) -> io::Result<u64> {
    const TOGETHER: u64 = 1000;
    let talks: Vec<Talk> =
        (0..calls).map(|call| Talk::new(Dialect::Chat, 3 + 2 * call as usize, 24)).collect();
    let mut scribe = Scribe::holding(Some(usize::try_from(sessions).unwrap_or(usize::MAX)));
    // What is there without sessions: the prices, and what a first call needs.
    scribe.read(&Talk::new(Dialect::Chat, 3, 24).before(u64::from(u32::MAX), false).call());
    let before = resident()?;
    let mut from = 0;
    while from < sessions {
        let to = (from + TOGETHER).min(sessions);
        for talk in &talks {
            for number in from..to {
                scribe.read(&talk.before(number, named).call());
            }
        }
        from = to;
    }
    let after = resident()?;
    if scribe.held() as u64 != sessions {
        return Err(io::Error::other(format!("{} sessions are held", scribe.held())));
    }
    Ok(after.saturating_sub(before))
}

/// Bytes.
fn resident() -> io::Result<u64> {
    let status = fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line.and_then(|line| line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok());
    kib.map(|kib| kib * 1024).ok_or_else(|| io::Error::other("no VmRSS in /proc/self/status"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_that_are_made_in_turn_are_one_session_each() {
        for named in [false, true] {
            assert!(memory_here(20, 5, named).is_ok());
        }
    }

    #[test]
    fn all_of_them_end_and_are_forgotten() {
        let figures = expiry(100);
        assert!(figures.iter().any(|figure| figure.what.starts_with("100 sessions end")));
        assert!(figures.iter().any(|figure| figure.what.contains("are forgotten")));
    }

    #[test]
    fn openings_begin_sessions() {
        let figures = one_shot(100);
        let held = figures.iter().find(|figure| figure.what == "100 different openings: held");
        assert_eq!(held.map(|figure| figure.of.median), Some(100.0));
    }
}
