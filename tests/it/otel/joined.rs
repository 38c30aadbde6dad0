//! Traces of others: those that clients bring, and the one that the provider is told of.

use serde_json::{Value, json};

use super::spoken::completion;
use super::stage::{Ask, Stage};
use super::told::{Told, assert_call, attribute, hex};

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const SPAN: &str = "00f067aa0ba902b7";

/// What is told of a chat with these headers.
fn told(settings: Value, fields: &[&str]) -> Told {
    let stage = Stage::start(settings);
    let ask = fields.iter().fold(Ask::chat("Hello"), |ask, field| ask.with(field));
    stage.call(&ask, &completion("Hi"));
    stage.stop()
}

#[test]
fn a_call_of_a_trace_is_below_the_clients_own_span() {
    let traceparent = format!("traceparent: 00-{TRACE}-{SPAN}-01");
    let told = told(json!({}), &[&traceparent, "tracestate: vendor=a"]);
    assert_eq!(told.outline(), "chat gpt-4o-mini\n");
    let span = told.span("chat gpt-4o-mini");
    // 0x300: the parent is remote, and that is known.
    assert_call(span, &unhex(SPAN), 0x301, (0, ""));
    assert_eq!((hex(&span.trace_id), &*span.trace_state), (TRACE.to_owned(), "vendor=a"));
    assert_eq!(attribute(span, "perimeter.observed_by"), "proxy");
}

#[test]
fn a_trace_that_is_not_sampled_is_not_told_but_counted() {
    let traceparent = format!("traceparent: 00-{TRACE}-{SPAN}-00");
    let told = told(json!({}), &[&traceparent]);
    assert_eq!(told.outline(), "");
    let [(_, count, _)] = told.points("gen_ai.client.inference.duration")[..] else { panic!() };
    assert_eq!(count, 1);
}

#[test]
fn what_is_no_trace_counts_as_none() {
    let zeros = format!("traceparent: 00-{}-{SPAN}-01", "0".repeat(32));
    let capitals = format!("traceparent: 00-{}-{SPAN}-01", TRACE.to_uppercase());
    for wrong in [&*zeros, &*capitals, "traceparent: 00-1-2-01", "traceparent: ff"] {
        let told = told(json!({}), &[wrong]);
        assert_eq!(told.outline(), "invoke_agent\n  chat gpt-4o-mini\n", "{wrong}");
        let call = told.span("chat gpt-4o-mini");
        assert_ne!(hex(&call.trace_id), TRACE, "{wrong}");
        assert_eq!(attribute(call, "perimeter.observed_by"), Value::Null, "{wrong}");
    }
}

#[test]
fn a_client_that_tells_itself_is_linked_to_or_left_alone_where_that_is_wanted() {
    let traceparent = format!("traceparent: 00-{TRACE}-{SPAN}-01");
    let linked = told(json!({"trace": {"when_instrumented": "link"}}), &[&traceparent]);
    let call = linked.span("chat gpt-4o-mini");
    let [link] = &call.links[..] else { panic!("{call:#?}") };
    assert_eq!((hex(&link.trace_id), hex(&link.span_id)), (TRACE.to_owned(), SPAN.to_owned()));
    assert_ne!(hex(&call.trace_id), TRACE);
    let skipped = told(json!({"trace": {"when_instrumented": "skip"}}), &[&traceparent]);
    assert_eq!(skipped.outline(), "");
    let in_tree = told(json!({"trace": {"spans": "tree"}}), &[&traceparent]);
    assert_eq!(in_tree.outline(), "invoke_agent\n  chat gpt-4o-mini\n");
    assert_eq!(in_tree.span("chat gpt-4o-mini").links.len(), 1);
}

/// What the provider is told to be asked by, and what the backend is told of that.
fn named(fields: &[&str]) -> (Vec<String>, Told) {
    let stage = Stage::with(&json!({}), |setup| setup.yaml("llm: {traceparent: true}"));
    let ask = fields.iter().fold(Ask::chat("Hello"), |ask, field| ask.with(field));
    let (mut client, mut upstream, head) = stage.asks(&ask);
    let answer = completion("Hi").to_string();
    upstream.send(format!(
        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{answer}",
        answer.len()
    ));
    client.head();
    client.expect(&answer);
    drop((client, upstream));
    let parts = head.value("traceparent").unwrap().split('-').map(str::to_owned).collect();
    (parts, stage.stop())
}

#[test]
fn the_span_that_the_provider_is_told_of_is_the_one_that_the_backend_gets() {
    let (parts, told) = named(&[]);
    assert_eq!(told.outline(), "chat gpt-4o-mini\n");
    let span = told.span("chat gpt-4o-mini");
    assert_eq!([&*hex(&span.trace_id), &*hex(&span.span_id)], parts[1..3]);
    assert!(span.parent_span_id.is_empty());
    assert_eq!(parts[3], "03");

    let (parts, told) = named(&[&format!("traceparent: 00-{TRACE}-{SPAN}-01")]);
    let span = told.span("chat gpt-4o-mini");
    assert_eq!([TRACE, &*hex(&span.span_id)], parts[1..3]);
    assert_eq!((hex(&span.trace_id), hex(&span.parent_span_id)), (TRACE.to_owned(), SPAN.to_owned()));
}

fn unhex(text: &str) -> Vec<u8> {
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap()).collect()
}
