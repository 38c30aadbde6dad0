//! Exchanges of which there is much to tell.

use std::sync::Arc;
use std::time::Duration;

use perimeter_interceptor::testing::Scene;
use perimeter_interceptor::{
    Agent, Client, Completion, Cost, CostSource, LlmEvent, Part, Peer, Relation, Role, Session, Stall,
    Stream, ToolResult, Turn, Usage, Usd,
};
use serde_json::json;

pub(crate) const MODEL: &str = "claude-sonnet-5";
/// The prompt of a sub-agent, which the tool that asks for it holds.
pub(crate) const ERRAND: &str = "Find out where the tests are.";
pub(crate) const OTHER_ERRAND: &str = "Find out where the docs are.";

pub(crate) fn said(text: &str) -> Turn {
    Turn::new(Role::User, vec![Part::Text(text.into())])
}

pub(crate) fn result(id: &str, text: &str) -> Turn {
    Turn::new(Role::User, vec![Part::ToolResult(ToolResult::new(Some(id.into()), text))])
}

pub(crate) fn failed(id: &str, text: &str) -> Turn {
    let mut result = ToolResult::new(Some(id.into()), text);
    result.is_error = true;
    Turn::new(Role::User, vec![Part::ToolResult(result)])
}

/// A session that Claude Code names, at this call.
pub(crate) fn at(call: u32) -> Session {
    let mut session = Session::new("11111111-2222-4333-8444-555555555555");
    (session.told, session.is_new, session.call) = (true, call == 1, call);
    if call > 1 {
        (session.relation, session.parent) = (Relation::Turn, Some(call - 1));
    }
    let mut agent = Agent::new("prompt-6a06167ecf87", "agent-6a06167ecf87");
    agent.name = Some("Claude Code".into());
    let mut client = Client::new("Claude Code");
    client.version = Some("2.0.14".into());
    (session.agent, session.client) = (agent.into(), Some(client.into()));
    session
}

/// The same, as it follows that call in this way.
pub(crate) fn after(call: u32, parent: u32, relation: Relation, thread: u32) -> Session {
    let mut session = at(call);
    (session.parent, session.relation, session.thread) = (Some(parent), relation, thread);
    session
}

/// A streamed call in this place that says this.
pub(crate) fn asks(place: Session, news: Vec<Turn>) -> Scene {
    let body = json!({"model": MODEL, "stream": true, "max_tokens": 512, "messages": []});
    call_of(Scene::post("/v1/messages"), place, news, &body.to_string())
}

/// The same, behind headers.
pub(crate) fn call_of(scene: Scene, place: Session, news: Vec<Turn>, body: &str) -> Scene {
    let scene = scene.request(body.to_owned());
    let mut call = scene.next_call(MODEL, "");
    call.session = Arc::new(place);
    call.vendor = "anthropic";
    call.news = news;
    scene.llm(LlmEvent::Call(Arc::new(call))).after(Duration::from_millis(200)).response(200)
}

/// How an answer came: its first part after 200 ms, its last after 900.
pub(crate) fn stream() -> Stream {
    let millis = Duration::from_millis;
    let mut stream = Stream::default();
    stream.first_byte = millis(202);
    stream.first_chunk = Some(millis(210));
    stream.first_token = Some(millis(250));
    (stream.last_token, stream.last) = (Some(millis(850)), millis(900));
    (stream.chunks, stream.bytes) = (4, 4_096);
    for gap in [40, 10, 640] {
        stream.gaps.add(millis(gap));
    }
    stream.stall(Stall::new(millis(260), millis(400), Peer::Upstream));
    stream.stall(Stall::new(millis(700), millis(100), Peer::Client));
    stream
}

/// What an answer comes to besides what it says.
pub(crate) fn with_everything(mut completion: Completion) -> Completion {
    completion.id = Some("msg_01".into());
    completion.model = Some("claude-sonnet-5-20260901".into());
    completion.tier = Some("standard".into());
    completion.stream = Some(stream().into());
    let source = CostSource::Prices { model: MODEL.into(), tier: "standard", as_of: "2026-11-01".into() };
    let mut cost = Cost::new(source);
    cost.total = Usd(1_230_000_000);
    completion.cost = Some(cost.into());
    let mut usage = Usage::new(1_200, 61);
    (usage.cache_read, usage.cache_write, usage.reasoning) = (Some(1_000), Some(100), Some(7));
    completion.usage = Some(usage);
    for answer in &mut completion.answers {
        let stop = if answer.parts.iter().any(|part| matches!(part, Part::ToolUse(_))) {
            "tool_use"
        } else {
            "end_turn"
        };
        answer.stop = Some(stop.into());
    }
    completion
}

pub(crate) trait Answers {
    /// A whole answer, after 900 ms.
    fn answers_well(self, text: &str) -> Self;
}

impl Answers for Scene {
    fn answers_well(self, text: &str) -> Self {
        let scene = self.after(Duration::from_millis(700));
        let completion = with_everything(scene.completion(text, None));
        scene.llm(LlmEvent::Completion(Arc::new(completion))).end()
    }
}
