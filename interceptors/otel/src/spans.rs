//! Spans of what passes: of calls, and in the trace of a session of its agents and tools.
//!
//! Pure: no clock, no I/O. A call is over when its exchange is, or over a socket when it has its answer; its tools are
//! at work as soon as it has that. Of a session is held which agents are at work and which tools have not answered: of
//! 10,000 sessions, and 100,000 tools and agents, at most. What makes room is told as it stands.

use std::sync::Arc;
use std::time::Duration;

use http::Method;
use opentelemetry_proto::tonic::trace::v1::Span;
use perimeter_genai::{operation_name, provider_name};
use perimeter_interceptor::{
    ApiFailure, Call, CallId, Completion, Cx, End, Exchange, Failure, LlmEvent, Operation, Relation,
    RequestHead,
};

mod agent;
mod attributes;
mod ids;
mod inference;
mod open;
mod place;
mod problem;
mod sampler;
mod sessions;
mod settings;
mod span;
mod stream;
mod tool;
mod trace_parent;

pub(crate) use sampler::Sampler;
pub(crate) use settings::{Ratio, Settings};

use agent::First;
use open::{Open, Read};
use place::Place;
use sessions::Sessions;
use span::Above;
use tool::Asked;
use trace_parent::TraceParent;

use crate::finished::{Finished, Server};
use crate::params;
use crate::profile::Profile;

/// So many calls of one exchange are waited for: over a socket, any number can be asked. The oldest is told as it stands.
const CALLS: usize = 1000;

/// Makes spans of what passes.
#[derive(Debug)]
pub(crate) struct Teller {
    settings: Settings,
    sampler: Sampler,
    profiles: Vec<Profile>,
    /// Whether what was said is needed when a call is over.
    keeps_content: bool,
    sessions: Sessions,
    told: Vec<Told>,
}

/// Something that is over.
#[derive(Debug)]
pub(crate) enum Told {
    /// An agent, or a tool.
    Span(Box<Span>),
    /// A call.
    Call {
        /// What is known of it.
        finished: Box<Finished>,
        /// Its span.
        span: Box<Span>,
        /// Whether that is told: its trace may not be sampled.
        is_told: bool,
    },
}

/// What is remembered of an exchange.
#[derive(Debug)]
pub struct Seen {
    reads: bool,
    parent: Option<Arc<TraceParent>>,
    exchange: Option<Arc<Exchange>>,
    status: Option<u16>,
    upgraded: bool,
    /// When no provider answered, and why.
    failed: Option<(Duration, Failure)>,
    calls: Vec<Open>,
}

impl Seen {
    /// An exchange that begins with this head.
    pub(crate) fn new(head: &RequestHead) -> Self {
        Self {
            reads: head.method == Method::GET,
            parent: TraceParent::of(&head.headers).map(Arc::new),
            exchange: None,
            status: None,
            upgraded: false,
            failed: None,
            calls: Vec::new(),
        }
    }

    /// A response began: the provider's, unless there was none.
    pub(crate) fn response(&mut self, status: u16) {
        self.status = self.failed.is_none().then_some(status);
    }

    /// What follows is no HTTP: calls come and go.
    pub(crate) fn upgrade(&mut self) {
        self.upgraded = true;
    }

    fn find(&mut self, call: CallId) -> Option<&mut Open> {
        self.calls.iter_mut().find(|open| open.call.id == call)
    }

    /// The call, if there is nothing more to wait for.
    fn take(&mut self, call: CallId) -> Option<Open> {
        let at = self.calls.iter().position(|open| open.call.id == call).filter(|_| self.upgraded)?;
        Some(self.calls.remove(at))
    }
}

impl Teller {
    /// `keeps_content`: whether a [`Finished`] call is to hold what was said in it.
    pub(crate) fn new(
        settings: Settings,
        sampler: Sampler,
        profiles: Vec<Profile>,
        keeps_content: bool,
    ) -> Self {
        Self { settings, sampler, profiles, keeps_content, sessions: Sessions::new(), told: Vec::new() }
    }

    /// What is over since this was asked last.
    pub(crate) fn told(&mut self) -> Vec<Told> {
        std::mem::take(&mut self.told)
    }

    /// Something was said.
    pub(crate) fn llm(&mut self, cx: Cx<'_>, seen: &mut Seen, event: &LlmEvent) {
        match event {
            LlmEvent::Call(call) => self.call(cx, seen, call),
            LlmEvent::ToolUse(tool) => {
                if let Some(open) = seen.find(tool.call) {
                    open.tools.push(Arc::clone(tool));
                }
            }
            LlmEvent::Completion(said) => self.completion(cx, seen, said),
            LlmEvent::Cut(said) => self.cut(cx, seen, said),
            LlmEvent::Failure(failure) => self.failure(cx, seen, failure),
            _ => {}
        }
    }

    /// No provider answered.
    pub(crate) fn not_answered(&mut self, cx: Cx<'_>, seen: &mut Seen, failure: &Failure) {
        for open in &mut seen.calls {
            open.not_answered(cx.elapsed, failure);
        }
        seen.failed = Some((cx.elapsed, failure.clone()));
    }

    /// An exchange is over.
    pub(crate) fn end(&mut self, cx: Cx<'_>, seen: Seen, end: &End) {
        for open in seen.calls {
            self.finish(open, cx.elapsed.max(end.lasted), seen.status, Some(end));
        }
    }

    /// A session is over.
    pub(crate) fn session_end(&mut self, session: &Arc<str>) {
        let mut spans = Vec::new();
        self.sessions.end(session, &mut spans);
        self.tell(spans);
    }

    /// Nothing comes any more.
    pub(crate) fn end_all(&mut self) {
        let mut spans = Vec::new();
        self.sessions.end_all(&mut spans);
        self.tell(spans);
    }

    fn call(&mut self, cx: Cx<'_>, seen: &mut Seen, call: &Arc<Call>) {
        // What a socket carries begins when it comes; any other call when its exchange does.
        let since = if seen.upgraded { cx.elapsed } else { Duration::ZERO };
        let exchange = seen.exchange.get_or_insert_with(|| Arc::new(cx.exchange.clone()));
        let read = self.read(call, &exchange.upstream, seen.reads);
        let mut place = Place::of(&self.settings, self.sampler, (exchange, call), seen.parent.as_ref());
        let began = span::after(exchange.began, since);
        let (mut agent, mut call) = (None, Arc::clone(call));
        let mut spans = Vec::new();
        if place.in_tree {
            let (session, provider, model) = (&call.session, read.provider, call.model.as_ref());
            let first = First { session, provider, model, began };
            let standing = self.sessions.call(exchange.id, &call, &first, converses(&call), &mut spans);
            (place.above, agent) = (standing.above, standing.agent);
            if standing.name.is_some() {
                let session = agent::named(&call.session, standing.name.as_ref());
                Arc::make_mut(&mut call).session = session;
            }
        } else {
            self.sessions.call_elsewhere(&call, began, &mut spans);
        }
        let mut open = Open::new(exchange, &call, read, (place, agent), (since, self.keeps_content));
        if let Some((at, failure)) = &seen.failed {
            open.not_answered(*at, failure);
        }
        seen.calls.push(open);
        self.tell(spans);
        if seen.calls.len() > CALLS {
            let oldest = seen.calls.remove(0);
            self.finish(oldest, cx.elapsed, seen.status, None);
        }
    }

    fn read(&self, call: &Call, upstream: &str, reads: bool) -> Read {
        let server = Server::of(upstream);
        Read {
            asked: params::asked(call, &self.profiles),
            operation: operation(call, reads),
            provider: provider_name(call.vendor, &server.address),
            server,
        }
    }

    fn completion(&mut self, cx: Cx<'_>, seen: &mut Seen, said: &Arc<Completion>) {
        let Some(open) = seen.find(said.call) else { return };
        open.answered(cx, said);
        if !said.repeated {
            let tools: Vec<_> = open::tools_of(said).cloned().collect();
            let asked = asked(open, cx, &tools, true);
            self.ask(&open.call.session.id, asked);
        }
        self.over(cx, seen, said.call);
    }

    fn cut(&mut self, cx: Cx<'_>, seen: &mut Seen, said: &Arc<Completion>) {
        let Some(open) = seen.find(said.call) else { return };
        open.cut(cx, said);
        let tools = std::mem::take(&mut open.tools);
        let asked = asked(open, cx, &tools, false);
        self.ask(&open.call.session.id, asked);
    }

    fn failure(&mut self, cx: Cx<'_>, seen: &mut Seen, failure: &ApiFailure) {
        let Some(open) = seen.find(failure.call) else { return };
        open.failed(cx, failure);
        self.over(cx, seen, failure.call);
    }

    fn ask(&mut self, session: &Arc<str>, asked: Vec<Asked>) {
        let mut spans = Vec::new();
        self.sessions.ask(session, asked, &mut spans);
        self.tell(spans);
    }

    /// A call has its answer, and over a socket there is nothing more to wait for.
    fn over(&mut self, cx: Cx<'_>, seen: &mut Seen, call: CallId) {
        if let Some(open) = seen.take(call) {
            self.finish(open, cx.elapsed, seen.status, None);
        }
    }

    fn finish(&mut self, mut open: Open, elapsed: Duration, status: Option<u16>, end: Option<&End>) {
        let agent = open.agent.take();
        let place = open.place.clone();
        let finished = open.finish(elapsed, status, end);
        let span = Box::new(inference::of(&finished, &place, &self.profiles));
        let mut spans = Vec::new();
        if let Some(agent) = agent {
            let ended = span::after(finished.began, finished.lasted);
            let session = &finished.call.session.id;
            self.sessions.answered(session, agent, (ended, finished.error.as_ref()), &mut spans);
        }
        self.told.push(Told::Call { finished: Box::new(finished), span, is_told: place.told });
        self.tell(spans);
    }

    fn tell(&mut self, spans: Vec<Span>) {
        self.told.extend(spans.into_iter().map(|span| Told::Span(Box::new(span))));
    }
}

/// Whether a call is a part of an agent's conversation, and not beside it.
fn converses(call: &Call) -> bool {
    let talks = matches!(call.operation, Operation::Chat | Operation::TextCompletion);
    talks && call.session.relation != Relation::Side
}

/// The tools that the client is to run for a call that has its answer, in the session's tree.
fn asked(
    open: &Open,
    cx: Cx<'_>,
    tools: &[Arc<perimeter_interceptor::ToolUse>],
    certain: bool,
) -> Vec<Asked> {
    if !open.place.in_tree {
        return Vec::new();
    }
    let (exchange, call) = (cx.exchange.id, &open.call);
    let above = match &open.place.above {
        Above::None => Above::Ours(open.place.context.span),
        above => above.clone(),
    };
    let tools = tools.iter().enumerate().filter(|(_, tool)| !tool.hosted);
    let asked = tools.map(|(number, tool)| {
        let spans = (ids::tool(exchange, call.id, number), open.place.context.span);
        let mut asked = Asked::new((number, tool), spans, above.clone(), &call.session, open.ended());
        asked.certain = certain;
        asked
    });
    asked.collect()
}

/// `gen_ai.operation.name`. `reads`: it asks for an earlier answer, and changes nothing.
fn operation(call: &Call, reads: bool) -> &'static str {
    match call.operation {
        Operation::Retrieval if call.dialect == "openai_responses" && reads => "fetch_response",
        operation => operation_name(operation, call.dialect),
    }
}
