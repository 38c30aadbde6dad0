//! An answer, event by event.

use std::borrow::Cow;
use std::sync::Arc;

use bytes::Bytes;
use perimeter_interceptor::{Answer, CallId, Completion, Delta, LlmEvent, Media, Part, Said, ToolUse, Usage};
use serde::de::MapAccess;
use serde_json::value::RawValue;

use super::answer::{Item, Response};
use crate::dialect::budget::Budget;
use crate::dialect::json::{self, Room, Str, Take};
use crate::dialect::reader::{Gather, Step};
use crate::scribe::sse;

/// How many tools an answer is read to ask for.
const MOST_TOOLS: usize = 1024;

/// An answer that comes in messages.
pub(in crate::dialect) struct Stream {
    call: CallId,
    status: u16,
    id: Option<Arc<str>>,
    /// What was written or spoken so far.
    text: String,
    /// The tools that were told.
    tools: Vec<Arc<ToolUse>>,
    /// The sound that came, bytes of base64.
    sound: u64,
    /// What it used, where it failed.
    usage: Option<Usage>,
    /// What it all came to.
    done: Option<Done>,
    budget: Budget,
}

struct Done {
    parts: Vec<Part>,
    usage: Option<Usage>,
    stop: Option<Arc<str>>,
    body: Bytes,
}

impl Stream {
    pub(in crate::dialect) fn new(call: CallId, status: u16, limit: usize) -> Self {
        Self {
            call,
            status,
            id: None,
            text: String::new(),
            tools: Vec::new(),
            sound: 0,
            usage: None,
            done: None,
            budget: Budget::new(limit),
        }
    }

    fn delta(&mut self, said: Said, tell: &mut dyn FnMut(LlmEvent)) {
        if let Said::Text(text) = &said {
            self.budget.push(&mut self.text, text);
        }
        tell(LlmEvent::Delta(Delta::new(self.call, said)));
    }

    fn tool(&mut self, tool: &Arc<ToolUse>, tell: &mut dyn FnMut(LlmEvent)) {
        if self.tools.iter().any(|told| told == tool) {
            return;
        }
        // What is not remembered would be told again at the end.
        let size = size_of::<ToolUse>() + tool.name.len() + tool.input.len();
        if self.tools.len() >= MOST_TOOLS || !self.budget.take(size) {
            return self.budget.lose();
        }
        self.tools.push(tool.clone());
        tell(LlmEvent::ToolUse(tool.clone()));
    }

    fn item(&mut self, item: &RawValue, tell: &mut dyn FnMut(LlmEvent)) {
        let room = Room::new();
        let mut read = Item::new(&room);
        json::read(item.get().as_bytes(), &mut read);
        for part in read.into_parts(self.call) {
            if let Part::ToolUse(tool) = part {
                self.tool(&tool, tell);
            }
        }
    }

    fn done(&mut self, response: &RawValue, data: &[u8], tell: &mut dyn FnMut(LlmEvent)) -> Step {
        let room = Room::new();
        let mut read = Response::new(self.call, &room);
        json::read(response.get().as_bytes(), &mut read);
        for part in &read.parts {
            if let Part::ToolUse(tool) = part {
                self.tool(tool, tell);
            }
        }
        self.id = read.id.or(self.id.take());
        if read.status.as_deref() == Some("failed") {
            // What it used by then is to be paid for all the same.
            self.usage = read.usage;
            return Step::Failed(read.details.error.in_event(self.call, self.status, data));
        }
        if self.budget.take(2 * response.get().len()) {
            self.done = Some(Done {
                parts: read.parts,
                usage: read.usage,
                stop: read.details.reason.or(read.status),
                body: Bytes::copy_from_slice(response.get().as_bytes()),
            });
        }
        Step::Done
    }
}

impl Gather for Stream {
    fn event(&mut self, event: &sse::Event<'_>, tell: &mut dyn FnMut(LlmEvent)) -> Option<Step> {
        let mut read = Event::default();
        json::read(event.data, &mut read);
        let delta = read.delta.as_deref().unwrap_or_default();
        match read.kind.as_deref().unwrap_or_default() {
            "response.output_text.delta"
            | "response.text.delta"
            | "response.output_audio_transcript.delta"
            | "response.audio_transcript.delta" => self.delta(Said::Text(delta.into()), tell),
            "response.function_call_arguments.delta" => self.delta(Said::ToolInput(delta.into()), tell),
            "response.output_audio.delta" | "response.audio.delta" => {
                self.sound = self.sound.saturating_add(delta.len() as u64)
            }
            "response.output_item.done" => {
                if let Some(item) = read.item {
                    self.item(item, tell);
                }
            }
            "response.created" => {
                let room = Room::new();
                let mut response = Response::new(self.call, &room);
                if let Some(raw) = read.response {
                    json::read(raw.get().as_bytes(), &mut response);
                }
                self.id = response.id;
            }
            "response.done" => {
                let done = read.response.map(|response| self.done(response, event.data, tell));
                return Some(done.unwrap_or(Step::Done));
            }
            _ => {}
        }
        Some(Step::More)
    }

    fn lose(&mut self) {
        self.budget.lose();
    }

    fn stopped(&self) -> bool {
        self.done.is_some()
    }

    fn intact(&self) -> bool {
        self.done.is_some() || !self.budget.over()
    }

    fn said(&self) -> bool {
        !self.text.is_empty() || !self.tools.is_empty() || self.sound > 0
    }

    fn settle(&mut self, _tell: &mut dyn FnMut(LlmEvent)) {}

    fn completion(&self) -> Completion {
        let mut completion = Completion::new(self.call);
        completion.id.clone_from(&self.id);
        completion.usage = self.usage;
        let mut answer = Answer::new(0);
        match &self.done {
            Some(done) => {
                answer.parts.clone_from(&done.parts);
                answer.stop.clone_from(&done.stop);
                completion.usage = done.usage;
                completion.body = done.body.clone();
            }
            None => {
                if !self.text.is_empty() {
                    answer.parts.push(Part::Text(self.text.as_str().into()));
                }
                answer.parts.extend(self.tools.iter().cloned().map(Part::ToolUse));
            }
        }
        if self.sound > 0 {
            let mut sound = Media::new("audio");
            sound.size = self.sound;
            answer.parts.push(Part::Media(sound));
        }
        if !answer.parts.is_empty() || answer.stop.is_some() {
            completion.answers.push(answer);
        }
        completion
    }

    fn held(&self) -> usize {
        self.budget.held()
    }
}

/// What an event of an answer holds.
#[derive(Default)]
struct Event<'de> {
    kind: Option<Cow<'de, str>>,
    delta: Option<Cow<'de, str>>,
    item: Option<&'de RawValue>,
    response: Option<&'de RawValue>,
}

impl<'de> Take<'de> for &mut Event<'de> {
    fn object<A: MapAccess<'de>>(self, mut object: A) -> Result<bool, A::Error> {
        while let Some(key) = json::key(&mut object)? {
            match &*key {
                "type" => {
                    json::value(&mut object, Str(&mut self.kind))?;
                }
                "delta" => {
                    json::value(&mut object, Str(&mut self.delta))?;
                }
                "item" => self.item = json::raw(&mut object)?,
                "response" => self.response = json::raw(&mut object)?,
                _ => {
                    json::skip(&mut object)?;
                }
            }
        }
        Ok(true)
    }
}
