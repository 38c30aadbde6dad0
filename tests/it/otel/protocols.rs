//! The other ways to speak OTLP.

use serde_json::json;

use super::spoken::completion;
use super::stage::{Ask, Stage};
use super::told::{Told, attribute};

fn told(protocol: &str) -> Told {
    let settings = json!({
        "protocol": protocol, "headers": {"x-key": "of the backend"},
        "content": {"capture": "event"},
    });
    let stage = Stage::start(settings);
    stage.call(&Ask::chat("Grüße").with("x-perimeter-session-id: s"), &completion("世界 👋"));
    let told = stage.stop();
    for asked in &told.asked {
        assert_eq!(asked.headers["x-key"], "of the backend", "{protocol}");
    }
    told
}

#[test]
fn every_protocol_tells_the_same() {
    for (protocol, kind, paths) in [
        ("http/protobuf", "application/x-protobuf", ["/v1/traces", "/v1/logs", "/v1/metrics"]),
        ("http/json", "application/json", ["/v1/traces", "/v1/logs", "/v1/metrics"]),
        (
            "grpc",
            "application/grpc",
            [
                "/opentelemetry.proto.collector.trace.v1.TraceService/Export",
                "/opentelemetry.proto.collector.logs.v1.LogsService/Export",
                "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export",
            ],
        ),
    ] {
        let told = told(protocol);
        assert_eq!(told.outline(), "invoke_agent\n  chat gpt-4o-mini\n", "{protocol}");
        let call = told.span("chat gpt-4o-mini");
        assert_eq!(call.parent_span_id, told.span("invoke_agent").span_id);
        assert_eq!(attribute(call, "gen_ai.usage.input_tokens"), 24);
        assert_eq!(attribute(call, "gen_ai.conversation.id"), "s");
        let said = super::told::find(&told.logs[0].attributes, "gen_ai.output.messages");
        assert_eq!(said[0]["parts"][0]["content"], "世界 👋", "{protocol}");
        assert_eq!(told.points("gen_ai.client.inference.duration").len(), 1, "{protocol}");
        for path in paths {
            let asked = told.asked.iter().find(|asked| asked.path.ends_with(path));
            let asked = asked.unwrap_or_else(|| panic!("{protocol}: {path}"));
            assert_eq!(asked.headers["content-type"], kind, "{protocol}");
        }
    }
}
