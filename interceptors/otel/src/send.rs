//! On its way to the backend: batched, retried, spilled to disk, and never in anybody's way.
//!
//! An [`Outbox`] gathers what it is given into batches, and puts them into a queue for each signal: so much in memory, the
//! rest on disk. A thread for each queue, its courier, sends what is there, oldest first, and tries again until the
//! backend has answered.

use std::io;
use std::mem;
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use opentelemetry_proto::tonic::logs::v1::LogRecord;
use opentelemetry_proto::tonic::metrics::v1::Metric;
use opentelemetry_proto::tonic::trace::v1::Span;
use perimeter_interceptor::Counter;
use prost::Message;
use tracing::field::display;
use tracing::{info, warn};

use crate::settings::{Destination, Effective};

mod batch;
mod counts;
mod courier;
mod outages;
mod queue;
mod signal;
mod spool;
#[cfg(test)]
mod tests;
mod transport;

use batch::{Batch, Wrapper};
use counts::Counts;
use courier::{Courier, Said};
use outages::Outages;
use queue::{Queue, Stop, Store};
pub(crate) use signal::Signal;
use spool::Spool;
use transport::Transport;
pub use transport::{TlsError, TransportError};

/// A batch is sent when it is of so many bytes: collectors take 4 MiB at once by gRPC unless they are told otherwise.
const BATCH_BYTES: usize = 3 << 20;

/// At the end, what can be lost is said after so long.
const WORRY: Duration = Duration::from_secs(2);
/// So often it is looked whether the end is there.
const BEAT: Duration = Duration::from_millis(5);

/// Something to be sent.
#[derive(Debug)]
pub(crate) enum Item {
    /// A span.
    Span(Box<Span>),
    /// A log record.
    Log(Box<LogRecord>),
    /// What all metrics are at one time.
    Metrics(Vec<Metric>),
}

/// Takes what is to be sent. Dropped without [`Outbox::finish`], it writes what is left to the spool and waits for nobody.
#[derive(Debug)]
pub(crate) struct Outbox {
    wrapper: Wrapper,
    spans: Gathering<Span>,
    logs: Gathering<LogRecord>,
    queues: Vec<Arc<Queue>>,
    couriers: Vec<JoinHandle<()>>,
    store: Arc<Store>,
    /// How long it is tried to send what is left at the end.
    patience: Duration,
}

/// Why nothing can be sent.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SendError {
    /// There is no client for it.
    #[error(transparent)]
    Transport(#[from] TransportError),
    /// There is no thread for it.
    #[error("the system gave no thread to send from")]
    Thread(#[source] io::Error),
}

impl Outbox {
    /// Prepares to send: reads certificates, looks for what an earlier run has left, starts its threads.
    ///
    /// # Errors
    /// Where certificates cannot be read, or the system gives no thread.
    pub(crate) fn new(effective: &Effective) -> Result<Self, SendError> {
        let counts = Arc::new(Counts::new());
        let spool = effective.spool.clone().filter(|_| !effective.destinations.is_empty());
        let spool = spool.map(|spool| Spool::open(spool, &endpoints(effective), Arc::clone(&counts)));
        let store = Arc::new(Store { counts, limit: effective.queue, spool: spool.map(Mutex::new) });
        let longest = effective.destinations.iter().map(|(_, destination)| destination.timeout).max();
        let mut outbox = Self {
            wrapper: Wrapper::new(effective.resource.clone(), &effective.profiles),
            spans: Gathering::new(effective),
            logs: Gathering::new(effective),
            queues: Vec::new(),
            couriers: Vec::new(),
            store,
            patience: longest.unwrap_or_default(),
        };
        let outages = Arc::new(Outages::default());
        for (signal, destination) in &effective.destinations {
            outbox.open_queue(*signal, destination, effective, &outages)?;
        }
        outbox.announce(effective);
        Ok(outbox)
    }

    fn open_queue(
        &mut self,
        signal: Signal,
        destination: &Destination,
        effective: &Effective,
        outages: &Arc<Outages>,
    ) -> Result<(), SendError> {
        let queue = Arc::new(Queue::new(signal, Arc::clone(&self.store)));
        let courier = Courier {
            queue: Arc::clone(&queue),
            counts: Arc::clone(&self.store.counts),
            transport: Transport::new(signal, destination)?,
            schedule: effective.schedule,
            outages: Arc::clone(outages),
            backend: destination.endpoint.origin(),
            said: Said::default(),
        };
        let thread = thread::Builder::new().name("perimeter-otlp".to_owned());
        self.couriers.push(thread.spawn(|| courier.run()).map_err(SendError::Thread)?);
        self.queues.push(queue);
        Ok(())
    }

    /// Says where everything goes.
    fn announce(&self, effective: &Effective) {
        if effective.destinations.is_empty() {
            return info!("no telemetry is sent: every signal is off");
        }
        let of = |signal| effective.destination(signal).map(|to| display(&to.endpoint));
        let spool = effective.spool.as_ref().map(|spool| spool.directory.display());
        info!(
            traces = of(Signal::Traces),
            logs = of(Signal::Logs),
            metrics = of(Signal::Metrics),
            spool = spool.map_or_else(|| "none".to_owned(), |directory| directory.to_string()),
            content = effective.capture.name(),
            "telemetry is sent"
        );
    }

    /// Takes something to be sent. It may come to a write to the spool; the backend is waited for by others.
    pub(crate) fn put(&mut self, item: Item) {
        match item {
            Item::Span(span) => {
                if self.queue(Signal::Traces).is_some() && self.spans.is_full_with(*span) {
                    self.put_spans();
                }
            }
            Item::Log(log) => {
                if self.queue(Signal::Logs).is_some() && self.logs.is_full_with(*log) {
                    self.put_logs();
                }
            }
            Item::Metrics(metrics) => {
                if let Some(queue) = self.queue(Signal::Metrics).filter(|_| !metrics.is_empty()) {
                    queue.put(self.wrapper.metrics(metrics));
                }
            }
        }
    }

    /// A good moment to send what has waited for others for long enough.
    pub(crate) fn idle(&mut self) {
        if self.spans.is_due() {
            self.put_spans();
        }
        if self.logs.is_due() {
            self.put_logs();
        }
    }

    /// Nothing comes any more. What is left is written to the spool, and then sent, as long as the backend answers;
    /// where there is no spool, for a request's timeout.
    pub(crate) fn finish(mut self) {
        self.end(Stop::Finish(Instant::now() + self.patience));
        self.wait();
        for courier in mem::take(&mut self.couriers) {
            if courier.join().is_err() {
                warn!("a thread that sends telemetry has panicked");
            }
        }
        if let Some(spool) = &self.store.spool
            && let Ok(mut spool) = spool.lock()
        {
            spool.close();
        }
        self.store.counts.over();
    }

    /// Waits until nothing is sent any more. The host may wait no longer than this does: what would be lost then is said
    /// before.
    fn wait(&self) {
        let (began, mut is_said) = (Instant::now(), false);
        while self.couriers.iter().any(|courier| !courier.is_finished()) {
            let bytes = self.store.counts.queued();
            if !is_said && bytes > 0 && began.elapsed() >= WORRY {
                warn!(
                    bytes,
                    "telemetry that nothing but memory holds is lost unless the backend takes it now"
                );
                is_said = true;
            }
            thread::sleep(BEAT);
        }
    }

    /// What is counted.
    pub(crate) fn counters(&self) -> Vec<Counter> {
        self.store.counts.all()
    }

    fn end(&mut self, stop: Stop) {
        self.put_spans();
        self.put_logs();
        for queue in mem::take(&mut self.queues) {
            queue.end(stop);
        }
    }

    fn put_spans(&mut self) {
        let spans = self.spans.take();
        if let Some(queue) = self.queue(Signal::Traces).filter(|_| !spans.is_empty()) {
            queue.put(self.wrapper.spans(spans));
        }
    }

    fn put_logs(&mut self) {
        let logs = self.logs.take();
        if let Some(queue) = self.queue(Signal::Logs).filter(|_| !logs.is_empty()) {
            queue.put(self.wrapper.logs(logs));
        }
    }

    fn queue(&self, signal: Signal) -> Option<&Queue> {
        self.queues.iter().find(|queue| queue.signal == signal).map(|queue| &**queue)
    }
}

impl Drop for Outbox {
    fn drop(&mut self) {
        self.end(Stop::Abandon);
    }
}

/// Where each signal goes.
fn endpoints(effective: &Effective) -> Vec<(Signal, String)> {
    let destinations = effective.destinations.iter();
    destinations.map(|(signal, to)| (*signal, to.endpoint.uri().to_string())).collect()
}

/// What is gathered until it is enough for a batch.
#[derive(Debug)]
struct Gathering<T> {
    items: Vec<T>,
    bytes: usize,
    most: usize,
    since: Option<Instant>,
    interval: Duration,
}

impl<T: Message> Gathering<T> {
    fn new(effective: &Effective) -> Self {
        let (most, interval) = (effective.batch, effective.batch_interval);
        Self { items: Vec::new(), bytes: 0, most, since: None, interval }
    }

    /// Adds one; whether they are enough now.
    fn is_full_with(&mut self, item: T) -> bool {
        self.since.get_or_insert_with(Instant::now);
        self.bytes = self.bytes.saturating_add(item.encoded_len());
        self.items.push(item);
        self.items.len() >= self.most || self.bytes >= BATCH_BYTES
    }

    fn is_due(&self) -> bool {
        self.since.is_some_and(|since| since.elapsed() >= self.interval)
    }

    fn take(&mut self) -> Vec<T> {
        (self.bytes, self.since) = (0, None);
        mem::take(&mut self.items)
    }
}
