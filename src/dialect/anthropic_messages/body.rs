//! The message that a stream adds up to, block by block, and its body as the provider would have sent it at once.

use std::sync::Arc;

use bytes::Bytes;
use perimeter_interceptor::{CallId, LlmEvent, Part, ToolUse};
use serde::Serialize;
use serde::ser::{SerializeMap, Serializer};
use serde_json::value::RawValue;

use super::block::Content;
use super::is_hosted;
use super::stream::Piece;
use crate::dialect::budget::Budget;
use crate::dialect::fields::{Fields, Kept};
use crate::dialect::json::{self, Room};

/// What has been said of a block.
pub(super) struct Block {
    pub(super) index: u64,
    kind: Kind,
    /// As it began. What grows is beside.
    start: Kept,
    /// Its text, its thinking, its input, or its summary.
    grown: String,
    signature: String,
    citations: Vec<Box<RawValue>>,
    told: bool,
}

/// What grows in a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Text,
    Thinking,
    ToolUse,
    /// A tool that the provider itself, or a server behind it, runs.
    Hosted,
    /// A summary of the conversation so far.
    Compaction,
    /// Nothing.
    Other,
}

impl Block {
    /// The block that begins with these fields.
    pub(super) fn new(index: u64, fields: &Fields<'_>, budget: &mut Budget) -> Self {
        let kind = match fields.text("type").as_deref() {
            None | Some("text") => Kind::Text,
            Some("thinking") => Kind::Thinking,
            Some("tool_use") => Kind::ToolUse,
            Some("compaction") => Kind::Compaction,
            Some(other) if is_hosted(other) => Kind::Hosted,
            Some(_) => Kind::Other,
        };
        let mut block = Self {
            index,
            kind,
            start: Kept::default(),
            grown: String::new(),
            signature: String::new(),
            citations: Vec::new(),
            told: false,
        };
        for (name, value) in &fields.0 {
            block.start.set(name, value, budget);
        }
        let begun = match kind {
            Kind::Text => fields.text("text"),
            Kind::Thinking => fields.text("thinking"),
            Kind::Compaction => fields.text("content"),
            _ => None,
        };
        budget.push(&mut block.grown, &begun.unwrap_or_default());
        budget.push(&mut block.signature, &fields.text("signature").unwrap_or_default());
        block
    }

    /// Whether something is said by its beginning alone.
    pub(super) fn says_something(&self) -> bool {
        !matches!(self.kind, Kind::Text | Kind::Thinking) || !self.grown.is_empty()
    }

    /// Adds a piece.
    pub(super) fn add(&mut self, piece: &Piece<'_>, budget: &mut Budget) {
        let grows = match self.kind {
            Kind::Text => &piece.text,
            Kind::Thinking => &piece.thinking,
            Kind::ToolUse | Kind::Hosted => &piece.partial_json,
            Kind::Compaction => &piece.content,
            Kind::Other => &None,
        };
        budget.push(&mut self.grown, grows.as_deref().unwrap_or_default());
        budget.push(&mut self.signature, piece.signature.as_deref().unwrap_or_default());
        if let Some(citation) = piece.citation
            && budget.take(2 * size_of::<Box<RawValue>>() + citation.get().len())
        {
            self.citations.push(citation.to_owned());
        }
        if self.kind == Kind::Compaction {
            for (name, value) in &piece.rest.0 {
                self.start.set(name, value, budget);
            }
        }
    }

    /// Nothing more comes: tells the tool that it asks for.
    pub(super) fn end(&mut self, call: CallId, tell: &mut dyn FnMut(LlmEvent)) {
        if matches!(self.kind, Kind::ToolUse | Kind::Hosted) && !std::mem::replace(&mut self.told, true) {
            tell(LlmEvent::ToolUse(self.tool_use(call)));
        }
    }

    /// Adds what it is in an answer to `parts`.
    pub(super) fn push(&self, call: CallId, room: &Room, parts: &mut Vec<Part>) {
        let grown = || (!self.grown.is_empty()).then(|| Arc::from(self.grown.as_str()));
        match self.kind {
            Kind::Text => parts.extend(grown().map(Part::Text)),
            Kind::Thinking => parts.extend(grown().map(Part::Thinking)),
            Kind::ToolUse | Kind::Hosted => parts.push(Part::ToolUse(self.tool_use(call))),
            // It came at once, and is what it is in a whole answer.
            Kind::Compaction | Kind::Other => {
                let block = serde_json::to_vec(self).unwrap_or_default();
                json::read(&block, Content::of_message(call, room, parts));
            }
        }
    }

    fn tool_use(&self, call: CallId) -> Arc<ToolUse> {
        let mut tool = ToolUse::new(call, self.start.text("name").unwrap_or_default(), self.input());
        tool.id = self.start.text("id").map(Into::into);
        tool.hosted = self.kind == Kind::Hosted;
        tool.into()
    }

    /// Its input as it is written. Where no pieces came, some servers write it at the beginning.
    fn input(&self) -> &str {
        if self.grown.is_empty() { self.start.get("input").map_or("{}", RawValue::get) } else { &self.grown }
    }
}

/// Writes a message of these blocks.
pub(super) fn write(message: &Kept, blocks: &[Block], usage: &Kept) -> Bytes {
    serde_json::to_vec(&Body { message, blocks, usage }).unwrap_or_default().into()
}

struct Body<'a> {
    message: &'a Kept,
    blocks: &'a [Block],
    usage: &'a Kept,
}

/// The fields that a message has in any case, in the order of the documentation.
const FIRST: [&str; 4] = ["id", "type", "role", "model"];

impl Serialize for Body<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut body = serializer.serialize_map(None)?;
        for name in FIRST {
            match (self.message.get(name), name) {
                (Some(value), _) => body.serialize_entry(name, value)?,
                (None, "type") => body.serialize_entry(name, "message")?,
                (None, "role") => body.serialize_entry(name, "assistant")?,
                (None, _) => {}
            }
        }
        body.serialize_entry("content", self.blocks)?;
        for (name, value) in self.message.iter().filter(|(name, _)| !FIRST.contains(name)) {
            body.serialize_entry(name, value)?;
        }
        if !self.usage.is_empty() {
            body.serialize_entry("usage", &Raw(self.usage))?;
        }
        body.end()
    }
}

/// Fields as an object.
pub(super) struct Raw<'a>(pub(super) &'a Kept);

impl Serialize for Raw<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter())
    }
}

impl Serialize for Block {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let grows = match self.kind {
            Kind::Text => "text",
            Kind::Thinking => "thinking",
            Kind::ToolUse | Kind::Hosted => "input",
            Kind::Compaction => "content",
            Kind::Other => "",
        };
        let mut block = serializer.serialize_map(None)?;
        if self.start.is_empty() {
            block.serialize_entry("type", "text")?;
        }
        for (name, value) in self.start.iter() {
            let is_apart = name == grows
                || (name == "signature" && !self.signature.is_empty())
                || (name == "citations" && !self.citations.is_empty());
            if !is_apart {
                block.serialize_entry(name, value)?;
            }
        }
        match self.kind {
            Kind::Text | Kind::Thinking => block.serialize_entry(grows, &self.grown)?,
            // What the model wrote need not be JSON.
            Kind::ToolUse | Kind::Hosted => match serde_json::from_str::<&RawValue>(self.input()) {
                Ok(input) => block.serialize_entry(grows, input)?,
                Err(_) => block.serialize_entry(grows, self.input())?,
            },
            // There is none where the model failed to write one.
            Kind::Compaction => {
                block.serialize_entry(grows, &Some(&self.grown).filter(|text| !text.is_empty()))?
            }
            Kind::Other => {}
        }
        if !self.signature.is_empty() {
            block.serialize_entry("signature", &self.signature)?;
        }
        if !self.citations.is_empty() {
            block.serialize_entry("citations", &self.citations)?;
        }
        block.end()
    }
}
