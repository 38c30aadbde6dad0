//! What a request says.

use std::borrow::Cow;
use std::sync::Arc;

use perimeter_interceptor::{CallId, Part, Role, Turn};
use serde::de::{IgnoredAny, MapAccess, SeqAccess};

use super::item::{Item, Items};
use super::piece::Content;
use crate::dialect::Prompt;
use crate::dialect::json::{self, Flag, Name, Read, Room, Take};
use crate::dialect::names::{self, Heard};
use crate::dialect::tools::Tools;

/// Reads a request into `prompt`: instructions are its first turn, and then each item of the input is one.
pub(in crate::dialect) fn read_request(call: CallId, body: &[u8], prompt: &mut Prompt) -> Read {
    let room = Room::new();
    let mut system = Vec::new();
    let mut heard = Heard::of(names::OPENAI);
    let request = Request { call, room: &room, system: &mut system, heard: &mut heard, prompt };
    let read = json::read(body, request);
    prompt.names = heard.names();
    if !system.is_empty() {
        prompt.turns.insert(0, Turn::new(Role::System, system));
    }
    read
}

struct Request<'p, 'r> {
    call: CallId,
    room: &'r Room,
    system: &'p mut Vec<Part>,
    heard: &'p mut Heard,
    prompt: &'p mut Prompt,
}

impl<'de> Take<'de> for Request<'_, '_> {
    fn object<A: MapAccess<'de>>(self, mut object: A) -> Result<bool, A::Error> {
        let Self { call, room, system, heard, prompt } = self;
        let mut fine = true;
        while let Some(key) = json::key(&mut object)? {
            fine &= match &*key {
                "model" => json::value(&mut object, Name(&mut prompt.model))?,
                "stream" => json::value(&mut object, Flag(&mut prompt.streaming))?,
                "instructions" => {
                    let (parts, failed) = (&mut *system, &mut false);
                    json::value(&mut object, Content { room, parts, failed, thinking: false })?
                }
                "prompt" => json::value(&mut object, Template(system))?,
                "input" => json::value(&mut object, Input { call, room, turns: &mut prompt.turns })?,
                "tools" => json::value(&mut object, Tools { room, tools: &mut prompt.tools })?,
                "previous_response_id" => json::value(&mut object, Name(&mut prompt.previous))?,
                "conversation" => json::value(&mut object, Id(&mut prompt.conversation))?,
                key => heard.member(&mut object, None, key)?,
            };
        }
        Ok(fine)
    }
}

/// Takes `input`: what the user says, or a list of items.
struct Input<'p, 'r> {
    call: CallId,
    room: &'r Room,
    turns: &'p mut Vec<Turn>,
}

impl<'de> Take<'de> for Input<'_, '_> {
    fn text(self, text: Cow<'de, str>) -> bool {
        self.turns.push(Turn::new(Role::User, vec![Part::Text(text.into())]));
        true
    }

    fn list<A: SeqAccess<'de>>(self, list: A) -> Result<bool, A::Error> {
        let Self { call, room, turns } = self;
        let tell = |item: Item<'de, '_>, whole| turns.push(item.into_turn(whole));
        Items { call, room, tell }.list(list)
    }
}

/// Takes a reference to a prompt that the provider keeps: that there is one.
struct Template<'p>(&'p mut Vec<Part>);

impl<'de> Take<'de> for Template<'_> {
    fn object<A: MapAccess<'de>>(self, mut object: A) -> Result<bool, A::Error> {
        while object.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        self.0.push(Part::Other("prompt".into()));
        Ok(true)
    }
}

/// Takes an id, or an object that has one.
struct Id<'p>(&'p mut Option<Arc<str>>);

impl<'de> Take<'de> for Id<'_> {
    fn text(self, text: Cow<'de, str>) -> bool {
        *self.0 = Some(text.into());
        true
    }

    fn object<A: MapAccess<'de>>(self, mut object: A) -> Result<bool, A::Error> {
        let mut fine = true;
        while let Some(key) = json::key(&mut object)? {
            fine &= match &*key {
                "id" => json::value(&mut object, Name(self.0))?,
                _ => json::skip(&mut object)?,
            };
        }
        Ok(fine)
    }
}
