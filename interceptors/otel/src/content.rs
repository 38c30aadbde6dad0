//! What calls say, as the conventions for generative AI have it: `gen_ai.input.messages` and its like.
//!
//! Secrets are taken out first; then each part is cut to a size; then of what is too long as a whole, the oldest is left
//! out. Whatever the limits, what is told is valid by the conventions' JSON Schemas.

use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue};
use perimeter_interceptor::{Call, Interest, Operation};

use crate::finished::Finished;

mod finish;
mod fit;
mod instructions;
mod messages;
mod part;
mod settings;
mod tools;
pub(crate) mod value;

pub(crate) use settings::{Capture, Messages, Settings};

use part::Teller;

/// The attributes that hold content.
pub(crate) const KEYS: [&str; 4] = [
    "gen_ai.system_instructions",
    "gen_ai.input.messages",
    "gen_ai.output.messages",
    "gen_ai.tool.definitions",
];

/// What an interceptor must ask for to tell content so.
pub(crate) fn interest(settings: &Settings, capture: Capture) -> Interest {
    match (capture, settings.messages) {
        (Capture::None, _) | (_, Messages::New) => Interest::NONE,
        (_, Messages::All) => Interest::HISTORY,
    }
}

/// What one call says: a value for each of the [`KEYS`], in their order, where there is one.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Content([Option<AnyValue>; 4]);

impl Content {
    /// What this call asked, and what was answered.
    pub(crate) fn of(finished: &Finished, settings: &Settings) -> Self {
        let call = &*finished.call;
        if !is_talk(call.operation) {
            return Self::default();
        }
        let teller = Teller::new(settings);
        let turns = match settings.messages {
            Messages::All if !call.history.is_empty() => &*call.history,
            _ => &*call.news,
        };
        let (instructions, turns) = instructions::split(call, turns);
        let answers = finished.answer.as_ref().map(|answer| &*answer.answers).unwrap_or_default();
        Self([
            instructions.map(|turn| messages::instructions(&teller, turn)),
            (!turns.is_empty()).then(|| messages::input(&teller, turns)),
            (!answers.is_empty()).then(|| messages::output(&teller, answers, finished.error.is_some())),
            told_tools(&teller, call),
        ])
    }

    /// As attributes of a span: JSON in a text, since many a backend knows nothing else there.
    pub(crate) fn on_span(&self) -> Vec<KeyValue> {
        self.values().map(|(key, content)| value::member(key, value::text(value::write(content)))).collect()
    }

    /// As attributes of a log record: structured, as the conventions demand there.
    pub(crate) fn on_event(&self) -> Vec<KeyValue> {
        self.values().map(|(key, content)| value::member(key, content.clone())).collect()
    }

    fn values(&self) -> impl Iterator<Item = (&'static str, &AnyValue)> {
        KEYS.into_iter().zip(&self.0).filter_map(|(key, content)| Some((key, content.as_ref()?)))
    }
}

/// Whether what is asked and answered are messages.
fn is_talk(operation: Operation) -> bool {
    matches!(operation, Operation::Chat | Operation::TextCompletion | Operation::Retrieval)
}

fn told_tools(teller: &Teller<'_>, call: &Call) -> Option<AnyValue> {
    (!call.tools.is_empty()).then(|| tools::definitions(teller, call))
}

#[cfg(test)]
mod tests;
