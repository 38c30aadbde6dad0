//! A block of content.

use std::borrow::Cow;
use std::sync::Arc;

use perimeter_interceptor::{CallId, Media, Part, ToolUse};
use serde::de::{MapAccess, SeqAccess};

use crate::dialect::json::{self, Flag, Room, Str, Take};
use crate::dialect::{media, tool_result};

/// A block, as far as it was read.
struct Block<'de, 'r> {
    call: CallId,
    room: &'r Room,
    kind: Option<Cow<'de, str>>,
    text: Option<Cow<'de, str>>,
    thinking: Option<Cow<'de, str>>,
    id: Option<Cow<'de, str>>,
    name: Option<Cow<'de, str>>,
    input: Option<Cow<'de, str>>,
    content: Vec<Part>,
    is_error: bool,
    source: Source<'de>,
}

/// What a block of media refers to or holds.
#[derive(Debug, Default)]
struct Source<'de> {
    url: Option<Cow<'de, str>>,
    data: Option<Cow<'de, str>>,
    media_type: Option<Cow<'de, str>>,
}

impl<'de, 'r> Block<'de, 'r> {
    fn new(call: CallId, room: &'r Room) -> Self {
        Self {
            call,
            room,
            kind: None,
            text: None,
            thinking: None,
            id: None,
            name: None,
            input: None,
            content: Vec::new(),
            is_error: false,
            source: Source::default(),
        }
    }

    /// Adds what it is to `parts`. Where the body broke off in it, it is not `whole`, and no tool is asked for.
    fn push(self, whole: bool, parts: &mut Vec<Part>) {
        let some = |text: Option<Cow<'_, str>>| text.filter(|text| !text.is_empty()).map(Arc::<str>::from);
        match self.kind.as_deref() {
            Some("text") | None => parts.extend(some(self.text).map(Part::Text)),
            Some("thinking") => parts.extend(some(self.thinking).map(Part::Thinking)),
            Some("tool_use") if whole => {
                let input = self.input.unwrap_or(Cow::Borrowed("{}"));
                let mut tool = ToolUse::new(self.call, self.name.unwrap_or_default(), input);
                tool.id = self.id.map(Into::into);
                parts.push(Part::ToolUse(tool.into()));
            }
            Some("tool_use") => {}
            Some("tool_result") => {
                let (result, rest) = tool_result(self.id.map(Into::into), self.is_error, self.content);
                parts.push(Part::ToolResult(result));
                parts.extend(rest);
            }
            Some(kind @ ("image" | "document" | "audio" | "video")) => {
                parts.push(Part::Media(self.source.media(kind)));
            }
            Some(other) => parts.push(Part::Other(other.into())),
        }
    }
}

impl Source<'_> {
    fn media(self, kind: &str) -> Media {
        let mut media = media(kind, self.url.as_deref().unwrap_or_default());
        media.size = self.data.map_or(media.size, |data| data.len() as u64);
        media.media_type = self.media_type.map(Into::into).or(media.media_type);
        media
    }
}

impl<'de> Take<'de> for &mut Block<'de, '_> {
    fn object<A: MapAccess<'de>>(self, mut object: A) -> Result<bool, A::Error> {
        let mut fine = true;
        while let Some(key) = json::key(&mut object)? {
            fine &= match &*key {
                "type" => json::value(&mut object, Str(&mut self.kind))?,
                "text" => json::value(&mut object, Str(&mut self.text))?,
                "thinking" => json::value(&mut object, Str(&mut self.thinking))?,
                "id" | "tool_use_id" => json::value(&mut object, Str(&mut self.id))?,
                "name" => json::value(&mut object, Str(&mut self.name))?,
                "input" => {
                    self.input = json::written(&mut object)?;
                    true
                }
                "content" => {
                    let content = Content { call: self.call, room: self.room, parts: &mut self.content };
                    // The results of some server tools have an object there. It is skipped, and nothing is odd.
                    json::value(&mut object, content)?;
                    true
                }
                "is_error" => json::value(&mut object, Flag(&mut self.is_error))?,
                "source" => json::value(&mut object, &mut self.source)?,
                _ => json::skip(&mut object)?,
            };
        }
        Ok(fine)
    }
}

impl<'de> Take<'de> for &mut Source<'de> {
    /// A search result's.
    fn text(self, text: Cow<'de, str>) -> bool {
        self.url = Some(text);
        true
    }

    fn object<A: MapAccess<'de>>(self, mut object: A) -> Result<bool, A::Error> {
        while let Some(key) = json::key(&mut object)? {
            match &*key {
                "url" => json::value(&mut object, Str(&mut self.url))?,
                "data" => json::value(&mut object, Str(&mut self.data))?,
                "media_type" => json::value(&mut object, Str(&mut self.media_type))?,
                _ => json::skip(&mut object)?,
            };
        }
        Ok(true)
    }
}

/// Takes content: a text, or a list of blocks.
pub(super) struct Content<'s, 'r> {
    pub(super) call: CallId,
    pub(super) room: &'r Room,
    pub(super) parts: &'s mut Vec<Part>,
}

impl<'de> Take<'de> for Content<'_, '_> {
    fn text(self, text: Cow<'de, str>) -> bool {
        if !text.is_empty() {
            self.parts.push(Part::Text(text.into()));
        }
        true
    }

    fn list<A: SeqAccess<'de>>(self, mut list: A) -> Result<bool, A::Error> {
        let mut fine = true;
        loop {
            let mut block = Block::new(self.call, self.room);
            let read = json::element(&mut list, &mut block);
            // A block counts even where the body breaks off in it.
            if !matches!(read, Ok(None)) {
                if self.room.take() {
                    block.push(read.is_ok(), self.parts);
                } else {
                    fine = false;
                }
            }
            match read? {
                Some(read) => fine &= read,
                None => return Ok(fine),
            }
        }
    }
}
