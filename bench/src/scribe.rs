//! What it costs to read along, beside what serde_json takes for the same bytes: in this process, on this thread, by
//! the clock of its work. No sockets, no queues, no other threads.

use std::fs;
use std::hint::black_box;
use std::io::{self, Write as _};
use std::path::PathBuf;

use bytes::Bytes;
use perimeter::measure::{Call, Scribe};
use serde::Serialize;
use serde::de::IgnoredAny;
use serde_json::Value;

use crate::clock::thread_time;
use crate::error::{Doing as _, Error};
use crate::report::{Machine, aligned, ends, middle};
use crate::statistics::Spread;
use crate::workload::Unit;
use crate::{agent, chat, event, streams};

#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// A third of the rounds, a quarter of the time each.
    #[arg(long)]
    quick: bool,
    /// How often each reader reads each conversation for a while.
    #[arg(long)]
    rounds: Option<usize>,
    /// Only the cases whose names hold this.
    #[arg(long, value_name = "TEXT")]
    only: Option<String>,
    /// Also write the figures as JSON.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

/// Calls and their answers, cut as they come from sockets.
struct Conversation {
    path: &'static str,
    /// Whether the client says that they are one session: another in each reading.
    in_session: bool,
    requests: Vec<Vec<Bytes>>,
    /// To each of them.
    response: Vec<Bytes>,
    /// Whether the response is SSE rather than JSON.
    is_stream: bool,
}

/// Who reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reader {
    /// serde_json into its own tree.
    Value,
    /// serde_json, keeping nothing.
    Ignored,
    Scribe,
}

impl Reader {
    const ALL: [Self; 3] = [Self::Value, Self::Ignored, Self::Scribe];

    /// How many documents or notices it was.
    fn read(self, case: &Case, scribe: &mut Scribe) -> usize {
        match self {
            Self::Value => parse::<Value>(&case.json),
            Self::Ignored => parse::<IgnoredAny>(&case.json),
            Self::Scribe => {
                let Conversation { path, in_session, requests, response, is_stream } = &case.conversation;
                let kind = if *is_stream { "text/event-stream" } else { "application/json" };
                let session = in_session.then(|| scribe.new_session());
                let session = session.as_deref();
                let call = |request| Call { path, session, key: None, request, response, content_type: kind };
                requests.iter().map(|request| scribe.read(&call(request))).sum()
            }
        }
    }

    /// Nanoseconds that reading so often takes.
    fn time(self, case: &Case, times: usize, scribe: &mut Scribe) -> u64 {
        let started = thread_time();
        for _ in 0..times {
            black_box(self.read(black_box(case), scribe));
        }
        thread_time().saturating_sub(started)
    }
}

/// Parses each document; how many of them are JSON: all.
fn parse<T: for<'de> serde::Deserialize<'de>>(documents: &[Bytes]) -> usize {
    documents.iter().filter(|document| serde_json::from_slice::<T>(document).map(black_box).is_ok()).count()
}

/// Something to read.
struct Case {
    name: &'static str,
    conversation: Conversation,
    /// The JSON in it: what serde_json is given, one document after the other.
    json: Vec<Bytes>,
    unit: Unit,
    units: f64,
}

/// As much as hyper hands over at once of a large body.
const CHUNK: usize = 64 * 1024;
/// Events of a stream: enough that its request and its heads do not count.
const EVENTS: u32 = 1000;

impl Case {
    fn all() -> Vec<Self> {
        vec![
            Self::exchange("1 KiB asked, 1 KiB answered", 1024, Unit::Request),
            Self::exchange("request of 256 KiB", 256 * 1024, Unit::Mib),
            Self::exchange("request of 2 MiB", 2048 * 1024, Unit::Mib),
            Self::stream("event of 150 bytes", |number| event::build(1_234_567_890, number).to_vec()),
            Self::stream("event of 320 bytes, every field", chat::full_event),
            Self::stream_of("event of 320 bytes, Responses", &streams::responses(EVENTS)),
            Self::stream_of("event of 320 bytes, Anthropic", &streams::messages()),
            Self::stream_of("event of 320 bytes, Gemini", &streams::contents()),
            Self::growing("60 turns, chat", "/v1/chat/completions", true, agent::chat()),
            Self::growing("60 turns, Responses", "/v1/responses", true, agent::responses()),
            Self::growing("60 turns, Anthropic, marks move", "/v1/messages", true, agent::messages()),
            Self::growing(
                "60 turns, Gemini",
                "/v1beta/models/gemini-2.5-pro:streamGenerateContent",
                true,
                agent::contents(),
            ),
            Self::growing("60 turns, each a session", "/v1/chat/completions", false, agent::chat()),
        ]
    }

    fn exchange(name: &'static str, length: usize, unit: Unit) -> Self {
        let (request, response) =
            (Bytes::from(chat::request(length, false)), Bytes::from(chat::answer(1024)));
        let units = if unit == Unit::Mib { length as f64 / (1024.0 * 1024.0) } else { 1.0 };
        Self {
            name,
            json: vec![request.clone(), response.clone()],
            conversation: Conversation {
                path: "/v1/chat/completions",
                in_session: false,
                requests: vec![chunks(&request)],
                response: vec![response],
                is_stream: false,
            },
            unit,
            units,
        }
    }

    /// Requests of which each brings all that was said before.
    fn growing(
        name: &'static str,
        path: &'static str,
        in_session: bool,
        requests: impl Iterator<Item = String>,
    ) -> Self {
        let json: Vec<Bytes> = requests.map(Bytes::from).collect();
        let length: usize = json.iter().map(Bytes::len).sum();
        let conversation = Conversation {
            path,
            in_session,
            requests: json.iter().map(chunks).collect(),
            response: Vec::new(),
            is_stream: false,
        };
        Self { name, conversation, json, unit: Unit::Mib, units: length as f64 / (1024.0 * 1024.0) }
    }

    /// A stream of Chat Completions: each event a chunk of its own; the three at the end come in one.
    fn stream(name: &'static str, event: impl Fn(u32) -> Vec<u8>) -> Self {
        let mut response: Vec<Bytes> = (0..EVENTS).map(|number| Bytes::from(event(number))).collect();
        response.push(chat::stream_end().into());
        Self::answered(name, "/v1/chat/completions", response)
    }

    /// Likewise, of another dialect; those at the beginning come in one too.
    fn stream_of(name: &'static str, stream: &streams::Stream) -> Self {
        let mut response = vec![Bytes::from(stream.start.clone())];
        response.extend((0..EVENTS).map(|number| Bytes::from((stream.event)(number))));
        response.push(stream.end.clone().into());
        Self::answered(name, stream.path, response)
    }

    fn answered(name: &'static str, path: &'static str, mut response: Vec<Bytes>) -> Self {
        response.retain(|chunk| !chunk.is_empty());
        let request = Bytes::from(chat::request(1024, true));
        let mut json = vec![request.clone()];
        json.extend(response.iter().flat_map(data));
        Self {
            name,
            conversation: Conversation {
                path,
                in_session: false,
                requests: vec![vec![request]],
                response,
                is_stream: true,
            },
            json,
            unit: Unit::Event,
            units: f64::from(EVENTS),
        }
    }
}

fn chunks(body: &Bytes) -> Vec<Bytes> {
    body.chunks(CHUNK).map(|chunk| body.slice_ref(chunk)).collect()
}

/// The JSON of whole events.
fn data(events: &Bytes) -> Vec<Bytes> {
    let lines = events.split(|byte| *byte == b'\n').filter_map(|line| line.strip_prefix(b"data: "));
    lines.filter(|data| *data != b"[DONE]").map(|data| events.slice_ref(data)).collect()
}

/// What each reader takes, in microseconds per unit.
#[derive(Debug, Serialize)]
struct Row {
    what: &'static str,
    unit: Unit,
    value_us: Option<Spread>,
    ignored_us: Option<Spread>,
    scribe_us: Option<Spread>,
    /// Ratios are taken round by round.
    scribe_to_value: Option<Spread>,
    scribe_to_ignored: Option<Spread>,
}

/// One round of a case: microseconds per unit, in the order of [`Reader::ALL`].
type Times = [f64; 3];

fn row(case: &Case, rounds: &[Times]) -> Row {
    let of = |reader: Reader| move |times: &Times| times[reader as usize];
    let spread = |reader| Spread::of(rounds.iter().map(of(reader)));
    let scribe_to =
        |reader| Spread::of(rounds.iter().map(|times| of(Reader::Scribe)(times) / of(reader)(times)));
    Row {
        what: case.name,
        unit: case.unit,
        value_us: spread(Reader::Value),
        ignored_us: spread(Reader::Ignored),
        scribe_us: spread(Reader::Scribe),
        scribe_to_value: scribe_to(Reader::Value),
        scribe_to_ignored: scribe_to(Reader::Ignored),
    }
}

/// Reads everything with every reader, round after round, and prints the table.
pub(crate) fn run(options: &Options) -> Result<(), Error> {
    let rounds = options.rounds.unwrap_or(if options.quick { 5 } else { 15 });
    let slice = if options.quick { 5_000_000 } else { 20_000_000 };
    let mut cases = Case::all();
    cases.retain(|case| options.only.as_ref().is_none_or(|only| case.name.contains(only.as_str())));
    let mut scribe = Scribe::default();
    let times: Vec<[usize; 3]> =
        cases.iter().map(|case| Reader::ALL.map(|reader| times(reader, case, slice, &mut scribe))).collect();
    let mut measured: Vec<Vec<Times>> = cases.iter().map(|_| Vec::new()).collect();
    for number in 0..rounds {
        for ((case, times), measured) in cases.iter().zip(&times).zip(&mut measured) {
            measured.push(round(case, times, number, &mut scribe));
        }
    }
    let rows: Vec<Row> = cases.iter().zip(&measured).map(|(case, rounds)| row(case, rounds)).collect();
    write!(io::stdout(), "{}, {rounds} rounds\n\n{}", Machine::this(), table(&rows))
        .doing("writing the table")?;
    let Some(file) = &options.json else { return Ok(()) };
    let json = serde_json::to_vec_pretty(&rows).map_err(io::Error::from).doing("writing JSON")?;
    fs::write(file, json).doing(format!("writing {}", file.display()))
}

/// How often a reader must read a case to take about `slice` nanoseconds.
fn times(reader: Reader, case: &Case, slice: u64, scribe: &mut Scribe) -> usize {
    let once = reader.time(case, 3, scribe) / 3;
    usize::try_from(slice / once.max(1)).unwrap_or(usize::MAX).clamp(1, 100_000)
}

/// Every reader once, in an order that turns.
fn round(case: &Case, times: &[usize; 3], number: usize, scribe: &mut Scribe) -> Times {
    let mut measured = [0.0; 3];
    for place in 0..Reader::ALL.len() {
        let at = (place + number) % Reader::ALL.len();
        let nanos = Reader::ALL[at].time(case, times[at], scribe);
        measured[at] = nanos as f64 / 1000.0 / times[at] as f64 / case.units;
    }
    measured
}

fn table(rows: &[Row]) -> String {
    let header =
        ["what", "per", "Value µs", "IgnoredAny µs", "scribe µs", "× Value", "(min–max)", "× IgnoredAny"];
    let mut lines = vec![header.map(str::to_owned).to_vec()];
    lines.extend(rows.iter().map(|row| {
        vec![
            row.what.to_owned(),
            row.unit.name().to_owned(),
            middle(row.value_us, 2),
            middle(row.ignored_us, 2),
            middle(row.scribe_us, 2),
            middle(row.scribe_to_value, 2),
            ends(row.scribe_to_value),
            middle(row.scribe_to_ignored, 2),
        ]
    }));
    aligned(&lines)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn serde_json_is_given_every_document_of_what_the_scribe_reads() {
        for case in Case::all() {
            let requests = case.conversation.requests.len();
            let answers = match case.unit {
                Unit::Event => case.json.len() - 1,
                _ if requests > 1 => 0,
                _ => 1,
            };
            assert_eq!(case.json.len(), requests + answers, "{}", case.name);
            let mut scribe = Scribe::default();
            assert_eq!(Reader::Value.read(&case, &mut scribe), case.json.len(), "{}", case.name);
            assert_eq!(Reader::Ignored.read(&case, &mut scribe), case.json.len(), "{}", case.name);
            if case.unit == Unit::Event {
                assert!((1000..1010).contains(&answers), "{}", case.name);
            }
            // Two heads, both ends, the call and what answers it.
            assert!(
                Reader::Scribe.read(&case, &mut scribe) >= 4 * requests + answers.min(1000),
                "{}",
                case.name
            );
            for (request, json) in case.conversation.requests.iter().zip(&case.json) {
                assert_eq!(request.concat(), **json, "{}", case.name);
            }
        }
    }

    #[test]
    fn ratios_are_of_the_same_round() {
        let case = Case::exchange("", 1024, Unit::Request);
        let rounds = [[10.0, 5.0, 12.0], [20.0, 10.0, 24.0]];
        let read = row(&case, &rounds);
        assert_eq!(read.scribe_to_value, Some(Spread { median: 1.2, min: 1.2, max: 1.2 }));
        assert_eq!(read.value_us, Some(Spread { median: 15.0, min: 10.0, max: 20.0 }));
    }
}
