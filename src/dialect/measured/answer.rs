//! An answer in JSON: how many things it holds, and how large they are.

use std::borrow::Cow;
use std::sync::Arc;

use perimeter_interceptor::{Answer, CallId, Completion, Media, Operation, Part};
use serde::de::{MapAccess, SeqAccess};
use serde_json::value::RawValue;

use super::usage;
use crate::dialect::failure::Told;
use crate::dialect::inputs::counted;
use crate::dialect::json::{self, Flag, Number, Room, Str, Take};
use crate::dialect::reader::Answered;

/// Reads an answer, in which a number may stand in place of something as long.
pub(super) fn read(operation: Operation, call: CallId, body: &[u8]) -> Answered<'_> {
    let room = Room::new();
    let mut top = Top::new(operation, &room);
    let read = json::read(body, &mut top);
    let mut completion = Completion::new(call);
    completion.usage = top.usage.and_then(|written| usage::usage(operation, written));
    let seconds = top.usage.filter(|_| operation == Operation::Transcription).and_then(usage::seconds);
    top.parts.extend(seconds.map(|seconds| Part::Other(format!("{seconds} seconds").into())));
    if let Some(format) = &top.format {
        name_format(&mut top.parts, format);
    }
    completion.id = top.id.map(Into::into);
    completion.model = top.model.map(Into::into);
    if !top.parts.is_empty() || top.status.is_some() {
        let mut answer = Answer::new(0);
        answer.parts = top.parts;
        answer.stop = top.status.map(Into::into);
        completion.answers.push(answer);
    }
    Answered { completion, error: top.error, read }
}

fn name_format(parts: &mut [Part], format: &str) {
    for part in parts {
        if let Part::Media(media) = part {
            media.media_type = Some(format!("image/{format}").into());
        }
    }
}

struct Top<'de, 'r> {
    operation: Operation,
    room: &'r Room,
    id: Option<Cow<'de, str>>,
    model: Option<Cow<'de, str>>,
    status: Option<Cow<'de, str>>,
    /// Of pictures.
    format: Option<Cow<'de, str>>,
    usage: Option<&'de RawValue>,
    parts: Vec<Part>,
    error: Told<'de>,
}

impl<'r> Top<'_, 'r> {
    fn new(operation: Operation, room: &'r Room) -> Self {
        Self {
            operation,
            room,
            id: None,
            model: None,
            status: None,
            format: None,
            usage: None,
            parts: Vec::new(),
            error: Told::default(),
        }
    }

    fn push(&mut self, part: Part) -> bool {
        let fits = self.room.take();
        if fits {
            self.parts.push(part);
        }
        fits
    }

    /// Whether an error that stands in such an answer is of this call: an object that is fetched may tell its own.
    fn may_fail(&self) -> bool {
        !matches!(
            self.operation,
            Operation::Files | Operation::Batches | Operation::Models | Operation::Retrieval
        )
    }
}

impl<'de> Take<'de> for &mut Top<'de, '_> {
    fn object<A: MapAccess<'de>>(self, mut object: A) -> Result<bool, A::Error> {
        let mut fine = true;
        while let Some(key) = json::key(&mut object)? {
            fine &= match (&*key, self.operation) {
                ("id", _) => json::value(&mut object, Str(&mut self.id))?,
                ("name", Operation::Batches) => json::value(&mut object, Str(&mut self.id))?,
                ("model", _) => json::value(&mut object, Str(&mut self.model))?,
                ("status" | "processing_status", Operation::Batches | Operation::Files) => {
                    json::value(&mut object, Str(&mut self.status))?
                }
                ("output_format", Operation::Image) => json::value(&mut object, Str(&mut self.format))?,
                ("usage" | "usageMetadata", _) => {
                    self.usage = json::raw(&mut object)?;
                    true
                }
                ("error", _) if self.may_fail() => json::value(&mut object, &mut self.error)?,
                ("text", Operation::Transcription) => json::value(&mut object, Text(self))?,
                ("input_tokens" | "totalTokens", Operation::CountTokens) => {
                    json::value(&mut object, Count(self))?
                }
                ("embedding", Operation::Embeddings) => json::value(&mut object, Vector(self))?,
                ("data" | "models" | "results" | "embeddings", _) => json::value(&mut object, Items(self))?,
                _ => json::skip(&mut object)?,
            };
        }
        Ok(fine)
    }
}

/// Takes what was heard.
struct Text<'a, 'de, 'r>(&'a mut Top<'de, 'r>);

impl<'de> Take<'de> for Text<'_, 'de, '_> {
    fn text(self, text: Cow<'de, str>) -> bool {
        self.0.push(Part::Text(Arc::from(text)))
    }
}

/// Takes a number of tokens that was counted, not used.
struct Count<'a, 'de, 'r>(&'a mut Top<'de, 'r>);

impl<'de> Take<'de> for Count<'_, 'de, '_> {
    fn number(self, number: u64) -> bool {
        self.0.push(counted(number, "input token"))
    }
}

/// Takes the list that an answer is about.
struct Items<'a, 'de, 'r>(&'a mut Top<'de, 'r>);

impl<'de> Take<'de> for Items<'_, 'de, '_> {
    fn list<A: SeqAccess<'de>>(self, mut list: A) -> Result<bool, A::Error> {
        let top = self.0;
        let mut fine = true;
        let mut count = 0_u64;
        loop {
            match json::element(&mut list, Item(&mut *top)) {
                Ok(Some(read)) => {
                    fine &= read;
                    count += 1;
                }
                ended => {
                    if let Some(word) = word(top.operation) {
                        fine &= top.push(counted(count, word));
                    }
                    return ended.map(|_| fine);
                }
            }
        }
    }
}

/// What the things are called of which only the number is told.
fn word(operation: Operation) -> Option<&'static str> {
    match operation {
        Operation::Files => Some("file"),
        Operation::Batches => Some("batch"),
        Operation::Models => Some("model"),
        Operation::Retrieval | Operation::Other => Some("item"),
        _ => None,
    }
}

struct Item<'a, 'de, 'r>(&'a mut Top<'de, 'r>);

impl<'de> Take<'de> for Item<'_, 'de, '_> {
    fn object<A: MapAccess<'de>>(self, mut object: A) -> Result<bool, A::Error> {
        match self.0.operation {
            Operation::Embeddings => Vector(self.0).object(object),
            Operation::Moderation => self.verdict(object),
            Operation::Image => self.picture(object),
            _ => {
                while json::key(&mut object)?.is_some() {
                    json::skip(&mut object)?;
                }
                Ok(true)
            }
        }
    }
}

impl<'de> Item<'_, 'de, '_> {
    fn verdict<A: MapAccess<'de>>(self, mut object: A) -> Result<bool, A::Error> {
        let mut flagged = false;
        while let Some(key) = json::key(&mut object)? {
            match &*key {
                "flagged" => json::value(&mut object, Flag(&mut flagged))?,
                _ => json::skip(&mut object)?,
            };
        }
        Ok(!flagged || self.0.push(Part::Other("flagged".into())))
    }

    fn picture<A: MapAccess<'de>>(self, mut object: A) -> Result<bool, A::Error> {
        let mut size = 0;
        while let Some(key) = json::key(&mut object)? {
            match &*key {
                "b64_json" => size = json::raw(&mut object)?.map_or(0, written_size),
                _ => drop(json::skip(&mut object)?),
            }
        }
        let mut media = Media::new("image");
        media.size = size;
        Ok(self.0.push(Part::Media(media)))
    }
}

/// Takes a vector, or what holds one.
struct Vector<'a, 'de, 'r>(&'a mut Top<'de, 'r>);

impl Vector<'_, '_, '_> {
    fn measured(self, size: u64) -> bool {
        let mut media = Media::new("embedding");
        media.size = size;
        self.0.push(Part::Media(media))
    }
}

impl<'de> Take<'de> for Vector<'_, 'de, '_> {
    fn object<A: MapAccess<'de>>(self, mut object: A) -> Result<bool, A::Error> {
        let mut size = None;
        while let Some(key) = json::key(&mut object)? {
            match &*key {
                "embedding" | "values" => size = json::raw(&mut object)?.map(written_size),
                _ => drop(json::skip(&mut object)?),
            }
        }
        Ok(size.is_some_and(|size| self.measured(size)))
    }
}

/// How many bytes a text or a list takes as it is written, without what stands around it; where it was too long, a
/// number says so.
pub(super) fn written_size(written: &RawValue) -> u64 {
    let mut number = None;
    let written = written.get().as_bytes();
    json::read(written, Number(&mut number));
    number.unwrap_or((written.len() as u64).saturating_sub(2))
}
