//! Google's Gemini.

use serde_json::{Value, json};

use super::super::json::{Json, list, object, text};
use super::super::said::{Message, Part};
use super::{Ask, Reply, pieces};

pub(super) fn request(ask: &Ask<'_>) -> Json {
    let mut body = object([("contents", list(ask.messages.iter().map(content)))]);
    if let Some(system) = ask.system {
        body.set("systemInstruction", json!({"role": "user", "parts": [{"text": system}]}));
    }
    if !ask.tools.is_empty() {
        let tool = |name: &String| json!({"name": name, "parameters": {"type": "OBJECT"}});
        let tools: Vec<Value> = ask.tools.iter().map(tool).collect();
        body.set("tools", json!([{"functionDeclarations": tools}]));
    }
    body.set("generationConfig", json!({"temperature": 0, "topP": 1}));
    body
}

fn content(message: &Message) -> Json {
    let role = if message.role == "assistant" { "model" } else { "user" };
    object([("role", text(role)), ("parts", list(message.parts.iter().map(|part| written(part).into())))])
}

fn written(part: &Part) -> Value {
    match part {
        Part::Text(said) => json!({"text": said}),
        Part::Thinking(thought) => json!({"text": thought, "thought": true}),
        Part::Tool { name, input, .. } => json!({"functionCall": {"name": name, "args": input}}),
        Part::Result { id, text } => json!({"functionResponse": {"name": id, "response": {"output": text}}}),
        Part::Image(data) => json!({"inlineData": {"mimeType": "image/png", "data": data}}),
        Part::Raw(value) => value.clone(),
    }
}

fn response(reply: &Reply, parts: &[Value], stop: Option<&str>) -> Value {
    let mut candidate = json!({"content": {"role": "model", "parts": parts}, "index": 0});
    if let Some(stop) = stop {
        candidate["finishReason"] = stop.into();
    }
    json!({
        "candidates": [candidate], "modelVersion": reply.model, "responseId": reply.id,
        "usageMetadata": {"promptTokenCount": 22, "candidatesTokenCount": 7, "totalTokenCount": 29},
    })
}

pub(super) fn answer(reply: &Reply) -> Json {
    let parts: Vec<Value> = reply.choices.first().into_iter().flatten().map(written).collect();
    response(reply, &parts, Some("STOP")).into()
}

pub(super) fn events(reply: &Reply, whole: bool) -> Vec<String> {
    let mut chunks: Vec<Value> = Vec::new();
    for part in reply.choices.first().into_iter().flatten() {
        match part {
            Part::Text(said) => chunks.extend(pieces(said).iter().map(|piece| json!({"text": piece}))),
            part => chunks.push(written(part)),
        }
    }
    let last = chunks.len().saturating_sub(1);
    let event = |(number, part): (usize, &Value)| {
        let stop = (whole && number == last).then_some("STOP");
        format!("data: {}\r\n\r\n", response(reply, std::slice::from_ref(part), stop))
    };
    chunks.iter().enumerate().map(event).collect()
}
