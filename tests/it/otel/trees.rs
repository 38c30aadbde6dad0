//! Sessions as trees: tools and sub-agents.

use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use serde_json::{Value, json};

use super::spoken::{message, message_stream, results, text, tool};
use super::stage::{Ask, Stage};
use super::told::{Attributes, Told, attribute};

const SESSION: &str = "x-claude-code-session-id: 0b9f4c1e-5a5e-4d0e-9c57-3f1d2a7b8c90";
const ERRAND: &str = "Find out where the tests are, and report.";

fn ask(system: &str, messages: &[Value]) -> Ask {
    let body = json!({"model": "claude-sonnet-5", "max_tokens": 99, "stream": true, "system": system,
        "messages": messages});
    Ask::claude(body).with("User-Agent: claude-cli/2.1.329 (external, cli)").with(SESSION)
}

fn user(text: &str) -> Value {
    json!({"role": "user", "content": text})
}

fn assistant(content: &Value) -> Value {
    json!({"role": "assistant", "content": content})
}

fn usage() -> Value {
    json!({"input_tokens": 9, "output_tokens": 3})
}

fn says(stage: &Stage, ask: &Ask, content: &Value, stop: &str) {
    stage.streams(ask, &message_stream(content, stop, &usage()));
}

fn with_two_tools() -> Told {
    let stage = Stage::anthropic(json!({}));
    let asked = json!([
        text("I shall look."),
        tool("toolu_1", "Bash", json!({"command": "ls -la"})),
        tool("toolu_2", "Read", json!({"file_path": "/x/notes.txt"})),
    ]);
    let first = user("What is there?");
    says(&stage, &ask("Be kind.", std::slice::from_ref(&first)), &asked, "tool_use");
    let results = results(&[("toolu_1", "notes.txt"), ("toolu_2", "error: no such file")]);
    let second = [first, assistant(&asked), results];
    says(&stage, &ask("Be kind.", &second), &json!([text("One file.")]), "end_turn");
    stage.stop()
}

#[test]
fn tools_that_are_at_work_together_are_spans_from_the_answer_to_their_results() {
    let told = with_two_tools();
    assert_eq!(
        told.outline(),
        "invoke_agent Claude Code\n  chat claude-sonnet-5\n  execute_tool Bash\n  execute_tool Read\n  chat claude-sonnet-5\n"
    );
    let [asks, answers] = told.named("chat claude-sonnet-5")[..] else { panic!("{}", told.outline()) };
    for (name, id, failed) in [("Bash", "toolu_1", false), ("Read", "toolu_2", true)] {
        let span = told.span(&format!("execute_tool {name}"));
        assert_eq!((span.kind(), span.flags, &span.trace_id), (SpanKind::Internal, 0x101, &asks.trace_id));
        assert_eq!(span.start_time_unix_nano, asks.end_time_unix_nano);
        assert_eq!(span.end_time_unix_nano, answers.start_time_unix_nano);
        assert_eq!(span.status.as_ref().map_or(0, |status| status.code), if failed { 2 } else { 0 });
        let mut attributes = Attributes::of(&span.attributes);
        attributes.take("perimeter.agent.prompt");
        attributes.take("perimeter.agent.stable");
        let mut expected = json!({
            "gen_ai.operation.name": "execute_tool",
            "gen_ai.tool.name": name,
            "gen_ai.tool.type": "function",
            "gen_ai.tool.call.id": id,
            "gen_ai.agent.name": "Claude Code",
            "gen_ai.conversation.id": "0b9f4c1e-5a5e-4d0e-9c57-3f1d2a7b8c90",
            "session.id": "0b9f4c1e-5a5e-4d0e-9c57-3f1d2a7b8c90",
            "perimeter.session.id": "0b9f4c1e-5a5e-4d0e-9c57-3f1d2a7b8c90",
            "perimeter.session.call": 1,
            "perimeter.session.thread": 0,
            "perimeter.synthetic": true,
        });
        if failed {
            expected["error.type"] = json!("tool_error");
        }
        attributes.assert(expected);
    }
    let agent = told.span("invoke_agent Claude Code");
    assert_eq!(agent.start_time_unix_nano, asks.start_time_unix_nano);
    assert_eq!(agent.end_time_unix_nano, answers.end_time_unix_nano);
    assert_eq!(attribute(agent, "perimeter.agent.calls"), 2);
    assert_eq!(attribute(answers, "perimeter.session.relation"), "turn");
    assert_eq!(attribute(answers, "perimeter.session.parent_call"), 1);
    assert_eq!(attribute(asks, "gen_ai.response.finish_reasons"), json!(["tool_use"]));
    assert_eq!(attribute(asks, "perimeter.client.name"), "Claude Code");
    assert_eq!(attribute(asks, "perimeter.client.version"), "2.1.329");
}

#[test]
fn a_sub_agent_is_below_the_tool_that_asked_for_it() {
    let stage = Stage::anthropic(json!({}));
    let errand = json!({"description": "Look", "prompt": ERRAND, "subagent_type": "Explore"});
    let asked = json!([tool("toolu_1", "Task", errand)]);
    let first = user("Where are the tests?");
    says(&stage, &ask("Be kind.", std::slice::from_ref(&first)), &asked, "tool_use");

    let greps = json!([tool("toolu_2", "Grep", json!({"pattern": "test"}))]);
    let inner = user(ERRAND);
    says(&stage, &ask("You explore.", std::slice::from_ref(&inner)), &greps, "tool_use");
    let inner = [inner, assistant(&greps), results(&[("toolu_2", "tests/it")])];
    says(&stage, &ask("You explore.", &inner), &json!([text("In tests/it.")]), "end_turn");

    let second = [first, assistant(&asked), results(&[("toolu_1", "In tests/it.")])];
    says(&stage, &ask("Be kind.", &second), &json!([text("They are in tests/it.")]), "end_turn");
    let told = stage.stop();
    assert_eq!(
        told.outline(),
        "invoke_agent Claude Code
  chat claude-sonnet-5
  execute_tool Task
    invoke_agent Explore
      chat claude-sonnet-5
      execute_tool Grep
      chat claude-sonnet-5
  chat claude-sonnet-5
"
    );
    let trace = &told.spans[0].trace_id;
    assert!(told.spans.iter().all(|span| span.trace_id == *trace));
    let (agent, task) = (told.span("invoke_agent Explore"), told.span("execute_tool Task"));
    assert!(task.start_time_unix_nano <= agent.start_time_unix_nano);
    assert!(task.end_time_unix_nano >= agent.end_time_unix_nano);
    assert_eq!(attribute(agent, "perimeter.session.thread"), 1);
    let calls = told.named("chat claude-sonnet-5");
    let relations: Vec<_> = calls.iter().map(|call| attribute(call, "perimeter.session.relation")).collect();
    assert_eq!(relations, ["opening", "sub_agent", "turn", "turn"]);
    assert_eq!(attribute(calls[1], "gen_ai.agent.name"), "Explore");
}

#[test]
fn a_session_that_nobody_named_has_no_conversation_id() {
    let stage = Stage::anthropic(json!({}));
    let body = json!({"model": "claude-sonnet-5", "max_tokens": 99, "messages": [user("Hello")]});
    stage.call(&Ask::claude(body), &message(&json!([text("Hi")]), "end_turn", &usage()));
    let told = stage.stop();
    let call = told.span("chat claude-sonnet-5");
    assert_eq!(attribute(call, "gen_ai.conversation.id"), Value::Null);
    assert!(attribute(call, "session.id").is_string());
    assert_eq!(attribute(call, "gen_ai.request.stream"), Value::Null);
}
