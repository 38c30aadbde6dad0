//! OpenAI's Completions, the API before Chat Completions; vLLM, Ollama and others have it too.
//!
//! But for its prompt, and that a choice holds a text where a chat's holds a message, it is written like a chat.

use perimeter_interceptor::{CallId, Role, Turn};
use serde::de::MapAccess;

use super::inputs::Inputs;
use super::json::{self, Flag, Name, Read, Room, Take};
use super::names::{self, Heard};
use super::openai_chat::{self, Holds};
use super::reader::Answered;
use super::{Prompt, openai_chat::Stream};

/// Reads a request into `prompt`.
pub(super) fn read_request(body: &[u8], prompt: &mut Prompt) -> Read {
    let mut heard = Heard::of(names::OPENAI);
    let read = json::read(body, Request { heard: &mut heard, prompt });
    prompt.names = heard.names();
    read
}

/// Reads a whole answer.
pub(super) fn read_answer(call: CallId, body: &[u8]) -> Answered<'_> {
    openai_chat::read_choices(call, body, Holds::Text)
}

/// An answer that comes in events.
pub(super) fn stream(call: CallId, status: u16, limit: usize) -> Stream {
    Stream::of(Holds::Text, call, status, limit)
}

struct Request<'p> {
    heard: &'p mut Heard,
    prompt: &'p mut Prompt,
}

impl<'de> Take<'de> for Request<'_> {
    fn object<A: MapAccess<'de>>(self, mut object: A) -> Result<bool, A::Error> {
        let Self { heard, prompt } = self;
        let mut fine = true;
        while let Some(key) = json::key(&mut object)? {
            fine &= match &*key {
                "model" => json::value(&mut object, Name(&mut prompt.model))?,
                "stream" => json::value(&mut object, Flag(&mut prompt.streaming))?,
                "prompt" => {
                    let mut turn = Turn::new(Role::User, Vec::new());
                    let read = json::value(&mut object, Inputs::new(&Room::new(), &mut turn.parts));
                    prompt.turns = vec![turn];
                    read?
                }
                key => heard.member(&mut object, None, key)?,
            };
        }
        Ok(fine)
    }
}
