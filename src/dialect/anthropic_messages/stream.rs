//! A streamed answer: its events, and the answer that they add up to.

use std::borrow::Cow;
use std::sync::Arc;

use perimeter_interceptor::{Answer, CallId, Completion, Delta, LlmEvent, Said};
use serde::de::MapAccess;
use serde_json::value::RawValue;

use super::body::{self, Block, Raw};
use super::usage;
use crate::dialect::budget::Budget;
use crate::dialect::failure::Told;
use crate::dialect::fields::{Fields, Kept};
use crate::dialect::json::{self, Number, Room, Str, Take};
use crate::dialect::reader::{Gather, Step};
use crate::scribe::{bounded, sse};

/// How many blocks an answer is read to have.
const MOST_BLOCKS: usize = 10_000;

/// An answer that comes in events.
pub(in crate::dialect) struct Stream {
    call: CallId,
    status: u16,
    /// The fields of the message but for its content and usage.
    message: Kept,
    usage: Kept,
    blocks: Vec<Block>,
    said: bool,
    budget: Budget,
    /// For the usage, where the other is spent.
    reserve: Budget,
}

impl Stream {
    pub(in crate::dialect) fn new(call: CallId, status: u16, limit: usize) -> Self {
        Self {
            call,
            status,
            message: Kept::default(),
            usage: Kept::default(),
            blocks: Vec::new(),
            said: false,
            budget: Budget::new(limit),
            reserve: Budget::of_usage(),
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
        match &*kind {
            "message_start" => self.start(event.message),
            "content_block_start" => self.begin(event.index, &event.block),
            "content_block_delta" => self.delta(event.index, &event.delta, tell),
            "content_block_stop" => self.end(event.index, tell),
            "message_delta" => {
                self.merge(event.delta.rest);
                self.merge(event.rest);
                self.count(event.usage);
            }
            "message_stop" => return Some(Step::Done),
            _ if event.error.found => {
                return Some(Step::Failed(event.error.in_event(self.call, self.status, data)));
            }
            _ => {}
        }
        Some(Step::More)
    }

    fn start(&mut self, mut message: Fields<'_>) {
        message.0.retain(|(name, value)| {
            if name == "usage" {
                let mut usage = Fields::default();
                json::read(value.get().as_bytes(), &mut usage);
                self.count(usage);
            }
            name != "usage" && name != "content"
        });
        self.merge(message);
    }

    fn merge(&mut self, fields: Fields<'_>) {
        for (name, value) in fields.0 {
            self.message.set(&name, value, &mut self.budget);
        }
    }

    /// Later counts are of all so far. Some servers write none, or 0, in the one place or the other.
    fn count(&mut self, fields: Fields<'_>) {
        let budget = if self.budget.over() { &mut self.reserve } else { &mut self.budget };
        for (name, value) in fields.0 {
            let says_nothing = match self.usage.number(&name) {
                Some(_) => !value.get().parse::<u64>().is_ok_and(|number| number > 0),
                None => value.get() == "null" && self.usage.get(&name).is_some(),
            };
            if !says_nothing {
                self.usage.set(&name, value, budget);
            }
        }
    }

    fn begin(&mut self, index: Option<u64>, fields: &Fields<'_>) {
        if self.blocks.len() >= MOST_BLOCKS || !self.budget.take(2 * size_of::<Block>()) {
            return self.budget.lose();
        }
        let index = index.unwrap_or(self.blocks.len() as u64);
        let block = Block::new(index, fields, &mut self.budget);
        self.said |= block.says_something();
        bounded::push(&mut self.blocks, block);
    }

    fn block(&mut self, index: Option<u64>) -> Option<&mut Block> {
        match index {
            Some(index) => self.blocks.iter_mut().rfind(|block| block.index == index),
            None => self.blocks.last_mut(),
        }
    }

    fn delta(&mut self, index: Option<u64>, delta: &Piece<'_>, tell: &mut dyn FnMut(LlmEvent)) {
        let call = self.call;
        let mut say = |text: &Option<Cow<'_, str>>, said: fn(Arc<str>) -> Said| {
            if let Some(text) = text.as_deref().filter(|text| !text.is_empty()) {
                self.said = true;
                tell(LlmEvent::Delta(Delta::new(call, said(text.into()))));
            }
        };
        say(&delta.text, Said::Text);
        say(&delta.thinking, Said::Thinking);
        say(&delta.partial_json, Said::ToolInput);
        // A block that never began still said something.
        if self.block(index).is_none() {
            self.begin(index, &Fields::default());
        }
        let position = self.blocks.iter().rposition(|block| index.is_none_or(|index| block.index == index));
        if let Some(block) = position.and_then(|position| self.blocks.get_mut(position)) {
            block.add(delta, &mut self.budget);
        }
    }

    fn end(&mut self, index: Option<u64>, tell: &mut dyn FnMut(LlmEvent)) {
        let (call, intact) = (self.call, self.intact());
        if let Some(block) = self.block(index).filter(|_| intact) {
            block.end(call, tell);
        }
    }

    fn answer(&self) -> Answer {
        let mut answer = Answer::new(0);
        let room = Room::new();
        for block in &self.blocks {
            block.push(self.call, &room, &mut answer.parts);
        }
        answer.stop = self.message.text("stop_reason").map(Into::into);
        answer
    }
}

impl Gather for Stream {
    fn event(&mut self, event: &sse::Event<'_>, tell: &mut dyn FnMut(LlmEvent)) -> Option<Step> {
        self.add(event, tell)
    }

    fn lose(&mut self) {
        self.budget.lose();
    }

    fn stopped(&self) -> bool {
        self.message.text("stop_reason").is_some()
    }

    fn intact(&self) -> bool {
        !self.budget.over()
    }

    fn said(&self) -> bool {
        self.said
    }

    fn settle(&mut self, tell: &mut dyn FnMut(LlmEvent)) {
        for block in &mut self.blocks {
            block.end(self.call, tell);
        }
    }

    fn completion(&self) -> Completion {
        let mut completion = Completion::new(self.call);
        completion.id = self.message.text("id").map(Into::into);
        completion.model = self.message.text("model").map(Into::into);
        if !self.message.is_empty() || !self.blocks.is_empty() {
            completion.answers.push(self.answer());
        }
        let usage = serde_json::to_vec(&Raw(&self.usage)).unwrap_or_default();
        let mut told = usage::Told::default();
        json::read(&usage, &mut told);
        completion.usage = told.usage();
        completion.tier = told.tier();
        completion.region = told.region();
        completion.body = body::write(&self.message, &self.blocks, &self.usage);
        completion
    }

    fn held(&self) -> usize {
        self.budget.held() + self.reserve.held()
    }
}

/// An event, as far as it was read.
#[derive(Default)]
struct Event<'de> {
    kind: Option<Cow<'de, str>>,
    index: Option<u64>,
    message: Fields<'de>,
    block: Fields<'de>,
    delta: Piece<'de>,
    usage: Fields<'de>,
    error: Told<'de>,
    /// Fields of the message that a `message_delta` has beside its delta.
    rest: Fields<'de>,
}

/// What an event adds: to a block, or (all else) to the message.
#[derive(Default)]
pub(super) struct Piece<'de> {
    pub(super) text: Option<Cow<'de, str>>,
    pub(super) thinking: Option<Cow<'de, str>>,
    pub(super) partial_json: Option<Cow<'de, str>>,
    pub(super) signature: Option<Cow<'de, str>>,
    pub(super) citation: Option<&'de RawValue>,
    /// A summary of the conversation.
    pub(super) content: Option<Cow<'de, str>>,
    pub(super) rest: Fields<'de>,
}

impl<'de> Take<'de> for &mut Event<'de> {
    fn object<A: MapAccess<'de>>(self, mut object: A) -> Result<bool, A::Error> {
        while let Some(key) = json::key(&mut object)? {
            match &*key {
                "type" => json::value(&mut object, Str(&mut self.kind))?,
                "index" => json::value(&mut object, Number(&mut self.index))?,
                "message" => json::value(&mut object, &mut self.message)?,
                "content_block" => json::value(&mut object, &mut self.block)?,
                "delta" => json::value(&mut object, &mut self.delta)?,
                "usage" => json::value(&mut object, &mut self.usage)?,
                "error" => json::value(&mut object, &mut self.error)?,
                "context_management" => {
                    let value = object.next_value::<&'de RawValue>()?;
                    self.rest.push(key, value);
                    true
                }
                _ => json::skip(&mut object)?,
            };
        }
        Ok(true)
    }
}

impl<'de> Take<'de> for &mut Piece<'de> {
    fn object<A: MapAccess<'de>>(self, mut object: A) -> Result<bool, A::Error> {
        while let Some(key) = json::key(&mut object)? {
            match &*key {
                "type" => json::skip(&mut object)?,
                "text" => json::value(&mut object, Str(&mut self.text))?,
                "thinking" => json::value(&mut object, Str(&mut self.thinking))?,
                "partial_json" => json::value(&mut object, Str(&mut self.partial_json))?,
                "signature" => json::value(&mut object, Str(&mut self.signature))?,
                "content" => json::value(&mut object, Str(&mut self.content))?,
                "citation" => {
                    self.citation = json::raw(&mut object)?;
                    true
                }
                _ => {
                    let value = object.next_value::<&'de RawValue>()?;
                    self.rest.push(key, value);
                    true
                }
            };
        }
        Ok(true)
    }
}
