//! Where a call's span is: in which trace, under which span.

use std::sync::Arc;

use opentelemetry_proto::tonic::trace::v1::span::Link;
use perimeter_interceptor::{Call, CallId, Exchange, SpanContext};

use super::ids::{self, SpanId, TraceId};
use super::sampler::Sampler;
use super::settings::{Settings, Spans, WhenInstrumented};
use super::span::{self, Above};
use super::trace_parent::TraceParent;

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
    /// Of a call: in the client's trace where it has one; in the trace that the forwarded request names, if it names
    /// one; else in the tree.
    pub(super) fn of(
        settings: &Settings,
        sampler: Sampler,
        (exchange, call): (&Exchange, &Call),
        parent: Option<&Arc<TraceParent>>,
    ) -> Self {
        let is_placed = parent.is_some() || exchange.sent.is_some();
        let in_tree = settings.spans.map_or(!is_placed, |spans| spans == Spans::Tree);
        let place = match (parent, settings.when_instrumented) {
            (Some(parent), WhenInstrumented::Skip) => Self::skipped(parent),
            (Some(parent), WhenInstrumented::Emit) if !in_tree => {
                Self::under(sampler, parent, span_of(exchange, call))
            }
            _ if in_tree => {
                let trace = ids::trace_of_session(&call.session.id);
                let mut place = Self::root(sampler, trace, ids::call(exchange.id, call.id));
                place.in_tree = place.told;
                place.links.extend(exchange.sent.map(|sent| span::link(sent, "")));
                place
            }
            (None, _) if let Some(sent) = exchange.sent => {
                let mut place = Self::root(sampler, sent.trace, span_of(exchange, call));
                place.context.flags |= sent.flags & !1;
                place
            }
            _ => {
                let trace = ids::trace_of_call(exchange.id, call.id);
                Self::root(sampler, trace, ids::call(exchange.id, call.id))
            }
        };
        place.known_to(parent)
    }

    /// In the client's trace.
    fn under(sampler: Sampler, parent: &TraceParent, span: SpanId) -> Self {
        let context = parent.context;
        let told = sampler.samples(context.trace, Some(context.flags));
        let flags = context.flags & !1 | u8::from(told);
        Self {
            context: SpanContext::new(context.trace, span, flags),
            above: Above::Client(context.span),
            in_tree: false,
            told,
            state: parent.state.clone(),
            links: Vec::new(),
            instrumented: true,
        }
    }

    /// In a trace of ours.
    fn root(sampler: Sampler, trace: TraceId, span: SpanId) -> Self {
        let told = sampler.samples(trace, None);
        Self {
            context: SpanContext::new(trace, span, u8::from(told)),
            above: Above::None,
            in_tree: false,
            told,
            state: String::new(),
            links: Vec::new(),
            instrumented: false,
        }
    }

    /// Nowhere: its log records are the client's span's.
    fn skipped(parent: &TraceParent) -> Self {
        Self {
            context: parent.context,
            above: Above::None,
            in_tree: false,
            told: false,
            state: String::new(),
            links: Vec::new(),
            instrumented: true,
        }
    }

    /// With a link to the client's span, where it is not under that.
    fn known_to(mut self, parent: Option<&Arc<TraceParent>>) -> Self {
        if let Some(parent) = parent.filter(|_| !self.instrumented) {
            self.instrumented = true;
            self.links.insert(0, span::link(parent.context, &parent.state));
        }
        self
    }
}

/// The span of a call. Where the forwarded request names one, that is of its first.
fn span_of(exchange: &Exchange, call: &Call) -> SpanId {
    let sent = exchange.sent.filter(|_| call.id == CallId(0));
    sent.map_or_else(|| ids::call(exchange.id, call.id), |sent| sent.span)
}
