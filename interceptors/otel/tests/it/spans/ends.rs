//! How calls end, and what their spans say of it.

use std::sync::Arc;
use std::time::Duration;

use opentelemetry_proto::tonic::trace::v1::Span;
use perimeter_interceptor::testing::{Scene, Script, scenes};
use perimeter_interceptor::{
    ApiFailure, BodyEnd, CallId, Cost, LlmEvent, Operation, Peer, Relation, Usage, Usd,
};

use super::exchanges::{Answers, after, asks, at, said, stream, with_everything};
use super::show::{self, BEGINNING};
use super::{attribute, spans_of, spans_with};

/// The span of the only call.
#[track_caller]
fn call_of(script: impl Into<Script>) -> Span {
    let mut spans = spans_with(r#"{"spans":"calls"}"#, script);
    assert_eq!(spans.len(), 1, "{}", show::tree(&spans));
    spans.remove(0)
}

fn text(span: Span) -> String {
    show::tree(&[span])
}

/// Status, `error.type`, finish reasons, status of HTTP.
fn outcome(span: &Span) -> (i32, String, String, String) {
    let status = span.status.as_ref().unwrap().code;
    let said = |key| attribute(span, key);
    (status, said("error.type"), said("gen_ai.response.finish_reasons"), said("http.response.status_code"))
}

fn ended_with(status: i32, error: &str, reasons: &str, http: &str) -> (i32, String, String, String) {
    (status, error.into(), reasons.into(), http.into())
}

/// From the beginning of the script, ms.
fn times(span: &Span) -> (u64, u64) {
    let millis = |nanos: u64| (nanos - BEGINNING) / 1_000_000;
    (millis(span.start_time_unix_nano), millis(span.end_time_unix_nano))
}

#[test]
fn a_streamed_answer() {
    insta::assert_snapshot!(text(call_of(asks(at(1), vec![said("Hello")]).answers_well("Hi"))));
}

#[test]
fn an_answer_at_once() {
    let span = call_of(scenes::whole());
    assert!(span.events.is_empty() && attribute(&span, "gen_ai.request.stream").is_empty());
    insta::assert_snapshot!(text(span));
}

#[test]
fn an_error_in_place_of_an_answer() {
    let span = call_of(scenes::api_error());
    assert_eq!(outcome(&span), ended_with(2, "\"rate_limit_error\"", "", "429"));
    assert_eq!(span.status.as_ref().unwrap().message, "Slow down.");
    insta::assert_snapshot!(text(span));
}

#[test]
fn an_error_without_a_word_goes_by_its_status() {
    let failure = ApiFailure::new(CallId(0), 529, "");
    let scene = Scene::post("/v1/messages").request("{}").asks("m", "Hello").response(529);
    let span = call_of(scene.llm(LlmEvent::Failure(Arc::new(failure))));
    assert_eq!(outcome(&span), ended_with(2, "\"529\"", "", "529"));
}

#[test]
fn an_error_in_the_middle_of_a_stream() {
    let mut failure = ApiFailure::new(CallId(0), 200, "Overloaded.");
    failure.kind = Some("overloaded_error".into());
    let scene = asks(at(1), vec![said("Hello")]).says("The capital ");
    let mut cut = scene.completion("The capital ", Some(Usage::new(9, 2)));
    cut.answers[0].stop = None;
    cut.stream = Some(stream().into());
    let scene = scene.llm(LlmEvent::Cut(Arc::new(cut))).llm(LlmEvent::Failure(Arc::new(failure)));
    let span = call_of(scene.end());
    assert_eq!(outcome(&span), ended_with(2, "\"overloaded_error\"", "[\"error\"]", "200"));
    insta::assert_snapshot!(text(span));
}

#[test]
fn no_provider() {
    let span = call_of(scenes::unreachable());
    assert_eq!(outcome(&span), ended_with(2, "\"upstream_unreachable\"", "", ""), "the 502 is the proxy's");
    let refused = Scene::post("/v1/messages")
        .request("{}")
        .asks("m", "Hello")
        .after(Duration::from_millis(30))
        .failure("upstream_connect", "connection refused")
        .response(502)
        .after(Duration::from_secs(1));
    let span = call_of(refused);
    assert_eq!(outcome(&span), ended_with(2, "\"connect_error\"", "", ""));
    assert_eq!(times(&span), (1_000, 1_034), "until it failed, whenever the proxy's own answer was read");
}

#[test]
fn no_provider_before_the_request_was_read() {
    let scene = Scene::post("/v1/messages")
        .failure("upstream_connect_timeout", "no connection within 10 s")
        .response(502)
        .request("{}")
        .asks("m", "Hello");
    assert_eq!(outcome(&call_of(scene)), ended_with(2, "\"timeout\"", "", ""));
}

#[test]
fn a_client_that_leaves() {
    let scene = asks(at(1), vec![said("Hello")]).after(Duration::from_millis(100)).says("The ");
    let mut cut = scene.completion("The ", None);
    cut.answers[0].stop = None;
    cut.stream = Some(stream().into());
    let span = call_of(scene.llm(LlmEvent::Cut(Arc::new(cut))).aborted());
    assert_eq!(outcome(&span), ended_with(2, "\"client_cancelled\"", "[\"error\"]", "200"));
    assert_eq!(attribute(&span, "perimeter.stream.closed_first"), "\"client\"");
    let left = span.events.iter().find(|event| event.name == "perimeter.client_disconnected").unwrap();
    assert_eq!(left.time_unix_nano, span.end_time_unix_nano);
    insta::assert_snapshot!(text(span));
}

#[test]
fn a_client_that_leaves_behind_the_last_word_has_not_ended_the_answer() {
    let scene = asks(at(1), vec![said("Hello")]).after(Duration::from_millis(100)).says("The end");
    let mut answer = scene.completion("The end", None);
    answer.stream = Some(stream().into());
    let span = call_of(scene.llm(LlmEvent::Completion(Arc::new(answer))).aborted());
    assert_eq!(outcome(&span), ended_with(0, "", "[\"stop\"]", "200"));
    assert_eq!(attribute(&span, "perimeter.stream.closed_first"), "\"upstream\"");
}

#[test]
fn a_client_that_leaves_before_the_answer() {
    let span = call_of(scenes::client_left_before_the_head());
    assert_eq!(outcome(&span), ended_with(2, "\"client_cancelled\"", "", ""));
    assert_eq!(times(&span).1 - times(&span).0, 2_004, "until it left, and not to the last byte");
}

#[test]
fn everyone_else_who_can_end_a_stream() {
    assert_eq!(
        outcome(&call_of(scenes::broken_off())),
        ended_with(2, "\"stream_truncated\"", "[\"error\"]", "200")
    );
    let asked = || asks(at(1), vec![said("Hello")]).says("The ").cut("The ");
    let stopped = call_of(asked().ends(BodyEnd::COMPLETE, BodyEnd::Stopped));
    assert_eq!(outcome(&stopped), ended_with(2, "\"proxy_stopped\"", "[\"error\"]", "200"));
    let short = call_of(asked().end());
    assert_eq!(outcome(&short), ended_with(2, "\"stream_truncated\"", "[\"error\"]", "200"));
}

#[test]
fn what_was_not_seen_is_no_error() {
    let span = call_of(scenes::truncated_response());
    assert_eq!(outcome(&span), ended_with(0, "", "", "200"));
    assert_ne!(attribute(&span, "perimeter.unseen.bytes"), "");
    let lost = asks(at(1), vec![]).cut("").unseen(Peer::Upstream, 7).end();
    assert_eq!(attribute(&call_of(lost), "perimeter.unseen.bytes"), "7");
}

#[test]
fn an_answer_from_a_cache_counts_its_parts_within_the_whole() {
    let span = call_of(asks(at(1), vec![said("Hello")]).answers_well("Hi"));
    for (key, count) in [
        ("gen_ai.usage.input_tokens", "1200"),
        ("gen_ai.usage.output_tokens", "61"),
        ("gen_ai.usage.cache_read.input_tokens", "1000"),
        ("gen_ai.usage.cache_write.input_tokens", "100"),
        ("gen_ai.usage.cache_creation.input_tokens", "100"),
        ("gen_ai.usage.reasoning.output_tokens", "7"),
    ] {
        assert_eq!(attribute(&span, key), count, "{key}");
    }
}

#[test]
fn an_answer_that_is_fetched_once_more_costs_nothing_more() {
    let scene = Scene::get("/v1/responses/resp_1");
    let mut call = scene.next_call("m", "");
    (call.operation, call.dialect) = (Operation::Retrieval, "openai_responses");
    let scene = scene.llm(LlmEvent::Call(Arc::new(call))).response(200);
    let mut completion = with_everything(scene.completion("Hi", None));
    completion.repeated = true;
    let span = call_of(scene.llm(LlmEvent::Completion(Arc::new(completion))));
    assert_eq!(attribute(&span, "gen_ai.operation.name"), "\"fetch_response\"");
    for key in ["gen_ai.usage.input_tokens", "perimeter.cost.usd", "perimeter.cost.source"] {
        assert_eq!(attribute(&span, key), "", "{key}");
    }
    assert_eq!(attribute(&span, "perimeter.response.repeated"), "true");
}

#[test]
fn a_cost_says_where_it_comes_from() {
    let with_cost = |cost: Option<Cost>| {
        let scene = asks(at(1), vec![]);
        let mut completion = with_everything(scene.completion("Hi", None));
        completion.cost = cost.map(Arc::new);
        let span = call_of(scene.llm(LlmEvent::Completion(Arc::new(completion))));
        (attribute(&span, "perimeter.cost.usd"), attribute(&span, "perimeter.cost.source"))
    };
    let charged = Cost::charged(Usd(2_500_000_000));
    assert_eq!(with_cost(Some(charged)), ("0.0025".into(), "\"provider\"".into()));
    assert_eq!(with_cost(None), (String::new(), "\"unknown\"".into()));
}

#[test]
fn a_conversation_has_an_id_only_where_somebody_told_it() {
    let of = |scene: Scene| {
        let span = call_of(scene);
        ["gen_ai.conversation.id", "session.id", "gen_ai.agent.name", "gen_ai.agent.id"]
            .map(|key| attribute(&span, key))
    };
    let found = of(scenes::whole().session(|session| session.id = "found-1".into()));
    assert_eq!(found, ["", "\"found-1\"", "", ""]);
    let told = of(scenes::whole().in_session("told-1").session(|session| {
        Arc::make_mut(&mut session.agent).told = Some("writer".into());
    }));
    assert_eq!(told, ["\"told-1\"", "\"told-1\"", "\"writer\"", "\"writer\""]);
    let scene = Scene::post("/v1/responses").request("{}");
    let mut call = scene.next_call("m", "");
    call.conversation = Some("conv_1".into());
    let kept = of(scene.llm(LlmEvent::Call(Arc::new(call))).response(200).answers("", Usage::new(1, 1)));
    assert_eq!(kept[0], "\"conv_1\"", "the provider's own");
}

#[test]
fn a_conversation_that_was_compacted_says_so() {
    let scene = asks(after(3, 2, Relation::Compaction, 0), vec![]).answers_well("Hi");
    assert_eq!(attribute(&call_of(scene), "gen_ai.conversation.compacted"), "true");
    assert_eq!(attribute(&call_of(scenes::whole()), "gen_ai.conversation.compacted"), "");
}

#[test]
fn secrets_do_not_leave_in_names_and_messages() {
    let key = format!("sk-ant-api03-{}", "a1B2".repeat(20));
    let message = format!("Incorrect API key provided: {key}.");
    let failure = ApiFailure::new(CallId(0), 401, message);
    let scene = asks(at(1), vec![]).session(|session| {
        session.id = key.as_str().into();
        session.tags.insert("note".into(), key.clone());
    });
    let told = show::tree(&spans_of(scene.llm(LlmEvent::Failure(Arc::new(failure))).end()));
    assert!(told.contains("Incorrect API key") && !told.contains("a1B2a1B2"), "{told}");
}
