//! The answers that a stream adds up to, and its body as the provider would have sent it at once.

use bytes::Bytes;
use perimeter_interceptor::{Answer, CallId, Part};
use serde::Serialize;
use serde::ser::{SerializeMap, Serializer};
use serde_json::value::RawValue;

use super::answer::number_tools;
use super::chunk::{Candidate, MOST_PARTS};
use super::part::Piece;
use super::usage::Searches;
use crate::dialect::budget::Budget;
use crate::dialect::fields::{Fields, Kept};
use crate::dialect::json;

/// What has been said of an answer.
pub(super) struct Choice {
    pub(super) index: u32,
    has_content: bool,
    parts: Vec<Grown>,
    /// The other fields of its content.
    content: Kept,
    /// The other fields, the newest of each.
    fields: Kept,
}

/// A part that may have come in pieces.
enum Grown {
    Text { text: String, thought: bool, signature: Option<Box<RawValue>> },
    Other(Box<RawValue>),
}

impl Choice {
    pub(super) fn new(index: u32) -> Self {
        Self {
            index,
            has_content: false,
            parts: Vec::new(),
            content: Kept::default(),
            fields: Kept::default(),
        }
    }

    /// Why it stopped.
    pub(super) fn stop(&self) -> Option<String> {
        self.fields.text("finishReason")
    }

    /// Adds what an event says beside its parts.
    pub(super) fn merge(&mut self, candidate: &Candidate<'_>, budget: &mut Budget) {
        self.has_content |= candidate.has_content;
        set(&mut self.content, &candidate.content, budget);
        set(&mut self.fields, &candidate.fields, budget);
    }

    /// Adds a part, to the last one where it goes on.
    pub(super) fn add(&mut self, piece: &Piece<'_>, raw: &RawValue, budget: &mut Budget) {
        let Some((more, true)) = piece.text() else { return self.add_other(raw, budget) };
        let goes_on = matches!(
            self.parts.last(),
            Some(Grown::Text { thought, signature: None, .. }) if *thought == piece.thought
        );
        if !goes_on {
            if more.is_empty() && piece.signature.is_none() || !self.has_room(0, budget) {
                return;
            }
            let thought = piece.thought;
            self.parts.push(Grown::Text { text: String::new(), thought, signature: None });
        }
        let Some(Grown::Text { text, signature, .. }) = self.parts.last_mut() else { return };
        budget.push(text, more);
        if let Some(new) = piece.signature
            && budget.take(new.get().len())
        {
            *signature = Some(new.to_owned());
        }
    }

    fn add_other(&mut self, raw: &RawValue, budget: &mut Budget) {
        if self.has_room(raw.get().len(), budget) {
            self.parts.push(Grown::Other(raw.to_owned()));
        }
    }

    fn has_room(&self, bytes: usize, budget: &mut Budget) -> bool {
        if self.parts.len() >= MOST_PARTS {
            budget.lose();
            return false;
        }
        budget.take(2 * size_of::<Grown>() + bytes)
    }

    pub(super) fn answer(&self, call: CallId) -> Answer {
        let mut answer = Answer::new(self.index);
        for part in &self.parts {
            match part {
                Grown::Text { text, .. } if text.is_empty() => {}
                Grown::Text { text, thought: true, .. } => {
                    answer.parts.push(Part::Thinking(text.as_str().into()));
                }
                Grown::Text { text, .. } => answer.parts.push(Part::Text(text.as_str().into())),
                Grown::Other(raw) => {
                    let mut piece = Piece::default();
                    json::read(raw.get().as_bytes(), &mut piece);
                    piece.push(call, true, &mut answer.parts);
                }
            }
        }
        number_tools(&mut answer.parts, self.index);
        answer.stop = self.stop().map(Into::into);
        answer
    }

    /// How many searches of the web it rests on.
    pub(super) fn searches(&self) -> u64 {
        let mut searches = 0;
        if let Some(grounding) = self.fields.get("groundingMetadata") {
            json::read(grounding.get().as_bytes(), Searches(&mut searches));
        }
        searches
    }
}

/// Keeps fields in place of older ones. Most are the same in every event.
pub(super) fn set(kept: &mut Kept, fields: &Fields<'_>, budget: &mut Budget) {
    for (name, value) in &fields.0 {
        if kept.get(name).is_none_or(|old| old.get() != value.get()) {
            kept.set(name, value, budget);
        }
    }
}

/// A response of these answers.
pub(super) struct Body<'a> {
    pub(super) choices: &'a [Choice],
    pub(super) usage: &'a Kept,
    pub(super) fields: &'a Kept,
}

impl Body<'_> {
    /// Writes it, wrapped where there are fields `beside` it.
    pub(super) fn write(&self, beside: Option<&Kept>) -> Bytes {
        let written = match beside {
            Some(beside) => serde_json::to_vec(&Wrapped { response: self, beside }),
            None => serde_json::to_vec(self),
        };
        written.unwrap_or_default().into()
    }
}

struct Wrapped<'a> {
    response: &'a Body<'a>,
    beside: &'a Kept,
}

impl Serialize for Wrapped<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut wrapped = serializer.serialize_map(None)?;
        wrapped.serialize_entry("response", self.response)?;
        for (name, value) in self.beside.iter() {
            wrapped.serialize_entry(name, value)?;
        }
        wrapped.end()
    }
}

impl Serialize for Body<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut body = serializer.serialize_map(None)?;
        if !self.choices.is_empty() {
            body.serialize_entry("candidates", self.choices)?;
        }
        if !self.usage.is_empty() {
            body.serialize_entry("usageMetadata", &Raw(self.usage))?;
        }
        for (name, value) in self.fields.iter() {
            body.serialize_entry(name, value)?;
        }
        body.end()
    }
}

struct Raw<'a>(&'a Kept);

impl Serialize for Raw<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter())
    }
}

impl Serialize for Choice {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut choice = serializer.serialize_map(None)?;
        if self.has_content {
            choice.serialize_entry("content", &Content(self))?;
        }
        for (name, value) in self.fields.iter() {
            choice.serialize_entry(name, value)?;
        }
        choice.end()
    }
}

struct Content<'a>(&'a Choice);

impl Serialize for Content<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut content = serializer.serialize_map(None)?;
        if !self.0.parts.is_empty() {
            content.serialize_entry("parts", &self.0.parts)?;
        }
        for (name, value) in self.0.content.iter() {
            content.serialize_entry(name, value)?;
        }
        content.end()
    }
}

impl Serialize for Grown {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let (text, thought, signature) = match self {
            Self::Text { text, thought, signature } => (text, thought, signature),
            Self::Other(raw) => return raw.serialize(serializer),
        };
        let mut part = serializer.serialize_map(None)?;
        part.serialize_entry("text", text)?;
        if *thought {
            part.serialize_entry("thought", thought)?;
        }
        if let Some(signature) = signature {
            part.serialize_entry("thoughtSignature", signature)?;
        }
        part.end()
    }
}
