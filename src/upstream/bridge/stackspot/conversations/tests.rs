use serde_json::value::RawValue;

use super::super::super::ask::{Block, Format, Part, ToolChoice, Warnings};
use super::super::super::event::Said;
use super::*;
use crate::upstream::Caller;

fn turn(role: Role, text: &str) -> Turn {
    Turn { role, parts: vec![Part::from(Block::Text(text.to_owned()))] }
}

/// A user and a model, one after the other.
fn turns(texts: &[&str]) -> Vec<Turn> {
    let roles = [Role::User, Role::Assistant].into_iter().cycle();
    texts.iter().zip(roles).map(|(text, role)| turn(role, text)).collect()
}

fn ask(turns: Vec<Turn>) -> Ask {
    Ask {
        model: "m".to_owned(),
        id: "m".to_owned(),
        system: Vec::new(),
        turns,
        tools: Vec::new(),
        choice: ToolChoice::Auto,
        parallel: true,
        max_tokens: None,
        stop: Vec::new(),
        format: Format::Text,
        effort: None,
        shows_thinking: false,
        stream: false,
        conversation: None,
        session: None,
        project: None,
        caller: Caller::local(),
        warnings: Warnings::default(),
    }
}

fn answer(text: &str) -> Answer {
    let blocks = vec![Said::Text { text: text.to_owned(), citations: Vec::new() }];
    Answer { blocks, ..Answer::default() }
}

/// The conversation's name at Stackspot, and the first turn that is sent.
fn exchange(all: &Conversations, texts: &[&str], reply: &str) -> (String, usize) {
    let place = all.enter(&ask(turns(texts)), "chat", "agent");
    let at = (place.id.clone(), place.from);
    place.answered(&answer(reply));
    at
}

#[test]
fn only_what_is_new_is_sent() {
    let all = Conversations::new();
    let (id, from) = exchange(&all, &["hi"], "hello\n there");
    assert_eq!(from, 0);
    assert_eq!(exchange(&all, &["hi", "hello there ", "more"], "ok"), (id.clone(), 2));
    assert_eq!(exchange(&all, &["hi", "hello there", "more", "ok", "bye"], "bye"), (id, 4));
}

#[test]
fn a_history_that_was_edited_or_forked_is_a_conversation_of_its_own() {
    for history in [
        &["hi!", "hello", "more"][..],
        &["hi", "hullo", "more"],
        &["hi"],
        &["hi", "hello"],
        &["hi", "hello", "other", "ok", "more", "well"],
    ] {
        let all = Conversations::new();
        let (id, _) = exchange(&all, &["hi"], "hello");
        let (other, from) = exchange(&all, history, "x");
        let goes_on = history.len() > 2 && history[..2] == ["hi", "hello"];
        assert_eq!(other == id, goes_on, "{history:?}");
        assert_eq!(from, if goes_on { 2 } else { 0 }, "{history:?}");
    }
}

#[test]
fn without_a_history_stackspot_remembers() {
    let all = Conversations::new();
    let (id, _) = exchange(&all, &["hi"], "hello");
    assert_eq!(exchange(&all, &["more"], "ok"), (id.clone(), 0));
    assert_eq!(exchange(&all, &["more"], "ok"), (id.clone(), 0), "the same words again are said again");
    drop(all.enter(&ask(turns(&["oops"])), "chat", "agent"));
    assert_eq!(exchange(&all, &["well?"], "ok"), (id, 0));
}

#[test]
fn a_failed_answer_makes_the_next_begin_anew() {
    let all = Conversations::new();
    let (id, _) = exchange(&all, &["hi"], "hello");
    drop(all.enter(&ask(turns(&["hi", "hello", "more"])), "chat", "agent"));
    let (other, from) = exchange(&all, &["hi", "hello", "more"], "ok");
    assert!(other != id && from == 0);
    assert_eq!(exchange(&all, &["hi", "hello", "more", "ok", "bye"], "x"), (other, 4));
}

#[test]
fn two_at_once_do_not_speak_into_each_other() {
    let all = Conversations::new();
    let request = ask(turns(&["hi"]));
    let first = all.enter(&request, "chat", "agent");
    let second = all.enter(&request, "chat", "agent");
    assert_ne!(first.id, second.id);
    second.answered(&answer("two"));
    first.answered(&answer("one"));
    assert_eq!(exchange(&all, &["hi", "one", "more"], "x").1, 2);
}

#[test]
fn names_are_each_callers_and_each_agents_own() {
    let all = Conversations::new();
    let mut other = ask(turns(&["hi"]));
    other.caller = Caller::with_key("k", b"");
    let ids = [
        all.enter(&ask(turns(&["hi"])), "chat", "agent").id.clone(),
        all.enter(&ask(turns(&["hi"])), "chat", "other").id.clone(),
        all.enter(&other, "chat", "agent").id.clone(),
    ];
    assert!(ids[0] != ids[1] && ids[0] != ids[2]);
    assert_eq!(Conversations::new().enter(&ask(turns(&["hi"])), "chat", "agent").id, ids[0], "in every run");
}

#[test]
fn calls_and_results_are_part_of_what_was_said() {
    let all = Conversations::new();
    let place = all.enter(&ask(turns(&["hi"])), "chat", "agent");
    let id = place.id.clone();
    let call = |id: &str| Said::Tool {
        id: id.to_owned(),
        name: "t".to_owned(),
        input: r#"{"a": 1,  "b": "c"}"#.to_owned(),
    };
    let mut said = answer("let me see");
    said.blocks.extend([call("1"), call("2")]);
    place.answered(&said);
    let mut history = turns(&["hi", "let me see"]);
    for id in ["1", "2"] {
        // As the client writes it.
        let input = RawValue::from_string(r#"{"b":"c","a":1}"#.to_owned()).unwrap();
        let block = Block::ToolUse { id: id.to_owned(), name: "t".to_owned(), input };
        history.push(Turn { role: Role::Assistant, parts: vec![Part::from(block)] });
    }
    let result = |id: &str| Block::ToolResult { id: id.to_owned(), content: Vec::new(), is_error: false };
    history.push(Turn { role: Role::User, parts: vec![result("1").into(), result("2").into()] });
    let place = all.enter(&ask(history.clone()), "chat", "agent");
    assert_eq!((place.id.as_str(), place.from), (id.as_str(), 4));
    drop(place);
    // Somebody has put another input into the model's mouth.
    let all = Conversations::new();
    let place = all.enter(&ask(turns(&["hi"])), "chat", "agent");
    let id = place.id.clone();
    place.answered(&said);
    let Block::ToolUse { input, .. } = &mut history[2].parts[0].block else { panic!("a call") };
    *input = RawValue::from_string(r#"{"force": true}"#.to_owned()).unwrap();
    let place = all.enter(&ask(history), "chat", "agent");
    assert!(place.id != id && place.from == 0);
}
