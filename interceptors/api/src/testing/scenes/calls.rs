use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use serde_json::json;

use super::{ANSWER, CHAT, MESSAGES, MODEL, QUESTION, Respond, Scene, chat, post};
use crate::{Answer, Delta, LlmEvent, Part, Role, Said, Tool, ToolResult, ToolUse, Turn, Usage};

/// A Chat Completion at once.
pub fn whole() -> Scene {
    let message = json!({"role": "assistant", "content": ANSWER});
    let choice = json!({"index": 0, "message": message, "finish_reason": "stop"});
    let usage = json!({"prompt_tokens": 14, "completion_tokens": 7, "total_tokens": 21});
    chat("whole", false)
        .after(Duration::from_millis(400))
        .responds(200, &json!({"id": "chatcmpl-0", "model": MODEL, "choices": [choice], "usage": usage}))
        .answers(ANSWER, Usage::new(14, 7))
        .end()
}

/// A Chat Completion as a stream.
pub fn streamed() -> Scene {
    let finished = json!({"index": 0, "delta": {}, "finish_reason": "stop"});
    chat("streamed", true)
        .after(Duration::from_millis(300))
        .streams()
        .streams_text("The capital ")
        .streams_text("of France ")
        .streams_text("is Paris.")
        .event(&json!({"object": "chat.completion.chunk", "choices": [finished]}))
        .response_chunk("data: [DONE]\n\n")
        .answers(ANSWER, Usage::new(14, 7))
        .end()
}

/// A stream that comes byte by byte, through the middle of its letters.
pub fn torn_to_bytes() -> Scene {
    let text = "Zürich 🏔";
    let event = format!("data: {}\n\n", json!({"choices": [{"index": 0, "delta": {"content": text}}]}));
    let scene = chat("torn to bytes", true).streams();
    let scene = event.bytes().fold(scene, |scene, byte| scene.response_chunk(Bytes::from(vec![byte])));
    scene.says(text).answers(text, Usage::new(14, 4)).end()
}

/// A streamed Chat Completion that asks for two tools.
pub fn with_tools() -> Scene {
    let inputs = [r#"{"city":"Paris"}"#, r#"{"city":"Rome"}"#];
    let asked = "What is the weather in Paris and in Rome?";
    let body = json!({
        "model": MODEL,
        "stream": true,
        "messages": [{"role": "user", "content": asked}],
        "tools": [{"type": "function", "function": {"name": "weather", "description": "The weather of a city"}}],
    });
    let mut scene = post("with tools", CHAT, &body);
    let mut call = scene.next_call(MODEL, asked);
    let mut tool = Tool::new("weather");
    tool.description = Some("The weather of a city".into());
    call.tools = [tool].into();
    let id = call.id;
    scene = scene.llm(LlmEvent::Call(Arc::new(call))).streams();
    for (index, input) in inputs.into_iter().enumerate() {
        let tool_id = format!("call_{index}");
        let begin = json!({"index": index, "id": tool_id, "function": {"name": "weather", "arguments": ""}});
        scene = scene.event(&json!({"choices": [{"index": 0, "delta": {"tool_calls": [begin]}}]}));
        for piece in [&input[..8], &input[8..]] {
            let more = json!({"index": index, "function": {"arguments": piece}});
            scene = scene
                .event(&json!({"choices": [{"index": 0, "delta": {"tool_calls": [more]}}]}))
                .llm(LlmEvent::Delta(Delta::new(id, Said::ToolInput(piece.into()))));
        }
        scene = scene.uses(&tool_id, "weather", input);
    }
    scene.response_chunk("data: [DONE]\n\n").answers("", Usage::new(52, 38)).end()
}

/// The call after [`with_tools`]: the tools' results, one of them an error, and an image besides.
pub fn conversation() -> Scene {
    let body = json!({
        "model": MODEL,
        "messages": [
            {"role": "system", "content": "Be brief."},
            {"role": "assistant", "tool_calls": [{"id": "call_0", "function": {"name": "weather", "arguments": "{}"}}]},
            {"role": "tool", "tool_call_id": "call_0", "content": "sunny"},
            {"role": "tool", "tool_call_id": "call_1", "content": "no such city"},
            {"role": "user", "content": [{"type": "text", "text": "So?"}, {"type": "image_url", "image_url": {}}]},
        ],
    });
    let scene = post("conversation", CHAT, &body);
    let mut call = scene.next_call(MODEL, "So?");
    let mut asked = ToolUse::new(call.id, "weather", "{}");
    asked.id = Some("call_0".into());
    let mut failed = ToolResult::new(Some("call_1".into()), "no such city");
    failed.is_error = true;
    let sunny = ToolResult::new(Some("call_0".into()), "sunny");
    let image = Part::Media(crate::Media::new("image"));
    call.news = vec![
        Turn::new(Role::System, vec![Part::Text("Be brief.".into())]),
        Turn::new(Role::Assistant, vec![Part::ToolUse(Arc::new(asked))]),
        Turn::new(Role::Tool, vec![Part::ToolResult(sunny)]),
        Turn::new(Role::Tool, vec![Part::ToolResult(failed)]),
        Turn::new(Role::User, vec![Part::Text("So?".into()), image]),
    ];
    let choice = json!({"index": 0, "message": {"content": "Go to Paris."}, "finish_reason": "stop"});
    scene
        .llm(LlmEvent::Call(Arc::new(call)))
        .responds(200, &json!({"choices": [choice], "usage": {"prompt_tokens": 90, "completion_tokens": 5}}))
        .answers("Go to Paris.", Usage::new(90, 5))
        .end()
}

/// Anthropic's Messages: a model that thinks first, with a cache.
pub fn thinking() -> Scene {
    let model = "claude-sonnet-4-5";
    let body = json!({
        "model": model,
        "stream": true,
        "max_tokens": 1024,
        "thinking": {"type": "enabled", "budget_tokens": 512},
        "messages": [{"role": "user", "content": QUESTION}],
    });
    let scene = post("thinking", MESSAGES, &body).asks(model, QUESTION).streams();
    let mut completion = scene.completion(ANSWER, Some(Usage::new(2_060, 120)));
    let thought = "An easy one.";
    for answer in &mut completion.answers {
        answer.parts.insert(0, Part::Thinking(thought.into()));
        answer.stop = Some("end_turn".into());
    }
    if let Some(usage) = &mut completion.usage {
        usage.cache_read = Some(2_000);
        usage.cache_write = Some(46);
        usage.reasoning = Some(90);
    }
    let think = LlmEvent::Delta(Delta::new(completion.call, Said::Thinking(thought.into())));
    scene
        .event(&json!({"type": "message_start"}))
        .event(
            &json!({"type": "content_block_delta", "delta": {"type": "thinking_delta", "thinking": thought}}),
        )
        .llm(think)
        .event(&json!({"type": "content_block_delta", "delta": {"type": "text_delta", "text": ANSWER}}))
        .says(ANSWER)
        .event(&json!({"type": "message_stop"}))
        .llm(LlmEvent::Completion(Arc::new(completion)))
        .end()
}

/// The model refuses, and says so apart from text.
pub fn refused() -> Scene {
    let refusal = "I cannot help with that.";
    let scene = chat("refused", true).streams();
    let mut completion = scene.completion("", Some(Usage::new(14, 6)));
    for answer in &mut completion.answers {
        answer.parts = vec![Part::Refusal(refusal.into())];
    }
    let said = LlmEvent::Delta(Delta::new(completion.call, Said::Refusal(refusal.into())));
    scene
        .event(&json!({"choices": [{"index": 0, "delta": {"refusal": refusal}}]}))
        .llm(said)
        .llm(LlmEvent::Completion(Arc::new(completion)))
        .end()
}

/// Two answers to one call, in turns, the second begun first.
pub fn choices() -> Scene {
    let scene = chat("two choices", true).streams();
    let mut completion = scene.completion("Paris.", Some(Usage::new(14, 4)));
    let mut second = Answer::new(1);
    second.parts = vec![Part::Text("It is Paris.".into())];
    second.stop = Some("length".into());
    completion.answers.push(second);
    let mut scene = scene;
    for (choice, text) in [(1, "It is "), (0, "Paris"), (1, "Paris."), (0, ".")] {
        let mut delta = Delta::new(completion.call, Said::Text(text.into()));
        delta.choice = choice;
        scene = scene
            .event(&json!({"choices": [{"index": choice, "delta": {"content": text}}]}))
            .llm(LlmEvent::Delta(delta));
    }
    scene.llm(LlmEvent::Completion(Arc::new(completion))).end()
}

/// The model's answer is there before the request's body has ended.
pub fn early_answer() -> Scene {
    Scene::post(CHAT)
        .named("early answer")
        .request_chunk(r#"{"model":"gpt-4.1-mini","stream":true,"messages":["#)
        .streams()
        .request_chunk(r#"{"role":"user","content":"What is the capital of France?"}]}"#)
        .asks(MODEL, QUESTION)
        .streams_text(ANSWER)
        .request_end(crate::BodyEnd::COMPLETE)
        .answers(ANSWER, Usage::new(14, 7))
        .end()
}
