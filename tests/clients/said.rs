//! What a model said, read from an answer by a reader of this test's own: a second opinion.

use std::collections::BTreeMap;

use serde_json::{Value, json};

/// The parts of an answer that must be the same however it came.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Said {
    pub(crate) id: Value,
    pub(crate) model: Value,
    pub(crate) text: String,
    /// Id, name and input of each tool that was asked for.
    pub(crate) tools: Vec<(Value, Value, Value)>,
    pub(crate) stop: Value,
    pub(crate) usage: Value,
    /// The error in the middle of a stream.
    pub(crate) error: Value,
}

impl Said {
    /// From an answer in one piece.
    pub(crate) fn whole(answer: &Value) -> Self {
        let mut said = Self { usage: answer["usage"].clone(), ..Self::begun(answer) };
        if answer["object"] == "response" {
            said.stop = answer["status"].clone();
            for item in answer["output"].as_array().into_iter().flatten() {
                for part in item["content"].as_array().into_iter().flatten() {
                    said.text.push_str(part["text"].as_str().unwrap_or_default());
                }
                if item["type"] == "function_call" {
                    let input = parsed(item["arguments"].as_str().unwrap_or_default());
                    said.tools.push((item["call_id"].clone(), item["name"].clone(), input));
                }
            }
        } else if answer["type"] == "message" {
            said.stop = answer["stop_reason"].clone();
            for block in answer["content"].as_array().into_iter().flatten() {
                said.text.push_str(block["text"].as_str().unwrap_or_default());
                if block["type"] == "tool_use" {
                    said.tools.push((block["id"].clone(), block["name"].clone(), block["input"].clone()));
                }
            }
        } else {
            let choice = &answer["choices"][0];
            said.stop = choice["finish_reason"].clone();
            said.text = choice["message"]["content"].as_str().unwrap_or_default().to_owned();
            for call in choice["message"]["tool_calls"].as_array().into_iter().flatten() {
                let function = &call["function"];
                let input = parsed(function["arguments"].as_str().unwrap_or_default());
                said.tools.push((call["id"].clone(), function["name"].clone(), input));
            }
        }
        said
    }

    /// From server-sent events, as far as they came.
    pub(crate) fn streamed(events: &[u8]) -> Self {
        let mut said = Self::default();
        let mut tools = BTreeMap::new();
        for event in events_in(&String::from_utf8_lossy(events)) {
            if event["response"].is_object() {
                // Each event that has it tells all of it so far.
                said = Self::whole(&event["response"]);
            } else if event["type"].is_string() {
                said.hear_anthropic(&event, &mut tools);
            } else {
                said.hear_openai(&event, &mut tools);
            }
        }
        said.tools = tools.into_values().map(|(id, name, input)| (id, name, parsed(&input))).collect();
        said
    }

    /// The tokens as the printer counts them: in, of these from the cache; out, of these for reasoning.
    pub(crate) fn tokens(&self) -> Option<[u64; 4]> {
        let count = |name: &str| self.usage.pointer(name).and_then(Value::as_u64);
        let some = |name: &str| count(name).unwrap_or(0);
        if let Some(input) = count("/prompt_tokens") {
            let cached = some("/prompt_tokens_details/cached_tokens");
            let reasoning = some("/completion_tokens_details/reasoning_tokens");
            return Some([input, cached, some("/completion_tokens"), reasoning]);
        }
        if count("/input_tokens_details/cached_tokens").is_some() {
            let cached = some("/input_tokens_details/cached_tokens");
            let reasoning = some("/output_tokens_details/reasoning_tokens");
            return Some([count("/input_tokens")?, cached, count("/output_tokens")?, reasoning]);
        }
        let cached = some("/cache_read_input_tokens");
        let input = count("/input_tokens")? + cached + some("/cache_creation_input_tokens");
        Some([input, cached, count("/output_tokens")?, 0])
    }

    /// Whether this is what `other` says, or the beginning of it.
    pub(crate) fn begins(&self, other: &Self) -> bool {
        other.text.starts_with(&self.text) && other.tools.starts_with(&self.tools)
    }

    fn begun(answer: &Value) -> Self {
        Self { id: answer["id"].clone(), model: answer["model"].clone(), ..Self::default() }
    }

    fn hear_openai(&mut self, chunk: &Value, tools: &mut BTreeMap<u64, (Value, Value, String)>) {
        if self.id.is_null() {
            *self = Self::begun(chunk);
        }
        if chunk["usage"].is_object() {
            self.usage = chunk["usage"].clone();
        }
        let choice = &chunk["choices"][0];
        self.text.push_str(choice["delta"]["content"].as_str().unwrap_or_default());
        if choice["finish_reason"].is_string() {
            self.stop = choice["finish_reason"].clone();
        }
        for part in choice["delta"]["tool_calls"].as_array().into_iter().flatten() {
            let (id, name, input) = tools.entry(part["index"].as_u64().unwrap()).or_default();
            if part["id"].is_string() {
                (*id, *name) = (part["id"].clone(), part["function"]["name"].clone());
            }
            input.push_str(part["function"]["arguments"].as_str().unwrap_or_default());
        }
    }

    fn hear_anthropic(&mut self, event: &Value, tools: &mut BTreeMap<u64, (Value, Value, String)>) {
        let index = event["index"].as_u64().unwrap_or_default();
        match event["type"].as_str().unwrap() {
            "message_start" => {
                *self = Self { usage: event["message"]["usage"].clone(), ..Self::begun(&event["message"]) }
            }
            "content_block_start" if event["content_block"]["type"] == "tool_use" => {
                let block = &event["content_block"];
                tools.insert(index, (block["id"].clone(), block["name"].clone(), String::new()));
            }
            "content_block_delta" => {
                self.text.push_str(event["delta"]["text"].as_str().unwrap_or_default());
                if let (Some((.., input)), Some(part)) =
                    (tools.get_mut(&index), event["delta"]["partial_json"].as_str())
                {
                    input.push_str(part);
                }
            }
            "message_delta" => {
                self.stop = event["delta"]["stop_reason"].clone();
                for (name, count) in event["usage"].as_object().into_iter().flatten() {
                    self.usage[name] = count.clone();
                }
            }
            "error" => self.error = event["error"].clone(),
            _ => {}
        }
    }
}

/// The events that have come whole.
fn events_in(text: &str) -> Vec<Value> {
    let text = text.replace("\r\n", "\n");
    let whole = text.rfind("\n\n").map_or("", |end| &text[..end]);
    let data =
        |event: &str| -> String { event.lines().filter_map(|line| line.strip_prefix("data: ")).collect() };
    whole.split("\n\n").filter_map(|event| serde_json::from_str(&data(event)).ok()).collect()
}

/// A tool's input; one that has not come whole is a text.
fn parsed(input: &str) -> Value {
    serde_json::from_str(input).unwrap_or_else(|_| json!(input))
}
