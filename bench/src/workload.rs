//! The workloads, and the bytes that load generator and upstream agree on.

use std::time::Duration;

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

    fn path(self) -> String {
        match self {
            Self::Json { .. } => "/v1/chat/completions".to_owned(),
            Self::Stream { events, gap } => format!("/v1/stream/{events}/{}", gap.as_micros()),
        }
    }

    /// The exchange that a request to `path` asks the upstream for.
    pub(crate) fn from_path(path: &str, body: usize) -> Option<Self> {
        // A proxy may have been given a base URL that puts a prefix before it.
        let path = path.strip_prefix("/v1")?;
        if path == "/chat/completions" {
            return Some(Self::Json { body });
        }
        let (events, gap) = path.strip_prefix("/stream/")?.split_once('/')?;
        Some(Self::Stream { events: events.parse().ok()?, gap: Duration::from_micros(gap.parse().ok()?) })
    }

    /// The bytes of the request, its head shaped like the one of the OpenAI SDK.
    pub(crate) fn request(self, host: &str) -> Vec<u8> {
        let length = match self {
            Self::Json { body } => body,
            Self::Stream { .. } => 1024,
        };
        let mut bytes = format!(
            "POST {} HTTP/1.1\r\nHost: {host}\r\n{REQUEST_HEADERS}Content-Length: {length}\r\n\r\n",
            self.path()
        )
        .into_bytes();
        bytes.extend(json(length));
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
    json(KIB)
}

/// The head of a stream's answer.
pub(crate) fn stream_head() -> Vec<u8> {
    format!(
        "{ANSWER_HEADERS}Content-Type: text/event-stream; charset=utf-8\r\nTransfer-Encoding: chunked\r\n\r\n"
    )
    .into_bytes()
}

/// A JSON object of exactly `length` bytes.
fn json(length: usize) -> Vec<u8> {
    const START: &[u8] = b"{\"content\":\"";
    const END: &[u8] = b"\"}";
    let text = b"The quick brown fox jumps over the lazy dog. ".iter().copied().cycle();
    let mut bytes = START.to_vec();
    bytes.extend(text.take(length.saturating_sub(START.len() + END.len())));
    bytes.extend_from_slice(END);
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_says_to_the_upstream_what_the_client_expects() {
        for workload in ALL {
            let Exchange::Json { body } = workload.exchange else {
                assert_eq!(Exchange::from_path(&workload.exchange.path(), 1024), Some(workload.exchange));
                continue;
            };
            assert_eq!(Exchange::from_path(&workload.exchange.path(), body), Some(workload.exchange));
        }
        assert_eq!(Exchange::from_path("/else", 0), None);
    }

    #[test]
    fn bodies_are_json_and_as_long_as_they_say() {
        assert_eq!(answer_body().len(), 1024);
        assert!(serde_json::from_slice::<serde_json::Value>(&json(256 * KIB)).is_ok());
    }

    #[test]
    fn units_are_counted_per_request_mebibyte_and_event() {
        let units = |name| ALL.iter().find(|workload| workload.name == name).map(|found| found.units(8));
        assert_eq!(units("w1-c1"), Some(8.0));
        assert_eq!(units("w2-256k"), Some(2.0));
        assert_eq!(units("w3-1ms"), Some(1600.0));
    }
}
