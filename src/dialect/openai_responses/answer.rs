//! A whole answer.

use std::sync::Arc;

use perimeter_interceptor::{Answer, CallId, Completion, Usage, Usd};
use serde::de::{MapAccess, SeqAccess};

use super::item::{self, Items};
use crate::dialect::failure::Told;
use crate::dialect::json::{self, Name, Number, Room, Take};
use crate::dialect::money;
use crate::dialect::reader::Answered;

/// Reads a whole answer.
pub(in crate::dialect) fn read_answer(call: CallId, body: &[u8]) -> Answered<'_> {
    let mut response = Response {
        room: &Room::new(),
        completion: Completion::new(call),
        answer: Answer::new(0),
        is_answer: false,
        reason: None,
        searches: 0,
        tools: ToolUsage::default(),
        tokens: Tokens::default(),
        error: Told::default(),
    };
    let read = json::read(body, &mut response);
    let mut completion = response.completion;
    completion.usage = response.tokens.usage(&response.tools, response.searches);
    if response.is_answer {
        // Why it is incomplete says more than that it is.
        let mut answer = response.answer;
        answer.stop = response.reason.or(answer.stop);
        completion.answers.push(answer);
    }
    Answered { completion, error: response.error, read }
}

struct Response<'de, 'r> {
    room: &'r Room,
    completion: Completion,
    answer: Answer,
    is_answer: bool,
    reason: Option<Arc<str>>,
    /// Searches of the web among the items.
    searches: u64,
    tools: ToolUsage,
    tokens: Tokens,
    error: Told<'de>,
}

impl<'de> Take<'de> for &mut Response<'de, '_> {
    fn object<A: MapAccess<'de>>(self, mut object: A) -> Result<bool, A::Error> {
        let mut fine = true;
        while let Some(key) = json::key(&mut object)? {
            fine &= match &*key {
                "id" => json::value(&mut object, Name(&mut self.completion.id))?,
                "model" => json::value(&mut object, Name(&mut self.completion.model))?,
                "service_tier" => json::value(&mut object, Name(&mut self.completion.tier))?,
                "status" => {
                    self.is_answer = true;
                    json::value(&mut object, Name(&mut self.answer.stop))?
                }
                "incomplete_details" => json::value(&mut object, Reason(&mut self.reason))?,
                "output" => json::value(&mut object, Output(self))?,
                "usage" => json::value(&mut object, &mut self.tokens)?,
                "tool_usage" => json::value(&mut object, &mut self.tools)?,
                "error" => json::value(&mut object, &mut self.error)?,
                _ => json::skip(&mut object)?,
            };
        }
        Ok(fine)
    }
}

struct Output<'s, 'de, 'r>(&'s mut Response<'de, 'r>);

impl<'de> Take<'de> for Output<'_, 'de, '_> {
    fn list<A: SeqAccess<'de>>(self, list: A) -> Result<bool, A::Error> {
        let Response { room, completion, answer, is_answer, searches, .. } = self.0;
        *is_answer = true;
        let tell = |item: item::Item<'_, '_>, whole| {
            *searches += u64::from(item.is_search());
            answer.parts.extend(item::answered(item, whole));
        };
        Items { call: completion.call, room, tell }.list(list)
    }
}

struct Reason<'s>(&'s mut Option<Arc<str>>);

impl<'de> Take<'de> for Reason<'_> {
    fn object<A: MapAccess<'de>>(self, mut object: A) -> Result<bool, A::Error> {
        let mut fine = true;
        while let Some(key) = json::key(&mut object)? {
            fine &= match &*key {
                "reason" => json::value(&mut object, Name(self.0))?,
                _ => json::skip(&mut object)?,
            };
        }
        Ok(fine)
    }
}

/// Takes what tools of the provider used, which it counts beside the model's tokens.
#[derive(Debug, Default)]
struct ToolUsage {
    searches: Option<u64>,
    drawing: Tokens,
}

impl<'de> Take<'de> for &mut ToolUsage {
    fn object<A: MapAccess<'de>>(self, mut object: A) -> Result<bool, A::Error> {
        while let Some(key) = json::key(&mut object)? {
            match &*key {
                "web_search" => json::value(&mut object, &mut *self)?,
                "num_requests" => json::value(&mut object, Number(&mut self.searches))?,
                "image_gen" => json::value(&mut object, &mut self.drawing)?,
                _ => json::skip(&mut object)?,
            };
        }
        Ok(true)
    }
}

/// Takes `usage`.
#[derive(Debug, Default)]
struct Tokens {
    input: Option<u64>,
    output: Option<u64>,
    cached: Option<u64>,
    written: Option<u64>,
    reasoning: Option<u64>,
    total: Option<u64>,
    charged: Option<Usd>,
}

impl Tokens {
    fn usage(&self, tools: &ToolUsage, searches: u64) -> Option<Usage> {
        if self.input.is_none() && self.output.is_none() {
            return None;
        }
        let mut usage = Usage::new(self.input.unwrap_or(0), self.output());
        usage.cache_read = self.cached;
        usage.cache_write = self.written;
        usage.reasoning = self.reasoning;
        usage.charged = self.charged;
        usage.searches = Some(tools.searches.unwrap_or(searches)).filter(|searches| *searches > 0);
        tools.drawing.add_drawn(&mut usage);
        Some(usage)
    }

    /// Adds what another model drew: what it made counts as pictures, which have a price of their own.
    fn add_drawn(&self, usage: &mut Usage) {
        if let Some(drawn) = self.output.filter(|drawn| *drawn > 0) {
            usage.input = usage.input.saturating_add(self.input.unwrap_or(0));
            usage.output = usage.output.saturating_add(drawn);
            usage.image_output = Some(drawn);
        }
    }

    /// xAI may leave reasoning out of `output_tokens`; its total shows that.
    fn output(&self) -> u64 {
        let output = self.output.unwrap_or(0);
        let (Some(total), Some(reasoning)) = (self.total, self.reasoning) else { return output };
        let apart = output.saturating_add(reasoning);
        let adds_up = self.input.unwrap_or(0).checked_add(apart) == Some(total);
        if adds_up { apart } else { output }
    }
}

impl<'de> Take<'de> for &mut Tokens {
    fn object<A: MapAccess<'de>>(self, mut object: A) -> Result<bool, A::Error> {
        while let Some(key) = json::key(&mut object)? {
            match &*key {
                "input_tokens" => json::value(&mut object, Number(&mut self.input))?,
                "output_tokens" => json::value(&mut object, Number(&mut self.output))?,
                "cached_tokens" => json::value(&mut object, Number(&mut self.cached))?,
                "cache_write_tokens" => json::value(&mut object, Number(&mut self.written))?,
                "reasoning_tokens" => json::value(&mut object, Number(&mut self.reasoning))?,
                "total_tokens" => json::value(&mut object, Number(&mut self.total))?,
                "cost" => {
                    self.charged = json::raw(&mut object)?.and_then(money::cost).or(self.charged);
                    true
                }
                "cost_in_usd_ticks" => {
                    self.charged = json::raw(&mut object)?.and_then(money::ticks).or(self.charged);
                    true
                }
                "input_tokens_details" | "output_tokens_details" => json::value(&mut object, &mut *self)?,
                _ => json::skip(&mut object)?,
            };
        }
        Ok(true)
    }
}
