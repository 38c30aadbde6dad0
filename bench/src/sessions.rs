//! What it costs to know which calls belong together: per request, as the history and the number of sessions grow; in
//! memory; and when many sessions begin or end at once. In this process, on this thread, by the clock of its work.

use std::fs;
use std::hint::black_box;
use std::io::{self, Write as _};
use std::path::PathBuf;

use perimeter::measure::{Attaching, Read, Scribe};
use serde::Serialize;
use serde_json::Value;

use self::many::Figure;
use self::talk::{Dialect, Talk, Turn};
use crate::clock::thread_time;
use crate::error::{Doing as _, Error};
use crate::report::{Machine, aligned, ends, middle};
use crate::statistics::Spread;

mod many;
mod talk;

#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// A third of the rounds, and a tenth of the sessions.
    #[arg(long)]
    quick: bool,
    /// Only the parts whose names hold this: attach, memory, expiry, one-shot, off.
    #[arg(long, value_name = "TEXT")]
    only: Option<String>,
    /// Also write the figures as JSON.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Measure the memory of sessions of so many calls each, in this process.
    #[arg(long, hide = true, value_name = "CALLS")]
    memory_of: Option<u32>,
    #[arg(long, hide = true, default_value_t = 100_000)]
    sessions: u64,
    #[arg(long, hide = true)]
    named: bool,
}

#[derive(Debug, Serialize)]
struct Report {
    attach: Vec<Row>,
    figures: Vec<Figure>,
}

/// How long a message is, bytes.
const MESSAGE: usize = 400;
/// So many conversations are gone on with at once: the clock itself takes time.
const BATCH: u64 = 16;

/// What is measured of attaching: the last call of a conversation of which all others were seen.
struct Case {
    dialect: Dialect,
    is_named: bool,
    messages: usize,
    held: u64,
}

impl Case {
    fn all(most: u64) -> Vec<Self> {
        let mut all = Vec::new();
        for dialect in [Dialect::Chat, Dialect::Anthropic] {
            for is_named in [false, true] {
                for messages in [51, 501, 2001] {
                    all.push(Self { dialect, is_named, messages, held: 10 });
                }
            }
        }
        for is_named in [false, true] {
            for held in [most / 10, most] {
                all.push(Self { dialect: Dialect::Chat, is_named, messages: 501, held });
            }
        }
        all
    }
}

/// The sessions of one case, with and without what reads.
struct Bench {
    case: Case,
    talk: Talk,
    scribe: Scribe,
    attaching: Attaching,
    /// The next conversation's number.
    next: u64,
}

/// Microseconds of one round.
#[derive(Clone, Copy)]
struct Times {
    value: f64,
    /// A pass over the bytes, counting quotes.
    pass: f64,
    /// The whole request, read.
    read: f64,
    /// A session for it, and the answer noted.
    attach: f64,
}

#[derive(Debug, Serialize)]
struct Row {
    dialect: &'static str,
    named: bool,
    messages: usize,
    held: u64,
    bytes: usize,
    new_bytes: usize,
    value_us: Option<Spread>,
    pass_us: Option<Spread>,
    read_us: Option<Spread>,
    attach_us: Option<Spread>,
    /// Ratios are taken round by round.
    read_to_value: Option<Spread>,
    attach_to_value: Option<Spread>,
    read_to_pass: Option<Spread>,
}

impl Bench {
    fn new(case: Case) -> Self {
        let most = usize::try_from(case.held + 10 * BATCH).unwrap_or(usize::MAX);
        let mut scribe = Scribe::holding(Some(most));
        let mut attaching = Attaching::holding(most);
        let short = Talk::new(case.dialect, 3, 100);
        for number in 0..case.held {
            let turn = short.before(number, case.is_named);
            scribe.read(&turn.call());
            attach(&mut attaching, number, &turn);
        }
        let talk = Talk::new(case.dialect, case.messages, MESSAGE);
        let next = case.held;
        Self { case, talk, scribe, attaching, next }
    }

    fn round(&mut self) -> Times {
        let numbers = self.next..self.next + BATCH;
        self.next = numbers.end;
        let is_named = self.case.is_named;
        for number in numbers.clone() {
            let before = self.talk.before(number, is_named);
            self.scribe.read(&before.call());
            attach(&mut self.attaching, number, &before);
        }
        let turns: Vec<Turn> = numbers.clone().map(|number| self.talk.last(number, is_named)).collect();
        let reads: Vec<Read> = numbers
            .zip(&turns)
            .filter_map(|(number, turn)| self.attaching.read(number, &turn.call(), &turn.answer))
            .collect();
        let value = each(&turns, |turn| {
            black_box(serde_json::from_slice::<Value>(turn.body()).is_ok());
        });
        let pass = each(&turns, |turn| {
            black_box(turn.body().iter().filter(|byte| **byte == b'"').count());
        });
        let mut asked = Vec::new();
        let read = each(&turns, |turn| asked.push(self.scribe.ask(&turn.call()).0));
        let attach = each(&reads, |read| {
            black_box(self.attaching.attach(read));
        });
        for (exchange, turn) in asked.iter().zip(&turns) {
            self.scribe.answer(*exchange, &turn.call());
        }
        Times { value, pass, read, attach }
    }

    fn row(&self, rounds: &[Times]) -> Row {
        let spread = |of: &dyn Fn(&Times) -> f64| Spread::of(rounds.iter().map(of));
        Row {
            dialect: self.case.dialect.name(),
            named: self.case.is_named,
            messages: self.case.messages,
            held: self.case.held,
            bytes: self.talk.last(0, false).body().len(),
            new_bytes: self.talk.new_bytes(),
            value_us: spread(&|times| times.value),
            pass_us: spread(&|times| times.pass),
            read_us: spread(&|times| times.read),
            attach_us: spread(&|times| times.attach),
            read_to_value: spread(&|times| times.read / times.value),
            attach_to_value: spread(&|times| times.attach / times.value),
            read_to_pass: spread(&|times| times.read / times.pass),
        }
    }
}

fn attach(attaching: &mut Attaching, number: u64, turn: &Turn) {
    if let Some(read) = attaching.read(number, &turn.call(), &turn.answer) {
        attaching.attach(&read);
    }
}

/// Microseconds for each of them.
fn each<T>(items: &[T], mut work: impl FnMut(&T)) -> f64 {
    let started = thread_time();
    items.iter().for_each(&mut work);
    thread_time().saturating_sub(started) as f64 / 1000.0 / items.len().max(1) as f64
}

/// Measures all of it, and prints the tables.
pub(crate) fn run(options: &Options) -> Result<(), Error> {
    if let Some(calls) = options.memory_of {
        let bytes =
            many::memory_here(options.sessions, calls, options.named).doing("asking for our memory")?;
        return writeln!(io::stdout(), "{bytes}").doing("writing");
    }
    let wants = |part: &str| options.only.as_ref().is_none_or(|only| part.contains(only.as_str()));
    let (rounds, most) = if options.quick { (5, 10_000) } else { (15, 100_000) };
    let mut report = Report { attach: Vec::new(), figures: Vec::new() };
    if wants("attach") {
        report.attach = measure_attach(rounds, most);
    }
    if wants("off") {
        report.figures.extend(many::off(rounds));
    }
    if wants("one-shot") {
        report.figures.extend(many::one_shot(most));
    }
    if wants("expiry") {
        report.figures.extend(many::expiry(most * 10));
    }
    if wants("memory") {
        report.figures.extend(many::memory(most)?);
    }
    write!(io::stdout(), "{}, {rounds} rounds\n\n{}", Machine::this(), tables(&report))
        .doing("writing the tables")?;
    let Some(file) = &options.json else { return Ok(()) };
    let json = serde_json::to_vec_pretty(&report).map_err(io::Error::from).doing("writing JSON")?;
    fs::write(file, json).doing(format!("writing {}", file.display()))
}

fn measure_attach(rounds: usize, most: u64) -> Vec<Row> {
    let mut benches: Vec<Bench> = Case::all(most).into_iter().map(Bench::new).collect();
    let mut measured: Vec<Vec<Times>> = benches.iter().map(|_| Vec::new()).collect();
    // The first one warms up.
    for number in 0..=rounds {
        for (bench, measured) in benches.iter_mut().zip(&mut measured) {
            let times = bench.round();
            if number > 0 {
                measured.push(times);
            }
        }
    }
    benches.iter().zip(&measured).map(|(bench, rounds)| bench.row(rounds)).collect()
}

fn tables(report: &Report) -> String {
    let mut text = String::new();
    if !report.attach.is_empty() {
        let header = [
            "history",
            "sessions",
            "KiB",
            "new B",
            "Value µs",
            "read µs",
            "× Value",
            "(min–max)",
            "× pass",
            "attach µs",
            "attach × Value",
        ];
        let mut lines = vec![header.map(str::to_owned).to_vec()];
        lines.extend(report.attach.iter().map(|row| {
            vec![
                format!(
                    "{}, {}, {} messages",
                    row.dialect,
                    if row.named { "named" } else { "unnamed" },
                    row.messages - 1
                ),
                row.held.to_string(),
                format!("{:.0}", row.bytes as f64 / 1024.0),
                row.new_bytes.to_string(),
                middle(row.value_us, 1),
                middle(row.read_us, 1),
                middle(row.read_to_value, 3),
                ends(row.read_to_value),
                middle(row.read_to_pass, 1),
                middle(row.attach_us, 2),
                middle(row.attach_to_value, 3),
            ]
        }));
        text.push_str(&aligned(&lines));
        text.push('\n');
    }
    if !report.figures.is_empty() {
        let mut lines = vec![["what", "figure", "(min–max)", "unit"].map(str::to_owned).to_vec()];
        lines.extend(report.figures.iter().map(|figure| {
            vec![
                figure.what.clone(),
                middle(Some(figure.of), 2),
                if figure.of.min < figure.of.max { ends(Some(figure.of)) } else { String::new() },
                figure.unit.to_owned(),
            ]
        }));
        text.push_str(&aligned(&lines));
    }
    text
}
