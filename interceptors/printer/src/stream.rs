//! How a streamed answer came, in numbers and in words.

use std::time::Duration;

use perimeter_interceptor::{BodyEnd, Peer, Stall, Stream};
use serde::Serialize;

use crate::call::Shown;
use crate::exchange::Following;
use crate::json::millis;
use crate::measure;

/// So many stalls are told one by one.
const FEW: usize = 2;

/// Who ended the answer, where that is known: whoever said its last word, or left before it was said.
fn closed_first(exchange: &Following, call: &Shown) -> Option<&'static str> {
    if call.is_whole() || call.failure.is_some() {
        return Some("upstream");
    }
    match exchange.end.as_ref()?.response {
        BodyEnd::Complete { .. } | BodyEnd::Failed(_) => Some("upstream"),
        BodyEnd::Aborted => Some("client"),
        BodyEnd::Stopped => Some("proxy"),
        _ => None,
    }
}

fn tokens_per_second(stream: &Stream, call: &Shown) -> Option<f64> {
    call.usage.and_then(|usage| stream.tokens_per_second(usage.output))
}

/// The lines for people: how it came, and what held it up or cut it short, if anything did.
pub(crate) fn lines(exchange: &Following, call: &Shown) -> Vec<String> {
    let Some(stream) = &call.stream else { return Vec::new() };
    let mut lines = vec![format!("stream  {}", pace(stream, call).join(" · "))];
    let mut troubles = stalls(stream);
    if !call.is_whole() {
        troubles.extend(closed_first(exchange, call).map(|who| format!("closed first: {who}")));
    }
    if !troubles.is_empty() {
        lines.push(troubles.join(" · "));
    }
    lines
}

fn pace(stream: &Stream, call: &Shown) -> Vec<String> {
    let mut first = format!("first byte {}", measure::duration(stream.first_byte));
    if let Some(at) = stream.first_token {
        first = format!("{first}, token {}", measure::duration(at));
    }
    let mut told = vec![first];
    told.extend(tokens_per_second(stream, call).map(|rate| match rate {
        ..10.0 => format!("{rate:.1} tok/s"),
        _ => format!("{rate:.0} tok/s"),
    }));
    let gaps = &stream.gaps;
    if let (Some(half), Some(most)) = (gaps.quantile(0.5), gaps.quantile(0.99)) {
        let [half, most, max] = [half, most, gaps.max()].map(measure::duration);
        told.push(format!("gaps p50 {half}, p99 {most}, max {max}"));
    }
    told
}

fn stalls(stream: &Stream) -> Vec<String> {
    let one = |stall: &Stall| {
        let (lasted, at) = (measure::duration(stall.lasted), measure::duration(stall.at));
        format!("stalled {lasted} at {at}: {}", blame(stall.by))
    };
    if stream.stall_count <= FEW as u64 {
        return stream.stalls.iter().map(one).collect();
    }
    let sides = [(Peer::Upstream, stream.stalled_upstream), (Peer::Client, stream.stalled_client)];
    let sides = sides.into_iter().filter(|(_, lasted)| *lasted > Duration::ZERO);
    let sides: Vec<_> =
        sides.map(|(by, lasted)| format!("{} {}", blame(by), measure::duration(lasted))).collect();
    let longest = stream.stalls.iter().max_by_key(|stall| stall.lasted);
    let mut told = vec![format!("stalled {} times: {}", stream.stall_count, sides.join(", "))];
    told.extend(longest.map(|stall| {
        format!("longest {} at {}", measure::duration(stall.lasted), measure::duration(stall.at))
    }));
    told
}

fn blame(by: Peer) -> &'static str {
    match by {
        Peer::Upstream => "upstream silent",
        Peer::Client => "client not reading",
    }
}

/// The same as fields; times in milliseconds, from the beginning of the call.
#[derive(Serialize)]
pub(crate) struct StreamFields {
    first_byte_ms: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    first_token_ms: Option<f64>,
    /// Absent where it came at once, or the provider did not say what was used.
    #[serde(skip_serializing_if = "Option::is_none")]
    tokens_per_second: Option<f64>,
    /// What the network brought, however much of it at once.
    chunks: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    gap_p50_ms: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    gap_p95_ms: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    gap_p99_ms: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    gap_max_ms: Option<f64>,
    stall_count: u64,
    /// Of many, the first.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    stalls: Vec<StallFields>,
    #[serde(skip_serializing_if = "Option::is_none")]
    stalled_upstream_ms: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    stalled_client_ms: Option<f64>,
    /// `upstream`, `client` or `proxy`.
    #[serde(skip_serializing_if = "Option::is_none")]
    closed_first: Option<&'static str>,
}

#[derive(Serialize)]
struct StallFields {
    at_ms: f64,
    lasted_ms: f64,
    /// Who made the other wait.
    by: &'static str,
}

impl StallFields {
    fn of(stall: &Stall) -> Self {
        Self { at_ms: millis(stall.at), lasted_ms: millis(stall.lasted), by: stall.by.as_str() }
    }
}

/// What is known of the stream that an answer came as.
pub(crate) fn fields(exchange: &Following, call: &Shown) -> Option<StreamFields> {
    let stream = call.stream.as_deref()?;
    let gap = |part| stream.gaps.quantile(part).map(millis);
    let stalled = stream.stall_count > 0;
    Some(StreamFields {
        first_byte_ms: millis(stream.first_byte),
        first_token_ms: stream.first_token.map(millis),
        tokens_per_second: tokens_per_second(stream, call).map(|rate| (rate * 1e3).round() / 1e3),
        chunks: stream.chunks,
        gap_p50_ms: gap(0.5),
        gap_p95_ms: gap(0.95),
        gap_p99_ms: gap(0.99),
        gap_max_ms: (stream.gaps.count() > 0).then(|| millis(stream.gaps.max())),
        stall_count: stream.stall_count,
        stalls: stream.stalls.iter().map(StallFields::of).collect(),
        stalled_upstream_ms: stalled.then(|| millis(stream.stalled_upstream)),
        stalled_client_ms: stalled.then(|| millis(stream.stalled_client)),
        closed_first: closed_first(exchange, call),
    })
}
