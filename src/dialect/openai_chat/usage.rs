//! What a call used, in the words of Chat Completions, and of those that speak it.

use perimeter_interceptor::{Usage, Usd};
use serde::de::MapAccess;
use serde_json::value::RawValue;

use crate::dialect::json::{self, Number, Take};
use crate::dialect::money;

/// What the object `usage` says, where it is one that says anything.
pub(in crate::dialect) fn usage(written: &RawValue) -> Option<Usage> {
    let mut tokens = Tokens::default();
    json::read(written.get().as_bytes(), &mut tokens);
    let says = tokens.input.is_some() || tokens.output.is_some() || tokens.charged.is_some();
    says.then(|| tokens.usage())
}

#[derive(Debug, Default)]
struct Tokens {
    input: Option<u64>,
    output: Option<u64>,
    total: Option<u64>,
    cached: Option<u64>,
    written: Option<u64>,
    reasoning: Option<u64>,
    audio_input: Option<u64>,
    image_input: Option<u64>,
    audio_output: Option<u64>,
    image_output: Option<u64>,
    searches: Option<u64>,
    charged: Option<Usd>,
}

impl Tokens {
    fn usage(mut self) -> Usage {
        self.add_thoughts();
        let mut usage = Usage::new(self.input.unwrap_or(0), self.output.unwrap_or(0));
        usage.cache_read = self.cached;
        usage.cache_write = self.written;
        usage.reasoning = self.reasoning;
        usage.audio_input = self.audio_input;
        usage.image_input = self.image_input;
        usage.audio_output = self.audio_output;
        usage.image_output = self.image_output;
        usage.searches = self.searches;
        usage.charged = self.charged;
        usage
    }

    /// xAI and Google leave reasoning out of `completion_tokens`, and Google does not say how much it was; the total
    /// shows both.
    fn add_thoughts(&mut self) {
        let (Some(total), Some(input)) = (self.total, self.input) else { return };
        let output = self.output.unwrap_or(0);
        let apart = total.saturating_sub(input).saturating_sub(output);
        if apart > 0 && self.reasoning.is_none_or(|reasoning| reasoning == apart) {
            self.output = Some(output + apart);
            self.reasoning = Some(apart);
        }
    }
}

impl<'de> Take<'de> for &mut Tokens {
    fn object<A: MapAccess<'de>>(self, mut object: A) -> Result<bool, A::Error> {
        while let Some(key) = json::key(&mut object)? {
            match &*key {
                "prompt_tokens" => json::value(&mut object, Number(&mut self.input))?,
                "completion_tokens" => json::value(&mut object, Number(&mut self.output))?,
                "total_tokens" => json::value(&mut object, Number(&mut self.total))?,
                // DeepSeek's word for it stands beside the whole.
                "cached_tokens" | "prompt_cache_hit_tokens" => {
                    json::value(&mut object, Number(&mut self.cached))?
                }
                // Of those that pass on what Anthropic says.
                "cache_creation_input_tokens" => json::value(&mut object, Number(&mut self.written))?,
                "reasoning_tokens" => json::value(&mut object, Number(&mut self.reasoning))?,
                // Perplexity's and OpenRouter's.
                "num_search_queries" => json::value(&mut object, Number(&mut self.searches))?,
                "server_tool_use" => json::value(&mut object, Searches(&mut self.searches))?,
                "cost" => {
                    self.charged = json::raw(&mut object)?.and_then(money::cost).or(self.charged);
                    true
                }
                "cost_in_usd_ticks" => {
                    self.charged = json::raw(&mut object)?.and_then(money::ticks).or(self.charged);
                    true
                }
                "prompt_tokens_details" => json::value(&mut object, Details::of_input(self))?,
                "completion_tokens_details" => json::value(&mut object, Details::of_output(self))?,
                _ => json::skip(&mut object)?,
            };
        }
        Ok(true)
    }
}

/// Takes what a whole is made of.
struct Details<'s> {
    cached: &'s mut Option<u64>,
    written: &'s mut Option<u64>,
    reasoning: &'s mut Option<u64>,
    audio: &'s mut Option<u64>,
    image: &'s mut Option<u64>,
}

impl<'s> Details<'s> {
    fn of_input(tokens: &'s mut Tokens) -> Self {
        let Tokens { cached, written, reasoning, audio_input, image_input, .. } = tokens;
        Self { cached, written, reasoning, audio: audio_input, image: image_input }
    }

    fn of_output(tokens: &'s mut Tokens) -> Self {
        let Tokens { cached, written, reasoning, audio_output, image_output, .. } = tokens;
        Self { cached, written, reasoning, audio: audio_output, image: image_output }
    }
}

impl<'de> Take<'de> for Details<'_> {
    fn object<A: MapAccess<'de>>(self, mut object: A) -> Result<bool, A::Error> {
        while let Some(key) = json::key(&mut object)? {
            match &*key {
                "cached_tokens" => json::value(&mut object, Number(&mut *self.cached))?,
                // The second is Alibaba's.
                "cache_write_tokens" | "cache_creation_input_tokens" => {
                    json::value(&mut object, Number(&mut *self.written))?
                }
                "reasoning_tokens" => json::value(&mut object, Number(&mut *self.reasoning))?,
                "audio_tokens" => json::value(&mut object, Number(&mut *self.audio))?,
                "image_tokens" => json::value(&mut object, Number(&mut *self.image))?,
                _ => json::skip(&mut object)?,
            };
        }
        Ok(true)
    }
}

struct Searches<'s>(&'s mut Option<u64>);

impl<'de> Take<'de> for Searches<'_> {
    fn object<A: MapAccess<'de>>(self, mut object: A) -> Result<bool, A::Error> {
        while let Some(key) = json::key(&mut object)? {
            match &*key {
                "web_search_requests" => json::value(&mut object, Number(&mut *self.0))?,
                _ => json::skip(&mut object)?,
            };
        }
        Ok(true)
    }
}
