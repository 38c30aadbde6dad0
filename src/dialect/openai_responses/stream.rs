//! A streamed answer: its events, and the answer that they tell.

use std::borrow::Cow;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use bytes::Bytes;
use perimeter_interceptor::{ApiFailure, CallId, Completion, Delta, LlmEvent, Part, Said, ToolUse};
use serde::de::MapAccess;
use serde_json::value::RawValue;

use super::gathered::{self, Grows, Item};
use super::item::{self, Item as ReadItem};
use super::read_answer;
use crate::dialect::budget::Budget;
use crate::dialect::failure::{self, Told};
use crate::dialect::json::{self, Number, Room, Str, Take};
use crate::dialect::reader::{Answered, Gather, Step};
use crate::scribe::{bounded, sse};

/// How many items an answer is read to have.
const MOST_ITEMS: usize = 10_000;

/// What it takes to remember that the tool of an item was told.
const TOLD: usize = size_of::<u64>();

/// An answer that comes in events.
pub(in crate::dialect) struct Stream {
    call: CallId,
    status: u16,
    /// The response as it was last told, which was before its end.
    response: Option<Box<RawValue>>,
    items: Vec<Item>,
    /// The tools that were told.
    told: Vec<u64>,
    /// The answer, when its terminal event has come, and whether it was whole in that event.
    ended: Option<(Completion, bool)>,
    said: bool,
    budget: Budget,
}

impl Stream {
    pub(in crate::dialect) fn new(call: CallId, status: u16, limit: usize) -> Self {
        Self {
            call,
            status,
            response: None,
            items: Vec::new(),
            told: Vec::new(),
            ended: None,
            said: false,
            budget: Budget::new(limit),
        }
    }

    fn add(&mut self, sse: &sse::Event<'_>, tell: &mut dyn FnMut(LlmEvent)) -> Option<Step> {
        let data = sse.data;
        let mut event = Event::default();
        if json::read(data, &mut event) == json::Read::Broken {
            return None;
        }
        let name = String::from_utf8_lossy(sse.name);
        let kind = event.kind.take().unwrap_or(name);
        match kind.strip_prefix("response.").unwrap_or(&kind) {
            "created" | "queued" | "in_progress" => {
                if let Some(response) = event.response {
                    gathered::keep(&mut self.response, response, &mut self.budget);
                }
            }
            "completed" | "incomplete" | "failed" | "cancelled" | "done" => {
                return Some(self.end(event.response, data));
            }
            "output_item.added" => self.begin(&event),
            "output_item.done" => self.finish(&event, tell),
            "content_part.done" => self.finish_piece(Grows::Text, &event),
            "reasoning_summary_part.done" => self.finish_piece(Grows::Summary, &event),
            "output_text.annotation.added" => self.annotate(&event),
            "error" => return Some(Step::Failed(self.failure(event, data))),
            _ if event.error.found => return Some(Step::Failed(self.failure(event, data))),
            kind => self.grow(kind, &event, tell),
        }
        Some(Step::More)
    }

    /// The terminal event. Codex' backend and others leave the output out of it.
    fn end(&mut self, response: Option<&RawValue>, data: &[u8]) -> Step {
        let told = response.map(|response| (response, read_answer(self.call, response.get().as_bytes())));
        let failure = match told {
            Some((response, answered)) if self.items.is_empty() || says(&answered.completion) => {
                self.items.drain(..).for_each(|item| item.drop(&mut self.budget));
                self.conclude(answered, Bytes::copy_from_slice(response.get().as_bytes()), true, data)
            }
            _ => {
                let body = gathered::write(response.or(self.response.as_deref()), &self.items);
                self.conclude(read_answer(self.call, &body), body.clone(), false, data)
            }
        };
        failure.map_or(Step::Done, Step::Failed)
    }

    fn conclude(
        &mut self,
        answered: Answered<'_>,
        body: Bytes,
        whole: bool,
        data: &[u8],
    ) -> Option<ApiFailure> {
        let Answered { mut completion, error, .. } = answered;
        self.said |= says(&completion);
        completion.body = body;
        self.ended = Some((completion, whole));
        error.found.then(|| error.in_event(self.call, self.status, data))
    }

    /// The error that an event is, or holds.
    fn failure(&self, event: Event<'_>, data: &[u8]) -> ApiFailure {
        if event.error.found {
            return event.error.in_event(self.call, self.status, data);
        }
        let mut failure = failure::of_event(self.call, self.status, data);
        failure.kind = event.code.map(Into::into).or(failure.kind);
        failure
    }

    /// The item that an event is about, new where it must be: where it does not say which, the `last`, unless that is
    /// done. None where there are too many.
    fn at(&mut self, index: Option<u64>, last: bool) -> Option<(&mut Item, &mut Budget)> {
        let Self { items, budget, .. } = self;
        let position = match index {
            Some(index) => items.iter().rposition(|item| item.index == index),
            None => items.last().filter(|item| last && !item.done).map(|_| items.len() - 1),
        };
        let position = match position {
            Some(position) => position,
            None if items.len() < MOST_ITEMS && budget.take(2 * size_of::<Item>() + 2 * TOLD) => {
                let index = index.unwrap_or(items.len() as u64);
                bounded::push(items, Item::new(index));
                items.len() - 1
            }
            None => {
                budget.lose();
                return None;
            }
        };
        Some((items.get_mut(position)?, budget))
    }

    fn begin(&mut self, event: &Event<'_>) {
        let Some(written) = event.item else { return };
        self.said |= !parts(self.call, written.get().as_bytes()).is_empty();
        if let Some((item, budget)) = self.at(event.output_index, false) {
            item.begin(written, budget);
        }
    }

    fn finish(&mut self, event: &Event<'_>, tell: &mut dyn FnMut(LlmEvent)) {
        let Some(written) = event.item else { return };
        let parts = parts(self.call, written.get().as_bytes());
        self.said |= !parts.is_empty();
        let Some((item, budget)) = self.at(event.output_index, true) else { return };
        if std::mem::replace(&mut item.done, true) {
            return;
        }
        item.finish(written, budget);
        if !std::mem::replace(&mut item.told, true) {
            self.tell_tools(&parts, tell);
        }
    }

    fn finish_piece(&mut self, grows: Grows, event: &Event<'_>) {
        let Some(written) = event.part else { return };
        if let Some((item, budget)) = self.at(event.output_index, true) {
            item.finish_piece(grows, event.piece(grows), written, budget);
        }
    }

    fn annotate(&mut self, event: &Event<'_>) {
        let Some(annotation) = event.annotation else { return };
        if let Some((item, budget)) = self.at(event.output_index, true) {
            item.annotate(event.piece(Grows::Text), annotation, budget);
        }
    }

    /// A piece of an item grows, or is told whole.
    fn grow(&mut self, kind: &str, event: &Event<'_>, tell: &mut dyn FnMut(LlmEvent)) {
        let Some((grows, whole)) = grown(kind) else { return };
        let text = if whole { &event.text } else { &event.delta };
        let Some(text) = text.as_deref().filter(|text| !text.is_empty()) else { return };
        self.said = true;
        if let Some(said) = said(grows, text).filter(|_| !whole) {
            tell(LlmEvent::Delta(Delta::new(self.call, said)));
        }
        let call = self.call;
        let Some((item, budget)) = self.at(event.output_index, true) else { return };
        item.add(grows, event.piece(grows), text, whole, budget);
        let is_ready = whole && item.has_begun() && !item.told && !budget.over();
        if is_ready && grows.is_input() {
            item.told = true;
            let parts = parts(call, &item.to_json());
            self.tell_tools(&parts, tell);
        }
    }

    fn tell_tools(&mut self, parts: &[Part], tell: &mut dyn FnMut(LlmEvent)) {
        for tool in tools(parts) {
            self.told.push(mark(tool));
            tell(LlmEvent::ToolUse(tool.clone()));
        }
    }
}

/// Whether there is anything in an answer.
fn says(completion: &Completion) -> bool {
    completion.answers.iter().any(|answer| !answer.parts.is_empty())
}

/// What an item says that is written like this.
fn parts(call: CallId, written: &[u8]) -> Vec<Part> {
    let room = Room::new();
    let mut item = ReadItem::new(call, &room);
    json::read(written, &mut item);
    item::answered(item, true)
}

fn tools(parts: &[Part]) -> impl Iterator<Item = &Arc<ToolUse>> {
    parts.iter().filter_map(|part| match part {
        Part::ToolUse(tool) => Some(tool),
        _ => None,
    })
}

/// By what a tool that was told is known again: its id, or all of it.
fn mark(tool: &ToolUse) -> u64 {
    let mut hasher = DefaultHasher::new();
    match &tool.id {
        Some(id) => id.hash(&mut hasher),
        None => tool.hash(&mut hasher),
    }
    hasher.finish()
}

/// What grows by an event of this type, and whether it is told whole.
fn grown(kind: &str) -> Option<(Grows, bool)> {
    let (what, how) = kind.rsplit_once('.')?;
    let whole = match how {
        "delta" => false,
        "done" => true,
        _ => return None,
    };
    let grows = match what {
        "output_text" => Grows::Text,
        "refusal" => Grows::Refusal,
        "reasoning_text" | "reasoning" => Grows::Reasoning,
        "reasoning_summary_text" | "reasoning_summary" => Grows::Summary,
        "function_call_arguments" => Grows::Arguments,
        "mcp_call_arguments" | "mcp_call.arguments" => Grows::McpArguments,
        "custom_tool_call_input" => Grows::Input,
        "code_interpreter_call_code" | "code_interpreter_call.code" => Grows::Code,
        _ => return None,
    };
    Some((grows, whole))
}

/// What is told of a piece; nothing of the input of a tool that the provider runs.
fn said(grows: Grows, text: &str) -> Option<Said> {
    match grows {
        Grows::Text => Some(Said::Text(text.into())),
        Grows::Refusal => Some(Said::Refusal(text.into())),
        Grows::Reasoning | Grows::Summary => Some(Said::Thinking(text.into())),
        Grows::Arguments | Grows::Input => Some(Said::ToolInput(text.into())),
        Grows::McpArguments | Grows::Code => None,
    }
}

impl Gather for Stream {
    fn event(&mut self, event: &sse::Event<'_>, tell: &mut dyn FnMut(LlmEvent)) -> Option<Step> {
        if event.data.trim_ascii() == b"[DONE]" {
            return Some(Step::Done);
        }
        self.add(event, tell)
    }

    fn lose(&mut self) {
        self.budget.lose();
    }

    /// There always is a terminal event.
    fn stopped(&self) -> bool {
        false
    }

    fn intact(&self) -> bool {
        self.ended.as_ref().is_some_and(|(_, whole)| *whole) || !self.budget.over()
    }

    fn said(&self) -> bool {
        self.said
    }

    fn settle(&mut self, tell: &mut dyn FnMut(LlmEvent)) {
        let completion = self.completion();
        for tool in completion.answers.iter().flat_map(|answer| tools(&answer.parts)) {
            match self.told.iter().position(|told| *told == mark(tool)) {
                Some(position) => drop(self.told.swap_remove(position)),
                None => tell(LlmEvent::ToolUse(tool.clone())),
            }
        }
    }

    fn completion(&self) -> Completion {
        if let Some((completion, _)) = &self.ended {
            return completion.clone();
        }
        if self.response.is_none() && self.items.is_empty() {
            return Completion::new(self.call);
        }
        let body = gathered::write(self.response.as_deref(), &self.items);
        let mut completion = read_answer(self.call, &body).completion;
        completion.body = body;
        completion
    }

    fn held(&self) -> usize {
        self.budget.held()
    }
}

/// An event, as far as it was read.
#[derive(Default)]
struct Event<'de> {
    kind: Option<Cow<'de, str>>,
    output_index: Option<u64>,
    content_index: Option<u64>,
    summary_index: Option<u64>,
    delta: Option<Cow<'de, str>>,
    /// What a piece is when it is whole.
    text: Option<Cow<'de, str>>,
    item: Option<&'de RawValue>,
    part: Option<&'de RawValue>,
    annotation: Option<&'de RawValue>,
    response: Option<&'de RawValue>,
    error: Told<'de>,
    code: Option<Cow<'de, str>>,
}

impl Event<'_> {
    /// The index of the piece of its item that it is about.
    fn piece(&self, grows: Grows) -> u64 {
        let index = match grows {
            Grows::Summary => self.summary_index,
            Grows::Text | Grows::Refusal | Grows::Reasoning => self.content_index,
            _ => None,
        };
        index.unwrap_or(0)
    }
}

impl<'de> Take<'de> for &mut Event<'de> {
    fn object<A: MapAccess<'de>>(self, mut object: A) -> Result<bool, A::Error> {
        while let Some(key) = json::key(&mut object)? {
            match &*key {
                "type" => json::value(&mut object, Str(&mut self.kind))?,
                "output_index" => json::value(&mut object, Number(&mut self.output_index))?,
                "content_index" => json::value(&mut object, Number(&mut self.content_index))?,
                "summary_index" => json::value(&mut object, Number(&mut self.summary_index))?,
                "delta" => json::value(&mut object, Str(&mut self.delta))?,
                "text" | "refusal" | "arguments" | "input" | "code" => {
                    let mut text = None;
                    json::value(&mut object, Str(&mut text))?;
                    if &*key == "code" {
                        self.code.clone_from(&text);
                    }
                    self.text = text.or(self.text.take());
                    true
                }
                "item" => raw(&mut self.item, &mut object)?,
                "part" => raw(&mut self.part, &mut object)?,
                "annotation" => raw(&mut self.annotation, &mut object)?,
                "response" => raw(&mut self.response, &mut object)?,
                "error" => json::value(&mut object, &mut self.error)?,
                _ => json::skip(&mut object)?,
            };
        }
        Ok(true)
    }
}

fn raw<'de, A: MapAccess<'de>>(into: &mut Option<&'de RawValue>, object: &mut A) -> Result<bool, A::Error> {
    *into = json::raw(object)?;
    Ok(true)
}
