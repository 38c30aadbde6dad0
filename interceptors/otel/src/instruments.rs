//! Metrics of calls, added up in memory: the conventions' own, in each edition that is spoken, and ours.
//!
//! Pure: when it is, the caller says. However many models are named, what is held is bounded.

use std::time::SystemTime;

use opentelemetry_proto::tonic::metrics::v1::{AggregationTemporality, Metric};
use perimeter_genai::{MODALITIES, by_modality, is_inference};
use perimeter_interceptor::{Completion, Stream, Usage};

use crate::finished::Finished;
use crate::logs::nanos;
use crate::profile::Profile;

mod attributes;
mod instrument;
mod models;

use attributes::Attributes;
use instrument::{Added, Instrument};
use models::Models;

/// Bounds of histograms of seconds: 10 ms, doubled again and again.
const SECONDS: [f64; 14] =
    [0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92];

/// Bounds of histograms of tokens: 1, four times as many again and again.
const TOKENS: [f64; 14] = [
    1.0, 4.0, 16.0, 64.0, 256.0, 1024.0, 4096.0, 16384.0, 65536.0, 262144.0, 1048576.0, 4194304.0,
    16777216.0, 67108864.0,
];

/// All that is measured.
#[derive(Debug)]
pub(crate) struct Instruments {
    conventions: Vec<Conventions>,
    models: Models,
    cost: Instrument,
    stalled: Instrument,
    /// Since when what is new is counted, in nanoseconds since 1970.
    since: u64,
}

impl Instruments {
    /// Nothing measured yet at `start`. Where the temporality is `Delta`, each collecting begins anew. What is named alike
    /// in several of the `profiles` is measured once.
    pub(crate) fn new(profiles: &[Profile], temporality: AggregationTemporality, start: SystemTime) -> Self {
        let speaks = |profile| profiles.contains(&profile);
        let latest = speaks(Profile::Latest).then(|| Conventions::latest(temporality));
        let v1_41 = speaks(Profile::V1_41).then(|| Conventions::v1_41(temporality));
        Self {
            conventions: latest.into_iter().chain(v1_41).collect(),
            models: Models::default(),
            cost: Instrument::counter(
                "perimeter.client.cost",
                "USD",
                "What calls cost, as far as that is known.",
                temporality,
            ),
            stalled: Instrument::counter(
                "perimeter.client.stream.stalled",
                "s",
                "How long streams stood still, by who made the other wait.",
                temporality,
            ),
            since: nanos(start),
        }
    }

    /// Adds a call.
    pub(crate) fn record(&mut self, finished: &Finished) {
        let (model, evicted) = self.models.name(finished.call.model.as_ref());
        if let Some(evicted) = evicted {
            self.all().for_each(|instrument| instrument.forget(&evicted));
        }
        let attributes = Attributes::of(finished, model);
        let since = self.since;
        for conventions in &mut self.conventions {
            conventions.record(finished, &attributes, since);
        }
        let answer = finished.answer.as_deref();
        let cost = answer.filter(|answer| !answer.repeated).and_then(|answer| answer.cost.as_ref());
        if let Some(cost) = cost {
            self.cost.add(&attributes, Added::Cost(cost.total), since);
        }
        if let Some(stream) = stream(finished) {
            let causes = [("upstream", stream.stalled_upstream), ("client", stream.stalled_client)];
            for (cause, lasted) in causes.into_iter().filter(|(_, lasted)| !lasted.is_zero()) {
                let attributes = attributes.with("perimeter.stall.cause", cause);
                self.stalled.add(&attributes, Added::Time(lasted), since);
            }
        }
    }

    /// All of it as it is `now`. What was never measured is not told.
    pub(crate) fn collect(&mut self, now: SystemTime) -> Vec<Metric> {
        let now = nanos(now).max(self.since);
        let metrics = self.all().filter_map(|instrument| instrument.collect(now)).collect();
        self.models.told();
        self.since = now;
        metrics
    }

    fn all(&mut self) -> impl Iterator<Item = &mut Instrument> {
        let own = [&mut self.cost, &mut self.stalled];
        self.conventions.iter_mut().flat_map(Conventions::all).chain(own)
    }
}

fn stream(finished: &Finished) -> Option<&Stream> {
    finished.answer.as_ref()?.stream.as_deref()
}

/// What an edition of the conventions has measured.
#[derive(Debug)]
struct Conventions {
    duration: Instrument,
    first_chunk: Instrument,
    chunk: Instrument,
    tokens: Tokens,
}

/// How tokens are counted.
#[derive(Debug)]
enum Tokens {
    /// A histogram of both, told apart by an attribute.
    ByType(Box<Instrument>),
    /// What each kind comes to, by modality, and a histogram of each call's.
    ByKind(Box<Kinds>),
}

#[derive(Debug)]
struct Kinds {
    input: Instrument,
    output: Instrument,
    cache_read: Instrument,
    cache_write: Instrument,
    reasoning: Instrument,
    input_of_a_call: Instrument,
    output_of_a_call: Instrument,
}

impl Conventions {
    fn latest(temporality: AggregationTemporality) -> Self {
        let counter = |name, what| Instrument::whole_counter(name, "{token}", what, temporality);
        let histogram = |name, what| Instrument::histogram(name, "{token}", what, &TOKENS, temporality);
        let kinds = Kinds {
            input: counter("gen_ai.client.inference.usage.input_tokens", "Tokens of prompts, cached or not."),
            output: counter("gen_ai.client.inference.usage.output_tokens", "Tokens of answers."),
            cache_read: counter(
                "gen_ai.client.inference.usage.cache_read.input_tokens",
                "Tokens of prompts that were read from a cache.",
            ),
            cache_write: counter(
                "gen_ai.client.inference.usage.cache_write.input_tokens",
                "Tokens of prompts that were written to a cache.",
            ),
            reasoning: counter(
                "gen_ai.client.inference.usage.reasoning.output_tokens",
                "Tokens of answers that were spent on reasoning.",
            ),
            input_of_a_call: histogram(
                "gen_ai.client.inference.operation.input_tokens",
                "Tokens of the prompt of a call.",
            ),
            output_of_a_call: histogram(
                "gen_ai.client.inference.operation.output_tokens",
                "Tokens of the answer to a call.",
            ),
        };
        Self::timed(
            [
                "gen_ai.client.inference.duration",
                "gen_ai.client.inference.time_to_first_chunk",
                "gen_ai.client.inference.time_per_output_chunk",
            ],
            Tokens::ByKind(Box::new(kinds)),
            temporality,
        )
    }

    fn v1_41(temporality: AggregationTemporality) -> Self {
        let tokens = Instrument::histogram(
            "gen_ai.client.token.usage",
            "{token}",
            "Tokens of the prompt of a call, and of the answer to it.",
            &TOKENS,
            temporality,
        );
        Self::timed(
            [
                "gen_ai.client.operation.duration",
                "gen_ai.client.operation.time_to_first_chunk",
                "gen_ai.client.operation.time_per_output_chunk",
            ],
            Tokens::ByType(Box::new(tokens)),
            temporality,
        )
    }

    fn timed(
        [duration, first, chunk]: [&'static str; 3],
        tokens: Tokens,
        temporality: AggregationTemporality,
    ) -> Self {
        let histogram = |name, what| Instrument::histogram(name, "s", what, &SECONDS, temporality);
        Self {
            duration: histogram(duration, "From a call's beginning to its end."),
            first_chunk: histogram(first, "From a call's beginning to the first part of its answer."),
            chunk: histogram(chunk, "From one part of an answer to the next."),
            tokens,
        }
    }

    fn record(&mut self, finished: &Finished, attributes: &Attributes, since: u64) {
        let with_error = attributes.with_error(finished.error.as_ref().map(|problem| &problem.kind));
        if is_inference(finished.call.operation) {
            self.duration.add(&with_error, Added::Time(finished.lasted), since);
            self.record_stream(finished, attributes, since);
        }
        let billed = |answer: &&Completion| answer.is_billed(finished.call.operation);
        let Some(answer) = finished.answer.as_deref().filter(billed) else { return };
        match &mut self.tokens {
            Tokens::ByType(instrument) => {
                let Some(usage) = &answer.usage else { return };
                for (kind, tokens) in [("input", usage.input), ("output", usage.output)] {
                    let attributes = attributes.with("gen_ai.token.type", kind);
                    instrument.add(&attributes, Added::Count(tokens), since);
                }
            }
            Tokens::ByKind(kinds) => kinds.record(answer.usage.as_ref(), attributes, &with_error, since),
        }
    }

    fn record_stream(&mut self, finished: &Finished, attributes: &Attributes, since: u64) {
        let Some(stream) = stream(finished) else { return };
        if let Some(first) = stream.first_chunk {
            self.first_chunk.add(attributes, Added::Time(first), since);
        }
        if stream.gaps.count() > 0 {
            self.chunk.add(attributes, Added::Gaps(&stream.gaps), since);
        }
    }

    fn all(&mut self) -> Vec<&mut Instrument> {
        let Self { duration, first_chunk, chunk, tokens } = self;
        let mut all = vec![duration, first_chunk, chunk];
        match tokens {
            Tokens::ByType(instrument) => all.push(instrument),
            Tokens::ByKind(kinds) => all.extend(kinds.all()),
        }
        all
    }
}

impl Kinds {
    /// Where a provider does not say what was used, nothing of an unknown modality was.
    fn record(
        &mut self,
        usage: Option<&Usage>,
        attributes: &Attributes,
        with_error: &Attributes,
        since: u64,
    ) {
        let nothing = Usage::default();
        let told = usage.unwrap_or(&nothing);
        let add = |instrument: &mut Instrument, all, image, audio| {
            for (modality, tokens) in MODALITIES.into_iter().zip(by_modality(all, image, audio)) {
                let Some(tokens) = tokens else { continue };
                let attributes = attributes.with("gen_ai.token.modality", modality);
                instrument.add(&attributes, Added::Count(tokens), since);
            }
        };
        add(&mut self.input, told.input, told.image_input, told.audio_input);
        add(&mut self.output, told.output, told.image_output, told.audio_output);
        if let Some(tokens) = told.cache_read {
            add(&mut self.cache_read, tokens, None, told.audio_cache_read);
        }
        if let Some(tokens) = told.cache_write {
            add(&mut self.cache_write, tokens, None, None);
        }
        if let Some(tokens) = told.reasoning {
            add(&mut self.reasoning, tokens, None, None);
        }
        if let Some(usage) = usage {
            self.input_of_a_call.add(with_error, Added::Count(usage.input), since);
            self.output_of_a_call.add(with_error, Added::Count(usage.output), since);
        }
    }

    fn all(&mut self) -> [&mut Instrument; 7] {
        let Self { input, output, cache_read, cache_write, reasoning, input_of_a_call, output_of_a_call } =
            self;
        [input, output, cache_read, cache_write, reasoning, input_of_a_call, output_of_a_call]
    }
}

#[cfg(test)]
mod tests;
