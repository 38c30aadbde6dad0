//! A `traceparent` of ours travels only where the configuration asks for one.

use crate::support::{Head, Proxy, forwarded, forwarded_by};

const CLIENTS: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00";

fn asking(fields: &str) -> Head {
    let request = format!("GET /v1/models HTTP/1.1\r\nHost: app\r\nX-A: 1\r\n{fields}X-B: 2\r\n\r\n");
    forwarded_by(|provider| Proxy::to(provider).yaml("llm: {traceparent: true}\n"), request)
}

/// Trace and span of a request's only `traceparent`.
fn told(head: &Head) -> (String, String, String) {
    let [value] = head.values("traceparent")[..] else { panic!("{}", head.text()) };
    let [version, trace, span, flags] = value.split('-').collect::<Vec<_>>()[..] else { panic!("{value}") };
    assert_eq!((version, trace.len(), span.len()), ("00", 32, 16), "{value}");
    (trace.to_owned(), span.to_owned(), flags.to_owned())
}

#[test]
fn nobody_who_did_not_ask_gets_one() {
    let head = forwarded("GET / HTTP/1.1\r\nHost: app\r\n\r\n");
    assert!(!head.has("traceparent"), "{}", head.text());
    let head = forwarded(format!("GET / HTTP/1.1\r\nHost: app\r\nTraceparent: {CLIENTS}\r\n\r\n"));
    assert_eq!(head.values("traceparent"), [CLIENTS]);
}

#[test]
fn whoever_asks_gets_a_trace_for_each_request_and_nothing_else_changes() {
    let (one, other) = (asking(""), asking(""));
    assert_eq!(one.names(), ["Host", "X-A", "X-B", "traceparent"]);
    let ((trace, span, flags), (another, _, _)) = (told(&one), told(&other));
    assert!(trace != another && flags == "03" && span.bytes().any(|byte| byte != b'0'));
}

#[test]
fn within_a_clients_trace_our_span_takes_the_place_of_its_own() {
    let head = asking(&format!("TraceParent: {CLIENTS}\r\ntracestate: a=b\r\n"));
    assert_eq!(head.names(), ["Host", "X-A", "TraceParent", "tracestate", "X-B"]);
    let (trace, span, flags) = told(&head);
    assert_eq!((&*trace, &*flags), ("4bf92f3577b34da6a3ce929d0e0e4736", "00"));
    assert_ne!(span, "00f067aa0ba902b7");
    assert_eq!(head.value("tracestate"), Some("a=b"));
}

#[test]
fn what_is_no_trace_passes_as_it_came() {
    for wrong in ["traceparent: 00-1-2-01\r\n", "traceparent: a\r\ntraceparent: b\r\n"] {
        let head = asking(wrong);
        let values = head.values("traceparent").join("+");
        assert!(matches!(&*values, "00-1-2-01" | "a+b"), "{}", head.text());
    }
}
