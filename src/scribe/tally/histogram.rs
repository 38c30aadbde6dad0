//! Values, counted by how large they were.

/// What is measured, and which bounds it is counted by.
#[derive(Debug)]
pub(crate) struct Scale {
    /// The upper bounds, each its own, smallest first.
    pub(crate) bounds: &'static [u64],
    /// How many of what is counted make one of what is shown: nanoseconds, and seconds are shown.
    pub(crate) per_unit: u64,
}

/// The shortest time that OpenTelemetry's GenAI conventions tell apart, 10 ms, as ns; each further bound is twice the
/// one before.
const TEN_MS: u64 = 10_000_000;

/// The bounds of the conventions, and two more: an agent may wait for minutes.
static DURATION_BOUNDS: [u64; 16] = doubled(TEN_MS);

/// From 1.25 ms on: many gaps of a stream are shorter than the conventions' first bound.
static GAP_BOUNDS: [u64; 19] = doubled(TEN_MS / 8);

/// The conventions' bounds for tokens.
static TOKEN_BOUNDS: [u64; 14] =
    [1, 4, 16, 64, 256, 1024, 4096, 16_384, 65_536, 262_144, 1_048_576, 4_194_304, 16_777_216, 67_108_864];

/// 1 to 5,000 a second.
static RATE_BOUNDS: [u64; 12] =
    [1000, 2000, 5000, 10_000, 20_000, 50_000, 100_000, 200_000, 500_000, 1_000_000, 2_000_000, 5_000_000];

/// How long something took, ns.
pub(crate) static DURATION: Scale = Scale { bounds: &DURATION_BOUNDS, per_unit: 1_000_000_000 };

/// How long a gap of a stream was, ns.
pub(crate) static GAP: Scale = Scale { bounds: &GAP_BOUNDS, per_unit: 1_000_000_000 };

/// Tokens.
pub(crate) static TOKENS: Scale = Scale { bounds: &TOKEN_BOUNDS, per_unit: 1 };

/// Thousandths of tokens a second.
pub(crate) static RATE: Scale = Scale { bounds: &RATE_BOUNDS, per_unit: 1000 };

const fn doubled<const N: usize>(first: u64) -> [u64; N] {
    let mut bounds = [first; N];
    let mut at = 1;
    while at < N {
        bounds[at] = bounds[at - 1] * 2;
        at += 1;
    }
    bounds
}

/// How many values there were up to each bound.
#[derive(Clone, Debug)]
pub(crate) struct Histogram {
    scale: &'static Scale,
    /// By bound, and those above the last; nothing before the first value came.
    counts: Vec<u64>,
    sum: u64,
}

impl Histogram {
    pub(super) fn new(scale: &'static Scale) -> Self {
        Self { scale, counts: Vec::new(), sum: 0 }
    }

    pub(super) fn add(&mut self, value: u64) {
        self.add_many(value, 1);
        self.add_sum(value);
    }

    /// So many values up to `bound`, whose sum is told apart.
    pub(super) fn add_many(&mut self, bound: u64, count: u64) {
        if self.counts.is_empty() {
            self.counts.resize(self.scale.bounds.len() + 1, 0);
        }
        let bucket = self.scale.bounds.partition_point(|known| *known < bound);
        if let Some(counted) = self.counts.get_mut(bucket) {
            *counted += count;
        }
    }

    pub(super) fn add_sum(&mut self, sum: u64) {
        self.sum = self.sum.saturating_add(sum);
    }

    /// Adds what another one, of the same scale, has counted.
    pub(crate) fn join(&mut self, other: &Self) {
        if self.counts.is_empty() {
            self.counts.resize(other.counts.len(), 0);
        }
        for (count, more) in self.counts.iter_mut().zip(&other.counts) {
            *count += more;
        }
        self.add_sum(other.sum);
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.counts.is_empty()
    }

    /// Each bound as it is shown, and how many values were not above it.
    pub(crate) fn below(&self) -> impl Iterator<Item = (f64, u64)> + '_ {
        let mut below = 0;
        self.scale.bounds.iter().zip(&self.counts).map(move |(bound, count)| {
            below += count;
            (*bound as f64 / self.scale.per_unit as f64, below)
        })
    }

    /// How many values there were.
    pub(crate) fn count(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// Their sum as it is shown.
    pub(crate) fn sum(&self) -> f64 {
        self.sum as f64 / self.scale.per_unit as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_counts_below_the_first_bound_that_it_does_not_exceed() {
        let mut histogram = Histogram::new(&DURATION);
        assert!(histogram.is_empty());
        for value in [TEN_MS, TEN_MS + 1, 400_000_000_000] {
            histogram.add(value);
        }
        let below: Vec<(f64, u64)> = histogram.below().collect();
        assert_eq!(below[..2], [(0.01, 1), (0.02, 2)]);
        assert_eq!(*below.last().unwrap(), (327.68, 2));
        assert_eq!(histogram.count(), 3);
        assert!((histogram.sum() - 400.020_000_001).abs() < 1e-12);
        let mut joined = Histogram::new(&DURATION);
        joined.join(&histogram);
        joined.join(&histogram);
        joined.join(&Histogram::new(&DURATION));
        assert_eq!((joined.count(), joined.below().next()), (6, Some((0.01, 2))));
    }

    #[test]
    fn the_bounds_are_shown_as_the_conventions_write_them() {
        let shown = |histogram: &mut Histogram| {
            histogram.add(1);
            histogram.below().map(|(bound, _)| bound.to_string()).collect::<Vec<_>>().join(" ")
        };
        assert_eq!(
            shown(&mut Histogram::new(&DURATION)),
            "0.01 0.02 0.04 0.08 0.16 0.32 0.64 1.28 2.56 5.12 10.24 20.48 40.96 81.92 163.84 327.68"
        );
        assert!(shown(&mut Histogram::new(&GAP)).starts_with("0.00125 0.0025 0.005 0.01 0.02 "));
        assert_eq!(shown(&mut Histogram::new(&TOKENS)).split(' ').next_back(), Some("67108864"));
    }
}
