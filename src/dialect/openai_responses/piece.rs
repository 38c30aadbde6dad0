//! A piece of a message, of reasoning or of a tool's output.

use std::borrow::Cow;
use std::sync::Arc;

use perimeter_interceptor::Part;
use serde::de::{MapAccess, SeqAccess};

use crate::dialect::json::{self, Number, Room, Str, Take};
use crate::dialect::source::Source;

/// A piece, as far as it was read.
#[derive(Debug, Default)]
struct Piece<'de> {
    kind: Option<Cow<'de, str>>,
    text: Option<Cow<'de, str>>,
    /// What a command wrote as errors, behind its text.
    stderr: Option<Cow<'de, str>>,
    source: Source<'de>,
    failed: bool,
}

/// Takes content: a text, a piece, or a list of pieces.
pub(super) struct Content<'s, 'r> {
    pub(super) room: &'r Room,
    pub(super) parts: &'s mut Vec<Part>,
    /// Set where a piece says that a command failed.
    pub(super) failed: &'s mut bool,
    /// Whether it is what the model thought, whatever its pieces are called.
    pub(super) thinking: bool,
}

impl Content<'_, '_> {
    /// Adds what a piece is; says whether there was room.
    fn push(&mut self, piece: Piece<'_>) -> bool {
        *self.failed |= piece.failed;
        let Some(part) = piece.part(self.thinking) else { return true };
        let fits = self.room.take();
        if fits {
            self.parts.push(part);
        }
        fits
    }
}

impl Piece<'_> {
    fn part(self, thinking: bool) -> Option<Part> {
        let kind = self.kind.as_deref();
        match kind {
            Some("input_image" | "output_image" | "image" | "computer_screenshot") => {
                Some(Part::Media(self.source.media("image")))
            }
            Some("input_file") => Some(Part::Media(self.source.document())),
            Some("input_audio" | "output_audio") => Some(Part::Media(self.source.audio())),
            Some("refusal") => some(self.text).map(Part::Refusal),
            Some("reasoning_text") => some(self.text).map(Part::Thinking),
            Some("input_text" | "output_text" | "text" | "summary_text" | "logs") | None => {
                let text = match (self.text, self.stderr.filter(|text| !text.is_empty())) {
                    (text, None) => text,
                    (Some(text), Some(errors)) if !text.is_empty() => Some(text + errors),
                    (_, errors) => errors,
                };
                some(text).map(if thinking { Part::Thinking } else { Part::Text })
            }
            Some(other) => Some(Part::Other(other.into())),
        }
    }
}

fn some(text: Option<Cow<'_, str>>) -> Option<Arc<str>> {
    text.filter(|text| !text.is_empty()).map(Into::into)
}

impl<'de> Take<'de> for Content<'_, '_> {
    fn text(self, text: Cow<'de, str>) -> bool {
        self.passing(&text)
    }

    fn passing(self, text: &str) -> bool {
        if !text.is_empty() {
            self.parts.push(if self.thinking {
                Part::Thinking(text.into())
            } else {
                Part::Text(text.into())
            });
        }
        true
    }

    fn object<A: MapAccess<'de>>(mut self, object: A) -> Result<bool, A::Error> {
        let mut piece = Piece::default();
        let read = (&mut piece).object(object);
        let fits = self.push(piece);
        Ok(read? && fits)
    }

    fn list<A: SeqAccess<'de>>(mut self, mut list: A) -> Result<bool, A::Error> {
        let mut fine = true;
        loop {
            let mut piece = Piece::default();
            let read = json::element(&mut list, &mut piece);
            // A piece counts even where the body breaks off in it.
            if !matches!(read, Ok(None)) {
                fine &= self.push(piece);
            }
            match read? {
                Some(read) => fine &= read,
                None => return Ok(fine),
            }
        }
    }
}

impl<'de> Take<'de> for &mut Piece<'de> {
    /// A result of a search that is no more than a text.
    fn text(self, text: Cow<'de, str>) -> bool {
        self.text = Some(text);
        true
    }

    fn object<A: MapAccess<'de>>(self, mut object: A) -> Result<bool, A::Error> {
        let mut fine = true;
        while let Some(key) = json::key(&mut object)? {
            fine &= match &*key {
                "type" => json::value(&mut object, Str(&mut self.kind))?,
                "text" | "refusal" | "logs" | "stdout" => json::value(&mut object, Str(&mut self.text))?,
                "stderr" => json::value(&mut object, Str(&mut self.stderr))?,
                "outcome" => json::value(&mut object, Outcome(&mut self.failed))?,
                "filename" => json::value(&mut object, Str(&mut self.source.name))?,
                "image_url" | "file_url" | "url" | "file_data" | "input_audio" | "data" => {
                    json::value(&mut object, &mut self.source)?
                }
                _ => json::skip(&mut object)?,
            };
        }
        Ok(fine)
    }
}

/// Takes how a command ended: well, where it says so by 0.
struct Outcome<'s>(&'s mut bool);

impl<'de> Take<'de> for Outcome<'_> {
    fn object<A: MapAccess<'de>>(self, mut object: A) -> Result<bool, A::Error> {
        let mut code = None;
        *self.0 = true;
        while let Some(key) = json::key(&mut object)? {
            match &*key {
                "exit_code" => json::value(&mut object, Number(&mut code))?,
                _ => json::skip(&mut object)?,
            };
        }
        *self.0 = code != Some(0);
        Ok(true)
    }
}
