//! What was said, where it is asked for, and nowhere else.

use jsonschema::Validator;
use opentelemetry_proto::tonic::common::v1::KeyValue;
use serde_json::{Value, json};

use super::spoken::{message, results, text, tool};
use super::stage::{Ask, Stage};
use super::told::{KEYS, Told, attribute, contains, find};

const CONTENT: [(&str, &str); 4] = [
    (
        "gen_ai.system_instructions",
        include_str!("../../../interceptors/otel/tests/it/fixtures/system_instructions.schema.json"),
    ),
    (
        "gen_ai.input.messages",
        include_str!("../../../interceptors/otel/tests/it/fixtures/input_messages.schema.json"),
    ),
    (
        "gen_ai.output.messages",
        include_str!("../../../interceptors/otel/tests/it/fixtures/output_messages.schema.json"),
    ),
    (
        "gen_ai.tool.definitions",
        include_str!("../../../interceptors/otel/tests/it/fixtures/tool_definitions.schema.json"),
    ),
];

/// Three calls of one conversation, with a tool, and secrets wherever there is room for one.
fn conversation(settings: Value) -> Told {
    let stage = Stage::anthropic(settings);
    let secret = format!("The quiet word, and my key {}", KEYS[2]);
    let mut said = vec![json!({"role": "user", "content": secret})];
    let ask = |said: &[Value]| {
        let body = json!({"model": "claude-sonnet-5", "max_tokens": 99, "system": "Be kind.",
            "tools": [{"name": "Bash", "description": "Runs it.", "input_schema": {"type": "object"}}],
            "messages": said});
        Ask::claude(body)
            .at(&format!("/v1/messages?beta=true&key={}", KEYS[1]))
            .with(&format!("Authorization: Bearer {}", KEYS[1]))
            .with(&format!("x-perimeter-tags: key:{}", KEYS[1]))
    };
    let usage = json!({"input_tokens": 9, "output_tokens": 3});
    let asks = json!([tool("toolu_1", "Bash", json!({"command": format!("login {}", KEYS[0])}))]);
    let found = results(&[("toolu_1", &format!("password {}", KEYS[1]))]);
    let answers = [
        (asks, "tool_use", found),
        (json!([text("Done.")]), "end_turn", json!({"role": "user", "content": "Bye"})),
    ];
    for (answer, stop, next) in answers {
        stage.call(&ask(&said), &message(&answer, stop, &usage));
        said.extend([json!({"role": "assistant", "content": answer}), next]);
    }
    stage.call(&ask(&said), &message(&json!([text("Goodbye.")]), "end_turn", &usage));
    stage.stop()
}

/// Of each call, what its attributes say under this key: of its span (JSON in a text), and of its log record.
fn content(told: &Told, key: &str) -> (Vec<Value>, Vec<Value>) {
    let spans = told.named("chat claude-sonnet-5");
    let on_spans = spans.iter().map(|span| match attribute(span, key) {
        Value::String(json) => serde_json::from_str(&json).unwrap(),
        other => other,
    });
    (on_spans.collect(), told.logs.iter().map(|log| find(&log.attributes, key)).collect())
}

fn schema(text: &str) -> Validator {
    jsonschema::validator_for(&serde_json::from_str(text).unwrap()).unwrap()
}

/// The texts of messages, in their order.
fn texts(messages: &Value) -> Vec<String> {
    let parts = messages.as_array().unwrap().iter().flat_map(|message| message["parts"].as_array().unwrap());
    let text = |part: &Value| {
        let text = ["content", "response", "name"].iter().find_map(|key| part[*key].as_str());
        text.unwrap_or_default().to_owned()
    };
    parts.map(text).collect()
}

#[test]
fn all_that_the_model_was_sent_is_told_on_spans_and_in_log_records() {
    let told = conversation(json!({"content": {"capture": "span_and_event"}}));
    for (key, schema_text) in CONTENT {
        let (on_spans, on_logs) = content(&told, key);
        assert_eq!(on_spans.len(), 3);
        assert_eq!(on_spans, on_logs, "{key}");
        for value in on_spans {
            assert!(schema(schema_text).is_valid(&value), "{key}: {value:#}");
        }
    }
    let (input, _) = content(&told, "gen_ai.input.messages");
    let opening = "The quiet word, and my key ghp_[REDACTED]";
    assert_eq!(texts(&input[0]), [opening]);
    assert_eq!(texts(&input[1]), [opening, "Bash", "password sk-proj-[REDACTED]"]);
    assert_eq!(texts(&input[2]), [opening, "Bash", "password sk-proj-[REDACTED]", "Done.", "Bye"]);
    let roles: Vec<_> = input[2].as_array().unwrap().iter().map(|message| &message["role"]).collect();
    assert_eq!(roles, ["user", "assistant", "tool", "assistant", "user"]);
    let (output, _) = content(&told, "gen_ai.output.messages");
    assert_eq!(output[0][0]["finish_reason"], "tool_call");
    assert_eq!(output[0][0]["parts"][0]["id"], "toolu_1");
    assert_eq!(texts(&output[2]), ["Goodbye."]);
    let (instructions, _) = content(&told, "gen_ai.system_instructions");
    assert_eq!(instructions[0], json!([{"type": "text", "content": "Be kind."}]));
    let (tools, _) = content(&told, "gen_ai.tool.definitions");
    assert_eq!(tools[0], json!([{"type": "function", "name": "Bash"}]));

    for (log, span) in told.logs.iter().zip(told.named("chat claude-sonnet-5")) {
        assert_eq!(log.event_name, "gen_ai.client.inference.operation.details");
        assert_eq!((&log.trace_id, &log.span_id, log.severity_number), (&span.trace_id, &span.span_id, 5));
        assert_eq!(log.time_unix_nano, span.end_time_unix_nano);
        let beside = |attributes: &[KeyValue]| {
            let beside =
                attributes.iter().filter(|attribute| CONTENT.iter().all(|(key, _)| *key != attribute.key));
            beside.cloned().collect::<Vec<_>>()
        };
        assert_eq!(beside(&log.attributes), beside(&span.attributes));
    }
    let call = told.named("chat claude-sonnet-5")[0];
    assert_eq!(attribute(call, "perimeter.tag.key"), "sk-proj-[REDACTED]");
}

#[test]
fn only_what_is_new_is_told_where_that_is_wanted() {
    let told = conversation(json!({"content": {"capture": "span", "messages": "new"}}));
    let (input, on_logs) = content(&told, "gen_ai.input.messages");
    assert!(on_logs.is_empty());
    let texts: Vec<_> = input.iter().map(texts).collect();
    assert_eq!(
        texts,
        [vec!["The quiet word, and my key ghp_[REDACTED]"], vec!["password sk-proj-[REDACTED]"], vec!["Bye"]]
    );
}

#[test]
fn nothing_that_was_said_is_told_unless_it_is_asked_for() {
    let told = conversation(json!({"compression": "none"}));
    assert_eq!(told.spans.len(), 5);
    for said in ["quiet word", "Be kind", "login", "password", "Runs it", "Goodbye", "Bye", "messages\""] {
        let quotes = |asked: &&super::collector::Asked| contains(&asked.body, said.as_bytes());
        assert!(told.asked.iter().find(quotes).is_none(), "{said}");
    }
    for (key, _) in CONTENT {
        assert!(told.spans.iter().all(|span| attribute(span, key).is_null()), "{key}");
    }
    assert!(told.logs.is_empty());
}

#[test]
fn the_standard_variable_asks_for_content_too() {
    let name = "OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT";
    let stage = Stage::with(&json!({}), |setup| setup.env(name, "EVENT_ONLY"));
    stage.call(&Ask::chat("Hello"), &super::spoken::completion("Hi"));
    let told = stage.stop();
    let [log] = &told.logs[..] else { panic!("{:#?}", told.logs) };
    assert_eq!(texts(&find(&log.attributes, "gen_ai.input.messages")), ["Hello"]);
    assert!(attribute(told.span("chat gpt-4o-mini"), "gen_ai.input.messages").is_null());
}
