//! How a streamed answer came.

use std::time::Duration;

use perimeter_interceptor::{Completion, Stall, Stream};
use serde::Serialize;

use super::attributes::Attributes;
use crate::time::milliseconds;

/// A time in which nothing came.
#[derive(Serialize)]
struct Silence {
    at_ms: f64,
    lasted_ms: f64,
    by: &'static str,
}

impl Silence {
    fn of(stall: &Stall) -> Self {
        Self { at_ms: milliseconds(stall.at), lasted_ms: milliseconds(stall.lasted), by: stall.by.as_str() }
    }
}

/// Adds what is known of the stream that an answer came as, and who `closed` it; nothing where it came at once.
pub(super) fn add(attributes: &mut Attributes, said: &Completion, closed: &str) {
    let Some(stream) = &said.stream else { return };
    attributes.add_own("llm.stream.time_to_first_byte_ms", &milliseconds(stream.first_byte));
    let first_token = stream.first_token.map(milliseconds);
    attributes.add_some_own("llm.stream.time_to_first_token_ms", first_token.as_ref());
    let rate = said.usage.and_then(|usage| stream.tokens_per_second(usage.output));
    // As fine as the times that it is made of.
    let rate = rate.map(|rate| (rate * 1e3).round() / 1e3);
    attributes.add_some_own("llm.stream.tokens_per_second", rate.as_ref());
    attributes.add_own("llm.stream.chunks", &stream.chunks);
    add_gaps(attributes, stream);
    add_stalls(attributes, stream);
    attributes.add_own("llm.stream.closed_first", closed);
}

fn add_gaps(attributes: &mut Attributes, stream: &Stream) {
    let gaps = &stream.gaps;
    for (name, part) in
        [("llm.stream.gap_p50_ms", 0.5), ("llm.stream.gap_p95_ms", 0.95), ("llm.stream.gap_p99_ms", 0.99)]
    {
        attributes.add_some_own(name, gaps.quantile(part).map(milliseconds).as_ref());
    }
    let max: Option<Duration> = (gaps.count() > 0).then(|| gaps.max());
    attributes.add_some_own("llm.stream.gap_max_ms", max.map(milliseconds).as_ref());
}

fn add_stalls(attributes: &mut Attributes, stream: &Stream) {
    attributes.add_own("llm.stream.stall_count", &stream.stall_count);
    if stream.stall_count == 0 {
        return;
    }
    let stalls: Vec<_> = stream.stalls.iter().map(Silence::of).collect();
    attributes.add_own("llm.stream.stalls", &stalls);
    attributes.add_own("llm.stream.stalled_upstream_ms", &milliseconds(stream.stalled_upstream));
    attributes.add_own("llm.stream.stalled_client_ms", &milliseconds(stream.stalled_client));
}
