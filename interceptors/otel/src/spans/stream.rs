//! How a streamed answer came: attributes and events of its call's span.

use std::time::Duration;

use opentelemetry_proto::tonic::trace::v1::span::Event;
use perimeter_genai::error_type::{CLIENT_CANCELLED, PROXY_STOPPED};
use perimeter_interceptor::Stream;

use super::attributes::Attributes;
use super::span;
use crate::finished::Finished;

/// What is said of a stream, if the answer is one.
pub(super) fn add(attributes: &mut Attributes, finished: &Finished) {
    let Some(said) = &finished.answer else { return };
    let Some(stream) = &said.stream else { return };
    add_times(attributes, stream);
    let output = said.usage.filter(|_| !said.repeated).map(|usage| usage.output);
    if let Some(rate) = output.and_then(|output| stream.tokens_per_second(output)) {
        attributes.double("perimeter.stream.tokens_per_second", rate);
    }
    attributes.count("perimeter.stream.chunks", stream.chunks);
    attributes.count("perimeter.stream.bytes", stream.bytes);
    add_gaps(attributes, stream);
    attributes.word("perimeter.stream.closed_first", closed_first(finished));
}

fn add_times(attributes: &mut Attributes, stream: &Stream) {
    attributes.double("perimeter.stream.time_to_first_byte", stream.first_byte.as_secs_f64());
    if let Some(first) = stream.first_chunk {
        attributes.double("gen_ai.response.time_to_first_chunk", first.as_secs_f64());
    }
    if let Some(first) = stream.first_token {
        attributes.double("perimeter.stream.time_to_first_token", first.as_secs_f64());
    }
}

fn add_gaps(attributes: &mut Attributes, stream: &Stream) {
    let gaps = &stream.gaps;
    for (key, part) in [
        ("perimeter.stream.gap.p50", 0.5),
        ("perimeter.stream.gap.p95", 0.95),
        ("perimeter.stream.gap.p99", 0.99),
    ] {
        if let Some(gap) = gaps.quantile(part) {
            attributes.double(key, gap.as_secs_f64());
        }
    }
    if gaps.count() > 0 {
        attributes.double("perimeter.stream.gap.max", gaps.max().as_secs_f64());
    }
    attributes.count("perimeter.stream.stalls", stream.stall_count);
    attributes.double("perimeter.stream.stalled.upstream", stream.stalled_upstream.as_secs_f64());
    attributes.double("perimeter.stream.stalled.client", stream.stalled_client.as_secs_f64());
}

/// Who ended the answer: whoever said its last word, also one of an error, or left before it was said.
fn closed_first(finished: &Finished) -> &'static str {
    match finished.error.as_ref().map(|problem| &*problem.kind) {
        Some(CLIENT_CANCELLED) => "client",
        Some(PROXY_STOPPED) => "proxy",
        _ => "upstream",
    }
}

/// What happened in the course of a call, in its order.
pub(super) fn events(finished: &Finished) -> Vec<Event> {
    let stream = finished.answer.as_ref().and_then(|said| said.stream.as_ref());
    let mut events = stream.map(|stream| of_stream(finished, stream)).unwrap_or_default();
    if finished.error.as_ref().is_some_and(crate::finished::Problem::is_clients) {
        events.push(event(finished, finished.lasted, "perimeter.client_disconnected", Attributes::default()));
    }
    events.sort_by_key(|event| event.time_unix_nano);
    events
}

fn of_stream(finished: &Finished, stream: &Stream) -> Vec<Event> {
    let firsts = [("gen_ai.first_chunk", stream.first_chunk), ("perimeter.first_token", stream.first_token)];
    let firsts = firsts
        .into_iter()
        .filter_map(|(name, at)| at.map(|at| event(finished, at, name, Attributes::default())));
    let stalls = stream.stalls.iter().map(|stall| {
        let mut attributes = Attributes::default();
        attributes.word("perimeter.stall.by", stall.by.as_str());
        attributes.double("perimeter.stall.duration", stall.lasted.as_secs_f64());
        event(finished, stall.at, "perimeter.stall", attributes)
    });
    firsts.chain(stalls).collect()
}

fn event(finished: &Finished, at: Duration, name: &str, attributes: Attributes) -> Event {
    Event {
        time_unix_nano: span::nanos(span::after(finished.began, at)),
        name: name.to_owned(),
        attributes: attributes.into_inner(),
        ..Event::default()
    }
}
