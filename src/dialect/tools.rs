//! The tools that a request offers, as OpenAI's APIs and Anthropic's write them.

use std::sync::Arc;

use perimeter_interceptor::Tool;
use serde::de::{MapAccess, SeqAccess};

use super::json::{self, Name, Room, Take};

/// Takes a list of tools: each is one, or holds one under `function` or `custom`. One that the provider runs may have
/// a type and no name.
pub(super) struct Tools<'p, 'r> {
    pub(super) room: &'r Room,
    pub(super) tools: &'p mut Vec<Tool>,
}

impl<'de> Take<'de> for Tools<'_, '_> {
    fn list<A: SeqAccess<'de>>(self, mut list: A) -> Result<bool, A::Error> {
        let mut fine = true;
        loop {
            let mut definition = Definition::default();
            let Some(read) = json::element(&mut list, &mut definition)? else { return Ok(fine) };
            fine &= read;
            let Some(name) = definition.name.or(definition.kind) else { continue };
            if self.room.take() {
                let mut tool = Tool::new(name);
                tool.description = definition.description;
                self.tools.push(tool);
            } else {
                fine = false;
            }
        }
    }
}

#[derive(Default)]
struct Definition {
    kind: Option<Arc<str>>,
    name: Option<Arc<str>>,
    description: Option<Arc<str>>,
}

impl<'de> Take<'de> for &mut Definition {
    fn object<A: MapAccess<'de>>(self, mut object: A) -> Result<bool, A::Error> {
        let mut fine = true;
        while let Some(key) = json::key(&mut object)? {
            fine &= match &*key {
                "type" => json::value(&mut object, Name(&mut self.kind))?,
                "name" => json::value(&mut object, Name(&mut self.name))?,
                "description" | "server_description" => {
                    json::value(&mut object, Name(&mut self.description))?
                }
                "function" | "custom" => json::value(&mut object, Inner(self))?,
                _ => json::skip(&mut object)?,
            };
        }
        Ok(fine)
    }
}

/// Takes what a tool of Chat Completions holds: its name is the tool's.
struct Inner<'s>(&'s mut Definition);

impl<'de> Take<'de> for Inner<'_> {
    fn object<A: MapAccess<'de>>(self, mut object: A) -> Result<bool, A::Error> {
        let mut fine = true;
        while let Some(key) = json::key(&mut object)? {
            fine &= match &*key {
                "name" => json::value(&mut object, Name(&mut self.0.name))?,
                "description" => json::value(&mut object, Name(&mut self.0.description))?,
                _ => json::skip(&mut object)?,
            };
        }
        Ok(fine)
    }
}
