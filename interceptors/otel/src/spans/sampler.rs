//! Which traces are told.

use super::settings::{Ratio, Settings, Word};

/// Which traces are told.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Sampler {
    /// Whether the client decides of spans that are to be under its own.
    pub(crate) parent_based: bool,
    /// Which part of the others is told, from 0 to 1.
    pub(crate) ratio: f64,
}

impl Default for Sampler {
    /// As the client says, and all others.
    fn default() -> Self {
        Self { parent_based: true, ratio: 1.0 }
    }
}

impl Sampler {
    /// What is configured; else `otherwise`.
    pub(crate) fn of(settings: &Settings, otherwise: Self) -> Self {
        let Some(word) = settings.sampler else { return otherwise };
        let (parent_based, ratio) = match word {
            Word::AlwaysOn => (false, 1.0),
            Word::AlwaysOff => (false, 0.0),
            Word::TraceIdRatio => (false, settings.sampler_arg.map_or(1.0, Ratio::get)),
            Word::ParentBasedAlwaysOn => (true, 1.0),
            Word::ParentBasedAlwaysOff => (true, 0.0),
            Word::ParentBasedTraceIdRatio => (true, settings.sampler_arg.map_or(1.0, Ratio::get)),
        };
        Self { parent_based, ratio }
    }

    /// Whether this trace is told. `parent` are the flags of the client's span that is to be above ours, if there is one.
    pub(super) fn samples(self, trace: [u8; 16], parent: Option<u8>) -> bool {
        match parent.filter(|_| self.parent_based) {
            Some(flags) => flags & 1 == 1,
            None => is_in(trace, self.ratio),
        }
    }
}

/// As OpenTelemetry's SDKs decide it, so that all who tell of a trace tell of the same ones: by its last 63 bits.
fn is_in(trace: [u8; 16], ratio: f64) -> bool {
    if ratio >= 1.0 {
        return true;
    }
    let bound = (ratio.max(0.0) * (1_u64 << 63) as f64) as u64;
    let [.., a, b, c, d, e, f, g, h] = trace;
    u64::from_be_bytes([a, b, c, d, e, f, g, h]) >> 1 < bound
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn sampler(word: Word, ratio: f64) -> Sampler {
        let mut settings = Settings::default();
        (settings.sampler, settings.sampler_arg) = (Some(word), Ratio::new(ratio));
        Sampler::of(&settings, Sampler::default())
    }

    #[test]
    fn the_clients_decision_holds_unless_a_sampler_is_not_parent_based() {
        let decided =
            |word| [None, Some(0), Some(1)].map(|parent| sampler(word, 1.0).samples([7; 16], parent));
        assert_eq!(decided(Word::AlwaysOn), [true; 3]);
        assert_eq!(decided(Word::AlwaysOff), [false; 3]);
        assert_eq!(decided(Word::TraceIdRatio), [true; 3]);
        assert_eq!(decided(Word::ParentBasedAlwaysOn), [true, false, true]);
        assert_eq!(decided(Word::ParentBasedAlwaysOff), [false, false, true]);
        assert_eq!(decided(Word::ParentBasedTraceIdRatio), [true, false, true]);
    }

    #[test]
    fn what_is_configured_goes_before_the_environment() {
        let environment = Sampler { parent_based: false, ratio: 0.5 };
        assert_eq!(Sampler::of(&Settings::default(), environment), environment);
        let settings = Settings { sampler: Some(Word::ParentBasedAlwaysOn), ..Settings::default() };
        assert_eq!(Sampler::of(&settings, environment), Sampler::default());
    }

    #[test]
    fn a_ratio_takes_that_part_of_the_traces() {
        let sampler = sampler(Word::TraceIdRatio, 0.25);
        let trace = |number: u32| md5::compute(number.to_be_bytes()).0;
        let taken = (0..4_000).filter(|number| sampler.samples(trace(*number), None)).count();
        assert!((900..1_100).contains(&taken), "{taken}");
    }

    proptest! {
        #[test]
        fn a_trace_that_a_small_part_holds_is_in_every_larger_one(
            trace: [u8; 16], one in 0.0..=1.0, other in 0.0..=1.0,
        ) {
            let (small, large) = (f64::min(one, other), f64::max(one, other));
            prop_assert!(!is_in(trace, small) || is_in(trace, large));
            prop_assert!(is_in(trace, 1.0) && !is_in(trace, 0.0));
        }
    }
}
