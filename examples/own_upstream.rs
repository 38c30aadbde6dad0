//! A proxy whose provider is in the same process: an echo that speaks OpenAI's chat completions. No network behind it,
//! and whoever watches sees it as any other.
//!
//! ```console
//! $ cargo run --example own_upstream -- run --base-url http://echo.invalid --type openai
//! ```

use std::collections::VecDeque;
use std::convert::Infallible;
use std::pin::Pin;
use std::process::ExitCode;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{Request, Response};
use http_body::Frame;
use http_body_util::BodyExt as _;
use perimeter::body::Body;
use perimeter::registry::Registry;
use perimeter::upstream::{Upstream, UpstreamError};
use serde_json::{Value, json};

/// Says what the last message said.
async fn echo(request: Request<Body>) -> Result<Response<Body>, UpstreamError> {
    let failed = |source| UpstreamError::Failed { source };
    let asked = request.into_body().collect().await.map_err(failed)?.to_bytes();
    let asked: Value = serde_json::from_slice(&asked).map_err(|error| failed(error.into()))?;
    let last = asked["messages"].as_array().and_then(|messages| messages.last());
    let text = last.and_then(|message| message["content"].as_str()).unwrap_or_default();
    let words: Vec<&str> = text.split_inclusive(' ').collect();
    let usage = json!({"prompt_tokens": words.len(), "completion_tokens": words.len()});

    let (kind, body) = if asked["stream"] == true {
        let piece = |delta: Value, finish: Option<&str>| {
            let choice = json!({"index": 0, "delta": delta, "finish_reason": finish});
            json!({"id": "echo", "object": "chat.completion.chunk", "model": asked["model"], "choices": [choice]})
        };
        let mut last = piece(json!({}), Some("stop"));
        last["usage"] = usage;
        let said = words.iter().map(|word| piece(json!({"content": word}), None));
        let events = said.chain([last]).map(|event| event.to_string()).chain(["[DONE]".to_owned()]);
        let events = events.map(|event| format!("data: {event}\n\n").into()).collect();
        ("text/event-stream", Body::new(Pieces(events)))
    } else {
        let message = json!({"role": "assistant", "content": text});
        let choice = json!({"index": 0, "message": message, "finish_reason": "stop"});
        let answer = json!({"id": "echo", "object": "chat.completion", "model": asked["model"],
            "choices": [choice], "usage": usage});
        ("application/json", Body::full(answer.to_string()))
    };
    let mut response = Response::new(body);
    response.headers_mut().insert(CONTENT_TYPE, http::HeaderValue::from_static(kind));
    Ok(response)
}

/// A body that comes piece by piece.
struct Pieces(VecDeque<Bytes>);

impl http_body::Body for Pieces {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Poll::Ready(self.0.pop_front().map(|piece| Ok(Frame::data(piece))))
    }
}

fn main() -> ExitCode {
    let upstream = Upstream::new(tower::service_fn(echo));
    perimeter::cli::main(&Registry::built_in(), Some(upstream))
}
