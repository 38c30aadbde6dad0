//! What is written.

use std::collections::BTreeMap;

use proptest::prelude::*;
use serde_json::{Value, json};

use super::super::write::Message;
use super::{asked, request};
use crate::upstream::bridge::door::Writer;
use crate::upstream::bridge::event::tests::answers;
use crate::upstream::bridge::event::{Answer, Begin, Citation, Done, Event, Head, Stop, Usage};
use crate::upstream::bridge::{Failure, Kind};

/// A writer of a message `msg_1`, of a model `m`.
fn writer(shows_thinking: bool) -> Message {
    let display = if shows_thinking { "summarized" } else { "omitted" };
    let body = request(|body| body["thinking"] = json!({"type": "adaptive", "display": display}));
    Message::new("msg_1".to_owned(), "req_1", &asked(&body))
}

fn streamed(writer: &mut Message, events: &[Event]) -> String {
    let mut to = Vec::new();
    for event in events {
        writer.event(event, &mut to);
    }
    String::from_utf8(to).unwrap()
}

fn whole(writer: &mut Message, events: &[Event]) -> Value {
    let mut answer = Answer::default();
    events.iter().for_each(|event| answer.hear(event));
    let mut to = Vec::new();
    writer.whole(&answer, &mut to);
    serde_json::from_slice(&to).unwrap()
}

/// What a client makes of a stream.
fn put_together(stream: &str) -> Value {
    let mut message = Value::Null;
    let mut inputs = BTreeMap::<usize, String>::new();
    for event in stream.split_terminator("\n\n") {
        let (name, data) = event.split_once("\ndata: ").unwrap();
        let data: Value = serde_json::from_str(data).unwrap();
        assert_eq!(name.strip_prefix("event: "), data["type"].as_str());
        let index = data["index"].as_u64().unwrap_or_default() as usize;
        match data["type"].as_str().unwrap() {
            "message_start" => message = data["message"].clone(),
            "content_block_start" => {
                let content = message["content"].as_array_mut().unwrap();
                assert_eq!(content.len(), index);
                content.push(data["content_block"].clone());
            }
            "content_block_delta" => {
                let (block, delta) = (&mut message["content"][index], &data["delta"]);
                let (field, more) = match delta["type"].as_str().unwrap() {
                    "text_delta" => ("text", &delta["text"]),
                    "thinking_delta" => ("thinking", &delta["thinking"]),
                    "signature_delta" => ("signature", &delta["signature"]),
                    "input_json_delta" => {
                        inputs.entry(index).or_default().push_str(delta["partial_json"].as_str().unwrap());
                        continue;
                    }
                    "citations_delta" => {
                        let citations =
                            block.as_object_mut().unwrap().entry("citations").or_insert(json!([]));
                        citations.as_array_mut().unwrap().push(delta["citation"].clone());
                        continue;
                    }
                    other => panic!("{other}"),
                };
                let longer = block[field].as_str().unwrap().to_owned() + more.as_str().unwrap();
                block[field] = longer.into();
            }
            "message_delta" => {
                for (name, value) in data["delta"].as_object().unwrap() {
                    message[name] = value.clone();
                }
                message["usage"] = data["usage"].clone();
            }
            "content_block_stop" | "message_stop" | "ping" => {}
            other => panic!("{other}"),
        }
    }
    for (index, input) in inputs.iter().filter(|(_, input)| !input.is_empty()) {
        message["content"][index]["input"] = serde_json::from_str(input).unwrap();
    }
    message
}

fn every_kind() -> Vec<Event> {
    let text = |text: &str| Event::Text(text.to_owned());
    let citation = |title: Option<&str>, url: Option<&str>, id: &str| {
        let owned = |text: Option<&str>| text.map(str::to_owned);
        Event::Citation(Citation { title: owned(title), url: owned(url), id: id.to_owned() })
    };
    let usage = Usage { input: 3, cache_read: 4, cache_write: 5, output: 0, ..Usage::default() };
    vec![
        Event::Alive,
        Event::Head(Head { usage: Some(usage), ..Head::default() }),
        Event::Begin(Begin::Thinking),
        Event::Thinking("Hm, ".to_owned()),
        Event::Thinking("well.".to_owned()),
        Event::Signature("c2".to_owned()),
        Event::Signature("ln".to_owned()),
        Event::End,
        Event::Begin(Begin::Redacted("ZGF0YQ==".to_owned())),
        Event::End,
        Event::Begin(Begin::Text),
        text("I look\n\n"),
        text("twice."),
        Event::End,
        citation(Some("Book"), Some("https://example.com/b"), "1"),
        Event::Warning("odd".to_owned()),
        Event::Begin(Begin::Tool { id: "toolu_1".to_owned(), name: "look".to_owned() }),
        Event::Input("{\"at\":".to_owned()),
        Event::Input("1.50}".to_owned()),
        Event::End,
        Event::Begin(Begin::Tool { id: "toolu_2".to_owned(), name: "listen".to_owned() }),
        Event::End,
        citation(None, None, "ks-2"),
        Event::Done(Done {
            stop: Stop::ToolUse,
            usage: Usage { output: 17, reasoning: Some(2), ..usage },
            refusal: None,
            cost: None,
        }),
    ]
}

#[test]
fn a_message_is_streamed_in_anthropics_words() {
    insta::assert_snapshot!(streamed(&mut writer(true), &every_kind()));
}

#[test]
fn a_message_is_whole_in_anthropics_words() {
    let mut answer = Answer::default();
    every_kind().iter().for_each(|event| answer.hear(event));
    let mut to = Vec::new();
    writer(true).whole(&answer, &mut to);
    insta::assert_snapshot!(String::from_utf8(to).unwrap());
}

#[test]
fn thinking_that_the_client_does_not_want_to_read_is_only_proved() {
    let events = every_kind();
    let message = whole(&mut writer(false), &events);
    assert_eq!(message["content"][0], json!({"type": "thinking", "thinking": "", "signature": "c2ln"}));
    assert_eq!(put_together(&streamed(&mut writer(false), &events)), message);
}

#[test]
fn a_message_says_why_it_ended() {
    let cases = [
        (Stop::EndTurn, "end_turn", Value::Null),
        (Stop::MaxTokens, "max_tokens", Value::Null),
        (Stop::Sequence("END".to_owned()), "stop_sequence", "END".into()),
        (Stop::ToolUse, "tool_use", Value::Null),
        (Stop::Refusal, "refusal", Value::Null),
    ];
    for (stop, reason, sequence) in cases {
        let refusal = (stop == Stop::Refusal).then(|| "No.".to_owned());
        let done = Done { stop, usage: Usage::default(), refusal, cost: None };
        let message = whole(&mut writer(true), &[Event::Done(done)]);
        assert_eq!((&message["stop_reason"], &message["stop_sequence"]), (&reason.into(), &sequence));
        assert_eq!(message["stop_details"]["explanation"].as_str(), (reason == "refusal").then_some("No."));
    }
}

#[test]
fn a_stream_that_breaks_off_says_so() {
    let mut to = Vec::new();
    writer(true).failed(&Failure::new(Kind::Overloaded, "busy"), &mut to);
    insta::assert_snapshot!(String::from_utf8(to).unwrap());
}

proptest! {
    #[test]
    fn what_is_streamed_is_what_the_whole_form_says(events in answers(), shows_thinking: bool) {
        let whole = whole(&mut writer(shows_thinking), &events);
        let stream = streamed(&mut writer(shows_thinking), &events);
        prop_assert_eq!(put_together(&stream), whole, "{}", stream);
    }
}
