//! What a backend is told of real clients: Claude Code's turn as one tree, chats of SDKs, and calls of an app that tells
//! its own spans. What is sent is read by OpenTelemetry's own library for Python, too.

use std::fs;
use std::time::SystemTime;

use opentelemetry_proto::tonic::common::v1::KeyValue;
use opentelemetry_proto::tonic::trace::v1::Span;
use serde_json::{Value, json};

use crate::agent;
use crate::perimeter::Perimeter;
use crate::process::{KEYS, client, installed, root, script, transcript};
use crate::provider::Provider;

#[expect(dead_code, reason = "the exporter's own tests need more of it")]
#[path = "../../interceptors/otel/tests/it/collector.rs"]
mod collector;
#[expect(dead_code, reason = "the tests with scripted clients need more of it")]
#[path = "../it/otel/told.rs"]
mod told;

use collector::{Collector, Export};
use told::{Told, attribute, contains, hex};

/// A proxy that tells a backend by this protocol.
fn start(dialect: &str, provider: &Provider, collector: &Collector, protocol: &str) -> Perimeter {
    let settings =
        json!({"endpoint": collector.url(), "protocol": protocol, "content": {"capture": "span_and_event"}});
    let exporter = format!("- {{type: trace_exporter, config: {settings}}}\n");
    Perimeter::start_with(dialect, &provider.url(""), &exporter)
}

/// Stops it: what the backend has got by then is all.
fn stop(perimeter: Perimeter, collector: &Collector, began: SystemTime) -> Told {
    perimeter.stop();
    let told = Told::of(collector.asked(), (began, SystemTime::now()));
    told.assert_fine("");
    for key in KEYS {
        assert!(
            told.asked.iter().all(|asked| !contains(&asked.body, key.as_bytes())),
            "a client's key is told"
        );
    }
    told
}

#[test]
fn claude_codes_turn_is_one_trace_with_its_agent_below_the_tool_that_asked_for_it() {
    let (provider, collector, began) = (Provider::start(), Collector::start(), SystemTime::now());
    let folder = tempfile::tempdir().unwrap();
    agent::prepare(folder.path());
    let perimeter = start("anthropic", &provider, &collector, "http/protobuf");
    agent::turn(folder.path(), &provider, &perimeter.url);
    agent::count(folder.path(), &provider, &perimeter.url);
    let told = stop(perimeter, &collector, began);

    let outline = told.outline();
    let conversation: Vec<_> = outline.lines().filter(|line| !line.contains("count_tokens")).collect();
    assert_eq!(
        conversation,
        [
            "invoke_agent Claude Code",
            "  chat claude-opus-5-5",
            "  chat claude-opus-5-5",
            "  execute_tool Agent",
            "    invoke_agent general-purpose",
            "      chat claude-haiku-5-5",
            "      chat claude-haiku-5-5",
            "      execute_tool Read",
            "      chat claude-haiku-5-5",
            "  chat claude-opus-5-5",
        ],
        "{outline}"
    );
    let counts = outline.lines().filter(|line| line.starts_with("  count_tokens "));
    assert!(counts.count() > 0, "{outline}");
    let main = told.span("invoke_agent Claude Code");
    assert!(main.parent_span_id.is_empty());
    for span in &told.spans {
        assert_eq!(span.trace_id, main.trace_id);
        assert_eq!(attribute(span, "session.id"), agent::SESSION);
        assert_eq!(attribute(span, "gen_ai.conversation.id"), agent::SESSION);
    }
    // Both agents are overloaded at first, and then go on.
    let overloaded = told.spans.iter().filter(|span| attribute(span, "error.type") == "overloaded_error");
    assert_eq!(overloaded.count(), 2);
    assert_eq!(attribute(main, "error.type"), Value::Null);
    assert_eq!(attribute(main, "perimeter.agent.calls"), 3);
    let usage = |span: &&Span| attribute(span, "gen_ai.usage.input_tokens") == 1023;
    assert_eq!(
        told.spans.iter().filter(usage).count(),
        4,
        "3 and 20 written to the cache and 1000 read from it"
    );
    let read_by_python = read_by_python(&told, "pb");
    assert_eq!(read_by_python, read(&told));
}

#[test]
fn a_streamed_chat_of_an_sdk_is_below_the_span_of_the_app_that_makes_it() {
    for (protocol, form) in [("http/protobuf", "pb"), ("http/json", "json")] {
        let (provider, collector, began) = (Provider::start(), Collector::start(), SystemTime::now());
        let perimeter = start("openai", &provider, &collector, protocol);
        let printed = script("python/traced.py", &provider, &perimeter.url);
        let told = stop(perimeter, &collector, began);
        let span = printed.lines().find_map(|line| line.strip_prefix("span: ")).unwrap();
        let [trace, span]: [String; 2] = serde_json::from_str(span).unwrap();
        assert_eq!(told.outline(), "invoke_agent\n  chat compressed\nchat compressed\n", "{printed}");
        let [alone, below] = told.named("chat compressed")[..] else { panic!("{}", told.outline()) };
        assert_eq!([hex(&below.trace_id), hex(&below.parent_span_id)], [trace, span]);
        assert_eq!(attribute(below, "perimeter.observed_by"), "proxy");
        assert_eq!(attribute(alone, "perimeter.observed_by"), Value::Null);
        for chat in [alone, below] {
            for (key, value) in [
                ("gen_ai.request.stream", json!(true)),
                ("gen_ai.usage.input_tokens", json!(1203)),
                ("gen_ai.usage.output_tokens", json!(65)),
                ("gen_ai.usage.cache_read.input_tokens", json!(1024)),
                ("gen_ai.usage.reasoning.output_tokens", json!(60)),
                ("gen_ai.response.finish_reasons", json!(["stop"])),
                ("perimeter.client.name", json!("OpenAI Python")),
                ("error.type", Value::Null),
            ] {
                assert_eq!(attribute(chat, key), value, "{key}: {chat:#?}");
            }
            assert!(attribute(chat, "gen_ai.response.time_to_first_chunk").is_f64());
        }
        assert_eq!(read_by_python(&told, form), read(&told), "{protocol}");
    }
}

/// What OpenTelemetry's library for Python reads of all that came: its spans, and how much there is of the rest.
fn read_by_python(told: &Told, form: &str) -> Value {
    let folder = tempfile::tempdir().unwrap();
    for (number, asked) in told.asked.iter().enumerate() {
        let signal = asked.path.rsplit('/').next().unwrap();
        fs::write(folder.path().join(format!("{number:03}-{signal}.{form}")), &asked.body).unwrap();
    }
    let output = client(installed("venv/bin/python"), folder.path())
        .arg(root().join("tests/clients/python/otlp.py"))
        .arg(folder.path())
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .output()
        .unwrap();
    serde_json::from_str(&transcript("otlp.py", &output)).unwrap()
}

/// The same as it was read here.
fn read(told: &Told) -> Value {
    let all = |attributes: &[KeyValue]| -> Value {
        let keys = attributes.iter().map(|attribute| &attribute.key);
        keys.map(|key| (key.clone(), told::find(attributes, key))).collect()
    };
    let span = |span: &Span| {
        let status = span.status.clone().unwrap_or_default();
        let events = span.events.iter().map(|event| json!([event.name, event.time_unix_nano]));
        json!({
            "trace": hex(&span.trace_id), "span": hex(&span.span_id), "parent": hex(&span.parent_span_id),
            "name": span.name, "kind": span.kind, "flags": span.flags, "status": [status.code, status.message],
            "times": [span.start_time_unix_nano, span.end_time_unix_nano],
            "attributes": all(&span.attributes), "events": events.collect::<Vec<_>>(),
        })
    };
    let logs = told.logs.iter().map(
        |log| json!({"event": log.event_name, "span": hex(&log.span_id), "attributes": all(&log.attributes)}),
    );
    let metrics = told.metrics.iter().map(|metric| {
        let points = told.points(&metric.name);
        let points = points.into_iter().map(|(attributes, count, sum)| json!([attributes, count, sum]));
        json!({"name": metric.name, "unit": metric.unit, "points": points.collect::<Vec<_>>()})
    });
    let resources = told.asked.iter().map(|asked| {
        let resource = match &asked.export {
            Export::Traces(traces) => &traces.resource_spans[0].resource,
            Export::Logs(logs) => &logs.resource_logs[0].resource,
            Export::Metrics(metrics) => &metrics.resource_metrics[0].resource,
        };
        all(&resource.as_ref().unwrap().attributes)
    });
    json!({
        "spans": told.spans.iter().map(span).collect::<Vec<_>>(), "logs": logs.collect::<Vec<_>>(),
        "metrics": metrics.collect::<Vec<_>>(), "resources": resources.collect::<Vec<_>>(),
    })
}
