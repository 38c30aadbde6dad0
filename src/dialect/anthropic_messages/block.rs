//! A block of content.

use std::borrow::Cow;
use std::sync::Arc;

use perimeter_interceptor::{CallId, Media, Part, ToolUse};
use serde::de::{MapAccess, SeqAccess};

use super::is_hosted;
use super::outcome::Outcome;
use crate::dialect::json::{self, Flag, Room, Str, Take};
use crate::dialect::{content_hash, media, tool_result};

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
    outcome: Outcome<'de>,
}

/// What a block of media refers to or holds.
#[derive(Debug, Default)]
struct Source<'de> {
    url: Option<Cow<'de, str>>,
    data: Option<Cow<'de, str>>,
    media_type: Option<Cow<'de, str>>,
    /// The size of the texts that it is made of.
    texts: u64,
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
            outcome: Outcome::default(),
        }
    }

    /// Adds what it is to `parts`. Where the body broke off in it, it is not `whole`, and no tool is asked for.
    /// Within the outcome of a tool, it is noted in `failed` whether it tells an error.
    fn push(self, whole: bool, parts: &mut Vec<Part>, failed: Option<&mut bool>) {
        let some = |text: Option<Cow<'_, str>>| text.filter(|text| !text.is_empty()).map(Arc::<str>::from);
        match self.kind.as_deref() {
            Some("text") | None => parts.extend(some(self.text).map(Part::Text)),
            Some("thinking") => parts.extend(some(self.thinking).map(Part::Thinking)),
            Some(kind) if kind == "tool_use" || is_hosted(kind) => {
                let hosted = is_hosted(kind);
                parts.extend(whole.then(|| self.tool_use(hosted)));
            }
            Some("tool_result") => {
                let (result, rest) = tool_result(self.id.map(Into::into), self.is_error, self.content);
                parts.push(Part::ToolResult(result));
                parts.extend(rest);
            }
            Some(kind) if kind.ends_with("_tool_result") => {
                let (result, rest) = tool_result(self.id.map(Into::into), self.is_error, self.content);
                parts.push(Part::ToolResult(result));
                parts.extend(rest.into_iter().filter(|part| matches!(part, Part::Media(_))));
            }
            Some(kind @ ("image" | "document" | "audio" | "video")) => {
                parts.push(Part::Media(self.source.media(kind)));
            }
            Some("search_result") => {
                let mut found = Media::new("search_result");
                found.size = self.content.iter().map(size_of_text).sum();
                parts.push(Part::Media(found));
            }
            Some(kind) if self.outcome.has_file => parts.push(Part::Media(Media::new(kind))),
            Some(kind) => match failed {
                Some(failed) => {
                    *failed |= kind.ends_with("_error");
                    let before = parts.len();
                    parts.extend(some(self.text).map(Part::Text));
                    parts.extend(some(Some(self.outcome.text().into())).map(Part::Text));
                    parts.extend(self.content);
                    if parts.len() == before {
                        parts.push(Part::Other(kind.into()));
                    }
                }
                None => parts.push(Part::Other(kind.into())),
            },
        }
    }

    fn tool_use(self, hosted: bool) -> Part {
        let input = self.input.unwrap_or(Cow::Borrowed("{}"));
        let mut tool = ToolUse::new(self.call, self.name.unwrap_or_default(), input);
        tool.id = self.id.map(Into::into);
        tool.hosted = hosted;
        Part::ToolUse(tool.into())
    }

    /// Takes what stands in it, which may be an outcome.
    fn content(&mut self) -> Content<'_, 'r> {
        Content {
            call: self.call,
            room: self.room,
            parts: &mut self.content,
            failed: Some(&mut self.is_error),
        }
    }
}

fn size_of_text(part: &Part) -> u64 {
    match part {
        Part::Text(text) => text.len() as u64,
        _ => 0,
    }
}

impl Source<'_> {
    fn media(self, kind: &str) -> Media {
        let mut media = media(kind, self.url.as_deref().unwrap_or_default());
        if let Some(data) = &self.data {
            media.hash = content_hash(data);
        }
        media.size = self.data.map_or(media.size + self.texts, |data| data.len() as u64);
        media.media_type = self.media_type.map(Into::into).or(media.media_type);
        media
    }
}

impl<'de> Take<'de> for &mut Block<'de, '_> {
    /// No block is a text, but some lists of lines are read as blocks.
    fn text(self, text: Cow<'de, str>) -> bool {
        self.text = Some(text);
        false
    }

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
                "content" | "lines" | "tool_references" => {
                    // Not odd, whatever it is: outcomes are of many forms.
                    json::value(&mut object, self.content())?;
                    true
                }
                "is_error" => {
                    let mut is_error = false;
                    let read = json::value(&mut object, Flag(&mut is_error))?;
                    self.is_error |= is_error;
                    read
                }
                "source" => json::value(&mut object, &mut self.source)?,
                key => self.outcome.field(key, &mut object)?,
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
                "content" => json::value(&mut object, Texts(&mut self.texts))?,
                _ => json::skip(&mut object)?,
            };
        }
        Ok(true)
    }
}

/// Adds up the sizes of a text, or of the texts in a list of blocks.
struct Texts<'s>(&'s mut u64);

impl<'de> Take<'de> for Texts<'_> {
    fn text(self, text: Cow<'de, str>) -> bool {
        *self.0 = self.0.saturating_add(text.len() as u64);
        true
    }

    fn list<A: SeqAccess<'de>>(self, mut list: A) -> Result<bool, A::Error> {
        while json::element(&mut list, Texts(&mut *self.0))?.is_some() {}
        Ok(true)
    }

    fn object<A: MapAccess<'de>>(self, mut object: A) -> Result<bool, A::Error> {
        while let Some(key) = json::key(&mut object)? {
            match &*key {
                "text" => json::value(&mut object, Texts(&mut *self.0))?,
                _ => json::skip(&mut object)?,
            };
        }
        Ok(true)
    }
}

/// Takes content: a text, or a list of blocks. In an outcome, it may be a block alone.
pub(super) struct Content<'s, 'r> {
    call: CallId,
    room: &'r Room,
    pub(super) parts: &'s mut Vec<Part>,
    /// Where it is the outcome of a tool: whether that is an error.
    failed: Option<&'s mut bool>,
}

impl<'s, 'r> Content<'s, 'r> {
    /// Takes what stands in a message.
    pub(super) fn of_message(call: CallId, room: &'r Room, parts: &'s mut Vec<Part>) -> Self {
        Self { call, room, parts, failed: None }
    }

    /// Adds a block, as far as it could be read. False where there is no room for it.
    fn push(&mut self, block: Block<'_, '_>, whole: bool) -> bool {
        let has_room = self.room.take();
        if has_room {
            block.push(whole, self.parts, self.failed.as_deref_mut());
        }
        has_room
    }
}

impl<'de> Take<'de> for Content<'_, '_> {
    fn text(self, text: Cow<'de, str>) -> bool {
        self.passing(&text)
    }

    fn passing(self, text: &str) -> bool {
        if !text.is_empty() {
            self.parts.push(Part::Text(text.into()));
        }
        true
    }

    fn list<A: SeqAccess<'de>>(mut self, mut list: A) -> Result<bool, A::Error> {
        let mut fine = true;
        loop {
            let mut block = Block::new(self.call, self.room);
            let read = json::element(&mut list, &mut block);
            // A block counts even where the body breaks off in it.
            if !matches!(read, Ok(None)) {
                fine &= self.push(block, read.is_ok());
            }
            match read? {
                Some(read) => fine &= read,
                None => return Ok(fine),
            }
        }
    }

    fn object<A: MapAccess<'de>>(mut self, object: A) -> Result<bool, A::Error> {
        let mut block = Block::new(self.call, self.room);
        let read = (&mut block).object(object);
        self.push(block, read.is_ok());
        read?;
        Ok(false)
    }
}
