//! A streamed answer: its events, each a response with what is new, and the answer that they add up to. There is no
//! terminal mark: it is complete where every candidate has said why it stopped, and the body is at its end.

use std::sync::Arc;

use perimeter_interceptor::{CallId, Completion, Delta, LlmEvent, Part, Said};
use serde_json::value::RawValue;

use super::answer::{Feedback, number_tools, refuse};
use super::body::{Body, Choice, set};
use super::chunk::{Candidate, Chunk, MOST_CANDIDATES};
use super::part::Piece;
use super::usage::{tier, usage};
use crate::dialect::budget::Budget;
use crate::dialect::fields::Kept;
use crate::dialect::json;
use crate::dialect::reader::{Gather, Step};
use crate::scribe::sse;

/// An answer that comes in events.
pub(in crate::dialect) struct Stream {
    call: CallId,
    status: u16,
    /// By their index.
    choices: Vec<Choice>,
    usage: Kept,
    /// The other fields of the response.
    fields: Kept,
    /// Whether Code Assist wraps it, and the fields beside it.
    wrapped: bool,
    beside: Kept,
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
            choices: Vec::new(),
            usage: Kept::default(),
            fields: Kept::default(),
            wrapped: false,
            beside: Kept::default(),
            said: false,
            budget: Budget::new(limit),
            reserve: Budget::of_usage(),
        }
    }

    fn add(&mut self, data: &[u8], tell: &mut dyn FnMut(LlmEvent)) -> Option<Step> {
        let chunk = Chunk::read(data)?;
        for (position, candidate) in chunk.candidates.iter().enumerate() {
            self.candidate(position as u64, candidate, tell);
        }
        // Later counts are of all so far, and may leave out what has not changed.
        let budget = if self.budget.over() { &mut self.reserve } else { &mut self.budget };
        set(&mut self.usage, &chunk.usage, budget);
        set(&mut self.fields, &chunk.fields, &mut self.budget);
        set(&mut self.beside, &chunk.beside, &mut self.budget);
        self.wrapped |= chunk.wrapped;
        if chunk.lost {
            self.budget.lose();
        }
        if !chunk.error.found {
            return Some(Step::More);
        }
        Some(Step::Failed(chunk.error.in_event(self.call, self.status, data)))
    }

    fn candidate(&mut self, position: u64, candidate: &Candidate<'_>, tell: &mut dyn FnMut(LlmEvent)) {
        let index = candidate.index.unwrap_or(position).try_into().unwrap_or(u32::MAX);
        for raw in &candidate.parts {
            self.part(index, raw, tell);
        }
        let (choice, budget) = self.choice(index);
        if let Some(choice) = choice {
            choice.merge(candidate, budget);
        }
    }

    fn part(&mut self, index: u32, raw: &RawValue, tell: &mut dyn FnMut(LlmEvent)) {
        let mut piece = Piece::default();
        json::read(raw.get().as_bytes(), &mut piece);
        let (choice, budget) = self.choice(index);
        if let Some(choice) = choice {
            choice.add(&piece, raw, budget);
        }
        let mut parts = Vec::new();
        piece.push(self.call, true, &mut parts);
        number_tools(&mut parts, index);
        self.said |= !parts.is_empty();
        for part in parts {
            let said = match part {
                Part::Text(text) => Said::Text(text),
                Part::Thinking(text) => Said::Thinking(text),
                Part::ToolUse(tool) => {
                    tell(LlmEvent::ToolUse(tool));
                    continue;
                }
                _ => continue,
            };
            let mut delta = Delta::new(self.call, said);
            delta.choice = index;
            tell(LlmEvent::Delta(delta));
        }
    }

    /// The answer of this index, where there is room for it.
    fn choice(&mut self, index: u32) -> (Option<&mut Choice>, &mut Budget) {
        let Self { choices, budget, .. } = self;
        let at = choices.partition_point(|choice| choice.index < index);
        if choices.get(at).is_none_or(|choice| choice.index != index) {
            if choices.len() >= MOST_CANDIDATES || !budget.take(2 * size_of::<Choice>()) {
                budget.lose();
                return (None, budget);
            }
            choices.insert(at, Choice::new(index));
        }
        (choices.get_mut(at), budget)
    }

    fn blocked(&self) -> Option<Arc<str>> {
        let mut reason = None;
        json::read(self.fields.get("promptFeedback")?.get().as_bytes(), Feedback(&mut reason));
        reason
    }
}

impl Gather for Stream {
    fn event(&mut self, event: &sse::Event<'_>, tell: &mut dyn FnMut(LlmEvent)) -> Option<Step> {
        self.add(event.data, tell)
    }

    fn lose(&mut self) {
        self.budget.lose();
    }

    fn stopped(&self) -> bool {
        if self.choices.is_empty() {
            return self.blocked().is_some();
        }
        self.choices.iter().all(|choice| choice.stop().is_some())
    }

    fn intact(&self) -> bool {
        !self.budget.over()
    }

    fn said(&self) -> bool {
        self.said
    }

    /// They were told when they came.
    fn settle(&mut self, _tell: &mut dyn FnMut(LlmEvent)) {}

    fn completion(&self) -> Completion {
        let mut completion = Completion::new(self.call);
        completion.id = self.fields.text("responseId").map(Into::into);
        completion.model = self.fields.text("modelVersion").map(Into::into);
        completion.answers = self.choices.iter().map(|choice| choice.answer(self.call)).collect();
        refuse(&mut completion, self.blocked());
        let searches = self.choices.iter().map(Choice::searches).fold(0, u64::saturating_add);
        completion.usage = usage(|name| self.usage.get(name), searches);
        completion.tier = tier(|name| self.usage.get(name));
        let body = Body { choices: &self.choices, usage: &self.usage, fields: &self.fields };
        completion.body = body.write(self.wrapped.then_some(&self.beside));
        completion
    }

    fn held(&self) -> usize {
        self.budget.held() + self.reserve.held()
    }
}
