use std::sync::LazyLock;

use jsonschema::Validator;
use perimeter_interceptor::{
    Answer, Call, CallId, Completion, Media, Part, Role, Tool, ToolResult, ToolUse, Turn,
};
use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::finished::Problem;
use crate::sample::{self, call};

mod limits;
mod tools;

static SCHEMAS: LazyLock<[Validator; 4]> = LazyLock::new(|| {
    [
        include_str!("../../tests/it/fixtures/system_instructions.schema.json"),
        include_str!("../../tests/it/fixtures/input_messages.schema.json"),
        include_str!("../../tests/it/fixtures/output_messages.schema.json"),
        include_str!("../../tests/it/fixtures/tool_definitions.schema.json"),
    ]
    .map(|schema| jsonschema::validator_for(&serde_json::from_str(schema).unwrap()).unwrap())
});

fn finished(call: Call, answers: Vec<Answer>) -> Finished {
    let mut answer = Completion::new(CallId(0));
    answer.answers = answers;
    sample::finished(call, Some(answer))
}

/// What is told of a call, each value by its schema, and the same in a span as in a log record.
fn tell(finished: &Finished, settings: &Settings) -> [Option<Value>; 4] {
    let content = Content::of(finished, settings);
    let [spans, events] = [content.on_span(), content.on_event()];
    assert_eq!(spans.len(), events.len());
    let find = |attributes: &[KeyValue], key: &str| {
        let found = attributes.iter().find(|attribute| attribute.key == key)?;
        found.value.clone()
    };
    std::array::from_fn(|number| {
        let key = KEYS[number];
        let structured = find(&events, key)?;
        let json = value::write(&structured);
        assert_eq!(find(&spans, key), Some(value::text(&*json)));
        let told: Value = serde_json::from_str(&json).unwrap();
        let errors: Vec<_> = SCHEMAS[number].iter_errors(&told).map(|error| error.to_string()).collect();
        assert!(errors.is_empty(), "{key} {errors:?}: {told:#}");
        Some(told)
    })
}

fn told(finished: &Finished) -> [Value; 4] {
    tell(finished, &Settings::default()).map(Option::unwrap_or_default)
}

/// What is told of these turns.
fn input(dialect: &'static str, turns: Vec<Turn>) -> Value {
    let mut call = call(dialect);
    call.news = turns;
    told(&finished(call, Vec::new()))[1].take()
}

/// What is told of an answer of these parts.
fn output(parts: Vec<Part>, stop: Option<&str>) -> Value {
    told(&finished(call("anthropic_messages"), vec![answer(parts, stop)]))[2].take()
}

fn answer(parts: Vec<Part>, stop: Option<&str>) -> Answer {
    let mut answer = Answer::new(0);
    answer.parts = parts;
    answer.stop = stop.map(Into::into);
    answer
}

fn text(text: &str) -> Part {
    Part::Text(text.into())
}

fn asks(id: &str, name: &str, input: &str, hosted: bool) -> Part {
    let mut tool = ToolUse::new(CallId(0), name, input);
    tool.id = Some(id.into());
    tool.hosted = hosted;
    Part::ToolUse(tool.into())
}

fn result(id: &str, text: &str) -> Part {
    Part::ToolResult(ToolResult::new(Some(id.into()), text))
}

#[test]
fn a_conversation_with_a_tool_is_told_message_by_message() {
    let turns = vec![
        Turn::new(Role::System, vec![text("Be brief.")]),
        Turn::new(Role::User, vec![text("Weather in Paris?")]),
        Turn::new(Role::Assistant, vec![asks("call_1", "get_weather", r#"{"location":"Paris"}"#, false)]),
        Turn::new(Role::Tool, vec![result("call_1", "rainy, 57F")]),
        Turn::new(Role::Other("critic".into()), vec![text("Hm.")]),
    ];
    let expected = json!([
        {"role": "system", "parts": [{"type": "text", "content": "Be brief."}]},
        {"role": "user", "parts": [{"type": "text", "content": "Weather in Paris?"}]},
        {"role": "assistant", "parts": [{
            "type": "tool_call", "id": "call_1", "name": "get_weather", "arguments": {"location": "Paris"},
        }]},
        {"role": "tool", "parts": [{
            "type": "tool_call_response", "id": "call_1", "response": "rainy, 57F",
        }]},
        {"role": "critic", "parts": [{"type": "text", "content": "Hm."}]},
    ]);
    assert_eq!(input("openai_chat", turns), expected);
}

#[test]
fn of_a_mixed_message_of_anthropic_results_come_first_as_a_tool_s() {
    let mut failed = ToolResult::new(Some("b".into()), "no such file");
    failed.is_error = true;
    let parts = vec![text("Look:"), result("a", "1"), text("and"), Part::ToolResult(failed)];
    let expected = json!([
        {"role": "tool", "parts": [
            {"type": "tool_call_response", "id": "a", "response": "1"},
            {"type": "tool_call_response", "id": "b", "response": "no such file", "is_error": true},
        ]},
        {"role": "user", "parts": [
            {"type": "text", "content": "Look:"}, {"type": "text", "content": "and"},
        ]},
    ]);
    assert_eq!(input("anthropic_messages", vec![Turn::new(Role::User, parts)]), expected);
    let only = Turn::new(Role::User, vec![result("a", "1")]);
    assert_eq!(input("anthropic_messages", vec![only]).as_array().unwrap().len(), 1);
}

#[test]
fn every_part_of_an_answer_is_told_by_its_type() {
    let parts = vec![
        Part::Thinking("Let me see.".into()),
        Part::Other("redacted_thinking".into()),
        asks("srv_1", "web_search", r#"{"query":"rust"}"#, true),
        result("srv_1", "https://rust-lang.org"),
        result("srv_2", "?"),
        text("Found."),
        asks("t_1", "open", r#"{"url":"#, false),
        Part::Refusal("I can't.".into()),
        Part::Other("compaction".into()),
        Part::Other("blob".into()),
        Part::Other("3 vectors".into()),
    ];
    let expected = json!([{"role": "assistant", "finish_reason": "tool_call", "parts": [
        {"type": "reasoning", "content": "Let me see."},
        {"type": "redacted_thinking"},
        {"type": "server_tool_call", "id": "srv_1", "name": "web_search",
            "server_tool_call": {"type": "web_search", "arguments": {"query": "rust"}}},
        {"type": "server_tool_call_response", "id": "srv_1",
            "server_tool_call_response": {"type": "web_search", "response": "https://rust-lang.org"}},
        {"type": "server_tool_call_response", "id": "srv_2",
            "server_tool_call_response": {"type": "unknown", "response": "?"}},
        {"type": "text", "content": "Found."},
        {"type": "tool_call", "id": "t_1", "name": "open", "arguments": "{\"url\":"},
        {"type": "refusal", "content": "I can't."},
        {"type": "compaction"},
        {"type": "other", "content": "blob"},
        {"type": "other", "content": "3 vectors"},
    ]}]);
    assert_eq!(output(parts, Some("tool_use")), expected);
}

#[test]
fn media_are_told_by_what_they_are_never_by_their_content() {
    let mut held = Media::new("image");
    held.media_type = Some("image/png".into());
    held.size = 5120;
    held.hash = 0xab;
    let mut file = Media::new("file");
    file.name = Some("a.pdf".into());
    file.size = 7;
    let mut referred = Media::new("video");
    referred.hash = 1;
    let parts = [held, file, referred].map(Part::Media).to_vec();
    let expected = json!([{"role": "user", "parts": [
        {"type": "blob", "modality": "image", "mime_type": "image/png", "content": "", "size": 5120,
            "hash": "00000000000000ab"},
        {"type": "blob", "modality": "document", "name": "a.pdf", "content": "", "size": 7},
        {"type": "media", "modality": "video", "hash": "0000000000000001"},
    ]}]);
    assert_eq!(input("openai_chat", vec![Turn::new(Role::User, parts)]), expected);
}

#[test]
fn an_item_that_the_provider_keeps_is_told_by_its_id() {
    let parts = vec![Part::Other("item_reference".into()), Part::Other("msg_1".into())];
    let turn = Turn::new(Role::Other("item_reference".into()), parts);
    let expected = json!([
        {"role": "item_reference", "parts": [{"type": "item_reference", "id": "msg_1"}]},
    ]);
    assert_eq!(input("openai_responses", vec![turn]), expected);
}

#[test]
fn instructions_beside_the_messages_are_told_by_themselves() {
    let turns = vec![
        Turn::new(Role::System, vec![text("Be kind."), text("Be brief.")]),
        Turn::new(Role::User, vec![text("Hi")]),
    ];
    let mut call = call("anthropic_messages");
    call.news = turns;
    let system = [json!({"type": "text", "text": "Be kind."}), json!({"type": "text", "text": "Be brief."})];
    call.body = json!({"system": system, "messages": [{"role": "user", "content": "Hi"}]}).to_string().into();
    let [instructions, input, ..] = told(&finished(call, Vec::new()));
    let expected = json!([{"type": "text", "content": "Be kind."}, {"type": "text", "content": "Be brief."}]);
    assert_eq!(instructions, expected);
    assert_eq!(input, json!([{"role": "user", "parts": [{"type": "text", "content": "Hi"}]}]));
}

#[test]
fn all_messages_are_told_where_they_are_known_or_only_new_ones() {
    let mut call = call("openai_chat");
    let turns = ["1", "2", "3"].map(|number| Turn::new(Role::User, vec![text(number)]));
    call.news = turns[2..].to_vec();
    let messages = |call: &Call, which| {
        let settings = Settings { messages: which, ..Settings::default() };
        let [_, input, ..] = tell(&finished(call.clone(), Vec::new()), &settings);
        input.unwrap().as_array().unwrap().len()
    };
    assert_eq!(messages(&call, Messages::All), 1);
    call.history = turns.into();
    assert_eq!(messages(&call, Messages::All), 3);
    assert_eq!(messages(&call, Messages::New), 1);
}

#[test]
fn each_answer_is_a_message_with_the_conventions_word_for_its_end() {
    let answers = [Some("length"), Some("tool_calls"), None].map(|stop| answer(Vec::new(), stop));
    let reasons = |finished: &Finished| -> Vec<Value> {
        let [_, _, output, _] = told(finished);
        output.as_array().unwrap().iter().map(|message| message["finish_reason"].clone()).collect()
    };
    let mut finished = finished(call("openai_chat"), answers.to_vec());
    assert_eq!(reasons(&finished), ["length", "tool_call", "unknown"]);
    finished.error = Some(Problem { kind: "client_cancelled".into(), message: "gone".into() });
    assert_eq!(reasons(&finished), ["length", "tool_call", "error"]);
}

#[test]
fn of_what_are_no_messages_nothing_is_told() {
    let mut call = call("openai_other");
    call.operation = Operation::Embeddings;
    call.news = vec![Turn::new(Role::User, vec![text("3 texts")])];
    assert_eq!(Content::of(&finished(call, vec![Answer::new(0)]), &Settings::default()), Content::default());
}

#[test]
fn secrets_are_taken_out_unless_that_is_not_wanted() {
    let key = format!("sk-ant-api03-{}", "aB3".repeat(30));
    let turns = vec![
        Turn::new(Role::User, vec![text(&format!("my key is {key}"))]),
        Turn::new(
            Role::Assistant,
            vec![
                asks("1", "login", &json!({"password": "hunter2!", "key": key}).to_string(), false),
                asks("2", "login", &format!("{{\"key\":\"{key}"), false),
            ],
        ),
        Turn::new(Role::Tool, vec![result("1", &format!("export KEY={key}"))]),
    ];
    let mut call = call("openai_chat");
    call.news = turns;
    let finished = finished(call, vec![answer(vec![text(&key)], None)]);
    let all = |settings| json!(tell(&finished, &settings)).to_string();
    let redacted = all(Settings::default());
    assert!(!redacted.contains("aB3aB3") && !redacted.contains("hunter2"), "{redacted}");
    assert!(redacted.contains(r#""arguments":{"key":"#), "{redacted}");
    let open = all(Settings { redact_credentials: false, ..Settings::default() });
    assert!(open.contains(&key) && open.contains("hunter2"), "{open}");
}

#[test]
fn whoever_tells_all_messages_asks_for_them() {
    let of = |capture, messages| interest(&Settings { messages, ..Settings::default() }, capture);
    assert_eq!(of(Capture::None, Messages::All), Interest::NONE);
    assert_eq!(of(Capture::Event, Messages::New), Interest::NONE);
    assert_eq!(of(Capture::Span, Messages::All), Interest::HISTORY);
}
