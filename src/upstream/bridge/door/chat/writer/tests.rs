use http::HeaderMap;
use serde_json::{Value, json};

use super::*;
use crate::upstream::bridge::door::tests::{read_with, streamed, whole};
use crate::upstream::bridge::door::{Door, Reading};
use crate::upstream::bridge::event::{Citation, Head, Usage};

/// A request with these parameters.
fn with(more: Value) -> Reading {
    let mut body = json!({"model": "m", "messages": [{"role": "user", "content": "hi"}]});
    body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    read_with(Door::Chat, &HeaderMap::new(), &body.to_string(), false).unwrap()
}

/// The stream that answers a request with these parameters, with what is different each time made the same.
fn stream(more: Value, events: &[Event]) -> String {
    steady(streamed(with(more).writer, events))
}

fn writer() -> Box<dyn Writer> {
    with(json!({})).writer
}

/// `text` without what is different each time.
fn steady(text: String) -> String {
    let mut text = text;
    for (before, after) in [("\"chatcmpl-", "\""), ("\"created\":", ",")] {
        let mut out = String::new();
        let mut rest = text.as_str();
        while let Some((start, more)) = rest.split_once(before) {
            let (_, end) = more.split_once(after).unwrap();
            out = format!("{out}{start}{before}…{after}");
            rest = end;
        }
        text = out + rest;
    }
    text
}

fn done(stop: Stop) -> Event {
    let usage =
        Usage { input: 10, cache_read: 3, cache_write: 2, output: 7, reasoning: Some(4), estimated: false };
    Event::Done(Done { stop, usage, refusal: None, cost: Some(0.25) })
}

/// An answer with everything that there is.
fn everything() -> Vec<Event> {
    let tool = |id: &str| Event::Begin(Begin::Tool { id: id.to_owned(), name: "f".to_owned() });
    let text = |text: &str| Event::Text(text.to_owned());
    let citation = Citation { title: Some("A book".to_owned()), url: None, id: "ks_1".to_owned() };
    vec![
        Event::Head(Head { session: Some("s".to_owned()), project: Some("p".to_owned()), ..Head::default() }),
        Event::Begin(Begin::Thinking),
        Event::Thinking("Hm. ".to_owned()),
        Event::Alive,
        Event::Thinking("Yes.".to_owned()),
        Event::Signature("c2ln".to_owned()),
        Event::End,
        Event::Begin(Begin::Redacted("x".to_owned())),
        Event::End,
        Event::Begin(Begin::Text),
        text("Grüße. "),
        Event::End,
        Event::Begin(Begin::Text),
        text("I "),
        Event::Citation(citation),
        text("look."),
        Event::End,
        tool("call_1"),
        Event::Input("{\"x\":".to_owned()),
        Event::Input("1}".to_owned()),
        Event::End,
        tool("call_2"),
        Event::End,
        Event::Citation(Citation {
            title: None,
            url: Some("https://example.com/".to_owned()),
            id: String::new(),
        }),
        done(Stop::ToolUse),
    ]
}

/// An answer that is one call.
fn calls() -> Vec<Event> {
    let tool = |id: &str| Event::Begin(Begin::Tool { id: id.to_owned(), name: "f".to_owned() });
    vec![
        tool("call_1"),
        Event::Input("{\"x\":".to_owned()),
        Event::Input("1}".to_owned()),
        Event::End,
        tool("call_2"),
        Event::Input("{}".to_owned()),
        Event::End,
        done(Stop::ToolUse),
    ]
}

#[test]
fn a_stream_is_as_openai_streams() {
    let more = json!({"stream": true, "stream_options": {"include_usage": true}});
    insta::assert_snapshot!(stream(more, &everything()));
}

#[test]
fn a_stream_says_what_it_took_only_to_who_asked() {
    let events = [Event::Begin(Begin::Text), Event::Text("Hi".to_owned()), Event::End, done(Stop::EndTurn)];
    insta::assert_snapshot!(stream(json!({"stream": true}), &events));
}

#[test]
fn a_whole_answer_is_as_openai_gives_it() {
    insta::assert_snapshot!(steady(format!("{:#}", whole(writer(), &everything())).replace(": ", ":")));
}

#[test]
fn an_answer_that_is_only_calls_has_no_content() {
    let answer = whole(writer(), &calls());
    assert_eq!(answer["choices"][0]["message"]["content"], Value::Null);
    let answer = whole(writer(), &[done(Stop::EndTurn)]);
    assert_eq!(answer["choices"][0]["message"]["content"], "");
}

#[test]
fn a_refusal_is_a_refusal_and_no_error() {
    let usage = Usage { estimated: true, ..Usage::default() };
    let refused = Done { stop: Stop::Refusal, usage, refusal: Some("No.".to_owned()), cost: None };
    let events = [Event::Done(refused)];
    let answer = whole(writer(), &events);
    let choice = &answer["choices"][0];
    assert_eq!(choice["finish_reason"], "content_filter");
    assert_eq!([&choice["message"]["refusal"], &choice["message"]["content"]], [&json!("No."), &Value::Null]);
    assert_eq!(answer["usage"]["estimated"], true);
    assert_eq!(answer["usage"].get("cost"), None);
    insta::assert_snapshot!(stream(json!({"stream": true}), &events));
}

#[test]
fn who_speaks_of_functions_is_answered_so() {
    let functions = json!({"functions": [{"name": "f"}]});
    let answer = whole(with(functions.clone()).writer, &calls());
    let choice = &answer["choices"][0];
    assert_eq!(choice["finish_reason"], "function_call");
    assert_eq!(choice["message"]["function_call"], json!({"name": "f", "arguments": "{\"x\":1}"}));
    assert_eq!(choice["message"].get("tool_calls"), None);
    insta::assert_snapshot!(stream(functions, &calls()));
}
