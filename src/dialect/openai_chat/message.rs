//! A message: of a request, of an answer, or what an event of a stream adds to one.

use std::borrow::Cow;
use std::sync::Arc;

use perimeter_interceptor::{CallId, Media, Part, ToolUse};
use serde::de::{MapAccess, SeqAccess};
use serde_json::value::RawValue;

use super::piece::Piece;
use super::reasoning;
use crate::dialect::json::{self, Number, Room, Str, Take};
use crate::dialect::tool_result;

/// A message, as far as it was read.
pub(super) struct Message<'de, 'r> {
    room: &'r Room,
    pub(super) role: Option<Cow<'de, str>>,
    pub(super) content: Vec<Part>,
    /// Whether `content` is a text, be it empty.
    pub(super) has_text: bool,
    pub(super) thinking: Option<(&'static str, Cow<'de, str>)>,
    pub(super) details: Vec<reasoning::Piece<'de>>,
    pub(super) refusal: Option<Cow<'de, str>>,
    pub(super) calls: Vec<ToolCall<'de>>,
    pub(super) tool_call_id: Option<Cow<'de, str>>,
    pub(super) name: Option<Cow<'de, str>>,
    pub(super) audio: Option<Audio<'de>>,
    pub(super) annotations: Vec<&'de RawValue>,
}

/// How a message asks for a tool.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Kind {
    #[default]
    Function,
    Custom,
    /// By `function_call`, as before there were tools.
    Legacy,
}

/// A tool that is asked for, or a piece of it.
#[derive(Debug, Default)]
pub(super) struct ToolCall<'de> {
    pub(super) kind: Kind,
    pub(super) index: Option<u64>,
    pub(super) id: Option<Cow<'de, str>>,
    pub(super) name: Option<Cow<'de, str>>,
    pub(super) input: Option<Cow<'de, str>>,
}

/// What is said aloud.
#[derive(Debug, Default)]
pub(super) struct Audio<'de> {
    pub(super) id: Option<Cow<'de, str>>,
    pub(super) data: Option<Cow<'de, str>>,
    pub(super) transcript: Option<Cow<'de, str>>,
    pub(super) expires_at: Option<u64>,
}

impl<'de, 'r> Message<'de, 'r> {
    pub(super) fn new(room: &'r Room) -> Self {
        Self {
            room,
            role: None,
            content: Vec::new(),
            has_text: false,
            thinking: None,
            details: Vec::new(),
            refusal: None,
            calls: Vec::new(),
            tool_call_id: None,
            name: None,
            audio: None,
            annotations: Vec::new(),
        }
    }

    /// Whether nothing was read of what it says.
    pub(super) fn is_empty(&self) -> bool {
        self.content.is_empty()
            && self.thought().is_none()
            && self.refusal.is_none()
            && self.calls.is_empty()
            && self.audio.is_none()
    }

    /// What the model thought, as a text: its details say the same again.
    pub(super) fn thought(&self) -> Option<Cow<'de, str>> {
        let text = self.thinking.as_ref().map(|(_, text)| text).filter(|text| !text.is_empty());
        text.cloned().or_else(|| reasoning::text(&self.details))
    }

    /// What is said, in the order: thinking, content, refusal, audio, tools.
    pub(super) fn into_parts(self, call: CallId, choice: u32) -> Vec<Part> {
        let mut parts = Vec::with_capacity(1);
        if let Some(text) = self.thought() {
            parts.push(Part::Thinking(text.into()));
        }
        parts.extend(self.content);
        if let Some(text) = self.refusal.filter(|text| !text.is_empty()) {
            parts.push(Part::Refusal(text.into()));
        }
        if let Some(audio) = self.audio {
            audio.push(&mut parts);
        }
        parts.extend(self.calls.into_iter().map(|tool| Part::ToolUse(tool.tool_use(call, choice))));
        parts
    }

    /// What a tool says: its texts as the result, and what is no text behind it.
    pub(super) fn into_result(self) -> Vec<Part> {
        // Functions, which came before tools, have no ids: their results bring the name.
        let id = self.tool_call_id.or(self.name);
        let (result, mut rest) = tool_result(id.map(Into::into), false, self.content);
        rest.insert(0, Part::ToolResult(result));
        rest
    }
}

impl Audio<'_> {
    fn push(self, parts: &mut Vec<Part>) {
        if let Some(text) = self.transcript.filter(|text| !text.is_empty()) {
            parts.push(Part::Text(text.into()));
        }
        let mut media = Media::new("audio");
        media.size = self.data.map_or(0, |data| data.len() as u64);
        parts.push(Part::Media(media));
    }
}

impl ToolCall<'_> {
    fn tool_use(self, call: CallId, choice: u32) -> Arc<ToolUse> {
        let mut tool = ToolUse::new(call, self.name.unwrap_or_default(), self.input.unwrap_or_default());
        tool.choice = choice;
        tool.id = self.id.filter(|id| !id.is_empty()).map(Into::into);
        tool.into()
    }
}

impl<'de> Take<'de> for &mut Message<'de, '_> {
    fn object<A: MapAccess<'de>>(self, mut object: A) -> Result<bool, A::Error> {
        let mut fine = true;
        while let Some(key) = json::key(&mut object)? {
            fine &= match &*key {
                "role" => json::value(&mut object, Str(&mut self.role))?,
                "content" => {
                    self.content.clear();
                    let content =
                        Content { room: self.room, parts: &mut self.content, has_text: &mut self.has_text };
                    json::value(&mut object, content)?
                }
                "reasoning_content" => self.thinking("reasoning_content", &mut object)?,
                "reasoning" => self.thinking("reasoning", &mut object)?,
                "reasoning_details" => {
                    let pieces = reasoning::Pieces { room: self.room, pieces: &mut self.details };
                    json::value(&mut object, pieces)?
                }
                "refusal" => json::value(&mut object, Str(&mut self.refusal))?,
                "tool_calls" => json::value(&mut object, ToolCalls(self))?,
                "function_call" => {
                    let mut call = ToolCall { kind: Kind::Legacy, ..ToolCall::default() };
                    let fine = json::value(&mut object, Function(&mut call))?;
                    if call.name.is_some() || call.input.is_some() {
                        self.calls.push(call);
                    }
                    fine
                }
                "tool_call_id" => json::value(&mut object, Str(&mut self.tool_call_id))?,
                "name" => json::value(&mut object, Str(&mut self.name))?,
                "audio" => json::value(&mut object, Speech(&mut self.audio))?,
                "annotations" => json::value(&mut object, Annotations(self))?,
                _ => json::skip(&mut object)?,
            };
        }
        Ok(fine)
    }
}

impl<'de> Message<'de, '_> {
    /// OpenRouter and others write the same thinking under both names.
    fn thinking<A: MapAccess<'de>>(&mut self, name: &'static str, object: &mut A) -> Result<bool, A::Error> {
        let mut text = None;
        let fine = json::value(object, Str(&mut text))?;
        if let Some(text) = text
            && self.thinking.as_ref().is_none_or(|(_, other)| other.is_empty())
        {
            self.thinking = Some((name, text));
        }
        Ok(fine)
    }
}

/// Takes `content`: a text, or a list of parts.
struct Content<'s, 'r> {
    room: &'r Room,
    parts: &'s mut Vec<Part>,
    has_text: &'s mut bool,
}

impl<'de> Take<'de> for Content<'_, '_> {
    fn text(self, text: Cow<'de, str>) -> bool {
        self.passing(&text)
    }

    fn passing(self, text: &str) -> bool {
        *self.has_text = true;
        if !text.is_empty() {
            self.parts.push(Part::Text(text.into()));
        }
        true
    }

    fn list<A: SeqAccess<'de>>(self, mut list: A) -> Result<bool, A::Error> {
        let mut fine = true;
        loop {
            let mut piece = Piece::default();
            let read = json::element(&mut list, &mut piece);
            // A part counts even where the body breaks off in it.
            if let Some(part) = piece.part() {
                if self.room.take() {
                    self.parts.push(part);
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

struct ToolCalls<'s, 'de, 'r>(&'s mut Message<'de, 'r>);

impl<'de> Take<'de> for ToolCalls<'_, 'de, '_> {
    fn list<A: SeqAccess<'de>>(self, mut list: A) -> Result<bool, A::Error> {
        let mut fine = true;
        loop {
            let mut call = ToolCall::default();
            match json::element(&mut list, &mut call)? {
                Some(read) => fine &= read,
                None => return Ok(fine),
            }
            if self.0.room.take() {
                self.0.calls.push(call);
            } else {
                fine = false;
            }
        }
    }
}

impl<'de> Take<'de> for &mut ToolCall<'de> {
    fn object<A: MapAccess<'de>>(self, mut object: A) -> Result<bool, A::Error> {
        let mut fine = true;
        while let Some(key) = json::key(&mut object)? {
            fine &= match &*key {
                "index" => json::value(&mut object, Number(&mut self.index))?,
                "id" => json::value(&mut object, Str(&mut self.id))?,
                "function" => json::value(&mut object, Function(self))?,
                "custom" => {
                    self.kind = Kind::Custom;
                    json::value(&mut object, Function(self))?
                }
                _ => json::skip(&mut object)?,
            };
        }
        Ok(fine)
    }
}

/// Takes the name and the input of a tool that is asked for. Some servers write the input as an object, not as the
/// text of one.
struct Function<'s, 'de>(&'s mut ToolCall<'de>);

impl<'de> Take<'de> for Function<'_, 'de> {
    fn object<A: MapAccess<'de>>(self, mut object: A) -> Result<bool, A::Error> {
        let mut fine = true;
        while let Some(key) = json::key(&mut object)? {
            fine &= match &*key {
                "name" => json::value(&mut object, Str(&mut self.0.name))?,
                "arguments" | "input" => {
                    self.0.input = json::written(&mut object)?;
                    true
                }
                _ => json::skip(&mut object)?,
            };
        }
        Ok(fine)
    }
}

struct Speech<'s, 'de>(&'s mut Option<Audio<'de>>);

impl<'de> Take<'de> for Speech<'_, 'de> {
    fn object<A: MapAccess<'de>>(self, mut object: A) -> Result<bool, A::Error> {
        let audio = self.0.get_or_insert_default();
        let mut fine = true;
        while let Some(key) = json::key(&mut object)? {
            fine &= match &*key {
                "id" => json::value(&mut object, Str(&mut audio.id))?,
                "data" => json::value(&mut object, Str(&mut audio.data))?,
                "transcript" => json::value(&mut object, Str(&mut audio.transcript))?,
                "expires_at" => json::value(&mut object, Number(&mut audio.expires_at))?,
                _ => json::skip(&mut object)?,
            };
        }
        Ok(fine)
    }
}

struct Annotations<'s, 'de, 'r>(&'s mut Message<'de, 'r>);

impl<'de> Take<'de> for Annotations<'_, 'de, '_> {
    fn list<A: SeqAccess<'de>>(self, mut list: A) -> Result<bool, A::Error> {
        while let Some(annotation) = list.next_element::<&'de RawValue>()? {
            if self.0.room.take() {
                self.0.annotations.push(annotation);
            }
        }
        Ok(true)
    }
}
