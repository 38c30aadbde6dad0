//! A whole answer.

use std::sync::Arc;

use perimeter_interceptor::{Answer, CallId, Completion, Usage};
use serde::de::{MapAccess, SeqAccess};

use super::item::{self, Items};
use crate::dialect::failure::Told;
use crate::dialect::json::{self, Name, Number, Room, Take};
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
        billed_searches: None,
        tokens: Tokens::default(),
        error: Told::default(),
    };
    let read = json::read(body, &mut response);
    let mut completion = response.completion;
    completion.usage = response.tokens.usage(response.billed_searches.unwrap_or(response.searches));
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
    /// Searches of the web among the items, and as the provider counts them, where it does.
    searches: u64,
    billed_searches: Option<u64>,
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
                "tool_usage" => json::value(&mut object, ToolUsage(&mut self.billed_searches))?,
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

/// Takes the number of searches in what is counted beside the tokens.
struct ToolUsage<'s>(&'s mut Option<u64>);

impl<'de> Take<'de> for ToolUsage<'_> {
    fn object<A: MapAccess<'de>>(self, mut object: A) -> Result<bool, A::Error> {
        while let Some(key) = json::key(&mut object)? {
            match &*key {
                "web_search" => json::value(&mut object, ToolUsage(self.0))?,
                "num_requests" => json::value(&mut object, Number(self.0))?,
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
}

impl Tokens {
    fn usage(&self, searches: u64) -> Option<Usage> {
        if self.input.is_none() && self.output.is_none() {
            return None;
        }
        let mut usage = Usage::new(self.input.unwrap_or(0), self.output.unwrap_or(0));
        usage.cache_read = self.cached;
        usage.cache_write = self.written;
        usage.reasoning = self.reasoning;
        usage.searches = (searches > 0).then_some(searches);
        Some(usage)
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
                "input_tokens_details" | "output_tokens_details" => json::value(&mut object, &mut *self)?,
                _ => json::skip(&mut object)?,
            };
        }
        Ok(true)
    }
}
