//! One instrument: sums or histograms, by attributes.

use std::collections::HashMap;
use std::time::Duration;

use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use opentelemetry_proto::tonic::metrics::v1::number_data_point::Value;
use opentelemetry_proto::tonic::metrics::v1::{
    AggregationTemporality, Histogram, HistogramDataPoint, Metric, NumberDataPoint, Sum,
};
use perimeter_interceptor::{Gaps, Usd};

use super::attributes::Attributes;

/// No instrument has more sets of attributes. The last is what the others are told as.
const SETS: usize = 200;

/// Something to add.
#[derive(Clone, Copy)]
pub(super) enum Added<'a> {
    Count(u64),
    Time(Duration),
    Cost(Usd),
    /// Of a histogram of seconds: many times at once.
    Gaps(&'a Gaps),
}

/// Adds up what it is told.
#[derive(Debug)]
pub(super) struct Instrument {
    name: &'static str,
    unit: &'static str,
    description: &'static str,
    kind: Kind,
    temporality: AggregationTemporality,
    points: HashMap<Attributes, Point>,
}

#[derive(Clone, Copy, Debug)]
enum Kind {
    /// A number that only grows.
    Counter,
    /// The same, and it is whole.
    WholeCounter,
    /// How many there were between bounds.
    Histogram(&'static [f64]),
}

/// What one set of attributes comes to.
#[derive(Debug)]
struct Point {
    /// Since when it is counted, in nanoseconds since 1970.
    since: u64,
    sum: Total,
    count: u64,
    /// Up to each bound, and above the last.
    counts: Vec<u64>,
}

/// A sum that does not lose what is small beside it.
#[derive(Clone, Copy, Debug, Default)]
struct Total {
    count: u64,
    time: Duration,
    cost: Usd,
}

impl Total {
    fn add(&mut self, added: Added<'_>) {
        match added {
            Added::Count(count) => self.count = self.count.saturating_add(count),
            Added::Time(time) => self.time = self.time.saturating_add(time),
            Added::Cost(cost) => self.cost = self.cost + cost,
            Added::Gaps(gaps) => self.time = self.time.saturating_add(gaps.sum()),
        }
    }

    /// An instrument adds only one of them.
    fn as_f64(self) -> f64 {
        self.count as f64 + self.time.as_secs_f64() + self.cost.as_f64()
    }
}

impl Instrument {
    /// A number that only grows.
    pub(super) fn counter(
        name: &'static str,
        unit: &'static str,
        description: &'static str,
        temporality: AggregationTemporality,
    ) -> Self {
        Self { name, unit, description, kind: Kind::Counter, temporality, points: HashMap::new() }
    }

    /// A whole number that only grows.
    pub(super) fn whole_counter(
        name: &'static str,
        unit: &'static str,
        description: &'static str,
        temporality: AggregationTemporality,
    ) -> Self {
        Self { kind: Kind::WholeCounter, ..Self::counter(name, unit, description, temporality) }
    }

    /// How many there were up to each of these bounds.
    pub(super) fn histogram(
        name: &'static str,
        unit: &'static str,
        description: &'static str,
        bounds: &'static [f64],
        temporality: AggregationTemporality,
    ) -> Self {
        Self { kind: Kind::Histogram(bounds), ..Self::counter(name, unit, description, temporality) }
    }

    /// Adds something. What is the first of its attributes is counted `since` then, in nanoseconds since 1970.
    pub(super) fn add(&mut self, attributes: &Attributes, added: Added<'_>, since: u64) {
        let bounds = self.kind.bounds();
        let overflow = Attributes::overflow();
        let attributes = if self.has_room_for(attributes, &overflow) { attributes } else { &overflow };
        if !self.points.contains_key(attributes) {
            self.points.insert(attributes.clone(), Point::new(bounds, since));
        }
        if let Some(point) = self.points.get_mut(attributes) {
            point.add(bounds, added);
        }
    }

    /// One place is kept for the overflow.
    fn has_room_for(&self, attributes: &Attributes, overflow: &Attributes) -> bool {
        let others = self.points.len() - usize::from(self.points.contains_key(overflow));
        others + 1 < SETS || self.points.contains_key(attributes)
    }

    /// Drops what is known of calls for this model.
    pub(super) fn forget(&mut self, model: &std::sync::Arc<str>) {
        self.points.retain(|attributes, _| !attributes.are_of(model));
    }

    /// What it is `now`, in nanoseconds since 1970. Nothing where nothing was added.
    pub(super) fn collect(&mut self, now: u64) -> Option<Metric> {
        if self.points.is_empty() {
            return None;
        }
        let metric = Metric {
            name: self.name.to_owned(),
            description: self.description.to_owned(),
            unit: self.unit.to_owned(),
            data: Some(self.data(now)),
            ..Metric::default()
        };
        if self.temporality == AggregationTemporality::Delta {
            self.points.clear();
        }
        Some(metric)
    }

    fn data(&self, now: u64) -> Data {
        let aggregation_temporality = self.temporality.into();
        match self.kind {
            Kind::Histogram(bounds) => {
                let points = self.points.iter().map(|(of, point)| point.histogram(of, bounds, now));
                Data::Histogram(Histogram { data_points: points.collect(), aggregation_temporality })
            }
            kind => {
                let is_whole = matches!(kind, Kind::WholeCounter);
                let points = self.points.iter().map(|(of, point)| point.number(of, is_whole, now));
                Data::Sum(Sum { data_points: points.collect(), aggregation_temporality, is_monotonic: true })
            }
        }
    }
}

impl Kind {
    fn bounds(self) -> &'static [f64] {
        match self {
            Self::Histogram(bounds) => bounds,
            _ => &[],
        }
    }
}

impl Point {
    fn new(bounds: &[f64], since: u64) -> Self {
        Self { since, sum: Total::default(), count: 0, counts: vec![0; bounds.len() + 1] }
    }

    fn add(&mut self, bounds: &[f64], added: Added<'_>) {
        self.sum.add(added);
        match added {
            Added::Count(count) => self.tally(bounds, count as f64, 1),
            Added::Time(time) => self.tally(bounds, time.as_secs_f64(), 1),
            Added::Cost(cost) => self.tally(bounds, cost.as_f64(), 1),
            // Each of its own bounds lies below or at one of ours, or above the last.
            Added::Gaps(gaps) => {
                for (bound, count) in gaps.buckets() {
                    self.tally(bounds, bound.as_secs_f64(), count);
                }
            }
        }
    }

    fn tally(&mut self, bounds: &[f64], value: f64, times: u64) {
        self.count += times;
        let bucket = bounds.partition_point(|bound| *bound < value);
        if let Some(count) = self.counts.get_mut(bucket) {
            *count += times;
        }
    }

    fn histogram(&self, of: &Attributes, bounds: &[f64], now: u64) -> HistogramDataPoint {
        HistogramDataPoint {
            attributes: of.told(),
            start_time_unix_nano: self.since,
            time_unix_nano: now,
            count: self.count,
            sum: Some(self.sum.as_f64()),
            bucket_counts: self.counts.clone(),
            explicit_bounds: bounds.to_vec(),
            ..HistogramDataPoint::default()
        }
    }

    fn number(&self, of: &Attributes, is_whole: bool, now: u64) -> NumberDataPoint {
        let value = if is_whole {
            Value::AsInt(i64::try_from(self.sum.count).unwrap_or(i64::MAX))
        } else {
            Value::AsDouble(self.sum.as_f64())
        };
        NumberDataPoint {
            attributes: of.told(),
            start_time_unix_nano: self.since,
            time_unix_nano: now,
            value: Some(value),
            ..NumberDataPoint::default()
        }
    }
}
