//! What a request in JSON says of itself: its model, and what it brings.

use std::borrow::Cow;
use std::sync::Arc;

use perimeter_interceptor::{Media, Operation, Part, Role, Turn};
use serde::de::{IgnoredAny, MapAccess, SeqAccess};

use crate::dialect::inputs::{Inputs, counted};
use crate::dialect::json::{self, Flag, Number, Read, Room, Str, Take};
use crate::dialect::names::{self, Heard};
use crate::dialect::{self, Prompt};

/// Reads a request into `prompt`.
pub(super) fn read(asked: &dialect::Asked, body: &[u8], prompt: &mut Prompt) -> Read {
    let room = Room::new();
    let mut asked = Asked {
        operation: asked.operation,
        room: &room,
        heard: Heard::of(names::of(asked.dialect)),
        prompt,
        parts: Vec::new(),
        file: File::default(),
    };
    let read = json::read(body, &mut asked);
    let Asked { prompt, heard, mut parts, file, .. } = asked;
    prompt.names = heard.names();
    parts.extend(file.part());
    if !parts.is_empty() {
        prompt.turns.push(Turn::new(Role::User, parts));
    }
    read
}

struct Asked<'p, 'r, 'de> {
    operation: Operation,
    room: &'r Room,
    heard: Heard,
    prompt: &'p mut Prompt,
    parts: Vec<Part>,
    file: File<'de>,
}

impl<'de> Take<'de> for &mut Asked<'_, '_, 'de> {
    fn object<A: MapAccess<'de>>(self, mut object: A) -> Result<bool, A::Error> {
        let mut fine = true;
        while let Some(key) = json::key(&mut object)? {
            fine &= match (&*key, self.operation) {
                ("model", _) => json::value(&mut object, Model(&mut self.prompt.model))?,
                ("stream", _) => json::value(&mut object, Flag(&mut self.prompt.streaming))?,
                ("stream_format", _) => json::value(&mut object, StreamFormat(&mut self.prompt.streaming))?,
                ("input", Operation::Embeddings | Operation::Moderation | Operation::Speech)
                | ("prompt", Operation::Image) => {
                    json::value(&mut object, Inputs::new(self.room, &mut self.parts))?
                }
                ("content", Operation::Embeddings) => json::value(&mut object, Content(self))?,
                ("requests", Operation::Embeddings) => json::value(&mut object, Each(self))?,
                ("requests", Operation::Batches) => json::value(&mut object, Counted("request", self))?,
                ("messages" | "contents", Operation::CountTokens) => {
                    json::value(&mut object, Counted("message", self))?
                }
                // Where Gemini has the list of requests.
                ("batch" | "input_config" | "inputConfig", Operation::Batches) => {
                    json::value(&mut object, &mut *self)?
                }
                ("endpoint", Operation::Batches) => json::value(&mut object, Word("", self))?,
                ("purpose", Operation::Files) => json::value(&mut object, Word("purpose: ", self))?,
                ("filename", Operation::Files) => json::value(&mut object, Str(&mut self.file.name))?,
                ("mime_type", Operation::Files) => json::value(&mut object, Str(&mut self.file.media_type))?,
                ("bytes", Operation::Files) => json::value(&mut object, Number(&mut self.file.size))?,
                (key, _) => self.heard.member(&mut object, None, key)?,
            };
        }
        Ok(fine)
    }
}

/// What an upload says of its file.
#[derive(Default)]
struct File<'de> {
    name: Option<Cow<'de, str>>,
    media_type: Option<Cow<'de, str>>,
    size: Option<u64>,
}

impl File<'_> {
    fn part(self) -> Option<Part> {
        let mut media = Media::new("document");
        media.name = Some(Arc::from(self.name?));
        media.media_type = self.media_type.map(Arc::from);
        media.size = self.size.unwrap_or(0);
        Some(Part::Media(media))
    }
}

/// Takes a model. Gemini writes it like a path.
struct Model<'s>(&'s mut Option<Arc<str>>);

impl<'de> Take<'de> for Model<'_> {
    fn text(self, text: Cow<'de, str>) -> bool {
        *self.0 = Some(text.strip_prefix("models/").unwrap_or(&text).into());
        true
    }
}

/// Takes the form of a stream: one of sound is only called a stream if it comes in events.
struct StreamFormat<'s>(&'s mut bool);

impl<'de> Take<'de> for StreamFormat<'_> {
    fn text(self, text: Cow<'de, str>) -> bool {
        *self.0 |= text == "sse";
        true
    }
}

/// Takes a word to be told, behind this.
struct Word<'a, 'p, 'r, 'de>(&'static str, &'a mut Asked<'p, 'r, 'de>);

impl<'de> Take<'de> for Word<'_, '_, '_, 'de> {
    fn text(self, text: Cow<'de, str>) -> bool {
        self.1.parts.push(Part::Other(format!("{}{text}", self.0).into()));
        true
    }
}

/// Takes a list, and tells how long it is; or an object that holds one.
struct Counted<'a, 'p, 'r, 'de>(&'static str, &'a mut Asked<'p, 'r, 'de>);

impl<'de> Take<'de> for Counted<'_, '_, '_, 'de> {
    fn list<A: SeqAccess<'de>>(self, mut list: A) -> Result<bool, A::Error> {
        let mut count = 0;
        while list.next_element::<IgnoredAny>()?.is_some() {
            count += 1;
        }
        self.1.parts.push(counted(count, self.0));
        Ok(true)
    }

    fn object<A: MapAccess<'de>>(self, object: A) -> Result<bool, A::Error> {
        self.1.object(object)
    }
}

/// Takes Gemini's `content`.
struct Content<'a, 'p, 'r, 'de>(&'a mut Asked<'p, 'r, 'de>);

impl<'de> Take<'de> for Content<'_, '_, '_, 'de> {
    fn object<A: MapAccess<'de>>(self, mut object: A) -> Result<bool, A::Error> {
        let mut fine = true;
        while let Some(key) = json::key(&mut object)? {
            fine &= match &*key {
                "parts" => json::value(&mut object, Inputs::new(self.0.room, &mut self.0.parts))?,
                _ => json::skip(&mut object)?,
            };
        }
        Ok(fine)
    }
}

/// Takes a list of requests like this one.
struct Each<'a, 'p, 'r, 'de>(&'a mut Asked<'p, 'r, 'de>);

impl<'de> Take<'de> for Each<'_, '_, '_, 'de> {
    fn list<A: SeqAccess<'de>>(self, mut list: A) -> Result<bool, A::Error> {
        let mut fine = true;
        while let Some(read) = json::element(&mut list, One(&mut *self.0))? {
            fine &= read;
        }
        Ok(fine)
    }
}

/// Takes one of them.
struct One<'a, 'p, 'r, 'de>(&'a mut Asked<'p, 'r, 'de>);

impl<'de> Take<'de> for One<'_, '_, '_, 'de> {
    fn object<A: MapAccess<'de>>(self, mut object: A) -> Result<bool, A::Error> {
        let mut fine = true;
        while let Some(key) = json::key(&mut object)? {
            fine &= match &*key {
                "model" => json::value(&mut object, Model(&mut self.0.prompt.model))?,
                "content" => json::value(&mut object, Content(&mut *self.0))?,
                _ => json::skip(&mut object)?,
            };
        }
        Ok(fine)
    }
}
