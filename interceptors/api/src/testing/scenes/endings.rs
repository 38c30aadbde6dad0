use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};

use super::{CHAT, MODEL, Respond, Scene, chat};
use crate::{ApiFailure, BodyEnd, CallId, LlmEvent, Peer};

/// The client leaves before there is a response.
pub fn client_left_before_the_head() -> Scene {
    chat("client left before the head", true).after(Duration::from_secs(2)).aborted()
}

/// The client leaves in the middle of a stream.
pub fn client_left_mid_stream() -> Scene {
    chat("client left mid-stream", true)
        .streams()
        .streams_text("The capital ")
        .streams_text("of France ")
        .cut("The capital of France ")
        .aborted()
}

/// The client leaves in the middle of its request: the call is partial.
pub fn upload_broken_off() -> Scene {
    let scene = Scene::post(CHAT)
        .named("upload broken off")
        .header("content-type", "application/json")
        .header("content-length", "1048576")
        .request_chunk(r#"{"model":"gpt-4.1-mini","messages":[{"role":"user","content":"What is"#)
        .request_end(BodyEnd::Failed("the connection was reset".into()));
    partial_call(scene).aborted()
}

/// No connection to the provider: the proxy answers in its place.
pub fn unreachable() -> Scene {
    let words = "connection refused";
    chat("unreachable", false)
        .failure("upstream_unreachable", words)
        .responds(502, &json!({"error": {"type": "upstream_unreachable", "message": words}}))
        .end()
}

/// The provider answers with an error.
pub fn api_error() -> Scene {
    let body = json!({"error": {"type": "rate_limit_error", "message": "Slow down."}});
    chat("API error", true).responds(429, &body).llm(LlmEvent::Failure(Arc::new(failure(429, &body)))).end()
}

/// The provider tells of an error in the middle of a stream.
pub fn error_mid_stream() -> Scene {
    let event = json!({"error": {"type": "overloaded_error", "message": "Overloaded."}});
    chat("error mid-stream", true)
        .streams()
        .streams_text("The capital ")
        .event(&event)
        .cut("The capital ")
        .llm(LlmEvent::Failure(Arc::new(failure(200, &event))))
        .end()
}

/// The provider's connection breaks in the middle of a stream.
pub fn broken_off() -> Scene {
    chat("broken off", true)
        .streams()
        .streams_text("The capital ")
        .response_chunk("data: {\"choices\":[{\"ind")
        .cut("The capital ")
        .broken_off("connection reset by peer")
}

/// Of the request only the beginning is told, since there was no room for the rest.
pub fn truncated_request() -> Scene {
    let scene = Scene::post(CHAT)
        .named("truncated request")
        .header("content-type", "application/json")
        .request_chunk(r#"{"model":"gpt-4.1-mini","messages":["#)
        .loses(Peer::Client)
        .request(r#"{"role":"user","content":"What is the capital of France?"}]}"#);
    let choice = json!({"index": 0, "message": {"content": "Paris."}, "finish_reason": "stop"});
    partial_call(scene)
        .responds(200, &json!({"choices": [choice]}))
        .answers("Paris.", crate::Usage::new(14, 2))
        .end()
}

/// Of the response only the beginning is told, since there was no room for the rest.
pub fn truncated_response() -> Scene {
    chat("truncated response", true)
        .streams()
        .streams_text("The capital ")
        .loses(Peer::Upstream)
        .response_chunk("data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"of France \"}}]}\n\n")
        .response_chunk("data: [DONE]\n\n")
        .cut("The capital ")
        .end()
}

/// A call of which not everything was read.
fn partial_call(scene: Scene) -> Scene {
    let mut call = scene.next_call(MODEL, "");
    call.partial = true;
    call.news.clear();
    scene.llm(LlmEvent::Call(Arc::new(call)))
}

fn failure(status: u16, body: &Value) -> ApiFailure {
    let word = |key: &str| body["error"][key].as_str().unwrap_or_default().to_owned();
    let mut failure = ApiFailure::new(CallId(0), status, word("message"));
    failure.kind = Some(word("type").into());
    failure.body = body.to_string().into();
    failure
}
