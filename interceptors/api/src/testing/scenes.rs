//! Ready-made scenes: what an interceptor meets sooner or later.
//!
//! What they say may grow more detailed; a test that depends on every byte writes its own [`Scene`].

use serde_json::Value;

use super::Scene;

mod calls;
mod endings;
mod http;
mod odd;

pub use calls::{
    choices, conversation, early_answer, refused, streamed, thinking, torn_to_bytes, whole, with_tools,
};
pub use endings::{
    api_error, broken_off, client_left_before_the_head, client_left_mid_stream, error_mid_stream,
    truncated_request, truncated_response, unreachable, upload_broken_off,
};
pub use http::{early_response, head, not_modified, plain, upgraded, with_trailers};
pub use odd::{extreme, instant, nothing_known};

/// Each of them once.
pub fn all() -> Vec<Scene> {
    vec![
        whole(),
        streamed(),
        torn_to_bytes(),
        with_tools(),
        conversation(),
        thinking(),
        refused(),
        choices(),
        early_answer(),
        client_left_before_the_head(),
        client_left_mid_stream(),
        upload_broken_off(),
        unreachable(),
        api_error(),
        error_mid_stream(),
        broken_off(),
        truncated_request(),
        truncated_response(),
        plain(),
        head(),
        not_modified(),
        with_trailers(),
        early_response(),
        upgraded(),
        instant(),
        extreme(),
        nothing_known(),
    ]
}

const CHAT: &str = "/v1/chat/completions";
const MESSAGES: &str = "/v1/messages";
const MODEL: &str = "gpt-4.1-mini";
const QUESTION: &str = "What is the capital of France?";
const ANSWER: &str = "The capital of France is Paris.";

/// A request with this body, in one chunk.
fn post(name: &str, path: &str, body: &Value) -> Scene {
    let body = body.to_string();
    Scene::post(path)
        .named(name)
        .header("host", "api.provider.example")
        .header("content-type", "application/json")
        .header("content-length", body.len().to_string())
        .request(body)
}

/// OpenAI's Chat Completions, asked [`QUESTION`].
fn chat(name: &str, stream: bool) -> Scene {
    let message = serde_json::json!({"role": "user", "content": QUESTION});
    let body = serde_json::json!({"model": MODEL, "stream": stream, "messages": [message]});
    post(name, CHAT, &body).asks(MODEL, QUESTION)
}

trait Respond {
    /// A response with this body, in one chunk.
    fn responds(self, status: u16, body: &Value) -> Self;
    /// The head of a stream.
    fn streams(self) -> Self;
    /// One event of a stream.
    fn event(self, data: &Value) -> Self;
    /// More of a streamed Chat Completion, and what it means.
    fn streams_text(self, text: &str) -> Self;
}

impl Respond for Scene {
    fn responds(self, status: u16, body: &Value) -> Self {
        let body = body.to_string();
        self.response(status)
            .header("content-type", "application/json")
            .header("content-length", body.len().to_string())
            .response_chunk(body)
    }

    fn streams(self) -> Self {
        self.response(200).header("content-type", "text/event-stream")
    }

    fn event(self, data: &Value) -> Self {
        self.response_chunk(format!("data: {data}\n\n"))
    }

    fn streams_text(self, text: &str) -> Self {
        let choice = serde_json::json!({"index": 0, "delta": {"content": text}});
        self.event(&serde_json::json!({"object": "chat.completion.chunk", "choices": [choice]})).says(text)
    }
}
