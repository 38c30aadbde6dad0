//! Calls without a whole answer: what their spans and log records say of it.

use opentelemetry_proto::tonic::logs::v1::LogRecord;
use opentelemetry_proto::tonic::trace::v1::Span;
use serde_json::{Value, json};

use super::collector::Collector;
use super::spoken::{completion_stream, event, message_stream, text};
use super::stage::{Ask, Stage, begin, end, exporting, says, settings};
use super::told::{KEYS, Told, assert_call, attribute, events, find};
use crate::support::provider::Nobody;
use crate::support::{Ending, Proxy};

const ERROR: i32 = 2;

fn calls() -> Value {
    json!({"trace": {"spans": "calls"}})
}

/// The only span, and the only log record, which is about it.
#[track_caller]
fn only(told: &Told) -> (&Span, &LogRecord) {
    let ([span], [log]) = (&told.spans[..], &told.logs[..]) else {
        panic!("{:#?} {:#?}", told.spans, told.logs)
    };
    assert_eq!((&log.trace_id, &log.span_id), (&span.trace_id, &span.span_id));
    assert_eq!(log.time_unix_nano, span.end_time_unix_nano);
    assert_eq!((&*log.event_name, &*log.severity_text), ("gen_ai.client.operation.exception", "WARN"));
    assert_eq!(log.severity_number, 13);
    (span, log)
}

/// Asserts what went wrong, wherever that is said.
#[track_caller]
fn assert_failed<'a>(told: &'a Told, kind: &str, message: &str) -> &'a Span {
    let (span, log) = only(told);
    assert_call(span, &[], 0x101, (ERROR, message));
    assert_eq!(attribute(span, "error.type"), kind, "{span:#?}");
    assert_eq!(find(&log.attributes, "exception.type"), kind);
    assert_eq!(find(&log.attributes, "exception.message"), message);
    span
}

#[test]
fn a_refusal_is_told_in_the_providers_word_and_without_the_key_that_it_quotes() {
    let stage = Stage::start(calls());
    let message = format!("Slow down, {}: too many requests", KEYS[1]);
    let answer = json!({"error": {"message": message, "type": "requests", "code": "rate_limit_exceeded"}});
    stage.answers(&Ask::chat("Hello"), 429, &answer);
    let told = stage.stop();
    let span =
        assert_failed(&told, "rate_limit_exceeded", "Slow down, sk-proj-[REDACTED]: too many requests");
    assert_eq!(attribute(span, "http.response.status_code"), 429);
    assert_eq!(attribute(span, "gen_ai.response.finish_reasons"), Value::Null);
    assert_eq!(attribute(span, "gen_ai.usage.input_tokens"), Value::Null);
}

#[test]
fn a_stream_in_which_the_provider_says_that_it_is_overloaded_has_failed() {
    let stage = Stage::anthropic(calls());
    let body = json!({"model": "claude-sonnet-5", "max_tokens": 9, "stream": true,
        "messages": [{"role": "user", "content": "Hello"}]});
    let mut pieces =
        message_stream(&json!([text("Hel")]), "end_turn", &json!({"input_tokens": 9, "output_tokens": 3}));
    pieces.truncate(3);
    pieces.push(event("error", json!({"error": {"type": "overloaded_error", "message": "Overloaded"}})));
    stage.streams(&Ask::claude(body), &pieces);
    let told = stage.stop();
    let span = assert_failed(&told, "overloaded_error", "Overloaded");
    assert_eq!(attribute(span, "http.response.status_code"), 200);
    assert_eq!(attribute(span, "gen_ai.response.finish_reasons"), json!(["error"]));
    assert_eq!(attribute(span, "gen_ai.response.id"), "msg_1");
    assert_eq!(attribute(span, "gen_ai.usage.input_tokens"), 9);
    assert_eq!(events(span), ["gen_ai.first_chunk", "perimeter.first_token"]);
}

#[test]
fn a_provider_that_is_not_there_is_told_as_such() {
    let (nobody, collector) = (Nobody::new(), Collector::start());
    let yaml = exporting(&settings(&collector, &calls()));
    let proxy = Proxy::to_url(nobody.url()).yaml(&yaml).start();
    let mut client = proxy.connect();
    let began = std::time::SystemTime::now();
    let body = Ask::chat("Hello").body.to_string();
    client.send(format!(
        "POST /v1/chat/completions HTTP/1.1\r\nHost: app\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    ));
    assert_eq!(client.head().status(), 502);
    let stderr = proxy.stop().stderr;
    let told = Told::of(collector.asked(), (began, std::time::SystemTime::now()));
    told.assert_fine(&stderr);
    let (span, log) = only(&told);
    let message = span.status.as_ref().unwrap().message.clone();
    assert!(!message.is_empty());
    assert_call(span, &[], 0x101, (ERROR, &message));
    assert_eq!(attribute(span, "error.type"), "connect_error");
    assert_eq!(find(&log.attributes, "exception.type"), "connect_error");
    assert_eq!(attribute(span, "http.response.status_code"), Value::Null, "no provider said anything");
    assert_eq!(
        attribute(span, "server.port"),
        nobody.host().rsplit(':').next().unwrap().parse::<u16>().unwrap()
    );
}

/// A stream of which the client has got a word.
fn broken_off(how: impl FnOnce(crate::support::Wire, crate::support::Wire)) -> Told {
    let stage = Stage::start(calls());
    let mut ask = Ask::chat("Hello");
    ask.body["stream"] = json!(true);
    let (mut client, mut upstream, _) = stage.asks(&ask);
    begin(&mut client, &mut upstream);
    says(&mut client, &mut upstream, &completion_stream(&["Hello"])[0]);
    how(client, upstream);
    stage.stop()
}

#[test]
fn a_client_that_leaves_in_the_middle_is_told_as_such() {
    let told = broken_off(|client, mut upstream| {
        client.close();
        upstream.expect_end();
    });
    let (span, _) = only(&told);
    assert_eq!(attribute(span, "error.type"), "client_cancelled");
    assert_eq!(span.status.as_ref().unwrap().code, ERROR);
    assert_eq!(attribute(span, "gen_ai.response.finish_reasons"), json!(["error"]));
    assert_eq!(attribute(span, "perimeter.stream.closed_first"), "client");
    assert_eq!(
        events(span),
        ["gen_ai.first_chunk", "perimeter.first_token", "perimeter.client_disconnected"]
    );
    assert_eq!(span.events[2].time_unix_nano, span.end_time_unix_nano);
}

#[test]
fn a_stream_that_the_provider_breaks_off_is_told_as_such() {
    let told = broken_off(|mut client, upstream| {
        upstream.close();
        assert!(matches!(client.rest().1, Ending::Fin | Ending::Reset));
    });
    let (span, _) = only(&told);
    assert_eq!(attribute(span, "error.type"), "stream_truncated");
    assert_eq!(attribute(span, "gen_ai.response.finish_reasons"), json!(["error"]));
    assert_eq!(attribute(span, "perimeter.stream.closed_first"), "upstream");
    assert_eq!(events(span), ["gen_ai.first_chunk", "perimeter.first_token"]);
}

#[test]
fn a_stream_that_ends_in_order_before_its_answer_does_is_told_as_such() {
    let told = broken_off(end);
    let span = assert_failed(&told, "stream_truncated", "the response ended before the answer did");
    assert_eq!(attribute(span, "gen_ai.response.finish_reasons"), json!(["error"]));
}

#[test]
fn an_agent_whose_last_call_failed_has_failed_and_one_that_went_on_has_not() {
    let stage = Stage::anthropic(json!({}));
    let session = "x-claude-code-session-id: 0b9f4c1e-5a5e-4d0e-9c57-3f1d2a7b8c90";
    let body = json!({"model": "claude-sonnet-5", "max_tokens": 9,
        "messages": [{"role": "user", "content": "Hello"}]});
    let overloaded = json!({"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}});
    let ask = Ask::claude(body.clone()).with(session);
    stage.answers(&ask, 529, &overloaded);
    let message = super::spoken::message(
        &json!([text("Hi")]),
        "end_turn",
        &json!({"input_tokens": 9, "output_tokens": 3}),
    );
    stage.call(&ask, &message);
    stage.answers(&Ask::claude(body).with("x-claude-code-session-id: other"), 529, &overloaded);
    let told = stage.stop();
    let agents = told.named("invoke_agent");
    let kinds: Vec<_> = agents.iter().map(|agent| attribute(agent, "error.type")).collect();
    assert_eq!(kinds, [Value::Null, json!("overloaded_error")]);
    let relations: Vec<_> = told
        .named("chat claude-sonnet-5")
        .iter()
        .map(|call| attribute(call, "perimeter.session.relation"))
        .collect();
    assert_eq!(relations, ["opening", "retry", "opening"]);
    assert_eq!(told.logs.len(), 2);
}
