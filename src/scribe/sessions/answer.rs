//! What comes of a call: its answer, by which the next one is found, or none.

use std::sync::Arc;
use std::time::Instant;

use perimeter_interceptor::{Answer, Completion, LlmEvent, Part, ToolUse};
use serde::Deserialize;

use super::Sessions;
use super::enter::Ticket;
use super::index::{At, By};
use super::quotes::{Kind, Source};
use super::tree::{How, Node, Telling};
use crate::dialect::Run;

/// So many answers to one call are remembered.
const CHOICES: usize = 4;

impl Sessions {
    /// An event of a call that has its place. Whether it is over with that.
    pub(in crate::scribe) fn heard(&mut self, now: Instant, ticket: &Ticket, event: &LlmEvent) -> bool {
        match event {
            LlmEvent::Completion(said) => self.answered(ticket, said, How::Answered),
            LlmEvent::Cut(said) => self.answered(ticket, said, How::Cut),
            LlmEvent::Failure(_) => {}
            _ => return false,
        }
        self.over(now, ticket, matches!(event, LlmEvent::Completion(_)));
        true
    }

    /// A call is over, with a whole answer or not. It is not heard of again.
    pub(in crate::scribe) fn over(&mut self, now: Instant, ticket: &Ticket, is_answered: bool) {
        let Some(state) = self.held_mut(ticket) else { return };
        state.open = state.open.saturating_sub(1);
        state.last = state.last.max(now);
        if !is_answered {
            state.failed = state.failed.saturating_add(1);
        }
        if let Some(node) = state.node_of(ticket)
            && node.how == How::Open
        {
            node.how = How::Failed;
        }
        if !ticket.is_alone() {
            self.touch(ticket.session);
        }
    }

    fn answered(&mut self, ticket: &Ticket, said: &Arc<Completion>, how: How) {
        let source = Source { session: ticket.session, generation: ticket.generation, call: ticket.call };
        let Some(state) = self.held_mut(ticket) else { return };
        state.add(ticket.operation, said);
        state.add_model(said.model.as_ref());
        if ticket.is_alone() {
            return;
        }
        self.quote(ticket, source, said);
        let Some(place) = ticket.node else { return };
        let Some(node) = self.held_mut(ticket).and_then(|state| state.node_of(ticket)) else { return };
        if node.how == How::Probe {
            return;
        }
        node.how = how;
        let node = *node;
        let mut is_first = true;
        let run_of = |answer: &Answer| {
            let mut run = ticket.open.clone().unwrap_or_default();
            run.add(&answer.parts);
            run
        };
        let runs = said.answers.iter().take(CHOICES).map(run_of);
        // Of what broke off, clients keep the text, and not the tools.
        let texts = |run: &Run| (how == How::Cut).then(|| run.texts()).flatten();
        for run in runs.flat_map(|run| [texts(&run), Some(run)]).flatten() {
            let Some(unit) = run.unit(&self.seed) else { continue };
            let telling = if run.is_telling() { Telling::Itself } else { node.telling };
            let pair = self.pair(ticket.lane, ticket.before, unit.hash());
            let answered = Node { answered: self.seed.then(ticket.said, unit.hash()), pair, telling, ..node };
            self.give_answer(ticket.session, place, answered, std::mem::take(&mut is_first));
        }
    }

    /// Notes what of an answer others may begin with.
    fn quote(&mut self, ticket: &Ticket, source: Source, said: &Completion) {
        let (scope, seed) = (ticket.quotable, self.seed.clone());
        let who = self.held(source).map_or(0, |state| state.scope);
        let (quotes, is_held) = self.quotes();
        if ticket.asks_for_summary {
            for answer in &said.answers {
                quotes.add_lines(Kind::Summary, scope, source, &answer.text(), &is_held);
            }
        }
        if let Some(id) = said.id.as_ref().filter(|_| ticket.keeps_responses) {
            quotes.add(Kind::Response, ticket.person, seed.of_text(id), source, &is_held);
            // The program may refer to its items, too.
            if let Some(item) = last_item(&said.body) {
                quotes.add(Kind::Response, who, seed.of_text(&item), source, &is_held);
            }
        }
        if ticket.node.is_some() {
            let tools = said.answers.iter().flat_map(|answer| &answer.parts).filter_map(of_tool);
            quotes.add_tasks(scope, source, tools, &is_held);
        }
    }

    /// An answer to the call at `place`: the first one, or another that was asked for at once.
    fn give_answer(&mut self, slot: u32, place: u8, node: Node, is_first: bool) {
        let place = if is_first {
            for by in [By::Answered, By::Pair] {
                self.take_from_index(At { session: slot, node: place, by });
            }
            let Some(known) = self.state_mut(slot).and_then(|state| state.tree.get_mut(place)) else {
                return;
            };
            *known = node;
            place
        } else {
            let Some(state) = self.state_mut(slot) else { return };
            let Some(place) = state.tree.put(node, None) else { return };
            place
        };
        for by in [By::Answered, By::Pair] {
            self.add_to_index(At { session: slot, node: place, by });
        }
    }
}

/// The id of the last item of a response.
fn last_item(body: &[u8]) -> Option<String> {
    #[derive(Deserialize)]
    struct Response {
        output: Vec<Item>,
    }
    #[derive(Deserialize)]
    struct Item {
        id: Option<String>,
    }
    serde_json::from_slice::<Response>(body).ok()?.output.pop()?.id
}

fn of_tool(part: &Part) -> Option<&ToolUse> {
    match part {
        Part::ToolUse(tool) => Some(tool),
        _ => None,
    }
}
