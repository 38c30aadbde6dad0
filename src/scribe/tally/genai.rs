//! What the client metrics of OpenTelemetry's GenAI conventions are made of: calls by the conventions' attributes.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use perimeter_genai::{MODALITIES, by_modality};
use perimeter_interceptor::{Stream, Usage};

use super::histogram::{DURATION, Histogram, TOKENS};
use super::streams::{add_gaps, nanos};

/// The kinds of tokens, as the conventions name them behind `usage`.
pub(crate) const KINDS: [&str; 5] = [
    "input_tokens",
    "output_tokens",
    "cache_read_input_tokens",
    "cache_write_input_tokens",
    "reasoning_output_tokens",
];

/// What tells calls apart. What is not known, or not shown, is none.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Attributes {
    /// `gen_ai.operation.name`.
    pub(crate) operation: &'static str,
    /// `gen_ai.provider.name`.
    pub(crate) provider: &'static str,
    /// `gen_ai.request.model`.
    pub(crate) request_model: Option<Arc<str>>,
    /// `gen_ai.response.model`.
    pub(crate) response_model: Option<Arc<str>>,
    /// `error.type`.
    pub(crate) error_type: Option<Arc<str>>,
}

/// The calls of the same attributes.
#[derive(Clone, Debug)]
pub(crate) struct Calls {
    pub(crate) duration: Histogram,
    pub(crate) first_chunk: Histogram,
    pub(crate) later_chunks: Histogram,
    pub(crate) input: Histogram,
    pub(crate) output: Histogram,
    pub(crate) tokens: Tokens,
}

/// By [`KINDS`] and [`MODALITIES`]; nothing where no such tokens were told of.
pub(crate) type Tokens = [[Option<u64>; MODALITIES.len()]; KINDS.len()];

impl Default for Calls {
    fn default() -> Self {
        let [duration, first_chunk, later_chunks] = [(); 3].map(|()| Histogram::new(&DURATION));
        let [input, output] = [(); 2].map(|()| Histogram::new(&TOKENS));
        let tokens = [[None; MODALITIES.len()]; KINDS.len()];
        Self { duration, first_chunk, later_chunks, input, output, tokens }
    }
}

impl Calls {
    /// A call is over. What it used is nothing where that is not new, and none where nobody said it.
    pub(super) fn add(&mut self, took: Duration, stream: Option<&Stream>, used: Option<Option<&Usage>>) {
        self.duration.add(nanos(took));
        if let Some(stream) = stream {
            if let Some(first) = stream.first_chunk {
                self.first_chunk.add(nanos(first));
            }
            add_gaps(&mut self.later_chunks, &stream.gaps);
        }
        let Some(used) = used else { return };
        if let Some(usage) = used {
            self.input.add(usage.input);
            self.output.add(usage.output);
        }
        self.add_tokens(&by_kind(used));
    }

    /// Adds calls that differ in what is not to be told.
    pub(crate) fn join(&mut self, other: &Self) {
        self.duration.join(&other.duration);
        self.first_chunk.join(&other.first_chunk);
        self.later_chunks.join(&other.later_chunks);
        self.input.join(&other.input);
        self.output.join(&other.output);
        self.add_tokens(&other.tokens);
    }

    fn add_tokens(&mut self, more: &Tokens) {
        for (sum, more) in self.tokens.iter_mut().flatten().zip(more.iter().flatten()) {
            if let Some(more) = more {
                *sum = Some(sum.unwrap_or(0).saturating_add(*more));
            }
        }
    }
}

/// Tokens by [`KINDS`] and [`MODALITIES`]. Where nobody said what was used, nought of an unknown modality was.
fn by_kind(usage: Option<&Usage>) -> Tokens {
    let nothing = Usage::default();
    let usage = usage.unwrap_or(&nothing);
    let unknown = |tokens: Option<u64>| [None, None, None, tokens];
    [
        by_modality(usage.input, usage.image_input, usage.audio_input),
        by_modality(usage.output, usage.image_output, usage.audio_output),
        usage.cache_read.map_or([None; 4], |all| by_modality(all, None, usage.audio_cache_read)),
        unknown(usage.cache_write),
        unknown(usage.reasoning),
    ]
}

/// Calls by their attributes.
pub(super) type GenAi = BTreeMap<Attributes, Calls>;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_are_split_by_what_they_are_of_as_far_as_that_is_told() {
        let mut usage = Usage::new(100, 20);
        let [input, output, ..] = by_kind(Some(&usage));
        assert_eq!((input, output), ([None, None, None, Some(100)], [None, None, None, Some(20)]));
        (usage.audio_input, usage.cache_read, usage.reasoning) = (Some(30), Some(40), Some(5));
        let [input, _, cache_read, cache_write, reasoning] = by_kind(Some(&usage));
        assert_eq!(input, [None, None, Some(30), Some(70)]);
        assert_eq!((cache_read, cache_write), ([None, None, None, Some(40)], [None; 4]));
        assert_eq!(reasoning, [None, None, None, Some(5)]);
        usage.image_input = Some(10);
        assert_eq!(by_kind(Some(&usage))[0], [Some(60), Some(10), Some(30), None]);
    }

    #[test]
    fn where_nobody_says_what_was_used_the_counters_are_there_and_the_histograms_are_not_fed() {
        let mut calls = Calls::default();
        calls.add(Duration::from_secs(1), None, Some(None));
        assert_eq!(calls.tokens[0], [None, None, None, Some(0)]);
        assert!(calls.input.is_empty() && !calls.duration.is_empty());
        let mut free = Calls::default();
        free.add(Duration::from_secs(1), None, None);
        assert_eq!(free.tokens, [[None; 4]; 5]);
    }
}
