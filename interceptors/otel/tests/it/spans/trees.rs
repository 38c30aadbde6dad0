//! The trace of a session: agents, their calls, their tools.

use std::sync::Arc;
use std::time::Duration;

use perimeter_interceptor::testing::{Scene, Script};
use perimeter_interceptor::{LlmEvent, Operation, Peer, Relation, ToolUse, Usage};

use super::exchanges::{
    Answers, ERRAND, OTHER_ERRAND, after, asks, at, failed, result, said, with_everything,
};
use super::show::{self, hex};
use super::{attribute, ended, named, spans_of, spans_with};

fn task(prompt: &str) -> String {
    serde_json::json!({"description": "Look", "prompt": prompt, "subagent_type": "Explore"}).to_string()
}

/// Two tools at once, one of which fails.
fn with_tools() -> Script {
    let first = asks(at(1), vec![said("List the files.")])
        .uses("toolu_1", "Bash", r#"{"command":"ls"}"#)
        .uses("toolu_2", "Read", r#"{"path":"/x"}"#);
    let results = vec![result("toolu_1", "Cargo.toml"), failed("toolu_2", "no such file")];
    Script::new().scene(first.answers_well("")).scene(asks(at(2), results).answers_well("One file."))
}

#[test]
fn a_session_with_tools_is_one_trace() {
    let spans = spans_of(ended(with_tools(), 2));
    insta::assert_snapshot!(show::tree(&spans));
    let trace = format!("{:x}", md5_of("11111111-2222-4333-8444-555555555555"));
    assert!(spans.iter().all(|span| hex(&span.trace_id) == trace), "events have the same");
    assert!(spans.iter().all(|span| span.flags == 0x101), "sampled, and no parent is remote");
}

fn md5_of(text: &str) -> md5::Digest {
    md5::compute(text)
}

#[test]
fn the_same_exchanges_told_twice_have_the_same_ids() {
    let ids = |script: Script| -> Vec<_> {
        spans_of(script).into_iter().map(|span| (span.trace_id, span.span_id, span.parent_span_id)).collect()
    };
    let told = ids(ended(with_tools(), 2));
    assert_eq!(told, ids(ended(with_tools(), 2)));
    let mut spans: Vec<_> = told.iter().map(|(_, span, _)| span).collect();
    spans.sort_unstable();
    spans.dedup();
    assert_eq!(spans.len(), 5);
}

#[test]
fn each_span_is_told_as_soon_as_it_is_over() {
    let names = |script: Script| -> Vec<_> {
        // A session that is not over ends with the proxy.
        spans_of(script).into_iter().map(|span| span.name).collect()
    };
    assert_eq!(
        names(ended(with_tools(), 2)),
        [
            "chat claude-sonnet-5",
            "execute_tool Read",
            "execute_tool Bash",
            "chat claude-sonnet-5",
            "invoke_agent Claude Code",
        ]
    );
    assert_eq!(names(with_tools()).last().unwrap(), "invoke_agent Claude Code");
}

/// The main agent asks for a tool and two sub-agents, which are at work together; one of them has a tool of its own.
fn with_sub_agents() -> Script {
    let first = asks(at(1), vec![said("Where are tests and docs?")])
        .uses("toolu_1", "Task", &task(ERRAND))
        .uses("toolu_2", "Task", &task(OTHER_ERRAND))
        .uses("toolu_3", "Bash", r#"{"command":"ls"}"#)
        .answers_well("");
    // The second one begins first.
    let docs = asks(after(2, 1, Relation::SubAgent, 1), vec![said("Context."), said(OTHER_ERRAND)]);
    let tests = asks(after(3, 1, Relation::SubAgent, 2), vec![said(ERRAND)]);
    let tests = tests.uses("toolu_4", "Grep", r#"{"pattern":"test"}"#);
    let found = asks(after(4, 3, Relation::Turn, 2), vec![result("toolu_4", "tests/it")]);
    let results = vec![result("toolu_1", "In tests."), result("toolu_2", "In docs."), result("toolu_3", "x")];
    Script::new()
        .scene(first)
        .together([docs.answers_well("In docs."), tests.answers_well("")])
        .scene(found.answers_well("In tests."))
        .scene(asks(after(5, 1, Relation::Turn, 0), results).answers_well("Both found."))
}

#[test]
fn sub_agents_are_nested_under_the_tools_that_asked_for_them() {
    let spans = spans_of(ended(with_sub_agents(), 5));
    insta::assert_snapshot!(show::outline(&spans));
    let agents: Vec<_> = spans.iter().filter(|span| span.name.starts_with("invoke_agent")).collect();
    assert_eq!(agents.len(), 3);
    let main = agents.iter().find(|agent| agent.parent_span_id.is_empty()).unwrap();
    for agent in agents.iter().filter(|agent| agent.span_id != main.span_id) {
        assert_eq!(agent.name, "invoke_agent Explore", "as the tool has it");
        let calls = spans.iter().filter(|span| span.parent_span_id == agent.span_id);
        assert!(calls.clone().count() > 0);
        assert!(calls.clone().all(|call| attribute(call, "gen_ai.agent.name") == "\"Explore\""));
        let above = spans.iter().find(|span| span.span_id == agent.parent_span_id).unwrap();
        assert_eq!(above.name, "execute_tool Task");
        assert_eq!(above.parent_span_id, main.span_id);
        assert!(above.start_time_unix_nano <= agent.start_time_unix_nano);
        assert!(above.end_time_unix_nano >= agent.end_time_unix_nano);
    }
    let grep = named(&spans, "execute_tool Grep");
    assert!(agents.iter().any(|agent| agent.span_id == grep.parent_span_id && agent.span_id != main.span_id));
    // They are told when their results come, and not when the session ends.
    let order = |name: &str| spans.iter().rposition(|span| span.name == name).unwrap();
    let sub_agents: Vec<_> =
        (0..spans.len()).filter(|at| spans[*at].name.starts_with("invoke_agent")).collect();
    assert!(sub_agents[..2].iter().all(|at| *at < order("chat claude-sonnet-5")), "{sub_agents:?}");
}

#[test]
fn a_sub_agent_of_an_unknown_tool_is_under_the_agent_that_asked() {
    let first = asks(at(1), vec![said("Look.")]).uses("toolu_1", "Bash", r#"{"command":"a"}"#).uses(
        "toolu_2",
        "Bash",
        r#"{"command":"b"}"#,
    );
    let inner = asks(after(2, 1, Relation::SubAgent, 1), vec![said("Something else.")]);
    let script = Script::new().scene(first.answers_well("")).scene(inner.answers_well("Done."));
    let spans = spans_of(ended(script, 2));
    let agents: Vec<_> = spans.iter().filter(|span| span.name == "invoke_agent Claude Code").collect();
    let main = agents.iter().find(|agent| agent.parent_span_id.is_empty()).unwrap();
    assert!(agents.iter().any(|agent| agent.parent_span_id == main.span_id));
}

#[test]
fn calls_beside_a_conversation_are_under_its_agent() {
    let mut title = after(2, 1, Relation::Side, 1);
    title.side = Some("title");
    let mut models = Scene::get("/v1/models").next_call("", "");
    (models.operation, models.model) = (Operation::Models, None);
    models.session = Arc::new(after(3, 1, Relation::Side, 2));
    let listed = Scene::get("/v1/models").llm(LlmEvent::Call(Arc::new(models))).response(200);
    let script = Script::new()
        .scene(asks(at(1), vec![said("Hello")]).answers_well("Hi"))
        .scene(asks(title, vec![said("A title, please.")]).answers_well("Greeting"))
        .scene(listed.answers("", Usage::new(0, 0)));
    let spans = spans_of(ended(script, 3));
    insta::assert_snapshot!(show::outline(&spans));
    assert_eq!(spans.iter().filter(|span| span.name.starts_with("invoke_agent")).count(), 1);
    let main = named(&spans, "invoke_agent Claude Code");
    let calls = spans.iter().filter(|span| span.span_id != main.span_id);
    assert!(calls.clone().count() == 3 && calls.clone().all(|call| call.parent_span_id == main.span_id));
    assert_eq!(attribute(named(&spans, "models"), "perimeter.session.relation"), "\"side\"");
    assert_eq!(attribute(main, "perimeter.agent.calls"), "1");
}

#[test]
fn a_call_that_is_no_conversation_has_no_agent() {
    let scene = Scene::post("/v1/embeddings").request("{}");
    let mut call = scene.next_call("text-embedding-3-small", "");
    (call.operation, call.dialect) = (Operation::Embeddings, "openai_other");
    let scene = scene.llm(LlmEvent::Call(Arc::new(call))).response(200).answers("", Usage::new(8, 0));
    let spans = spans_of(scene);
    assert_eq!(spans.len(), 1);
    assert_eq!((&*spans[0].name, spans[0].parent_span_id.len()), ("embeddings text-embedding-3-small", 0));
    assert_eq!(attribute(&spans[0], "gen_ai.operation.name"), "\"embeddings\"");
    assert_eq!(attribute(&spans[0], "gen_ai.conversation.id"), "", "no id was told");
    assert_eq!(attribute(&spans[0], "session.id"), "\"POST /v1/embeddings\"");
}

#[test]
fn a_session_that_goes_on_after_its_end_has_a_further_agent_in_the_same_trace() {
    let call = |number| asks(at(number), vec![said("Hello")]).answers_well("Hi");
    let script = ended(ended(Script::new().scene(call(1)), 1).scene(call(2)).scene(call(3)), 3);
    let spans = spans_of(script);
    let agents: Vec<_> = spans.iter().filter(|span| span.name == "invoke_agent Claude Code").collect();
    assert_eq!((spans.len(), agents.len()), (5, 2));
    assert_ne!(agents[0].span_id, agents[1].span_id);
    assert!(spans.iter().all(|span| span.trace_id == agents[0].trace_id));
    let of = |agent: &opentelemetry_proto::tonic::trace::v1::Span| {
        spans.iter().filter(|span| span.parent_span_id == agent.span_id).count()
    };
    assert_eq!((of(agents[0]), of(agents[1])), (1, 2));
    assert!(agents[0].end_time_unix_nano < agents[1].start_time_unix_nano);
}

#[test]
fn a_session_that_was_not_seen_beginning_has_another_agent_than_one_that_was() {
    let spans = |number| spans_of(Script::new().scene(asks(at(number), vec![]).answers_well("Hi")));
    let ids = [1, 2].map(|number| named(&spans(number), "invoke_agent Claude Code").span_id.clone());
    assert_ne!(ids[0], ids[1]);
    let session = format!("{:x}", md5_of("session 11111111-2222-4333-8444-555555555555"));
    assert_eq!(hex(&ids[0]), session[..16], "that of the session's events");
}

#[test]
fn a_tool_that_never_answers_is_told_as_such_when_the_session_ends() {
    let first = asks(at(1), vec![said("Run it.")]).uses("toolu_1", "Bash", r#"{"command":"sleep 9"}"#);
    let spans = spans_of(ended(Script::new().scene(first.answers_well("")), 1));
    let tool = named(&spans, "execute_tool Bash");
    assert_eq!(attribute(tool, "perimeter.tool.unanswered"), "true");
    assert_eq!(tool.start_time_unix_nano, tool.end_time_unix_nano, "nobody knows how long it took");
}

#[test]
fn a_tool_that_the_provider_runs_has_no_span() {
    let scene = asks(at(1), vec![said("Search.")]);
    let mut tool = ToolUse::new(perimeter_interceptor::CallId(0), "web_search", "{}");
    tool.hosted = true;
    let mut completion = with_everything(scene.completion("Found.", None));
    completion.answers[0].parts.push(perimeter_interceptor::Part::ToolUse(tool.into()));
    let scene = scene.llm(LlmEvent::Completion(Arc::new(completion)));
    assert_eq!(spans_of(ended(Script::new().scene(scene), 1)).len(), 2);
}

#[test]
fn tools_without_ids_are_told_by_their_names() {
    let scene = asks(at(1), vec![said("Weather?")]);
    let mut completion = with_everything(scene.completion("", None));
    for city in ["Paris", "Rome"] {
        let input = serde_json::json!({"city": city}).to_string();
        let tool = ToolUse::new(perimeter_interceptor::CallId(0), "weather", input);
        completion.answers[0].parts.push(perimeter_interceptor::Part::ToolUse(tool.into()));
    }
    let first = scene.llm(LlmEvent::Completion(Arc::new(completion)));
    let second = asks(at(2), vec![result("weather", "sunny"), failed("weather", "no such city")]);
    let spans = spans_of(ended(Script::new().scene(first).scene(second.answers_well("")), 2));
    let tools: Vec<_> = spans.iter().filter(|span| span.name == "execute_tool weather").collect();
    let failed = |tool: &&opentelemetry_proto::tonic::trace::v1::Span| attribute(tool, "error.type");
    assert_eq!(tools.iter().map(failed).collect::<Vec<_>>(), ["\"tool_error\"", ""], "Rome, then Paris");
    assert!(tools.iter().all(|tool| attribute(tool, "gen_ai.tool.call.id").is_empty()));
}

#[test]
fn a_socket_carries_many_calls_and_each_is_told_when_it_has_its_answer() {
    let scene = Scene::get("/v1/realtime").response(101).upgrade("websocket");
    let place = |mut call: perimeter_interceptor::Call, number| {
        (call.dialect, call.streaming) = ("openai_realtime", true);
        call.session = Arc::new(at(number));
        LlmEvent::Call(Arc::new(call))
    };
    let call = scene.next_call("gpt-realtime", "Hello");
    let scene = scene
        .upgraded_chunk(Peer::Client, "{}")
        .llm(place(call, 1))
        .after(Duration::from_millis(50))
        .uses("call_1", "weather", "{}")
        .answers("", Usage::new(3, 1))
        .after(Duration::from_secs(5));
    let mut call = scene.next_call("gpt-realtime", "Bye");
    call.news = vec![result("call_1", "sunny")];
    let scene = scene.llm(place(call, 2)).after(Duration::from_millis(20)).says("B").cut("B");
    let spans = spans_of(ended(Script::new().scene(scene.aborted()), 2));
    insta::assert_snapshot!(show::tree(&spans));
    assert_eq!(spans[0].name, "chat gpt-realtime");
    assert_eq!(attribute(&spans[0], "http.response.status_code"), "");
}

#[test]
fn calls_of_a_socket_that_nobody_answers_are_told_and_not_gathered() {
    let scene = Scene::get("/v1/realtime").response(101).upgrade("websocket");
    let scene = (1..=1100).fold(scene, |scene, number| {
        let mut call = scene.next_call("gpt-realtime", "Hello");
        (call.dialect, call.session) = ("openai_realtime", Arc::new(at(number)));
        scene.llm(LlmEvent::Call(Arc::new(call)))
    });
    let spans = spans_of(scene.upgraded_chunk(Peer::Client, "{}"));
    let calls: Vec<_> = spans.iter().filter(|span| span.name == "chat gpt-realtime").collect();
    assert_eq!(calls.len(), 1100);
    let number = |span| attribute(span, "perimeter.session.call").parse::<u32>().unwrap();
    assert!(calls.windows(2).all(|pair| number(pair[0]) + 1 == number(pair[1])));
}

#[test]
fn an_answer_that_broke_off_has_tools_only_if_they_answer() {
    let cut = |number| {
        let scene = asks(at(number), vec![said("Run it.")]).uses("toolu_1", "Bash", r#"{"command":"ls"}"#);
        scene.cut("").aborted()
    };
    let spans = spans_of(ended(Script::new().scene(cut(1)), 1));
    assert!(spans.iter().all(|span| !span.name.starts_with("execute_tool")));
    assert_eq!(attribute(named(&spans, "invoke_agent Claude Code"), "error.type"), "\"client_cancelled\"");
    let next = asks(at(2), vec![result("toolu_1", "x")]).answers_well("Done.");
    let spans = spans_of(ended(Script::new().scene(cut(1)).scene(next), 2));
    assert_eq!(attribute(named(&spans, "execute_tool Bash"), "perimeter.tool.unanswered"), "");
    assert_eq!(attribute(named(&spans, "invoke_agent Claude Code"), "error.type"), "", "it went on");
}

#[test]
fn a_session_that_is_asked_for_calls_alone_has_neither_agents_nor_tools() {
    let spans = spans_with(r#"{"spans":"calls"}"#, ended(with_sub_agents(), 5));
    assert!(spans.iter().all(|span| span.name == "chat claude-sonnet-5" && span.parent_span_id.is_empty()));
    let mut traces: Vec<_> = spans.iter().map(|span| &span.trace_id).collect();
    traces.sort_unstable();
    traces.dedup();
    assert_eq!((spans.len(), traces.len()), (5, 5), "each is a trace");
}
