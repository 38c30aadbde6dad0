//! A call from its request to its answer.

use std::io::Write as _;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use perimeter_interceptor::{
    Call, CallId, Completion, CostSource, Cx, Operation, Session, ToolUse, Usage, Usd,
};

use super::attributes::Attributes;
use super::ids::SpanId;
use super::response;
use crate::time;

/// A call that has no answer yet.
#[derive(Debug)]
pub(super) struct Open {
    pub(super) id: CallId,
    pub(super) session: Arc<str>,
    pub(super) agent: Arc<str>,
    pub(super) span: SpanId,
    /// The session's.
    pub(super) session_span: SpanId,
    /// The id of its exchange.
    exchange: Box<str>,
    workflow: Option<Arc<str>>,
    vendor: &'static str,
    model: Option<Arc<str>>,
    pub(super) operation: Operation,
    dialect: &'static str,
    /// When it began, since its exchange did.
    pub(super) since: Duration,
    /// When the model said its first words.
    pub(super) spoke: Option<Duration>,
    /// The tools that were asked for so far.
    pub(super) tools: Vec<Arc<ToolUse>>,
    /// What had been said when the answer broke off. Why it did is known later.
    pub(super) cut: Option<(Duration, Arc<Completion>)>,
}

impl Open {
    pub(super) fn new(cx: Cx<'_>, call: &Call, since: Duration) -> Self {
        let exchange = cx.exchange.id.to_string();
        Self {
            id: call.id,
            session: Arc::clone(&call.session.id),
            agent: Arc::clone(call.session.agent.id()),
            span: SpanId::of_call(&exchange, call.id),
            session_span: SpanId::of_session(&call.session.id),
            exchange: exchange.into(),
            workflow: cx.exchange.labels.workflow.clone(),
            vendor: call.vendor,
            model: call.model.clone(),
            operation: call.operation,
            dialect: call.dialect,
            since,
            spoke: None,
            tools: Vec::new(),
            cut: None,
        }
    }

    /// What happened so long after the exchange began.
    pub(super) fn at(&self, cx: Cx<'_>, elapsed: Duration) -> SystemTime {
        time::after(cx.exchange.began, elapsed)
    }

    /// What every event of the exchange says.
    pub(super) fn attributes(&self) -> Attributes {
        let mut attributes = Attributes::default();
        attributes.add("session.id", &*self.session);
        attributes.add_own("exchange_id", &*self.exchange);
        attributes.add_some("agent_workflow.id", self.workflow.as_deref());
        attributes
    }

    /// What every event of the call says.
    pub(super) fn call_attributes(&self) -> Attributes {
        let mut attributes = self.attributes();
        attributes.add_own("llm.vendor", self.vendor);
        attributes.add_some("llm.model", self.model.as_deref());
        attributes.add_own("llm.operation", self.operation.as_str());
        attributes.add_own("llm.dialect", self.dialect);
        attributes
    }

    /// How long it took until then.
    pub(super) fn add_times(&self, attributes: &mut Attributes, until: Duration) {
        let lasted = until.saturating_sub(self.since);
        attributes.add_own("llm.response.duration_ms", &time::milliseconds(lasted));
        let ttft = self.spoke.map(|spoke| time::milliseconds(spoke.saturating_sub(self.since)));
        attributes.add_some_own("llm.response.ttft_ms", ttft.as_ref());
    }

    /// What the model said.
    pub(super) fn add_answer(&self, attributes: &mut Attributes, said: &Completion) {
        attributes.add_some("llm.response.model", said.model.as_deref());
        attributes.add_some("llm.response.id", said.id.as_deref());
        attributes.add_some("llm.response.tier", said.tier.as_deref());
        let reasons: Vec<_> = said.answers.iter().filter_map(|answer| answer.stop.as_deref()).collect();
        if !reasons.is_empty() {
            attributes.add("llm.response.finish_reasons", &reasons);
        }
        if let Some(usage) = &said.usage {
            add_usage(attributes, usage);
        }
        if said.repeated {
            attributes.add_own("llm.response.repeated", &true);
        }
        if said.is_billed(self.operation) {
            add_cost(attributes, said);
        }
        response::add(attributes, self.operation, said);
    }
}

/// Where a call stands among those of its session.
pub(super) fn add_place(attributes: &mut Attributes, session: &Session) {
    attributes.add_own("session.call", &session.call);
    attributes.add_own("session.relation", session.relation.as_str());
    attributes.add_some_own("session.parent_call", session.parent.as_ref());
    attributes.add_own("session.thread", &session.thread);
}

/// Who makes a call, beyond the agent's id.
pub(super) fn add_maker(attributes: &mut Attributes, session: &Session) {
    attributes.add("agent.stable_id", &*session.agent.stable);
    attributes.add_some("agent.name", session.agent.name.as_deref());
    if let Some(client) = &session.client {
        attributes.add("client.name", &*client.name);
        attributes.add_some("client.version", client.version.as_deref());
    }
}

fn add_usage(attributes: &mut Attributes, usage: &Usage) {
    attributes.add_own("llm.usage.input_tokens", &usage.input);
    attributes.add_own("llm.usage.output_tokens", &usage.output);
    attributes.add_own("llm.usage.total_tokens", &usage.input.saturating_add(usage.output));
    let five_minutes =
        usage.cache_write.zip(usage.cache_write_1h).map(|(all, hour)| all.saturating_sub(hour));
    for (name, count) in [
        ("llm.usage.cache_read_tokens", usage.cache_read),
        ("llm.usage.cache_write_tokens", usage.cache_write),
        ("llm.usage.cache_write_5m_tokens", five_minutes),
        ("llm.usage.cache_write_1h_tokens", usage.cache_write_1h),
        ("llm.usage.reasoning_tokens", usage.reasoning),
        ("llm.usage.audio_input_tokens", usage.audio_input),
        ("llm.usage.audio_cache_read_tokens", usage.audio_cache_read),
        ("llm.usage.image_input_tokens", usage.image_input),
        ("llm.usage.audio_output_tokens", usage.audio_output),
        ("llm.usage.image_output_tokens", usage.image_output),
        ("llm.usage.searches", usage.searches),
    ] {
        attributes.add_some_own(name, count.as_ref());
    }
}

fn add_cost(attributes: &mut Attributes, said: &Completion) {
    let Some(cost) = &said.cost else {
        attributes.add_own("llm.cost.source", "unknown");
        return;
    };
    add_dollars(attributes, "llm.cost.usd", cost.total);
    match &cost.source {
        CostSource::Prices { model, tier, as_of } => {
            attributes.add_own("llm.cost.source", "prices");
            attributes.add("llm.cost.model", &**model);
            attributes.add_own("llm.cost.tier", *tier);
            attributes.add("llm.cost.as_of", &**as_of);
            for (name, part) in [
                ("llm.cost.input_usd", cost.input),
                ("llm.cost.cache_read_usd", cost.cache_read),
                ("llm.cost.cache_write_usd", cost.cache_write),
                ("llm.cost.output_usd", cost.output),
                ("llm.cost.tools_usd", cost.tools),
            ] {
                add_dollars(attributes, name, part);
            }
        }
        _ => attributes.add_own("llm.cost.source", "provider"),
    }
}

/// Adds a number with all its digits.
pub(super) fn add_dollars(attributes: &mut Attributes, name: &'static str, amount: Usd) {
    attributes.add_json(name, |json| {
        let start = json.len();
        write!(json, "{amount}").ok().map(|()| start..json.len())
    });
}
