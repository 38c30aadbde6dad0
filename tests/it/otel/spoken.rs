//! What providers say.

use serde_json::{Value, json};

/// An answer of Claude's, all at once.
pub(super) fn message(content: &Value, stop: &str, usage: &Value) -> Value {
    json!({
        "id": "msg_1", "type": "message", "role": "assistant", "model": "claude-sonnet-5-20260101",
        "content": content, "stop_reason": stop, "stop_sequence": null, "usage": usage,
    })
}

/// The same in pieces. Of the output only the end knows.
pub(super) fn message_stream(content: &Value, stop: &str, usage: &Value) -> Vec<String> {
    let mut begun = message(&json!([]), "", usage);
    begun["stop_reason"] = Value::Null;
    begun["usage"]["output_tokens"] = json!(1);
    let mut pieces = vec![event("message_start", json!({"message": begun}))];
    for (index, block) in content.as_array().unwrap().iter().enumerate() {
        pieces.extend(block_stream(index, block));
    }
    let delta = json!({"stop_reason": stop, "stop_sequence": null});
    let usage = json!({"output_tokens": usage["output_tokens"]});
    pieces.push(event("message_delta", json!({"delta": delta, "usage": usage})));
    pieces.push(event("message_stop", json!({})));
    pieces
}

fn block_stream(index: usize, block: &Value) -> [String; 3] {
    let (begun, delta) = match block["type"].as_str() {
        Some("text") => {
            (json!({"type": "text", "text": ""}), json!({"type": "text_delta", "text": block["text"]}))
        }
        _ => {
            let mut begun = block.clone();
            begun["input"] = json!({});
            (begun, json!({"type": "input_json_delta", "partial_json": block["input"].to_string()}))
        }
    };
    [
        event("content_block_start", json!({"index": index, "content_block": begun})),
        event("content_block_delta", json!({"index": index, "delta": delta})),
        event("content_block_stop", json!({"index": index})),
    ]
}

/// One of Anthropic's events.
pub(super) fn event(kind: &str, mut fields: Value) -> String {
    fields["type"] = json!(kind);
    format!("event: {kind}\ndata: {fields}\n\n")
}

/// A part of an answer that is text.
pub(super) fn text(text: &str) -> Value {
    json!({"type": "text", "text": text})
}

/// A part of an answer that asks for a tool.
pub(super) fn tool(id: &str, name: &str, input: Value) -> Value {
    json!({"type": "tool_use", "id": id, "name": name, "input": input})
}

/// A message that brings results of tools.
pub(super) fn results(results: &[(&str, &str)]) -> Value {
    let result = |(id, text): &(&str, &str)| json!({"type": "tool_result", "tool_use_id": id, "content": text, "is_error": text.starts_with("error")});
    json!({"role": "user", "content": results.iter().map(result).collect::<Vec<_>>()})
}

/// An answer of `OpenAI`'s to a chat, all at once.
pub(super) fn completion(text: &str) -> Value {
    json!({
        "id": "chatcmpl-1", "object": "chat.completion", "created": 1_700_000_000, "model": "gpt-4o-mini-2024-07-18",
        "choices": [{"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 24, "completion_tokens": 2, "total_tokens": 26},
    })
}

/// The same in pieces: the words, why it stopped, what it used.
pub(super) fn completion_stream(words: &[&str]) -> Vec<String> {
    let piece = |choices: Value, usage: Value| {
        let data = json!({
            "id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1_700_000_000,
            "model": "gpt-4o-mini-2024-07-18", "choices": choices, "usage": usage,
        });
        format!("data: {data}\n\n")
    };
    let choice = |delta: Value, stop: Value| json!([{"index": 0, "delta": delta, "finish_reason": stop}]);
    let usage = json!({
        "prompt_tokens": 1204, "completion_tokens": 87, "total_tokens": 1291,
        "prompt_tokens_details": {"cached_tokens": 1024}, "completion_tokens_details": {"reasoning_tokens": 12},
    });
    let mut pieces: Vec<_> =
        words.iter().map(|word| piece(choice(json!({"content": word}), Value::Null), Value::Null)).collect();
    pieces.push(piece(choice(json!({}), json!("stop")), Value::Null));
    pieces.push(piece(json!([]), usage));
    pieces.push("data: [DONE]\n\n".to_owned());
    pieces
}
