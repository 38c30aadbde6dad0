//! On its way to the backend: batched, retried, spilled to disk, and never in anybody's way.

use opentelemetry_proto::tonic::logs::v1::LogRecord;
use opentelemetry_proto::tonic::metrics::v1::Metric;
use opentelemetry_proto::tonic::trace::v1::Span;

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
