//! The client metrics of OpenTelemetry's GenAI conventions, by their names of both states.
//!
//! <https://github.com/open-telemetry/semantic-conventions-genai>, and core version 1.41. In Prometheus dots are `_`, and
//! units are written out (OpenTelemetry, "Prometheus and OpenMetrics Compatibility").

use std::collections::BTreeMap;

use perimeter_genai::MODALITIES;

use super::text::{Label, Text, told};
use crate::config::Semconv;
use crate::scribe::tally::genai::{Attributes, Calls, KINDS};
use crate::scribe::tally::histogram::Histogram;

/// All calls of models, and the upstream that they went to.
pub(super) struct GenAi<'a> {
    /// By all attributes.
    calls: &'a [(Attributes, Calls)],
    /// By all but the error: not all metrics of the conventions tell errors apart.
    joined: BTreeMap<Attributes, Calls>,
    host: &'a str,
    port: String,
}

type Pick = fn(&Calls) -> &Histogram;

/// A histogram: the end of its name, what it is, where it is.
type Shown = (&'static str, &'static str, Pick);

const DURATION: Shown = ("duration_seconds", "How long calls of models took.", |calls| &calls.duration);

const STREAMED: [Shown; 2] = [
    ("time_to_first_chunk_seconds", "From a call to the first part of a streamed answer.", |calls| {
        &calls.first_chunk
    }),
    ("time_per_output_chunk_seconds", "The time between parts of a streamed answer.", |calls| {
        &calls.later_chunks
    }),
];

const TOKENS: [Shown; 2] = [
    ("input_tokens", "Tokens of the prompt of a call, those of a cache among them.", |calls| &calls.input),
    ("output_tokens", "Tokens of the answer to a call, reasoning among them.", |calls| &calls.output),
];

const USED: [&str; KINDS.len()] = [
    "Tokens of prompts, those of a cache among them.",
    "Tokens of answers, reasoning among them.",
    "Tokens of prompts that were read from a cache.",
    "Tokens of prompts that were written to a cache.",
    "Tokens of answers that were reasoning.",
];

impl<'a> GenAi<'a> {
    pub(super) fn new(calls: &'a [(Attributes, Calls)], host: &'a str, port: u16) -> Self {
        let mut joined = BTreeMap::<Attributes, Calls>::new();
        for (attributes, calls) in calls {
            let attributes = Attributes { error_type: None, ..attributes.clone() };
            joined.entry(attributes).or_default().join(calls);
        }
        Self { calls, joined, host, port: port.to_string() }
    }

    pub(super) fn render(&self, text: &mut Text, semconv: Semconv) {
        match semconv {
            Semconv::Latest => {
                self.times(text, "inference");
                self.used(text);
                for (name, help, pick) in TOKENS {
                    let name = format!("gen_ai_client_inference_operation_{name}");
                    text.family(&name, "histogram", help);
                    self.by_error(text, &name, pick);
                }
            }
            Semconv::V1_41 => {
                self.times(text, "operation");
                let name = "gen_ai_client_token_usage";
                text.family(name, "histogram", "Tokens of a call.");
                for (kind, (_, _, pick)) in ["input", "output"].into_iter().zip(TOKENS) {
                    self.all(text, name, Some(kind), pick);
                }
            }
        }
    }

    fn times(&self, text: &mut Text, of: &str) {
        let (name, help, pick) = DURATION;
        let name = format!("gen_ai_client_{of}_{name}");
        text.family(&name, "histogram", help);
        self.by_error(text, &name, pick);
        for (name, help, pick) in STREAMED {
            let name = format!("gen_ai_client_{of}_{name}");
            text.family(&name, "histogram", help);
            self.all(text, &name, None, pick);
        }
    }

    fn by_error(&self, text: &mut Text, name: &str, pick: Pick) {
        for (attributes, calls) in self.calls {
            text.histogram(name, &self.labels(attributes), pick(calls));
        }
    }

    fn all(&self, text: &mut Text, name: &str, kind: Option<&str>, pick: Pick) {
        for (attributes, calls) in &self.joined {
            let mut labels = self.labels(attributes).to_vec();
            labels.push(("gen_ai_token_type", kind));
            text.histogram(name, &labels, pick(calls));
        }
    }

    /// The counters of tokens.
    fn used(&self, text: &mut Text) {
        for (kind, (name, help)) in KINDS.into_iter().zip(USED).enumerate() {
            let name = format!("gen_ai_client_inference_usage_{name}_total");
            text.family(&name, "counter", help);
            for (attributes, calls) in &self.joined {
                let of_kind = calls.tokens.get(kind).into_iter().flatten();
                for (modality, tokens) in MODALITIES.into_iter().zip(of_kind) {
                    let Some(tokens) = tokens else { continue };
                    let mut labels = self.labels(attributes).to_vec();
                    labels.push(("gen_ai_token_modality", Some(modality)));
                    text.sample(&name, &told(&labels), tokens);
                }
            }
        }
    }

    fn labels<'b>(&'b self, attributes: &'b Attributes) -> [Label<'b>; 7] {
        [
            ("gen_ai_operation_name", Some(attributes.operation)),
            ("gen_ai_provider_name", Some(attributes.provider)),
            ("gen_ai_request_model", attributes.request_model.as_deref()),
            ("gen_ai_response_model", attributes.response_model.as_deref()),
            ("server_address", Some(self.host)),
            ("server_port", Some(&self.port)),
            ("error_type", attributes.error_type.as_deref()),
        ]
    }
}
