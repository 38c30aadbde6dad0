//! What is known of an exchange, told once when it is over.

use std::borrow::Cow;
use std::cell::RefCell;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU16, AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use http::{Method, Uri};

use crate::metrics::{Metrics, Outcome};

/// The account of one exchange. Both bodies hold it; when the last of them is gone the exchange is over, and
/// dropping the account counts and logs it, however it ended.
#[derive(Debug)]
pub(super) struct Account {
    metrics: Arc<Metrics>,
    /// Method and path for the access line, where somebody reads it. A clone of the URI would keep all that hyper read
    /// with it.
    request: Option<(Method, Box<str>)>,
    began: Instant,
    status: AtomicU16,
    outcome: AtomicU8,
    first_byte_ns: AtomicU64,
    request_bytes: AtomicU64,
    response_bytes: AtomicU64,
    client_broke: AtomicBool,
}

/// No outcome yet: whoever drops the account now has gone away.
const UNDECIDED: u8 = u8::MAX;

impl Account {
    pub(super) fn open(metrics: Arc<Metrics>, method: &Method, uri: &Uri) -> Arc<Self> {
        metrics.exchange_opened();
        let is_read = tracing::enabled!(target: "access", tracing::Level::INFO);
        Arc::new(Self {
            metrics,
            request: is_read.then(|| (method.clone(), uri.path().into())),
            began: Instant::now(),
            status: AtomicU16::new(0),
            outcome: AtomicU8::new(UNDECIDED),
            first_byte_ns: AtomicU64::new(0),
            request_bytes: AtomicU64::new(0),
            response_bytes: AtomicU64::new(0),
            client_broke: AtomicBool::new(false),
        })
    }

    /// When the request head had been read.
    pub(super) fn began(&self) -> Instant {
        self.began
    }

    /// The status that the client gets.
    pub(super) fn answered(&self, status: u16) {
        self.status.store(status, Relaxed);
        let nanos = u64::try_from(self.began.elapsed().as_nanos()).unwrap_or(u64::MAX);
        self.first_byte_ns.store(nanos, Relaxed);
    }

    /// When the client got the status.
    pub(super) fn answered_at(&self) -> Instant {
        self.began + Duration::from_nanos(self.first_byte_ns.load(Relaxed))
    }

    /// How it ended. The first to say so is right: what follows is only the rest falling down.
    pub(super) fn ended(&self, outcome: Outcome) {
        let _ = self.outcome.compare_exchange(UNDECIDED, outcome as u8, Relaxed, Relaxed);
    }

    pub(super) fn request_bytes(&self, bytes: usize) {
        self.request_bytes.fetch_add(bytes as u64, Relaxed);
        self.metrics.request_bytes(bytes as u64);
    }

    pub(super) fn response_bytes(&self, bytes: usize) {
        self.response_bytes.fetch_add(bytes as u64, Relaxed);
        self.metrics.response_bytes(bytes as u64);
    }

    /// The client's body broke off, or broke its framing.
    pub(super) fn client_broke(&self) {
        self.client_broke.store(true, Relaxed);
    }

    pub(super) fn has_client_broken(&self) -> bool {
        self.client_broke.load(Relaxed)
    }

    fn outcome(&self) -> Outcome {
        let decided = self.outcome.load(Relaxed);
        Outcome::ALL.into_iter().find(|outcome| *outcome as u8 == decided).unwrap_or(Outcome::ClientLeft)
    }
}

/// No longer path is remembered.
const LONGEST_KNOWN: usize = 256;

thread_local! {
    /// The last path in which there was no key: most requests of a program have the same.
    static KEYLESS: RefCell<String> = const { RefCell::new(String::new()) };
}

fn without_keys(path: &str) -> Cow<'_, str> {
    KEYLESS.with_borrow_mut(|keyless| {
        if keyless == path {
            return path.into();
        }
        let redacted = perimeter_redact::redact(path);
        if matches!(redacted, Cow::Borrowed(_)) && path.len() <= LONGEST_KNOWN {
            path.clone_into(keyless);
        }
        redacted
    })
}

impl Drop for Account {
    fn drop(&mut self) {
        let (status, outcome) = (self.status.load(Relaxed), self.outcome());
        self.metrics.exchange_closed(status, outcome);
        let Some((method, path)) = &self.request else { return };
        tracing::info!(
            target: "access",
            method = method.as_str(),
            // A key in a path is no better kept in a log.
            path = &*without_keys(path),
            status,
            outcome = outcome.as_str(),
            duration_ms = self.began.elapsed().as_secs_f64() * 1e3,
            ttfb_ms = self.first_byte_ns.load(Relaxed) as f64 / 1e6,
            request_bytes = self.request_bytes.load(Relaxed),
            response_bytes = self.response_bytes.load(Relaxed),
        );
    }
}
