//! `include_system_prompts: false`.

use serde_json::{Value, json};

use crate::support::{Log, Told};

#[track_caller]
fn check(request: Value, expected: &str) {
    let mut log = Log::with(|settings| settings.include_system_prompts = false);
    log.tell_all(Told::new(1).whole(&request.to_string(), r#"{"instructions":"be brief","n":1}"#));
    let lines = log.finish();
    assert_eq!(lines[0]["request"].to_string(), expected);
    assert_eq!(lines[1]["response"], json!({"n": 1}));
}

#[test]
fn messages_of_the_system_and_the_developer_are_taken_out() {
    check(
        json!({"messages": [
            {"role": "system", "content": "be brief"},
            {"role": "developer", "content": [{"type": "text", "text": "be brief"}]},
            {"role": "user", "content": "system"},
            {"content": "no role"},
            "no message",
        ], "model": "m"}),
        r#"{"messages":[{"content":"system","role":"user"},{"content":"no role"},"no message"],"model":"m"}"#,
    );
}

#[test]
fn members_that_are_system_prompts_are_taken_out() {
    check(
        json!({"system": [{"type": "text", "text": "be brief"}], "messages": [{"role": "user", "content": "hi"}]}),
        r#"{"messages":[{"content":"hi","role":"user"}]}"#,
    );
    check(json!({"instructions": "be brief", "input": "hi"}), r#"{"input":"hi"}"#);
    check(
        json!({"input": [{"role": "developer", "content": "be brief"}, {"role": "user"}]}),
        r#"{"input":[{"role":"user"}]}"#,
    );
}

#[test]
fn what_is_no_object_stays() {
    check(json!(["system"]), r#"["system"]"#);
}

#[test]
fn by_default_they_are_logged() {
    let mut log = Log::new();
    log.tell_all(Told::new(1).whole(r#"{"system":"be brief"}"#, "{}"));
    assert_eq!(log.finish()[0]["request"], json!({"system": "be brief"}));
}
