//! How a streamed answer came: when it began, with which gaps, and who made it wait.

use std::time::Duration;

use crate::Peer;

/// How a streamed answer came. All times count from the beginning of its call.
///
/// Its parts are what the network brought, not what they mean: a part may hold many tokens, or a piece of one. Parts that
/// only keep a connection alive (comments and `ping` events of SSE) are not counted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stream {
    /// When the response's head came; behind an upgrade, its first part.
    pub first_byte: Duration,
    /// When the first part of its body came.
    pub first_chunk: Option<Duration>,
    /// When the model said the first thing: text, thinking, the input of a tool.
    pub first_token: Option<Duration>,
    /// When it said the last.
    pub last_token: Option<Duration>,
    /// When the last part came, or it was given up.
    pub last: Duration,
    /// How many parts came.
    pub chunks: u64,
    /// How many bytes they had, as they came.
    pub bytes: u64,
    /// The gaps between them.
    pub gaps: Gaps,
    /// The gaps that were longer than `observe.stall_threshold`, in their order: the first [`Stream::MOST_STALLS`].
    pub stalls: Vec<Stall>,
    /// How many of those there were.
    pub stall_count: u64,
    /// How long they were, together, by who made the other wait: the upstream, silent.
    pub stalled_upstream: Duration,
    /// The client, not reading.
    pub stalled_client: Duration,
}

/// A gap in a stream that was longer than `observe.stall_threshold`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stall {
    /// When it began, from the beginning of the call.
    pub at: Duration,
    /// How long it was.
    pub lasted: Duration,
    /// Who made the other wait: the upstream was silent though it was asked, or the client did not read, so that nobody
    /// asked.
    pub by: Peer,
}

impl Stall {
    /// A stall at this time.
    pub fn new(at: Duration, lasted: Duration, by: Peer) -> Self {
        Self { at, lasted, by }
    }
}

impl Stream {
    /// So many stalls are told one by one.
    pub const MOST_STALLS: usize = 32;

    /// How many tokens came a second, where the answer had so many: between the first and the last that was said.
    /// Nothing where it came at once.
    pub fn tokens_per_second(&self, output: u64) -> Option<f64> {
        let (first, last) = (self.first_token?, self.last_token?);
        let took = last.checked_sub(first).filter(|took| *took >= Self::AT_ONCE)?;
        // The first token took none of this time.
        (output > 1).then(|| (output - 1) as f64 / took.as_secs_f64())
    }

    /// What comes in a shorter time came at once: a rate would say nothing.
    const AT_ONCE: Duration = Duration::from_millis(1);

    /// Notes a stall.
    pub fn stall(&mut self, stall: Stall) {
        self.stall_count += 1;
        match stall.by {
            Peer::Upstream => self.stalled_upstream += stall.lasted,
            Peer::Client => self.stalled_client += stall.lasted,
        }
        if self.stalls.len() < Self::MOST_STALLS {
            self.stalls.push(stall);
        }
    }
}

/// Gaps by their length: how many there were of each.
///
/// A length is kept to within an eighth: powers of two of 9.765625 µs (10 ms / 1024), each cut in eight. The bounds of
/// OpenTelemetry's histograms of GenAI calls (10 ms, 20 ms, 40 ms and so on) are among them, so counts by those are exact.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Gaps {
    counts: Vec<u32>,
    count: u64,
    sum: Duration,
    max: Duration,
}

/// An eighth of the shortest power, as a fraction: 10 ms / 8192, ns.
const UNIT: (u128, u128) = (10_000_000, 8192);

/// Lengths from here on (four days) are counted as one.
const LAST: usize = 8 * 36;

impl Gaps {
    /// There was one of this length.
    pub fn add(&mut self, gap: Duration) {
        let bucket = Self::bucket(gap);
        if self.counts.len() <= bucket {
            self.counts.resize(bucket + 1, 0);
        }
        if let Some(count) = self.counts.get_mut(bucket) {
            *count = count.saturating_add(1);
        }
        self.count += 1;
        self.sum = self.sum.saturating_add(gap);
        self.max = self.max.max(gap);
    }

    /// How many there were.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// How long they were together.
    pub fn sum(&self) -> Duration {
        self.sum
    }

    /// How long the longest was.
    pub fn max(&self) -> Duration {
        self.max
    }

    /// A length that no more than this part of them exceeded: 0.5 for the median. Too long by an eighth at most, and never
    /// longer than the longest. Nothing where there were none.
    pub fn quantile(&self, part: f64) -> Option<Duration> {
        let rank = ((self.count as f64 * part.clamp(0.0, 1.0)).ceil() as u64).max(1);
        let mut seen = 0;
        let found = self.buckets().find(|(_, count)| {
            seen += count;
            seen >= rank
        });
        found.map(|(bound, _)| bound.min(self.max))
    }

    /// Their lengths, each as the bound that they are no longer than, and how many there were. Shortest first, those that
    /// there were.
    pub fn buckets(&self) -> impl Iterator<Item = (Duration, u64)> + '_ {
        let told = self.counts.iter().enumerate().filter(|(_, count)| **count > 0);
        told.map(|(bucket, count)| (Self::bound(bucket), u64::from(*count)))
    }

    /// How many bytes they take.
    pub fn held(&self) -> usize {
        self.counts.capacity() * size_of::<u32>()
    }

    fn bucket(gap: Duration) -> usize {
        // A bound belongs to what is below it, as `le` has it.
        let units = (gap.as_nanos() * UNIT.1).div_ceil(UNIT.0).saturating_sub(1);
        let power = units.checked_ilog2().unwrap_or(0).saturating_sub(3);
        let bucket = 8 * power as usize + usize::try_from(units >> power).unwrap_or(LAST);
        bucket.min(LAST)
    }

    fn bound(bucket: usize) -> Duration {
        if bucket == LAST {
            return Duration::MAX;
        }
        let power = (bucket / 8).saturating_sub(1);
        let units = (bucket - 8 * power + 1) as u128;
        let nanos = (units << power) * UNIT.0 / UNIT.1;
        Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gaps(lengths: impl IntoIterator<Item = Duration>) -> Gaps {
        let mut gaps = Gaps::default();
        lengths.into_iter().for_each(|gap| gaps.add(gap));
        gaps
    }

    #[test]
    fn a_length_is_told_to_within_an_eighth() {
        let mut nanos = 1;
        while nanos < 300_000_000_000_000_u64 {
            let gap = Duration::from_nanos(nanos);
            let (bound, count) = gaps([gap]).buckets().next().unwrap();
            let slack = (nanos / 8).max(1221);
            assert!(count == 1 && bound + Duration::from_nanos(1) >= gap, "{gap:?} under {bound:?}");
            assert!(bound <= gap + Duration::from_nanos(slack), "{gap:?} under {bound:?}");
            nanos += nanos / 13 + 1;
        }
        assert_eq!(gaps([Duration::MAX / 2]).quantile(0.5), Some(Duration::MAX / 2));
    }

    #[test]
    fn the_bounds_of_opentelemetry_are_bounds() {
        for doubled in 0..14 {
            let bound = Duration::from_millis(10 << doubled);
            let of = |gap| gaps([gap]).buckets().next().unwrap().0;
            assert_eq!(of(bound), bound);
            assert_eq!(of(bound - Duration::from_nanos(1)), bound);
            assert!(of(bound + Duration::from_nanos(1)) > bound);
        }
    }

    #[test]
    fn quantiles_are_of_what_there_was() {
        assert_eq!(Gaps::default().quantile(0.5), None);
        let gaps = gaps((1..=100).map(Duration::from_millis));
        let near = |part, millis: u64| {
            let (found, millis) = (gaps.quantile(part).unwrap(), Duration::from_millis(millis));
            assert!(found >= millis && found <= millis + millis / 8, "{found:?} for {millis:?}");
        };
        near(0.0, 1);
        near(0.5, 50);
        near(0.99, 99);
        assert_eq!(gaps.quantile(1.0), Some(Duration::from_millis(100)));
        assert_eq!(
            (gaps.count(), gaps.sum(), gaps.max().as_millis()),
            (100, Duration::from_millis(5050), 100)
        );
    }

    #[test]
    fn a_rate_needs_more_than_one_token_and_some_time() {
        let ms = Duration::from_millis;
        let stream =
            |first, last| Stream { first_token: Some(first), last_token: Some(last), ..Stream::default() };
        assert_eq!(stream(ms(100), ms(2100)).tokens_per_second(101), Some(50.0));
        assert_eq!(stream(ms(100), ms(2100)).tokens_per_second(1), None);
        assert_eq!(stream(ms(100), ms(100)).tokens_per_second(101), None);
        assert_eq!(Stream::default().tokens_per_second(101), None);
    }

    #[test]
    fn of_many_stalls_the_first_are_told_and_all_are_counted() {
        let mut stream = Stream::default();
        for number in 0..40 {
            let by = if number % 2 == 0 { Peer::Upstream } else { Peer::Client };
            stream.stall(Stall::new(Duration::from_secs(number), Duration::from_secs(1), by));
        }
        assert_eq!((stream.stalls.len(), stream.stall_count), (32, 40));
        assert_eq!((stream.stalled_upstream.as_secs(), stream.stalled_client.as_secs()), (20, 20));
    }
}
