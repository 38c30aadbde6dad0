//! OpenAI's Chat Completions, and what others make of it (Azure, vLLM, Ollama, OpenRouter, DeepSeek, Mistral …).

mod answer;
mod body;
mod choice;
mod message;
mod piece;
mod request;
mod stream;

use perimeter_interceptor::Usage;
use serde::de::MapAccess;

pub(super) use self::answer::read_answer;
pub(super) use self::request::read_request;
pub(super) use self::stream::Stream;
use super::json::{self, Number, Take};

/// How many answers to a call are read. OpenAI gives at most this many.
const MOST_CHOICES: usize = 128;

/// Takes `usage`.
#[derive(Debug, Default)]
struct Tokens {
    input: Option<u64>,
    output: Option<u64>,
    cached: Option<u64>,
    reasoning: Option<u64>,
}

impl Tokens {
    fn usage(&self) -> Usage {
        let mut usage = Usage::new(self.input.unwrap_or(0), self.output.unwrap_or(0));
        usage.cache_read = self.cached;
        usage.reasoning = self.reasoning;
        usage
    }
}

impl<'de> Take<'de> for &mut Tokens {
    fn object<A: MapAccess<'de>>(self, mut object: A) -> Result<bool, A::Error> {
        while let Some(key) = json::key(&mut object)? {
            match &*key {
                "prompt_tokens" => json::value(&mut object, Number(&mut self.input))?,
                "completion_tokens" => json::value(&mut object, Number(&mut self.output))?,
                // DeepSeek's word for it stands beside the whole.
                "cached_tokens" | "prompt_cache_hit_tokens" => {
                    json::value(&mut object, Number(&mut self.cached))?
                }
                "reasoning_tokens" => json::value(&mut object, Number(&mut self.reasoning))?,
                "prompt_tokens_details" | "completion_tokens_details" => {
                    json::value(&mut object, &mut *self)?
                }
                _ => json::skip(&mut object)?,
            };
        }
        Ok(true)
    }
}
