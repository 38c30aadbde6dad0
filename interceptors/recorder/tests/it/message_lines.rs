//! What a line holds, and that every request line has its answer.

use std::sync::Arc;

use perimeter_interceptor::host::What;
use perimeter_interceptor::{BodyEnd, CallId, LlmEvent, Operation, Upgrade};
use serde_json::{Value, json};

use crate::support::{Log, Told, completion};

const REQUEST: &str = r#"{"model":"gpt-4o","messages":[{"role":"user","content":"Hello"}],"z":1,"a":1.0}"#;
const RESPONSE: &str = r#"{"id":"chatcmpl-1","choices":[{"message":{"content":"Hi"}}]}"#;

/// The lines as text: the order of members is part of the promise.
fn text_of(mut log: Log, notices: Vec<perimeter_interceptor::host::Notice>) -> String {
    log.tell_all(notices);
    log.desk.idle().unwrap();
    std::fs::read_to_string(&log.path).unwrap()
}

#[test]
fn a_call_and_its_answer_are_two_lines_that_an_id_joins() {
    insta::assert_snapshot!(text_of(Log::new(), Told::new(7).whole(REQUEST, RESPONSE)));
}

#[test]
fn an_error_of_the_provider_is_the_answer() {
    let mut told = Told::new(1).speaking("anthropic_messages");
    let body = r#"{"type":"error","error":{"type":"overloaded_error","message":"it went wrong"}}"#;
    let notices = vec![
        told.head("/v1/messages?beta=true"),
        told.call(REQUEST),
        told.status(529),
        told.api_failure(529, "overloaded_error", body),
        told.end(),
    ];
    insta::assert_snapshot!(text_of(Log::new(), notices));
}

#[test]
fn an_error_that_is_no_json_is_kept_as_text() {
    let mut told = Told::new(1);
    let notices = vec![
        told.head("/v1/chat/completions"),
        told.call(REQUEST),
        told.status(503),
        told.api_failure(503, "server_error", "<html>\n\"down\"</html>"),
        told.end(),
    ];
    insta::assert_snapshot!(text_of(Log::new(), notices));
}

#[test]
fn an_error_in_the_middle_of_a_stream_is_one_answer_with_what_had_been_said() {
    let mut told = Told::new(1);
    let notices = vec![
        told.head("/v1/chat/completions"),
        told.call_that(REQUEST, |call| call.streaming = true),
        told.status(200),
        told.cut(RESPONSE),
        told.api_failure(200, "server_error", r#"{"error":{"message":"it went wrong"}}"#),
        told.end(),
    ];
    insta::assert_snapshot!(text_of(Log::new(), notices));
}

#[test]
fn a_provider_that_cannot_be_reached_is_an_error_line() {
    let mut told = Told::new(1);
    let notices = vec![
        told.head("/v1/chat/completions"),
        told.call(REQUEST),
        told.failure(),
        told.status(502),
        told.end(),
    ];
    insta::assert_snapshot!(text_of(Log::new(), notices));
}

#[test]
fn a_failure_is_told_also_when_no_call_was() {
    let mut told = Told::new(1);
    let notices = vec![told.head("/v1/chat/completions"), told.failure(), told.status(502), told.end()];
    insta::assert_snapshot!(text_of(Log::new(), notices));
}

#[test]
fn an_answer_that_broke_off_says_who_broke_it() {
    let ends = [
        (BodyEnd::COMPLETE, BodyEnd::Aborted, 0, "client_left"),
        (BodyEnd::COMPLETE, BodyEnd::Failed("connection reset".into()), 0, "upstream_broke"),
        (BodyEnd::COMPLETE, BodyEnd::COMPLETE, 512, "unseen"),
        (BodyEnd::COMPLETE, BodyEnd::COMPLETE, 0, "unread"),
    ];
    for (request, response, unseen, why) in ends {
        let mut told = Told::new(1);
        let mut log = Log::new();
        log.tell_all([
            told.head("/v1/chat/completions"),
            told.call(REQUEST),
            told.status(200),
            told.cut(RESPONSE),
        ]);
        log.tell(told.end_with(request, response, unseen));
        let lines = log.finish();
        assert_eq!(lines.len(), 2);
        assert_eq!(lines[1]["response"], serde_json::from_str::<Value>(RESPONSE).unwrap());
        assert_eq!(lines[1]["metadata"]["complete"], false);
        assert_eq!(lines[1]["metadata"]["ended_by"], why);
        assert_eq!(
            lines[1]["metadata"]["unseen_bytes"],
            if unseen > 0 { json!(unseen) } else { Value::Null }
        );
        // Of the moment in which it broke off.
        assert_eq!(lines[1]["timestamp"], "2026-11-21T00:33:09.269172Z");
    }
}

#[test]
fn a_call_without_any_answer_is_an_error_line() {
    let ends = [
        (
            BodyEnd::COMPLETE,
            BodyEnd::Aborted,
            0,
            "client_left",
            "the client left before the end of the response",
        ),
        (BodyEnd::Failed("connection reset".into()), BodyEnd::Aborted, 0, "client_left", "connection reset"),
        (BodyEnd::COMPLETE, BodyEnd::Failed("end of file".into()), 9, "upstream_broke", "end of file"),
        (BodyEnd::COMPLETE, BodyEnd::COMPLETE, 9, "unseen", "it passed faster than it could be read here"),
        (BodyEnd::COMPLETE, BodyEnd::COMPLETE, 0, "unread", "the response is none that its API documents"),
    ];
    for (request, response, unseen, why, message) in ends {
        let mut told = Told::new(1);
        let mut log = Log::new();
        log.tell_all([told.head("/v1/chat/completions"), told.call(REQUEST)]);
        log.tell(told.end_with(request, response, unseen));
        let lines = log.finish();
        assert_eq!(lines.len(), 2);
        assert_eq!((&lines[1]["direction"], &lines[1]["error_type"]), (&json!("error"), &json!(why)));
        assert_eq!(lines[1]["error_message"], message);
        assert_eq!(lines[1]["exchange_id"], lines[0]["exchange_id"]);
        assert_eq!(lines[1]["session_id"], "session-1");
    }
}

#[test]
fn a_call_that_is_read_after_the_failure_has_its_answer_already() {
    let mut told = Told::new(1);
    let mut log = Log::new();
    log.tell_all([told.head("/v1/chat/completions"), told.failure(), told.call(REQUEST), told.end()]);
    let directions: Vec<_> = log.finish().into_iter().map(|line| line["direction"].clone()).collect();
    assert_eq!(directions, ["error", "request"]);
}

#[test]
fn half_a_request_is_never_logged_as_one() {
    for (body, request) in [
        (r#"{"model":"gpt-4o","mess"#, Value::Null),
        ("", Value::Null),
        ("\u{0}", Value::Null),
        (r#"{"model":"gpt-4o"} x"#, Value::Null),
        (r#"{"odd":true}"#, json!({"odd": true})),
    ] {
        let mut told = Told::new(1);
        let mut log = Log::new();
        log.tell_all([
            told.head("/v1/chat/completions"),
            told.call_that(body, |call| call.partial = true),
            told.end(),
        ]);
        let lines = log.finish();
        assert_eq!(lines[0]["request"], request);
        assert_eq!(lines[0]["metadata"]["partial"], true);
    }
}

#[test]
fn a_body_of_many_lines_is_one_line_and_means_the_same() {
    let pretty = "{\r\n  \"model\": \"gpt-4o\",\n\t\"messages\": [\"a\\nb\\u2028c\"],\n  \"n\": 12345678901234567890123\n}\n";
    let mut log = Log::new();
    log.tell_all(Told::new(1).whole(pretty, pretty));
    log.desk.idle().unwrap();
    let text = std::fs::read_to_string(&log.path).unwrap();
    assert_eq!(text.lines().count(), 2);
    assert!(text.contains("12345678901234567890123"), "numbers stay as they were written");
    assert_eq!(log.finish()[0]["request"]["messages"][0], "a\nb\u{2028}c");
}

#[test]
fn deep_nesting_is_no_danger() {
    let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    let mut log = Log::new();
    log.tell_all(Told::new(1).whole(&deep, &deep));
    log.desk.idle().unwrap();
    assert!(std::fs::read_to_string(&log.path).unwrap().contains(&deep));
}

#[test]
fn exchanges_that_overlap_keep_their_answers() {
    let (mut one, mut two) = (Told::new(1), Told::new(2));
    let mut log = Log::new();
    log.tell_all([
        one.head("/v1/chat/completions"),
        two.head("/v1/chat/completions"),
        two.call(r#"{"n":2}"#),
        one.call(r#"{"n":1}"#),
        one.status(200),
        two.status(201),
        two.completion(r#"{"n":2}"#),
        two.end(),
        one.completion(r#"{"n":1}"#),
        one.end(),
    ]);
    for line in log.finish() {
        let n = line["request"]["n"].as_u64().or(line["response"]["n"].as_u64()).unwrap();
        assert_eq!(line["exchange_id"], format!("00000000-0000-0000-0000-{n:012}"));
        assert_eq!(line["session_id"], format!("session-{n}"));
    }
}

#[test]
fn a_socket_carries_many_calls_and_each_has_its_answer() {
    let mut told = Told::new(1);
    let mut log = Log::new();
    log.tell_all([told.head("/v1/realtime"), told.that(What::Upgrade(Arc::new(Upgrade::new("websocket"))))]);
    for id in 0..2 {
        log.tell(told.call_that(REQUEST, |call| call.id = CallId(id)));
    }
    for id in [1, 0] {
        log.tell(told.llm(LlmEvent::Completion(completion(id, &format!("{{\"call\":{id}}}")))));
    }
    log.tell(told.end());
    let lines = log.finish();
    let answers: Vec<_> = lines.iter().filter_map(|line| line["response"]["call"].as_u64()).collect();
    assert_eq!(answers, [1, 0]);
    let calls: Vec<_> =
        lines.iter().map(|line| line["metadata"].get("call").and_then(Value::as_u64)).collect();
    assert_eq!(calls, [None, Some(1), Some(1), None]);
    // From each call, not from when the socket was opened.
    assert_eq!(lines[2]["metadata"]["duration_ms"], 1.5);
    assert_eq!(lines[3]["metadata"]["duration_ms"], 4.5);
}

#[test]
fn what_is_no_call_leaves_no_line() {
    let mut told = Told::new(1);
    let mut log = Log::new();
    log.tell_all([told.head("/v1/models"), told.status(200), told.end()]);
    assert!(log.finish().is_empty());
}

#[test]
fn secrets_are_replaced_unless_they_are_wanted() {
    let key = format!("sk-{}-{}", "proj", "a1B2c3D4e5".repeat(4));
    let body = json!({"messages": [{"role": "user", "content": format!("my key: {key}")}]}).to_string();
    for (redact, expected) in
        [(true, "my key: sk-proj-[REDACTED]".to_owned()), (false, format!("my key: {key}"))]
    {
        let mut log = Log::with(|settings| settings.redact_credentials = redact);
        log.tell_all(Told::new(1).whole(&body, &body));
        for line in log.finish() {
            let body = if line["request"].is_null() { &line["response"] } else { &line["request"] };
            assert_eq!(body["messages"][0]["content"], expected);
        }
    }
}

#[test]
fn metadata_may_be_left_out() {
    let mut log = Log::with(|settings| settings.include_metadata = false);
    log.tell_all(Told::new(1).whole(REQUEST, RESPONSE));
    assert!(log.finish().iter().all(|line| line.get("metadata").is_none()));
}

#[test]
fn a_call_whose_body_is_not_kept_is_logged_with_what_it_asks_for_and_is_not_cut() {
    let mut told = Told::new(1).speaking("openai_other");
    let notices = vec![
        told.head("/v1/audio/transcriptions"),
        told.call_that("", |call| call.operation = Operation::Transcription),
        told.status(200),
        told.completion(""),
        told.end(),
    ];
    insta::assert_snapshot!(text_of(Log::new(), notices));
}
