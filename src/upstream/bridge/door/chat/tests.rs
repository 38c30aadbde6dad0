use http::{HeaderMap, HeaderValue};
use serde_json::{Value, json};

use super::*;
use crate::upstream::bridge::Kind;
use crate::upstream::bridge::ask::{Block, Role, Source, ToolChoice, Turn};
use crate::upstream::bridge::door::Door;
use crate::upstream::bridge::door::tests::read_with;

fn read(body: &Value) -> Result<Ask, Failure> {
    read_with(Door::Chat, &HeaderMap::new(), &body.to_string(), false).map(|reading| reading.ask)
}

/// A request with one user's message, and `more`.
fn with(more: Value) -> Value {
    let mut body = json!({"model": "m", "messages": [{"role": "user", "content": "hi"}]});
    body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    body
}

fn messages(messages: Value) -> Value {
    json!({"model": "m", "messages": messages})
}

/// Turns, as text that a test can compare.
fn turns(ask: &Ask) -> Vec<String> {
    let block = |block: &Block| match block {
        Block::Text(text) => text.clone(),
        Block::Image(Source::Base64 { media_type, data }) => format!("[{media_type} {data}]"),
        Block::Image(Source::Url(url)) => format!("[picture {url}]"),
        Block::Document { source: Source::Base64 { media_type, data }, title } => {
            format!("[{media_type} {data} {}]", title.as_deref().unwrap_or_default())
        }
        Block::Thinking { text, signature: None } => format!("({text})"),
        Block::ToolUse { id, name, input } => format!("{name}#{id}{}", input.get()),
        Block::ToolResult { id, content, is_error: false } => match content.as_slice() {
            [] => format!("#{id}="),
            [Block::Text(text)] => format!("#{id}={text}"),
            more => format!("#{id}={} parts", more.len()),
        },
        other => format!("{other:?}"),
    };
    let turn = |turn: &Turn| {
        let role = match turn.role {
            Role::User => "user",
            Role::Assistant => "assistant",
            Role::System => "system",
        };
        let parts: Vec<_> = turn.parts.iter().map(|part| block(&part.block)).collect();
        format!("{role}: {}", parts.join(" | "))
    };
    ask.turns.iter().map(turn).collect()
}

fn system(ask: &Ask) -> Vec<&str> {
    ask.system.iter().map(|prompt| prompt.text.as_str()).collect()
}

/// A conversation up to a call of the tool `f`, and what comes after.
fn called(more: Vec<Value>) -> Value {
    let call = json!({"id": "a", "type": "function", "function": {"name": "f", "arguments": "{\"x\": 1}"}});
    let mut all =
        vec![json!({"role": "user", "content": "hi"}), json!({"role": "assistant", "tool_calls": [call]})];
    all.extend(more);
    messages(all.into())
}

#[test]
fn roles_are_kept() {
    let ask = read(&messages(json!([
        {"role": "system", "content": "Be kind."},
        {"role": "developer", "content": [{"type": "text", "text": "Be brief."}]},
        {"role": "user", "content": "hi"},
        {"role": "assistant", "content": "hello", "reasoning_content": "A greeting."},
        {"role": "system", "content": "Now be rude."},
        {"role": "user", "content": [{"type": "text", "text": "how"}, {"type": "text", "text": "are you?"}]},
        {"role": "assistant", "content": [{"type": "text", "text": "Well"}, {"type": "refusal", "refusal": "no"}]},
        {"role": "assistant", "content": null, "refusal": "never"},
        {"role": "user", "content": ""},
        {"role": "user", "content": "!"},
    ])))
    .unwrap();
    assert_eq!(system(&ask), ["Be kind.", "Be brief."]);
    assert_eq!(
        turns(&ask),
        [
            "user: hi",
            "assistant: (A greeting.) | hello",
            "system: Now be rude.",
            "user: how | are you?",
            "assistant: Well | no",
            "assistant: never",
            "user: !",
        ]
    );
    assert_eq!(ask.warnings.header(), None);
}

#[test]
fn tools_and_what_they_said_are_kept() {
    let ask = read(&messages(json!([
        {"role": "user", "content": "weather?"},
        {"role": "assistant", "content": null, "tool_calls": [
            {"id": "a", "type": "function", "function": {"name": "f", "arguments": "{\"x\" : 1.0}"}},
            {"id": "b", "type": "function", "index": 1, "function": {"name": "g", "arguments": ""}},
            {"id": "c", "type": "function", "function": {"name": "h"}}]},
        {"role": "tool", "tool_call_id": "b", "content": [{"type": "text", "text": "B"}]},
        {"role": "tool", "tool_call_id": "a", "name": "f", "content": "A"},
        {"role": "tool", "tool_call_id": "c", "content": ""},
        {"role": "assistant", "content": "", "tool_calls": [
            {"id": "a", "type": "function", "function": {"name": "f", "arguments": "{}"}}]},
        {"role": "tool", "tool_call_id": "a", "content": [{"type": "text", "text": "A"},
            {"type": "image_url", "image_url": {"url": "data:image/png;base64,aGk="}}]},
    ])))
    .unwrap();
    assert_eq!(
        turns(&ask),
        [
            "user: weather?",
            "assistant: f#a{\"x\" : 1.0} | g#b{} | h#c{}",
            "user: #b=B | #a=A | #c=",
            "assistant: f#a{}",
            "user: #a=2 parts",
        ]
    );
    assert_eq!(ask.warnings.header(), None);
}

#[test]
fn functions_of_old_are_tools() {
    let body = json!({"model": "m", "functions": [{"name": "f", "parameters": {"type": "object"}}],
        "function_call": {"name": "f"}, "messages": [
            {"role": "user", "content": "1"},
            {"role": "assistant", "content": null, "function_call": {"name": "f", "arguments": "{}"}},
            {"role": "function", "name": "f", "content": "one"},
            {"role": "assistant", "content": null, "function_call": {"name": "f", "arguments": "{}"}},
            {"role": "function", "name": "f", "content": "two"}]});
    let ask = read(&body).unwrap();
    assert_eq!(
        turns(&ask),
        [
            "user: 1",
            "assistant: f#call_function_0{}",
            "user: #call_function_0=one",
            "assistant: f#call_function_1{}",
            "user: #call_function_1=two",
        ]
    );
    assert_eq!(ask.choice, ToolChoice::Named("f".to_owned()));
    assert!(!ask.parallel, "one call is all that a message of the old form has room for");
}

#[test]
fn pictures_and_files_are_kept() {
    let ask = read(&messages(json!([{"role": "user", "content": [
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,aGk=", "detail": "auto"}},
        {"type": "image_url", "image_url": "https://example.com/a.png"},
        {"type": "file", "file": {"filename": "a.pdf", "file_data": "data:application/pdf;base64,aGk="}},
    ]}])))
    .unwrap();
    assert_eq!(
        turns(&ask),
        ["user: [image/png aGk=] | [picture https://example.com/a.png] | [application/pdf aGk= a.pdf]"]
    );
    assert_eq!(ask.warnings.header(), None);
}

#[test]
fn what_anthropic_may_cache_is_kept() {
    let mark = json!({"type": "ephemeral"});
    let ask = read(&messages(json!([
        {"role": "system", "content": [{"type": "text", "text": "long", "cache_control": mark}]},
        {"role": "user", "content": [{"type": "text", "text": "hi", "cache_control": mark}]},
    ])))
    .unwrap();
    assert_eq!(ask.system[0].cache.as_ref().unwrap().get(), mark.to_string());
    assert_eq!(ask.turns[0].parts[0].cache.as_ref().unwrap().get(), mark.to_string());
}

/// Where it is wrong, and a part of what is said about it.
#[test]
fn a_request_that_is_wrong_is_told_where_and_what_would_be_right() {
    let user = |content: Value| messages(json!([{"role": "user", "content": content}]));
    let tool = |tool: Value| with(json!({"tools": [tool]}));
    let f = json!({"type": "function", "function": {"name": "f"}});
    let choice = |choice: Value| with(json!({"tools": [f], "tool_choice": choice}));
    let assistant = |call: Value| {
        messages(json!([{"role": "user", "content": "hi"}, {"role": "assistant", "tool_calls": [call]}]))
    };
    let arguments = |arguments: Value| {
        assistant(json!({"id": "a", "type": "function", "function": {"name": "f", "arguments": arguments}}))
    };
    let answer = |id: &str| json!({"role": "tool", "tool_call_id": id, "content": "x"});
    let cases = [
        (json!({"messages": []}), "model", "missing"),
        (json!({"model": 7, "messages": []}), "model", "found 7, where a string would be right"),
        (json!({"model": "", "messages": []}), "model", "1 to 512 bytes"),
        (json!({"model": "m"}), "messages", "missing; a list of messages would be right"),
        (json!({"model": "m", "messages": "hi"}), "messages", "found a string, where a list would be right"),
        (messages(json!([])), "messages", "nobody says anything"),
        (messages(json!([{"role": "system", "content": "x"}])), "messages", "nobody says anything"),
        (messages(json!(["hi"])), "messages[0]", "found a string, where an object would be right"),
        (messages(json!([{"content": "x"}])), "messages[0].role", "missing; one of system, developer"),
        (messages(json!([{"role": "bot", "content": "x"}])), "messages[0].role", "found \"bot\""),
        (messages(json!([{"role": "user"}])), "messages[0].content", "missing"),
        (user(json!(7)), "messages[0].content", "found 7, where a string or a list of parts"),
        (user(json!([{"text": "x"}])), "messages[0].content[0].type", "missing"),
        (user(json!([{"type": "x"}])), "messages[0].content[0].type", "one of text, image_url, file"),
        (user(json!([{"type": "text"}])), "messages[0].content[0].text", "missing"),
        (user(json!([{"type": "text", "text": null}])), "messages[0].content[0].text", "missing"),
        (
            user(json!([{"type": "image_url", "image_url": {"url": "file:///etc/passwd"}}])),
            "messages[0].content[0].image_url.url",
            "an https URL would be right",
        ),
        (
            user(json!([{"type": "file", "file": {"file_data": "x"}}])),
            "messages[0].content[0].file.file_data",
            "nothing says what this is",
        ),
        (
            messages(json!([{"role": "system", "content": [{"type": "image_url"}]}])),
            "messages[0].content[0].type",
            "where text would be right",
        ),
        (arguments(json!("[1]")), "messages[1].tool_calls[0].function.arguments", "found a list"),
        (
            arguments(json!("{\"a\"")),
            "messages[1].tool_calls[0].function.arguments",
            "a JSON object in a string",
        ),
        (
            arguments(json!({})),
            "messages[1].tool_calls[0].function.arguments",
            "found an object, where a string",
        ),
        (assistant(json!({"function": {"name": "f"}})), "messages[1].tool_calls[0].id", "missing"),
        (assistant(json!({"id": "a"})), "messages[1].tool_calls[0].function", "missing"),
        (
            assistant(json!({"id": "a", "function": {"name": "f g"}})),
            "messages[1].tool_calls[0].function.name",
            "letters, digits",
        ),
        (
            messages(json!([{"role": "assistant", "tool_calls": [
            {"id": "a", "function": {"name": "f"}}, {"id": "a", "function": {"name": "f"}}]}])),
            "messages[0].tool_calls[1].id",
            "an id that no other call",
        ),
        (called(vec![]), "messages[1].tool_calls[0]", "nothing answers this call"),
        (
            called(vec![json!({"role": "user", "content": "x"})]),
            "messages[1].tool_calls[0]",
            "tool_call_id a",
        ),
        (called(vec![answer("b")]), "messages[2].tool_call_id", "where one of a, each once, would be right"),
        (
            called(vec![answer("a"), answer("a")]),
            "messages[3].tool_call_id",
            "the id of a call in the turn before",
        ),
        (called(vec![json!({"role": "tool", "content": "x"})]), "messages[2].tool_call_id", "missing"),
        (
            called(vec![json!({"role": "function", "name": "f", "content": "x"})]),
            "messages[2].name",
            "function_call",
        ),
        (
            with(json!({"tools": [f, f]})),
            "tools[1].function.name",
            "where a name that no other tool has would be right",
        ),
        (tool(json!({"type": "function"})), "tools[0].function", "missing"),
        (tool(json!({"type": "function", "function": {}})), "tools[0].function.name", "missing"),
        (
            tool(json!({"type": "function", "function": {"name": "f", "parameters": []}})),
            "tools[0].function.parameters",
            "found a list, where an object",
        ),
        (with(json!({"tools": [f], "functions": [{"name": "f"}]})), "functions", "either tools or functions"),
        (choice(json!("sometimes")), "tool_choice", "found \"sometimes\""),
        (choice(json!(7)), "tool_choice", "found 7"),
        (
            choice(json!({"type": "function", "function": {"name": "g"}})),
            "tool_choice.function.name",
            "found \"g\", where the name of one of the tools",
        ),
        (with(json!({"tool_choice": "required"})), "tool_choice", "tools has none"),
        (
            choice(json!({"type": "allowed_tools", "allowed_tools": {"mode": "never", "tools": []}})),
            "tool_choice.allowed_tools.mode",
            "found \"never\"",
        ),
        (with(json!({"max_tokens": 0})), "max_tokens", "found 0, where a whole number above 0"),
        (with(json!({"max_completion_tokens": -1})), "max_completion_tokens", "found -1"),
        (with(json!({"stop": 7})), "stop", "a string or a list of strings"),
        (with(json!({"stop": ["a", ""]})), "stop[1]", "1 to 1024 bytes"),
        (with(json!({"stop": vec!["x"; 65]})), "stop", "65 items, of which 64"),
        (with(json!({"response_format": {"type": "xml"}})), "response_format.type", "found \"xml\""),
        (
            with(json!({"response_format": {"type": "json_schema", "json_schema": {"name": "x"}}})),
            "response_format.json_schema.schema",
            "missing",
        ),
        (with(json!({"reasoning_effort": "hard"})), "reasoning_effort", "found \"hard\""),
        (with(json!({"stream": "yes"})), "stream", "found a string, where true or false"),
        (with(json!({"user": ""})), "user", "1 to 512 bytes"),
    ];
    for (body, param, part) in cases {
        let failure = read(&body).expect_err(&body.to_string());
        assert_eq!(failure.kind, Kind::Invalid, "{body}: {failure}");
        assert_eq!(failure.param.as_deref(), Some(param), "{body}: {failure}");
        assert!(failure.message.starts_with(&format!("{param}: ")), "{failure}");
        assert!(failure.message.contains(part), "{failure}\nwithout\n{part}");
    }
}

#[test]
fn half_a_surrogate_is_refused_where_it_stands() {
    let body = r#"{"model": "m", "messages": [{"role": "user", "content": "\ud83d"}]}"#;
    let failure = read_with(Door::Chat, &HeaderMap::new(), body, false).err().unwrap();
    assert_eq!(
        failure.message,
        "messages[0].content: found a string, where a string of valid Unicode would be right"
    );
}

#[test]
fn what_would_change_the_answer_is_refused_and_where_the_owner_is_lenient_noted() {
    let f = json!({"type": "function", "function": {"name": "f"}});
    let cases = [
        (json!({"n": 2}), "n"),
        (json!({"logprobs": true}), "logprobs"),
        (json!({"top_logprobs": 3}), "top_logprobs"),
        (json!({"audio": {"voice": "alloy"}}), "audio"),
        (json!({"modalities": ["text", "audio"]}), "modalities"),
        (json!({"web_search_options": {}}), "web_search_options"),
        (json!({"moderation": {"model": "x"}}), "moderation"),
        (json!({"tools": [{"type": "custom", "custom": {"name": "x"}}]}), "tools[0].type"),
        (
            json!({"tools": [f], "tool_choice": {"type": "custom", "custom": {"name": "x"}}}),
            "tool_choice.type",
        ),
    ];
    for (more, param) in cases {
        let body = with(more).to_string();
        let failure = read_with(Door::Chat, &HeaderMap::new(), &body, false).err().expect(param);
        assert_eq!((failure.kind, failure.param.as_deref()), (Kind::Unsupported, Some(param)));
        let ask = read_with(Door::Chat, &HeaderMap::new(), &body, true).expect(param).ask;
        assert_eq!(ask.warnings.header(), Some(format!("dropped={param}")));
    }
}

#[test]
fn what_nobody_here_can_take_is_refused_as_content() {
    let part = |part: Value| messages(json!([{"role": "user", "content": [part]}]));
    let cases = [
        (
            part(json!({"type": "input_audio", "input_audio": {"data": "", "format": "wav"}})),
            "messages[0].content[0]",
        ),
        (part(json!({"type": "file", "file": {"file_id": "f"}})), "messages[0].content[0].file.file_id"),
        (
            part(json!({"type": "image_url", "image_url": {"url": "data:image/tiff;base64,aGk="}})),
            "messages[0].content[0].image_url.url",
        ),
        (messages(json!([{"role": "assistant", "audio": {"id": "a"}}])), "messages[0].audio"),
    ];
    for (body, param) in cases {
        let failure = read(&body).expect_err(param);
        assert_eq!((failure.kind, failure.param.as_deref()), (Kind::UnsupportedContent, Some(param)));
    }
}

#[test]
fn nothing_is_dropped_silently() {
    let ask = read(&with(json!({
        "temperature": 0.2, "top_p": 0.9, "seed": 7, "store": true, "verbosity": "low", "service_tier": "flex",
        "logit_bias": {"1": 2}, "presence_penalty": 1, "frequency_penalty": -1,
        "prediction": {"type": "content", "content": "x"}, "metadata": {"a": "b"}, "made_up": 1,
        "messages": [{"role": "user", "name": "bob", "content": [{"type": "text", "text": "x", "z": 1}]},
            {"role": "user", "name": "bob", "content": "x"}],
        "stream_options": {"include_obfuscation": true},
        "tools": [{"type": "function", "function": {"name": "f", "z": 1}}],
        "response_format": {"type": "json_schema", "json_schema": {"name": "x", "schema": {}, "description": "d"}},
    })))
    .unwrap();
    assert_eq!(
        ask.warnings.header().unwrap(),
        "dropped=metadata.a,messages[].content[].z,messages[].name,tools[].function.z,\
        response_format.json_schema.description,stream_options.include_obfuscation,temperature,top_p,\
        frequency_penalty,presence_penalty,logit_bias,seed,store,service_tier,prediction,verbosity,made_up"
    );
}

#[test]
fn what_is_as_it_would_be_anyway_is_not_worth_a_word() {
    let ask = read(&with(json!({
        "temperature": 1.0, "top_p": 1, "seed": null, "store": false, "verbosity": "medium", "n": 1,
        "service_tier": "auto", "logit_bias": {}, "presence_penalty": 0, "frequency_penalty": 0.0,
        "logprobs": false, "top_logprobs": null, "modalities": ["text"], "audio": null, "tools": [],
        "tool_choice": "none", "parallel_tool_calls": true, "stop": null, "stream": false, "user": null,
        "metadata": {}, "response_format": {"type": "text"}, "stream_options": null, "max_tokens": null,
    })))
    .unwrap();
    assert_eq!(ask.warnings.header(), None);
    assert_eq!(ask.choice, ToolChoice::None);
}

#[test]
fn parameters_mean_what_openai_means() {
    let ask = read(&with(json!({
        "max_tokens": 5, "max_completion_tokens": 7, "stop": ["a", "b"], "reasoning_effort": "xhigh",
        "response_format": {"type": "json_schema", "json_schema": {"name": "x", "strict": true, "schema": {"a" : 1}}},
        "stream": true, "user": "u", "safety_identifier": "s", "session_id": "se", "project_id": "pr",
        "system_prompt": "Be kind.", "parallel_tool_calls": false,
    })))
    .unwrap();
    assert_eq!((ask.max_tokens, ask.stop.as_slice()), (Some(7), ["a".to_owned(), "b".to_owned()].as_slice()));
    assert_eq!((ask.effort, ask.stream, ask.parallel), (Some(Effort::XHigh), true, false));
    assert_eq!((ask.session.as_deref(), ask.project.as_deref()), (Some("se"), Some("pr")));
    assert_eq!(system(&ask), ["Be kind."]);
    assert!(matches!(&ask.format, Format::Schema(schema) if schema.get() == "{\"a\":1}"));
    // Of two names for the same thing, one has no effect.
    assert_eq!(ask.warnings.header().unwrap(), "dropped=max_tokens,user");
    let same = json!({"max_tokens": 7, "max_completion_tokens": 7, "user": "u", "safety_identifier": "u"});
    assert_eq!(read(&with(same)).unwrap().warnings.header(), None);

    let ask = read(&with(json!({"max_tokens": 5, "stop": "a", "response_format": {"type": "json_object"}})))
        .unwrap();
    assert_eq!((ask.max_tokens, ask.stop.len()), (Some(5), 1));
    assert!(matches!(ask.format, Format::Json));
}

#[test]
fn schemas_stay_as_they_are_byte_for_byte() {
    let schema = r#"{ "type":"object", "properties": {"b":{},"a":{"maximum":1e3}} }"#;
    let body = format!(
        r#"{{"model": "m", "messages": [{{"role": "user", "content": "x"}}],
            "tools": [{{"type": "function", "function": {{"name": "f", "description": "d", "strict": true,
                "parameters": {schema}}}}}, {{"type": "function", "function": {{"name": "g"}}}}]}}"#
    );
    let ask = read_with(Door::Chat, &HeaderMap::new(), &body, false).unwrap().ask;
    let [f, g] = ask.tools.as_slice() else { panic!("two tools") };
    assert_eq!((f.schema.get(), f.strict, f.description.as_deref()), (schema, true, Some("d")));
    assert_eq!((g.schema.get(), g.strict), (r#"{"type":"object","properties":{}}"#, false));
}

#[test]
fn tools_have_to_be_used_as_the_client_chooses() {
    let tools = json!(["f", "g"].map(|name| json!({"type": "function", "function": {"name": name}})));
    let read = |choice: Value| {
        let ask = read(&with(json!({"tools": tools, "tool_choice": choice}))).unwrap();
        (ask.choice, ask.tools.iter().map(|tool| tool.name.clone()).collect::<Vec<_>>().join(","))
    };
    let g = json!({"type": "function", "function": {"name": "g"}});
    let allowed =
        |mode: &str| json!({"type": "allowed_tools", "allowed_tools": {"mode": mode, "tools": [g]}});
    let all = || "f,g".to_owned();
    assert_eq!(read(Value::Null), (ToolChoice::Auto, all()));
    assert_eq!(read(json!("auto")), (ToolChoice::Auto, all()));
    assert_eq!(read(json!("none")), (ToolChoice::None, all()));
    assert_eq!(read(json!("required")), (ToolChoice::Required, all()));
    assert_eq!(read(g.clone()), (ToolChoice::Named("g".to_owned()), all()));
    assert_eq!(read(allowed("auto")), (ToolChoice::Auto, "g".to_owned()));
    assert_eq!(read(allowed("required")), (ToolChoice::Required, "g".to_owned()));
}

#[test]
fn names_of_a_conversation_that_have_no_effect_are_told() {
    let headers = ["x-conversation-id", "correlation-id"].map(|name| (name, name));
    let headers = headers.map(|(name, value)| (name.parse().unwrap(), HeaderValue::from_static(value)));
    let body = with(json!({"conversation": "x-conversation-id", "metadata": {"conversation_id": "m"}}));
    let ask = read_with(Door::Chat, &HeaderMap::from_iter(headers), &body.to_string(), false).unwrap().ask;
    assert_eq!(ask.conversation.as_deref(), Some("x-conversation-id"));
    assert_eq!(ask.warnings.header().unwrap(), "dropped=correlation-id,metadata.conversation_id");
}

#[test]
fn a_conversation_is_named_by_headers_before_the_body() {
    let read = |headers: &[(&'static str, &'static str)], more: Value| {
        let headers = headers
            .iter()
            .map(|(name, value)| (name.parse().unwrap(), HeaderValue::from_static(value)))
            .collect();
        let reading = read_with(Door::Chat, &headers, &with(more).to_string(), false);
        reading.map(|reading| reading.ask.conversation).map_err(|failure| failure.message)
    };
    let body =
        json!({"conversation": {"id": "c"}, "metadata": {"conversation_id": "m"}, "prompt_cache_key": "p"});
    let some = |name: &str| Ok(Some(name.to_owned()));
    assert_eq!(read(&[("correlation-id", "h"), ("x-conversation-id", "x")], body.clone()), some("x"));
    assert_eq!(read(&[("correlation-id", "h")], body.clone()), some("h"));
    assert_eq!(read(&[], body), some("c"));
    assert_eq!(read(&[], json!({"metadata": {"conversation_id": "m"}, "prompt_cache_key": "p"})), some("m"));
    assert_eq!(read(&[], json!({"prompt_cache_key": "p"})), some("p"));
    assert_eq!(read(&[], json!({"conversation": "c"})), some("c"));
    assert_eq!(read(&[], json!({})), Ok(None));
    assert!(
        read(&[("correlation-id", "")], json!({})).unwrap_err().starts_with("the header correlation-id: ")
    );
}
