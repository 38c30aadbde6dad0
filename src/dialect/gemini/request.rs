//! What a request says.

use std::borrow::Cow;
use std::sync::Arc;

use perimeter_interceptor::{CallId, Part, Role, Tool, Turn};
use serde::de::{MapAccess, SeqAccess};

use super::content::Content;
use crate::dialect::Prompt;
use crate::dialect::json::{self, Name, Read, Room, Str, Take};
use crate::dialect::names::{self, Heard};

/// Reads a request into `prompt`.
pub(in crate::dialect) fn read_request(call: CallId, body: &[u8], prompt: &mut Prompt) -> Read {
    let room = Room::new();
    let mut system = Turn::new(Role::System, Vec::new());
    let mut heard = Heard::of(names::GEMINI);
    let within = None;
    let request = Request { call, room: &room, within, system: &mut system, heard: &mut heard, prompt };
    let read = json::read(body, request);
    prompt.names = heard.names();
    if !system.parts.is_empty() {
        // It may name a role, and is what it is.
        system.role = Role::System;
        prompt.turns.insert(0, system);
    }
    read
}

struct Request<'p, 'r> {
    call: CallId,
    room: &'r Room,
    /// The object that it stands in, where it is not at the top.
    within: Option<&'static str>,
    system: &'p mut Turn,
    heard: &'p mut Heard,
    prompt: &'p mut Prompt,
}

impl<'de> Take<'de> for Request<'_, '_> {
    fn object<A: MapAccess<'de>>(self, mut object: A) -> Result<bool, A::Error> {
        let Self { call, room, within, system, heard, prompt } = self;
        let mut fine = true;
        while let Some(key) = json::key(&mut object)? {
            fine &= match &*key {
                "model" => {
                    let mut name = None;
                    let read = json::value(&mut object, Str(&mut name))?;
                    prompt.model = name.map(|name| model(&name));
                    read
                }
                "systemInstruction" | "system_instruction" => {
                    let turn = &mut *system;
                    json::value(&mut object, Content { call, room, turn, begun: &mut false })?
                }
                "contents" => json::value(&mut object, Contents { call, room, turns: &mut prompt.turns })?,
                "tools" => json::value(&mut object, Tools { room, tools: &mut prompt.tools })?,
                // The beginning of the conversation lies with the provider.
                "cachedContent" | "cached_content" => {
                    let mut name = None;
                    let read = json::value(&mut object, Str(&mut name))?;
                    system.parts.extend(name.map(|_| Part::Other("cachedContent".into())));
                    read
                }
                // Code Assist wraps it.
                "request" => {
                    let within = Some("request");
                    let (system, heard, prompt) = (&mut *system, &mut *heard, &mut *prompt);
                    json::value(&mut object, Request { call, room, within, system, heard, prompt })?
                }
                key => heard.member(&mut object, within, key)?,
            };
        }
        Ok(fine)
    }
}

/// The model of this name, which may be that of a resource.
fn model(name: &str) -> Arc<str> {
    let resource = ["models/", "tunedModels/", "endpoints/"].iter().find_map(|kind| {
        let at = name.rfind(kind)?;
        name.get(at + kind.len()..)
    });
    resource.unwrap_or(name).into()
}

struct Contents<'p, 'r> {
    call: CallId,
    room: &'r Room,
    turns: &'p mut Vec<Turn>,
}

impl Contents<'_, '_> {
    /// Whether there was room for it.
    fn push(&mut self, turn: Turn) -> bool {
        let fits = self.room.take();
        if fits {
            self.turns.push(turn);
        }
        fits
    }
}

impl<'de> Take<'de> for Contents<'_, '_> {
    fn text(mut self, text: Cow<'de, str>) -> bool {
        self.push(Turn::new(Role::User, vec![Part::Text(text.into())]))
    }

    fn object<A: MapAccess<'de>>(mut self, object: A) -> Result<bool, A::Error> {
        let mut turn = Turn::new(Role::User, Vec::new());
        let content = Content { call: self.call, room: self.room, turn: &mut turn, begun: &mut false };
        let read = content.object(object);
        let fits = self.push(turn);
        Ok(read? && fits)
    }

    /// One turn for each element, whatever it is.
    fn list<A: SeqAccess<'de>>(mut self, mut list: A) -> Result<bool, A::Error> {
        let mut fine = true;
        loop {
            let mut turn = Turn::new(Role::User, Vec::new());
            let mut begun = false;
            let content = Content { call: self.call, room: self.room, turn: &mut turn, begun: &mut begun };
            let read = json::element(&mut list, content);
            if begun || matches!(read, Ok(Some(_))) {
                fine &= self.push(turn);
            }
            match read? {
                Some(read) => fine &= read,
                None => return Ok(fine),
            }
        }
    }
}

struct Tools<'p, 'r> {
    room: &'r Room,
    tools: &'p mut Vec<Tool>,
}

impl Tools<'_, '_> {
    /// Whether there was room for it.
    fn push(&mut self, tool: Tool) -> bool {
        let fits = self.room.take();
        if fits {
            self.tools.push(tool);
        }
        fits
    }
}

impl<'de> Take<'de> for Tools<'_, '_> {
    fn list<A: SeqAccess<'de>>(self, mut list: A) -> Result<bool, A::Error> {
        let mut fine = true;
        while let Some(read) = json::element(&mut list, Tools { room: self.room, tools: &mut *self.tools })? {
            fine &= read;
        }
        Ok(fine)
    }

    /// Functions, and the provider's own tools each under a key of its own.
    fn object<A: MapAccess<'de>>(mut self, mut object: A) -> Result<bool, A::Error> {
        let mut fine = true;
        while let Some(key) = json::key(&mut object)? {
            fine &= match &*key {
                "functionDeclarations" | "function_declarations" => {
                    json::value(&mut object, Declarations(&mut self))?
                }
                _ => json::raw(&mut object)?.is_none() || self.push(Tool::new(key)),
            };
        }
        Ok(fine)
    }
}

struct Declarations<'s, 'p, 'r>(&'s mut Tools<'p, 'r>);

impl<'de> Take<'de> for Declarations<'_, '_, '_> {
    fn list<A: SeqAccess<'de>>(self, mut list: A) -> Result<bool, A::Error> {
        let mut fine = true;
        loop {
            let mut declaration = Declaration::default();
            let Some(read) = json::element(&mut list, &mut declaration)? else { return Ok(fine) };
            fine &= read;
            if let Some(name) = declaration.name {
                let mut tool = Tool::new(name);
                tool.description = declaration.description;
                fine &= self.0.push(tool);
            }
        }
    }
}

#[derive(Default)]
struct Declaration {
    name: Option<Arc<str>>,
    description: Option<Arc<str>>,
}

impl<'de> Take<'de> for &mut Declaration {
    fn object<A: MapAccess<'de>>(self, mut object: A) -> Result<bool, A::Error> {
        let mut fine = true;
        while let Some(key) = json::key(&mut object)? {
            fine &= match &*key {
                "name" => json::value(&mut object, Name(&mut self.name))?,
                "description" => json::value(&mut object, Name(&mut self.description))?,
                _ => json::skip(&mut object)?,
            };
        }
        Ok(fine)
    }
}
