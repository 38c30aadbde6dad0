//! A whole answer.

use std::sync::Arc;

use perimeter_interceptor::{Answer, CallId, Completion, Part, Role, Turn};
use serde::de::{MapAccess, SeqAccess};

use super::content::Content;
use super::usage::{Searches, tier, usage};
use crate::dialect::failure::Told;
use crate::dialect::fields::Fields;
use crate::dialect::json::{self, Name, Number, Room, Take};
use crate::dialect::reader::Answered;

/// Reads a whole answer.
pub(in crate::dialect) fn read_answer(call: CallId, body: &[u8]) -> Answered<'_> {
    let mut response = Response {
        room: &Room::new(),
        completion: Completion::new(call),
        blocked: None,
        usage: Fields::default(),
        searches: 0,
        error: Told::default(),
    };
    let read = json::read(body, &mut response);
    let Response { mut completion, blocked, usage: fields, searches, error, .. } = response;
    completion.usage = usage(|name| fields.raw(name), searches);
    completion.tier = tier(|name| fields.raw(name));
    refuse(&mut completion, blocked);
    Answered { completion, error, read }
}

/// A prompt that was blocked has no answer; why stands in place of why one stopped.
pub(super) fn refuse(completion: &mut Completion, blocked: Option<Arc<str>>) {
    if completion.answers.is_empty() && blocked.is_some() {
        let mut answer = Answer::new(0);
        answer.stop = blocked;
        completion.answers.push(answer);
    }
}

/// Names the answer in which tools are asked for: its index may come behind them.
pub(super) fn number_tools(parts: &mut [Part], choice: u32) {
    for part in parts {
        if let Part::ToolUse(tool) = part {
            Arc::make_mut(tool).choice = choice;
        }
    }
}

struct Response<'de, 'r> {
    room: &'r Room,
    completion: Completion,
    blocked: Option<Arc<str>>,
    usage: Fields<'de>,
    searches: u64,
    error: Told<'de>,
}

impl<'de> Take<'de> for &mut Response<'de, '_> {
    fn object<A: MapAccess<'de>>(self, mut object: A) -> Result<bool, A::Error> {
        let mut fine = true;
        while let Some(key) = json::key(&mut object)? {
            fine &= match &*key {
                // Code Assist wraps it.
                "response" => json::value(&mut object, &mut *self)?,
                "candidates" => json::value(&mut object, Candidates(self))?,
                "promptFeedback" => json::value(&mut object, Feedback(&mut self.blocked))?,
                "usageMetadata" => json::value(&mut object, &mut self.usage)?,
                "modelVersion" => json::value(&mut object, Name(&mut self.completion.model))?,
                "responseId" => json::value(&mut object, Name(&mut self.completion.id))?,
                "error" => json::value(&mut object, &mut self.error)?,
                _ => json::skip(&mut object)?,
            };
        }
        Ok(fine)
    }
}

struct Candidates<'s, 'de, 'r>(&'s mut Response<'de, 'r>);

impl<'de> Take<'de> for Candidates<'_, 'de, '_> {
    fn list<A: SeqAccess<'de>>(self, mut list: A) -> Result<bool, A::Error> {
        let response = self.0;
        let mut fine = true;
        for position in 0u64.. {
            let mut candidate = Candidate {
                call: response.completion.call,
                room: response.room,
                index: None,
                turn: Turn::new(Role::Assistant, Vec::new()),
                stop: None,
                searches: 0,
            };
            let read = json::element(&mut list, &mut candidate);
            // A candidate counts even where the body breaks off in it.
            if !matches!(read, Ok(None)) {
                let Candidate { index, mut turn, stop, searches, .. } = candidate;
                let mut answer = Answer::new(index.unwrap_or(position).try_into().unwrap_or(u32::MAX));
                number_tools(&mut turn.parts, answer.choice);
                answer.parts = turn.parts;
                answer.stop = stop;
                response.searches = response.searches.saturating_add(searches);
                if response.room.take() {
                    response.completion.answers.push(answer);
                } else {
                    fine = false;
                }
            }
            match read? {
                Some(read) => fine &= read,
                None => break,
            }
        }
        Ok(fine)
    }
}

struct Candidate<'r> {
    call: CallId,
    room: &'r Room,
    index: Option<u64>,
    turn: Turn,
    stop: Option<Arc<str>>,
    searches: u64,
}

impl<'de> Take<'de> for &mut Candidate<'_> {
    fn object<A: MapAccess<'de>>(self, mut object: A) -> Result<bool, A::Error> {
        let mut fine = true;
        while let Some(key) = json::key(&mut object)? {
            fine &= match &*key {
                "index" => json::value(&mut object, Number(&mut self.index))?,
                "content" => {
                    let (call, room, turn) = (self.call, self.room, &mut self.turn);
                    json::value(&mut object, Content { call, room, turn, begun: &mut false })?
                }
                "finishReason" => json::value(&mut object, Name(&mut self.stop))?,
                "groundingMetadata" => json::value(&mut object, Searches(&mut self.searches))?,
                _ => json::skip(&mut object)?,
            };
        }
        Ok(fine)
    }
}

/// Takes `promptFeedback`.
pub(super) struct Feedback<'s>(pub(super) &'s mut Option<Arc<str>>);

impl<'de> Take<'de> for Feedback<'_> {
    fn object<A: MapAccess<'de>>(self, mut object: A) -> Result<bool, A::Error> {
        while let Some(key) = json::key(&mut object)? {
            match &*key {
                "blockReason" => json::value(&mut object, Name(&mut *self.0))?,
                _ => json::skip(&mut object)?,
            };
        }
        Ok(true)
    }
}
