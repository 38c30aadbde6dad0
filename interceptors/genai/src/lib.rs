//! The words of OpenTelemetry's GenAI conventions for what passes through perimeter.
//!
//! Whoever tells of calls in the conventions' terms takes the words from here, so that a call has the same attributes
//! wherever it is told: in traces, over OTLP and on the page of metrics.
//!
//! <https://github.com/open-telemetry/semantic-conventions-genai>

use perimeter_interceptor::Operation;

pub mod error_type;
mod provider;

pub use provider::provider_name;

/// `gen_ai.operation.name` for a call in this dialect. Gemini's word for a chat is a name of the conventions; where they
/// have none, it is [`Operation::as_str`]'s.
pub fn operation_name(operation: Operation, dialect: &str) -> &'static str {
    match operation {
        Operation::Chat if dialect == "gemini" => "generate_content",
        operation => operation.as_str(),
    }
}

/// Whether calls of this operation ask a model to infer something: those that the conventions measure.
pub fn is_inference(operation: Operation) -> bool {
    use Operation::{Chat, Embeddings, Image, Moderation, Speech, TextCompletion, Transcription};
    matches!(operation, Chat | TextCompletion | Embeddings | Moderation | Image | Speech | Transcription)
}

/// What tokens may be of: `gen_ai.token.modality`.
pub const MODALITIES: [&str; 4] = ["text", "image", "audio", "unknown"];

/// How many of `all` tokens were of each of the [`MODALITIES`]; none where that is not told. The rest is text only where
/// the pictures among it are known: some providers tell of sound alone.
pub fn by_modality(all: u64, image: Option<u64>, audio: Option<u64>) -> [Option<u64>; MODALITIES.len()] {
    let rest = all.saturating_sub(image.unwrap_or(0)).saturating_sub(audio.unwrap_or(0));
    let some = |tokens: Option<u64>| tokens.filter(|tokens| *tokens > 0);
    let (text, unknown) = if image.is_some() { (Some(rest), None) } else { (None, Some(rest)) };
    [text, some(image), some(audio), unknown]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chat_is_called_what_its_api_calls_it() {
        assert_eq!(operation_name(Operation::Chat, "gemini"), "generate_content");
        assert_eq!(operation_name(Operation::Chat, "openai_chat"), "chat");
        assert_eq!(operation_name(Operation::Embeddings, "gemini"), "embeddings");
    }

    #[test]
    fn tokens_are_split_by_what_they_are_of_as_far_as_that_is_told() {
        assert_eq!(by_modality(100, None, None), [None, None, None, Some(100)]);
        assert_eq!(by_modality(100, None, Some(30)), [None, None, Some(30), Some(70)]);
        assert_eq!(by_modality(100, Some(10), Some(30)), [Some(60), Some(10), Some(30), None]);
        assert_eq!(by_modality(100, Some(0), Some(0)), [Some(100), None, None, None]);
        assert_eq!(by_modality(1, Some(2), Some(3)), [Some(0), Some(2), Some(3), None]);
    }
}
