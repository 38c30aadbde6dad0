//! Exchanges of which there is much to tell.

use std::sync::Arc;
use std::time::Duration;

use perimeter_interceptor::testing::Scene;
use perimeter_interceptor::{
    Agent, ApiFailure, Client, Cost, CostSource, Labels, LlmEvent, Operation, Part, Peer, Relation, Role,
    Session, Stall, Stream, ToolResult, ToolUse, Turn, Usage, Usd,
};
use serde_json::{Value, json};

const MODEL: &str = "gpt-4.1-mini";
const QUESTION: &str = "What is the weather in Paris and in Rome?";

fn text(role: Role, text: &str) -> Turn {
    Turn::new(role, vec![Part::Text(text.into())])
}

/// Asked for once, and in every history after it.
fn history() -> Vec<Value> {
    vec![json!({"role": "system", "content": "Be brief."}), json!({"role": "user", "content": QUESTION})]
}

fn tools() -> Value {
    json!([{"type": "function", "function": {"name": "weather", "parameters": {"type": "object"}}}])
}

/// Who asks.
fn made_by_opencode(session: &mut Session) {
    let mut agent = Agent::new("prompt-6a06167ecf87", "agent-6a06167ecf87");
    agent.name = Some("OpenCode".into());
    let mut client = Client::new("OpenCode");
    client.version = Some("1.18.31".into());
    (session.agent, session.client) = (agent.into(), Some(client.into()));
}

fn chat(session: &str, messages: &[Value]) -> Scene {
    let mut labels = Labels::default();
    labels.workflow = Some("forecast".into());
    labels.session = Some(session.into());
    let body =
        json!({"model": MODEL, "stream": true, "messages": messages, "tools": tools(), "temperature": 0.5});
    Scene::post("/v1/chat/completions").labels(labels).request(body.to_string())
}

/// The answer's body as it would have come at once.
fn body(content: Option<&str>, finish_reason: &str) -> bytes::Bytes {
    let message = json!({"role": "assistant", "content": content, "refusal": null});
    let choice = json!({"index": 0, "message": message, "finish_reason": finish_reason});
    json!({"id": "chatcmpl-1", "model": "gpt-4.1-mini-2025-04-14", "choices": [choice], "system_fingerprint": "fp_1"})
        .to_string()
        .into()
}

/// How an answer came for which both sides were waited for.
pub(crate) fn stream() -> Stream {
    let millis = Duration::from_millis;
    let mut stream = Stream::default();
    (stream.first_byte, stream.first_chunk) = (millis(34), Some(millis(35)));
    (stream.first_token, stream.last_token) = (Some(millis(35)), Some(millis(305)));
    (stream.last, stream.chunks, stream.bytes) = (millis(306), 13, 4_096);
    for gap in (0..10).map(|_| 7).chain([80, 120]) {
        stream.gaps.add(millis(gap));
    }
    stream.stall(Stall::new(millis(60), millis(80), Peer::Upstream));
    stream.stall(Stall::new(millis(160), millis(120), Peer::Client));
    stream
}

/// A streamed call that asks for two tools.
pub(crate) fn ask_for_the_weather(session: &str) -> Scene {
    let scene = chat(session, &history());
    let mut call = scene.next_call(MODEL, QUESTION);
    call.news = vec![text(Role::System, "Be brief."), text(Role::User, QUESTION)];
    let scene = scene
        .llm(LlmEvent::Call(Arc::new(call)))
        .session(made_by_opencode)
        .after(Duration::from_millis(30))
        .response(200)
        .says("Let me look.")
        .uses("call_paris", "weather", r#"{"city":"Paris"}"#)
        .uses("call_rome", "weather", r#"{"city": "Rome", "days": 1.0}"#)
        .after(Duration::from_millis(270));
    let mut completion = scene.completion("Let me look.", Some(Usage::new(120, 40)));
    completion.id = Some("chatcmpl-1".into());
    completion.model = Some("gpt-4.1-mini-2025-04-14".into());
    completion.tier = Some("default".into());
    completion.body = body(Some("Let me look."), "tool_calls");
    if let Some(usage) = &mut completion.usage {
        (usage.cache_read, usage.cache_write, usage.cache_write_1h) = (Some(64), Some(32), Some(8));
        (usage.reasoning, usage.searches) = (Some(12), Some(1));
        (usage.audio_input, usage.image_input) = (Some(1), Some(2));
        usage.audio_cache_read = Some(1);
        (usage.audio_output, usage.image_output) = (Some(3), Some(4));
    }
    let prices = CostSource::Prices { model: MODEL.into(), tier: "standard", as_of: "2026-11-01".into() };
    let mut cost = Cost::new(prices);
    (cost.input, cost.output, cost.total) = (Usd(22_400_000), Usd(64_000_000), Usd(86_400_000));
    completion.cost = Some(Arc::new(cost));
    completion.stream = Some(Arc::new(stream()));
    scene.llm(LlmEvent::Completion(Arc::new(completion))).end()
}

/// The call after it: the whole history again, and what the tools said.
pub(crate) fn bring_the_weather(session: &str) -> Scene {
    let mut messages = history();
    messages.extend([
        json!({"role": "assistant", "content": "Let me look.", "tool_calls": []}),
        json!({"role": "tool", "tool_call_id": "call_paris", "content": "sunny"}),
        json!({"role": "tool", "tool_call_id": "call_rome", "content": "no such city"}),
    ]);
    let scene = chat(session, &messages);
    let mut call = scene.next_call(MODEL, QUESTION);
    let mut failed = ToolResult::new(Some("call_rome".into()), "no such city");
    failed.is_error = true;
    let sunny = ToolResult::new(Some("call_paris".into()), "sunny");
    call.news = vec![
        text(Role::System, "Be brief."),
        text(Role::User, QUESTION),
        text(Role::Assistant, "Let me look."),
        Turn::new(Role::Tool, vec![Part::ToolResult(sunny)]),
        Turn::new(Role::Tool, vec![Part::ToolResult(failed)]),
    ];
    let scene = scene.llm(LlmEvent::Call(Arc::new(call))).session(|session| {
        made_by_opencode(session);
        (session.call, session.is_new) = (2, false);
        (session.relation, session.parent) = (Relation::Turn, Some(1));
    });
    let scene = scene.response(200).says("Sunny in Paris.");
    let mut completion = scene.completion("Sunny in Paris.", Some(Usage::new(180, 6)));
    completion.body = body(Some("Sunny in Paris."), "stop");
    scene.llm(LlmEvent::Completion(Arc::new(completion))).end()
}

/// A search that the provider runs within its answer, and that fails.
pub(crate) fn hosted_search(session: &str) -> Scene {
    let body = json!({"model": "claude-sonnet-4-5", "messages": [{"role": "user", "content": "News?"}]});
    let scene = Scene::post("/v1/messages")
        .in_session(session)
        .request(body.to_string())
        .asks("claude-sonnet-4-5", "News?")
        .response(200);
    let mut completion = scene.completion("I could not find any.", Some(Usage::new(30, 9)));
    let mut tool = ToolUse::new(completion.call, "web_search", r#"{"query":"news"}"#);
    (tool.id, tool.hosted) = (Some("srvtoolu_1".into()), true);
    let mut result = ToolResult::new(tool.id.clone(), "max_uses_exceeded");
    result.is_error = true;
    let tool = Arc::new(tool);
    for answer in &mut completion.answers {
        answer.parts.splice(0..0, [Part::ToolUse(Arc::clone(&tool)), Part::ToolResult(result.clone())]);
        answer.stop = Some("end_turn".into());
    }
    let content = json!([{"type": "text", "text": "I could not find any."}]);
    completion.body = json!({"content": content, "stop_reason": "stop_sequence", "stop_sequence": "END"})
        .to_string()
        .into();
    scene.llm(LlmEvent::ToolUse(tool)).llm(LlmEvent::Completion(Arc::new(completion))).end()
}

/// An answer that breaks off with an error, when almost all had been said.
pub(crate) fn overloaded(session: &str) -> Scene {
    let scene = chat(session, &history()).asks(MODEL, QUESTION).session(made_by_opencode);
    let scene = scene.response(200).says("Let me look.");
    let mut said = scene.completion("Let me look.", Some(Usage::new(120, 4)));
    said.body =
        json!({"choices": [{"index": 0, "message": {"role": "assistant", "content": "Let me look."}}]})
            .to_string()
            .into();
    for answer in &mut said.answers {
        answer.stop = None;
    }
    let mut failure = ApiFailure::new(said.call, 200, "Overloaded, try again later.");
    failure.kind = Some("overloaded_error".into());
    scene.llm(LlmEvent::Cut(Arc::new(said))).llm(LlmEvent::Failure(Arc::new(failure))).end()
}

/// An answer that was made in the background, fetched for the second time.
pub(crate) fn fetched_again(session: &str) -> Scene {
    let scene = Scene::get("/v1/responses/resp_1").in_session(session);
    let mut call = scene.next_call(MODEL, "");
    (call.operation, call.dialect, call.news) = (Operation::Retrieval, "openai_responses", Vec::new());
    let scene = scene.llm(LlmEvent::Call(Arc::new(call))).response(200);
    let mut completion = scene.completion("Done.", Some(Usage::new(9, 2)));
    completion.repeated = true;
    completion.body = json!({"id": "resp_1", "output": [{"type": "message"}]}).to_string().into();
    scene.llm(LlmEvent::Completion(Arc::new(completion))).end()
}

/// A refusal that the provider tells apart from text.
pub(crate) fn refused(session: &str) -> Scene {
    let scene = chat(session, &history()).asks(MODEL, QUESTION).response(200);
    let mut completion = scene.completion("", None);
    let message = json!({"role": "assistant", "content": null, "refusal": "I cannot help with that."});
    let choice = json!({"index": 0, "message": message, "finish_reason": "stop"});
    completion.body = json!({"choices": [choice]}).to_string().into();
    scene.llm(LlmEvent::Completion(Arc::new(completion))).end()
}

/// Vectors, which nobody wants in a record.
pub(crate) fn embeddings() -> Scene {
    let body = json!({"model": "text-embedding-3-small", "input": ["one", "two"]});
    let scene = Scene::post("/v1/embeddings").request(body.to_string());
    let mut call = scene.next_call("text-embedding-3-small", "one");
    call.operation = Operation::Embeddings;
    call.dialect = "openai_embeddings";
    let scene = scene.llm(LlmEvent::Call(Arc::new(call))).response(200);
    let mut completion = scene.completion("", Some(Usage::new(2, 0)));
    (completion.id, completion.answers) = (None, Vec::new());
    completion.body = json!({"object": "list", "data": [{"embedding": [0.25, -0.5]}]}).to_string().into();
    scene.llm(LlmEvent::Completion(Arc::new(completion))).end()
}
