//! Anthropic's Messages.

use serde_json::{Value, json};

use super::super::json::{Hand, Json, list, object, text};
use super::super::said::{Message, Part};
use super::{Ask, Reply, Style, System, pieces};

pub(super) fn request(ask: &Ask<'_>) -> Json {
    let mark = || Json::from(json!({"type": "ephemeral"}));
    let mut messages: Vec<Json> = ask.messages.iter().map(|message| written(message, ask.style)).collect();
    if ask.style.cache()
        && let Some(last) = messages.last_mut()
        && let Some(block) = last.last_of("content")
    {
        block.set("cache_control", mark());
    }
    let mut body = object([("model", text(ask.model)), ("max_tokens", 4096.into())]);
    if let Some(system) = ask.system {
        let blocks = ask.style.system == Some(System::Blocks);
        let prompt = object([("type", text("text")), ("text", text(system))]);
        body.set("system", if blocks { list([prompt.with("cache_control", mark())]) } else { text(system) });
    }
    body.set("messages", list(messages));
    if !ask.tools.is_empty() {
        let tool = |name: &String| json!({"name": name, "input_schema": {"type": "object"}}).into();
        body.set("tools", list(ask.tools.iter().map(tool)));
    }
    if ask.stream {
        body.set("stream", true);
    }
    body
}

fn written(message: &Message, style: Style) -> Json {
    if let [Part::Raw(value)] = &*message.parts
        && message.role == "raw"
    {
        return value.clone().into();
    }
    let blocks = style.blocks() || style.cache();
    let content = match &*message.parts {
        [Part::Text(said)] if !blocks => text(said),
        parts => list(parts.iter().filter_map(|part| block(part, style))),
    };
    object([("role", text(&*message.role)), ("content", content)])
}

fn block(part: &Part, style: Style) -> Option<Json> {
    Some(match part {
        Part::Text(said) => object([("type", text("text")), ("text", text(said))]),
        Part::Thinking(_) if style.forgets() => return None,
        Part::Thinking(thought) => object([
            ("type", text("thinking")),
            ("thinking", text(thought)),
            ("signature", text(signature(thought))),
        ]),
        Part::Tool { id, name, input } => object([
            ("type", text("tool_use")),
            ("id", text(id)),
            ("name", text(name)),
            ("input", input.clone().into()),
        ]),
        Part::Result { id, text: result } => {
            let content = match style.blocks() {
                true => list([object([("type", text("text")), ("text", text(result))])]),
                false => text(result),
            };
            object([("type", text("tool_result")), ("tool_use_id", text(id)), ("content", content)])
        }
        Part::Image(data) => json!({
            "type": "image", "source": {"type": "base64", "media_type": "image/png", "data": data},
        })
        .into(),
        Part::Raw(value) => value.clone().into(),
    })
}

fn signature(thought: &str) -> String {
    format!("EqQBCkYIBRgC{:08x}", thought.len() * 2_654_435_761)
}

fn stop(parts: &[Part]) -> &'static str {
    if parts.iter().any(|part| matches!(part, Part::Tool { .. })) { "tool_use" } else { "end_turn" }
}

pub(super) fn answer(reply: &Reply) -> Json {
    let parts = reply.choices.first().map(Vec::as_slice).unwrap_or_default();
    let content = parts.iter().filter_map(|part| block(part, Style::default()));
    object([
        ("id", text(format!("msg_{}", reply.id))),
        ("type", text("message")),
        ("role", text("assistant")),
        ("model", text(&*reply.model)),
        ("content", list(content)),
        ("stop_reason", text(stop(parts))),
        ("stop_sequence", Json::NULL),
        ("usage", json!({"input_tokens": 25, "output_tokens": 10}).into()),
    ])
}

pub(super) fn events(reply: &Reply, whole: bool) -> Vec<String> {
    let mut events = Vec::new();
    let mut say = |kind: &str, mut event: Value| {
        event["type"] = kind.into();
        events.push(format!("event: {kind}\ndata: {event}\n\n"));
    };
    let message = json!({
        "id": format!("msg_{}", reply.id), "type": "message", "role": "assistant", "model": reply.model, "content": [],
        "stop_reason": null, "stop_sequence": null, "usage": {"input_tokens": 25, "output_tokens": 1},
    });
    say("message_start", json!({"message": message}));
    let parts = reply.choices.first().map(Vec::as_slice).unwrap_or_default();
    for (index, part) in parts.iter().enumerate() {
        let last = !whole && index + 1 == parts.len();
        match part {
            Part::Text(said) => {
                say(
                    "content_block_start",
                    json!({"index": index, "content_block": {"type": "text", "text": ""}}),
                );
                for piece in pieces(said) {
                    say(
                        "content_block_delta",
                        json!({"index": index, "delta": {"type": "text_delta", "text": piece}}),
                    );
                }
            }
            Part::Thinking(thought) => {
                let block = json!({"type": "thinking", "thinking": "", "signature": ""});
                say("content_block_start", json!({"index": index, "content_block": block}));
                let thought_delta = json!({"type": "thinking_delta", "thinking": thought});
                say("content_block_delta", json!({"index": index, "delta": thought_delta}));
                let signed = json!({"type": "signature_delta", "signature": signature(thought)});
                say("content_block_delta", json!({"index": index, "delta": signed}));
            }
            Part::Tool { id, name, input } => {
                let block = json!({"type": "tool_use", "id": id, "name": name, "input": {}});
                say("content_block_start", json!({"index": index, "content_block": block}));
                let input = Json::from(input.clone()).written(Hand::Js);
                for piece in pieces(&input) {
                    let piece = json!({"type": "input_json_delta", "partial_json": piece});
                    say("content_block_delta", json!({"index": index, "delta": piece}));
                }
            }
            other => panic!("a model does not say that: {other:?}"),
        }
        if !last {
            say("content_block_stop", json!({"index": index}));
        }
    }
    if whole {
        let stop = json!({"stop_reason": stop(parts), "stop_sequence": null});
        say("message_delta", json!({"delta": stop, "usage": {"output_tokens": 10}}));
        say("message_stop", json!({}));
    }
    events
}
