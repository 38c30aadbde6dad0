//! Whoever watches sees what a bridge says as what any provider says: calls, tools, sessions, events, traces.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use opentelemetry_proto::tonic::common::v1::any_value;
use opentelemetry_proto::tonic::trace::v1::Span;
use serde_json::{Value, json};

use super::scripted_stackspot::{Reply, SECRET, Stackspot};
use crate::otel::collector::{Collector, spans};
use crate::support::{Proxy, Wire};

const CALL: &[&str] = &[
    "I shall look.\nFUNCTION_CALL_START\nget_weather\nargum",
    "ents: {\"city\": \"Li",
    "sbon\"}\nFUNCTION_CALL_END\n",
];

fn ask(proxy: &Proxy, messages: &Value) -> Vec<Value> {
    let tool = json!({"type": "function", "function": {"name": "get_weather", "description": "The weather.",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}}});
    let body = json!({"model": "stackspot-chat", "stream": true, "stream_options": {"include_usage": true},
        "tools": [tool], "messages": messages})
    .to_string();
    let mut client: Wire = proxy.connect();
    client.send(format!(
        "POST /v1/chat/completions HTTP/1.1\r\nHost: {}\r\nAuthorization: Bearer sk-of-the-client\r\n\
         Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        proxy.address(),
        body.len()
    ));
    let head = client.head();
    assert_eq!(head.status(), 200);
    let text = String::from_utf8(client.body(&head)).unwrap();
    let data = text.lines().filter_map(|line| line.strip_prefix("data: ")).filter(|data| *data != "[DONE]");
    data.map(|data| serde_json::from_str(data).unwrap()).collect()
}

/// The message that a stream amounts to, as a client sends it back.
fn message(chunks: &[Value]) -> Value {
    let deltas = || chunks.iter().map(|chunk| &chunk["choices"][0]["delta"]);
    let content: String = deltas().filter_map(|delta| delta["content"].as_str()).collect();
    let calls = || deltas().filter_map(|delta| delta["tool_calls"].as_array()).flatten();
    let Some(first) = calls().next() else { return json!({"role": "assistant", "content": content}) };
    let arguments: String = calls().filter_map(|call| call["function"]["arguments"].as_str()).collect();
    let call = json!({"id": first["id"], "type": "function",
        "function": {"name": first["function"]["name"], "arguments": arguments}});
    json!({"role": "assistant", "content": content, "tool_calls": [call]})
}

fn events(folder: &Path) -> Vec<Value> {
    let files = fs::read_dir(folder).unwrap().map(|file| fs::read_to_string(file.unwrap().path()).unwrap());
    let lines: Vec<String> =
        files.flat_map(|text| text.lines().map(str::to_owned).collect::<Vec<_>>()).collect();
    let events = lines.iter().map(|line| serde_json::from_str::<Value>(line).unwrap());
    events.filter(|event| event.get("name").is_some()).collect()
}

fn attribute(span: &Span, key: &str) -> Option<String> {
    let found = span.attributes.iter().find(|attribute| attribute.key == key)?;
    Some(match found.value.clone()?.value? {
        any_value::Value::StringValue(text) => text,
        any_value::Value::IntValue(number) => number.to_string(),
        other => format!("{other:?}"),
    })
}

#[test]
fn a_bridged_conversation_with_a_tool_is_one_session_with_its_calls_events_and_spans() {
    let (spot, collector) = (Stackspot::start(), Collector::start());
    let folder = tempfile::tempdir().unwrap();
    spot.reply(Reply::deltas(CALL));
    spot.reply(Reply::deltas(&["It is ", "sunny."]));
    let proxy = Proxy::bridge("stackspot").yaml(&spot.yaml("")).yaml(&format!(
        "interceptors:\n  - {{type: printer}}\n  - {{type: event_recorder, config: {{output_dir: {}}}}}\n  \
             - {{type: trace_exporter, config: {{endpoint: {}, batch: {{interval: 50ms}}}}}}\n",
        folder.path().display(),
        collector.url()
    ));
    let proxy = proxy.start();
    let question = json!({"role": "user", "content": "What is the weather in Lisbon?"});
    let said = message(&ask(&proxy, &json!([question])));
    assert_eq!(said["tool_calls"][0]["function"]["arguments"], r#"{"city":"Lisbon"}"#);
    let result =
        json!({"role": "tool", "tool_call_id": said["tool_calls"][0]["id"], "content": "sunny, 24 °C"});
    let answer = message(&ask(&proxy, &json!([question, said, result])));
    assert_eq!(answer["content"], "It is sunny.");

    let printed = proxy.stop_and_tell();
    assert!(printed.contains("→ get_weather {\"city\":\"Lisbon\"}"), "{printed}");
    assert!(printed.contains("‹ It is sunny."), "{printed}");

    let events = events(folder.path());
    let mut names: BTreeMap<&str, usize> = BTreeMap::new();
    for event in &events {
        *names.entry(event["name"].as_str().unwrap()).or_default() += 1;
    }
    let of = |name: &str| names.get(name).copied().unwrap_or_default();
    assert_eq!(
        (of("llm.call.start"), of("llm.call.finish"), of("tool.execution"), of("tool.result")),
        (2, 2, 1, 1),
        "{names:?}"
    );
    let mut sessions: Vec<_> = events.iter().filter_map(|event| event["session_id"].as_str()).collect();
    sessions.sort_unstable();
    sessions.dedup();
    assert_eq!(sessions.len(), 1, "{sessions:?}");

    let spans = spans(&collector.asked());
    let mut told: Vec<_> = spans.iter().map(|span| span.name.as_str()).collect();
    told.sort_unstable();
    assert_eq!(
        told,
        ["chat stackspot-chat", "chat stackspot-chat", "execute_tool get_weather", "invoke_agent"]
    );
    assert!(spans.iter().all(|span| span.trace_id == spans[0].trace_id));
    for span in spans.iter().filter(|span| span.name.starts_with("chat ")) {
        assert_eq!(attribute(span, "gen_ai.request.model").as_deref(), Some("stackspot-chat"));
        assert!(attribute(span, "gen_ai.usage.output_tokens").is_some(), "{span:?}");
    }

    let everything = format!("{printed}{events:?}{spans:?}");
    for secret in [SECRET, "sk-of-the-client"] {
        assert!(!everything.contains(secret), "{secret} was told");
    }
}
