//! What passes, as the events of sessions: calls of models, the tools that they ask for, and what those answer.
//!
//! [`Events`] is an interceptor that tells a [`Sink`] of [`Event`]s; what they say is in `docs/events.md`. Each is told
//! once, and in the order of cause and effect, whatever else goes on: a session's start before its first call, a tool's
//! result before the call that it came with, an answer before the tools that it asks for, a session's end last.
//!
//! It reads no clock and holds no more than it must: of a call its answer's beginning, of a session which tools wait
//! for an answer and which answers were told, of 10,000 sessions and 100,000 tools at most. The session without an
//! event for the longest time makes room: its end is told, and a result that it brings later is told once more.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use perimeter_interceptor::{
    ApiFailure, BoxError, Call, CallId, Completion, Cx, End, Failure, Interceptor, Interest, LlmEvent, Part,
    RequestHead, ResponseHead, Result, SessionEnd, ToolResult, ToolUse, Upgrade,
};
use serde_json::value::RawValue;

mod attributes;
mod call;
mod ending;
mod event;
mod ids;
mod request;
mod response;
mod sessions;

pub use attributes::Attributes;
pub use event::{Event, Name, SCHEMA_VERSION};
pub use ids::SpanId;

use call::Open;
use sessions::{Asked, Brought, Known, Sessions};

use crate::time;

/// The system prompt of an agent without one.
const NO_PROMPT: &str = "default-system";

/// Who is told of events.
///
/// An error is logged and counted as an interceptor's are, and the next event comes as if nothing had happened.
pub trait Sink: Send + 'static {
    /// Something happened.
    ///
    /// # Errors
    /// Anything.
    fn event(&mut self, event: Event) -> Result;

    /// A good moment to write out what was held back.
    ///
    /// # Errors
    /// Anything.
    fn idle(&mut self) -> Result {
        Ok(())
    }

    /// Nothing comes any more.
    ///
    /// # Errors
    /// Anything.
    fn finish(self) -> Result
    where
        Self: Sized,
    {
        Ok(())
    }
}

/// Tells a sink the events of what passes.
#[derive(Debug)]
pub struct Events<S> {
    teller: Teller,
    sink: S,
}

/// What is remembered of an exchange.
#[derive(Debug, Default)]
pub struct Seen {
    status: Option<u16>,
    upgraded: bool,
    /// When no provider answered, and why.
    failed: Option<(Duration, Failure)>,
    calls: Vec<Open>,
}

impl Seen {
    fn take(&mut self, call: CallId) -> Option<Open> {
        let at = self.calls.iter().position(|open| open.id == call)?;
        Some(self.calls.remove(at))
    }

    fn find(&mut self, call: CallId) -> Option<&mut Open> {
        self.calls.iter_mut().find(|open| open.id == call)
    }
}

impl<S: Sink> Events<S> {
    /// Tells this sink.
    pub fn to(sink: S) -> Self {
        Self { teller: Teller::new(), sink }
    }

    /// Hands on what was told. An error keeps nothing else from being handed on; the first is given.
    fn hand_on(&mut self) -> Result {
        let mut first: Option<BoxError> = None;
        for event in self.teller.told.drain(..) {
            if let Err(error) = self.sink.event(event) {
                first.get_or_insert(error);
            }
        }
        first.map_or(Ok(()), Err)
    }
}

impl<S: Sink> Interceptor for Events<S> {
    type State = Seen;

    fn interest(&self) -> Interest {
        Interest::LLM
    }

    fn on_request_head(&mut self, _: Cx<'_>, _: &RequestHead) -> Result<Option<Seen>> {
        Ok(Some(Seen::default()))
    }

    fn on_response_head(&mut self, _: Cx<'_>, seen: &mut Seen, head: &ResponseHead) -> Result {
        seen.status = Some(head.status.as_u16());
        Ok(())
    }

    fn on_upgrade(&mut self, _: Cx<'_>, seen: &mut Seen, _: &Upgrade) -> Result {
        seen.upgraded = true;
        Ok(())
    }

    fn on_llm(&mut self, cx: Cx<'_>, seen: &mut Seen, event: &LlmEvent) -> Result {
        match event {
            LlmEvent::Call(call) => self.teller.call(cx, seen, call),
            LlmEvent::Delta(delta) => {
                if let Some(open) = seen.find(delta.call) {
                    open.spoke.get_or_insert(cx.elapsed);
                }
            }
            LlmEvent::ToolUse(tool) => {
                if let Some(open) = seen.find(tool.call) {
                    open.tools.push(Arc::clone(tool));
                }
            }
            LlmEvent::Completion(completion) => {
                if let Some(open) = seen.take(completion.call) {
                    self.teller.finish(cx, &open, completion);
                }
            }
            LlmEvent::Cut(completion) => {
                if let Some(open) = seen.find(completion.call) {
                    open.cut = Some((cx.elapsed, Arc::clone(completion)));
                }
            }
            LlmEvent::Failure(failure) => {
                if let Some(open) = seen.take(failure.call) {
                    self.teller.error(cx, &open, cx.elapsed, Problem::of_provider(failure));
                }
            }
            _ => {}
        }
        self.hand_on()
    }

    fn on_failure(&mut self, cx: Cx<'_>, seen: &mut Seen, failure: &Failure) -> Result {
        for open in std::mem::take(&mut seen.calls) {
            self.teller.error(cx, &open, cx.elapsed, Problem::of_proxy(failure));
        }
        seen.failed = Some((cx.elapsed, failure.clone()));
        self.hand_on()
    }

    fn on_end(&mut self, cx: Cx<'_>, mut seen: Seen, end: &End) -> Result {
        let (kind, message) = ending::of(end);
        let unseen = Some(end.unseen.total()).filter(|unseen| *unseen > 0);
        for open in std::mem::take(&mut seen.calls) {
            let at = open.cut.as_ref().map_or(cx.elapsed, |(at, _)| *at);
            let problem = Problem { kind, message, status: seen.status, unseen };
            self.teller.error(cx, &open, at, problem);
        }
        self.hand_on()
    }

    fn on_session_end(&mut self, session: &SessionEnd) -> Result {
        self.teller.session_end(&session.id, session.lasted);
        self.hand_on()
    }

    fn on_idle(&mut self) -> Result {
        self.sink.idle()
    }

    fn on_shutdown(self) -> Result {
        self.sink.finish()
    }
}

/// Why a call has no whole answer.
struct Problem<'a> {
    kind: &'a str,
    message: &'a str,
    status: Option<u16>,
    /// Bytes that were not told.
    unseen: Option<u64>,
}

impl<'a> Problem<'a> {
    fn of_provider(failure: &'a ApiFailure) -> Self {
        let kind = failure.kind.as_deref().unwrap_or("unknown");
        Self { kind, message: &failure.message, status: Some(failure.status), unseen: None }
    }

    fn of_proxy(failure: &'a Failure) -> Self {
        Self { kind: &failure.code, message: &failure.message, status: None, unseen: None }
    }
}

/// Makes events of notices.
#[derive(Debug)]
struct Teller {
    machine: Arc<[(&'static str, Box<RawValue>)]>,
    sessions: Sessions,
    told: Vec<Event>,
}

impl Teller {
    fn new() -> Self {
        let machine = attributes::of_this_machine().into_shared();
        Self { machine, sessions: Sessions::new(), told: Vec::new() }
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

    fn call(&mut self, cx: Cx<'_>, seen: &mut Seen, call: &Call) {
        // What a socket carries begins when it comes; any other call when its exchange does.
        let since = if seen.upgraded { cx.elapsed } else { Duration::ZERO };
        let agent = self.session_start(cx, call, time::after(cx.exchange.began, since));
        let open = Open::new(cx, call, agent, since);
        self.results(cx, &open, call);
        let mut attributes = open.call_attributes();
        attributes.add("llm.request.streaming", &call.streaming);
        if call.partial {
            attributes.add("llm.request.partial", &true);
        }
        attributes.add_some("llm.request.data", request::data(call).as_deref());
        self.tell_of(&open, Name::CallStart, open.at(cx, since), Spans::of_call(&open), attributes);
        match seen.failed.take() {
            Some((at, failure)) => {
                self.error(cx, &open, at.max(since), Problem::of_proxy(&failure));
                seen.failed = Some((at, failure));
            }
            None => seen.calls.push(open),
        }
    }

    /// Sees to it that the session of this call has begun. Who its agent is.
    fn session_start(&mut self, cx: Cx<'_>, call: &Call, at: SystemTime) -> Arc<str> {
        let id = &call.session.id;
        let prompt = request::prompt(call);
        let known = self.sessions.get(id);
        let is_over = known.as_ref().is_none_or(|known| known.ended);
        let resumed = known.as_ref().map_or(!call.session.is_new, |known| known.ended);
        let agent: Arc<str> = match (&call.session.agent, &prompt, &known) {
            (Some(agent), ..) => Arc::clone(agent),
            (None, Some(prompt), _) => ids::agent_of(prompt).into(),
            (None, None, Some(known)) => Arc::clone(&known.agent),
            (None, None, None) => ids::agent_of(NO_PROMPT).into(),
        };
        if known.is_none() {
            self.sessions.begin(id, at);
        }
        if let Some(known) = self.sessions.get(id) {
            known.agent = Arc::clone(&agent);
            known.open += 1;
            known.totals.calls += 1;
            (known.ended, known.ending) = (false, None);
        }
        while let Some((id, known)) = self.sessions.make_room() {
            self.tell_session_end(&id, &known, None);
        }
        if is_over {
            let open = Open::new(cx, call, Arc::clone(&agent), Duration::ZERO);
            let mut attributes = open.attributes();
            attributes.add("client.type", "gateway");
            attributes.add("llm.vendor", call.vendor);
            attributes.add_some("llm.model", call.model.as_deref());
            attributes.add_some("tools", request::tools(call).as_deref());
            attributes.add("prompt", prompt.as_deref().unwrap_or(NO_PROMPT));
            if resumed {
                attributes.add("session.resumed", &true);
            }
            let (span, session) = (SpanId::of_session(id), Arc::clone(id));
            let (name, agent) = (Name::SessionStart, Arc::clone(&agent));
            self.tell(Event { at, name, span, parent: None, agent, session, attributes });
        }
        agent
    }

    /// The results of tools that came with a call.
    fn results(&mut self, cx: Cx<'_>, open: &Open, call: &Call) {
        let parts = || call.news.iter().flat_map(|turn| &turn.parts);
        let mut names: Option<HashMap<&str, &str>> = None;
        let mut brought = Brought::default();
        let results = parts().filter_map(|part| match part {
            Part::ToolResult(result) => Some(result),
            _ => None,
        });
        for (number, result) in results.enumerate() {
            let again = (call.known == 0).then_some(&mut brought);
            let Some(asked) = self.sessions.tell(&open.session, result, again) else { continue };
            let at = open.at(cx, open.since);
            let Some(asked) = asked else {
                let names = names.get_or_insert_with(|| parts().filter_map(name_by_id).collect());
                let name = result.id.as_ref().and_then(|id| names.get(&**id).copied());
                let span = SpanId::of_result(cx.exchange.id, call.id, number);
                let spans = Spans { span, parent: SpanId::of_session(&open.session) };
                self.result(open, result, at, spans, name, None);
                continue;
            };
            let Asked { name, at: since, span, parent } = asked;
            let took = at.duration_since(since).ok();
            self.result(open, result, at, Spans { span, parent }, Some(&name), took);
        }
    }

    fn result(
        &mut self,
        open: &Open,
        result: &ToolResult,
        at: SystemTime,
        spans: Spans,
        name: Option<&str>,
        took: Option<Duration>,
    ) {
        let mut attributes = open.attributes();
        attributes.add_some("tool.name", name);
        attributes.add_some("tool.call_id", result.id.as_deref());
        attributes.add("tool.status", if result.is_error { "error" } else { "success" });
        attributes.add_some("tool.execution_time_ms", took.map(time::milliseconds).as_ref());
        attributes.add("tool.result", &*result.text);
        self.tell_of(open, Name::ToolResult, at, spans, attributes);
    }

    fn finish(&mut self, cx: Cx<'_>, open: &Open, said: &Completion) {
        let mut attributes = open.call_attributes();
        open.add_times(&mut attributes, cx.elapsed);
        open.add_answer(&mut attributes, said);
        let at = open.at(cx, cx.elapsed);
        self.tell_of(open, Name::CallFinish, at, Spans::of_call(open), attributes);
        let parts: Vec<&Part> = said.answers.iter().flat_map(|answer| &answer.parts).collect();
        let tools = parts.iter().filter_map(|part| match part {
            Part::ToolUse(tool) => Some(&**tool),
            _ => None,
        });
        self.tools(cx, open, at, tools);
        for (number, part) in parts.into_iter().enumerate() {
            if let Part::ToolResult(result) = part {
                self.hosted_result(cx, open, at, number, result);
            }
        }
        self.answered(open, Some(said), false);
    }

    fn error(&mut self, cx: Cx<'_>, open: &Open, elapsed: Duration, problem: Problem<'_>) {
        let mut attributes = open.call_attributes();
        attributes.add("error.type", problem.kind);
        attributes.add("error.message", problem.message);
        attributes.add_some("http.status_code", problem.status.as_ref());
        open.add_times(&mut attributes, elapsed);
        attributes.add_some("llm.response.unseen_bytes", problem.unseen.as_ref());
        let said = open.cut.as_ref().map(|(_, said)| &**said);
        if let Some(said) = said {
            open.add_answer(&mut attributes, said);
        }
        let at = open.at(cx, elapsed);
        self.tell_of(open, Name::CallError, at, Spans::of_call(open), attributes);
        self.tools(cx, open, at, open.tools.iter().map(|tool| &**tool));
        self.answered(open, said, true);
    }

    /// The tools that an answer asks for.
    fn tools<'a>(
        &mut self,
        cx: Cx<'_>,
        open: &Open,
        at: SystemTime,
        tools: impl Iterator<Item = &'a ToolUse>,
    ) {
        for (number, tool) in tools.enumerate() {
            let span = SpanId::of_tool(cx.exchange.id, open.id, number);
            let mut attributes = open.attributes();
            attributes.add("tool.name", &*tool.name);
            attributes.add_some("tool.call_id", tool.id.as_deref());
            match serde_json::from_str::<&RawValue>(&tool.input) {
                Ok(input) => attributes.add("tool.params", input),
                Err(_) => attributes.add("tool.params", &*tool.input),
            }
            if tool.hosted {
                attributes.add("tool.hosted", &true);
            }
            let spans = Spans { span, parent: open.span };
            self.tell_of(open, Name::ToolExecution, at, spans, attributes);
            self.sessions.ask(&open.session, tool, at, span, open.span);
        }
    }

    /// The result of a tool that the provider ran. How long that took nobody says.
    fn hosted_result(&mut self, cx: Cx<'_>, open: &Open, at: SystemTime, number: usize, result: &ToolResult) {
        let Some(asked) = self.sessions.tell(&open.session, result, None) else { return };
        let name = asked.as_ref().map(|asked| Arc::clone(&asked.name));
        let spans = match asked {
            Some(asked) => Spans { span: asked.span, parent: asked.parent },
            None => {
                let span = SpanId::of_tool_part(cx.exchange.id, open.id, number);
                Spans { span, parent: open.span }
            }
        };
        self.result(open, result, at, spans, name.as_deref(), None);
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

    fn session_end(&mut self, id: &Arc<str>, lasted: Duration) {
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
    attributes.add("session.duration_ms", &time::milliseconds(lasted));
    attributes.add("session.events_count", &(totals.events + 1));
    attributes.add("session.calls", &totals.calls);
    attributes.add("session.errors", &totals.errors);
    attributes.add("session.input_tokens", &totals.input);
    attributes.add("session.output_tokens", &totals.output);
    attributes.add_some("session.cost_usd", call::dollars(totals.cost).as_deref());
    attributes.add("session.unpriced_calls", &totals.unpriced);
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

fn name_by_id(part: &Part) -> Option<(&str, &str)> {
    match part {
        Part::ToolUse(tool) => Some((tool.id.as_deref()?, &*tool.name)),
        _ => None,
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
        Self { span: open.span, parent: SpanId::of_session(&open.session) }
    }
}
