//! Ids that follow from what they name: the same exchange has the same ones whenever it is told.

use std::fmt;

use perimeter_interceptor::{CallId, ExchangeId};
use serde::{Serialize, Serializer};

/// Names a span: what begins and what ends it share it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SpanId(u64);

impl SpanId {
    pub(super) fn of_session(session: &str) -> Self {
        let mut name = md5::Context::new();
        name.consume("session ");
        name.consume(session);
        Self::of(name.finalize())
    }

    /// The exchange in the words of its id.
    pub(super) fn of_call(exchange: &str, call: CallId) -> Self {
        Self::named(&format!("call {exchange} {call}"))
    }

    /// The tool that was asked for as the `number`th of the call's answer.
    pub(super) fn of_tool(exchange: ExchangeId, call: CallId, number: usize) -> Self {
        Self::named(&format!("tool {exchange} {call} {number}"))
    }

    /// The `number`th of the results that came with the call, of a tool that nobody here saw being asked for.
    pub(super) fn of_result(exchange: ExchangeId, call: CallId, number: usize) -> Self {
        Self::named(&format!("result {exchange} {call} {number}"))
    }

    /// The `number`th part of the call's answer, the result of a tool that was not seen being asked for.
    pub(super) fn of_tool_part(exchange: ExchangeId, call: CallId, number: usize) -> Self {
        Self::named(&format!("part {exchange} {call} {number}"))
    }

    pub(super) fn hex(self) -> Hex<8> {
        Hex(self.0.to_be_bytes())
    }

    fn named(name: &str) -> Self {
        Self::of(md5::compute(name))
    }

    fn of(digest: md5::Digest) -> Self {
        let [a, b, c, d, e, f, g, h, ..] = digest.0;
        Self(u64::from_be_bytes([a, b, c, d, e, f, g, h]))
    }
}

/// 16 hexadecimal digits.
impl fmt::Display for SpanId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

impl Serialize for SpanId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.hex().serialize(serializer)
    }
}

/// The trace of a session: 32 hexadecimal digits.
pub(super) fn trace_of(session: &str) -> Hex<16> {
    Hex(md5::compute(session).0)
}

/// Two hexadecimal digits for each byte.
pub(super) struct Hex<const BYTES: usize>([u8; BYTES]);

impl<const BYTES: usize> Hex<BYTES> {
    pub(super) fn digits(&self) -> [[u8; 2]; BYTES] {
        let digit = |half: u8| if half < 10 { b'0' + half } else { b'a' + half - 10 };
        self.0.map(|byte| [digit(byte >> 4), digit(byte & 15)])
    }
}

impl<const BYTES: usize> Serialize for Hex<BYTES> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(str::from_utf8(self.digits().as_flattened()).unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn traces_are_named_as_the_predecessor_named_them() {
        let trace = serde_json::to_string(&trace_of("a1fc86b8-2cfa-4958-ac14-79a3483b0577")).unwrap();
        assert_eq!(trace, "\"3d956e555151813a4aa7bd233ba78a64\"");
    }

    /// The trace exporter names its spans like this, too (its `spans/ids.rs`), so that a call is found there by its events.
    #[test]
    fn spans_are_named_as_those_of_the_trace_exporter() {
        let (exchange, call) = (ExchangeId::new(1), CallId(0));
        assert_eq!(SpanId::of_session("s").to_string(), "517e42bc6ae6e7aa");
        assert_eq!(SpanId::of_call(&exchange.to_string(), call).to_string(), "be8304b55138aa8e");
        assert_eq!(SpanId::of_tool(exchange, call, 1).to_string(), "876f46975747e9af");
    }

    #[test]
    fn spans_are_sixteen_digits_and_apart() {
        let (one, two) = (ExchangeId::new(1), ExchangeId::new(2));
        let of_call = |exchange: ExchangeId, call| SpanId::of_call(&exchange.to_string(), CallId(call));
        let mut spans = vec![
            SpanId::of_session("s"),
            of_call(one, 0),
            of_call(one, 1),
            of_call(two, 0),
            SpanId::of_tool(one, CallId(0), 0),
            SpanId::of_tool(one, CallId(0), 1),
            SpanId::of_result(one, CallId(0), 0),
        ];
        assert!(spans.iter().all(|span| span.to_string().len() == 16));
        assert_eq!(spans[1], of_call(one, 0));
        spans.sort_unstable();
        spans.dedup();
        assert_eq!(spans.len(), 7);
    }
}
