//! The workloads, and the bytes that load generator and upstream agree on.

use std::time::Duration;

use serde_json::Value;

use crate::chat;
use crate::descriptors;

/// What CPU time is divided by. A MiB is one of requests, heads included.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Unit {
    Request,
    Mib,
    Event,
}

impl Unit {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Request => "request",
            Self::Mib => "MiB",
            Self::Event => "event",
        }
    }
}

/// One request as its client sees it: what goes up and what must come down.
///
/// Another protocol (HTTP/2, WebSocket) is another kind of exchange: its bytes here, its upstream's answer in
/// [`crate::upstream`], and what must come down in `load/answer.rs`; what is asked of a workload stays the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exchange {
    /// A POST of `body` bytes, answered by [`answer`].
    Json { body: usize },
    /// The next turn of an agent's session ([`crate::agent::session`]), answered by [`answer`]: each connection goes
    /// through one session after the other, and no two are the same.
    Turn,
    /// A 1 KiB POST, answered by a stream of events `gap` apart; no gap is flat out.
    Stream { events: u32, gap: Duration },
}

impl Exchange {
    /// The same kind of exchange, as short as it can be, to open connections and fill caches with.
    pub(crate) fn warm_up(self) -> Self {
        match self {
            Self::Json { .. } | Self::Turn => self,
            Self::Stream { .. } => Self::Stream { events: 8, gap: Duration::ZERO },
        }
    }

    /// What the upstream is to answer with, where that is not a JSON answer: so many events, so many microseconds
    /// apart. A header says so, since the path is that of the API.
    fn script(self) -> Option<String> {
        match self {
            Self::Json { .. } | Self::Turn => None,
            Self::Stream { events, gap } => Some(format!("{events}/{}", gap.as_micros())),
        }
    }

    /// The exchange that a request to `path` with this script and so long a body asks the upstream for.
    pub(crate) fn asked(path: &str, script: Option<&str>, body: usize) -> Option<Self> {
        if path != PATH {
            return None;
        }
        let Some(script) = script else { return Some(Self::Json { body }) };
        let (events, gap) = script.split_once('/')?;
        Some(Self::Stream { events: events.parse().ok()?, gap: Duration::from_micros(gap.parse().ok()?) })
    }

    /// The body of every request of this kind; none where each has its own.
    fn body(self) -> Option<Vec<u8>> {
        match self {
            Self::Json { body } => Some(chat::request(body, false)),
            Self::Turn => None,
            Self::Stream { .. } => Some(chat::request(KIB, true)),
        }
    }

    /// The bytes of every request of this kind; none where each has its own.
    pub(crate) fn request(self, host: &str) -> Option<Vec<u8>> {
        self.body().map(|body| self.request_with(host, &body))
    }

    /// The bytes of a request with this body, its head shaped like the one of the OpenAI SDK.
    pub(crate) fn request_with(self, host: &str, body: &[u8]) -> Vec<u8> {
        let script = self.script().map_or_else(String::new, |script| format!("{SCRIPT}: {script}\r\n"));
        let mut bytes = format!(
            "POST {PATH} HTTP/1.1\r\nHost: {host}\r\n{REQUEST_HEADERS}{script}Content-Length: {}\r\n\r\n",
            body.len()
        )
        .into_bytes();
        bytes.extend(body);
        bytes
    }
}

/// How a workload's connections are used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    /// Each sends its next request as soon as its last is answered.
    Kept,
    /// So does each, over a new connection for each request.
    Reconnecting,
    /// One after the other sends a request, this far apart.
    Paced(Duration),
    /// Each sends one request at once, and events are counted for so long while all answers go on; then the
    /// connections are closed.
    Held(Duration),
}

/// A workload: which exchange, over how many connections, how often in a round.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Workload {
    pub(crate) name: &'static str,
    pub(crate) exchange: Exchange,
    pub(crate) unit: Unit,
    pub(crate) connections: usize,
    pub(crate) requests: u64,
    pub(crate) way: Way,
    /// Whether the target speaks TLS with the upstream.
    pub(crate) tls: bool,
    /// Whether somebody else computes all the while where the target runs, so that it cannot sleep between two events.
    pub(crate) busy: bool,
    /// It is measured in each so-many-th round: what takes long is measured less often.
    pub(crate) every: usize,
}

impl Workload {
    const fn new(
        name: &'static str,
        exchange: Exchange,
        unit: Unit,
        connections: usize,
        requests: u64,
    ) -> Self {
        Self {
            name,
            exchange,
            unit,
            connections,
            requests,
            way: Way::Kept,
            tls: false,
            busy: false,
            every: 1,
        }
    }

    pub(crate) const fn json(
        name: &'static str,
        body: usize,
        unit: Unit,
        connections: usize,
        requests: u64,
    ) -> Self {
        Self::new(name, Exchange::Json { body }, unit, connections, requests)
    }

    pub(crate) const fn stream(
        name: &'static str,
        events: u32,
        gap: Duration,
        connections: usize,
        requests: u64,
    ) -> Self {
        Self::new(name, Exchange::Stream { events, gap }, Unit::Event, connections, requests)
    }

    /// So many streams at once that none ends before it was measured, together 5,000 events a second: what an event
    /// costs can be compared, and load generator and upstream keep up on one core.
    const fn streams(name: &'static str, count: u32) -> Self {
        let gap = Duration::from_micros(200 * count as u64);
        let mut streams = Self::stream(name, ENDLESS, gap, count as usize, count as u64);
        streams.way = Way::Held(Duration::from_secs(2));
        streams.every = 3;
        streams
    }

    pub(crate) const fn reconnecting(mut self) -> Self {
        self.way = Way::Reconnecting;
        self
    }

    /// So many requests a second: fewer than those who watch could see, and than load and target could pass on.
    const fn paced(mut self, a_second: u64) -> Self {
        self.way = Way::Paced(Duration::from_micros(1_000_000 / a_second));
        self
    }

    const fn over_tls(mut self) -> Self {
        self.tls = true;
        self
    }

    const fn beside_others(mut self) -> Self {
        self.busy = true;
        self
    }

    /// Whether each target gets a process of its own for it: one that has forwarded before holds memory that it
    /// would give to these connections, and each speaks with one upstream.
    pub(crate) fn needs_own_process(&self) -> bool {
        self.tls || matches!(self.way, Way::Held(_))
    }

    /// The same for a target that needs so much longer that this is all there is time for.
    pub(crate) fn for_the_slow(self) -> Self {
        let each = u64::try_from(self.connections).unwrap_or(u64::MAX);
        Self { requests: (self.requests / 200).max(each).max(20).min(self.requests), ..self }
    }

    /// How many descriptors a proxy needs for it.
    pub(crate) fn descriptors(&self) -> usize {
        2 * self.connections + descriptors::OTHERS
    }
}

/// More events than any stream lives to send, in the six digits that an event has for its number.
const ENDLESS: u32 = 999_999;

const KIB: usize = 1024;

const MILLI: Duration = Duration::from_millis(1);

/// Every workload, in the order of the report.
pub(crate) const ALL: &[Workload] = &[
    Workload::json("w1-c1", KIB, Unit::Request, 1, 2_000),
    Workload::json("w1-c16", KIB, Unit::Request, 16, 16_000),
    Workload::json("w1-c64", KIB, Unit::Request, 64, 24_000),
    Workload::json("w1-rate", KIB, Unit::Request, 64, 4_000).paced(2_000),
    Workload::json("w2-256k", 256 * KIB, Unit::Mib, 4, 1_200),
    Workload::json("w2-2m", 2048 * KIB, Unit::Mib, 4, 200),
    Workload::json("w2-256k-rate", 256 * KIB, Unit::Mib, 4, 320).paced(160),
    Workload::json("w2-2m-rate", 2048 * KIB, Unit::Mib, 4, 40).paced(20),
    Workload::new("w2-grow", Exchange::Turn, Unit::Mib, 4, 480),
    Workload::new("w2-grow-rate", Exchange::Turn, Unit::Mib, 4, 480).paced(200),
    Workload::new("w3-c1", Exchange::Stream { events: 5, gap: MILLI }, Unit::Request, 1, 150),
    Workload::stream("w3-1ms", 200, MILLI, 16, 48),
    Workload::stream("w3-20ms", 50, Duration::from_millis(20), 16, 16),
    Workload::stream("w3-flood", 200, Duration::ZERO, 16, 320),
    Workload::stream("w3-flood-busy", 200, Duration::ZERO, 16, 320).beside_others(),
    Workload::json("w4-tls", KIB, Unit::Request, 16, 8_000).over_tls(),
    Workload::json("w5-reconnect", KIB, Unit::Request, 1, 1_000).reconnecting(),
    Workload::json("w5-reconnect-tls", KIB, Unit::Request, 1, 1_000).reconnecting().over_tls(),
    Workload::streams("w6-200", 200),
    Workload::streams("w6-1000", 1_000),
    Workload::streams("w6-5000", 5_000),
    Workload::streams("w6-10000", 10_000),
];

/// The names of all, as a sentence lists them.
pub(crate) fn names() -> String {
    ALL.iter().map(|workload| workload.name).collect::<Vec<_>>().join(", ")
}

const PATH: &str = "/v1/chat/completions";

/// The name of the header by which a client tells the upstream its script.
pub(crate) const SCRIPT: &str = "X-Script";

const REQUEST_HEADERS: &str = "\
Accept-Encoding: gzip, deflate\r\n\
Connection: keep-alive\r\n\
Accept: application/json\r\n\
Content-Type: application/json\r\n\
User-Agent: OpenAI/Python 2.8.1\r\n\
X-Stainless-Lang: python\r\n\
X-Stainless-Package-Version: 2.8.1\r\n\
X-Stainless-OS: Linux\r\n\
X-Stainless-Arch: x64\r\n\
X-Stainless-Runtime: CPython\r\n\
X-Stainless-Runtime-Version: 3.12.3\r\n\
Authorization: Bearer sk-made-up-0123456789abcdef0123456789abcdef\r\n";

const ANSWER_HEADERS: &str = "\
HTTP/1.1 200 OK\r\n\
Date: Sat, 21 Nov 2026 09:00:00 GMT\r\n\
Connection: keep-alive\r\n\
openai-organization: made-up\r\n\
openai-processing-ms: 312\r\n\
openai-version: 2020-10-01\r\n\
x-ratelimit-limit-requests: 10000\r\n\
x-ratelimit-remaining-requests: 9999\r\n\
x-request-id: req_0123456789abcdef0123456789abcdef\r\n\
strict-transport-security: max-age=31536000; includeSubDomains; preload\r\n";

/// The upstream's whole answer to a JSON request.
pub(crate) fn answer() -> Vec<u8> {
    let body = answer_body();
    let mut bytes =
        format!("{ANSWER_HEADERS}Content-Type: application/json\r\nContent-Length: {}\r\n\r\n", body.len())
            .into_bytes();
    bytes.extend(body);
    bytes
}

/// The body of [`answer`].
pub(crate) fn answer_body() -> Vec<u8> {
    chat::answer(KIB)
}

/// What [`answer_body`] says, as a string of JSON.
pub(crate) fn answer_text() -> String {
    let answer: Value = serde_json::from_slice(&answer_body()).unwrap_or_default();
    answer.pointer("/choices/0/message/content").map(Value::to_string).unwrap_or_default()
}

/// The head of a stream's answer.
pub(crate) fn stream_head() -> Vec<u8> {
    format!(
        "{ANSWER_HEADERS}Content-Type: text/event-stream; charset=utf-8\r\nTransfer-Encoding: chunked\r\n\r\n"
    )
    .into_bytes()
}

/// Everything behind the events of a stream: their end ([`chat::stream_end`]) as a chunk, and that of the body.
pub(crate) fn stream_end() -> Vec<u8> {
    let end = chat::stream_end();
    let mut bytes = format!("{:x}\r\n", end.len()).into_bytes();
    bytes.extend(end);
    bytes.extend_from_slice(b"\r\n0\r\n\r\n");
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_script_says_to_the_upstream_what_the_client_expects() {
        for Workload { exchange, .. } in ALL {
            let Some(body) = exchange.body() else { continue };
            assert_eq!(Exchange::asked(PATH, exchange.script().as_deref(), body.len()), Some(*exchange));
        }
        assert_eq!(Exchange::asked("/else", None, 0), None);
        assert_eq!(Exchange::asked(PATH, Some("some"), 0), None);
    }

    #[test]
    fn bodies_are_as_long_as_the_table_says() {
        assert_eq!(answer_body().len(), 1024);
        assert!(answer_text().len() > 256, "{}", answer_text());
        for (name, length) in
            [("w1-c1", 1024), ("w2-256k", 256 * 1024), ("w2-2m", 2048 * 1024), ("w3-1ms", 1024)]
        {
            let workload = ALL.iter().find(|workload| workload.name == name).unwrap();
            assert_eq!(workload.exchange.body().unwrap().len(), length, "{name}");
        }
    }

    #[test]
    fn however_many_streams_there_are_together_they_send_as_much() {
        for workload in ALL.iter().filter(|workload| matches!(workload.way, Way::Held(_))) {
            let Exchange::Stream { gap, .. } = workload.exchange else { panic!("{}", workload.name) };
            assert_eq!(gap / u32::try_from(workload.connections).unwrap(), Duration::from_micros(200));
        }
    }
}
