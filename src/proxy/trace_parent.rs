//! The header `traceparent` of W3C's Trace Context, where the configuration asks for one of ours.

use http::header::{HeaderMap, HeaderName, HeaderValue};
use perimeter_interceptor::SpanContext;

use crate::state::random;

const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");

/// The span that the forwarded request is to name: in the client's trace, where the client told one, else in one of its
/// own. `None` where what the client told is not valid, so that it passes as it came; so does what it says of a trace
/// that it does not name, which is not of ours.
pub(super) fn span_for(headers: &HeaderMap) -> Option<SpanContext> {
    let mut told = headers.get_all(TRACEPARENT).iter();
    let span = random().ok()?;
    match (told.next(), told.next()) {
        (None, _) if headers.contains_key("tracestate") => None,
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

#[cfg(test)]
mod tests {
    use super::*;

    const VALID: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    fn span(told: &[(&'static str, &str)]) -> Option<SpanContext> {
        let mut headers = HeaderMap::new();
        for (name, value) in told {
            headers.append(*name, HeaderValue::from_str(value).unwrap());
        }
        span_for(&headers)
    }

    #[test]
    fn a_span_is_in_the_clients_trace_or_in_a_new_one_and_what_is_not_valid_is_left_alone() {
        let client = SpanContext::parse(VALID.as_bytes()).unwrap();
        let ours = span(&[("traceparent", VALID), ("tracestate", "a=b")]).unwrap();
        assert_eq!((ours.trace, ours.flags), (client.trace, 1));
        assert_ne!(ours.span, client.span);
        assert!(span(&[]).unwrap().is_sampled());
        let upper = VALID.to_uppercase();
        assert_eq!(span(&[("traceparent", &upper)]), None);
        assert_eq!(span(&[("traceparent", VALID), ("traceparent", VALID)]), None);
        assert_eq!(span(&[("tracestate", "a=b")]), None, "it says something of another trace");
    }
}
