//! What sessions are made of, each by itself.

use perimeter_interceptor::ToolUse;

use super::*;
use crate::scribe::sessions::index::ALIKE;
use crate::scribe::sessions::quotes::Kind;
use crate::scribe::sessions::tree::{How, MOST, Node, Telling, Tree};

fn node(call: u32, parent: u32) -> Node {
    let (how, telling) = (How::Answered, Telling::No);
    Node { asked: 1, answered: 1, pair: 1, call, parent, thread: 0, how, telling, is_followed: false }
}

/// Adds a call as a session does, forgetting another where there is no room.
fn grow(tree: &mut Tree, node: Node) {
    let instead = if tree.is_full() { tree.least() } else { None };
    assert!(tree.put(node, instead).is_some());
}

fn calls(tree: &Tree) -> Vec<u32> {
    let mut calls: Vec<u32> = tree.iter().map(|(_, node)| node.call).collect();
    calls.sort_unstable();
    calls
}

#[test]
fn of_a_long_conversation_more_of_the_late_calls_are_remembered() {
    let mut tree = Tree::default();
    for call in 1..=500 {
        grow(&mut tree, node(call, call - 1));
    }
    let calls = calls(&tree);
    assert_eq!(calls.len(), MOST);
    assert!(calls.ends_with(&[497, 498, 499, 500]), "{calls:?}");
    assert!(calls.iter().any(|call| *call < 250), "{calls:?}");
    let late = calls.iter().filter(|call| **call > 400).count();
    assert!((MOST / 3..MOST).contains(&late), "{calls:?}");
}

#[test]
fn the_ends_of_all_branches_are_remembered() {
    let mut tree = Tree::default();
    for branch in 0..8 {
        grow(&mut tree, node(branch + 1, 0));
    }
    for call in 9..200 {
        grow(&mut tree, node(call, if call == 9 { 8 } else { call - 1 }));
    }
    assert!(calls(&tree).starts_with(&[1, 2, 3, 4, 5, 6, 7]), "{:?}", calls(&tree));
    assert_eq!(tree.latest(None).map(|node| node.call), Some(199));
}

#[test]
fn what_is_being_answered_is_the_last_to_be_forgotten() {
    let mut tree = Tree::default();
    grow(&mut tree, Node { how: How::Open, ..node(1, 0) });
    for call in 2..100 {
        grow(&mut tree, node(call, 0));
    }
    assert!(tree.of_call(1).is_some());
    for call in 100..200 {
        grow(&mut tree, Node { how: How::Open, ..node(call, 0) });
    }
    assert_eq!(calls(&tree).len(), MOST);
}

#[test]
fn a_second_answer_is_forgotten_for_itself() {
    let mut tree = Tree::default();
    for call in 2..MOST as u32 {
        grow(&mut tree, Node { how: How::Open, ..node(call, 0) });
    }
    let first = tree.put(Node { how: How::Open, ..node(1, 0) }, None);
    let second = tree.put(node(1, 0), None);
    assert_ne!(first, second);
    assert_eq!(tree.least(), second);
}

#[test]
fn so_many_calls_that_say_the_same_are_told_apart_and_no_more() {
    let mut stage = Stage::by_default();
    let fails = LlmEvent::Failure(Arc::new(ApiFailure::new(CallId(0), 500, "busy")));
    for address in 1..20 {
        let made = stage.call(Way { address, ..CHAT }, &[user("Hello")]);
        assert!(made.session.is_new);
        stage.sessions.heard(stage.now, &made.ticket, &fails);
        stage.sessions.check();
    }
    assert_eq!(stage.sessions.index.iter().count(), ALIKE);
    stage.close();
    assert_eq!(stage.sessions.index.iter().count(), 0);
}

fn source(session: u32) -> Source {
    Source { session, generation: 1, call: 1 }
}

#[test]
fn what_was_said_in_several_sessions_is_of_none_of_them() {
    let seed = Seed::default();
    let mut quotes = Quotes::new(&seed);
    let all = |_| true;
    quotes.add(Kind::Said, 1, 7, source(1), &all);
    quotes.add(Kind::Said, 1, 7, Source { call: 2, ..source(1) }, &all);
    assert_eq!(quotes.find(Kind::Said, 1, 7), Some(Source { call: 2, ..source(1) }));
    assert_eq!(quotes.find(Kind::Task, 1, 7), None);
    assert_eq!(quotes.find(Kind::Said, 2, 7), None, "somebody else said nothing");
    quotes.add(Kind::Said, 1, 7, source(2), &all);
    quotes.add(Kind::Said, 1, 7, source(1), &all);
    assert_eq!(quotes.find(Kind::Said, 1, 7), None);
    quotes.remove(Kind::Said, 1, 7);
    quotes.add(Kind::Said, 1, 7, source(2), &all);
    assert_eq!(quotes.find(Kind::Said, 1, 7), Some(source(2)));
}

#[test]
fn what_was_said_in_a_session_that_is_gone_stands_in_nobodys_way() {
    let mut quotes = Quotes::new(&Seed::default());
    quotes.add(Kind::Said, 1, 7, source(1), &|_| true);
    quotes.add(Kind::Said, 1, 7, source(2), &|source| source.session != 1);
    assert_eq!(quotes.find(Kind::Said, 1, 7), Some(source(2)));
}

#[test]
fn a_task_is_found_in_the_message_that_brings_it() {
    let mut quotes = Quotes::new(&Seed::default());
    let input = r#"{"to":{"prompt":"Count all the files here\nand all directories"},"kind":"explorer"}"#;
    let mut hosted = ToolUse::new(CallId(0), "web", r#"{"q":"what is a perimeter?"}"#);
    hosted.hosted = true;
    let tools = [ToolUse::new(CallId(0), "task", input), hosted, ToolUse::new(CallId(0), "x", "{not json")];
    quotes.add_tasks(1, source(1), tools.iter(), &|_| true);
    let within = |text: &str| quotes.within(Kind::Task, 1, &user(text));
    for text in [
        "Count all the files here and all directories",
        "Your task: Count all the files here\nand all directories",
        "Hello.\nTask: Count  all the files here",
        "\"Count all the files here\"",
    ] {
        assert_eq!(within(text), Some(source(1)), "{text}");
    }
    for text in ["explorer", "what is a perimeter?", "Count all", "", "Count all the files here and"] {
        assert_eq!(within(text), None, "{text}");
    }
}

#[test]
fn a_summary_is_found_by_its_lines_whatever_is_around_them() {
    let mut quotes = Quotes::new(&Seed::default());
    let said = "<summary>\nThe user wants a crossword of eleven words.\nOK\n</summary>";
    quotes.add_lines(Kind::Summary, 1, source(1), said, &|_| true);
    let within = |text: &str| quotes.within(Kind::Summary, 1, &user(text));
    let quoted = "It goes on.\n\nThe user wants a crossword of eleven words.";
    assert_eq!(within(quoted), Some(source(1)));
    assert_eq!(within("OK"), None, "too short");
    assert_eq!(within(&format!("{}{quoted}", "line\n".repeat(100))), None, "too far behind");
}

#[test]
fn no_more_is_remembered_of_a_call_than_so_much() {
    let mut quotes = Quotes::new(&Seed::default());
    let lines: Vec<String> = (0..1000).map(|line| format!("a line of a summary, number {line}")).collect();
    quotes.add_lines(Kind::Summary, 1, source(1), &lines.join("\n"), &|_| true);
    let deep = format!("{}{}", "[".repeat(100), "]".repeat(100));
    let many: Vec<String> = lines.iter().map(|line| format!("{line:?}")).collect();
    let inputs = [deep, format!("[{}]", many.join(","))];
    let tools: Vec<ToolUse> = inputs.iter().map(|input| ToolUse::new(CallId(0), "t", &**input)).collect();
    quotes.add_tasks(1, source(1), tools.iter(), &|_| true);
    assert!(quotes.count() <= 64, "{}", quotes.count());
}
