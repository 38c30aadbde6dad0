//! Counters as plain atomics, and their text form for Prometheus.
//!
//! Each forwarding thread has its own, so that counting never makes two threads share a cache line; whoever asks
//! for the text gets their sum.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering::Relaxed};
use std::time::Duration;

mod genai;
mod observation;
mod streams;
mod text;

pub(crate) use observation::Observation;
use text::Text;

/// How an exchange came to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// The response was passed on whole.
    Complete,
    /// The client went away before that.
    ClientLeft,
    /// The upstream's body broke off.
    UpstreamBroke,
    /// There was no response but our own: see `x-perimeter-error`.
    Failed,
    /// We did not forward the request.
    Refused,
    /// The connection went on to speak another protocol.
    Upgraded,
}

impl Outcome {
    pub(crate) const ALL: [Self; 6] =
        [Self::Complete, Self::ClientLeft, Self::UpstreamBroke, Self::Failed, Self::Refused, Self::Upgraded];

    /// The word for it in logs and metrics.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Complete => "complete",
            Self::ClientLeft => "client_left",
            Self::UpstreamBroke => "upstream_broke",
            Self::Failed => "failed",
            Self::Refused => "refused",
            Self::Upgraded => "upgraded",
        }
    }
}

/// Why a request was not forwarded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// hyper could not read its head.
    Malformed,
    /// hyper found its head too large.
    TooLarge,
    /// Its head did not come within `server.header_timeout`.
    HeaderTimeout,
    /// Two parsers could read its head differently.
    Ambiguous,
    /// Its body broke its framing after the head had travelled.
    MalformedBody,
    /// Its method is CONNECT.
    Method,
    /// The client shows none of `server.client_keys`, where it has to.
    ClientKey,
    /// A web page sent it, or it calls this listener by a name that is not its own.
    Foreign,
}

impl Refusal {
    const ALL: [Self; 8] = [
        Self::Malformed,
        Self::TooLarge,
        Self::HeaderTimeout,
        Self::Ambiguous,
        Self::MalformedBody,
        Self::Method,
        Self::ClientKey,
        Self::Foreign,
    ];

    /// The word for it in `x-perimeter-error`, in logs and in metrics.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Malformed => "malformed_head",
            Self::TooLarge => "head_too_large",
            Self::HeaderTimeout => "header_timeout",
            Self::Ambiguous => "ambiguous_request",
            Self::MalformedBody => "malformed_body",
            Self::Method => "method_not_allowed",
            Self::ClientKey => "invalid_api_key",
            Self::Foreign => "foreign_page",
        }
    }
}

const CLASSES: [&str; 6] = ["none", "1xx", "2xx", "3xx", "4xx", "5xx"];

/// Upper bounds of the histograms of our own added time, µs.
const BUCKETS: [u64; 14] = [2, 5, 10, 20, 50, 100, 200, 500, 1_000, 2_000, 5_000, 10_000, 50_000, 100_000];

/// What one forwarding thread has counted.
#[derive(Debug, Default)]
pub(crate) struct Metrics {
    exchanges: [[AtomicU64; Outcome::ALL.len()]; CLASSES.len()],
    refused: [AtomicU64; Refusal::ALL.len()],
    request_bytes: AtomicU64,
    response_bytes: AtomicU64,
    open_exchanges: AtomicI64,
    open_connections: AtomicI64,
    connections: AtomicU64,
    upstream_opened: AtomicU64,
    upstream_reused: AtomicU64,
    added: Added,
    added_chunk: Added,
}

/// A histogram of our own added time.
#[derive(Debug, Default)]
struct Added {
    buckets: [AtomicU64; BUCKETS.len() + 1],
    sum_ns: AtomicU64,
}

impl Added {
    fn add(&self, time: Duration) {
        let micros = time.as_nanos().div_ceil(1000);
        let bucket = BUCKETS.iter().position(|bound| micros <= u128::from(*bound)).unwrap_or(BUCKETS.len());
        if let Some(count) = self.buckets.get(bucket) {
            count.fetch_add(1, Relaxed);
        }
        self.sum_ns.fetch_add(u64::try_from(time.as_nanos()).unwrap_or(u64::MAX), Relaxed);
    }
}

impl Metrics {
    pub(crate) fn exchange_opened(&self) {
        self.open_exchanges.fetch_add(1, Relaxed);
    }

    /// An exchange is over: `status` as the client saw it, 0 for none.
    pub(crate) fn exchange_closed(&self, status: u16, outcome: Outcome) {
        let class = usize::from(status / 100).min(CLASSES.len() - 1);
        self.exchanges[class][outcome as usize].fetch_add(1, Relaxed);
        self.open_exchanges.fetch_sub(1, Relaxed);
    }

    pub(crate) fn refused(&self, refusal: Refusal) {
        self.refused[refusal as usize].fetch_add(1, Relaxed);
    }

    pub(crate) fn request_bytes(&self, bytes: u64) {
        self.request_bytes.fetch_add(bytes, Relaxed);
    }

    pub(crate) fn response_bytes(&self, bytes: u64) {
        self.response_bytes.fetch_add(bytes, Relaxed);
    }

    pub(crate) fn connection_opened(&self) {
        self.connections.fetch_add(1, Relaxed);
        self.open_connections.fetch_add(1, Relaxed);
    }

    pub(crate) fn connection_closed(&self) {
        self.open_connections.fetch_sub(1, Relaxed);
    }

    pub(crate) fn upstream_opened(&self) {
        self.upstream_opened.fetch_add(1, Relaxed);
    }

    pub(crate) fn upstream_reused(&self) {
        self.upstream_reused.fetch_add(1, Relaxed);
    }

    /// Our own time in an exchange, but for its bodies.
    pub(crate) fn added(&self, time: Duration) {
        self.added.add(time);
    }

    /// Our own time with a part of a response: one of many is measured.
    pub(crate) fn added_chunk(&self, time: Duration) {
        self.added_chunk.add(time);
    }
}

/// The sum of what `threads` have counted, as Prometheus reads it (text format 0.0.4).
pub(crate) fn render(
    threads: &[Arc<Metrics>],
    observation: Option<&Observation>,
    log_lines_dropped: u64,
) -> String {
    let mut text = Text::default();
    text.family(
        "perimeter_exchanges_total",
        "counter",
        "Exchanges that are over, by status class and outcome.",
    );
    for (class, class_name) in CLASSES.iter().enumerate() {
        for outcome in Outcome::ALL {
            let count = sum(threads, |m| &m.exchanges[class][outcome as usize]);
            // A pair that never comes is not shown; those that usually come are, from the start.
            if count > 0 || (outcome == Outcome::Complete && class >= 2) {
                let labels = format!("{{status=\"{class_name}\",outcome=\"{}\"}}", outcome.as_str());
                text.sample("perimeter_exchanges_total", &labels, count);
            }
        }
    }
    text.family(
        "perimeter_refused_requests_total",
        "counter",
        "Requests that were not forwarded, by reason.",
    );
    for refusal in Refusal::ALL {
        let labels = format!("{{reason=\"{}\"}}", refusal.as_str());
        text.sample(
            "perimeter_refused_requests_total",
            &labels,
            sum(threads, |m| &m.refused[refusal as usize]),
        );
    }
    for (name, help, pick) in COUNTERS {
        text.single(name, "counter", help, sum(threads, pick));
    }
    text.single(
        "perimeter_log_lines_dropped_total",
        "counter",
        "Log lines lost because nobody took them.",
        log_lines_dropped,
    );
    for (name, help, pick) in GAUGES {
        let value: i64 = threads.iter().map(|m| pick(m).load(Relaxed)).sum();
        text.single(name, "gauge", help, value);
    }
    added(
        &mut text,
        "perimeter_added_seconds",
        "The proxy's own time in an exchange: request head read to handed over, and response head likewise.",
        threads,
        |metrics| &metrics.added,
    );
    added(
        &mut text,
        "perimeter_added_chunk_seconds",
        "The proxy's own time with a part of a response: read to first offered to the client. Of every eighth part.",
        threads,
        |metrics| &metrics.added_chunk,
    );
    if let Some(observation) = observation {
        observation.render(&mut text);
    }
    text.into_page()
}

type Counter = (&'static str, &'static str, fn(&Metrics) -> &AtomicU64);
type Gauge = (&'static str, &'static str, fn(&Metrics) -> &AtomicI64);

const COUNTERS: [Counter; 5] = [
    ("perimeter_request_bytes_total", "Bytes of request bodies passed on.", |m| &m.request_bytes),
    ("perimeter_response_bytes_total", "Bytes of response bodies passed on.", |m| &m.response_bytes),
    ("perimeter_connections_total", "Client connections accepted.", |m| &m.connections),
    ("perimeter_upstream_connections_opened_total", "Connections opened to the upstream.", |m| {
        &m.upstream_opened
    }),
    (
        "perimeter_upstream_connections_reused_total",
        "Exchanges that went over an upstream connection that was open already.",
        |m| &m.upstream_reused,
    ),
];

const GAUGES: [Gauge; 2] = [
    ("perimeter_open_exchanges", "Exchanges under way.", |m| &m.open_exchanges),
    ("perimeter_open_connections", "Client connections open.", |m| &m.open_connections),
];

fn added(text: &mut Text, name: &str, help: &str, threads: &[Arc<Metrics>], pick: fn(&Metrics) -> &Added) {
    text.family(name, "histogram", help);
    let mut below = 0;
    for (bucket, bound) in BUCKETS.iter().enumerate() {
        below += sum(threads, |m| &pick(m).buckets[bucket]);
        let labels = format!("{{le=\"{}\"}}", *bound as f64 / 1e6);
        text.sample(&format!("{name}_bucket"), &labels, below);
    }
    below += sum(threads, |m| &pick(m).buckets[BUCKETS.len()]);
    text.sample(&format!("{name}_bucket"), "{le=\"+Inf\"}", below);
    text.sample(&format!("{name}_sum"), "", sum(threads, |m| &pick(m).sum_ns) as f64 / 1e9);
    text.sample(&format!("{name}_count"), "", below);
}

fn sum(threads: &[Arc<Metrics>], pick: impl Fn(&Metrics) -> &AtomicU64) -> u64 {
    threads.iter().map(|m| pick(m).load(Relaxed)).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn threads_are_summed_and_buckets_are_cumulative() {
        let threads = [Arc::new(Metrics::default()), Arc::new(Metrics::default())];
        for thread in &threads {
            thread.exchange_opened();
            thread.exchange_closed(200, Outcome::Complete);
            thread.exchange_opened();
            thread.added(Duration::from_micros(15));
        }
        threads[0].added(Duration::from_secs(1));
        let text = render(&threads, None, 7);
        for line in [
            "perimeter_exchanges_total{status=\"2xx\",outcome=\"complete\"} 2",
            "perimeter_open_exchanges 2",
            "perimeter_added_seconds_bucket{le=\"0.00001\"} 0",
            "perimeter_added_seconds_bucket{le=\"0.00002\"} 2",
            "perimeter_added_seconds_bucket{le=\"+Inf\"} 3",
            "perimeter_added_seconds_sum 1.00003",
            "perimeter_log_lines_dropped_total 7",
        ] {
            assert!(text.lines().any(|found| found == line), "no {line:?} in\n{text}");
        }
    }
}
