//! OpenAI's Chat Completions.

use serde_json::{Value, json};

use super::super::json::{Hand, Json, list, object, text};
use super::super::said::{Message, Part};
use super::{Ask, Reply, Style, System, pieces, said};

pub(super) fn request(ask: &Ask<'_>) -> Json {
    let mut messages = Vec::new();
    if let Some(system) = ask.system {
        let role = if ask.style.system == Some(System::Developer) { "developer" } else { "system" };
        let content = match ask.style.system {
            Some(System::Blocks) => list([block(system)]),
            _ => text(system),
        };
        messages.push(object([("role", text(role)), ("content", content)]));
    }
    for message in ask.messages {
        match &*message.role {
            "raw" => messages.extend(message.parts.iter().map(raw)),
            "assistant" => messages.push(assistant(message, ask.style)),
            _ => others(message, ask.style, &mut messages),
        }
    }
    let mut body = object([("model", text(ask.model)), ("messages", list(messages))]);
    if !ask.tools.is_empty() {
        let tool = |name: &String| {
            json!({"type": "function", "function": {"name": name, "parameters": {"type": "object"}}}).into()
        };
        body.set("tools", list(ask.tools.iter().map(tool)));
    }
    if ask.stream {
        body.set("stream", true);
    }
    body
}

fn raw(part: &Part) -> Json {
    match part {
        Part::Raw(value) => value.clone().into(),
        other => panic!("not raw: {other:?}"),
    }
}

fn block(said: &str) -> Json {
    object([("type", text("text")), ("text", text(said))])
}

fn assistant(message: &Message, style: Style) -> Json {
    let texts = said(&message.parts);
    let content = match texts.is_empty() {
        true => Json::NULL,
        false if style.blocks() => list([block(&texts)]),
        false => text(texts),
    };
    let mut written = object([("role", text("assistant")), ("content", content)]);
    let calls: Vec<Json> = message.parts.iter().filter_map(tool).map(Json::from).collect();
    if style.nulls() {
        for name in ["refusal", "annotations", "audio", "function_call"] {
            written.set(name, Json::NULL);
        }
    }
    if !calls.is_empty() {
        written.set("tool_calls", list(calls));
    } else if style.nulls() {
        written.set("tool_calls", Json::NULL);
    }
    written
}

fn tool(part: &Part) -> Option<Value> {
    let Part::Tool { id, name, input } = part else { return None };
    let arguments = Json::from(input.clone()).written(Hand::Js);
    Some(json!({"id": id, "type": "function", "function": {"name": name, "arguments": arguments}}))
}

/// Results of tools are messages of their own.
fn others(message: &Message, style: Style, messages: &mut Vec<Json>) {
    let mut blocks = Vec::new();
    let mut plain = !style.blocks() || message.role != "user";
    for part in &message.parts {
        match part {
            Part::Result { id, text: result } => messages.push(object([
                ("role", text("tool")),
                ("tool_call_id", text(id)),
                ("content", text(result)),
            ])),
            Part::Text(said) => blocks.push(block(said)),
            Part::Image(data) => {
                plain = false;
                let url = format!("data:image/png;base64,{data}");
                blocks.push(json!({"type": "image_url", "image_url": {"url": url}}).into());
            }
            Part::Raw(value) => {
                plain = false;
                blocks.push(value.clone().into());
            }
            Part::Thinking(_) | Part::Tool { .. } => panic!("a user does not say that: {part:?}"),
        }
    }
    if !blocks.is_empty() {
        let content = if plain && blocks.len() == 1 { text(said(&message.parts)) } else { list(blocks) };
        messages.push(object([("role", text(&*message.role)), ("content", content)]));
    }
}

pub(super) fn answer(reply: &Reply) -> Json {
    let choice = |(index, parts): (usize, &Vec<Part>)| {
        let (texts, calls) = (said(parts), parts.iter().filter_map(tool).collect::<Vec<_>>());
        let content = if texts.is_empty() { Value::Null } else { texts.into() };
        let mut message = json!({"role": "assistant", "content": content, "refusal": null});
        let stop = if calls.is_empty() { "stop" } else { "tool_calls" };
        if !calls.is_empty() {
            message["tool_calls"] = calls.into();
        }
        json!({"index": index, "message": message, "logprobs": null, "finish_reason": stop})
    };
    let choices: Vec<Value> = reply.choices.iter().enumerate().map(choice).collect();
    let id = format!("chatcmpl-{}", reply.id);
    json!({
        "id": id, "object": "chat.completion", "created": 1_760_000_000, "model": reply.model, "choices": choices,
        "usage": {"prompt_tokens": 20, "completion_tokens": 8, "total_tokens": 28},
    })
    .into()
}

pub(super) fn events(reply: &Reply, whole: bool) -> Vec<String> {
    let mut events = Vec::new();
    let mut say = |index: usize, delta: Value, stop: Value| {
        let chunk = json!({
            "id": format!("chatcmpl-{}", reply.id), "object": "chat.completion.chunk", "created": 1_760_000_000,
            "model": reply.model, "choices": [{"index": index, "delta": delta, "finish_reason": stop}],
        });
        events.push(format!("data: {chunk}\n\n"));
    };
    for (index, parts) in reply.choices.iter().enumerate() {
        say(index, json!({"role": "assistant", "content": ""}), Value::Null);
        for piece in pieces(&said(parts)) {
            say(index, json!({"content": piece}), Value::Null);
        }
        let calls: Vec<Value> = parts.iter().filter_map(tool).collect();
        for (number, call) in calls.iter().enumerate() {
            let mut begun = call.clone();
            begun["index"] = number.into();
            begun["function"]["arguments"] = "".into();
            say(index, json!({"tool_calls": [begun]}), Value::Null);
            for piece in pieces(call["function"]["arguments"].as_str().unwrap()) {
                let more = json!({"index": number, "function": {"arguments": piece}});
                say(index, json!({"tool_calls": [more]}), Value::Null);
            }
        }
        if whole {
            let stop = if calls.is_empty() { "stop" } else { "tool_calls" };
            say(index, json!({}), stop.into());
        }
    }
    if whole {
        events.push("data: [DONE]\n\n".into());
    }
    events
}
