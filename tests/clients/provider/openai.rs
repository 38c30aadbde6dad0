//! What the provider answers in OpenAI's tongue. Which script is played, the request's model says.

use serde_json::{Value, json};

use super::request::Request;
use super::script::{Script, Step};

const LIMITS: &str = "openai-processing-ms: 12\r\n\
    openai-version: 2020-10-01\r\n\
    x-ratelimit-limit-requests: 10000\r\n\
    x-ratelimit-remaining-requests: 9999\r\n\
    Set-Cookie: __cf_bm=one; path=/; HttpOnly\r\n\
    Set-Cookie: _cfuvid=two; path=/\r\n";

/// The words of a streamed answer; not all of them are ASCII.
const WORDS: [&str; 5] = ["Hello", ", ", "wörld", " 世界", " 👋"];

/// How many streams of the crowd are open before the first of them goes on.
const CROWD: usize = 50;

pub(super) fn answer(request: &Request, asked: usize) -> Script {
    let body = request.json();
    match (request.method(), request.path()) {
        ("POST", "/v1/chat/completions") => chat(&body, asked),
        ("POST", "/v1/responses") => responses(&body),
        ("POST", "/v1/embeddings") => embeddings(),
        ("GET", "/v1/models") => models(),
        ("POST", "/v1/files") => file("200 OK"),
        ("GET", "/v1/files/file-1/content") => {
            Script::whole("200 OK", "Content-Type: application/octet-stream\r\n", &bytes(300_000))
        }
        ("GET", "/v1/files/moved") => {
            Script::whole("307 Temporary Redirect", "Location: /v1/files/file-1\r\n", b"")
        }
        ("GET", "/v1/files/file-1") => file("200 OK"),
        ("DELETE", "/v1/files/file-1") => {
            Script::json("200 OK", "", &json!({"id": "file-1", "object": "file", "deleted": true}))
        }
        ("DELETE", "/v1/responses/resp_1") => {
            Script::raw("HTTP/1.1 204 No Content\r\nX-Request-ID: req_0001\r\n\r\n")
        }
        ("POST", "/v1/audio/speech") => speech(),
        _ => failure("404 Not Found", "", "invalid_request_error", "no such thing", "not_found"),
    }
}

fn chat(body: &Value, asked: usize) -> Script {
    let model = body["model"].as_str().unwrap_or_default();
    match model.split('/').next().unwrap_or_default() {
        "paced" => paced(model),
        "crowd" => crowd(model),
        "left" => left(model),
        "silent" => Script { steps: vec![Step::Left(model.to_owned())], close: true },
        "tools" if body["stream"] == true => streamed_tools(),
        "tools" if body["messages"].as_array().is_some_and(|said| said.len() > 1) => {
            plain_chat("It is 7 °C.")
        }
        "tools" => tools(),
        "torn" => torn(),
        "cut" => cut(),
        "short" => Script::raw(
            "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 500\r\n\r\n{\"id\":",
        )
        .closing(),
        "gzip" => gzipped(),
        "long" => plain_chat(&"a long answer, ".repeat(200_000)),
        "bad-request" => {
            failure("400 Bad Request", "", "invalid_request_error", "'messages' is empty", "empty_array")
        }
        "unauthorized" => {
            let ask = "WWW-Authenticate: Bearer realm=\"api\"\r\n";
            failure("401 Unauthorized", ask, "invalid_request_error", "Incorrect API key", "invalid_api_key")
        }
        "limited" => limited(),
        "limited-once" if asked == 1 => limited(),
        "broken-once" if asked == 1 => failure(
            "500 Internal Server Error",
            "retry-after-ms: 1\r\n",
            "server_error",
            "The server had an error",
            "server_error",
        ),
        "teapot" => Script::whole(
            "418 I'm a teapot, really",
            "Content-Type: text/html\r\n",
            b"<html>short and stout</html>",
        ),
        "compressed" if body["stream"] == true => finish(words()),
        _ => plain_chat("Hello, wörld 👋"),
    }
}

fn plain_chat(content: &str) -> Script {
    Script::json("200 OK", LIMITS, &completion(json!({"role": "assistant", "content": content}), "stop"))
}

fn tools() -> Script {
    let call = json!({
        "id": "call_1", "type": "function",
        "function": {"name": "weather", "arguments": "{\"city\":\"Köln\"}"},
    });
    let message = json!({"role": "assistant", "content": null, "tool_calls": [call]});
    Script::json("200 OK", LIMITS, &completion(message, "tool_calls"))
}

fn completion(message: Value, finish: &str) -> Value {
    json!({
        "id": "chatcmpl-1", "object": "chat.completion", "created": 1_700_000_000, "model": "gpt-scripted",
        "choices": [{"index": 0, "message": message, "logprobs": null, "finish_reason": finish}],
        "usage": usage(),
        "a_field_of_tomorrow": {"kept": [1, 2.50, "x"]},
    })
}

fn usage() -> Value {
    json!({
        "prompt_tokens": 1203, "completion_tokens": 65, "total_tokens": 1268,
        "prompt_tokens_details": {"cached_tokens": 1024, "audio_tokens": 0},
        "completion_tokens_details": {"reasoning_tokens": 60},
    })
}

fn gzipped() -> Script {
    Script::whole(
        "200 OK",
        "Content-Type: application/json\r\nContent-Encoding: gzip\r\nVary: Accept-Encoding\r\n",
        include_bytes!("completion.json.gz"),
    )
}

/// Each word goes out when the client has seen the one before it.
fn paced(stream: &str) -> Script {
    let mut script = Script::events();
    for (number, word) in WORDS.iter().enumerate() {
        script = script.chunk(delta(json!({"content": word}), Value::Null)).seen(stream, number + 1);
    }
    finish(script)
}

/// As [`paced`], but only when the whole crowd is there.
fn crowd(stream: &str) -> Script {
    let mut script = Script::events().step(Step::Open("crowd".to_owned(), CROWD));
    for number in 1..=4 {
        script = script
            .chunk(delta(json!({"content": format!("{stream} says {number}")}), Value::Null))
            .seen(stream, number);
    }
    finish(script)
}

fn words() -> Script {
    WORDS
        .iter()
        .fold(Script::events(), |script, word| script.chunk(delta(json!({"content": word}), Value::Null)))
}

fn left(stream: &str) -> Script {
    Script::events()
        .chunk(delta(json!({"content": "one"}), Value::Null))
        .chunk(delta(json!({"content": "two"}), Value::Null))
        .left(stream)
}

/// Events cut across chunks: within a line, within a character, between CR and LF.
fn torn() -> Script {
    let whole = delta(json!({"content": "wörld 👋"}), Value::Null);
    let whole = whole.as_bytes();
    let within = whole.iter().position(|byte| *byte >= 0x80).unwrap_or_default() + 1;
    let script = Script::events()
        .chunk(": a comment\n\n")
        .chunk(&whole[..within])
        .chunk(&whole[within..whole.len() - 1])
        .chunk(&whole[whole.len() - 1..])
        .chunk("data: {\"id\":\"chatcmpl-1\",\"object\":\"chat.completion.chunk\",\"created\":1,\r")
        .chunk("\ndata: \"model\":\"m\",\"choices\":[]}\r\n\r")
        .chunk("\n");
    finish(script)
}

fn cut() -> Script {
    Script::events()
        .chunk(delta(json!({"content": "one"}), Value::Null))
        .send("20\r\ndata: {\"id\"")
        .closing()
}

fn streamed_tools() -> Script {
    let part = |function: Value| delta(json!({"tool_calls": [function]}), Value::Null);
    let script = Script::events()
        .chunk(part(json!({"index": 0, "id": "call_1", "type": "function", "function": {"name": "weather", "arguments": ""}})))
        .chunk(part(json!({"index": 0, "function": {"arguments": "{\"ci"}})))
        .chunk(part(json!({"index": 0, "function": {"arguments": "ty\":\"Köln\"}"}})))
        .chunk(part(json!({"index": 1, "id": "call_2", "type": "function", "function": {"name": "time", "arguments": "{}"}})));
    script.chunk(delta(json!({}), json!("tool_calls"))).chunk("data: [DONE]\n\n").end()
}

fn finish(script: Script) -> Script {
    let last = json!({
        "id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1_700_000_000,
        "model": "gpt-scripted", "choices": [],
        "usage": usage(),
    });
    script
        .chunk(delta(json!({}), json!("stop")))
        .chunk(format!("data: {last}\n\n"))
        .chunk("data: [DONE]\n\n")
        .end()
}

fn delta(delta: Value, finish: Value) -> String {
    let chunk = json!({
        "id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1_700_000_000,
        "model": "gpt-scripted",
        "choices": [{"index": 0, "delta": delta, "logprobs": null, "finish_reason": finish}],
    });
    format!("data: {chunk}\n\n")
}

fn limited() -> Script {
    let wait = "retry-after: 1\r\nretry-after-ms: 1\r\n";
    failure("429 Too Many Requests", wait, "requests", "Rate limit reached", "rate_limit_exceeded")
}

fn failure(status: &str, fields: &str, kind: &str, message: &str, code: &str) -> Script {
    let error = json!({"message": message, "type": kind, "param": null, "code": code});
    Script::json(status, fields, &json!({"error": error}))
}

/// A response as the Responses API streams it; each event waits for the one before it to be seen.
fn responses(body: &Value) -> Script {
    let model = body["model"].as_str().unwrap_or_default();
    if body["stream"] != true {
        return Script::json(
            "200 OK",
            LIMITS,
            &response("completed", json!([message("completed", "Hello, wörld")])),
        );
    }
    let part = json!({"type": "output_text", "text": "", "annotations": []});
    let text = json!({"type": "output_text", "text": "Hello, wörld", "annotations": []});
    let place = json!({"item_id": "msg_1", "output_index": 0, "content_index": 0, "logprobs": []});
    let events = [
        ("response.created", json!({"response": response("in_progress", json!([]))})),
        ("response.in_progress", json!({"response": response("in_progress", json!([]))})),
        ("response.output_item.added", json!({"output_index": 0, "item": message("in_progress", "")})),
        ("response.content_part.added", with(&place, json!({"part": part}))),
        ("response.output_text.delta", with(&place, json!({"delta": "Hello, "}))),
        ("response.output_text.delta", with(&place, json!({"delta": "wörld"}))),
        ("response.output_text.done", with(&place, json!({"text": "Hello, wörld"}))),
        ("response.content_part.done", with(&place, json!({"part": text}))),
        (
            "response.output_item.done",
            json!({"output_index": 0, "item": message("completed", "Hello, wörld")}),
        ),
        (
            "response.completed",
            json!({"response": response("completed", json!([message("completed", "Hello, wörld")]))}),
        ),
    ];
    let mut script = Script::events();
    for (number, (kind, fields)) in events.into_iter().enumerate() {
        let event = with(&json!({"type": kind, "sequence_number": number}), fields);
        script = script.chunk(format!("event: {kind}\ndata: {event}\n\n")).seen(model, number + 1);
    }
    script.end()
}

fn message(status: &str, text: &str) -> Value {
    let content = match text {
        "" => json!([]),
        text => json!([{"type": "output_text", "text": text, "annotations": []}]),
    };
    json!({"id": "msg_1", "type": "message", "role": "assistant", "status": status, "content": content})
}

fn response(status: &str, output: Value) -> Value {
    json!({
        "id": "resp_1", "object": "response", "created_at": 1_700_000_000, "status": status,
        "model": "gpt-scripted", "output": output, "parallel_tool_calls": true, "tool_choice": "auto",
        "tools": [], "error": null, "incomplete_details": null, "instructions": null, "metadata": {},
        "temperature": 1.0, "top_p": 1.0,
        "usage": {
            "input_tokens": 3, "input_tokens_details": {"cached_tokens": 0},
            "output_tokens": 5, "output_tokens_details": {"reasoning_tokens": 0}, "total_tokens": 8,
        },
    })
}

fn with(base: &Value, fields: Value) -> Value {
    let mut merged = base.clone();
    if let (Some(into), Value::Object(from)) = (merged.as_object_mut(), fields) {
        into.extend(from);
    }
    merged
}

/// Vectors as the SDKs ask for them: little-endian floats in base64.
fn embeddings() -> Script {
    let data = json!([{"object": "embedding", "index": 0, "embedding": "AACAPwAAAEAAAEBA"}]);
    let usage = json!({"prompt_tokens": 2, "total_tokens": 2});
    let body = json!({"object": "list", "data": data, "model": "embed-scripted", "usage": usage});
    Script::json("200 OK", "", &body)
}

fn models() -> Script {
    let model = |id: &str| json!({"id": id, "object": "model", "created": 1, "owned_by": "scripted"});
    Script::json("200 OK", "", &json!({"object": "list", "data": [model("gpt-a"), model("gpt-b")]}))
}

fn file(status: &str) -> Script {
    Script::json(
        status,
        "",
        &json!({
            "id": "file-1", "object": "file", "bytes": 300_000, "created_at": 1, "filename": "data.bin",
            "purpose": "user_data", "status": "processed",
        }),
    )
}

/// Sound, chunked, of every byte there is.
fn speech() -> Script {
    let sound = bytes(100_000);
    let mut script = Script::chunked("Content-Type: audio/mpeg\r\n");
    for piece in sound.chunks(7_001) {
        script = script.chunk(piece);
    }
    script.end()
}

/// Bytes that no text is made of.
pub(super) fn bytes(count: u32) -> Vec<u8> {
    (0..count).map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8).collect()
}
