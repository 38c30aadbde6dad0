//! The same conversation, told through three doors, is the same to a backend.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::{Ask, Door, Failure, read};
use crate::upstream::bridge::ask::Role;

/// What is said, in no API's words.
#[derive(Clone, Debug)]
enum Step {
    System(String),
    User(Vec<String>),
    /// Thinking, words, and what tools said to calls: the results come in the order of the second numbers.
    Assistant(Option<String>, Option<String>, Vec<(String, u8)>),
}

fn words() -> impl Strategy<Value = String> {
    "[a-zé \"\\\\\u{1f600}]{1,8}"
}

fn conversation() -> impl Strategy<Value = Vec<Step>> {
    let calls = prop::collection::vec((words(), any::<u8>()), 0..4);
    let assistant = (prop::option::of(words()), prop::option::of(words()), calls)
        .prop_map(|(thinking, text, calls)| Step::Assistant(thinking, text, calls));
    let user = prop::collection::vec(words(), 1..3).prop_map(Step::User);
    let exchange = (user, prop::option::of(words().prop_map(Step::System)), assistant);
    (prop::collection::vec(words().prop_map(Step::System), 0..2), prop::collection::vec(exchange, 1..5))
        .prop_map(|(system, rest)| {
            let rest = rest.into_iter().flat_map(|(user, system, assistant)| {
                [Some(user), system, Some(assistant)].into_iter().flatten()
            });
            system.into_iter().chain(rest).collect()
        })
}

/// The calls of a turn by their ids, and the results in the order in which they come.
fn calls(at: usize, calls: &[(String, u8)]) -> (Vec<String>, Vec<(String, &str)>) {
    let ids: Vec<_> = (0..calls.len()).map(|call| format!("call_{at}_{call}")).collect();
    let mut order: Vec<_> = ids.iter().zip(calls).collect();
    order.sort_by_key(|(_, (_, when))| *when);
    (ids.clone(), order.into_iter().map(|(id, (said, _))| (id.clone(), said.as_str())).collect())
}

fn chat(steps: &[Step]) -> Value {
    let mut messages = Vec::new();
    for (at, step) in steps.iter().enumerate() {
        match step {
            Step::System(text) => messages.push(json!({"role": "system", "content": text})),
            Step::User(texts) => {
                let parts: Vec<_> = texts.iter().map(|text| json!({"type": "text", "text": text})).collect();
                messages.push(json!({"role": "user", "content": parts}));
            }
            Step::Assistant(thinking, text, said) => {
                let (ids, results) = calls(at, said);
                let calls: Vec<_> = ids
                    .iter()
                    .map(|id| {
                        json!({"id": id, "type": "function",
                    "function": {"name": "look", "arguments": "{\"a\":1.0}"}})
                    })
                    .collect();
                messages.push(json!({"role": "assistant", "content": text, "reasoning_content": thinking,
                    "tool_calls": calls}));
                messages.extend(
                    results
                        .iter()
                        .map(|(id, said)| json!({"role": "tool", "tool_call_id": id, "content": said})),
                );
            }
        }
    }
    json!({"model": "m", "messages": messages, "max_completion_tokens": 9, "parallel_tool_calls": false,
        "reasoning_effort": "high", "stream": true, "metadata": {"conversation_id": "c"},
        "response_format": {"type": "json_schema", "json_schema": {"name": "n", "schema": {"x": 1}}},
        "tools": [{"type": "function", "function": {"name": "look", "parameters": {"type": "object"}}}],
        "tool_choice": {"type": "function", "function": {"name": "look"}}})
}

fn messages(steps: &[Step]) -> Value {
    let mut messages = Vec::new();
    for (at, step) in steps.iter().enumerate() {
        match step {
            Step::System(text) => messages.push(json!({"role": "system", "content": text})),
            Step::User(texts) => {
                let parts: Vec<_> = texts.iter().map(|text| json!({"type": "text", "text": text})).collect();
                messages.push(json!({"role": "user", "content": parts}));
            }
            Step::Assistant(thinking, text, said) => {
                let (ids, results) = calls(at, said);
                let thinking = thinking.iter().map(|text| json!({"type": "thinking", "thinking": text}));
                let text = text.iter().map(|text| json!({"type": "text", "text": text}));
                let calls = ids.iter().map(|id| {
                    json!({"type": "tool_use", "id": id, "name": "look",
                    "input": {"a": 1.0}})
                });
                let parts: Vec<_> = thinking.chain(text).chain(calls).collect();
                messages.push(json!({"role": "assistant", "content": parts}));
                let results: Vec<_> = results
                    .iter()
                    .map(|(id, said)| json!({"type": "tool_result", "tool_use_id": id, "content": said}))
                    .collect();
                messages.push(json!({"role": "user", "content": results}));
            }
        }
    }
    json!({"model": "m", "messages": messages, "max_tokens": 9, "stream": true,
        "metadata": {"conversation_id": "c"}, "thinking": {"type": "adaptive"},
        "output_config": {"effort": "high", "format": {"type": "json_schema", "schema": {"x": 1}}},
        "tools": [{"name": "look", "input_schema": {"type": "object"}}],
        "tool_choice": {"type": "tool", "name": "look", "disable_parallel_tool_use": true}})
}

fn responses(steps: &[Step]) -> Value {
    let mut items = Vec::new();
    for (at, step) in steps.iter().enumerate() {
        match step {
            Step::System(text) => items.push(json!({"role": "developer", "content": text})),
            Step::User(texts) => {
                let parts: Vec<_> =
                    texts.iter().map(|text| json!({"type": "input_text", "text": text})).collect();
                items.push(json!({"role": "user", "content": parts}));
            }
            Step::Assistant(thinking, text, said) => {
                let (ids, results) = calls(at, said);
                items.extend(thinking.iter().map(|text| {
                    json!({"type": "reasoning",
                    "summary": [{"type": "summary_text", "text": text}]})
                }));
                items.extend(text.iter().map(|text| {
                    json!({"type": "message", "role": "assistant",
                    "content": [{"type": "output_text", "text": text}]})
                }));
                items.extend(ids.iter().map(|id| {
                    json!({"type": "function_call", "call_id": id,
                    "name": "look", "arguments": "{\"a\":1.0}"})
                }));
                items.extend(results.iter().map(
                    |(id, said)| json!({"type": "function_call_output", "call_id": id, "output": said}),
                ));
            }
        }
    }
    json!({"model": "m", "input": items, "max_output_tokens": 9, "parallel_tool_calls": false,
        "reasoning": {"effort": "high", "summary": "auto"}, "stream": true,
        "metadata": {"conversation_id": "c"}, "store": false,
        "text": {"format": {"type": "json_schema", "name": "n", "schema": {"x": 1}}},
        "tools": [{"type": "function", "name": "look", "parameters": {"type": "object"}}],
        "tool_choice": {"type": "function", "name": "look"}})
}

fn asks(steps: &[Step]) -> [Result<Ask, Failure>; 3] {
    [(Door::Chat, chat(steps)), (Door::Messages, messages(steps)), (Door::Responses, responses(steps))]
        .map(|(door, body)| read(door, &body).map(|reading| reading.ask))
}

proptest! {
    #[test]
    fn the_same_conversation_is_the_same_through_each_door(steps in conversation()) {
        let [chat, messages, responses] = asks(&steps).map(|ask| format!("{:?}", ask.unwrap()));
        prop_assert_eq!(&chat, &messages);
        prop_assert_eq!(&chat, &responses);
    }
}

/// What becomes of the messages of a body.
type Edit<'a> = &'a dyn Fn(&mut Vec<Value>);

/// One exchange with two calls, whose messages are `edit`ed: through each door, what becomes of it.
fn edited(edit: [Edit<'_>; 3]) -> [Result<Ask, Failure>; 3] {
    let calls = vec![("one".to_owned(), 0), ("two".to_owned(), 1)];
    let steps = [Step::User(vec!["hi".to_owned()]), Step::Assistant(None, Some("well".to_owned()), calls)];
    let bodies = [
        (Door::Chat, "messages", chat(&steps)),
        (Door::Messages, "messages", messages(&steps)),
        (Door::Responses, "input", responses(&steps)),
    ];
    let mut edits = edit.into_iter();
    bodies.map(|(door, key, mut body)| {
        edits.next().unwrap()(body[key].as_array_mut().unwrap());
        read(door, &body).map(|reading| reading.ask)
    })
}

#[test]
fn what_is_said_between_calls_and_their_results_comes_after_them() {
    for role in ["system", "user"] {
        let said = json!({"role": role, "content": "by the way"});
        let insert = |at: usize| {
            let said = said.clone();
            move |all: &mut Vec<Value>| all.insert(at, said.clone())
        };
        let asks = edited([&insert(2), &insert(2), &insert(4)]).map(Result::unwrap);
        for ask in asks {
            let turns: Vec<_> = ask.turns.iter().map(|turn| (turn.role, turn.parts.len())).collect();
            let last = if role == "user" { Role::User } else { Role::System };
            assert_eq!(turns, [(Role::User, 1), (Role::Assistant, 3), (Role::User, 2), (last, 1)]);
            assert_eq!(ask.warnings.header().unwrap(), "moved behind tool results");
        }
    }
}

#[test]
fn a_call_without_a_result_is_refused() {
    let in_messages = |all: &mut Vec<Value>| {
        all[2]["content"].as_array_mut().unwrap().pop();
    };
    let pop = |all: &mut Vec<Value>| drop(all.pop());
    let [chat, messages, responses] = edited([&pop, &in_messages, &pop]).map(|ask| ask.err().unwrap());
    assert_eq!(
        chat.message,
        "messages[1].tool_calls[1]: nothing answers this call; a message of the role tool with the \
         tool_call_id call_1_1 would be right after it"
    );
    assert_eq!(
        messages.message,
        "messages[1].content[2]: nothing answers this call; a tool_result with the tool_use_id call_1_1 would \
         be right after it"
    );
    assert_eq!(
        responses.message,
        "input[3]: nothing answers this call; a function_call_output with the call_id call_1_1 would be right \
         after it"
    );
}

#[test]
fn a_result_without_a_call_is_refused() {
    let twice = |all: &mut Vec<Value>| all.push(all.last().unwrap().clone());
    let wrong = edited([&twice, &twice, &twice]).map(|ask| ask.err().unwrap());
    let places = ["messages[4].tool_call_id", "messages[3].content[0].tool_use_id", "input[6].call_id"];
    for (failure, place) in wrong.into_iter().zip(places) {
        assert_eq!(failure.param.as_deref(), Some(place));
        assert!(failure.message.contains("a call in the turn before"), "{failure}");
    }
}

#[test]
fn results_alone_are_taken_where_the_calls_are_remembered_elsewhere() {
    let results = |keep: usize| move |all: &mut Vec<Value>| drop(all.drain(..keep));
    let asks = edited([&results(2), &results(2), &results(4)]).map(Result::unwrap);
    for ask in asks {
        assert_eq!(ask.turns.iter().map(|turn| turn.parts.len()).collect::<Vec<_>>(), [2]);
    }
}

#[test]
fn many_calls_are_read_in_time_that_grows_with_them_and_an_error_names_a_few() {
    let many = 30_000;
    let calls: Vec<_> = (0..many)
        .map(|at| json!({"type": "tool_use", "id": format!("c{at}"), "name": "look", "input": {}}))
        .collect();
    let mut results: Vec<_> =
        (0..many).map(|at| json!({"type": "tool_result", "tool_use_id": format!("c{at}")})).collect();
    let body = |results: &[Value]| {
        json!({"model": "m", "max_tokens": 1, "messages": [{"role": "user", "content": "hi"},
            {"role": "assistant", "content": calls}, {"role": "user", "content": results}]})
    };
    assert!(read(Door::Messages, &body(&results)).is_ok());
    results[0]["tool_use_id"] = "x".into();
    let failure = read(Door::Messages, &body(&results)).err().unwrap();
    assert_eq!(
        failure.message,
        "messages[2].content[0].tool_use_id: found \"x\", where one of c0, c1, c2 and 29997 more, each once, \
         would be right"
    );
}
