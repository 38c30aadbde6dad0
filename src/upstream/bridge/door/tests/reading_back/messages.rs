//! Messages of Anthropic's.

use serde_json::{Value, json};

use super::{Told, events, number, string};

fn stopped(word: &Value) -> &'static str {
    match string(word) {
        "end_turn" | "stop_sequence" => "end",
        "max_tokens" => "length",
        "tool_use" => "tools",
        "refusal" => "refusal",
        other => panic!("what is this stop_reason? {other:?}"),
    }
}

/// A whole message.
pub(in super::super) fn message(message: &Value) -> Told {
    assert_eq!([&message["type"], &message["role"]], [&json!("message"), &json!("assistant")]);
    let mut told = Told { stop: stopped(&message["stop_reason"]), ..Told::default() };
    for block in message["content"].as_array().expect("blocks") {
        match string(&block["type"]) {
            "text" => told.text.push_str(string(&block["text"])),
            "thinking" => told.thinking.push_str(string(&block["thinking"])),
            "redacted_thinking" => {}
            "tool_use" => {
                told.calls.push((
                    string(&block["id"]).to_owned(),
                    string(&block["name"]).to_owned(),
                    block["input"].clone(),
                ));
            }
            other => panic!("what is this block? {other:?}"),
        }
    }
    let usage = &message["usage"];
    told.cached = number(&usage["cache_read_input_tokens"]);
    told.prompt =
        number(&usage["input_tokens"]) + number(&usage["cache_creation_input_tokens"]) + told.cached;
    told.output = number(&usage["output_tokens"]);
    told
}

/// A message that is streamed: put together as the SDKs do, and read as a whole one.
pub(in super::super) fn stream(stream: &str) -> Told {
    let mut events = events(stream).into_iter().filter(|(name, _)| name != "ping");
    let (name, mut start) = events.next().expect("a beginning");
    assert_eq!(name, "message_start");
    let mut whole = start["message"].take();
    let (mut open, mut last) = (None, String::new());
    for (name, event) in events {
        assert_eq!(event["type"], name.as_str());
        assert_ne!(last, "message_stop", "nothing comes after the end");
        let index = event["index"].as_u64().map(|index| usize::try_from(index).expect("an index"));
        match name.as_str() {
            "content_block_start" => {
                let blocks = whole["content"].as_array_mut().expect("blocks");
                assert_eq!((open, index), (None, Some(blocks.len())));
                blocks.push(event["content_block"].clone());
                open = index;
            }
            "content_block_delta" => add(&mut whole["content"][index.expect("an index")], &event["delta"]),
            "content_block_stop" => {
                assert_eq!(open.take(), index);
                end(&mut whole["content"][index.expect("an index")]);
            }
            "message_delta" => {
                whole["stop_reason"] = event["delta"]["stop_reason"].clone();
                for (name, tokens) in event["usage"].as_object().expect("usage") {
                    whole["usage"][name] = tokens.clone();
                }
            }
            "message_stop" => assert_eq!((open, last.as_str()), (None, "message_delta")),
            other => panic!("what is this event? {other:?}"),
        }
        last = name;
    }
    assert_eq!(last, "message_stop");
    message(&whole)
}

/// Adds a delta to its block.
fn add(block: &mut Value, delta: &Value) {
    let (kind, field) = match string(&delta["type"]) {
        "text_delta" => ("text", "text"),
        "thinking_delta" => ("thinking", "thinking"),
        "signature_delta" => ("thinking", "signature"),
        "input_json_delta" => {
            assert_eq!(block["type"], "tool_use");
            let more = string(&block["json"]).to_owned() + string(&delta["partial_json"]);
            block["json"] = more.into();
            return;
        }
        "citations_delta" => return,
        other => panic!("what is this delta? {other:?}"),
    };
    assert_eq!(block["type"], kind);
    block[field] = format!("{}{}", string(&block[field]), string(&delta[field])).into();
}

/// What was streamed as text of JSON is JSON once it is whole.
fn end(block: &mut Value) {
    if let Some(json) = block["json"].as_str()
        && !json.is_empty()
    {
        block["input"] = serde_json::from_str(json).expect("JSON");
    }
}
