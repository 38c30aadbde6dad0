//! The span of a call.

use opentelemetry_proto::tonic::trace::v1::Span;
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use perimeter_interceptor::{Completion, CostSource, Relation, Session, Usage};

use super::attributes::Attributes;
use super::place::Place;
use super::{span, stream};
use crate::finished::Finished;
use crate::params;
use crate::profile::Profile;

/// So many tags of a call are told.
const TAGS: usize = 32;

/// The span of a call at this place.
pub(super) fn of(finished: &Finished, place: &Place, profiles: &[Profile]) -> Span {
    let ended = span::after(finished.began, finished.lasted);
    let name = span::name(finished.operation, finished.call.model.as_deref());
    let times = (finished.began, ended);
    let mut span = span::span(&name, SpanKind::Client, finished.span, &place.above, times);
    span.trace_state.clone_from(&place.state);
    span.links.clone_from(&place.links);
    if let Some(problem) = &finished.error {
        span.status = Some(span::failed(&problem.message));
    }
    span.events = stream::events(finished);
    span.attributes = attributes(finished, place, profiles).into_inner();
    span
}

fn attributes(finished: &Finished, place: &Place, profiles: &[Profile]) -> Attributes {
    let mut attributes = Attributes::default();
    add_request(&mut attributes, finished);
    add_session(&mut attributes, finished);
    add_exchange(&mut attributes, finished);
    if place.instrumented {
        attributes.word("perimeter.observed_by", "proxy");
    }
    if let Some(said) = &finished.answer {
        add_answer(&mut attributes, finished, said, profiles);
    }
    stream::add(&mut attributes, finished);
    attributes.and(finished.asked.iter().cloned());
    attributes.and(finished.answer.iter().flat_map(|said| params::answered(&finished.call, said)));
    attributes
}

/// What was asked, of whom, and how that ended.
fn add_request(attributes: &mut Attributes, finished: &Finished) {
    let call = &finished.call;
    attributes.word("gen_ai.operation.name", finished.operation);
    attributes.word("gen_ai.provider.name", finished.provider);
    attributes.maybe_said("gen_ai.request.model", call.model.as_deref());
    attributes.maybe_said("server.address", Some(&finished.server.address));
    attributes.maybe_count("server.port", finished.server.port.map(u64::from));
    if call.streaming {
        attributes.yes("gen_ai.request.stream");
    }
    attributes.maybe_said("gen_ai.request.previous_response.id", call.previous.as_deref());
    match call.dialect {
        "openai_chat" => attributes.word("openai.api.type", "chat_completions"),
        "openai_responses" => attributes.word("openai.api.type", "responses"),
        _ => {}
    }
    attributes.maybe_count("http.response.status_code", finished.status.map(u64::from));
    if let Some(problem) = &finished.error {
        attributes.said("error.type", &problem.kind);
    }
}

/// Where it stands in its conversation, and who holds that.
fn add_session(attributes: &mut Attributes, finished: &Finished) {
    let session = &finished.call.session;
    add_conversation(attributes, session, finished.call.conversation.as_deref());
    attributes.count("perimeter.session.call", session.call);
    attributes.word("perimeter.session.relation", session.relation.as_str());
    attributes.count("perimeter.session.thread", session.thread);
    attributes.maybe_count("perimeter.session.parent_call", session.parent.map(u64::from));
    if let Some(side) = session.side {
        attributes.word("perimeter.session.side", side);
    }
    if session.relation == Relation::Compaction {
        attributes.yes("gen_ai.conversation.compacted");
    }
    if let Some(client) = &session.client {
        attributes.said("perimeter.client.name", &client.name);
        attributes.maybe_said("perimeter.client.version", client.version.as_deref());
    }
    for (tag, value) in session.tags.iter().filter(|(tag, _)| !tag.is_empty()).take(TAGS) {
        attributes.tagged("perimeter.tag.", tag, value);
    }
}

/// Which conversation, and which agent. The conventions want no id but one that was told.
pub(super) fn add_conversation(attributes: &mut Attributes, session: &Session, providers: Option<&str>) {
    let told = session.told.then_some(&*session.id);
    attributes.maybe_said("gen_ai.conversation.id", providers.or(told));
    attributes.said("session.id", &session.id);
    attributes.said("perimeter.session.id", &session.id);
    let agent = &session.agent;
    attributes.maybe_said("gen_ai.agent.name", agent.name.as_deref().or(agent.told.as_deref()));
    attributes.maybe_said("gen_ai.agent.id", agent.told.as_deref());
    attributes.word("perimeter.agent.prompt", &agent.prompt);
    attributes.word("perimeter.agent.stable", &agent.stable);
}

fn add_exchange(attributes: &mut Attributes, finished: &Finished) {
    let (exchange, call) = (&finished.exchange, &finished.call);
    attributes.word("perimeter.exchange.id", &exchange.id.to_string());
    attributes.count("perimeter.exchange.call", call.id.0);
    attributes.word("perimeter.dialect", call.dialect);
    attributes.maybe_said("perimeter.workflow.id", exchange.labels.workflow.as_deref());
    if call.partial {
        attributes.yes("perimeter.request.partial");
    }
    if let Some(unseen) = finished.end.as_ref().map(|end| end.unseen.total()).filter(|unseen| *unseen > 0) {
        attributes.count("perimeter.unseen.bytes", unseen);
    }
}

fn add_answer(attributes: &mut Attributes, finished: &Finished, said: &Completion, profiles: &[Profile]) {
    attributes.maybe_said("gen_ai.response.id", said.id.as_deref());
    attributes.maybe_said("gen_ai.response.model", said.model.as_deref());
    let reasons = reasons(said, finished.error.is_some());
    if !reasons.is_empty() {
        attributes.all_said("gen_ai.response.finish_reasons", reasons);
    }
    attributes.maybe_said("perimeter.response.tier", said.tier.as_deref());
    attributes.maybe_said("perimeter.response.region", said.region.as_deref());
    if said.repeated {
        // What it used was told with the answer itself.
        return attributes.yes("perimeter.response.repeated");
    }
    if let Some(usage) = &said.usage {
        add_usage(attributes, usage, profiles);
    }
    if said.is_billed(finished.call.operation) {
        add_cost(attributes, said);
    }
}

/// Why each of the answers ended, in the provider's words. What broke off ended with `error`.
fn reasons(said: &Completion, failed: bool) -> Vec<&str> {
    let reasons = said.answers.iter().map(|answer| answer.stop.as_deref());
    let mut reasons: Vec<_> = reasons.filter_map(|stop| stop.or(failed.then_some("error"))).collect();
    if reasons.is_empty() && failed {
        reasons.push("error");
    }
    reasons
}

fn add_usage(attributes: &mut Attributes, usage: &Usage, profiles: &[Profile]) {
    attributes.count("gen_ai.usage.input_tokens", usage.input);
    attributes.count("gen_ai.usage.output_tokens", usage.output);
    attributes.maybe_count("gen_ai.usage.cache_read.input_tokens", usage.cache_read);
    for profile in [Profile::Latest, Profile::V1_41] {
        if profiles.contains(&profile) {
            attributes.maybe_count(profile.cache_write(), usage.cache_write);
        }
    }
    for (key, tokens) in [
        ("gen_ai.usage.reasoning.output_tokens", usage.reasoning),
        ("gen_ai.usage.audio.input_tokens", usage.audio_input),
        ("gen_ai.usage.audio.cache_read.input_tokens", usage.audio_cache_read),
        ("gen_ai.usage.image.input_tokens", usage.image_input),
        ("gen_ai.usage.audio.output_tokens", usage.audio_output),
        ("gen_ai.usage.image.output_tokens", usage.image_output),
        ("perimeter.usage.cache_write_1h.input_tokens", usage.cache_write_1h),
        ("perimeter.usage.searches", usage.searches),
    ] {
        attributes.maybe_count(key, tokens);
    }
}

fn add_cost(attributes: &mut Attributes, said: &Completion) {
    let Some(cost) = &said.cost else { return attributes.word("perimeter.cost.source", "unknown") };
    attributes.double("perimeter.cost.usd", cost.total.as_f64());
    let source = match cost.source {
        CostSource::Prices { .. } => "prices",
        _ => "provider",
    };
    attributes.word("perimeter.cost.source", source);
}
