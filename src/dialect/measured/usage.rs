//! What is told to be used by what is no conversation.

use perimeter_interceptor::{Operation, Usage};
use serde::de::MapAccess;
use serde_json::value::RawValue;

use crate::dialect::json::{self, Number, Take};
use crate::dialect::openai_chat;

/// What the object `usage` of an answer says. Where an answer tells what an earlier call used, or only counts, that is
/// none of its own.
pub(super) fn usage(operation: Operation, written: &RawValue) -> Option<Usage> {
    let makes = matches!(
        operation,
        Operation::Embeddings
            | Operation::Moderation
            | Operation::Image
            | Operation::Speech
            | Operation::Transcription
    );
    if !makes {
        return None;
    }
    let mut tokens = Tokens::default();
    json::read(written.get().as_bytes(), &mut tokens);
    let told = openai_chat::usage(written);
    if tokens.input.is_none() && tokens.output.is_none() {
        return told;
    }
    let mut usage = Usage::new(tokens.input.unwrap_or(0), tokens.output.unwrap_or(0));
    usage.cache_read = tokens.of_input.cached;
    usage.audio_input = tokens.of_input.audio;
    usage.image_input = tokens.of_input.image;
    usage.audio_output = tokens.of_output.audio;
    usage.image_output = tokens.of_output.image;
    usage.charged = told.and_then(|told| told.charged);
    if operation == Operation::Image && usage.image_output.is_none() {
        usage.image_output = tokens.output;
    }
    if operation == Operation::Speech && usage.audio_output.is_none() {
        usage.audio_output = tokens.output;
    }
    Some(usage)
}

/// How long the sound was, as the object `usage` writes it, where that is what is paid for.
pub(super) fn seconds(written: &RawValue) -> Option<&str> {
    let mut seconds = None;
    json::read(written.get().as_bytes(), Seconds(&mut seconds));
    seconds.map(RawValue::get).filter(|written| written.starts_with(|first: char| first.is_ascii_digit()))
}

#[derive(Default)]
struct Tokens {
    input: Option<u64>,
    output: Option<u64>,
    of_input: Parts,
    of_output: Parts,
}

impl<'de> Take<'de> for &mut Tokens {
    fn object<A: MapAccess<'de>>(self, mut object: A) -> Result<bool, A::Error> {
        while let Some(key) = json::key(&mut object)? {
            match &*key {
                // The second is Gemini's.
                "input_tokens" | "promptTokenCount" => json::value(&mut object, Number(&mut self.input))?,
                "output_tokens" => json::value(&mut object, Number(&mut self.output))?,
                // Transcriptions write the first, pictures the second.
                "input_token_details" | "input_tokens_details" => {
                    json::value(&mut object, &mut self.of_input)?
                }
                "output_token_details" | "output_tokens_details" => {
                    json::value(&mut object, &mut self.of_output)?
                }
                _ => json::skip(&mut object)?,
            };
        }
        Ok(true)
    }
}

#[derive(Default)]
struct Parts {
    cached: Option<u64>,
    audio: Option<u64>,
    image: Option<u64>,
}

impl<'de> Take<'de> for &mut Parts {
    fn object<A: MapAccess<'de>>(self, mut object: A) -> Result<bool, A::Error> {
        while let Some(key) = json::key(&mut object)? {
            match &*key {
                "cached_tokens" => json::value(&mut object, Number(&mut self.cached))?,
                "audio_tokens" => json::value(&mut object, Number(&mut self.audio))?,
                "image_tokens" => json::value(&mut object, Number(&mut self.image))?,
                _ => json::skip(&mut object)?,
            };
        }
        Ok(true)
    }
}

struct Seconds<'s, 'de>(&'s mut Option<&'de RawValue>);

impl<'de> Take<'de> for Seconds<'_, 'de> {
    fn object<A: MapAccess<'de>>(self, mut object: A) -> Result<bool, A::Error> {
        while let Some(key) = json::key(&mut object)? {
            match &*key {
                "seconds" => *self.0 = json::raw(&mut object)?,
                _ => drop(json::skip(&mut object)?),
            }
        }
        Ok(true)
    }
}
