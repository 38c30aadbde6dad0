//! An agent at work: the calls of one line of talk, from the first's beginning to the last's end.

use std::sync::Arc;
use std::time::SystemTime;

use opentelemetry_proto::tonic::trace::v1::Span;
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use perimeter_interceptor::{Session, SpanContext};

use super::attributes::Attributes;
use super::ids::{SpanId, TraceId};
use super::inference::add_conversation;
use super::span::{self, Above};
use crate::finished::Problem;

const OPERATION: &str = "invoke_agent";

/// An agent at work.
#[derive(Debug)]
pub(super) struct Agent {
    pub(super) span: SpanId,
    pub(super) above: Above,
    /// The tool call that asked for it, if it is known.
    pub(super) tool: Option<SpanId>,
    /// The name that it was asked for by.
    pub(super) name: Option<Arc<str>>,
    /// The line of talk that asked for it.
    pub(super) starter: Option<u32>,
    /// Its latest call, as its session counts them.
    pub(super) latest: u32,
    pub(super) state: State,
    /// As its first call told it.
    session: Arc<Session>,
    provider: &'static str,
    model: Option<Arc<str>>,
    began: SystemTime,
    pub(super) ended: SystemTime,
    calls: u32,
    open: u32,
    /// Why its latest call has no whole answer, if so.
    problem: Option<Problem>,
}

/// How far an agent is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// At work.
    Open,
    /// To be told once its last call has ended.
    Ending,
    /// Told. It may go on, as another span.
    Told,
}

/// A call that an agent begins with.
pub(super) struct First<'a> {
    pub(super) session: &'a Arc<Session>,
    pub(super) provider: &'static str,
    pub(super) model: Option<&'a Arc<str>>,
    pub(super) began: SystemTime,
}

impl Agent {
    pub(super) fn new(first: &First<'_>, span: SpanId, above: Above) -> Self {
        Self {
            span,
            above,
            tool: None,
            name: None,
            starter: None,
            latest: first.session.call,
            state: State::Open,
            session: Arc::clone(first.session),
            provider: first.provider,
            model: first.model.cloned(),
            began: first.began,
            ended: first.began,
            calls: 0,
            open: 0,
            problem: None,
        }
    }

    /// A call of it began: one that is read sooner may have begun later, and clocks are set back.
    pub(super) fn call(&mut self, number: u32, began: SystemTime) {
        self.began = self.began.min(began);
        self.latest = number;
        self.calls = self.calls.saturating_add(1);
        self.open = self.open.saturating_add(1);
        self.state = State::Open;
    }

    /// A call of it is over. Its span, if that was waited for.
    pub(super) fn answered(
        &mut self,
        trace: TraceId,
        ended: SystemTime,
        problem: Option<&Problem>,
    ) -> Option<Span> {
        self.open = self.open.saturating_sub(1);
        if ended >= self.ended {
            self.problem = problem.cloned();
        }
        self.ended = self.ended.max(ended);
        (self.state == State::Ending && self.open == 0).then(|| self.tell(trace))
    }

    /// It is over. Its span, unless that was told, or a call of it is still open.
    pub(super) fn end(&mut self, trace: TraceId) -> Option<Span> {
        if self.state == State::Told {
            return None;
        }
        if self.open > 0 {
            self.state = State::Ending;
            return None;
        }
        Some(self.tell(trace))
    }

    /// Its span, unless that was told, whatever is still open.
    pub(super) fn end_now(&mut self, trace: TraceId) -> Option<Span> {
        (self.state != State::Told).then(|| self.tell(trace))
    }

    fn tell(&mut self, trace: TraceId) -> Span {
        self.state = State::Told;
        let session = named(&self.session, self.name.as_ref());
        let agent = &session.agent;
        let name = span::name(OPERATION, agent.name.as_deref().or(agent.told.as_deref()));
        let context = SpanContext::new(trace, self.span, 1);
        let times = (self.began, self.ended);
        let mut span = span::span(&name, SpanKind::Internal, context, &self.above, times);
        let mut attributes = Attributes::default();
        attributes.word("gen_ai.operation.name", OPERATION);
        attributes.word("gen_ai.provider.name", self.provider);
        attributes.maybe_said("gen_ai.request.model", self.model.as_deref());
        add_conversation(&mut attributes, &session, None);
        attributes.count("perimeter.session.thread", self.session.thread);
        attributes.count("perimeter.agent.calls", self.calls);
        attributes.yes("perimeter.synthetic");
        if let Some(problem) = &self.problem {
            span.status = Some(span::failed(&problem.message));
            attributes.said("error.type", &problem.kind);
        }
        span.attributes = attributes.into_inner();
        span
    }
}

/// The session, its agent by the name that it was asked for by.
pub(super) fn named(session: &Arc<Session>, name: Option<&Arc<str>>) -> Arc<Session> {
    let mut session = Arc::clone(session);
    if let Some(name) = name {
        Arc::make_mut(&mut Arc::make_mut(&mut session).agent).name = Some(Arc::clone(name));
    }
    session
}
