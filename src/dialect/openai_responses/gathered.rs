//! What the events of a stream add up to, item by item, and the body that the provider would have sent at once.

use bytes::Bytes;
use serde::Serialize;
use serde::ser::{SerializeMap, SerializeSeq, Serializer};
use serde_json::value::RawValue;

use crate::dialect::budget::Budget;
use crate::dialect::fields::Fields;
use crate::dialect::json;

/// How many pieces an item is read to have.
const MOST_PIECES: usize = 1000;

/// What has been said of an item.
pub(super) struct Item {
    pub(super) index: u64,
    /// As it began; when it is done, all of it.
    written: Option<Box<RawValue>>,
    pub(super) done: bool,
    /// Whether the tool that it asks for was told.
    pub(super) told: bool,
    /// What came since it began. Gone when it is done.
    pieces: Vec<Piece>,
}

/// A piece of an item that grows.
struct Piece {
    grows: Grows,
    index: u64,
    text: String,
    annotations: Vec<Box<RawValue>>,
    /// When it is done, all of it.
    written: Option<Box<RawValue>>,
}

/// What grows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Grows {
    Text,
    Refusal,
    Reasoning,
    Summary,
    Arguments,
    McpArguments,
    Input,
    Code,
}

impl Grows {
    /// Whether it is the input of a tool.
    pub(super) fn is_input(self) -> bool {
        matches!(self, Self::Arguments | Self::McpArguments | Self::Input | Self::Code)
    }

    /// The field of its item in which it stands.
    fn field(self) -> &'static str {
        match self {
            Self::Text | Self::Refusal | Self::Reasoning => "content",
            Self::Summary => "summary",
            Self::Arguments | Self::McpArguments => "arguments",
            Self::Input => "input",
            Self::Code => "code",
        }
    }

    /// The type of its item, where nothing else says it.
    fn item(self) -> &'static str {
        match self {
            Self::Text | Self::Refusal => "message",
            Self::Reasoning | Self::Summary => "reasoning",
            Self::Arguments => "function_call",
            Self::McpArguments => "mcp_call",
            Self::Input => "custom_tool_call",
            Self::Code => "code_interpreter_call",
        }
    }

    /// The type of a piece, and the name of its text; none where it is only a text.
    fn piece(self) -> Option<(&'static str, &'static str)> {
        match self {
            Self::Text => Some(("output_text", "text")),
            Self::Refusal => Some(("refusal", "refusal")),
            Self::Reasoning => Some(("reasoning_text", "text")),
            Self::Summary => Some(("summary_text", "text")),
            Self::Arguments | Self::McpArguments | Self::Input | Self::Code => None,
        }
    }
}

/// What JSON takes that is kept as it is written. A vector that grows holds up to twice what is in it.
fn weight(value: &RawValue) -> usize {
    2 * size_of::<Box<RawValue>>() + value.get().len()
}

/// Puts `value` in the place of what is `kept`, if it fits.
pub(super) fn keep(kept: &mut Option<Box<RawValue>>, value: &RawValue, budget: &mut Budget) -> bool {
    let fits = budget.take(weight(value));
    if fits {
        budget.give(kept.as_deref().map_or(0, weight));
        *kept = Some(value.to_owned());
    }
    fits
}

impl Item {
    pub(super) fn new(index: u64) -> Self {
        Self { index, written: None, done: false, told: false, pieces: Vec::new() }
    }

    /// Whether it is known how it began.
    pub(super) fn has_begun(&self) -> bool {
        self.written.is_some()
    }

    pub(super) fn begin(&mut self, written: &RawValue, budget: &mut Budget) {
        if !self.done {
            keep(&mut self.written, written, budget);
        }
    }

    /// It is whole: what led to it is needed no more.
    pub(super) fn finish(&mut self, written: &RawValue, budget: &mut Budget) {
        if keep(&mut self.written, written, budget) {
            self.pieces.drain(..).for_each(|piece| piece.drop(budget));
            self.pieces = Vec::new();
        }
    }

    /// Forgets it.
    pub(super) fn drop(self, budget: &mut Budget) {
        budget.give(self.written.as_deref().map_or(0, weight) + 2 * size_of::<Self>());
        self.pieces.into_iter().for_each(|piece| piece.drop(budget));
    }

    /// Adds to a piece, or `replace`s one of which nothing had come.
    pub(super) fn add(&mut self, grows: Grows, index: u64, text: &str, replace: bool, budget: &mut Budget) {
        if let Some(piece) = self.piece(grows, index, budget)
            && (!replace || piece.text.is_empty())
        {
            budget.push(&mut piece.text, text);
        }
    }

    pub(super) fn annotate(&mut self, index: u64, annotation: &RawValue, budget: &mut Budget) {
        if let Some(piece) = self.piece(Grows::Text, index, budget)
            && budget.take(weight(annotation))
        {
            piece.annotations.push(annotation.to_owned());
        }
    }

    /// A piece is whole.
    pub(super) fn finish_piece(&mut self, grows: Grows, index: u64, written: &RawValue, budget: &mut Budget) {
        let Some(piece) = self.piece(grows, index, budget) else { return };
        if keep(&mut piece.written, written, budget) {
            budget.give(piece.text.capacity());
            piece.text = String::new();
            let annotations = std::mem::take(&mut piece.annotations);
            budget.give(annotations.iter().map(|annotation| weight(annotation)).sum());
        }
    }

    fn piece(&mut self, grows: Grows, index: u64, budget: &mut Budget) -> Option<&mut Piece> {
        if self.done {
            return None;
        }
        let is_it = |piece: &Piece| piece.index == index && piece.grows.field() == grows.field();
        let position = match self.pieces.iter().rposition(is_it) {
            Some(position) => position,
            None if self.pieces.len() < MOST_PIECES && budget.take(2 * size_of::<Piece>()) => {
                let (text, annotations, written) = (String::new(), Vec::new(), None);
                self.pieces.push(Piece { grows, index, text, annotations, written });
                self.pieces.len() - 1
            }
            None => {
                budget.lose();
                return None;
            }
        };
        self.pieces.get_mut(position)
    }

    /// It, as it is or would be written.
    pub(super) fn to_json(&self) -> Bytes {
        serde_json::to_vec(self).unwrap_or_default().into()
    }
}

impl Piece {
    fn drop(self, budget: &mut Budget) {
        let annotations: usize = self.annotations.iter().map(|annotation| weight(annotation)).sum();
        let written = self.written.as_deref().map_or(0, weight);
        budget.give(2 * size_of::<Self>() + self.text.capacity() + annotations + written);
    }
}

/// Writes the `response`, as it was last told, with these items as its output.
pub(super) fn write(response: Option<&RawValue>, items: &[Item]) -> Bytes {
    let mut fields = Fields::default();
    if let Some(response) = response {
        json::read(response.get().as_bytes(), &mut fields);
    }
    serde_json::to_vec(&Body { fields: &fields, items }).unwrap_or_default().into()
}

struct Body<'a> {
    fields: &'a Fields<'a>,
    items: &'a [Item],
}

impl Serialize for Body<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut body = serializer.serialize_map(None)?;
        if self.fields.0.is_empty() {
            body.serialize_entry("object", "response")?;
        }
        for (name, value) in &self.fields.0 {
            if name == "output" {
                body.serialize_entry(name, self.items)?;
            } else {
                body.serialize_entry(name, value)?;
            }
        }
        if self.fields.raw("output").is_none() {
            body.serialize_entry("output", self.items)?;
        }
        body.end()
    }
}

impl Serialize for Item {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut fields = Fields::default();
        match &self.written {
            Some(written) if self.pieces.is_empty() => return written.serialize(serializer),
            Some(written) => {
                json::read(written.get().as_bytes(), &mut fields);
            }
            None => {}
        }
        let mut item = serializer.serialize_map(None)?;
        if let Some(first) = self.pieces.first().filter(|_| fields.0.is_empty()) {
            item.serialize_entry("type", first.grows.item())?;
            if first.grows.item() == "message" {
                item.serialize_entry("role", "assistant")?;
            }
        }
        let grew = |name: &str| self.pieces.iter().any(|piece| piece.grows.field() == name);
        for (name, value) in fields.0.iter().filter(|(name, _)| !grew(name)) {
            item.serialize_entry(name, value)?;
        }
        for name in ["summary", "content"].into_iter().filter(|name| grew(name)) {
            item.serialize_entry(name, &List { pieces: &self.pieces, name })?;
        }
        for piece in self.pieces.iter().filter(|piece| piece.grows.piece().is_none()) {
            item.serialize_entry(piece.grows.field(), &piece.text)?;
        }
        item.end()
    }
}

/// The pieces that stand in one field.
struct List<'a> {
    pieces: &'a [Piece],
    name: &'static str,
}

impl Serialize for List<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut list = serializer.serialize_seq(None)?;
        for piece in self.pieces.iter().filter(|piece| piece.grows.field() == self.name) {
            list.serialize_element(piece)?;
        }
        list.end()
    }
}

impl Serialize for Piece {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if let Some(written) = &self.written {
            return written.serialize(serializer);
        }
        let Some((kind, text)) = self.grows.piece() else { return self.text.serialize(serializer) };
        let mut piece = serializer.serialize_map(None)?;
        piece.serialize_entry("type", kind)?;
        piece.serialize_entry(text, &self.text)?;
        if self.grows == Grows::Text {
            piece.serialize_entry("annotations", &self.annotations)?;
        }
        piece.end()
    }
}
