//! Ids that follow from what they name: the same exchange told twice has the same ones, and the events that are recorded of
//! it have them too.

use perimeter_interceptor::{CallId, ExchangeId};

/// Names a trace.
pub(super) type TraceId = [u8; 16];
/// Names a span.
pub(super) type SpanId = [u8; 8];

/// The trace of a session.
pub(super) fn trace_of_session(session: &str) -> TraceId {
    md5::compute(session).0
}

/// The trace of a call that is told alone.
pub(super) fn trace_of_call(exchange: ExchangeId, call: CallId) -> TraceId {
    md5::compute(format!("trace {exchange} {call}")).0
}

/// The span of a session's main agent, where it is there from the session's beginning. What is recorded as an event has
/// this for a session's own span.
pub(super) fn session(session: &str) -> SpanId {
    named(&format!("session {session}"))
}

/// An agent that begins, or goes on after its end, with this call.
pub(super) fn agent(exchange: ExchangeId, call: CallId) -> SpanId {
    named(&format!("agent {exchange} {call}"))
}

/// A call.
pub(super) fn call(exchange: ExchangeId, call: CallId) -> SpanId {
    named(&format!("call {exchange} {call}"))
}

/// The tool that was asked for as the `number`th of the call's answer.
pub(super) fn tool(exchange: ExchangeId, call: CallId, number: usize) -> SpanId {
    named(&format!("tool {exchange} {call} {number}"))
}

fn named(name: &str) -> SpanId {
    let [a, b, c, d, e, f, g, h, ..] = md5::compute(name).0;
    [a, b, c, d, e, f, g, h]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hex(bytes: &[u8]) -> String {
        bytes.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// In the recorder's crate the same is written down (its `events/ids.rs`).
    #[test]
    fn traces_and_spans_are_named_as_their_events_are() {
        let trace = trace_of_session("a1fc86b8-2cfa-4958-ac14-79a3483b0577");
        assert_eq!(hex(&trace), "3d956e555151813a4aa7bd233ba78a64");
        let exchange = ExchangeId::new(1);
        assert_eq!(hex(&session("s")), "517e42bc6ae6e7aa");
        assert_eq!(hex(&call(exchange, CallId(0))), "be8304b55138aa8e");
        assert_eq!(hex(&tool(exchange, CallId(0), 1)), "876f46975747e9af");
    }

    #[test]
    fn ids_are_apart() {
        let (one, two, first) = (ExchangeId::new(1), ExchangeId::new(2), CallId(0));
        let mut ids = [
            session("s"),
            agent(one, first),
            call(one, first),
            call(one, CallId(1)),
            call(two, first),
            tool(one, first, 0),
            tool(one, first, 1),
        ];
        ids.sort_unstable();
        assert!(ids.windows(2).all(|pair| pair[0] != pair[1]));
        assert_ne!(trace_of_call(one, first), trace_of_call(one, CallId(1)));
    }
}
