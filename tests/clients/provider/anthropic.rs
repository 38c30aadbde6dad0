//! What the provider answers in Anthropic's tongue. Which script is played, the request's model says.

use serde_json::{Value, json};

use super::request::Request;
use super::script::{Script, Step};

const LIMITS: &str = "anthropic-organization-id: org-1\r\n\
    anthropic-ratelimit-requests-limit: 50\r\n\
    anthropic-ratelimit-requests-remaining: 49\r\n\
    Set-Cookie: _cfuvid=one; path=/\r\n\
    Set-Cookie: __cf_bm=two; path=/\r\n";

/// How the agent sends out an agent of its own.
const ERRAND: &str = "Look into the file ";

/// What the agent says when it has read the file it asked for.
const DONE: &str = "The file says: the proxy saw nothing.";

/// The model that a bridge asks for, and the name of its stream that never ends.
pub(crate) const BRIDGED: &str = "claude-bridged";

pub(super) fn answer(request: &Request, asked: usize) -> Script {
    let body = request.json();
    match (request.method(), request.path()) {
        ("POST", "/v1/messages") if body["model"] == BRIDGED => bridged(&body),
        ("POST", "/v1/messages") if from_agent(request) => agent(&body, asked),
        ("POST", "/v1/messages") => messages(&body, asked),
        ("POST", "/v1/messages/count_tokens") => Script::json("200 OK", LIMITS, &json!({"input_tokens": 42})),
        ("GET", "/v1/models") => models(request),
        ("POST", "/v1/files") => Script::json(
            "200 OK",
            "",
            &json!({
                "id": "file_1", "type": "file", "filename": "data.bin", "mime_type": "application/octet-stream",
                "size_bytes": 70_000, "created_at": "2026-01-01T00:00:00Z", "downloadable": false,
            }),
        ),
        ("GET", "/v1/messages/batches/batch_1") => batch(),
        ("GET", "/v1/messages/batches/batch_1/results") => batch_results(),
        _ => failure("404 Not Found", "", "not_found_error", "no such thing"),
    }
}

pub(super) fn from_agent(request: &Request) -> bool {
    request.header("user-agent").is_some_and(|agent| agent.starts_with("claude-cli/"))
}

fn messages(body: &Value, asked: usize) -> Script {
    let model = body["model"].as_str().unwrap_or_default();
    let streamed = body["stream"] == true;
    match model.split('/').next().unwrap_or_default() {
        "paced" => paced(Some(model)),
        "left" => left(model),
        "silent" => Script { steps: vec![Step::Left(model.to_owned())], close: true },
        "tools" if streamed => tool_use("weather", &json!({"city": "Köln"})).end(),
        "failing" => failing(),
        "cut" => {
            let script = Script::events().chunk(start()).chunk(block_start(0, &text("")));
            script.send("40\r\nevent: content_block_de").closing()
        }
        "gzip" => Script::whole(
            "200 OK",
            "Content-Type: application/json\r\nContent-Encoding: gzip\r\n",
            include_bytes!("message.json.gz"),
        ),
        "bad-request" => failure("400 Bad Request", "", "invalid_request_error", "max_tokens: too large"),
        "unauthorized" => failure("401 Unauthorized", "", "authentication_error", "invalid x-api-key"),
        "limited" => failure(
            "429 Too Many Requests",
            "retry-after: 1\r\nretry-after-ms: 1\r\n",
            "rate_limit_error",
            "slow down",
        ),
        "overloaded-once" if asked == 1 => failure(
            "529 Overloaded",
            "retry-after-ms: 1\r\nx-should-retry: true\r\n",
            "overloaded_error",
            "Overloaded",
        ),
        "never-retry" => failure(
            "500 Internal Server Error",
            "x-should-retry: false\r\n",
            "api_error",
            "Internal server error",
        ),
        _ if streamed => paced(None),
        _ => Script::json("200 OK", LIMITS, &message(&json!([text("Hello, wörld 👋")]), "end_turn")),
    }
}

/// A turn of a coding agent: overloaded at first, then it wants to have a file read by an agent of its own, which
/// reads it with a tool; then both are content.
fn agent(body: &Value, asked: usize) -> Script {
    let said = body["messages"].to_string();
    if asked == 1 {
        return failure("529 Overloaded", "retry-after: 0\r\n", "overloaded_error", "Overloaded");
    }
    if said.contains("tool_result") {
        return stream_text(DONE, None).end();
    }
    let file = |ask: &str| said.split(ask).nth(1)?.split(' ').next().map(str::to_owned);
    if let Some(file) = file(ERRAND) {
        return tool_use("Read", &json!({"file_path": file})).end();
    }
    let Some(file) = file("Read the file ") else { return stream_text("nothing asked", None).end() };
    let errand = json!({
        "description": "Look into a file", "prompt": format!("{ERRAND}{file} and report."), "model": "haiku",
        "subagent_type": "general-purpose", "run_in_background": false,
    });
    tool_use("Agent", &errand).end()
}

/// What a bridge gets for its client: the same as from the scripted agent of `bridges.rs`.
fn bridged(body: &Value) -> Script {
    let said = body["messages"].to_string();
    let has = |words: &str| said.contains(words);
    let weather = |city: &str| ("weather", json!({"city": city}));
    let delta = |words: &str| block_delta(0, &json!({"type": "text_delta", "text": words}));
    let begun = || Script::events().chunk(start()).chunk(block_start(0, &text("")));
    if has("\"tool_result\"") {
        stream_text("It is 18 degrees.", None).end()
    } else if has("Köln and Recife") {
        calls(&[weather("Köln"), weather("Recife")])
    } else if has("Köln") {
        calls(&[weather("Köln")])
    } else if has("Which hue?") {
        calls(&[("StructuredOutput", json!({"colour": "red"}))])
    } else if has("too much") {
        failure("429 Too Many Requests", "retry-after: 7\r\n", "rate_limit_error", "slow down")
    } else if has("breaks off") {
        begun().chunk(delta("Half of it")).send("40\r\nevent: content_block_de").closing()
    } else if has("for ever") {
        begun().chunk(delta("On and on")).left(BRIDGED)
    } else if has("\"image\"") {
        stream_text("A picture.", None).end()
    } else {
        stream_text("Hello there.", None).end()
    }
}

/// A message that is nothing but calls.
fn calls(calls: &[(&str, Value)]) -> Script {
    let mut script = Script::events().chunk(start());
    for (index, (name, input)) in calls.iter().enumerate() {
        let call =
            json!({"type": "tool_use", "id": format!("toolu_{name}_{index}"), "name": name, "input": {}});
        let delta = json!({"type": "input_json_delta", "partial_json": input.to_string()});
        script = script
            .chunk(block_start(index, &call))
            .chunk(block_delta(index, &delta))
            .chunk(block_stop(index));
    }
    stop("tool_use").into_iter().fold(script, Script::chunk).end()
}

fn paced(stream: Option<&str>) -> Script {
    stream_text("Hello, wörld 👋 世界", stream).end()
}

fn stream_text(words: &str, stream: Option<&str>) -> Script {
    let mut pieces = vec![start(), block_start(0, &text("")), event("ping", json!({}))];
    pieces.extend(
        words.split_inclusive(' ').map(|word| block_delta(0, &json!({"type": "text_delta", "text": word}))),
    );
    pieces.push(block_stop(0));
    pieces.extend(stop("end_turn"));
    let mut script = Script::events();
    for (number, piece) in pieces.into_iter().enumerate() {
        script = script.chunk(piece);
        // A ping is for the connection: SDKs do not show it.
        if let Some(stream) = stream.filter(|_| number != 2) {
            script = script.seen(stream, if number < 2 { number + 1 } else { number });
        }
    }
    script
}

fn tool_use(name: &str, input: &Value) -> Script {
    let input = input.to_string();
    let (first, second) = input.split_at(5);
    let part = |json: &str| json!({"type": "input_json_delta", "partial_json": json});
    let call = json!({"type": "tool_use", "id": "toolu_1", "name": name, "input": {}});
    let mut script = Script::events()
        .chunk(start())
        .chunk(block_start(0, &text("")))
        .chunk(event("ping", json!({})))
        .chunk(block_delta(0, &json!({"type": "text_delta", "text": "I shall look."})))
        .chunk(block_stop(0))
        .chunk(block_start(1, &call))
        .chunk(block_delta(1, &part("")))
        .chunk(block_delta(1, &part(first)))
        .chunk(block_delta(1, &part(second)))
        .chunk(block_stop(1));
    for piece in stop("tool_use") {
        script = script.chunk(piece);
    }
    script
}

fn left(stream: &str) -> Script {
    Script::events().chunk(start()).chunk(block_start(0, &text(""))).left(stream)
}

/// The stream's status was 200 long ago when the failure comes.
fn failing() -> Script {
    let error = json!({"error": {"type": "overloaded_error", "message": "Overloaded"}});
    Script::events()
        .chunk(start())
        .chunk(block_start(0, &text("")))
        .chunk(block_delta(0, &json!({"type": "text_delta", "text": "Hel"})))
        .chunk(event("error", error))
        .end()
}

fn start() -> String {
    let mut begun = message(&json!([]), "");
    begun["stop_reason"] = Value::Null;
    event("message_start", json!({"message": begun}))
}

fn block_start(index: usize, block: &Value) -> String {
    event("content_block_start", json!({"index": index, "content_block": block}))
}

fn block_delta(index: usize, delta: &Value) -> String {
    event("content_block_delta", json!({"index": index, "delta": delta}))
}

fn block_stop(index: usize) -> String {
    event("content_block_stop", json!({"index": index}))
}

fn stop(reason: &str) -> [String; 2] {
    let delta = json!({"stop_reason": reason, "stop_sequence": null});
    let usage = json!({"output_tokens": 9});
    [event("message_delta", json!({"delta": delta, "usage": usage})), event("message_stop", json!({}))]
}

fn event(kind: &str, mut fields: Value) -> String {
    fields["type"] = json!(kind);
    format!("event: {kind}\ndata: {fields}\n\n")
}

fn text(text: &str) -> Value {
    json!({"type": "text", "text": text})
}

fn message(content: &Value, stop_reason: &str) -> Value {
    json!({
        "id": "msg_1", "type": "message", "role": "assistant", "model": "claude-scripted",
        "content": content, "stop_reason": stop_reason, "stop_sequence": null,
        "usage": {
            "input_tokens": 3, "output_tokens": 5,
            "cache_creation_input_tokens": 20, "cache_read_input_tokens": 1000,
        },
        "a_field_of_tomorrow": {"kept": [1, 2.50, "x"]},
    })
}

/// Two pages, so that the SDK comes back with the cursor of the first.
fn models(request: &Request) -> Script {
    let model = |id: &str| json!({"id": id, "type": "model", "display_name": id, "created_at": "2026-01-01T00:00:00Z"});
    let second = request.target().contains("after_id=");
    let (id, more) = if second { ("claude-b", false) } else { ("claude-a", true) };
    let page = json!({"data": [model(id)], "has_more": more, "first_id": id, "last_id": id});
    Script::json("200 OK", "", &page)
}

fn batch() -> Script {
    let counts = json!({"processing": 0, "succeeded": 2, "errored": 0, "canceled": 0, "expired": 0});
    let at = "2026-01-01T00:00:00Z";
    Script::json(
        "200 OK",
        "",
        &json!({
            "id": "batch_1", "type": "message_batch", "processing_status": "ended", "request_counts": counts,
            "created_at": at, "ended_at": at, "expires_at": at, "archived_at": null, "cancel_initiated_at": null,
            // A path of this host: the SDK must come back to whoever it was given as its base URL.
            "results_url": "/v1/messages/batches/batch_1/results",
        }),
    )
}

fn batch_results() -> Script {
    let mut script = Script::chunked("Content-Type: application/x-jsonl\r\n");
    for id in ["first", "second"] {
        let result = json!({"type": "succeeded", "message": message(&json!([text(id)]), "end_turn")});
        script = script.chunk(format!("{}\n", json!({"custom_id": id, "result": result})));
    }
    script.end()
}

fn failure(status: &str, fields: &str, kind: &str, message: &str) -> Script {
    let error = json!({"type": kind, "message": message});
    let body = json!({"type": "error", "error": error, "request_id": "req_0001"});
    Script::json(status, fields, &body)
}
