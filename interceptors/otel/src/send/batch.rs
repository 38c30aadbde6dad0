//! What is sent in one request.

use bytes::Bytes;
use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::InstrumentationScope;
use opentelemetry_proto::tonic::logs::v1::{LogRecord, ResourceLogs, ScopeLogs};
use opentelemetry_proto::tonic::metrics::v1::{Metric, ResourceMetrics, ScopeMetrics, metric::Data};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span};
use prost::{DecodeError, Message};

use super::Signal;
use crate::profile::Profile;

/// The schema of profile `latest`. There is none that both are of.
const SCHEMA_URL: &str = "https://opentelemetry.io/schemas/gen-ai/1.42.0";

/// Spans, log records or metrics that are sent together: an OTLP request.
#[derive(Clone, Debug)]
pub(crate) struct Batch {
    pub(crate) signal: Signal,
    /// How many spans, log records or data points.
    pub(crate) items: u64,
    /// The request in Protobuf.
    pub(crate) body: Bytes,
}

/// What stands around them in each request.
#[derive(Clone, Debug)]
pub(crate) struct Wrapper {
    resource: Resource,
    schema_url: String,
}

impl Wrapper {
    pub(crate) fn new(resource: Resource, profiles: &[Profile]) -> Self {
        let schema_url = if profiles.contains(&Profile::V1_41) { "" } else { SCHEMA_URL };
        Self { resource, schema_url: schema_url.to_owned() }
    }

    pub(crate) fn spans(&self, spans: Vec<Span>) -> Batch {
        let items = spans.len() as u64;
        let scope_spans = vec![ScopeSpans { scope: scope(), spans, schema_url: self.schema_url.clone() }];
        let resource_spans =
            ResourceSpans { resource: Some(self.resource.clone()), scope_spans, ..ResourceSpans::default() };
        batch(Signal::Traces, items, &ExportTraceServiceRequest { resource_spans: vec![resource_spans] })
    }

    pub(crate) fn logs(&self, log_records: Vec<LogRecord>) -> Batch {
        let items = log_records.len() as u64;
        let scope_logs = vec![ScopeLogs { scope: scope(), log_records, schema_url: self.schema_url.clone() }];
        let resource_logs =
            ResourceLogs { resource: Some(self.resource.clone()), scope_logs, ..ResourceLogs::default() };
        batch(Signal::Logs, items, &ExportLogsServiceRequest { resource_logs: vec![resource_logs] })
    }

    pub(crate) fn metrics(&self, metrics: Vec<Metric>) -> Batch {
        let items = metrics.iter().map(points).sum();
        let scope_metrics =
            vec![ScopeMetrics { scope: scope(), metrics, schema_url: self.schema_url.clone() }];
        let resource_metrics = ResourceMetrics {
            resource: Some(self.resource.clone()),
            scope_metrics,
            ..ResourceMetrics::default()
        };
        batch(
            Signal::Metrics,
            items,
            &ExportMetricsServiceRequest { resource_metrics: vec![resource_metrics] },
        )
    }
}

fn scope() -> Option<InstrumentationScope> {
    Some(InstrumentationScope {
        name: "perimeter".to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        ..InstrumentationScope::default()
    })
}

fn batch(signal: Signal, items: u64, request: &impl Message) -> Batch {
    Batch { signal, items, body: request.encode_to_vec().into() }
}

/// How many data points it has.
fn points(metric: &Metric) -> u64 {
    let points = match &metric.data {
        Some(Data::Gauge(data)) => data.data_points.len(),
        Some(Data::Sum(data)) => data.data_points.len(),
        Some(Data::Histogram(data)) => data.data_points.len(),
        Some(Data::ExponentialHistogram(data)) => data.data_points.len(),
        Some(Data::Summary(data)) => data.data_points.len(),
        None => 0,
    };
    points as u64
}

impl Batch {
    /// How many bytes it takes.
    pub(crate) fn size(&self) -> u64 {
        self.body.len() as u64
    }

    /// The request in JSON, as OTLP has it: ids in hexadecimal, 64-bit numbers as texts, enumerations as numbers.
    ///
    /// # Errors
    /// Where it is no request.
    pub(crate) fn json(&self) -> Result<Vec<u8>, Unreadable> {
        let body = self.body.clone();
        Ok(match self.signal {
            Signal::Traces => serde_json::to_vec(&ExportTraceServiceRequest::decode(body)?)?,
            Signal::Logs => serde_json::to_vec(&ExportLogsServiceRequest::decode(body)?)?,
            Signal::Metrics => serde_json::to_vec(&ExportMetricsServiceRequest::decode(body)?)?,
        })
    }

    /// Two of half its items each, if it has more than one.
    pub(crate) fn halves(&self) -> Option<[Self; 2]> {
        let body = self.body.clone();
        match self.signal {
            Signal::Traces => {
                let mut first = ExportTraceServiceRequest::decode(body).ok()?;
                let spans = &mut first.resource_spans.first_mut()?.scope_spans.first_mut()?.spans;
                let rest = second_half(spans)?;
                let sizes = [spans.len() as u64, rest.len() as u64];
                let mut second = first.clone();
                second.resource_spans.first_mut()?.scope_spans.first_mut()?.spans = rest;
                Some([batch(self.signal, sizes[0], &first), batch(self.signal, sizes[1], &second)])
            }
            Signal::Logs => {
                let mut first = ExportLogsServiceRequest::decode(body).ok()?;
                let logs = &mut first.resource_logs.first_mut()?.scope_logs.first_mut()?.log_records;
                let rest = second_half(logs)?;
                let sizes = [logs.len() as u64, rest.len() as u64];
                let mut second = first.clone();
                second.resource_logs.first_mut()?.scope_logs.first_mut()?.log_records = rest;
                Some([batch(self.signal, sizes[0], &first), batch(self.signal, sizes[1], &second)])
            }
            Signal::Metrics => {
                let mut first = ExportMetricsServiceRequest::decode(body).ok()?;
                let metrics = &mut first.resource_metrics.first_mut()?.scope_metrics.first_mut()?.metrics;
                let rest = second_half(metrics)?;
                let sizes = [metrics.iter().map(points).sum(), rest.iter().map(points).sum()];
                let mut second = first.clone();
                second.resource_metrics.first_mut()?.scope_metrics.first_mut()?.metrics = rest;
                Some([batch(self.signal, sizes[0], &first), batch(self.signal, sizes[1], &second)])
            }
        }
    }
}

/// Takes the second half of them, if there is one.
fn second_half<T>(items: &mut Vec<T>) -> Option<Vec<T>> {
    (items.len() > 1).then(|| items.split_off(items.len().div_ceil(2)))
}

/// A batch that is no request: written by another version, or broken.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Unreadable {
    #[error("it is no OTLP request")]
    Protobuf(#[from] DecodeError),
    #[error("it cannot be written as JSON")]
    Json(#[from] serde_json::Error),
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn wrapper() -> Wrapper {
        Wrapper::new(Resource::default(), &[Profile::Latest])
    }

    #[test]
    fn halves_are_all_of_it_in_order() {
        let spans =
            |count: u32| (0..count).map(|flags| Span { flags, ..Span::default() }).collect::<Vec<_>>();
        assert!(wrapper().spans(spans(1)).halves().is_none());
        let [first, second] = wrapper().spans(spans(5)).halves().unwrap();
        assert_eq!((first.items, second.items), (3, 2));
        assert_eq!(first.body, wrapper().spans(spans(3)).body);
        assert_eq!(second.body, wrapper().spans(spans(5).split_off(3)).body);

        let logs = vec![LogRecord::default(); 4];
        let [first, second] = wrapper().logs(logs.clone()).halves().unwrap();
        assert_eq!((first.items, &second.body), (2, &wrapper().logs(logs[2..].to_vec()).body));

        let metrics = vec![Metric::default(); 3];
        let [first, second] = wrapper().metrics(metrics.clone()).halves().unwrap();
        assert_eq!(first.body, wrapper().metrics(metrics[..2].to_vec()).body);
        assert_eq!(second.body, wrapper().metrics(metrics[2..].to_vec()).body);
    }

    proptest! {
        #[test]
        fn no_body_is_too_strange(body: Vec<u8>, signal in 0..3_usize) {
            let batch = Batch { signal: Signal::ALL[signal], items: 1, body: body.into() };
            let _ = batch.halves();
            let _ = batch.json();
        }
    }
}
