//! The client's own traces, and which traces are told.

use std::sync::Arc;

use opentelemetry_proto::tonic::trace::v1::Span;
use perimeter_interceptor::host::{Desk, Notice};
use perimeter_interceptor::testing::{Scene, Script};
use perimeter_interceptor::{Interest, SpanContext};

use super::exchanges::{Answers, asks, at, call_of, result, said};
use super::show::hex;
use super::{attribute, ended, named, spans_with};

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const SPAN: &str = "00f067aa0ba902b7";

/// A session of which the second call is traced by the client.
fn traced(flags: &str) -> Script {
    let parent = format!("00-{TRACE}-{SPAN}-{flags}");
    let scene = Scene::post("/v1/messages")
        .header("traceparent", parent)
        .header("tracestate", "congo=t61rcWkgMzE")
        .header("tracestate", "rojo=1");
    let script = Script::new()
        .scene(asks(at(1), vec![said("Hello")]).uses("toolu_1", "Bash", "{}").answers_well("Hi"))
        .scene(call_of(scene, at(2), vec![said("Go on")], "{}").answers_well("Well"));
    ended(script, 2)
}

fn of_client(span: &Span) -> bool {
    hex(&span.trace_id) == TRACE
}

fn counts(settings: &str, flags: &str) -> (usize, usize) {
    let spans = spans_with(settings, traced(flags));
    (spans.iter().filter(|span| of_client(span)).count(), spans.len())
}

#[test]
fn a_call_that_the_client_traces_is_under_its_span() {
    let spans = spans_with("{}", traced("01"));
    let call = spans.iter().find(|span| of_client(span)).unwrap();
    assert_eq!((&*call.name, hex(&call.parent_span_id)), ("chat claude-sonnet-5", SPAN.to_owned()));
    assert_eq!(call.trace_state, "congo=t61rcWkgMzE,rojo=1");
    assert_eq!(call.flags, 0x301, "sampled; it is known that the parent is remote, and it is");
    assert!(call.links.is_empty());
    assert_eq!(attribute(call, "perimeter.observed_by"), "\"proxy\"");
    assert_eq!(attribute(call, "session.id"), "\"11111111-2222-4333-8444-555555555555\"");
    assert_eq!(spans.len(), 4, "the other call is in the session's trace, with its agent and its tool");
}

#[test]
fn a_tree_that_is_asked_for_has_all_calls_with_links_to_the_clients() {
    let spans = spans_with(r#"{"spans":"tree"}"#, traced("01"));
    assert_eq!((spans.iter().filter(|span| of_client(span)).count(), spans.len()), (0, 4));
    let linked: Vec<_> = spans.iter().filter(|span| !span.links.is_empty()).collect();
    assert_eq!(linked.len(), 1);
    let link = &linked[0].links[0];
    assert_eq!((hex(&link.trace_id), hex(&link.span_id)), (TRACE.to_owned(), SPAN.to_owned()));
    assert_eq!((&*link.trace_state, link.flags), ("congo=t61rcWkgMzE,rojo=1", 0x301));
    assert_eq!(linked[0].trace_state, "");
    assert_eq!(spans[0].trace_id, linked[0].trace_id);
}

#[test]
fn calls_that_the_client_may_tell_itself_can_be_linked_or_left_out() {
    let spans = spans_with(r#"{"when_instrumented":"link"}"#, traced("01"));
    let linked: Vec<_> = spans.iter().filter(|span| !span.links.is_empty()).collect();
    assert_eq!((linked.len(), spans.len()), (1, 4));
    assert!(linked[0].parent_span_id.is_empty() && linked[0].trace_id != spans[0].trace_id, "a root");
    assert_eq!(counts(r#"{"when_instrumented":"skip"}"#, "01"), (0, 3));
    assert_eq!(counts(r#"{"when_instrumented":"skip","spans":"tree"}"#, "01"), (0, 3));
    assert_eq!(counts(r#"{"when_instrumented":"emit","spans":"calls"}"#, "01"), (1, 2));
}

#[test]
fn the_client_decides_whether_its_trace_is_told() {
    assert_eq!(counts("{}", "00"), (0, 3));
    assert_eq!(counts("{}", "02"), (0, 3));
    assert_eq!(counts("{}", "03"), (1, 4));
    assert_eq!(counts(r#"{"sampler":"parentbased_always_off"}"#, "01"), (1, 1));
    assert_eq!(counts(r#"{"sampler":"always_on"}"#, "00"), (1, 4));
    assert_eq!(counts(r#"{"sampler":"always_off"}"#, "01"), (0, 0));
    assert_eq!(counts(r#"{"sampler":"traceidratio","sampler_arg":0}"#, "01"), (0, 0));
    // A tree is a trace of ours.
    assert_eq!(counts(r#"{"spans":"tree"}"#, "00"), (0, 4));
}

#[test]
fn a_result_in_a_call_that_the_client_traces_ends_its_tool() {
    let scene = Scene::post("/v1/messages").header("traceparent", format!("00-{TRACE}-{SPAN}-01"));
    let script = Script::new()
        .scene(asks(at(1), vec![said("Hello")]).uses("toolu_1", "Bash", "{}").answers_well(""))
        .scene(call_of(scene, at(2), vec![result("toolu_1", "x")], "{}").answers_well("Well"));
    let spans = spans_with("{}", ended(script, 2));
    let tool = named(&spans, "execute_tool Bash");
    assert_eq!(attribute(tool, "perimeter.tool.unanswered"), "");
    assert!(tool.end_time_unix_nano > tool.start_time_unix_nano);
}

/// The spans of a session whose exchange was forwarded with this span in its `traceparent`.
fn sent(trace: &str, client: Option<&str>) -> Vec<Span> {
    let scene = Scene::post("/v1/messages");
    let scene = client.into_iter().fold(scene, |scene, parent| scene.header("traceparent", parent));
    let script = Script::new().scene(call_of(scene, at(1), vec![], "{}").answers_well("Hi"));
    let (exporter, kept) = super::exporter(trace);
    let mut desk = Desk::new(exporter, Interest::LLM);
    for mut notice in ended(script, 1).notices() {
        if let Notice::Exchange { exchange, .. } = &mut notice {
            Arc::make_mut(exchange).sent =
                SpanContext::parse(format!("00-{TRACE}-0000000000000007-03").as_bytes());
        }
        desk.take(&notice).unwrap();
    }
    desk.shut_down().unwrap();
    kept.spans()
}

#[test]
fn a_span_that_the_provider_was_named_is_that_of_the_call() {
    let named = |spans: Vec<Span>| {
        let call = spans.into_iter().find(|span| span.name.starts_with("chat")).unwrap();
        (hex(&call.trace_id), hex(&call.span_id), hex(&call.parent_span_id))
    };
    let (trace, span) = (TRACE.to_owned(), "0000000000000007".to_owned());
    assert_eq!(named(sent("{}", None)), (trace.clone(), span.clone(), String::new()));
    let spans = sent("{}", None);
    assert_eq!((spans.len(), spans[0].flags), (1, 0x103), "it cannot be in two traces");
    let client = format!("00-{TRACE}-{SPAN}-01");
    assert_eq!(named(sent("{}", Some(&client))), (trace, span, SPAN.to_owned()));
}

#[test]
fn a_tree_that_is_asked_for_has_links_to_what_the_provider_was_named() {
    let spans = sent(r#"{"spans":"tree"}"#, None);
    let call = spans.iter().find(|span| span.name.starts_with("chat")).unwrap();
    assert_eq!((spans.len(), call.links.len()), (2, 1));
    assert_eq!(
        (hex(&call.links[0].trace_id), hex(&call.links[0].span_id)),
        (TRACE.into(), "0000000000000007".into())
    );
}

#[test]
fn flags_say_what_was_decided() {
    let flags = |settings: &str, flags: &str| {
        let spans = spans_with(settings, traced(flags));
        spans.iter().find(|span| of_client(span)).unwrap().flags
    };
    assert_eq!(flags("{}", "03"), 0x303, "a random trace stays random");
    assert_eq!(flags(r#"{"sampler":"always_on"}"#, "00"), 0x301);
}

#[test]
fn a_trace_that_is_not_valid_is_none() {
    for headers in [&["00-x"][..], &["00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"; 2]] {
        let scene = headers
            .iter()
            .fold(Scene::post("/v1/messages"), |scene, parent| scene.header("traceparent", parent));
        let script = Script::new().scene(call_of(scene, at(1), vec![], "{}").answers_well("Hi"));
        let spans = spans_with("{}", ended(script, 1));
        assert!(spans.len() == 2 && !spans.iter().any(of_client), "{headers:?}");
    }
}

#[test]
fn a_session_is_sampled_as_a_whole() {
    let some = |ratio: &str| {
        let settings = format!(r#"{{"sampler":"traceidratio","sampler_arg":{ratio}}}"#);
        spans_with(&settings, traced("01")).len()
    };
    assert_eq!((some("0.0"), some("1.0")), (0, 4));
    let half = some("0.5");
    assert!([0, 1, 3, 4].contains(&half), "{half}: the three of the session are told together");
}
