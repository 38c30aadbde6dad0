/// Which traces are told (`OTEL_TRACES_SAMPLER`).
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Sampler {
    /// Whether a trace that the client began is told as the client says.
    pub(crate) parent_based: bool,
    /// The share of the others that is told, from 0 to 1.
    pub(crate) ratio: f64,
}

impl Default for Sampler {
    /// All but those that a client says are not sampled.
    fn default() -> Self {
        Self { parent_based: true, ratio: 1.0 }
    }
}

impl Sampler {
    /// Whether a trace of this id is told. `parent`: whether the client that began it samples it.
    ///
    /// As the specification's `ProbabilitySampler`, so that everybody leaves out the same traces: the last 56 bits of
    /// the id, which are random in every trace, decide.
    pub(crate) fn samples(self, trace_id: [u8; 16], parent: Option<bool>) -> bool {
        if let (true, Some(sampled)) = (self.parent_based, parent) {
            return sampled;
        }
        let [.., a, b, c, d, e, f, g] = trace_id;
        let random = u64::from_be_bytes([0, a, b, c, d, e, f, g]);
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "from 0 to 2 to the 56th"
        )]
        let threshold = ((1.0 - self.ratio) * (1_u64 << 56) as f64) as u64;
        random >= threshold
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(random: u64) -> [u8; 16] {
        u128::from(random).to_be_bytes()
    }

    #[test]
    fn a_client_decides_about_its_own_traces() {
        let sampler = Sampler { parent_based: true, ratio: 0.0 };
        assert!(sampler.samples(id(0), Some(true)));
        assert!(!sampler.samples(id(u64::MAX), None));
        assert!(!Sampler::default().samples(id(0), Some(false)));
        assert!(Sampler::default().samples(id(0), None));
        assert!(!Sampler { parent_based: false, ratio: 0.0 }.samples(id(u64::MAX), Some(true)));
    }

    #[test]
    fn a_ratio_is_the_share_of_ids_that_are_told() {
        let sampler = Sampler { parent_based: false, ratio: 0.25 };
        let told = (0..256_u64).filter(|n| sampler.samples(id(n << 48), None)).count();
        assert_eq!(told, 64);
    }
}
