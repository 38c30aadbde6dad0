//! What `usage` tells.

use std::borrow::Cow;
use std::sync::Arc;

use perimeter_interceptor::Usage;
use serde::de::{MapAccess, SeqAccess};

use crate::dialect::json::{self, Name, Number, Str, Take};

/// `usage`, as far as it was read.
#[derive(Default)]
pub(super) struct Told<'de> {
    input: Option<u64>,
    output: Option<u64>,
    cache_read: Option<u64>,
    cache_write: Option<u64>,
    cache_write_5m: Option<u64>,
    cache_write_1h: Option<u64>,
    thinking: Option<u64>,
    searches: Option<u64>,
    tier: Option<Arc<str>>,
    speed: Option<Arc<str>>,
    geo: Option<Arc<str>>,
    /// Of which type an iteration is.
    kind: Option<Cow<'de, str>>,
    /// What summaries of the conversation took. The counts above are without them.
    compactions: Usage,
}

impl Told<'_> {
    /// What was used. Anthropic counts what is read from and written to the cache beside the input.
    pub(super) fn usage(&self) -> Option<Usage> {
        if self.input.is_none() && self.output.is_none() {
            return None;
        }
        let cache_write = self.cache_write.max(sum(self.cache_write_5m, self.cache_write_1h));
        let input = [self.input, self.cache_read, cache_write];
        let input = input.into_iter().flatten().fold(0, u64::saturating_add);
        let mut usage = Usage::new(input, self.output.unwrap_or(0));
        usage.cache_read = self.cache_read;
        usage.cache_write = cache_write;
        usage.cache_write_1h = self.cache_write_1h;
        usage.reasoning = self.thinking;
        usage.searches = self.searches;
        add(&mut usage, &self.compactions);
        Some(usage)
    }

    /// The tier that served it. The fast mode is none of Anthropic's tiers, and yet has prices of its own.
    pub(super) fn tier(&self) -> Option<Arc<str>> {
        let speed = self.speed.as_ref().filter(|speed| ***speed == *"fast");
        speed.or(self.tier.as_ref()).cloned()
    }

    /// Where it was computed, unless that could be anywhere.
    pub(super) fn region(self) -> Option<Arc<str>> {
        self.geo.filter(|geo| !matches!(&**geo, "" | "global" | "not_available"))
    }
}

fn sum(one: Option<u64>, other: Option<u64>) -> Option<u64> {
    match (one, other) {
        (Some(one), Some(other)) => Some(one.saturating_add(other)),
        (one, other) => one.or(other),
    }
}

/// Adds the tokens of `more`.
fn add(usage: &mut Usage, more: &Usage) {
    usage.input = usage.input.saturating_add(more.input);
    usage.output = usage.output.saturating_add(more.output);
    usage.cache_read = sum(usage.cache_read, more.cache_read);
    usage.cache_write = sum(usage.cache_write, more.cache_write);
    usage.cache_write_1h = sum(usage.cache_write_1h, more.cache_write_1h);
    usage.reasoning = sum(usage.reasoning, more.reasoning);
}

impl<'de> Take<'de> for &mut Told<'de> {
    fn object<A: MapAccess<'de>>(self, mut object: A) -> Result<bool, A::Error> {
        while let Some(key) = json::key(&mut object)? {
            match &*key {
                "input_tokens" => json::value(&mut object, Number(&mut self.input))?,
                "output_tokens" => json::value(&mut object, Number(&mut self.output))?,
                "cache_read_input_tokens" => json::value(&mut object, Number(&mut self.cache_read))?,
                "cache_creation_input_tokens" => json::value(&mut object, Number(&mut self.cache_write))?,
                "ephemeral_5m_input_tokens" => json::value(&mut object, Number(&mut self.cache_write_5m))?,
                "ephemeral_1h_input_tokens" => json::value(&mut object, Number(&mut self.cache_write_1h))?,
                "thinking_tokens" => json::value(&mut object, Number(&mut self.thinking))?,
                "web_search_requests" => json::value(&mut object, Number(&mut self.searches))?,
                // What is in these has names that are nowhere else.
                "cache_creation" | "output_tokens_details" | "server_tool_use" => {
                    json::value(&mut object, &mut *self)?
                }
                "service_tier" => json::value(&mut object, Name(&mut self.tier))?,
                "speed" => json::value(&mut object, Name(&mut self.speed))?,
                "inference_geo" => json::value(&mut object, Name(&mut self.geo))?,
                "type" => json::value(&mut object, Str(&mut self.kind))?,
                "iterations" => json::value(&mut object, Iterations(&mut self.compactions))?,
                _ => json::skip(&mut object)?,
            };
        }
        Ok(true)
    }
}

/// Takes the samplings that an answer took: adds up those that summarised the conversation.
struct Iterations<'s>(&'s mut Usage);

impl<'de> Take<'de> for Iterations<'_> {
    fn list<A: SeqAccess<'de>>(self, mut list: A) -> Result<bool, A::Error> {
        loop {
            let mut told = Told::default();
            if json::element(&mut list, &mut told)?.is_none() {
                return Ok(true);
            }
            if let Some("compaction") = told.kind.as_deref()
                && let Some(usage) = told.usage()
            {
                add(self.0, &usage);
            }
        }
    }
}
