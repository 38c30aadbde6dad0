//! All that is told of a session, as a backend gets it.

use perimeter_interceptor::Interceptor;
use perimeter_interceptor::testing::{Script, comply, play};
use perimeter_otel::{Settings, TraceExporter};
use serde_json::json;

use super::exchanges::{Answers, asks, at, failed, result, said};
use super::show::{self, hex};
use super::{attribute, ended, named};
use crate::collector::{self, Collector};

/// A call with two tools, one of which fails, and a call that the client breaks off.
fn script() -> Script {
    let first = asks(at(1), vec![said("List the files.")])
        .uses("toolu_1", "Bash", r#"{"command":"ls"}"#)
        .uses("toolu_2", "Read", r#"{"path":"/x"}"#);
    let results = vec![result("toolu_1", "Cargo.toml"), failed("toolu_2", "no such file")];
    let second = asks(at(2), results).says("One ").cut("One ").aborted();
    ended(Script::new().scene(first.answers_well("")).scene(second), 2)
}

fn settings(collector: &Collector, more: serde_json::Value) -> Settings {
    let mut settings = json!({"endpoint": collector.url(), "spool": {"enabled": false}});
    settings.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    serde_json::from_value(settings).unwrap()
}

#[test]
fn a_backend_gets_the_spans_log_records_and_metrics_of_a_session() {
    let collector = Collector::start();
    let settings = settings(&collector, json!({"content": {"capture": "span_and_event"}}));
    let exporter = TraceExporter::new(settings).unwrap();
    assert!(!exporter.counters().is_empty());
    play(exporter, script()).assert_faultless();

    let asked = collector.asked();
    let spans = collector::spans(&asked);
    assert_eq!(spans.len(), 5, "{}", show::outline(&spans));
    let agent = named(&spans, "invoke_agent Claude Code");
    let calls: Vec<_> = spans.iter().filter(|span| span.name == "chat claude-sonnet-5").collect();
    assert!(calls.iter().all(|call| call.parent_span_id == agent.span_id));
    assert!(attribute(calls[0], "gen_ai.input.messages").contains("List the files."));
    assert_eq!(attribute(named(&spans, "execute_tool Read"), "error.type"), "\"tool_error\"");

    let logs = collector::logs(&asked);
    let named = |name: &str| logs.iter().filter(|log| log.event_name == name).collect::<Vec<_>>();
    let details = named("gen_ai.client.inference.operation.details");
    assert_eq!(details.len(), 2);
    assert!(details.iter().zip(&calls).all(|(log, call)| log.span_id == call.span_id));
    let exceptions = named("gen_ai.client.operation.exception");
    assert_eq!(exceptions.len(), 1);
    assert_eq!(hex(&exceptions[0].span_id), hex(&calls[1].span_id));

    let metrics = collector::metrics(&asked);
    let names: Vec<_> = metrics.iter().map(|metric| &*metric.name).collect();
    for name in
        ["gen_ai.client.inference.duration", "gen_ai.client.operation.duration", "perimeter.client.cost"]
    {
        assert!(names.contains(&name), "{name} is not among {names:?}");
    }
}

#[test]
fn what_is_said_stays_here_unless_it_is_asked_for() {
    let collector = Collector::start();
    play(TraceExporter::new(settings(&collector, json!({}))).unwrap(), script()).assert_faultless();
    let asked = collector.asked();
    let spans = show::tree(&collector::spans(&asked));
    assert!(spans.contains("execute_tool Bash") && !spans.contains("List the files."));
    for said in ["input.messages", "Cargo.toml", "no such file", "\"command\""] {
        assert!(!spans.contains(said), "{said}");
    }
    let logs = collector::logs(&asked);
    assert_eq!(logs.len(), 1, "only that a call failed");
}

#[test]
fn a_trace_that_is_not_sampled_is_counted_and_logged_nonetheless() {
    let collector = Collector::start();
    let settings = settings(&collector, json!({"trace": {"sampler": "always_off"}}));
    play(TraceExporter::new(settings).unwrap(), script()).assert_faultless();
    let asked = collector.asked();
    assert!(collector::spans(&asked).is_empty());
    let logs = collector::logs(&asked);
    assert_eq!((logs.len(), logs[0].flags & 1), (1, 0));
    assert!(!collector::metrics(&asked).is_empty());
}

#[test]
fn whatever_passes_it_is_delivered() {
    let collector = Collector::start();
    let capture = json!({"content": {"capture": "span_and_event"}, "metrics_interval": "1s"});
    comply(|| TraceExporter::kept(&settings(&collector, capture.clone())).unwrap().0);
    let all = Script::new().together(perimeter_interceptor::testing::scenes::all());
    let (kept, told) = TraceExporter::kept(&settings(&collector, capture.clone())).unwrap();
    play(kept, all.clone()).assert_faultless();
    play(TraceExporter::new(settings(&collector, capture)).unwrap(), all).assert_faultless();
    assert_eq!(collector::spans(&collector.asked()), told.spans());
}
