//! Answers that were not ready when they were last told: they are fetched later, and what they used is new then.

use std::collections::VecDeque;
use std::sync::Arc;

use perimeter_interceptor::{Completion, LlmEvent, Operation, Part};

/// How many ids are remembered.
const MOST: usize = 4096;

/// How long an id may be to be remembered, bytes. OpenAI's have 55.
const LONGEST: usize = 256;

/// The ids of answers that are not ready, the oldest first.
#[derive(Debug, Default)]
pub(super) struct Pending(VecDeque<Arc<str>>);

impl Pending {
    /// Tells an event of a call of this operation. Of an answer that is fetched again, everything had been told: it is
    /// marked as repeated, and the tools that it asks for are not told anew.
    pub(super) fn tell(&mut self, operation: Operation, event: LlmEvent, tell: &mut dyn FnMut(LlmEvent)) {
        let fetched = operation == Operation::Retrieval;
        match event {
            LlmEvent::ToolUse(_) if fetched => {}
            LlmEvent::Completion(mut completion) => {
                let is_new = self.note(&completion);
                if fetched {
                    Arc::make_mut(&mut completion).repeated = !is_new;
                    tools(&completion).filter(|_| is_new).for_each(&mut *tell);
                }
                tell(LlmEvent::Completion(completion));
            }
            LlmEvent::Cut(mut completion) => {
                // What it used is told when it is fetched whole.
                if completion.usage.is_none() {
                    self.remember(&completion);
                }
                if fetched {
                    Arc::make_mut(&mut completion).repeated = true;
                }
                tell(LlmEvent::Cut(completion));
            }
            event => tell(event),
        }
    }

    /// Remembers an answer that is not ready. Whether it is one that was remembered, and is ready now.
    fn note(&mut self, completion: &Completion) -> bool {
        if !is_ready(completion) {
            self.remember(completion);
            return false;
        }
        let ids = &mut self.0;
        let known = ids.iter().position(|id| Some(id) == completion.id.as_ref());
        // What was deleted has an id, but no answer.
        known.and_then(|position| ids.remove(position)).is_some() && !completion.answers.is_empty()
    }

    fn remember(&mut self, completion: &Completion) {
        let Some(id) = completion.id.as_ref().filter(|id| id.len() <= LONGEST) else { return };
        let ids = &mut self.0;
        if !ids.contains(id) {
            if ids.len() >= MOST {
                ids.pop_front();
            }
            ids.push_back(id.clone());
        }
    }
}

fn is_ready(completion: &Completion) -> bool {
    let stop = completion.answers.first().and_then(|answer| answer.stop.as_deref());
    !matches!(stop, Some("queued" | "in_progress"))
}

fn tools(completion: &Completion) -> impl Iterator<Item = LlmEvent> {
    completion.answers.iter().flat_map(|answer| &answer.parts).filter_map(|part| match part {
        Part::ToolUse(tool) => Some(LlmEvent::ToolUse(tool.clone())),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use perimeter_interceptor::{Answer, CallId, ToolUse};

    use super::*;

    fn answer(id: &str, stop: &str) -> Completion {
        let mut completion = Completion::new(CallId(0));
        completion.id = Some(id.into());
        let mut answer = Answer::new(0);
        answer.stop = Some(stop.into());
        answer.parts.push(Part::ToolUse(ToolUse::new(CallId(0), "read", "{}").into()));
        completion.answers.push(answer);
        completion
    }

    /// Tells an answer; gives back the tools that were told, and whether it is repeated.
    fn told(
        pending: &mut Pending,
        operation: Operation,
        event: fn(Arc<Completion>) -> LlmEvent,
        of: Completion,
    ) -> (usize, bool) {
        let mut told = Vec::new();
        let mut tell = |event| told.push(event);
        for tool in tools(&of) {
            pending.tell(operation, tool, &mut tell);
        }
        pending.tell(operation, event(of.into()), &mut tell);
        let Some(LlmEvent::Completion(end) | LlmEvent::Cut(end)) = told.pop() else { panic!("no end") };
        (told.len(), end.repeated)
    }

    #[test]
    fn an_answer_that_was_not_ready_is_new_the_first_time_that_it_is() {
        let mut pending = Pending::default();
        let fetched = |pending: &mut Pending, stop| {
            told(pending, Operation::Retrieval, LlmEvent::Completion, answer("a", stop))
        };
        told(&mut pending, Operation::Chat, LlmEvent::Completion, answer("a", "queued"));
        assert_eq!(fetched(&mut pending, "queued"), (0, true));
        assert_eq!(fetched(&mut pending, "in_progress"), (0, true));
        assert_eq!(fetched(&mut pending, "completed"), (1, false));
        assert_eq!(fetched(&mut pending, "completed"), (0, true));
    }

    #[test]
    fn an_answer_that_is_told_at_once_is_new_and_repeated_when_it_is_fetched() {
        let mut pending = Pending::default();
        let mut tell =
            |operation| told(&mut pending, operation, LlmEvent::Completion, answer("a", "completed"));
        assert_eq!(tell(Operation::Chat), (1, false));
        assert_eq!(tell(Operation::Retrieval), (0, true));
    }

    #[test]
    fn an_answer_whose_stream_broke_off_is_new_when_it_is_fetched() {
        let mut pending = Pending::default();
        told(&mut pending, Operation::Chat, LlmEvent::Cut, answer("a", "completed"));
        let mut fetched = |event| told(&mut pending, Operation::Retrieval, event, answer("a", "completed"));
        assert_eq!(fetched(LlmEvent::Cut), (0, true));
        assert_eq!(fetched(LlmEvent::Completion), (1, false));
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let mut pending = Pending::default();
        let tell = |pending: &mut Pending, id: &str, stop, operation| {
            told(pending, operation, LlmEvent::Completion, answer(id, stop)).1
        };
        for number in 0..=MOST {
            tell(&mut pending, &number.to_string(), "queued", Operation::Chat);
        }
        tell(&mut pending, &"x".repeat(LONGEST + 1), "queued", Operation::Chat);
        assert_eq!(pending.0.len(), MOST);
        assert!(tell(&mut pending, "0", "completed", Operation::Retrieval));
        assert!(!tell(&mut pending, "1", "completed", Operation::Retrieval));
    }
}
