//! The workloads, and the bytes that load generator and upstream agree on.

use std::time::Duration;

use crate::chat;

/// What CPU time is divided by.
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
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exchange {
    /// A POST of `body` bytes, answered by [`answer`].
    Json { body: usize },
    /// A 1 KiB POST, answered by a stream of events `gap` apart; no gap is flat out.
    Stream { events: u32, gap: Duration },
}

impl Exchange {
    /// The same kind of exchange, as short as it can be, to open connections and fill caches with.
    pub(crate) fn warm_up(self) -> Self {
        match self {
            Self::Json { .. } => self,
            Self::Stream { .. } => Self::Stream { events: 8, gap: Duration::ZERO },
        }
    }

    /// What the upstream is to answer with, where that is not a JSON answer: so many events, so many microseconds
    /// apart. A header says so, since the path is that of the API.
    fn script(self) -> Option<String> {
        match self {
            Self::Json { .. } => None,
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

    /// The body of the request.
    fn body(self) -> Vec<u8> {
        match self {
            Self::Json { body } => chat::request(body, false),
            Self::Stream { .. } => chat::request(KIB, true),
        }
    }

    /// The bytes of the request, its head shaped like the one of the OpenAI SDK.
    pub(crate) fn request(self, host: &str) -> Vec<u8> {
        let script = self.script().map_or_else(String::new, |script| format!("{SCRIPT}: {script}\r\n"));
        let body = self.body();
        let mut bytes = format!(
            "POST {PATH} HTTP/1.1\r\nHost: {host}\r\n{REQUEST_HEADERS}{script}Content-Length: {}\r\n\r\n",
            body.len()
        )
        .into_bytes();
        bytes.extend(body);
        bytes
    }
}

/// A workload: which exchange, over how many connections, how often in a round.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Workload {
    pub(crate) name: &'static str,
    pub(crate) exchange: Exchange,
    pub(crate) unit: Unit,
    pub(crate) connections: usize,
    pub(crate) requests: u64,
}

impl Workload {
    /// How many units so many requests are.
    pub(crate) fn units(&self, requests: u64) -> f64 {
        let requests = requests as f64;
        match (self.unit, self.exchange) {
            (Unit::Mib, Exchange::Json { body }) => requests * mebibytes(body),
            (Unit::Event, Exchange::Stream { events, .. }) => requests * f64::from(events),
            _ => requests,
        }
    }
}

fn mebibytes(bytes: usize) -> f64 {
    bytes as f64 / (1024.0 * 1024.0)
}

const KIB: usize = 1024;

/// Every workload, in the order of the report.
pub(crate) const ALL: &[Workload] = &[
    json_workload("w1-c1", KIB, Unit::Request, 1, 2_000),
    json_workload("w1-c16", KIB, Unit::Request, 16, 16_000),
    json_workload("w1-c64", KIB, Unit::Request, 64, 24_000),
    json_workload("w2-256k", 256 * KIB, Unit::Mib, 4, 1_200),
    json_workload("w2-2m", 2048 * KIB, Unit::Mib, 4, 200),
    stream_workload("w3-1ms", 200, 1_000, 48),
    stream_workload("w3-20ms", 50, 20_000, 16),
    stream_workload("w3-flood", 200, 0, 320),
];

const fn json_workload(
    name: &'static str,
    body: usize,
    unit: Unit,
    connections: usize,
    requests: u64,
) -> Workload {
    Workload { name, exchange: Exchange::Json { body }, unit, connections, requests }
}

const fn stream_workload(name: &'static str, events: u32, gap_micros: u64, requests: u64) -> Workload {
    let exchange = Exchange::Stream { events, gap: Duration::from_micros(gap_micros) };
    Workload { name, exchange, unit: Unit::Event, connections: 16, requests }
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
            let length = exchange.body().len();
            assert_eq!(Exchange::asked(PATH, exchange.script().as_deref(), length), Some(*exchange));
        }
        assert_eq!(Exchange::asked("/else", None, 0), None);
        assert_eq!(Exchange::asked(PATH, Some("some"), 0), None);
    }

    #[test]
    fn bodies_are_as_long_as_the_table_says() {
        assert_eq!(answer_body().len(), 1024);
        for (name, length) in
            [("w1-c1", 1024), ("w2-256k", 256 * 1024), ("w2-2m", 2048 * 1024), ("w3-1ms", 1024)]
        {
            let workload = ALL.iter().find(|workload| workload.name == name).unwrap();
            assert_eq!(workload.exchange.body().len(), length, "{name}");
        }
    }

    #[test]
    fn units_are_counted_per_request_mebibyte_and_event() {
        let units = |name| ALL.iter().find(|workload| workload.name == name).map(|found| found.units(8));
        assert_eq!(units("w1-c1"), Some(8.0));
        assert_eq!(units("w2-256k"), Some(2.0));
        assert_eq!(units("w3-1ms"), Some(1600.0));
    }
}
