use bytes::Bytes;
use http::HeaderMap;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::upstream::Caller;
use crate::upstream::bridge::ask::{Ask, Block, Effort, Format, Role, ToolChoice};
use crate::upstream::bridge::{Kind, event};

mod coming_back;
mod writing;

/// Reads `body`, with `kept` at hand.
fn try_with(kept: &Kept, body: &Value, lenient: bool) -> Result<Reading, Failure> {
    let (headers, body) = (HeaderMap::new(), Bytes::from(body.to_string()));
    read(Reader { headers: &headers, body: &body, id: "req_1", caller: Caller::local(), lenient, kept })
}

fn try_read(body: &Value, lenient: bool) -> Result<Reading, Failure> {
    try_with(&Kept::default(), body, lenient)
}

fn asked(body: &Value) -> Ask {
    try_read(body, false).unwrap_or_else(|failure| panic!("{failure}: {body}")).ask
}

fn refused(body: &Value) -> Failure {
    match try_read(body, false) {
        Ok(reading) => panic!("{:?} of {body}", reading.ask),
        Err(failure) => failure,
    }
}

/// A request that is right, with these fields.
fn request(fields: Value) -> Value {
    let mut body = json!({"model": "m", "input": "Hello"});
    let Value::Object(fields) = fields else { panic!("{fields}") };
    body.as_object_mut().unwrap().extend(fields);
    body
}

fn dropped(ask: &Ask) -> String {
    ask.warnings.header().unwrap_or_default()
}

#[test]
fn a_conversation_is_read_with_all_that_it_says() {
    let ask = asked(&json!({
        "model": "gpt", "instructions": "Be brief.", "stream": true, "max_output_tokens": 100,
        "input": [
            {"role": "developer", "content": "Be kind."},
            {"role": "user", "content": [
                {"type": "input_text", "text": "What is in the picture?"},
                {"type": "input_image", "image_url": "data:image/png;base64,aGk=", "detail": "auto"},
                {"type": "input_file", "filename": "a.pdf", "file_data": "data:application/pdf;base64,aGk="},
            ]},
            {"type": "reasoning", "id": "rs_1", "summary": [{"type": "summary_text", "text": "Hm."}]},
            {"type": "message", "id": "msg_1", "role": "assistant", "status": "completed", "phase": "commentary",
             "content": [{"type": "output_text", "text": "I look.", "annotations": [], "logprobs": []}]},
            {"type": "function_call", "id": "fc_1", "call_id": "call_1", "name": "look",
             "arguments": "{\"at\" : 1.50}", "status": "completed"},
            {"type": "function_call", "call_id": "call_2", "name": "look", "arguments": ""},
            {"type": "function_call_output", "call_id": "call_1", "output": "dark"},
            {"type": "function_call_output", "call_id": "call_2", "output":
                [{"type": "input_image", "image_url": "https://example.com/a.png"}]},
            {"role": "system", "content": "It is late."},
            {"role": "user", "content": "And now?"},
        ],
        "tools": [{"type": "function", "name": "look", "description": "Looks.", "strict": true,
            "parameters": {"type": "object", "properties": {"at": {"type": "number"}}}}],
        "tool_choice": "required", "parallel_tool_calls": false,
        "text": {"format": {"type": "json_schema", "name": "a", "strict": true, "schema": {"type": "object"}}},
        "reasoning": {"effort": "low", "summary": "auto"},
        "metadata": {"a": "b"}, "user": "u", "prompt_cache_key": "c",
    }));
    assert_eq!(dropped(&ask), "");
    insta::assert_debug_snapshot!(ask);
}

#[test]
fn what_has_no_effect_is_noted_unless_it_is_the_default() {
    let cases = [
        (json!({"temperature": 1, "top_p": 1.0, "service_tier": "auto", "truncation": "disabled"}), ""),
        (json!({"temperature": null, "background": false, "top_logprobs": 0, "include": []}), ""),
        (json!({"temperature": 0.2, "top_p": 0.5}), "dropped=temperature,top_p"),
        (json!({"truncation": "auto"}), "dropped=truncation"),
        (json!({"max_tool_calls": 3, "x": 1}), "dropped=max_tool_calls,x"),
        (json!({"text": {"verbosity": "low"}}), "dropped=text.verbosity"),
        (json!({"text": {"verbosity": "medium", "format": {"type": "text"}}}), ""),
        (json!({"include": ["reasoning.encrypted_content", "message.input_image.image_url"]}), ""),
        (json!({"include": ["file_search_call.results"]}), "dropped=include=file_search_call.results"),
        (
            json!({"stream_options": {"include_obfuscation": true}}),
            "dropped=stream_options.include_obfuscation",
        ),
        (json!({"reasoning": {"mode": "pro"}}), "dropped=reasoning.mode"),
        (
            json!({"input": [{"role": "user", "content": [{"type": "input_image", "detail": "low",
                "image_url": "https://a.b/"}, {"type": "input_text", "text": "a", "y": 1}]}]}),
            "dropped=input[].content[].detail,input[].content[].y",
        ),
        (
            json!({"input": Vec::from(["a", "b"].map(|id| json!({"type": "reasoning", "id": id,
                "encrypted_content": "of somebody else", "summary": [{"type": "summary_text", "text": id}]})))}),
            "dropped=input[].encrypted_content",
        ),
    ];
    for (fields, warnings) in cases {
        assert_eq!(dropped(&asked(&request(fields.clone()))), warnings, "{fields}");
    }
}

#[test]
fn what_would_change_the_answer_is_refused_and_noted_where_the_client_does_not_mind() {
    let user = |part: Value| json!({"input": [{"role": "user", "content": [{"type": "input_text", "text": "a"}, part]}]});
    let input = |item: Value| json!({"input": [{"role": "user", "content": "a"}, item]});
    let cases = [
        (json!({"background": true}), Kind::Unsupported, "background"),
        (json!({"top_logprobs": 2}), Kind::Unsupported, "top_logprobs"),
        (json!({"prompt": {"id": "p"}}), Kind::Unsupported, "prompt"),
        (json!({"include": ["message.output_text.logprobs"]}), Kind::Unsupported, "include[0]"),
        (json!({"tools": [{"type": "web_search"}]}), Kind::Unsupported, "tools[0].type"),
        (json!({"tools": [{"type": "custom", "name": "c"}]}), Kind::Unsupported, "tools[0].type"),
        (json!({"tool_choice": {"type": "file_search"}}), Kind::Unsupported, "tool_choice.type"),
        (user(json!({"type": "input_audio"})), Kind::UnsupportedContent, "input[0].content[1]"),
        (
            user(json!({"type": "input_file", "file_id": "f"})),
            Kind::UnsupportedContent,
            "input[0].content[1].file_id",
        ),
        (input(json!({"type": "web_search_call", "id": "w"})), Kind::UnsupportedContent, "input[1]"),
    ];
    for (fields, kind, place) in cases {
        let body = request(fields);
        let failure = refused(&body);
        assert_eq!((failure.kind, failure.param.as_deref()), (kind, Some(place)), "{body}");
        assert!(failure.message.starts_with(place), "{failure}");
        let ask = try_read(&body, true).unwrap_or_else(|failure| panic!("{failure}: {body}")).ask;
        assert!(dropped(&ask).starts_with("dropped="), "{body}");
    }
}

#[test]
fn what_is_wrong_is_named_by_its_place() {
    let call = |fields: Value| {
        let mut call = json!({"type": "function_call", "call_id": "1", "name": "f", "arguments": "{}"});
        call.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
        json!({"input": [call]})
    };
    let cases = [
        (json!({"model": null}), "model"),
        (json!({"input": null}), "input"),
        (json!({"input": 5}), "input"),
        (json!({"input": []}), "input"),
        (json!({"input": [5]}), "input[0]"),
        (json!({"input": [{"role": "tool", "content": ""}]}), "input[0].role"),
        (json!({"input": [{"role": "user"}]}), "input[0].content"),
        (json!({"input": [{"role": "user", "content": [{"type": "text"}]}]}), "input[0].content[0].text"),
        (
            json!({"input": [{"role": "assistant", "content": [{"type": "input_image"}]}]}),
            "input[0].content[0].type",
        ),
        (
            json!({"input": [{"role": "user", "content": [{"type": "input_image", "image_url": "/etc/passwd"}]}]}),
            "input[0].content[0].image_url",
        ),
        (call(json!({"call_id": ""})), "input[0].call_id"),
        (call(json!({"name": "a b"})), "input[0].name"),
        (call(json!({"arguments": "[]"})), "input[0].arguments"),
        (call(json!({"arguments": "{", "status": "incomplete"})), "input[0].arguments"),
        (
            json!({"input": [{"type": "function_call", "call_id": "1", "name": "f", "arguments": "{}"},
                {"type": "function_call_output", "call_id": "1"}]}),
            "input[1].output",
        ),
        (json!({"input": [{"type": "item_reference", "id": "msg_1o0"}]}), "input[0].id"),
        (json!({"input": [{"id": "x"}]}), "input[0].id"),
        (json!({"max_output_tokens": 0}), "max_output_tokens"),
        (json!({"store": "yes"}), "store"),
        (json!({"tools": [{"type": "function"}]}), "tools[0].name"),
        (json!({"tools": [{"type": "function", "name": "f", "parameters": 1}]}), "tools[0].parameters"),
        (
            json!({"tools": Vec::from(["f", "f"].map(|name| json!({"type": "function", "name": name})))}),
            "tools[1].name",
        ),
        (json!({"tool_choice": "required"}), "tool_choice"),
        (json!({"tool_choice": "some"}), "tool_choice"),
        (json!({"tool_choice": {"type": "function", "name": "f"}}), "tool_choice.name"),
        (json!({"text": {"format": {"type": "xml"}}}), "text.format.type"),
        (json!({"text": {"format": {"type": "json_schema"}}}), "text.format.schema"),
        (json!({"reasoning": {"effort": "most"}}), "reasoning.effort"),
        (json!({"reasoning": {"summary": "long"}}), "reasoning.summary"),
        (json!({"previous_response_id": "resp_1", "conversation": "c"}), "previous_response_id"),
        (json!({"conversation": {}}), "conversation.id"),
    ];
    for (fields, place) in cases {
        let body = request(fields);
        let failure = refused(&body);
        assert_eq!(
            (failure.kind, failure.param.as_deref()),
            (Kind::Invalid, Some(place)),
            "{body}: {failure}"
        );
    }
    let gone = refused(&request(json!({"previous_response_id": "resp_1"})));
    assert_eq!((gone.kind, gone.param.as_deref()), (Kind::NotFound, Some("previous_response_id")));
}

#[test]
fn the_choice_of_tools_is_read_and_takes_away_what_is_not_allowed() {
    let tools = json!(Vec::from(
        ["f", "g"].map(|name| json!({"type": "function", "name": name, "parameters": null}))
    ));
    let function = json!({"type": "function", "name": "g"});
    let allowed = |mode: &str| json!({"type": "allowed_tools", "mode": mode, "tools": [function]});
    let cases = [
        (json!("auto"), ToolChoice::Auto, 2),
        (json!("none"), ToolChoice::None, 2),
        (json!("required"), ToolChoice::Required, 2),
        (function.clone(), ToolChoice::Named("g".to_owned()), 2),
        (allowed("auto"), ToolChoice::Auto, 1),
        (allowed("required"), ToolChoice::Required, 1),
    ];
    for (choice, chosen, left) in cases {
        let ask = asked(&request(json!({"tools": tools, "tool_choice": choice})));
        assert_eq!((&ask.choice, ask.tools.len()), (&chosen, left), "{choice}");
        assert_eq!(ask.tools[left - 1].schema.get(), r#"{"type":"object","properties":{}}"#);
    }
}

#[test]
fn effort_summaries_and_formats_are_read() {
    let ask = asked(&request(
        json!({"reasoning": {"effort": "minimal"}, "text": {"format": {"type": "json_object"}}}),
    ));
    assert_eq!((ask.effort, ask.shows_thinking), (Some(Effort::Minimal), false));
    assert!(matches!(ask.format, Format::Json));
    let ask = asked(&request(json!({"reasoning": {"generate_summary": "concise"}})));
    assert_eq!((ask.effort, ask.shows_thinking), (None, true));
}

#[test]
fn the_conversation_is_named_in_several_ways_and_the_head_stands_above_the_body() {
    let cases = [
        (json!({"conversation": "a", "prompt_cache_key": "c"}), "a"),
        (json!({"conversation": {"id": "a"}}), "a"),
        (json!({"metadata": {"conversation_id": "b"}, "prompt_cache_key": "c"}), "b"),
        (json!({"prompt_cache_key": "c"}), "c"),
    ];
    for (fields, id) in cases {
        assert_eq!(asked(&request(fields)).conversation.as_deref(), Some(id));
    }
}

/// Puts `value` at one of the places in `body`.
fn put(body: &mut Value, path: &[prop::sample::Index], value: Value) {
    let Some((at, path)) = path.split_first() else { return *body = value };
    match body {
        Value::Array(items) if !items.is_empty() => put(at.get_mut(items), path, value),
        Value::Object(fields) if !fields.is_empty() => {
            let name = at.get(&fields.keys().cloned().collect::<Vec<_>>()).clone();
            put(&mut fields[&name], path, value);
        }
        other => *other = value,
    }
}

/// JSON of words that this door knows.
fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        prop_oneof![
            "message",
            "function_call",
            "reasoning",
            "item_reference",
            "input_text",
            "auto",
            ".{0,6}"
        ]
        .prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 32, 6, |inner| {
        let name = prop_oneof!["type", "content", "role", "text", "id", "call_id", "output", "[a-z_]{1,6}"];
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            proptest::collection::vec((name, inner), 0..5)
                .prop_map(|fields| fields.into_iter().collect::<Value>()),
        ]
    })
}

proptest! {
    #[test]
    fn a_request_with_anything_anywhere_is_read_or_refused(
        path in proptest::collection::vec(any::<prop::sample::Index>(), 1..6),
        value in any_json(),
        lenient: bool,
    ) {
        let mut body = json!({
            "model": "m", "include": ["reasoning.encrypted_content"], "reasoning": {"effort": "low"},
            "input": [
                {"role": "user", "content": [{"type": "input_text", "text": "a"}]},
                {"type": "reasoning", "id": "r", "summary": [{"type": "summary_text", "text": "b"}]},
                {"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"},
                {"type": "function_call_output", "call_id": "c", "output": "d"},
            ],
            "tools": [{"type": "function", "name": "f", "parameters": {}}], "tool_choice": "auto",
            "text": {"format": {"type": "json_schema", "name": "n", "schema": {}}},
        });
        put(&mut body, &path, value);
        if let Err(failure) = try_read(&body, lenient) {
            prop_assert!(failure.kind.status().is_client_error());
            prop_assert!(!failure.message.is_empty());
        }
    }
}
