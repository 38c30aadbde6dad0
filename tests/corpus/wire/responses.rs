//! OpenAI's Responses.

use serde_json::{Value, json};

use super::super::json::{Hand, Json, list, object, text};
use super::super::said::{Message, Part};
use super::{Ask, Reply, Style, System, pieces};

pub(super) fn request(ask: &Ask<'_>) -> Json {
    let mut items = Vec::new();
    for (number, message) in ask.messages.iter().enumerate() {
        match &*message.role {
            "assistant" => {
                let answered = output(&format!("h{number}"), &message.parts);
                items.extend(answered.into_iter().filter_map(|item| echoed(item, ask.style)));
            }
            role => others(role, message, ask.style, &mut items),
        }
    }
    let mut body = object([("model", text(ask.model))]);
    match ask.system {
        Some(system) if ask.style.system == Some(System::Developer) => {
            let prompt = json!({"type": "message", "role": "developer", "content": [{"type": "input_text", "text": system}]});
            items.insert(0, prompt.into());
        }
        Some(system) => body.set("instructions", text(system)),
        None => {}
    }
    // A single text is often just that.
    match (ask.messages, &ask.previous) {
        ([Message { role, parts }], Some(_)) if role == "user" && matches!(**parts, [Part::Text(_)]) => {
            body.set("input", text(super::said(parts)));
        }
        _ => body.set("input", list(items)),
    }
    if !ask.tools.is_empty() {
        let tool = |name: &String| {
            json!({"type": "function", "name": name, "parameters": {"type": "object"}}).into()
        };
        body.set("tools", list(ask.tools.iter().map(tool)));
    }
    if let Some(previous) = &ask.previous {
        body.set("previous_response_id", text(previous));
    }
    if ask.stream {
        body.set("stream", true);
    }
    body
}

/// An item of an earlier answer, as the program sends it back.
fn echoed(mut item: Value, style: Style) -> Option<Json> {
    if item["type"] == "reasoning" {
        if style.forgets() {
            return None;
        }
        item["encrypted_content"] = "gAAAAABmb3JnZXR0aW5nIGlzIGh1bWFu".into();
    }
    if style.nameless() {
        let members = item.as_object_mut().unwrap();
        members.remove("id");
        members.remove("status");
    }
    Some(item.into())
}

fn others(role: &str, message: &Message, style: Style, items: &mut Vec<Json>) {
    let mut content = Vec::new();
    for part in &message.parts {
        match part {
            Part::Text(said) => content.push(object([("type", text("input_text")), ("text", text(said))])),
            Part::Image(data) => {
                let url = format!("data:image/png;base64,{data}");
                content.push(json!({"type": "input_image", "image_url": url}).into());
            }
            Part::Result { id, text: result } => items.push(object([
                ("type", text("function_call_output")),
                ("call_id", text(id)),
                ("output", text(result)),
            ])),
            Part::Raw(value) => items.push(value.clone().into()),
            Part::Thinking(_) | Part::Tool { .. } => panic!("a user does not say that: {part:?}"),
        }
    }
    let content = match &*message.parts {
        _ if content.is_empty() => return,
        [Part::Text(said)] if !style.blocks() => text(said),
        _ => list(content),
    };
    items.push(object([("role", text(role)), ("content", content)]));
}

/// The items of an answer.
fn output(id: &str, parts: &[Part]) -> Vec<Value> {
    let item = |(number, part): (usize, &Part)| match part {
        Part::Text(said) => json!({
            "type": "message", "id": format!("msg_{id}_{number}"), "status": "completed", "role": "assistant",
            "content": [{"type": "output_text", "text": said, "annotations": []}],
        }),
        Part::Thinking(thought) => json!({
            "type": "reasoning", "id": format!("rs_{id}_{number}"),
            "summary": [{"type": "summary_text", "text": thought}],
        }),
        Part::Tool { id: call, name, input } => json!({
            "type": "function_call", "id": format!("fc_{id}_{number}"), "call_id": call, "name": name,
            "arguments": Json::from(input.clone()).written(Hand::Js), "status": "completed",
        }),
        Part::Raw(value) => value.clone(),
        Part::Result { .. } | Part::Image(_) => panic!("a model does not say that: {part:?}"),
    };
    parts.iter().enumerate().map(item).collect()
}

pub(super) fn answer(reply: &Reply, completed: bool) -> Json {
    let parts = reply.choices.first().map(Vec::as_slice).unwrap_or_default();
    let output = if completed { output(&reply.id, parts) } else { Vec::new() };
    let usage = json!({"input_tokens": 30, "output_tokens": 12, "total_tokens": 42});
    json!({
        "id": format!("resp_{}", reply.id), "object": "response", "created_at": 1_760_000_000,
        "status": if completed { "completed" } else { "in_progress" }, "model": reply.model, "output": output,
        "usage": if completed { usage } else { Value::Null },
    })
    .into()
}

pub(super) fn events(reply: &Reply, whole: bool) -> Vec<String> {
    let mut events = Vec::new();
    let mut say = |kind: &str, mut event: Value| {
        event["type"] = kind.into();
        events.push(format!("event: {kind}\ndata: {event}\n\n"));
    };
    let response =
        |completed| serde_json::from_str::<Value>(&answer(reply, completed).written(Hand::Js)).unwrap();
    say("response.created", json!({"response": response(false)}));
    let parts = reply.choices.first().map(Vec::as_slice).unwrap_or_default();
    for (index, item) in output(&reply.id, parts).into_iter().enumerate() {
        let mut begun = item.clone();
        begun["status"] = "in_progress".into();
        match &parts[index] {
            Part::Text(said) => {
                begun["content"] = json!([]);
                say("response.output_item.added", json!({"output_index": index, "item": begun}));
                let part = json!({"type": "output_text", "text": "", "annotations": []});
                let at = json!({"output_index": index, "content_index": 0, "item_id": item["id"]});
                let with = |name: &str, value: Value| {
                    let mut event = at.clone();
                    event[name] = value;
                    event
                };
                say("response.content_part.added", with("part", part));
                for piece in pieces(said) {
                    say("response.output_text.delta", with("delta", piece.into()));
                }
                if !whole {
                    continue;
                }
                say("response.output_text.done", with("text", said.as_str().into()));
            }
            _ => say("response.output_item.added", json!({"output_index": index, "item": begun})),
        }
        say("response.output_item.done", json!({"output_index": index, "item": item}));
    }
    if whole {
        say("response.completed", json!({"response": response(true)}));
    }
    events
}
