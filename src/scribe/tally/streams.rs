//! How streamed answers came, by model.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use perimeter_interceptor::{Gaps, Stream};

use super::histogram::{DURATION, GAP, Histogram, RATE};

/// Who closed a stream first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Closer {
    /// It said its last word, also one of an error, or broke off.
    Upstream,
    /// It left before.
    Client,
    /// The proxy was told to stop.
    Proxy,
}

impl Closer {
    pub(crate) const ALL: [Self; 3] = [Self::Upstream, Self::Client, Self::Proxy];

    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Upstream => "upstream",
            Self::Client => "client",
            Self::Proxy => "proxy",
        }
    }
}

/// The streams of one model.
#[derive(Clone, Debug)]
pub(crate) struct Streamed {
    /// From the beginning of a call to the first thing that the model said.
    pub(crate) first_token: Histogram,
    /// The gaps between parts.
    pub(crate) gaps: Histogram,
    /// Tokens a second.
    pub(crate) rate: Histogram,
    /// How many gaps were stalls.
    pub(crate) stalls: u64,
    /// How long those were, together: the upstream silent, the client not reading.
    pub(crate) stalled: [Duration; 2],
    /// How many there were, by who closed them first, as in [`Closer::ALL`].
    pub(crate) closed: [u64; Closer::ALL.len()],
}

impl Default for Streamed {
    fn default() -> Self {
        Self {
            first_token: Histogram::new(&DURATION),
            gaps: Histogram::new(&GAP),
            rate: Histogram::new(&RATE),
            stalls: 0,
            stalled: [Duration::ZERO; 2],
            closed: [0; Closer::ALL.len()],
        }
    }
}

impl Streamed {
    /// A stream is over, and closed by one of them. `output`: the tokens of the answer, where the provider said so.
    pub(super) fn add(&mut self, stream: &Stream, output: Option<u64>, closed: Closer) {
        if let Some(count) = self.closed.get_mut(closed as usize) {
            *count += 1;
        }
        if let Some(first) = stream.first_token {
            self.first_token.add(nanos(first));
        }
        add_gaps(&mut self.gaps, &stream.gaps);
        if let Some(rate) = output.and_then(|output| stream.tokens_per_second(output)) {
            self.rate.add((rate * RATE.per_unit as f64).round() as u64);
        }
        self.stalls += stream.stall_count;
        for (sum, stalled) in self.stalled.iter_mut().zip([stream.stalled_upstream, stream.stalled_client]) {
            *sum = sum.saturating_add(stalled);
        }
    }
}

/// The bounds of [`Gaps`] have those of the scales among them, so what is counted is exact.
pub(super) fn add_gaps(histogram: &mut Histogram, gaps: &Gaps) {
    if gaps.count() == 0 {
        return;
    }
    for (bound, count) in gaps.buckets() {
        histogram.add_many(nanos(bound), count);
    }
    histogram.add_sum(nanos(gaps.sum()));
}

pub(super) fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

/// Streams by the model that was asked for.
pub(super) type Streams = BTreeMap<Option<Arc<str>>, Streamed>;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gaps_are_counted_by_bounds_that_they_are_kept_by() {
        let bounds = [(&GAP, Duration::from_micros(1250)), (&DURATION, Duration::from_millis(10))];
        for (scale, first) in bounds {
            let (mut histogram, mut gaps) = (Histogram::new(scale), Gaps::default());
            for doubled in 0..scale.bounds.len() {
                let bound = first * (1 << doubled);
                gaps.add(bound);
                gaps.add(bound + Duration::from_nanos(1));
            }
            add_gaps(&mut histogram, &gaps);
            let below: Vec<u64> = histogram.below().map(|(_, below)| below).collect();
            let odd: Vec<u64> = (0..scale.bounds.len() as u64).map(|at| 2 * at + 1).collect();
            assert_eq!(below, odd);
            assert_eq!(histogram.count(), gaps.count());
        }
    }

    #[test]
    fn a_stream_without_gaps_or_tokens_is_only_counted() {
        let mut streamed = Streamed::default();
        streamed.add(&Stream::default(), None, Closer::Client);
        assert_eq!(streamed.closed, [0, 1, 0]);
        assert!(streamed.gaps.is_empty() && streamed.first_token.is_empty() && streamed.rate.is_empty());
    }
}
