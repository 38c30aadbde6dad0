//! Spans, as OTLP has them.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use opentelemetry_proto::tonic::trace::v1::span::{Link, SpanKind};
use opentelemetry_proto::tonic::trace::v1::status::StatusCode;
use opentelemetry_proto::tonic::trace::v1::{Span, SpanFlags, Status};
use perimeter_interceptor::SpanContext;

use super::ids::SpanId;
use crate::text;

/// A status says so much, bytes.
const MESSAGE: usize = 1024;
/// A name of a span is so long, bytes.
const NAME: usize = 256;

/// The span above.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) enum Above {
    /// None: the span is a root.
    #[default]
    None,
    /// One of ours.
    Ours(SpanId),
    /// The client's.
    Client(SpanId),
}

/// A span from then to then, with all but what is said about it.
pub(super) fn span(
    name: &str,
    kind: SpanKind,
    context: SpanContext,
    above: &Above,
    (began, ended): (SystemTime, SystemTime),
) -> Span {
    let (parent, remote) = match above {
        Above::None => (Vec::new(), 0),
        Above::Ours(span) => (span.to_vec(), 0),
        Above::Client(span) => (span.to_vec(), SpanFlags::ContextIsRemoteMask as u32),
    };
    Span {
        trace_id: context.trace.to_vec(),
        span_id: context.span.to_vec(),
        parent_span_id: parent,
        flags: u32::from(context.flags) | SpanFlags::ContextHasIsRemoteMask as u32 | remote,
        name: text::name(name, NAME),
        kind: kind.into(),
        start_time_unix_nano: nanos(began),
        end_time_unix_nano: nanos(ended.max(began)),
        // Where all went well it is left unset, as the conventions want it.
        status: Some(Status::default()),
        ..Span::default()
    }
}

/// A name of two words, the second where it is known.
pub(super) fn name(operation: &str, what: Option<&str>) -> String {
    match what.filter(|what| !what.is_empty()) {
        Some(what) => format!("{operation} {what}"),
        None => operation.to_owned(),
    }
}

pub(super) fn failed(message: &str) -> Status {
    Status { message: text::said(message, MESSAGE), code: StatusCode::Error.into() }
}

/// A link to a span of somebody else's.
pub(super) fn link(context: SpanContext, state: &str) -> Link {
    let remote = SpanFlags::ContextHasIsRemoteMask as u32 | SpanFlags::ContextIsRemoteMask as u32;
    Link {
        trace_id: context.trace.to_vec(),
        span_id: context.span.to_vec(),
        trace_state: state.to_owned(),
        flags: u32::from(context.flags) | remote,
        ..Link::default()
    }
}

/// Since 1970, ns. What is outside of what a span can say is as near to it as can be.
pub(super) fn nanos(at: SystemTime) -> u64 {
    let since = at.duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}

/// So long after that. What is too long is no time at all.
pub(super) fn after(began: SystemTime, elapsed: Duration) -> SystemTime {
    began.checked_add(elapsed).unwrap_or(began)
}
