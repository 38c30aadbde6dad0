//! A whole answer.

use perimeter_interceptor::{Answer, CallId, Completion};
use serde::de::MapAccess;

use super::block::Content;
use super::usage;
use crate::dialect::failure::Told;
use crate::dialect::json::{self, Name, Room, Take};
use crate::dialect::reader::Answered;

/// Reads a whole answer.
pub(in crate::dialect) fn read_answer(call: CallId, body: &[u8]) -> Answered<'_> {
    let mut message = Message {
        room: &Room::new(),
        completion: Completion::new(call),
        answer: Answer::new(0),
        is_answer: false,
        usage: usage::Told::default(),
        error: Told::default(),
    };
    let read = json::read(body, &mut message);
    let mut completion = message.completion;
    completion.usage = message.usage.usage();
    completion.tier = message.usage.tier();
    completion.region = message.usage.region();
    if message.is_answer {
        completion.answers.push(message.answer);
    }
    Answered { completion, error: message.error, read }
}

struct Message<'de, 'r> {
    room: &'r Room,
    completion: Completion,
    answer: Answer,
    is_answer: bool,
    usage: usage::Told<'de>,
    error: Told<'de>,
}

impl<'de> Take<'de> for &mut Message<'de, '_> {
    fn object<A: MapAccess<'de>>(self, mut object: A) -> Result<bool, A::Error> {
        let mut fine = true;
        while let Some(key) = json::key(&mut object)? {
            fine &= match &*key {
                "id" => json::value(&mut object, Name(&mut self.completion.id))?,
                "model" => json::value(&mut object, Name(&mut self.completion.model))?,
                "content" => {
                    self.is_answer = true;
                    let parts = &mut self.answer.parts;
                    let content = Content::of_message(self.completion.call, self.room, parts);
                    json::value(&mut object, content)?
                }
                "stop_reason" => json::value(&mut object, Name(&mut self.answer.stop))?,
                "usage" => json::value(&mut object, &mut self.usage)?,
                "error" => json::value(&mut object, &mut self.error)?,
                _ => json::skip(&mut object)?,
            };
        }
        Ok(fine)
    }
}
