//! What a request says.

use perimeter_interceptor::{CallId, Role, Turn};
use serde::de::{MapAccess, SeqAccess};

use super::message::Message;
use crate::dialect::json::{self, Flag, Name, Read, Room, Take};
use crate::dialect::names::{self, Heard};
use crate::dialect::tools::Tools;
use crate::dialect::{Prompt, role};

/// Reads a request into `prompt`.
pub(in crate::dialect) fn read_request(call: CallId, body: &[u8], prompt: &mut Prompt) -> Read {
    let room = Room::new();
    let mut heard = Heard::of(names::OPENAI);
    let read = json::read(body, Request { call, room: &room, heard: &mut heard, prompt });
    prompt.names = heard.names();
    read
}

struct Request<'p, 'r> {
    call: CallId,
    room: &'r Room,
    heard: &'p mut Heard,
    prompt: &'p mut Prompt,
}

impl<'de> Take<'de> for Request<'_, '_> {
    fn object<A: MapAccess<'de>>(self, mut object: A) -> Result<bool, A::Error> {
        let Self { call, room, heard, prompt } = self;
        let mut fine = true;
        while let Some(key) = json::key(&mut object)? {
            fine &= match &*key {
                "model" => json::value(&mut object, Name(&mut prompt.model))?,
                "stream" => json::value(&mut object, Flag(&mut prompt.streaming))?,
                "messages" => json::value(&mut object, Messages { call, room, turns: &mut prompt.turns })?,
                "tools" | "functions" => json::value(&mut object, Tools { room, tools: &mut prompt.tools })?,
                key => heard.member(&mut object, None, key)?,
            };
        }
        Ok(fine)
    }
}

struct Messages<'p, 'r> {
    call: CallId,
    room: &'r Room,
    turns: &'p mut Vec<Turn>,
}

impl<'de> Take<'de> for Messages<'_, '_> {
    fn list<A: SeqAccess<'de>>(self, mut list: A) -> Result<bool, A::Error> {
        let mut fine = true;
        loop {
            let mut message = Message::new(self.room);
            let read = json::element(&mut list, &mut message);
            // A message counts whatever it is, and even where the body breaks off in it if it said anything by then.
            let is_one = match read {
                Ok(Some(_)) => true,
                Ok(None) => false,
                Err(_) => message.role.is_some() || !message.is_empty(),
            };
            if is_one && self.room.take() {
                self.turns.push(turn(message, self.call));
            } else {
                fine &= !is_one;
            }
            match read? {
                Some(read) => fine &= read,
                None => return Ok(fine),
            }
        }
    }
}

/// The turn that a message is.
fn turn(message: Message<'_, '_>, call: CallId) -> Turn {
    let role = role(message.role.as_deref().unwrap_or_default());
    let parts = match role {
        Role::Tool => message.into_result(),
        _ => message.into_parts(call, 0),
    };
    Turn::new(role, parts)
}
