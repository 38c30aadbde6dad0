//! One of the answers that a stream adds up to.

use std::sync::Arc;

use perimeter_interceptor::{Answer, CallId, LlmEvent, Media, Part, ToolUse};
use serde::de::IgnoredAny;
use serde_json::value::RawValue;

use super::answer::Choice as Read;
use super::logprobs::Logprobs;
use super::message::{self, Kind, ToolCall};
use super::reasoning::Detail;
use crate::dialect::budget::Budget;

/// How many tools an answer is read to ask for.
const MOST_TOOLS: usize = 1024;

/// What has been said of one answer.
#[derive(Default)]
pub(super) struct Choice {
    pub(super) index: u32,
    /// An empty text is not the same as none: a server that writes one in its events also would at once.
    pub(super) content: Option<String>,
    /// Under the name that the server has for it.
    pub(super) thinking: Option<(&'static str, String)>,
    pub(super) details: Vec<Detail>,
    pub(super) refusal: Option<String>,
    pub(super) audio: Option<Audio>,
    pub(super) annotations: Vec<Box<RawValue>>,
    pub(super) tools: Vec<Tool>,
    pub(super) logprobs: Option<Logprobs>,
    pub(super) stop: Option<Arc<str>>,
}

/// What has been said aloud.
#[derive(Default)]
pub(super) struct Audio {
    pub(super) id: Option<Arc<str>>,
    pub(super) data: String,
    pub(super) transcript: String,
    pub(super) expires_at: Option<u64>,
}

/// What has been said of one tool that is asked for.
#[derive(Default)]
pub(super) struct Tool {
    pub(super) kind: Kind,
    index: Option<u64>,
    pub(super) id: Option<Arc<str>>,
    pub(super) name: String,
    pub(super) input: String,
    told: bool,
}

impl Choice {
    pub(super) fn new(index: u32) -> Self {
        Self { index, ..Self::default() }
    }

    /// Adds what an event says of this answer.
    pub(super) fn add(
        &mut self,
        read: Read<'_, '_>,
        call: CallId,
        budget: &mut Budget,
        tell: &mut dyn FnMut(LlmEvent),
    ) {
        let message = read.message;
        if message.has_text {
            self.content.get_or_insert_default();
        }
        for part in &message.content {
            match part {
                Part::Text(text) => budget.push(self.content.get_or_insert_default(), text),
                Part::Thinking(text) => self.think("reasoning_content", text, budget),
                Part::Refusal(text) => budget.push(self.refusal.get_or_insert_default(), text),
                _ => {}
            }
        }
        if let Some((name, text)) = &message.thinking {
            self.think(name, text, budget);
        }
        for piece in &message.details {
            Detail::add(&mut self.details, piece, budget);
        }
        if let Some(text) = &message.refusal {
            budget.push(self.refusal.get_or_insert_default(), text);
        }
        if let Some(audio) = &message.audio {
            self.audio.get_or_insert_default().add(audio, budget);
        }
        for annotation in message.annotations {
            if budget.take(size_of::<Box<RawValue>>() * 2 + annotation.get().len()) {
                self.annotations.push(annotation.to_owned());
            }
        }
        for piece in message.calls {
            self.tool(piece, call, budget, tell);
        }
        if let Some(written) = read.logprobs {
            self.logprobs.get_or_insert_default().add(written, budget);
        }
        if let Some(stop) = read.stop.filter(|stop| !stop.is_empty() && budget.take(stop.len())) {
            self.stop = Some(stop.into());
            if !budget.over() {
                self.settle(call, tell);
            }
        }
    }

    fn think(&mut self, name: &'static str, text: &str, budget: &mut Budget) {
        let (_, thinking) = self.thinking.get_or_insert_with(|| (name, String::new()));
        budget.push(thinking, text);
    }

    fn tool(
        &mut self,
        piece: ToolCall<'_>,
        call: CallId,
        budget: &mut Budget,
        tell: &mut dyn FnMut(LlmEvent),
    ) {
        let position = self.tools.iter().rposition(|tool| tool.continues(&piece));
        let position = match position {
            Some(position) => position,
            None if self.tools.len() < MOST_TOOLS && budget.take(2 * size_of::<Tool>()) => {
                if !budget.over() {
                    self.tell_complete(call, tell);
                }
                self.tools.push(Tool { kind: piece.kind, index: piece.index, ..Tool::default() });
                self.tools.len() - 1
            }
            None => return budget.lose(),
        };
        if let Some(tool) = self.tools.get_mut(position) {
            tool.add(piece, budget);
        }
    }

    /// Tells the last tool if its input is JSON to its end: another tool begins. If it is not, it is waited for, since
    /// a server may write several at once.
    fn tell_complete(&mut self, call: CallId, tell: &mut dyn FnMut(LlmEvent)) {
        if let Some(tool) = self.tools.last_mut()
            && !tool.told
            && serde_json::from_str::<IgnoredAny>(&tool.input).is_ok()
        {
            tool.tell(call, self.index, tell);
        }
    }

    /// Tells the tools that were not told yet: nothing more comes.
    pub(super) fn settle(&mut self, call: CallId, tell: &mut dyn FnMut(LlmEvent)) {
        for tool in self.tools.iter_mut().filter(|tool| !tool.told) {
            tool.tell(call, self.index, tell);
        }
    }

    fn thought(&self) -> Option<String> {
        let text = self.thinking.as_ref().map(|(_, text)| text).filter(|text| !text.is_empty());
        text.cloned().or_else(|| Some(self.details.iter().map(Detail::text).collect()))
    }

    /// What has been said, in the order of a message at once: thinking, content, refusal, audio, tools.
    pub(super) fn answer(&self, call: CallId) -> Answer {
        let mut answer = Answer::new(self.index);
        let mut add = |text: Option<&String>, part: fn(Arc<str>) -> Part| {
            answer.parts.extend(text.filter(|text| !text.is_empty()).map(|text| part(text.as_str().into())));
        };
        add(self.thought().as_ref(), Part::Thinking);
        add(self.content.as_ref(), Part::Text);
        add(self.refusal.as_ref(), Part::Refusal);
        if let Some(audio) = &self.audio {
            add(Some(&audio.transcript), Part::Text);
            let mut media = Media::new("audio");
            media.size = audio.data.len() as u64;
            answer.parts.push(Part::Media(media));
        }
        let tools = self.tools.iter().map(|tool| Part::ToolUse(tool.tool_use(call, self.index)));
        answer.parts.extend(tools);
        answer.stop = self.stop.clone();
        answer
    }
}

impl Audio {
    fn add(&mut self, piece: &message::Audio<'_>, budget: &mut Budget) {
        if let Some(id) = piece.id.as_deref().filter(|id| self.id.is_none() && budget.take(id.len())) {
            self.id = Some(id.into());
        }
        budget.push(&mut self.data, piece.data.as_deref().unwrap_or_default());
        budget.push(&mut self.transcript, piece.transcript.as_deref().unwrap_or_default());
        self.expires_at = piece.expires_at.or(self.expires_at);
    }
}

impl Tool {
    /// Whether `piece` is a piece of this tool. Some servers write no index, or 0 for each: there, another id with
    /// a name begins another tool, or another name where there are no ids.
    fn continues(&self, piece: &ToolCall<'_>) -> bool {
        if self.kind == Kind::Legacy || piece.kind == Kind::Legacy {
            return self.kind == piece.kind;
        }
        if piece.index.is_some() && piece.index != self.index {
            return false;
        }
        let id = piece.id.as_deref().filter(|id| !id.is_empty());
        let named = piece.name.as_deref().is_some_and(|name| !name.is_empty());
        match (id, self.id.as_deref()) {
            (Some(id), Some(own)) => id == own || !named,
            _ => piece.index.is_some() || !named || self.name.is_empty(),
        }
    }

    fn add(&mut self, piece: ToolCall<'_>, budget: &mut Budget) {
        if piece.kind != Kind::Function {
            self.kind = piece.kind;
        }
        let id = piece.id.filter(|id| !id.is_empty() && self.id.is_none() && budget.take(id.len()));
        self.id = id.map(Into::into).or(self.id.take());
        if self.name.is_empty() {
            budget.push(&mut self.name, piece.name.as_deref().unwrap_or_default());
        }
        budget.push(&mut self.input, piece.input.as_deref().unwrap_or_default());
    }

    fn tell(&mut self, call: CallId, choice: u32, tell: &mut dyn FnMut(LlmEvent)) {
        self.told = true;
        tell(LlmEvent::ToolUse(self.tool_use(call, choice)));
    }

    fn tool_use(&self, call: CallId, choice: u32) -> Arc<ToolUse> {
        let mut tool = ToolUse::new(call, self.name.as_str(), self.input.as_str());
        tool.choice = choice;
        tool.id = self.id.clone();
        tool.into()
    }
}
