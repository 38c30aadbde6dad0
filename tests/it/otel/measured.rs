//! Metrics, after traffic of which the sums are known.

use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use serde_json::{Value, json};

use super::spoken::{completion, completion_stream, message, text};
use super::stage::{Ask, Stage};
use super::told::Told;

/// The sum of all points of which `which` is true: how many, and how much.
fn sum(told: &Told, name: &str, which: impl Fn(&Value) -> bool) -> (u64, f64) {
    let points = told.points(name).into_iter().filter(|(attributes, ..)| which(attributes));
    points.fold((0, 0.0), |(count, sum), (_, more, added)| (count + more, sum + added))
}

/// Two plain chats, a streamed one with a cache, one that is refused, and a message that writes a cache.
fn traffic(stage: &Stage) {
    stage.call(&Ask::chat("One"), &completion("Hi"));
    stage.call(&Ask::chat("Two"), &completion("Hi"));
    let mut streamed = Ask::chat("Three");
    streamed.body["stream"] = json!(true);
    stage.streams(&streamed, &completion_stream(&["Hello", " wide", " world"]));
    let refusal =
        json!({"error": {"message": "Slow down", "type": "requests", "code": "rate_limit_exceeded"}});
    stage.answers(&Ask::chat("Four"), 429, &refusal);
    let usage = json!({
        "input_tokens": 3, "cache_creation_input_tokens": 20, "cache_read_input_tokens": 1000, "output_tokens": 12,
    });
    let body = json!({"model": "claude-sonnet-5", "max_tokens": 9, "messages": [{"role": "user", "content": "Hello"}]});
    stage.call(&Ask::claude(body), &message(&json!([text("Hi")]), "end_turn", &usage));
}

#[test]
fn every_metric_of_the_conventions_is_there_with_the_right_sums() {
    let stage = Stage::with(&json!({}), |setup| setup.kind("auto"));
    traffic(&stage);
    let told = stage.stop();
    let all = |_: &Value| true;
    let failed = |point: &Value| point["error.type"] == "rate_limit_exceeded";
    for name in ["gen_ai.client.inference.duration", "gen_ai.client.operation.duration"] {
        assert_eq!(sum(&told, name, all).0, 5, "{name}");
        assert_eq!(sum(&told, name, failed).0, 1, "{:#?}", told.points(name));
        assert!(sum(&told, name, all).1 > 0.0, "{name}");
    }
    for edition in ["inference", "operation"] {
        assert_eq!(sum(&told, &format!("gen_ai.client.{edition}.time_to_first_chunk"), all).0, 1);
        assert_eq!(sum(&told, &format!("gen_ai.client.{edition}.time_per_output_chunk"), all).0, 5);
    }
    let of = |kind: &'static str| move |point: &Value| point["gen_ai.token.type"] == kind;
    let (input, output) = (24.0 + 24.0 + 1204.0 + 1023.0, 2.0 + 2.0 + 87.0 + 12.0);
    assert_eq!(sum(&told, "gen_ai.client.token.usage", of("input")), (4, input));
    assert_eq!(sum(&told, "gen_ai.client.token.usage", of("output")), (4, output));
    assert_eq!(sum(&told, "gen_ai.client.inference.operation.input_tokens", all), (4, input));
    assert_eq!(sum(&told, "gen_ai.client.inference.operation.output_tokens", all), (4, output));
    for (kind, tokens) in [
        ("input_tokens", input),
        ("output_tokens", output),
        ("cache_read.input_tokens", 2024.0),
        ("cache_write.input_tokens", 20.0),
        ("reasoning.output_tokens", 12.0),
    ] {
        assert_eq!(sum(&told, &format!("gen_ai.client.inference.usage.{kind}"), all).1, tokens, "{kind}");
    }
    let port = |point: &Value| point["server.port"].is_u64() && point["server.address"] == "127.0.0.1";
    let claude = |point: &Value| port(point) && point["gen_ai.request.model"] == "claude-sonnet-5";
    assert_eq!(sum(&told, "gen_ai.client.inference.usage.input_tokens", claude).1, 1023.0);
    let providers: Vec<_> = told
        .points("gen_ai.client.inference.duration")
        .iter()
        .map(|point| point.0["gen_ai.provider.name"].clone())
        .collect();
    assert!(providers.contains(&json!("openai")) && providers.contains(&json!("anthropic")), "{providers:?}");
    assert_units(&told);
}

#[track_caller]
fn assert_units(told: &Told) {
    for metric in &told.metrics {
        let unit = match metric.data.as_ref().unwrap() {
            _ if metric.name.ends_with("duration") || metric.name.contains(".time_") => "s",
            Data::Histogram(_) | Data::Sum(_) if metric.name.contains("token") => "{token}",
            _ => continue,
        };
        assert_eq!(metric.unit, unit, "{}", metric.name);
        assert!(!metric.description.is_empty());
    }
}

#[test]
fn metrics_are_sent_again_and_again_and_go_on() {
    let stage = Stage::start(json!({"metrics_interval": "50ms"}));
    let counts = |told: &Told| sum(told, "gen_ai.client.inference.duration", |_| true).0;
    let wait = |enough: u64| {
        stage.collector.wait(|asked| {
            let told = Told::of(asked.to_vec(), (std::time::UNIX_EPOCH, std::time::SystemTime::now()));
            let some = told.metrics.iter().any(|metric| metric.name == "gen_ai.client.inference.duration");
            (some && counts(&told) == enough).then_some(())
        });
    };
    stage.call(&Ask::chat("One"), &completion("Hi"));
    wait(1);
    stage.call(&Ask::chat("Two"), &completion("Hi"));
    wait(2);
    stage.stop();
}

#[test]
fn the_resource_says_who_tells() {
    let stage =
        Stage::start(json!({"service_name": "gateway", "resource": {"deployment.environment.name": "test"}}));
    stage.call(&Ask::chat("One"), &completion("Hi"));
    let told = stage.stop();
    for asked in &told.asked {
        use super::collector::Export;
        let resource = match &asked.export {
            Export::Traces(traces) => traces.resource_spans[0].resource.clone(),
            Export::Metrics(metrics) => metrics.resource_metrics[0].resource.clone(),
            Export::Logs(logs) => logs.resource_logs[0].resource.clone(),
        };
        let attributes = resource.unwrap().attributes;
        let find = |key| super::told::find(&attributes, key);
        assert_eq!(find("service.name"), "gateway");
        assert_eq!(find("service.version"), env!("CARGO_PKG_VERSION"));
        assert_eq!(find("deployment.environment.name"), "test");
        assert_eq!(find("telemetry.sdk.name"), "perimeter");
        assert!(find("service.instance.id").is_string() && find("process.pid").is_u64(), "{attributes:#?}");
    }
    assert_eq!(told.asked.len(), 2, "traces and metrics");
}
