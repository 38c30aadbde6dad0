//! A call that is not over.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use opentelemetry_proto::tonic::common::v1::KeyValue;
use perimeter_interceptor::{ApiFailure, Call, Completion, Cx, End, Exchange, Failure, Part, ToolUse};

use super::place::Place;
use super::span;
use crate::finished::{Finished, Problem, Server};

/// A call that is not over.
#[derive(Debug)]
pub(super) struct Open {
    exchange: Arc<Exchange>,
    pub(super) call: Arc<Call>,
    asked: Vec<KeyValue>,
    operation: &'static str,
    pub(super) provider: &'static str,
    server: Server,
    pub(super) place: Place,
    /// The line of talk of the agent whose call it is, where that is told.
    pub(super) agent: Option<u32>,
    /// When it began, since its exchange did.
    since: Duration,
    /// The tools that were asked for so far.
    pub(super) tools: Vec<Arc<ToolUse>>,
    answer: Option<Arc<Completion>>,
    /// Whether that is whole.
    is_whole: bool,
    /// When it was answered, or failed, since its exchange began.
    over: Option<Duration>,
    problem: Option<Problem>,
    /// The status of an error that came over a socket.
    status: Option<u16>,
}

/// What is read of a call when it begins.
pub(super) struct Read {
    pub(super) asked: Vec<KeyValue>,
    pub(super) operation: &'static str,
    pub(super) provider: &'static str,
    pub(super) server: Server,
}

impl Open {
    /// `whole`: whether what was said is needed when it is over.
    pub(super) fn new(
        exchange: &Arc<Exchange>,
        call: &Arc<Call>,
        read: Read,
        (place, agent): (Place, Option<u32>),
        (since, whole): (Duration, bool),
    ) -> Self {
        let Read { asked, operation, provider, server } = read;
        Self {
            exchange: Arc::clone(exchange),
            call: if whole { Arc::clone(call) } else { Arc::new(without_content(call)) },
            asked,
            operation,
            provider,
            server,
            place,
            agent,
            since,
            tools: Vec::new(),
            answer: None,
            is_whole: false,
            over: None,
            problem: None,
            status: None,
        }
    }

    pub(super) fn began(&self) -> SystemTime {
        span::after(self.exchange.began, self.since)
    }

    /// When it was answered, or failed; else when it began.
    pub(super) fn ended(&self) -> SystemTime {
        span::after(self.exchange.began, self.over.unwrap_or(self.since))
    }

    /// Its answer is whole.
    pub(super) fn answered(&mut self, cx: Cx<'_>, said: &Arc<Completion>) {
        (self.answer, self.is_whole) = (Some(Arc::clone(said)), true);
        // Its last part may have come a little later than what makes it whole.
        let last = said.stream.as_ref().map_or(Duration::ZERO, |stream| stream.last);
        self.over = Some(cx.elapsed.max(self.since.saturating_add(last)));
    }

    /// Its answer broke off. Why it did is known later.
    pub(super) fn cut(&mut self, cx: Cx<'_>, said: &Arc<Completion>) {
        self.answer = Some(Arc::clone(said));
        self.over = Some(cx.elapsed);
    }

    /// The provider told of an error.
    pub(super) fn failed(&mut self, cx: Cx<'_>, failure: &ApiFailure) {
        self.problem = Some(Problem::of_provider(failure));
        self.status = Some(failure.status).filter(|status| *status >= 400);
        self.over = Some(cx.elapsed);
    }

    /// No provider answered.
    pub(super) fn not_answered(&mut self, elapsed: Duration, failure: &Failure) {
        self.problem = Some(Problem::of_proxy(failure));
        self.over = Some(elapsed.max(self.since));
    }

    /// It is over: by the `end` of its exchange, so long after that began, or before.
    pub(super) fn finish(self, elapsed: Duration, status: Option<u16>, end: Option<&End>) -> Finished {
        let began = self.began();
        let (is_cut, is_whole) = (self.answer.is_some(), self.is_whole);
        let of_end = || Problem::of_end(end?, status, is_cut);
        Finished {
            exchange: self.exchange,
            call: self.call,
            asked: self.asked,
            operation: self.operation,
            provider: self.provider,
            server: self.server,
            answer: self.answer,
            error: self.problem.or_else(of_end).filter(|_| !is_whole),
            status: status.filter(|status| *status != SWITCHED).or(self.status),
            began,
            lasted: self.over.unwrap_or(elapsed).saturating_sub(self.since),
            span: self.place.context,
            end: end.cloned(),
        }
    }
}

/// The status of a response that becomes a socket: it says nothing of what is called there.
const SWITCHED: u16 = 101;

/// The call without what was said in it: it may be large, and a call may last long.
fn without_content(call: &Call) -> Call {
    let mut slim = Call::new(call.id, call.dialect, Arc::clone(&call.session));
    slim.operation = call.operation;
    slim.vendor = call.vendor;
    slim.model.clone_from(&call.model);
    slim.streaming = call.streaming;
    slim.partial = call.partial;
    slim.previous.clone_from(&call.previous);
    slim.conversation.clone_from(&call.conversation);
    slim.known = call.known;
    slim.body = Bytes::new();
    slim
}

/// The tools that an answer asks for and the client is to run.
pub(super) fn tools_of(said: &Completion) -> impl Iterator<Item = &Arc<ToolUse>> {
    let parts = said.answers.iter().flat_map(|answer| &answer.parts);
    parts.filter_map(|part| match part {
        Part::ToolUse(tool) => Some(tool),
        _ => None,
    })
}
