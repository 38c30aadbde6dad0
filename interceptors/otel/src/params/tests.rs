use opentelemetry_proto::tonic::common::v1::any_value::Value;
use perimeter_interceptor::CallId;
use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::content::value;
use crate::sample;

const BOTH: &[Profile] = &[Profile::Latest, Profile::V1_41];

fn call(dialect: &'static str, body: impl Into<Vec<u8>>) -> Call {
    let mut call = sample::call(dialect);
    call.body = body.into().into();
    call
}

/// The attributes, each as its key and its value in JSON.
fn written(attributes: &[KeyValue]) -> Vec<(&str, String)> {
    attributes
        .iter()
        .map(|attribute| (&*attribute.key, value::write(attribute.value.as_ref().unwrap())))
        .collect()
}

fn expect(dialect: &'static str, body: serde_json::Value, expected: &[(&str, &str)]) {
    let call = call(dialect, body.to_string());
    let mut found = asked(&call, BOTH);
    found.sort_by(|a, b| a.key.cmp(&b.key));
    let mut expected: Vec<_> = expected.iter().map(|(key, value)| (*key, (*value).to_owned())).collect();
    expected.sort();
    assert_eq!(written(&found), expected, "{dialect}");
}

#[test]
fn chat_completions_say_what_they_ask_for() {
    let body = json!({
        "model": "gpt-5", "messages": [{"role": "user", "content": "temperature", "temperature": 9}],
        "max_tokens": 5, "max_completion_tokens": 100, "temperature": 0.5, "top_p": 1,
        "frequency_penalty": -0.5, "presence_penalty": 0.25, "stop": "END", "seed": 7, "n": 2,
        "reasoning_effort": "high", "response_format": {"type": "json_schema", "json_schema": {}},
        "service_tier": "flex", "top_logprobs": 5, "logprobs": true,
    });
    expect(
        "openai_chat",
        body,
        &[
            ("gen_ai.request.max_tokens", "100"),
            ("gen_ai.request.temperature", "0.5"),
            ("gen_ai.request.top_p", "1.0"),
            ("gen_ai.request.frequency_penalty", "-0.5"),
            ("gen_ai.request.presence_penalty", "0.25"),
            ("gen_ai.request.stop_sequences", r#"["END"]"#),
            ("gen_ai.request.seed", "7"),
            ("gen_ai.request.choice.count", "2"),
            ("gen_ai.request.reasoning.level", "\"high\""),
            ("gen_ai.output.type", "\"json\""),
            ("openai.api.type", "\"chat_completions\""),
            ("openai.request.service_tier", "\"flex\""),
        ],
    );
}

#[test]
fn what_is_the_default_is_not_told() {
    let body = json!({"n": 1, "service_tier": "auto", "stop": [], "seed": null});
    expect("openai_chat", body, &[("openai.api.type", "\"chat_completions\"")]);
}

#[test]
fn responses_say_what_they_ask_for_also_on_a_socket() {
    let body = json!({
        "max_output_tokens": 64, "temperature": 1.5, "reasoning": {"effort": "minimal"},
        "text": {"format": {"type": "json_object"}, "verbosity": "low"},
        "prompt": {"id": "pmpt_1", "version": "3", "variables": {}}, "service_tier": "priority",
    });
    let expected = [
        ("gen_ai.request.max_tokens", "64"),
        ("gen_ai.request.temperature", "1.5"),
        ("gen_ai.request.reasoning.level", "\"minimal\""),
        ("gen_ai.output.type", "\"json\""),
        ("gen_ai.prompt.name", "\"pmpt_1\""),
        ("gen_ai.prompt.version", "\"3\""),
        ("openai.api.type", "\"responses\""),
        ("openai.request.service_tier", "\"priority\""),
    ];
    expect("openai_responses", body.clone(), &expected);
    expect("openai_responses", json!({"type": "response.create", "response": body}), &expected);
}

#[test]
fn what_a_response_continues_is_told() {
    let mut call = call("openai_responses", "{}");
    call.previous = Some("resp_1".into());
    let attributes = asked(&call, BOTH);
    let told = written(&attributes);
    assert!(told.contains(&("gen_ai.request.previous_response.id", "\"resp_1\"".to_owned())), "{told:?}");
}

#[test]
fn realtime_says_what_it_asks_for() {
    let body = json!({"type": "response.create", "response": {
        "max_output_tokens": "inf", "output_modalities": ["audio"], "temperature": 0.8,
    }});
    expect(
        "openai_realtime",
        body,
        &[("gen_ai.request.temperature", "0.8"), ("gen_ai.output.type", "\"speech\"")],
    );
}

#[test]
fn anthropic_says_what_it_asks_for() {
    let body = json!({
        "max_tokens": 1024, "temperature": 1, "top_k": 40, "top_p": 0.9, "stop_sequences": ["a", "b"],
        "output_config": {"effort": "low", "format": {"type": "json_schema", "schema": {}}},
        "service_tier": "standard_only",
    });
    expect(
        "anthropic_messages",
        body,
        &[
            ("gen_ai.request.max_tokens", "1024"),
            ("gen_ai.request.temperature", "1.0"),
            ("gen_ai.request.top_k", "40"),
            ("gen_ai.request.top_p", "0.9"),
            ("gen_ai.request.stop_sequences", r#"["a","b"]"#),
            ("gen_ai.request.reasoning.level", "\"low\""),
            ("gen_ai.output.type", "\"json\""),
        ],
    );
}

#[test]
fn gemini_says_what_it_asks_for_in_either_spelling_and_wrapped() {
    let expected = [
        ("gen_ai.request.max_tokens", "10"),
        ("gen_ai.request.temperature", "0.0"),
        ("gen_ai.request.top_p", "0.5"),
        ("gen_ai.request.top_k", "40"),
        ("gen_ai.request.stop_sequences", r#"["x"]"#),
        ("gen_ai.request.choice.count", "3"),
        ("gen_ai.request.reasoning.level", "\"HIGH\""),
        ("gen_ai.output.type", "\"json\""),
    ];
    let camel = json!({"contents": [], "generationConfig": {
        "maxOutputTokens": 10, "temperature": 0, "topP": 0.5, "topK": 40.0, "stopSequences": ["x"],
        "candidateCount": 3, "thinkingConfig": {"thinkingLevel": "HIGH"},
        "responseMimeType": "application/json",
    }});
    let snake = json!({"contents": [], "generation_config": {
        "max_output_tokens": 10, "temperature": 0, "top_p": 0.5, "top_k": 40, "stop_sequences": ["x"],
        "candidate_count": 3, "thinking_config": {"thinking_level": "HIGH"},
        "response_mime_type": "application/json",
    }});
    expect("gemini", camel.clone(), &expected);
    expect("gemini", snake, &expected);
    expect("gemini", json!({"model": "gemini-3", "request": camel}), &expected);
    let picture = json!({"generationConfig": {"responseModalities": ["TEXT", "IMAGE"]}});
    expect("gemini", picture, &[("gen_ai.output.type", "\"image\"")]);
}

#[test]
fn the_editions_differ_in_top_k_and_in_reasoning() {
    let call = call("anthropic_messages", r#"{"top_k":40,"output_config":{"effort":"low"}}"#);
    let old = asked(&call, &[Profile::V1_41]);
    assert_eq!(written(&old), [("gen_ai.request.top_k", "40.0".to_owned())]);
    assert!(matches!(
        old[0].value.as_ref().unwrap().value,
        Some(Value::DoubleValue(number)) if number == 40.0
    ));
    let new = asked(&call, &[Profile::Latest]);
    let expected =
        [("gen_ai.request.top_k", "40".to_owned()), ("gen_ai.request.reasoning.level", "\"low\"".to_owned())];
    assert_eq!(written(&new), expected);
}

#[test]
fn what_is_of_another_type_is_not_told() {
    let body = json!({
        "max_tokens": "many", "temperature": "hot", "top_p": {}, "top_k": 1.5, "stop": [1, "a"], "seed": 1.5,
        "n": [], "reasoning_effort": 3, "response_format": "json", "text": 7, "prompt": [], "reasoning": "x",
        "output_config": [], "modalities": "audio", "frequency_penalty": null, "service_tier": {},
    });
    expect("anthropic_messages", body, &[]);
}

#[test]
fn a_picture_and_speech_are_what_they_ask_for() {
    for (operation, kind) in [(Operation::Image, "\"image\""), (Operation::Speech, "\"speech\"")] {
        let mut call = call("openai_other", r#"{"response_format":"b64_json","prompt":"a cat"}"#);
        call.operation = operation;
        assert_eq!(written(&asked(&call, BOTH)), [("gen_ai.output.type", kind.to_owned())]);
    }
}

#[test]
fn what_only_openai_answers_say_is_told_of_no_other() {
    let mut answer = Completion::new(CallId(0));
    answer.tier = Some("default".into());
    answer.body = r#"{"choices":[{"system_fingerprint":"no"}],"system_fingerprint":"fp_1"}"#.into();
    let expected = [
        ("openai.response.service_tier", "\"default\"".to_owned()),
        ("openai.response.system_fingerprint", "\"fp_1\"".to_owned()),
    ];
    assert_eq!(written(&answered(&call("openai_chat", "{}"), &answer)), expected);
    assert!(answered(&call("anthropic_messages", "{}"), &answer).is_empty());
}

const DIALECTS: [&str; 9] = [
    "openai_chat",
    "openai_responses",
    "openai_realtime",
    "openai_completions",
    "openai_other",
    "anthropic_messages",
    "anthropic_other",
    "gemini",
    "gemini_other",
];

fn odd_value() -> impl Strategy<Value = serde_json::Value> {
    let leaf = prop_oneof![
        Just(json!(null)),
        any::<bool>().prop_map(|yes| json!(yes)),
        any::<i64>().prop_map(|number| json!(number)),
        any::<u64>().prop_map(|number| json!(number)),
        any::<f64>().prop_map(|number| json!(number)),
        ".{0,8}".prop_map(|word| json!(word)),
    ];
    let key = prop::sample::select([NAMES, LEVELS, &["type", "format", "id", "version"]].concat());
    leaf.prop_recursive(3, 24, 6, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(|list| json!(list)),
            prop::collection::hash_map(key.clone(), inner, 0..6).prop_map(|object| json!(object)),
        ]
    })
}

proptest! {
    #[test]
    fn whatever_the_bytes_are_nothing_fails(
        body in prop::collection::vec(any::<u8>(), 0..300),
        dialect in prop::sample::select(&DIALECTS[..]),
    ) {
        asked(&call(dialect, body), BOTH);
    }

    #[test]
    fn odd_bodies_cut_anywhere_are_read_without_failing_and_no_key_is_told_twice(
        body in odd_value(),
        cut in any::<prop::sample::Index>(),
        dialect in prop::sample::select(&DIALECTS[..]),
    ) {
        let body = body.to_string().into_bytes();
        for body in [&body[..cut.index(body.len() + 1)], &body[..]] {
            let attributes = asked(&call(dialect, body), BOTH);
            let mut keys: Vec<_> = attributes.iter().map(|attribute| &attribute.key).collect();
            keys.sort();
            keys.dedup();
            prop_assert_eq!(keys.len(), attributes.len());
            prop_assert!(attributes.iter().all(|attribute| attribute.value.is_some()));
        }
    }
}

#[test]
fn what_is_long_is_cut_and_what_is_much_is_not_all_told() {
    let long = "x".repeat(1 << 20);
    let stops: Vec<_> = (0..1000).map(|number| format!("{number}{long}")).take(40).collect();
    let body = json!({"stop": stops, "reasoning_effort": long, "service_tier": long});
    let told = asked(&call("openai_chat", body.to_string()), BOTH);
    let lengths = told.iter().map(|attribute| value::length(attribute.value.as_ref().unwrap()));
    assert!(lengths.max().unwrap() <= STOPS * (MOST + 3) + 2);

    let mut answer = Completion::new(CallId(0));
    answer.body = json!({"system_fingerprint": long}).to_string().into();
    let told = answered(&call("openai_chat", "{}"), &answer);
    assert!(told.iter().all(|attribute| value::length(attribute.value.as_ref().unwrap()) <= MOST + 2));
    let key = "sk-proj-1234567890abcdefghijABCDEFGHIJ1234567890";
    let told = asked(&call("openai_chat", json!({"stop": key}).to_string()), BOTH);
    assert!(!format!("{told:?}").contains(key));
}
