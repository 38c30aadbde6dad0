//! What a request asks for besides its messages, and what an answer says besides its text, as attributes.
//!
//! Only members at the top of a body are read, and those of a few objects among them. What is of another type than the
//! provider documents is not told.

use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue};
use perimeter_interceptor::{Call, Completion, Operation};
use serde::Deserialize;

use crate::body::Members;
use crate::content::value::{self, double, int, list, member};
use crate::profile::Profile;
use crate::text::{MOST, said};

/// So many of the words that stop a model are told.
const STOPS: usize = 32;

/// Where providers write them.
const NAMES: &[&str] = &[
    "max_tokens",
    "max_completion_tokens",
    "max_output_tokens",
    "max_response_output_tokens",
    "maxOutputTokens",
    "temperature",
    "top_p",
    "topP",
    "top_k",
    "topK",
    "frequency_penalty",
    "frequencyPenalty",
    "presence_penalty",
    "presencePenalty",
    "stop",
    "stop_sequences",
    "stopSequences",
    "seed",
    "n",
    "candidate_count",
    "candidateCount",
    "reasoning_effort",
    "reasoning",
    "output_config",
    "output_format",
    "response_format",
    "text",
    "modalities",
    "output_modalities",
    "response_mime_type",
    "responseMimeType",
    "response_modalities",
    "responseModalities",
    "thinking_config",
    "thinkingConfig",
    "generation_config",
    "generationConfig",
    "service_tier",
    "prompt",
    "response",
    "request",
];

/// The attributes that say what `call` asks for, by its body. Where an edition of the conventions lacks one, it is told
/// only if another of the `profiles` has it.
pub(crate) fn asked(call: &Call, profiles: &[Profile]) -> Vec<KeyValue> {
    let members = members(call);
    let mut told = Told { latest: profiles.contains(&Profile::Latest), attributes: Vec::new() };
    told.sampling(&members);
    told.limits(&members);
    told.wishes(call, &members);
    if call.dialect == "openai_responses" {
        told.prompt(&members);
    }
    if call.dialect.starts_with("openai_") {
        told.openai(call, &members);
    }
    told.attributes
}

/// The members of the body, and of the object in it that holds what others have at the top.
fn members(call: &Call) -> Members<'_> {
    let members = Members::of(&call.body, NAMES);
    let inner: &[&str] = match call.dialect {
        "openai_responses" | "openai_realtime" => &["response"],
        "gemini" => &["generationConfig", "generation_config"],
        _ => &[],
    };
    // Code Assist wraps it.
    let wrapped = (call.dialect == "gemini").then(|| members.within("request", NAMES));
    let members = members.and(wrapped.unwrap_or_default());
    inner.iter().fold(members, |members, name| {
        let inner = members.within(name, NAMES);
        members.and(inner)
    })
}

struct Told {
    latest: bool,
    attributes: Vec<KeyValue>,
}

impl Told {
    fn int(&mut self, key: &str, number: Option<i64>) {
        self.attributes.extend(number.map(|number| member(key, int(number))));
    }

    fn double(&mut self, key: &str, number: Option<f64>) {
        self.attributes.extend(number.map(|number| member(key, double(number))));
    }

    fn text(&mut self, key: &str, said: Option<impl AsRef<str>>) {
        self.attributes.extend(said.map(|said| member(key, text(said.as_ref()))));
    }

    fn sampling(&mut self, members: &Members<'_>) {
        self.double("gen_ai.request.temperature", members.read(&["temperature"]));
        self.double("gen_ai.request.top_p", members.read(&["top_p", "topP"]));
        let top_k = members.read::<f64>(&["top_k", "topK"]);
        if self.latest {
            self.int("gen_ai.request.top_k", top_k.and_then(whole));
        } else {
            self.double("gen_ai.request.top_k", top_k);
        }
        let frequency = members.read(&["frequency_penalty", "frequencyPenalty"]);
        self.double("gen_ai.request.frequency_penalty", frequency);
        self.double(
            "gen_ai.request.presence_penalty",
            members.read(&["presence_penalty", "presencePenalty"]),
        );
        self.int("gen_ai.request.seed", members.read(&["seed"]));
    }

    fn limits(&mut self, members: &Members<'_>) {
        let most = members.read(&[
            "max_completion_tokens",
            "max_output_tokens",
            "max_response_output_tokens",
            "maxOutputTokens",
            "max_tokens",
        ]);
        self.int("gen_ai.request.max_tokens", most);
        let choices = members.read(&["n", "candidateCount", "candidate_count"]).filter(|count| *count != 1);
        self.int("gen_ai.request.choice.count", choices);
        let stops = members.read::<Words>(&["stop", "stop_sequences", "stopSequences"]).map(Words::all);
        let stops = stops
            .filter(|stops| !stops.is_empty())
            .map(|stops| list(stops.iter().take(STOPS).map(|stop| text(stop))));
        self.attributes.extend(stops.map(|stops| member("gen_ai.request.stop_sequences", stops)));
    }

    fn wishes(&mut self, call: &Call, members: &Members<'_>) {
        if self.latest {
            self.text("gen_ai.request.reasoning.level", reasoning(members));
        }
        if let Some(previous) = call.previous.as_deref() {
            self.text("gen_ai.request.previous_response.id", Some(previous));
        }
        self.text("gen_ai.output.type", output_type(call, members));
    }

    fn prompt(&mut self, members: &Members<'_>) {
        let prompt = members.within("prompt", &["id", "version"]);
        self.text("gen_ai.prompt.name", prompt.read::<String>(&["id"]));
        self.text("gen_ai.prompt.version", prompt.read::<String>(&["version"]));
    }

    fn openai(&mut self, call: &Call, members: &Members<'_>) {
        let api = match call.dialect {
            "openai_chat" => Some("chat_completions"),
            "openai_responses" => Some("responses"),
            _ => None,
        };
        self.text("openai.api.type", api);
        let tier = members.read::<String>(&["service_tier"]).filter(|tier| tier != "auto");
        self.text("openai.request.service_tier", tier);
    }
}

/// What a client or a provider says: cut, and without secrets.
fn text(text: &str) -> AnyValue {
    value::text(said(text, MOST))
}

/// A number that a provider documents as whole, though some clients write it as `40.0`.
fn whole(number: f64) -> Option<i64> {
    // Beyond this, a double no longer tells whole numbers apart.
    (number.fract() == 0.0 && number.abs() <= 9_007_199_254_740_992.0).then_some(number as i64)
}

/// How hard the model is to think, in the provider's word.
fn reasoning(members: &Members<'_>) -> Option<String> {
    let within = |name, key| members.within(name, LEVELS).read::<String>(&[key]);
    members
        .read::<String>(&["reasoning_effort"])
        .or_else(|| within("reasoning", "effort"))
        .or_else(|| within("output_config", "effort"))
        .or_else(|| within("thinkingConfig", "thinkingLevel"))
        .or_else(|| within("thinking_config", "thinking_level"))
}

const LEVELS: &[&str] = &["effort", "thinkingLevel", "thinking_level"];

/// What form the answer is to have. Nothing where the request leaves it open.
fn output_type(call: &Call, members: &Members<'_>) -> Option<&'static str> {
    match call.operation {
        Operation::Image => return Some("image"),
        Operation::Speech => return Some("speech"),
        _ => {}
    }
    format(members).or_else(|| modality(members))
}

fn format(members: &Members<'_>) -> Option<&'static str> {
    let kind = |members: Members<'_>| members.read::<String>(&["type"]);
    let inner = |name| kind(members.within(name, &["format"]).within("format", &["type"]));
    let kind = kind(members.within("response_format", &["type"]))
        .or_else(|| inner("text"))
        .or_else(|| inner("output_config"))
        .or_else(|| kind(members.within("output_format", &["type"])))
        .or_else(|| members.read::<String>(&["responseMimeType", "response_mime_type"]))?;
    match kind.as_str() {
        "json_object" | "json_schema" | "application/json" => Some("json"),
        "text" | "text/plain" => Some("text"),
        _ => None,
    }
}

fn modality(members: &Members<'_>) -> Option<&'static str> {
    let names = ["modalities", "output_modalities", "responseModalities", "response_modalities"];
    let words = members.read::<Vec<String>>(&names)?;
    let asks_for = |word: &str| words.iter().any(|asked| asked.eq_ignore_ascii_case(word));
    match () {
        () if asks_for("image") => Some("image"),
        () if asks_for("audio") => Some("speech"),
        () if asks_for("text") => Some("text"),
        () => None,
    }
}

/// A word or a list of words.
#[derive(Deserialize)]
#[serde(untagged)]
enum Words {
    One(String),
    Many(Vec<String>),
}

impl Words {
    fn all(self) -> Vec<String> {
        match self {
            Self::One(word) => vec![word],
            Self::Many(words) => words,
        }
    }
}

/// The attributes that say what only OpenAI's answers say.
pub(crate) fn answered(call: &Call, answer: &Completion) -> Vec<KeyValue> {
    if !call.dialect.starts_with("openai_") {
        return Vec::new();
    }
    let body = Members::of(&answer.body, &["system_fingerprint"]);
    let fingerprint = body.read::<String>(&["system_fingerprint"]);
    let said = [
        answer.tier.as_deref().map(|tier| member("openai.response.service_tier", text(tier))),
        fingerprint.map(|print| member("openai.response.system_fingerprint", text(&print))),
    ];
    said.into_iter().flatten().collect()
}

#[cfg(test)]
mod tests;
