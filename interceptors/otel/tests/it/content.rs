//! What is told of content, as a backend gets it.

use std::sync::Arc;

use jsonschema::Validator;
use opentelemetry_proto::tonic::common::v1::any_value::Value as Any;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue};
use opentelemetry_proto::tonic::logs::v1::LogRecord;
use opentelemetry_proto::tonic::trace::v1::Span;
use perimeter_interceptor::testing::{Scene, Script, comply, play, scenes};
use perimeter_interceptor::{
    ApiFailure, CallId, Interceptor as _, Interest, LlmEvent, Part, Role, Tool, Turn,
};
use perimeter_otel::{Kept, Settings, TraceExporter};
use serde_json::{Value, json};

const KEYS: [&str; 4] = [
    "gen_ai.system_instructions",
    "gen_ai.input.messages",
    "gen_ai.output.messages",
    "gen_ai.tool.definitions",
];

fn schemas() -> [Validator; 4] {
    [
        include_str!("fixtures/system_instructions.schema.json"),
        include_str!("fixtures/input_messages.schema.json"),
        include_str!("fixtures/output_messages.schema.json"),
        include_str!("fixtures/tool_definitions.schema.json"),
    ]
    .map(|schema| jsonschema::validator_for(&serde_json::from_str(schema).unwrap()).unwrap())
}

fn exporter(content: &Value) -> (TraceExporter, Kept) {
    let settings = json!({"trace": {"spans": "calls"}, "content": content}).to_string();
    let settings: Settings = serde_json::from_str(&settings).unwrap();
    TraceExporter::kept(&settings).unwrap()
}

fn told(content: &Value, script: impl Into<Script>) -> Kept {
    let (exporter, kept) = exporter(content);
    play(exporter, script).assert_faultless();
    kept
}

/// A question to Claude, with a prompt, a tool and a history, that is answered.
fn question() -> Scene {
    let body = json!({
        "model": "claude", "max_tokens": 512, "temperature": 0.5, "system": "Be kind.",
        "tools": [{"name": "search", "description": "Searches.", "input_schema": {"type": "object"}}],
        "messages": [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello"},
            {"role": "user", "content": "My key is sk-ant-api03-abc"}],
    });
    let scene = Scene::post("/v1/messages").request(body.to_string());
    let mut call = scene.next_call("claude", "");
    let turn = |role, text: &str| Turn::new(role, vec![Part::Text(text.into())]);
    let key = format!("My key is sk-ant-api03-{}", "aB3".repeat(30));
    let turns = [
        turn(Role::System, "Be kind."),
        turn(Role::User, "Hi"),
        turn(Role::Assistant, "Hello"),
        turn(Role::User, &key),
    ];
    call.dialect = "anthropic_messages";
    call.vendor = "anthropic";
    call.news = turns[3..].to_vec();
    call.history = turns.into();
    let mut tool = Tool::new("search");
    tool.description = Some("Searches.".into());
    call.tools = [tool].into();
    let scene = scene.llm(LlmEvent::Call(Arc::new(call))).response(200);
    let mut answer = scene.completion("Keep it secret.", None);
    answer.answers[0].stop = Some("end_turn".into());
    scene.llm(LlmEvent::Completion(Arc::new(answer))).end()
}

fn find<'a>(attributes: &'a [KeyValue], key: &str) -> Option<&'a Any> {
    let found = attributes.iter().find(|attribute| attribute.key == key)?;
    found.value.as_ref()?.value.as_ref()
}

fn has_content(attributes: &[KeyValue]) -> bool {
    KEYS.iter().any(|key| find(attributes, key).is_some())
}

/// Of a span: JSON in a text.
fn on_span(span: &Span, key: &str) -> Option<Value> {
    match find(&span.attributes, key)? {
        Any::StringValue(json) => Some(serde_json::from_str(json).unwrap()),
        other => panic!("{key}: {other:?}"),
    }
}

/// Of a log record: structured.
fn on_log(log: &LogRecord, key: &str) -> Option<Value> {
    find(&log.attributes, key).map(plain)
}

fn plain(value: &Any) -> Value {
    let inner = |value: &AnyValue| value.value.as_ref().map_or(Value::Null, plain);
    match value {
        Any::StringValue(text) => json!(text),
        Any::BoolValue(yes) => json!(yes),
        Any::IntValue(number) => json!(number),
        Any::DoubleValue(number) => json!(number),
        Any::ArrayValue(list) => list.values.iter().map(inner).collect(),
        Any::KvlistValue(object) => {
            let member =
                |member: &KeyValue| (member.key.clone(), member.value.as_ref().map_or(Value::Null, inner));
            object.values.iter().map(member).collect()
        }
        other => panic!("{other:?}"),
    }
}

fn expected() -> [Value; 4] {
    let text = |text: &str| json!({"type": "text", "content": text});
    [
        json!([text("Be kind.")]),
        json!([
            {"role": "user", "parts": [text("Hi")]},
            {"role": "assistant", "parts": [text("Hello")]},
            {"role": "user", "parts": [text("My key is sk-ant-[REDACTED]")]},
        ]),
        json!([{"role": "assistant", "parts": [text("Keep it secret.")], "finish_reason": "stop"}]),
        json!([{"type": "function", "name": "search"}]),
    ]
}

#[test]
fn nothing_that_was_said_is_told_unless_it_is_asked_for() {
    for content in [json!({}), json!({"capture": "none"})] {
        let kept = told(&content, question());
        assert!(kept.logs().is_empty());
        let [span] = &*kept.spans() else { panic!("{:?}", kept.spans()) };
        assert!(!has_content(&span.attributes));
        assert!(!format!("{span:?}").contains("secret"));
    }
}

#[test]
fn content_is_told_where_it_is_asked_for_and_nowhere_else() {
    for (capture, spans, logs) in
        [("span", true, false), ("event", false, true), ("span_and_event", true, true)]
    {
        let kept = told(&json!({"capture": capture}), question());
        let [span] = &*kept.spans() else { panic!("{:?}", kept.spans()) };
        let on_span = KEYS.map(|key| on_span(span, key));
        assert_eq!(on_span, expected().map(|value| spans.then_some(value)), "{capture}");
        let records = kept.logs();
        assert_eq!(records.len(), usize::from(logs), "{capture}");
        for record in records {
            assert_eq!(KEYS.map(|key| on_log(&record, key)), expected().map(Some), "{capture}");
        }
    }
}

#[test]
fn a_record_of_details_stands_in_its_span_and_says_what_that_says() {
    let kept = told(&json!({"capture": "event"}), question());
    let ([span], [record]) = (&*kept.spans(), &*kept.logs()) else { panic!("{kept:?}") };
    assert_eq!(record.event_name, "gen_ai.client.inference.operation.details");
    assert_eq!((record.severity_number, &*record.severity_text), (5, "DEBUG"));
    assert_eq!((&record.trace_id, &record.span_id), (&span.trace_id, &span.span_id));
    assert_eq!(record.time_unix_nano, span.end_time_unix_nano);
    assert!(record.observed_time_unix_nano > 0);
    for attribute in &span.attributes {
        assert_eq!(find(&record.attributes, &attribute.key), find(&span.attributes, &attribute.key));
    }
    assert_eq!(record.attributes.len(), span.attributes.len() + KEYS.len());
}

#[test]
fn only_new_messages_and_whole_tools_are_told_where_that_is_asked_for() {
    let content = json!({"capture": "span", "messages": "new", "tool_definitions": "full"});
    let spans = told(&content, question()).spans();
    let input = on_span(&spans[0], "gen_ai.input.messages").unwrap();
    assert_eq!(input.as_array().unwrap().len(), 1);
    assert_eq!(on_span(&spans[0], "gen_ai.system_instructions"), None);
    let tools = json!([{
        "type": "function", "name": "search", "description": "Searches.", "parameters": {"type": "object"},
    }]);
    assert_eq!(on_span(&spans[0], "gen_ai.tool.definitions"), Some(tools));
}

#[test]
fn all_messages_are_asked_for_only_by_those_who_tell_them() {
    let asks = |content: Value| exporter(&content).0.interest().includes(Interest::HISTORY);
    assert!(!asks(json!({})));
    assert!(!asks(json!({"capture": "span", "messages": "new"})));
    assert!(asks(json!({"capture": "event"})));
}

#[test]
fn what_a_request_asks_for_is_told_with_or_without_content() {
    for content in [json!({}), json!({"capture": "span"})] {
        let spans = told(&content, question()).spans();
        let attribute = |key| find(&spans[0].attributes, key);
        assert_eq!(attribute("gen_ai.request.max_tokens"), Some(&Any::IntValue(512)));
        assert_eq!(attribute("gen_ai.request.temperature"), Some(&Any::DoubleValue(0.5)));
    }
}

#[test]
fn a_failure_is_told_as_a_record_of_its_own_without_content_being_asked_for() {
    let scene = Scene::post("/v1/messages").request("{}");
    let call = scene.next_call("claude", "");
    let mut failure = ApiFailure::new(CallId(0), 529, "Overloaded");
    failure.kind = Some("overloaded_error".into());
    let scene = scene.llm(LlmEvent::Call(Arc::new(call))).response(529);
    let kept = told(&json!({}), scene.llm(LlmEvent::Failure(Arc::new(failure))).end());
    let ([span], [record]) = (&*kept.spans(), &*kept.logs()) else { panic!("{kept:?}") };
    assert_eq!(record.event_name, "gen_ai.client.operation.exception");
    assert_eq!((record.severity_number, &*record.severity_text), (13, "WARN"));
    assert_eq!(on_log(record, "exception.type"), Some(json!("overloaded_error")));
    assert_eq!(on_log(record, "exception.message"), Some(json!("Overloaded")));
    assert_eq!((&record.trace_id, &record.span_id), (&span.trace_id, &span.span_id));
}

#[test]
fn whatever_passes_what_is_told_of_it_is_valid_by_the_schemas() {
    let schemas = schemas();
    for limits in [json!([8192, 65536]), json!([64, 1024])] {
        let content = json!({
            "capture": "span_and_event", "tool_definitions": "full",
            "max_part": limits[0], "max_attribute": limits[1],
        });
        let kept = told(&content, Script::new().together(scenes::all()));
        let spans = kept.spans();
        let mut seen = [0; 4];
        for span in &spans {
            for (number, key) in KEYS.into_iter().enumerate() {
                let Some(value) = on_span(span, key) else { continue };
                let errors: Vec<_> = schemas[number].iter_errors(&value).map(|e| e.to_string()).collect();
                assert!(errors.is_empty(), "{key} {errors:?}: {value:#}");
                assert!(value.to_string().len() as u64 <= limits[1].as_u64().unwrap());
                seen[number] += 1;
            }
        }
        assert!(seen[1] > 10 && seen[2] > 10, "{seen:?}");
    }
}

#[test]
fn whatever_passes_it_goes_on() {
    comply(|| exporter(&json!({"capture": "span_and_event"})).0);
}

#[test]
fn what_a_configuration_may_not_say_is_refused_with_what_it_may() {
    let error = |content: Value| {
        let settings = json!({"content": content}).to_string();
        serde_json::from_str::<Settings>(&settings).unwrap_err().to_string()
    };
    assert!(error(json!({"capture": "all"})).contains("`span_and_event`"));
    assert!(error(json!({"max_attribute": "10B"})).contains("1KiB or more"));
    assert!(error(json!({"max_part": "10B"})).contains("64B or more"));
    assert!(error(json!({"blobs": true})).contains("`redact_credentials`"));
}
