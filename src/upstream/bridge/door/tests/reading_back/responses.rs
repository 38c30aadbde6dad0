//! OpenAI's responses.

use serde_json::Value;

use super::{Told, call, events, number, string};

/// A whole response.
pub(in super::super) fn response(response: &Value) -> Told {
    assert_eq!(response["object"], "response");
    let mut told = Told::default();
    let mut refused = false;
    for item in response["output"].as_array().expect("items") {
        match string(&item["type"]) {
            "message" => {
                for part in item["content"].as_array().expect("parts") {
                    told.text.push_str(string(&part["text"]));
                    refused |= part["type"] == "refusal";
                }
            }
            "reasoning" => {
                for part in item["summary"].as_array().expect("parts") {
                    told.thinking.push_str(string(&part["text"]));
                }
            }
            "function_call" => {
                told.calls.push(call(&item["call_id"], &item["name"], string(&item["arguments"])));
            }
            other => panic!("what is this item? {other:?}"),
        }
    }
    told.stop = match (string(&response["status"]), string(&response["incomplete_details"]["reason"])) {
        ("completed", "") if refused => "refusal",
        ("completed", "") if told.calls.is_empty() => "end",
        ("completed", "") => "tools",
        ("incomplete", "max_output_tokens") => "length",
        ("incomplete", "content_filter") => "refusal",
        other => panic!("what is this status? {other:?}"),
    };
    let usage = &response["usage"];
    told.prompt = number(&usage["input_tokens"]);
    told.cached = number(&usage["input_tokens_details"]["cached_tokens"]);
    told.output = number(&usage["output_tokens"]);
    assert_eq!(number(&usage["total_tokens"]), told.prompt + told.output);
    told
}

/// A response that is streamed: what its deltas say, and how its last event says that it ended.
pub(in super::super) fn stream(stream: &str) -> Told {
    let events = events(stream);
    let mut told = Told::default();
    let mut arguments = Vec::new();
    for (number, (name, event)) in events.iter().enumerate() {
        assert_eq!(event["type"], name.as_str());
        assert_eq!(event["sequence_number"], number);
        let delta = string(&event["delta"]);
        match name.as_str() {
            "response.output_text.delta" => told.text.push_str(delta),
            "response.reasoning_summary_text.delta" => told.thinking.push_str(delta),
            "response.output_item.added" if event["item"]["type"] == "function_call" => {
                let item = &event["item"];
                arguments.push((item["call_id"].clone(), item["name"].clone(), String::new()));
            }
            "response.function_call_arguments.delta" => {
                arguments.last_mut().expect("a call").2.push_str(delta);
            }
            _ => {}
        }
    }
    told.calls = arguments.iter().map(|(id, name, arguments)| call(id, name, arguments)).collect();
    let (name, last) = events.last().expect("an end");
    assert!(["response.completed", "response.incomplete"].contains(&name.as_str()), "{name}");
    let whole = response(&last["response"]);
    Told { stop: whole.stop, prompt: whole.prompt, cached: whole.cached, output: whole.output, ..told }
}
