use bytes::Bytes;
use http::{HeaderMap, HeaderValue};
use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::upstream::Caller;
use crate::upstream::bridge::Kind;
use crate::upstream::bridge::ask::{Block, Effort, Format, Role, Source, ToolChoice};
use crate::upstream::bridge::door::Kept;

mod writing;

fn try_read(body: &Value, lenient: bool) -> Result<Reading, Failure> {
    let (headers, body) = (HeaderMap::new(), Bytes::from(body.to_string()));
    let caller = Caller::local();
    read(Reader { headers: &headers, body: &body, id: "req_1", caller, lenient, kept: &Kept::default() })
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

/// A request that is right, with `change` made to it.
fn request(change: impl FnOnce(&mut Value)) -> Value {
    let mut body = json!({"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": "Hello"}]});
    change(&mut body);
    body
}

/// A request in which `role` says `block`.
fn saying(role: &str, block: Value) -> Value {
    request(|body| {
        let first = json!({"role": "user", "content": "Hello"});
        body["messages"] = json!([first, {"role": role, "content": [block]}]);
    })
}

/// A conversation whose one call is answered with this content.
fn answering(content: Value) -> Value {
    request(|body| {
        body["messages"] = json!([{"role": "user", "content": "Hello"},
            {"role": "assistant", "content": [{"type": "tool_use", "id": "1", "name": "f", "input": {}}]},
            {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "1", "content": content}]}]);
    })
}

fn dropped(ask: &Ask) -> String {
    ask.warnings.header().unwrap_or_default()
}

#[test]
fn a_conversation_is_read_with_all_that_it_says() {
    let ask = asked(&json!({
        "model": "sonnet", "max_tokens": 1024, "stream": true,
        "system": [
            {"type": "text", "text": "Be brief.", "cache_control": {"type": "ephemeral", "ttl": "1h"}},
            {"type": "text", "text": "Be kind."},
        ],
        "messages": [
            {"role": "user", "content": "What is in the picture?"},
            {"role": "user", "content": [
                {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "aGk="}},
                {"type": "document", "title": "a", "source":
                    {"type": "base64", "media_type": "application/pdf", "data": "aGk="}},
                {"type": "document", "source": {"type": "content", "content":
                    [{"type": "text", "text": "one"}, {"type": "text", "text": "two"}]}},
                {"type": "text", "text": "Look.", "cache_control": {"type": "ephemeral"}},
            ]},
            {"role": "assistant", "content": [
                {"type": "thinking", "thinking": "Hm.", "signature": "c2ln"},
                {"type": "redacted_thinking", "data": "ZGF0YQ=="},
                {"type": "text", "text": "I look.", "citations": null},
                {"type": "tool_use", "id": "toolu_1", "name": "look", "input": {"at": 1.50}},
            ]},
            {"role": "user", "content": [
                {"type": "tool_result", "tool_use_id": "toolu_1", "is_error": true, "content": [
                    {"type": "text", "text": "dark"},
                    {"type": "image", "source": {"type": "url", "url": "https://example.com/a.png"}},
                ]},
            ]},
            {"role": "system", "content": "It is late."},
        ],
        "tools": [{"name": "look", "description": "Looks.", "input_schema": {"type": "object"}, "strict": true}],
        "tool_choice": {"type": "any", "disable_parallel_tool_use": true},
        "stop_sequences": ["END"],
        "thinking": {"type": "enabled", "budget_tokens": 10_000},
        "metadata": {"user_id": "u"},
    }));
    assert_eq!(dropped(&ask), "");
    insta::assert_debug_snapshot!(ask);
}

#[test]
fn what_a_tool_is_given_is_kept_byte_for_byte() {
    let body = r#"{"model":"m","max_tokens":1,"messages":[{"role":"assistant","content":[
        {"type":"tool_use","id":"1","name":"f","input":{"b" : 1.0e2,"a":"\u00e9"}}]},
        {"role":"user","content":[{"type":"tool_result","tool_use_id":"1"}]}]}"#;
    let (headers, body) = (HeaderMap::new(), Bytes::from(body));
    let (caller, kept) = (Caller::local(), Kept::default());
    let ask =
        read(Reader { headers: &headers, body: &body, id: "req_1", caller, lenient: false, kept: &kept })
            .unwrap()
            .ask;
    let Block::ToolUse { input, .. } = &ask.turns[0].parts[0].block else { panic!("{ask:?}") };
    assert_eq!(input.get(), r#"{"b" : 1.0e2,"a":"\u00e9"}"#);
}

#[test]
fn instructions_before_the_first_turn_are_the_system_prompt_and_later_ones_stay_where_they_are() {
    let ask = asked(&request(|body| {
        body["system"] = "A".into();
        body["messages"] = json!([
            {"role": "system", "content": "B"},
            {"role": "user", "content": "C"},
            {"role": "system", "content": [{"type": "text", "text": "D"}], "output_config": {"effort": "low"}},
        ]);
    }));
    let system: Vec<_> = ask.system.iter().map(|prompt| prompt.text.as_str()).collect();
    assert_eq!(system, ["A", "B"]);
    let roles: Vec<_> = ask.turns.iter().map(|turn| turn.role).collect();
    assert_eq!(roles, [Role::User, Role::System]);
    assert_eq!(dropped(&ask), "dropped=messages[].output_config");
}

#[test]
fn who_is_billed_is_no_instruction() {
    let ask = asked(&request(|body| {
        body["system"] = json!([
            {"type": "text", "text": "x-anthropic-billing-header: cc_version=2.1.329.542;"},
            {"type": "text", "text": "x-anthropic-billing-header: is a header."},
        ]);
    }));
    let system: Vec<_> = ask.system.iter().map(|prompt| prompt.text.as_str()).collect();
    assert_eq!(system, ["x-anthropic-billing-header: is a header."]);
    assert_eq!(dropped(&ask), "");
}

#[test]
fn what_has_no_effect_is_noted_unless_it_is_the_default() {
    let cases = [
        (json!({"temperature": 1, "top_p": 1.0, "service_tier": "auto", "speed": "standard"}), ""),
        (json!({"temperature": null, "top_k": null, "container": null, "mcp_servers": []}), ""),
        (json!({"temperature": 0.2}), "dropped=temperature"),
        (json!({"top_p": 0.9, "top_k": 5}), "dropped=top_p,top_k"),
        (json!({"service_tier": "standard_only"}), "dropped=service_tier"),
        (json!({"context_management": {"edits": []}, "x": 1}), "dropped=context_management,x"),
        (json!({"metadata": {"user_id": "u", "y": 1}}), "dropped=metadata.y"),
        (json!({"output_config": {"effort": "low", "task_budget": {}}}), "dropped=output_config.task_budget"),
        (json!({"thinking": {"type": "adaptive", "z": 1}}), "dropped=thinking.z"),
    ];
    for (fields, warnings) in cases {
        let body = request(|body| {
            let fields = fields.as_object().unwrap().clone();
            body.as_object_mut().unwrap().extend(fields);
        });
        assert_eq!(dropped(&asked(&body)), warnings, "{fields}");
    }
}

#[test]
fn what_would_change_the_answer_is_refused_and_noted_where_the_client_does_not_mind() {
    let image = |source: Value| saying("user", json!({"type": "image", "source": source}));
    let cases = [
        (
            request(|body| body["tools"] = json!([{"type": "web_search_20250305", "name": "web_search"}])),
            Kind::Unsupported,
            "tools[0].type",
        ),
        (
            request(|body| body["mcp_servers"] = json!([{"url": "https://a/"}])),
            Kind::Unsupported,
            "mcp_servers",
        ),
        (request(|body| body["container"] = "c".into()), Kind::Unsupported, "container"),
        (
            saying("user", json!({"type": "search_result", "source": "s", "title": "t", "content": []})),
            Kind::UnsupportedContent,
            "messages[1].content[0]",
        ),
        (
            saying(
                "assistant",
                json!({"type": "server_tool_use", "id": "1", "name": "web_search", "input": {}}),
            ),
            Kind::UnsupportedContent,
            "messages[1].content[0]",
        ),
        (
            image(json!({"type": "file", "file_id": "f"})),
            Kind::UnsupportedContent,
            "messages[1].content[0].source",
        ),
        (
            answering(json!([{"type": "text", "text": "a"}, {"type": "search_result"}])),
            Kind::UnsupportedContent,
            "messages[2].content[0].content[1]",
        ),
        (
            saying(
                "user",
                json!({"type": "document", "source": {"type": "content", "content":
                [{"type": "image", "source": {}}]}}),
            ),
            Kind::UnsupportedContent,
            "messages[1].content[0].source.content[0]",
        ),
    ];
    for (body, kind, place) in cases {
        let failure = refused(&body);
        assert_eq!((failure.kind, failure.param.as_deref()), (kind, Some(place)), "{body}");
        assert!(failure.message.starts_with(place), "{failure}");
        let ask = try_read(&body, true).unwrap_or_else(|failure| panic!("{failure}: {body}")).ask;
        let place: String = place.chars().filter(|c| !c.is_ascii_digit()).collect();
        assert_eq!(dropped(&ask), format!("dropped={place}"));
    }
}

#[test]
fn what_is_wrong_is_named_by_its_place() {
    let cases = [
        (json!({}), "model"),
        (json!({"model": ""}), "model"),
        (json!({"model": "m"}), "max_tokens"),
        (json!({"model": "m", "max_tokens": -1}), "max_tokens"),
        (json!({"model": "m", "max_tokens": "9"}), "max_tokens"),
        (json!({"model": "m", "max_tokens": 9}), "messages"),
        (json!({"model": "m", "max_tokens": 9, "messages": []}), "messages"),
        (request(|body| body["stream"] = 1.into()), "stream"),
        (request(|body| body["system"] = json!([{"type": "image"}])), "system[0].type"),
        (request(|body| body["system"] = 5.into()), "system"),
        (request(|body| body["messages"][0]["role"] = "tool".into()), "messages[0].role"),
        (request(|body| body["messages"][0]["content"] = Value::Null), "messages[0].content"),
        (request(|body| body["stop_sequences"] = json!(["a", ""])), "stop_sequences[1]"),
        (request(|body| body["tools"] = json!([{"name": "f"}])), "tools[0].input_schema"),
        (request(|body| body["tools"] = json!([{"name": "", "input_schema": {}}])), "tools[0].name"),
        (
            request(|body| {
                body["tools"] = json!([{"name": "f", "input_schema": {}}, {"name": "f", "input_schema": {}}]);
            }),
            "tools[1].name",
        ),
        (request(|body| body["tool_choice"] = json!({"type": "any"})), "tool_choice.type"),
        (request(|body| body["tool_choice"] = json!({"type": "tool", "name": "f"})), "tool_choice.name"),
        (request(|body| body["thinking"] = json!({"type": "enabled"})), "thinking.budget_tokens"),
        (request(|body| body["thinking"] = json!({"type": "much"})), "thinking.type"),
        (request(|body| body["output_config"] = json!({"effort": "most"})), "output_config.effort"),
        (request(|body| body["output_format"] = json!({"type": "json"})), "output_format.type"),
        (request(|body| body["metadata"] = json!({"user_id": 7})), "metadata.user_id"),
        (saying("user", json!({"text": "a"})), "messages[1].content[0].type"),
        (saying("user", json!({"type": "text"})), "messages[1].content[0].text"),
        (saying("user", json!({"type": "tool_use"})), "messages[1].content[0].type"),
        (saying("assistant", json!({"type": "tool_result"})), "messages[1].content[0].type"),
        (saying("system", json!({"type": "image"})), "messages[1].content[0].type"),
        (
            saying("assistant", json!({"type": "tool_use", "id": "1", "name": "f", "input": "{}"})),
            "messages[1].content[0].input",
        ),
        (
            saying(
                "user",
                json!({"type": "image", "source":
                {"type": "base64", "media_type": "image/png", "data": "#"}}),
            ),
            "messages[1].content[0].source.data",
        ),
        (
            saying("user", json!({"type": "image", "source": {"type": "url", "url": "file:///etc/passwd"}})),
            "messages[1].content[0].source.url",
        ),
        (
            saying("user", json!({"type": "text", "text": "a", "cache_control": "b"})),
            "messages[1].content[0].cache_control",
        ),
    ];
    for (body, place) in cases {
        let failure = refused(&body);
        assert_eq!(
            (failure.kind, failure.param.as_deref()),
            (Kind::Invalid, Some(place)),
            "{body}: {failure}"
        );
    }
    let nothing = refused(&request(|body| body["max_tokens"] = 0.into()));
    assert_eq!(nothing.kind, Kind::Unsupported);
}

#[test]
fn thinking_and_effort_say_how_hard_to_think() {
    let cases = [
        (json!({}), None, false),
        (json!({"thinking": {"type": "disabled"}}), Some(Effort::None), false),
        (json!({"thinking": {"type": "adaptive"}}), None, true),
        (json!({"thinking": {"type": "adaptive", "display": "omitted"}}), None, false),
        (json!({"thinking": {"type": "adaptive", "display": "updates"}}), None, true),
        (json!({"thinking": {"type": "enabled", "budget_tokens": 1024}}), Some(Effort::Low), true),
        (json!({"thinking": {"type": "enabled", "budget_tokens": 31999}}), Some(Effort::High), true),
        (json!({"thinking": {"type": "enabled", "budget_tokens": 64000}}), Some(Effort::XHigh), true),
        (json!({"output_config": {"effort": "max"}}), Some(Effort::Max), false),
        (
            json!({"thinking": {"type": "enabled", "budget_tokens": 1024}, "output_config": {"effort": "medium"}}),
            Some(Effort::Medium),
            true,
        ),
    ];
    for (fields, effort, shows) in cases {
        let body = request(|body| body.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone()));
        let ask = asked(&body);
        assert_eq!((ask.effort, ask.shows_thinking, dropped(&ask).as_str()), (effort, shows, ""), "{fields}");
    }
    let both = json!({"thinking": {"type": "disabled"}, "output_config": {"effort": "low"}});
    let ask = asked(&request(|body| body.as_object_mut().unwrap().extend(both.as_object().unwrap().clone())));
    assert_eq!((ask.effort, dropped(&ask).as_str()), (Some(Effort::None), "dropped=output_config.effort"));
}

#[test]
fn a_schema_of_the_text_is_read_under_both_its_names() {
    let format = json!({"type": "json_schema", "schema": {"type": "object"}});
    for body in [
        request(|body| body["output_format"] = format.clone()),
        request(|body| body["output_config"] = json!({"format": format})),
    ] {
        let ask = asked(&body);
        assert!(matches!(&ask.format, Format::Schema(schema) if schema.get() == "{\"type\":\"object\"}"));
    }
}

#[test]
fn the_choice_of_tools_is_read() {
    let tools = json!([{"name": "f", "input_schema": {}}]);
    let cases = [
        (json!({"type": "auto"}), ToolChoice::Auto, true),
        (json!({"type": "none"}), ToolChoice::None, true),
        (json!({"type": "any", "disable_parallel_tool_use": true}), ToolChoice::Required, false),
        (json!({"type": "tool", "name": "f"}), ToolChoice::Named("f".to_owned()), true),
    ];
    for (choice, chosen, parallel) in cases {
        let ask = asked(&request(|body| {
            body["tools"] = tools.clone();
            body["tool_choice"] = choice;
        }));
        assert_eq!((ask.choice, ask.parallel), (chosen, parallel));
    }
}

#[test]
fn a_thread_is_refused_to_those_who_do_not_mind_too() {
    let body = request(|body| body["thread"] = json!({"type": "continue", "previous_message_id": "msg_1"}));
    for lenient in [false, true] {
        let failure = try_read(&body, lenient).err().unwrap();
        assert_eq!((failure.kind, failure.param.as_deref()), (Kind::Unsupported, Some("thread")));
    }
}

#[test]
fn a_tool_that_was_found_is_named_to_the_model() {
    let ask = asked(&answering(json!([{"type": "tool_reference", "tool_name": "grep"}])));
    let Block::ToolResult { content, .. } = &ask.turns[2].parts[0].block else { panic!("{ask:?}") };
    assert!(matches!(&content[..], [Block::Text(text)] if text == "The tool grep can be used."));
    assert_eq!(dropped(&ask), "tool_reference as text");
}

#[test]
fn documents_on_the_web_are_passed_on_unfetched() {
    let ask = asked(&saying(
        "user",
        json!({"type": "document", "citations": {"enabled": false}, "source":
            {"type": "url", "url": "https://example.com/a.pdf"}}),
    ));
    assert!(matches!(&ask.turns[1].parts[0].block, Block::Document { source: Source::Url(_), .. }));
    assert_eq!(dropped(&ask), "");
}

#[test]
fn the_conversation_is_in_the_head() {
    let kept = Kept::default();
    let body = Bytes::from(request(|_| {}).to_string());
    for (name, value, id) in
        [("x-conversation-id", "c1", Some("c1")), ("correlation-id", " c2 ", Some("c2")), ("x", "c3", None)]
    {
        let mut headers = HeaderMap::new();
        headers.insert(name, HeaderValue::from_static(value));
        let caller = Caller::local();
        let reader =
            Reader { headers: &headers, body: &body, id: "req_1", caller, lenient: false, kept: &kept };
        assert_eq!(read(reader).unwrap().ask.conversation.as_deref(), id);
    }
}

#[test]
fn tokens_are_counted_of_a_request_without_a_bound() {
    let headers = HeaderMap::new();
    let body = Bytes::from_static(include_bytes!("tests/claude_code_count.json"));
    let (caller, kept) = (Caller::local(), Kept::default());
    let ask = read_count(Reader {
        headers: &headers,
        body: &body,
        id: "req_1",
        caller,
        lenient: false,
        kept: &kept,
    })
    .unwrap();
    assert_eq!((ask.max_tokens, ask.turns.len(), ask.tools.len()), (None, 1, 0));
    assert_eq!(count(Count { tokens: 7, estimated: false }), json!({"input_tokens": 7}));
    assert_eq!(count(Count { tokens: 7, estimated: true }), json!({"input_tokens": 7, "estimated": true}));
}

#[test]
fn what_claude_code_sends_is_read() {
    let cases = [
        (&include_bytes!("tests/claude_code_tools.json")[..], 2, 4, 2),
        (include_bytes!("tests/claude_code_old.json"), 2, 1, 15),
        (include_bytes!("tests/claude_code_interactive.json"), 2, 2, 13),
    ];
    for (body, prompts, turns, tools) in cases {
        let body: Value = serde_json::from_slice(body).unwrap();
        let ask = asked(&body);
        assert_eq!((ask.system.len(), ask.turns.len(), ask.tools.len()), (prompts, turns, tools));
        assert!(ask.stream && ask.system.iter().all(|prompt| !prompt.text.contains("billing")));
    }
}

/// Any JSON.
fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        prop_oneof!["text", "image", "document", "tool_use", "tool_result", "base64", ".{0,6}"]
            .prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 32, 6, |inner| {
        let name = prop_oneof!["type", "content", "role", "text", "source", "input", "[a-z_]{1,6}"];
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            proptest::collection::vec((name, inner), 0..5)
                .prop_map(|fields| fields.into_iter().collect::<Value>()),
        ]
    })
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

proptest! {
    #[test]
    fn no_body_makes_the_reader_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let (headers, body) = (HeaderMap::new(), Bytes::from(bytes));
        let (caller, kept) = (Caller::local(), Kept::default());
        let read = read(Reader { headers: &headers, body: &body, id: "req_1", caller, lenient: false, kept: &kept });
        prop_assert!(read.is_err());
    }

    #[test]
    fn a_request_with_anything_anywhere_is_read_or_refused(
        path in proptest::collection::vec(any::<prop::sample::Index>(), 1..6),
        value in any_json(),
        lenient: bool,
    ) {
        let mut body: Value = serde_json::from_slice(include_bytes!("tests/claude_code_tools.json")).unwrap();
        put(&mut body, &path, value);
        if let Err(failure) = try_read(&body, lenient) {
            prop_assert!(failure.kind.status().is_client_error());
            prop_assert!(!failure.message.is_empty());
        }
    }
}
