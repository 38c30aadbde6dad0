//! The header `traceparent` of W3C's Trace Context, where the configuration asks for one of ours.

use http::header::{HeaderMap, HeaderName, HeaderValue};
use perimeter_interceptor::SpanContext;

use crate::state::random;

const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");

/// The span that the forwarded request is to name: in the client's trace, where the client told one, else in one of its
/// own. `None` where what the client told is not valid, so that it passes as it came.
pub(super) fn span_for(headers: &HeaderMap) -> Option<SpanContext> {
    let mut told = headers.get_all(TRACEPARENT).iter();
    let span = random().ok()?;
    match (told.next(), told.next()) {
        (None, _) => Some(SpanContext::new(random().ok()?, span, SAMPLED_AND_RANDOM)),
        (Some(told), None) => {
            let client = SpanContext::parse(told.as_bytes())?;
            Some(SpanContext::new(client.trace, span, client.flags))
        }
        _ => None,
    }
}

/// A trace that begins here is told, and its id is random.
const SAMPLED_AND_RANDOM: u8 = 3;

/// Names the span in the headers, in place of the client's.
pub(super) fn name(span: SpanContext, headers: &mut HeaderMap) {
    if let Ok(value) = HeaderValue::from_str(&span.to_string()) {
        headers.insert(TRACEPARENT, value);
    }
}
