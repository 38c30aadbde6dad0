//! Answers in events: speech as it is heard or made, and pictures as they become clear.

use std::borrow::Cow;
use std::sync::Arc;

use perimeter_interceptor::{
    Answer, CallId, Completion, Delta, LlmEvent, Media, Operation, Part, Said, Usage,
};
use serde::Serialize;
use serde::de::MapAccess;
use serde_json::value::RawValue;

use super::answer::written_size;
use super::usage;
use crate::dialect::budget::Budget;
use crate::dialect::failure::{self, Told};
use crate::dialect::inputs::counted;
use crate::dialect::json::{self, Str, Take};
use crate::dialect::reader::{Gather, Step};
use crate::scribe::sse;

/// How many pictures are told.
const MOST_PICTURES: usize = 128;

/// How long `usage` may be written.
const MOST_USAGE: usize = 4096;

/// An answer that comes in events.
pub(in crate::dialect) struct Stream {
    operation: Operation,
    call: CallId,
    status: u16,
    /// What was heard.
    text: String,
    /// How much sound came, as base64.
    sound: u64,
    pictures: Vec<Media>,
    /// How many pictures came that were not finished.
    partial: u64,
    usage: Option<Box<RawValue>>,
    done: bool,
    said: bool,
    budget: Budget,
}

impl Stream {
    pub(super) fn new(operation: Operation, call: CallId, status: u16, limit: usize) -> Self {
        Self {
            operation,
            call,
            status,
            text: String::new(),
            sound: 0,
            pictures: Vec::new(),
            partial: 0,
            usage: None,
            done: false,
            said: false,
            budget: Budget::new(limit),
        }
    }

    fn add(&mut self, data: &[u8], tell: &mut dyn FnMut(LlmEvent)) -> Option<Step> {
        let mut event = Event::default();
        if json::read(data, &mut event) == json::Read::Broken {
            return None;
        }
        let kind = event.kind.as_deref().unwrap_or_default();
        if event.error.found || kind == "error" {
            let failure = match event.error.found {
                true => event.error.in_event(self.call, self.status, data),
                false => failure::of_event(self.call, self.status, data),
            };
            return Some(Step::Failed(failure));
        }
        if let Some(usage) = event.usage.filter(|written| written.get().len() < MOST_USAGE) {
            self.usage = Some(usage.to_owned());
        }
        self.said |= !kind.is_empty();
        match kind {
            "transcript.text.delta" => self.hear(&event, tell),
            "transcript.text.done" => self.heard(&event),
            "speech.audio.delta" => self.sound += event.audio.map_or(0, written_size),
            "speech.audio.done" => self.done = true,
            "image_generation.partial_image" | "image_edit.partial_image" => self.partial += 1,
            "image_generation.completed" | "image_edit.completed" => self.see(&event),
            _ => {}
        }
        // There may be another picture.
        Some(if self.done && self.operation != Operation::Image { Step::Done } else { Step::More })
    }

    fn hear(&mut self, event: &Event<'_>, tell: &mut dyn FnMut(LlmEvent)) {
        let text = event.delta.as_deref().unwrap_or_default();
        if !text.is_empty() {
            tell(LlmEvent::Delta(Delta::new(self.call, Said::Text(text.into()))));
            self.budget.push(&mut self.text, text);
        }
    }

    fn heard(&mut self, event: &Event<'_>) {
        if self.text.is_empty() {
            self.budget.push(&mut self.text, event.text.as_deref().unwrap_or_default());
        }
        self.done = true;
    }

    fn see(&mut self, event: &Event<'_>) {
        self.done = true;
        if self.pictures.len() >= MOST_PICTURES {
            return self.budget.lose();
        }
        let mut picture = Media::new("image");
        picture.size = event.picture.map_or(0, written_size);
        // Its own words are short; anything else is none of them.
        let format = event.format.as_deref().filter(|format| format.len() <= 16);
        picture.media_type = format.map(|format| format!("image/{format}").into());
        self.pictures.push(picture);
    }

    fn parts(&self) -> Vec<Part> {
        let mut parts = Vec::new();
        if !self.text.is_empty() {
            parts.push(Part::Text(Arc::from(&*self.text)));
        }
        if self.sound > 0 {
            let mut sound = Media::new("audio");
            sound.size = self.sound;
            parts.push(Part::Media(sound));
        }
        if self.partial > 0 {
            parts.push(counted(self.partial, "partial image"));
        }
        parts.extend(self.pictures.iter().cloned().map(Part::Media));
        parts
    }

    fn used(&self) -> Option<Usage> {
        usage::usage(self.operation, self.usage.as_deref()?)
    }
}

impl Gather for Stream {
    fn event(&mut self, event: &sse::Event<'_>, tell: &mut dyn FnMut(LlmEvent)) -> Option<Step> {
        if event.data.trim_ascii() == b"[DONE]" {
            return Some(Step::Done);
        }
        self.add(event.data, tell)
    }

    fn lose(&mut self) {
        self.budget.lose();
    }

    fn stopped(&self) -> bool {
        self.done
    }

    fn intact(&self) -> bool {
        !self.budget.over()
    }

    fn said(&self) -> bool {
        self.said
    }

    fn settle(&mut self, _tell: &mut dyn FnMut(LlmEvent)) {}

    fn completion(&self) -> Completion {
        let mut completion = Completion::new(self.call);
        completion.usage = self.used();
        let parts = self.parts();
        if !parts.is_empty() {
            let mut answer = Answer::new(0);
            answer.parts = parts;
            completion.answers.push(answer);
        }
        if self.operation == Operation::Transcription {
            let body = Transcript { text: &self.text, usage: self.usage.as_deref() };
            completion.body = serde_json::to_vec(&body).unwrap_or_default().into();
        }
        completion
    }

    fn held(&self) -> usize {
        self.budget.held() + self.pictures.capacity() * (size_of::<Media>() + 32)
    }
}

/// A transcription as it would have come at once.
#[derive(Serialize)]
struct Transcript<'a> {
    text: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    usage: Option<&'a RawValue>,
}

#[derive(Default)]
struct Event<'de> {
    kind: Option<Cow<'de, str>>,
    delta: Option<Cow<'de, str>>,
    text: Option<Cow<'de, str>>,
    audio: Option<&'de RawValue>,
    picture: Option<&'de RawValue>,
    format: Option<Cow<'de, str>>,
    usage: Option<&'de RawValue>,
    error: Told<'de>,
}

impl<'de> Take<'de> for &mut Event<'de> {
    fn object<A: MapAccess<'de>>(self, mut object: A) -> Result<bool, A::Error> {
        let mut fine = true;
        while let Some(key) = json::key(&mut object)? {
            fine &= match &*key {
                "type" => json::value(&mut object, Str(&mut self.kind))?,
                "delta" => json::value(&mut object, Str(&mut self.delta))?,
                "text" => json::value(&mut object, Str(&mut self.text))?,
                "output_format" => json::value(&mut object, Str(&mut self.format))?,
                "error" => json::value(&mut object, &mut self.error)?,
                "audio" | "b64_json" | "usage" => {
                    let value = json::raw(&mut object)?;
                    match &*key {
                        "audio" => self.audio = value,
                        "b64_json" => self.picture = value,
                        _ => self.usage = value,
                    }
                    true
                }
                _ => json::skip(&mut object)?,
            };
        }
        Ok(fine)
    }
}
