//! What the provider answers in Gemini's tongue. Which script is played, the model in the path says.

use serde_json::{Value, json};

use super::request::Request;
use super::script::Script;

pub(super) fn answer(request: &Request) -> Script {
    let target = request.path().rsplit('/').next().unwrap_or_default();
    match target.split_once(':').unwrap_or_default() {
        ("plain", "generateContent") => whole(&response(json!([{"text": "Grüße, 世界 👋"}]), Some("STOP"))),
        ("plain", "streamGenerateContent") => Script::events()
            .chunk(event(&response(json!([{"text": "Thinking.", "thought": true}]), None)))
            .chunk(event(&response(json!([{"text": "Grüße, "}]), None)))
            .chunk(event(&response(json!([{"text": "世界 👋"}]), Some("STOP"))))
            .end(),
        ("tools", "generateContent") => whole(&response(tool_call(), Some("STOP"))),
        ("tools", "streamGenerateContent") => {
            Script::events().chunk(event(&response(tool_call(), Some("STOP")))).end()
        }
        ("limited", _) => {
            let error = json!({"code": 429, "message": "slow down", "status": "RESOURCE_EXHAUSTED"});
            Script::json("429 Too Many Requests", "", &json!({ "error": error }))
        }
        _ => Script::json(
            "404 Not Found",
            "",
            &json!({"error": {"code": 404, "message": "no such thing", "status": "NOT_FOUND"}}),
        ),
    }
}

fn tool_call() -> Value {
    json!([{"functionCall": {"id": "call-1", "name": "weather", "args": {"city": "Köln"}}, "thoughtSignature": "c2ln"}])
}

fn response(parts: Value, stop: Option<&str>) -> Value {
    let mut candidate = json!({"content": {"parts": parts, "role": "model"}, "index": 0});
    if let Some(stop) = stop {
        candidate["finishReason"] = stop.into();
    }
    json!({
        "candidates": [candidate],
        "usageMetadata": {"promptTokenCount": 9, "candidatesTokenCount": 5, "thoughtsTokenCount": 3, "totalTokenCount": 17},
        "modelVersion": "gemini-2.5-pro",
        "responseId": "resp-1",
    })
}

/// As Google sends it: indented.
fn whole(response: &Value) -> Script {
    let body = serde_json::to_vec_pretty(response).unwrap();
    Script::whole("200 OK", "Content-Type: application/json; charset=UTF-8\r\n", &body)
}

fn event(response: &Value) -> String {
    format!("data: {response}\r\n\r\n")
}
