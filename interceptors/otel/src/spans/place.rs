//! Where a call's span is: in which trace, under which span.

use std::sync::Arc;

use opentelemetry_proto::tonic::trace::v1::span::Link;
use perimeter_interceptor::{Call, Exchange};

use super::ids;
use super::sampler::Sampler;
use super::settings::{Settings, Spans, WhenInstrumented};
use super::span::{self, Above};
use super::trace_parent::TraceParent;
use crate::finished::SpanContext;

/// Where a call's span is.
#[derive(Clone, Debug)]
pub(super) struct Place {
    pub(super) context: SpanContext,
    pub(super) above: Above,
    /// Whether it is in the trace of its session, among agents and tools.
    pub(super) in_tree: bool,
    /// Whether it is told.
    pub(super) told: bool,
    /// What others say of the trace.
    pub(super) state: String,
    pub(super) links: Vec<Link>,
    /// Whether the client has a trace of its own for it.
    pub(super) instrumented: bool,
}

impl Place {
    pub(super) fn of(
        settings: &Settings,
        sampler: Sampler,
        (exchange, call): (&Exchange, &Call),
        parent: Option<&Arc<TraceParent>>,
    ) -> Self {
        let when = settings.when_instrumented;
        let in_tree = settings.spans.map_or(parent.is_none(), |spans| spans == Spans::Tree);
        match parent {
            Some(parent) if when == WhenInstrumented::Skip => Self::skipped(parent),
            Some(parent) if !in_tree && when == WhenInstrumented::Emit => {
                Self::under(sampler, (exchange, call), parent)
            }
            _ => Self::ours(sampler, (exchange, call), in_tree, parent.map(|parent| &**parent)),
        }
    }

    /// In the client's trace.
    fn under(sampler: Sampler, (exchange, call): (&Exchange, &Call), parent: &TraceParent) -> Self {
        let told = sampler.samples(parent.trace, Some(parent.flags));
        let flags = parent.flags & !1 | u8::from(told);
        let context = SpanContext { trace: parent.trace, span: ids::call(exchange.id, call.id), flags };
        Self {
            context,
            above: Above::Client(parent.span),
            in_tree: false,
            told,
            state: parent.state.clone(),
            links: Vec::new(),
            instrumented: true,
        }
    }

    /// In a trace of ours, that of its session or one of its own.
    fn ours(
        sampler: Sampler,
        (exchange, call): (&Exchange, &Call),
        in_tree: bool,
        parent: Option<&TraceParent>,
    ) -> Self {
        let trace = match in_tree {
            true => ids::trace_of_session(&call.session.id),
            false => ids::trace_of_call(exchange.id, call.id),
        };
        let told = sampler.samples(trace, None);
        let context = SpanContext { trace, span: ids::call(exchange.id, call.id), flags: u8::from(told) };
        Self {
            context,
            above: Above::None,
            in_tree: in_tree && told,
            told,
            state: String::new(),
            links: parent.map(span::link).into_iter().collect(),
            instrumented: parent.is_some(),
        }
    }

    /// Nowhere: its log records are the client's span's.
    fn skipped(parent: &TraceParent) -> Self {
        let context = SpanContext { trace: parent.trace, span: parent.span, flags: parent.flags };
        Self {
            context,
            above: Above::None,
            in_tree: false,
            told: false,
            state: String::new(),
            links: Vec::new(),
            instrumented: true,
        }
    }
}
