//! A part of a message's content.

use std::borrow::Cow;
use std::sync::Arc;

use perimeter_interceptor::Part;
use serde::de::{MapAccess, SeqAccess};

use crate::dialect::json::{self, Str, Take};
use crate::dialect::source::Source;

/// A part, as far as it was read.
#[derive(Debug, Default)]
pub(super) struct Piece<'de> {
    kind: Option<Cow<'de, str>>,
    text: Option<Cow<'de, str>>,
    refusal: Option<Cow<'de, str>>,
    thinking: Option<Cow<'de, str>>,
    source: Source<'de>,
}

impl Piece<'_> {
    /// What it is; `None` where nothing is in it.
    pub(super) fn part(self) -> Option<Part> {
        let some = |text: Option<Cow<'_, str>>| text.filter(|text| !text.is_empty()).map(Arc::<str>::from);
        match self.kind.as_deref() {
            Some("text" | "input_text" | "output_text") | None => some(self.text).map(Part::Text),
            Some("refusal") => some(self.refusal).map(Part::Refusal),
            Some("thinking" | "reasoning") => some(self.thinking.or(self.text)).map(Part::Thinking),
            Some("image_url" | "input_image") => Some(Part::Media(self.source.media("image"))),
            Some("video_url") => Some(Part::Media(self.source.media("video"))),
            Some("audio_url") => Some(Part::Media(self.source.media("audio"))),
            Some("file" | "input_file" | "document_url") => Some(Part::Media(self.source.document())),
            Some("input_audio") => Some(Part::Media(self.source.audio())),
            Some(other) => Some(Part::Other(other.into())),
        }
    }
}

impl<'de> Take<'de> for &mut Piece<'de> {
    fn object<A: MapAccess<'de>>(self, mut object: A) -> Result<bool, A::Error> {
        let mut fine = true;
        while let Some(key) = json::key(&mut object)? {
            fine &= match &*key {
                "type" => json::value(&mut object, Str(&mut self.kind))?,
                "text" => json::value(&mut object, Str(&mut self.text))?,
                "refusal" => json::value(&mut object, Str(&mut self.refusal))?,
                "thinking" => json::value(&mut object, Thinking(&mut self.thinking))?,
                "image_url" | "video_url" | "audio_url" | "document_url" | "input_audio" | "file" => {
                    json::value(&mut object, &mut self.source)?
                }
                _ => json::skip(&mut object)?,
            };
        }
        Ok(fine)
    }
}

/// Takes thinking: a text, or, as Mistral writes it, a list of parts.
struct Thinking<'s, 'de>(&'s mut Option<Cow<'de, str>>);

impl<'de> Take<'de> for Thinking<'_, 'de> {
    fn text(self, text: Cow<'de, str>) -> bool {
        *self.0 = Some(text);
        true
    }

    fn list<A: SeqAccess<'de>>(self, mut list: A) -> Result<bool, A::Error> {
        let all = self.0.get_or_insert_default().to_mut();
        loop {
            let mut piece = Piece::default();
            let Some(_) = json::element(&mut list, &mut piece)? else { return Ok(true) };
            all.push_str(piece.text.as_deref().unwrap_or_default());
        }
    }
}
