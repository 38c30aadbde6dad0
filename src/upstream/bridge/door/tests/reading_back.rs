//! Answers, read as a provider's SDK would.

use serde_json::{Value, json};

pub(super) mod messages;
pub(super) mod responses;

/// What a client was told.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Told {
    pub text: String,
    pub thinking: String,
    pub calls: Vec<Call>,
    /// `end`, `length`, `tools`, `refusal`.
    pub stop: &'static str,
    pub prompt: u64,
    pub cached: u64,
    pub output: u64,
}

/// Id, name and arguments of a call.
pub(super) type Call = (String, String, Value);

/// A call whose arguments are JSON in a string.
pub(super) fn call(id: &Value, name: &Value, arguments: &str) -> Call {
    (string(id).to_owned(), string(name).to_owned(), serde_json::from_str(arguments).expect("JSON"))
}

/// The events of a stream: their names and their data. A comment is none; `[DONE]` is null.
pub(super) fn events(stream: &str) -> Vec<(String, Value)> {
    assert!(stream.is_empty() || stream.ends_with("\n\n"), "an event is cut: {stream}");
    let events = stream.split("\n\n").filter(|event| !event.is_empty());
    let read = |event: &str| {
        let (mut name, mut data) = (String::new(), None);
        for line in event.lines() {
            match line.split_once(':') {
                Some(("", _)) => {}
                Some(("event", value)) => name = value.trim().to_owned(),
                Some(("data", value)) => data = Some(value.trim_start().to_owned()),
                _ => panic!("what is this line? {line}"),
            }
        }
        let data = data?;
        let data = if data == "[DONE]" { Value::Null } else { serde_json::from_str(&data).expect("JSON") };
        Some((name, data))
    };
    events.filter_map(read).collect()
}

fn string(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

fn number(value: &Value) -> u64 {
    value.as_u64().expect("a number")
}

fn stopped(word: &Value) -> &'static str {
    match string(word) {
        "stop" => "end",
        "length" => "length",
        "tool_calls" => "tools",
        "content_filter" => "refusal",
        other => panic!("what is this finish_reason? {other:?}"),
    }
}

fn add_usage(told: &mut Told, usage: &Value) {
    told.prompt = number(&usage["prompt_tokens"]);
    told.cached = number(&usage["prompt_tokens_details"]["cached_tokens"]);
    told.output = number(&usage["completion_tokens"]);
    assert_eq!(number(&usage["total_tokens"]), told.prompt + told.output);
}

/// A `chat.completion`.
pub(super) fn chat(completion: &Value) -> Told {
    assert_eq!(completion["object"], "chat.completion");
    let choice = &completion["choices"][0];
    let message = &choice["message"];
    let calls = message["tool_calls"].as_array().cloned().unwrap_or_default();
    let read = |item: &Value| {
        assert_eq!(item["type"], "function");
        let function = &item["function"];
        call(&item["id"], &function["name"], string(&function["arguments"]))
    };
    let mut told = Told {
        text: string(&message["content"]).to_owned(),
        thinking: string(&message["reasoning_content"]).to_owned(),
        calls: calls.iter().map(read).collect(),
        stop: stopped(&choice["finish_reason"]),
        ..Told::default()
    };
    add_usage(&mut told, &completion["usage"]);
    told
}

/// The chunks of a stream that is whole: choices first, then what it took, then its end.
fn chunks(stream: &str) -> (Vec<Value>, Value) {
    let mut events = events(stream);
    assert_eq!(events.pop().expect("an end").1, Value::Null, "[DONE] is last");
    let usage = events.pop().expect("usage").1;
    assert_eq!(usage["choices"], json!([]), "usage stands alone");
    let chunks: Vec<_> = events.into_iter().map(|(_, chunk)| chunk).collect();
    for chunk in &chunks {
        assert_eq!([&chunk["id"], &chunk["created"]], [&usage["id"], &usage["created"]]);
        assert!(chunk["usage"].is_null());
        assert_eq!(chunk["choices"].as_array().map(Vec::len), Some(1));
    }
    let (last, others) = chunks.split_last().expect("chunks");
    assert!(others.iter().all(|chunk| chunk["choices"][0]["finish_reason"].is_null()));
    assert!(last["choices"][0]["finish_reason"].is_string());
    (chunks, usage["usage"].clone())
}

/// The `chat.completion.chunk`s of a stream.
pub(super) fn chat_stream(stream: &str) -> Told {
    let (chunks, usage) = chunks(stream);
    let mut told = Told::default();
    let mut calls = Vec::new();
    for (at, chunk) in chunks.iter().enumerate() {
        assert_eq!(chunk["object"], "chat.completion.chunk");
        let choice = &chunk["choices"][0];
        let delta = &choice["delta"];
        assert_eq!(delta["role"] == "assistant", at == 0, "the first chunk names the role, and no other");
        told.text.push_str(string(&delta["content"]));
        told.thinking.push_str(string(&delta["reasoning_content"]));
        for call in delta["tool_calls"].as_array().into_iter().flatten() {
            let function = &call["function"];
            if call["id"].is_string() {
                assert_eq!(number(&call["index"]), calls.len() as u64);
                assert_eq!([&call["type"], &function["arguments"]], [&json!("function"), &json!("")]);
                calls.push((&call["id"], &function["name"], String::new()));
            } else {
                assert_eq!(number(&call["index"]) + 1, calls.len() as u64);
                calls.last_mut().expect("a call").2.push_str(string(&function["arguments"]));
            }
        }
        if !choice["finish_reason"].is_null() {
            told.stop = stopped(&choice["finish_reason"]);
        }
    }
    told.calls = calls.iter().map(|(id, name, arguments)| call(id, name, arguments)).collect();
    add_usage(&mut told, &usage);
    told
}

/// The annotations of a stream.
pub(super) fn annotations(stream: &str) -> Vec<Value> {
    let (chunks, _) = chunks(stream);
    let deltas = chunks.iter().map(|chunk| &chunk["choices"][0]["delta"]["annotations"]);
    deltas.flat_map(|annotations| annotations.as_array().cloned().unwrap_or_default()).collect()
}

/// A `text_completion`.
pub(super) fn completion(completion: &Value) -> Told {
    assert_eq!(completion["object"], "text_completion");
    let choice = &completion["choices"][0];
    let text = string(&choice["text"]).to_owned();
    let mut told = Told { text, stop: stopped(&choice["finish_reason"]), ..Told::default() };
    add_usage(&mut told, &completion["usage"]);
    told
}

/// The `text_completion`s of a stream.
pub(super) fn completion_stream(stream: &str) -> Told {
    let (chunks, usage) = chunks(stream);
    let mut told = Told::default();
    for chunk in &chunks {
        assert_eq!(chunk["object"], "text_completion");
        let choice = &chunk["choices"][0];
        told.text.push_str(string(&choice["text"]));
        if !choice["finish_reason"].is_null() {
            told.stop = stopped(&choice["finish_reason"]);
        }
    }
    add_usage(&mut told, &usage);
    told
}
