use std::sync::atomic::{AtomicBool, Ordering};

use perimeter_interceptor::Counter;
use tracing::{info, warn};

/// What becomes of spans, log records and data points.
#[derive(Debug)]
pub(crate) struct Counts {
    sent: Counter,
    failed: Counter,
    lost: Counter,
    retries: Counter,
    queue: Counter,
    spool: Counter,
    /// Whether some are being lost.
    losing: AtomicBool,
}

impl Counts {
    pub(crate) fn new() -> Self {
        Self {
            sent: Counter::new(
                "otlp_sent_total",
                "Spans, log records and data points that the backend took.",
            ),
            failed: Counter::new(
                "otlp_failed_total",
                "Spans, log records and data points that the backend refused.",
            ),
            lost: Counter::new(
                "otlp_lost_total",
                "Spans, log records and data points that there was no room for until the backend was back.",
            ),
            retries: Counter::new("otlp_retries_total", "Requests that failed and were made again."),
            queue: Counter::new("otlp_queue_bytes", "Bytes that wait in memory."),
            spool: Counter::new("otlp_spool_bytes", "Bytes that wait on disk."),
            losing: AtomicBool::new(false),
        }
    }

    pub(crate) fn all(&self) -> Vec<Counter> {
        [&self.sent, &self.failed, &self.lost, &self.retries, &self.queue, &self.spool]
            .into_iter()
            .cloned()
            .collect()
    }

    /// The backend took these, and there is no need to lose any for now.
    pub(crate) fn sent(&self, items: u64) {
        self.sent.value.fetch_add(items, Ordering::Relaxed);
        if self.losing.swap(false, Ordering::Relaxed) {
            info!(lost = self.lost.value.load(Ordering::Relaxed), "telemetry is not lost any more");
        }
    }

    /// The backend refused these.
    pub(crate) fn failed(&self, items: u64) {
        self.failed.value.fetch_add(items, Ordering::Relaxed);
    }

    /// These will not be sent: said once, until some are sent again.
    pub(crate) fn lost(&self, items: u64, why: &str) {
        self.lost.value.fetch_add(items, Ordering::Relaxed);
        if items > 0 && !self.losing.swap(true, Ordering::Relaxed) {
            warn!(why, "telemetry is lost");
        }
    }

    /// A request will be made again.
    pub(crate) fn retried(&self) {
        self.retries.value.fetch_add(1, Ordering::Relaxed);
    }

    /// Nothing is sent any more for now: says what is left.
    pub(crate) fn over(&self) {
        let lost = self.lost.value.load(Ordering::Relaxed);
        if lost > 0 {
            warn!(lost, "so many spans, log records and data points were lost in all");
        }
        let bytes = self.spool.value.load(Ordering::Relaxed);
        if bytes > 0 {
            info!(bytes, "telemetry that is left waits in the spool for the next run");
        }
    }

    /// How many bytes wait in memory.
    pub(crate) fn queued(&self) -> u64 {
        self.queue.value.load(Ordering::Relaxed)
    }

    pub(crate) fn queue(&self, bytes: u64) {
        self.queue.value.fetch_add(bytes, Ordering::Relaxed);
    }

    pub(crate) fn unqueue(&self, bytes: u64) {
        self.queue.value.fetch_sub(bytes, Ordering::Relaxed);
    }

    /// So many bytes wait on disk.
    pub(crate) fn spooled(&self, bytes: u64) {
        self.spool.value.store(bytes, Ordering::Relaxed);
    }
}
