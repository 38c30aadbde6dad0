//! A streamed answer: its events, and the answer that they add up to.

use std::sync::Arc;

use perimeter_interceptor::{CallId, Completion, Delta, LlmEvent, Part, Said, Usage};
use serde_json::value::RawValue;

use super::Holds;
use super::answer::{Body, Choice as Read};
use super::choice::Choice;
use super::message::Message;
use super::usage::usage;
use crate::dialect::budget::Budget;
use crate::dialect::failure;
use crate::dialect::json::{self, Room};
use crate::dialect::reader::{Gather, Step};
use crate::scribe::{bounded, sse};

/// An answer that comes in events.
pub(in crate::dialect) struct Stream {
    hold: Holds,
    call: CallId,
    status: u16,
    top: Top,
    choices: Vec<Choice>,
    said: bool,
    budget: Budget,
}

/// What stands beside the choices.
#[derive(Default)]
pub(super) struct Top {
    pub(super) id: Option<Arc<str>>,
    pub(super) model: Option<Arc<str>>,
    pub(super) created: Option<u64>,
    pub(super) fingerprint: Option<Arc<str>>,
    pub(super) tier: Option<Arc<str>>,
    pub(super) usage: Option<(Option<Usage>, Box<RawValue>)>,
}

impl Stream {
    pub(in crate::dialect) fn new(call: CallId, status: u16, limit: usize) -> Self {
        Self::of(Holds::Message, call, status, limit)
    }

    /// An answer whose choices hold this.
    pub(in crate::dialect) fn of(hold: Holds, call: CallId, status: u16, limit: usize) -> Self {
        let budget = Budget::new(limit);
        Self { hold, call, status, top: Top::default(), choices: Vec::new(), said: false, budget }
    }

    fn add(&mut self, data: &[u8], tell: &mut dyn FnMut(LlmEvent)) -> Option<Step> {
        let room = Room::new();
        let mut body = Body::new(&room);
        if json::read(data, &mut body) == json::Read::Broken {
            return None;
        }
        self.top.add(&body, &mut self.budget);
        for read in std::mem::take(&mut body.choices) {
            self.choice(read, tell);
        }
        let failure = if body.error.found {
            body.error.in_event(self.call, self.status, data)
        } else if body.object.as_deref() == Some("error") {
            // As vLLM writes it: no object holds the error, it is one.
            failure::of_event(self.call, self.status, data)
        } else {
            return Some(Step::More);
        };
        Some(Step::Failed(failure))
    }

    fn choice(&mut self, mut read: Read<'_, '_>, tell: &mut dyn FnMut(LlmEvent)) {
        read.take_text(self.hold);
        let index = read.index.unwrap_or(0).try_into().unwrap_or(u32::MAX);
        let deltas = |said| tell(LlmEvent::Delta(delta(self.call, index, said)));
        self.said |= say(&read.message, deltas);
        let position = self.choices.iter().position(|choice| choice.index == index);
        let position = match position {
            Some(position) => position,
            None if self.choices.len() < super::MOST_CHOICES && self.budget.take(2 * size_of::<Choice>()) => {
                bounded::push(&mut self.choices, Choice::new(index));
                self.choices.len() - 1
            }
            None => return self.budget.lose(),
        };
        let Some(choice) = self.choices.get_mut(position) else { return };
        choice.add(read, self.call, &mut self.budget, tell);
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
        !self.choices.is_empty() && self.choices.iter().all(|choice| choice.stop.is_some())
    }

    fn intact(&self) -> bool {
        !self.budget.over()
    }

    fn said(&self) -> bool {
        self.said
    }

    fn settle(&mut self, tell: &mut dyn FnMut(LlmEvent)) {
        for choice in &mut self.choices {
            choice.settle(self.call, tell);
        }
    }

    fn completion(&self) -> Completion {
        let mut completion = Completion::new(self.call);
        completion.id = self.top.id.clone();
        completion.model = self.top.model.clone();
        completion.usage = self.top.usage.as_ref().and_then(|(usage, _)| *usage);
        completion.tier = self.top.tier.clone();
        let mut choices: Vec<_> = self.choices.iter().collect();
        choices.sort_by_key(|choice| choice.index);
        completion.answers = choices.iter().map(|choice| choice.answer(self.call)).collect();
        completion.body = super::body::write(self.hold, &self.top, &choices);
        completion
    }

    fn held(&self) -> usize {
        self.budget.held()
    }
}

impl Top {
    fn add(&mut self, body: &Body<'_, '_>, budget: &mut Budget) {
        let mut keep = |slot: &mut Option<Arc<str>>, text: Option<&str>| {
            let text = text.filter(|text| !text.is_empty() && slot.is_none());
            if let Some(text) = text.filter(|text| budget.take(text.len())) {
                *slot = Some(text.into());
            }
        };
        keep(&mut self.id, body.id.as_deref());
        keep(&mut self.model, body.model.as_deref());
        keep(&mut self.fingerprint, body.fingerprint.as_deref());
        keep(&mut self.tier, body.tier.as_deref());
        self.created = self.created.or(body.created.filter(|created| *created > 0));
        if let Some(written) = body.usage().filter(|written| written.get().len() < MOST_USAGE) {
            let usage = usage(written);
            if usage.is_some() || self.usage.is_none() {
                self.usage = Some((usage, written.to_owned()));
            }
        }
    }
}

/// How long `usage` may be written. It comes with every event of some servers, and the last one counts.
const MOST_USAGE: usize = 4096;

fn delta(call: CallId, choice: u32, said: Said) -> Delta {
    let mut delta = Delta::new(call, said);
    delta.choice = choice;
    delta
}

/// Tells what a piece of a message says; whether that is anything.
fn say(message: &Message<'_, '_>, mut tell: impl FnMut(Said)) -> bool {
    let mut said = !message.calls.is_empty();
    let mut tell = |what| {
        said = true;
        tell(what);
    };
    let some = |text: &str| (!text.is_empty()).then(|| Arc::from(text));
    if let Some(text) = message.thought() {
        tell(Said::Thinking(text.into()));
    }
    for part in &message.content {
        match part {
            Part::Text(text) => tell(Said::Text(text.clone())),
            Part::Thinking(text) => tell(Said::Thinking(text.clone())),
            Part::Refusal(text) => tell(Said::Refusal(text.clone())),
            _ => {}
        }
    }
    if let Some(text) = message.refusal.as_deref().and_then(some) {
        tell(Said::Refusal(text));
    }
    if let Some(text) = message.audio.as_ref().and_then(|audio| some(audio.transcript.as_deref()?)) {
        tell(Said::Text(text));
    }
    for input in message.calls.iter().filter_map(|call| some(call.input.as_deref()?)) {
        tell(Said::ToolInput(input));
    }
    said
}
