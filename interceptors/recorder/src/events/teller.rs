//! Makes events of what passes.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use perimeter_interceptor::{ApiFailure, Call, Completion, Cx, Failure, Part, Role, ToolResult, ToolUse};
use serde_json::value::RawValue;

use super::attributes::{self, Attributes};
use super::call::{self, Open};
use super::event::{Event, Name};
use super::ids::SpanId;
use super::request::{self, Request};
use super::sessions::{Asked, Brought, Found, Known, Sessions};
use super::{Seen, stream};
use crate::ending::Ending;
use crate::history::Histories;
use crate::time;

/// The system prompt of an agent without one.
const NO_PROMPT: &str = "default-system";

/// Who said the last word, where that was said.
const UPSTREAM: &str = "upstream";

/// Why a call has no whole answer.
pub(super) struct Problem<'a> {
    pub(super) kind: &'a str,
    pub(super) message: &'a str,
    pub(super) status: Option<u16>,
    /// Bytes that were not told.
    pub(super) unseen: Option<u64>,
    /// Who ended the exchange.
    closed_first: &'static str,
}

impl<'a> Problem<'a> {
    pub(super) fn of_provider(failure: &'a ApiFailure) -> Self {
        let kind = failure.kind.as_deref().unwrap_or("unknown");
        // Whatever comes behind its error, it has said its last word.
        let status = Some(failure.status);
        Self { kind, message: &failure.message, status, unseen: None, closed_first: UPSTREAM }
    }

    pub(super) fn of_proxy(failure: &'a Failure) -> Self {
        let Failure { code, message, .. } = failure;
        Self { kind: code, message, status: None, unseen: None, closed_first: UPSTREAM }
    }

    pub(super) fn of_end(ending: &Ending<'a>, status: Option<u16>) -> Self {
        let Ending { code, message, .. } = *ending;
        let (unseen, closed_first) = (ending.unseen_bytes(), ending.closed_first());
        Self { kind: code, message, status, unseen, closed_first }
    }
}

/// Makes events of notices.
#[derive(Debug)]
pub(super) struct Teller {
    machine: Arc<attributes::Members>,
    sessions: Sessions,
    histories: Histories,
    pub(super) told: Vec<Event>,
}

impl Teller {
    pub(super) fn new() -> Self {
        let machine = attributes::of_this_machine().into_shared();
        Self { machine, sessions: Sessions::new(), histories: Histories::default(), told: Vec::new() }
    }

    /// Tells an event, and counts it to its session.
    fn tell(&mut self, event: Event) {
        if let Some(known) = self.sessions.get(&event.session) {
            known.totals.events += 1;
            known.latest = known.latest.max(event.at);
        }
        let attributes = event.attributes.with(&self.machine);
        self.told.push(Event { attributes, ..event });
    }

    /// An event of a call: `span` is the call's own, or a part of it.
    fn tell_of(&mut self, open: &Open, name: Name, at: SystemTime, spans: Spans, attributes: Attributes) {
        let Spans { span, parent } = spans;
        let (agent, session) = (Arc::clone(&open.agent), Arc::clone(&open.session));
        self.tell(Event { at, name, span, parent: Some(parent), agent, session, attributes });
    }

    pub(super) fn call(&mut self, cx: Cx<'_>, seen: &mut Seen, call: &Call) {
        // What a socket carries begins when it comes; any other call when its exchange does.
        let since = if seen.upgraded { cx.elapsed } else { Duration::ZERO };
        let open = Open::new(cx, call, since);
        let request = Request::of(call, &mut self.histories);
        self.session_start(call, &request, &open, open.at(cx, since));
        self.results(cx, &open, call);
        let mut attributes = open.call_attributes();
        call::add_place(&mut attributes, &call.session);
        call::add_maker(&mut attributes, &call.session);
        attributes.add_own("llm.request.streaming", &call.streaming);
        if call.partial {
            attributes.add_own("llm.request.partial", &true);
        }
        attributes.add_json("llm.request.data", |json| request.write_data(&mut self.histories, json));
        self.tell_of(&open, Name::CallStart, open.at(cx, since), Spans::of_call(&open), attributes);
        match seen.failed.take() {
            Some((at, failure)) => {
                self.error(cx, &open, at.max(since), Problem::of_proxy(&failure));
                seen.failed = Some((at, failure));
            }
            None => {
                // An exchange is one call; only a socket is more, and a list that grows by itself begins with four.
                seen.calls.reserve_exact(1);
                seen.calls.push(open);
            }
        }
    }

    /// Sees to it that the session of this call has begun.
    fn session_start(&mut self, call: &Call, request: &Request<'_>, open: &Open, at: SystemTime) {
        let id = &call.session.id;
        let known = self.sessions.get(id);
        let is_over = known.as_ref().is_none_or(|known| known.ended);
        let resumed = known.as_ref().map_or(!call.session.is_new, |known| known.ended);
        if known.is_none() {
            self.sessions.begin(id, at);
        }
        if let Some(known) = self.sessions.get(id) {
            if is_over {
                // Sub-agents and side calls come later.
                known.agent = Arc::clone(&open.agent);
            }
            known.open += 1;
            known.totals.calls += 1;
            (known.ended, known.ending) = (false, None);
        }
        while let Some((id, known)) = self.sessions.make_room() {
            self.tell_session_end(&id, &known, None);
        }
        if is_over {
            let mut attributes = open.attributes();
            attributes.add_own("client.type", "gateway");
            call::add_maker(&mut attributes, &call.session);
            attributes.add_own("llm.vendor", call.vendor);
            attributes.add_some("llm.model", call.model.as_deref());
            request.add_tools(&mut attributes);
            attributes.add_text("prompt", request::prompt(call).as_deref().unwrap_or(NO_PROMPT));
            if resumed {
                attributes.add_own("session.resumed", &true);
            }
            let (span, session) = (open.session_span, Arc::clone(id));
            let (name, agent) = (Name::SessionStart, Arc::clone(&open.agent));
            self.tell(Event { at, name, span, parent: None, agent, session, attributes });
        }
    }

    /// The results of tools that came with a call.
    fn results(&mut self, cx: Cx<'_>, open: &Open, call: &Call) {
        let parts =
            || call.news.iter().flat_map(|turn| turn.parts.iter().map(move |part| (&turn.role, part)));
        let mut tools: Option<HashMap<&str, &ToolUse>> = None;
        let mut brought = Brought::default();
        let results = parts().filter_map(|(role, part)| match part {
            Part::ToolResult(result) => Some((*role == Role::Assistant, result)),
            _ => None,
        });
        for (number, (of_model, result)) in results.enumerate() {
            let found = match call.known {
                0 => Found::History(&mut brought),
                _ => Found::News { of_model },
            };
            let Some(asked) = self.sessions.tell(&open.session, result, found) else { continue };
            let at = open.at(cx, open.since);
            if let Some(asked) = asked {
                let took = at.duration_since(asked.at).ok();
                self.result(open, result, at, asked.spans(), Tool::of(&asked), took);
                continue;
            }
            let tools =
                tools.get_or_insert_with(|| parts().filter_map(|(_, part)| tool_by_id(part)).collect());
            let tool = result.id.as_ref().and_then(|id| tools.get(&**id));
            let tool = tool.map_or(Tool::default(), |tool| Tool::in_history(tool));
            let span = SpanId::of_result(cx.exchange.id, call.id, number);
            let spans = Spans { span, parent: open.session_span };
            self.result(open, result, at, spans, tool, None);
        }
    }

    fn result(
        &mut self,
        open: &Open,
        result: &ToolResult,
        at: SystemTime,
        spans: Spans,
        tool: Tool<'_>,
        took: Option<Duration>,
    ) {
        let mut attributes = open.attributes();
        attributes.add_some("tool.name", tool.name);
        attributes.add_some("tool.call_id", result.id.as_deref().filter(|_| !tool.has_no_id));
        attributes.add_own("tool.status", if result.is_error { "error" } else { "success" });
        attributes.add_some_own("tool.execution_time_ms", took.map(time::milliseconds).as_ref());
        attributes.add_text("tool.result", &result.text);
        self.tell_of(open, Name::ToolResult, at, spans, attributes);
    }

    pub(super) fn finish(&mut self, cx: Cx<'_>, open: &Open, said: &Completion) {
        let mut attributes = open.call_attributes();
        open.add_times(&mut attributes, cx.elapsed);
        open.add_answer(&mut attributes, said);
        stream::add(&mut attributes, said, UPSTREAM);
        let at = open.at(cx, cx.elapsed);
        self.tell_of(open, Name::CallFinish, at, Spans::of_call(open), attributes);
        // Of an answer that is fetched once more, they were told.
        if !said.repeated {
            let tools = parts_of(said).filter_map(|(_, part)| match part {
                Part::ToolUse(tool) => Some(&**tool),
                _ => None,
            });
            let hosted = self.tools(cx, open, at, tools);
            self.hosted_results(cx, open, at, said, hosted);
        }
        self.answered(open, Some(said), false);
    }

    pub(super) fn error(&mut self, cx: Cx<'_>, open: &Open, elapsed: Duration, problem: Problem<'_>) {
        let mut attributes = open.call_attributes();
        attributes.add("error.type", problem.kind);
        attributes.add("error.message", problem.message);
        attributes.add_some_own("http.status_code", problem.status.as_ref());
        open.add_times(&mut attributes, elapsed);
        attributes.add_some_own("llm.response.unseen_bytes", problem.unseen.as_ref());
        let said = open.cut.as_ref().map(|(_, said)| &**said);
        if let Some(said) = said {
            open.add_answer(&mut attributes, said);
            stream::add(&mut attributes, said, problem.closed_first);
        }
        let at = open.at(cx, elapsed);
        self.tell_of(open, Name::CallError, at, Spans::of_call(open), attributes);
        let hosted = self.tools(cx, open, at, open.tools.iter().map(|tool| &**tool));
        if let Some(said) = said {
            self.hosted_results(cx, open, at, said, hosted);
        }
        self.answered(open, said, true);
    }

    /// The tools that an answer asks for. Those that the provider ran and that have no id, and in which of the answers
    /// to the call they are.
    fn tools<'a>(
        &mut self,
        cx: Cx<'_>,
        open: &Open,
        at: SystemTime,
        tools: impl Iterator<Item = &'a ToolUse>,
    ) -> Vec<(u32, Asked)> {
        let mut hosted = Vec::new();
        for (number, tool) in tools.enumerate() {
            let span = SpanId::of_tool(cx.exchange.id, open.id, number);
            let mut attributes = open.attributes();
            attributes.add("tool.name", &*tool.name);
            attributes.add_some("tool.call_id", tool.id.as_deref());
            match serde_json::from_str::<&RawValue>(&tool.input) {
                Ok(input) => attributes.add("tool.params", input),
                Err(_) => attributes.add_text("tool.params", &tool.input),
            }
            if tool.hosted {
                attributes.add_own("tool.hosted", &true);
            }
            let spans = Spans { span, parent: open.span };
            self.tell_of(open, Name::ToolExecution, at, spans, attributes);
            let asked = Asked::new(tool, at, span, open.span);
            if tool.hosted && tool.id.is_none() {
                hosted.push((tool.choice, asked));
            } else {
                self.sessions.ask(&open.session, tool, asked);
            }
        }
        hosted
    }

    /// The results of tools that the provider ran. How long that took nobody says. Without an id they are those of the
    /// `hosted` tools, in their order.
    fn hosted_results(
        &mut self,
        cx: Cx<'_>,
        open: &Open,
        at: SystemTime,
        said: &Completion,
        mut hosted: Vec<(u32, Asked)>,
    ) {
        for (number, (choice, part)) in parts_of(said).enumerate() {
            let Part::ToolResult(result) = part else { continue };
            let Some(asked) = self.sessions.tell(&open.session, result, Found::Answer) else { continue };
            let asked = asked.or_else(|| {
                let found = hosted.iter().position(|(of, _)| *of == choice && result.id.is_none())?;
                Some(hosted.remove(found).1)
            });
            let (spans, tool) = match &asked {
                Some(asked) => (asked.spans(), Tool::of(asked)),
                None => {
                    let span = SpanId::of_tool_part(cx.exchange.id, open.id, number);
                    (Spans { span, parent: open.span }, Tool::default())
                }
            };
            self.result(open, result, at, spans, tool, None);
        }
    }

    /// A call has its answer, or will never have one.
    fn answered(&mut self, open: &Open, said: Option<&Completion>, failed: bool) {
        let Some(known) = self.sessions.get(&open.session) else { return };
        known.open = known.open.saturating_sub(1);
        known.totals.errors += u64::from(failed);
        if let Some(said) = said {
            known.totals.add(said, open.operation);
        }
        if known.open == 0
            && let Some(lasted) = known.ending.take()
        {
            self.session_end(&open.session, lasted);
        }
    }

    pub(super) fn session_end(&mut self, id: &Arc<str>, lasted: Duration) {
        let Some(known) = self.sessions.get(id) else { return };
        if known.ended {
            return;
        }
        if known.open > 0 {
            known.ending = Some(lasted);
            return;
        }
        known.ended = true;
        let event = end_of(id, known, Some(lasted));
        known.totals.events += 1;
        self.push(event);
    }

    fn tell_session_end(&mut self, id: &Arc<str>, known: &Known, lasted: Option<Duration>) {
        if !known.ended {
            let event = end_of(id, known, lasted);
            self.push(event);
        }
    }

    fn push(&mut self, event: Event) {
        let attributes = event.attributes.with(&self.machine);
        self.told.push(Event { attributes, ..event });
    }
}

/// The end of a session, itself counted.
fn end_of(id: &Arc<str>, known: &Known, lasted: Option<Duration>) -> Event {
    let told = known.latest.duration_since(known.first).unwrap_or_default();
    let lasted = lasted.map_or(told, |lasted| lasted.max(told));
    let totals = &known.totals;
    let mut attributes = Attributes::default();
    attributes.add("session.id", &**id);
    attributes.add_own("session.duration_ms", &time::milliseconds(lasted));
    attributes.add_own("session.events_count", &(totals.events + 1));
    attributes.add_own("session.calls", &totals.calls);
    attributes.add_own("session.errors", &totals.errors);
    attributes.add_own("session.input_tokens", &totals.input);
    attributes.add_own("session.output_tokens", &totals.output);
    call::add_dollars(&mut attributes, "session.cost_usd", totals.cost);
    attributes.add_own("session.unpriced_calls", &totals.unpriced);
    Event {
        at: known.latest,
        name: Name::SessionEnd,
        span: SpanId::of_session(id),
        parent: None,
        agent: Arc::clone(&known.agent),
        session: Arc::clone(id),
        attributes,
    }
}

fn tool_by_id(part: &Part) -> Option<(&str, &ToolUse)> {
    match part {
        Part::ToolUse(tool) => Some((tool.id.as_ref().unwrap_or(&tool.name), tool)),
        _ => None,
    }
}

/// What the model said, and in which of the answers to the call.
fn parts_of(said: &Completion) -> impl Iterator<Item = (u32, &Part)> {
    said.answers.iter().flat_map(|answer| answer.parts.iter().map(move |part| (answer.choice, part)))
}

/// What is known of the tool that a result is of.
#[derive(Clone, Copy, Default)]
struct Tool<'a> {
    name: Option<&'a str>,
    /// Whether it was asked for without an id: then the result's is its name.
    has_no_id: bool,
}

impl<'a> Tool<'a> {
    fn of(asked: &'a Asked) -> Self {
        Self { name: Some(&asked.name), has_no_id: !asked.has_id }
    }

    fn in_history(tool: &'a ToolUse) -> Self {
        Self { name: Some(&tool.name), has_no_id: tool.id.is_none() }
    }
}

impl Asked {
    fn spans(&self) -> Spans {
        Spans { span: self.span, parent: self.parent }
    }
}

/// Where an event belongs.
#[derive(Clone, Copy)]
struct Spans {
    span: SpanId,
    parent: SpanId,
}

impl Spans {
    fn of_call(open: &Open) -> Self {
        Self { span: open.span, parent: open.session_span }
    }
}
