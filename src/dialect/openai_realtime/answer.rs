//! The response as it stands at its end.

use std::borrow::Cow;
use std::sync::Arc;

use perimeter_interceptor::{CallId, Part, ToolUse, Usage};
use serde::de::{MapAccess, SeqAccess};

use crate::dialect::failure::Told;
use crate::dialect::json::{self, Name, Number, Room, Str, Take};

/// A response, whole.
pub(super) struct Response<'r, 'de> {
    pub(super) id: Option<Arc<str>>,
    pub(super) status: Option<Arc<str>>,
    pub(super) details: Details<'de>,
    pub(super) parts: Vec<Part>,
    pub(super) usage: Option<Usage>,
    call: CallId,
    room: &'r Room,
}

/// Why it ended as it did.
#[derive(Default)]
pub(super) struct Details<'de> {
    pub(super) reason: Option<Arc<str>>,
    pub(super) error: Told<'de>,
}

impl<'r> Response<'r, '_> {
    pub(super) fn new(call: CallId, room: &'r Room) -> Self {
        Self {
            id: None,
            status: None,
            details: Details::default(),
            parts: Vec::new(),
            usage: None,
            call,
            room,
        }
    }
}

impl<'de> Take<'de> for &mut Response<'_, 'de> {
    fn object<A: MapAccess<'de>>(self, mut object: A) -> Result<bool, A::Error> {
        while let Some(key) = json::key(&mut object)? {
            match &*key {
                "id" => json::value(&mut object, Name(&mut self.id))?,
                "status" => json::value(&mut object, Name(&mut self.status))?,
                "status_details" => json::value(&mut object, &mut self.details)?,
                "output" => json::value(&mut object, Items(self.call, self.room, &mut self.parts))?,
                "usage" => {
                    let mut tokens = Tokens::default();
                    let read = json::value(&mut object, &mut tokens)?;
                    self.usage = tokens.usage();
                    read
                }
                _ => json::skip(&mut object)?,
            };
        }
        Ok(true)
    }
}

impl<'de> Take<'de> for &mut Details<'de> {
    fn object<A: MapAccess<'de>>(self, mut object: A) -> Result<bool, A::Error> {
        while let Some(key) = json::key(&mut object)? {
            match &*key {
                "reason" => json::value(&mut object, Name(&mut self.reason))?,
                "error" => json::value(&mut object, &mut self.error)?,
                _ => json::skip(&mut object)?,
            };
        }
        Ok(true)
    }
}

struct Items<'s, 'r>(CallId, &'r Room, &'s mut Vec<Part>);

impl<'de> Take<'de> for Items<'_, '_> {
    fn list<A: SeqAccess<'de>>(self, mut list: A) -> Result<bool, A::Error> {
        let mut item = Item::new(self.1);
        while self.1.take() && json::element(&mut list, &mut item)?.is_some() {
            let item = std::mem::replace(&mut item, Item::new(self.1));
            self.2.extend(item.into_parts(self.0));
        }
        while json::element(&mut list, &mut Skipped)?.is_some() {}
        Ok(true)
    }
}

struct Skipped;

impl<'de> Take<'de> for &mut Skipped {}

/// An item of the answer.
pub(super) struct Item<'r, 'de> {
    kind: Option<Cow<'de, str>>,
    id: Option<Arc<str>>,
    name: Option<Arc<str>>,
    arguments: Option<Cow<'de, str>>,
    content: Vec<Part>,
    room: &'r Room,
}

impl<'r> Item<'r, '_> {
    pub(super) fn new(room: &'r Room) -> Self {
        Self { kind: None, id: None, name: None, arguments: None, content: Vec::new(), room }
    }

    /// What it adds to the answer.
    pub(super) fn into_parts(self, call: CallId) -> Vec<Part> {
        match self.kind.as_deref() {
            Some("function_call") => {
                let input = self.arguments.as_deref().unwrap_or_default();
                let mut tool = ToolUse::new(call, self.name.unwrap_or_default(), input);
                tool.id = self.id;
                vec![Part::ToolUse(tool.into())]
            }
            Some("message") => self.content,
            Some(other) => vec![Part::Other(other.into())],
            None => Vec::new(),
        }
    }
}

impl<'de> Take<'de> for &mut Item<'_, 'de> {
    fn object<A: MapAccess<'de>>(self, mut object: A) -> Result<bool, A::Error> {
        while let Some(key) = json::key(&mut object)? {
            match &*key {
                "type" => json::value(&mut object, Str(&mut self.kind))?,
                "call_id" => json::value(&mut object, Name(&mut self.id))?,
                "name" => json::value(&mut object, Name(&mut self.name))?,
                "arguments" => json::value(&mut object, Str(&mut self.arguments))?,
                "content" => json::value(&mut object, Contents(self.room, &mut self.content))?,
                _ => json::skip(&mut object)?,
            };
        }
        Ok(true)
    }
}

struct Contents<'s, 'r>(&'r Room, &'s mut Vec<Part>);

impl<'de> Take<'de> for Contents<'_, '_> {
    fn list<A: SeqAccess<'de>>(self, mut list: A) -> Result<bool, A::Error> {
        let mut text = Text(None);
        while self.0.take() && json::element(&mut list, &mut text)?.is_some() {
            self.1.extend(text.0.take().map(Part::Text));
        }
        while json::element(&mut list, &mut Skipped)?.is_some() {}
        Ok(true)
    }
}

/// What is said, written or spoken.
struct Text(Option<Arc<str>>);

impl<'de> Take<'de> for &mut Text {
    fn object<A: MapAccess<'de>>(self, mut object: A) -> Result<bool, A::Error> {
        while let Some(key) = json::key(&mut object)? {
            match &*key {
                "text" | "transcript" => json::value(&mut object, Name(&mut self.0))?,
                _ => json::skip(&mut object)?,
            };
        }
        Ok(true)
    }
}

/// Tokens, of one side or of both.
#[derive(Default)]
struct Tokens {
    input: Option<u64>,
    output: Option<u64>,
    cached: Option<u64>,
    sound: Option<u64>,
    pictures: Option<u64>,
    of_input: Option<Box<Tokens>>,
    of_output: Option<Box<Tokens>>,
    of_cached: Option<Box<Tokens>>,
}

impl Tokens {
    fn usage(self) -> Option<Usage> {
        if self.input.is_none() && self.output.is_none() {
            return None;
        }
        let mut usage = Usage::new(self.input.unwrap_or(0), self.output.unwrap_or(0));
        if let Some(input) = self.of_input {
            usage.cache_read = input.cached;
            usage.audio_input = input.sound;
            usage.image_input = input.pictures;
            usage.audio_cache_read = input.of_cached.and_then(|cached| cached.sound);
        }
        usage.audio_output = self.of_output.and_then(|output| output.sound);
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
                "audio_tokens" => json::value(&mut object, Number(&mut self.sound))?,
                "image_tokens" => json::value(&mut object, Number(&mut self.pictures))?,
                "input_token_details" => {
                    json::value(&mut object, &mut **self.of_input.insert(Box::default()))?
                }
                "output_token_details" => {
                    json::value(&mut object, &mut **self.of_output.insert(Box::default()))?
                }
                "cached_tokens_details" => {
                    json::value(&mut object, &mut **self.of_cached.insert(Box::default()))?
                }
                _ => json::skip(&mut object)?,
            };
        }
        Ok(true)
    }
}
