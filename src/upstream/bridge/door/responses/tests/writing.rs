//! What is written.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::event::tests::answers;
use super::event::{Answer, Begin, Citation, Done, Event, Head, Said, Stop, Usage};
use super::{Kept, Kind, request, try_with};
use crate::upstream::bridge::Failure;
use crate::upstream::bridge::door::Writer;

fn writer(fields: Value) -> Box<dyn Writer> {
    try_with(&Kept::default(), &request(fields), false).unwrap().writer
}

/// A writer that shows everything.
fn all() -> Box<dyn Writer> {
    writer(
        json!({"reasoning": {"summary": "auto"}, "include": ["reasoning.encrypted_content"], "store": false}),
    )
}

pub(super) fn streamed(writer: &mut dyn Writer, events: &[Event]) -> Vec<Value> {
    let mut to = Vec::new();
    events.iter().for_each(|event| writer.event(event, &mut to));
    read(&to)
}

fn read(stream: &[u8]) -> Vec<Value> {
    let stream = std::str::from_utf8(stream).unwrap();
    let events = stream.split_terminator("\n\n").filter(|event| !event.starts_with(": "));
    let read = |event: &str| {
        let (name, data) = event.split_once("\ndata: ").unwrap();
        let data: Value = serde_json::from_str(data).unwrap();
        assert_eq!(name.strip_prefix("event: "), data["type"].as_str());
        data
    };
    events.map(read).collect()
}

pub(super) fn whole(writer: &mut dyn Writer, events: &[Event]) -> Value {
    let mut answer = Answer::default();
    events.iter().for_each(|event| answer.hear(event));
    let mut to = Vec::new();
    writer.whole(&answer, &mut to);
    serde_json::from_slice(&to).unwrap()
}

/// Without what is another each time.
fn plain(mut value: Value) -> Value {
    let text = value.to_string();
    if let Some(at) = text.find("\"resp_") {
        let id = &text[at + 6..at + 6 + 32];
        value = serde_json::from_str(&text.replace(id, "1")).unwrap();
    }
    blank(&mut value);
    value
}

fn blank(value: &mut Value) {
    match value {
        Value::Array(items) => items.iter_mut().for_each(blank),
        Value::Object(fields) => {
            for (name, value) in fields.iter_mut() {
                match (name.as_str(), &value) {
                    ("created_at" | "completed_at", Value::Number(_)) => *value = 1.into(),
                    ("encrypted_content", Value::String(_)) => *value = "sealed".into(),
                    _ => blank(value),
                }
            }
        }
        _ => {}
    }
}

/// Answers with everything that there is.
pub(super) fn every_kind() -> Vec<Event> {
    let text = |text: &str| Event::Text(text.to_owned());
    let citation = |title: Option<&str>, url: Option<&str>, id: &str| {
        let owned = |text: Option<&str>| text.map(str::to_owned);
        Event::Citation(Citation { title: owned(title), url: owned(url), id: id.to_owned() })
    };
    vec![
        Event::Alive,
        Event::Head(Head::default()),
        Event::Begin(Begin::Thinking),
        Event::Thinking("Hm, ".to_owned()),
        Event::Thinking("well.".to_owned()),
        Event::Signature("c2ln".to_owned()),
        Event::End,
        Event::Begin(Begin::Redacted("ZGF0YQ==".to_owned())),
        Event::End,
        Event::Begin(Begin::Text),
        text("I look\n\n"),
        text("twice é."),
        Event::End,
        citation(Some("Book"), Some("https://example.com/b"), "1"),
        Event::Warning("odd".to_owned()),
        Event::Begin(Begin::Tool { id: "toolu_1".to_owned(), name: "look".to_owned() }),
        Event::Input("{\"at\":".to_owned()),
        Event::Input("1.50}".to_owned()),
        Event::End,
        citation(None, None, "ks-2"),
        Event::Done(done(Stop::ToolUse)),
    ]
}

fn done(stop: Stop) -> Done {
    let usage =
        Usage { input: 3, cache_read: 4, cache_write: 5, output: 17, reasoning: Some(2), estimated: false };
    Done { stop, usage, refusal: None, cost: None }
}

#[test]
fn a_response_is_streamed_in_openais_words() {
    let events = plain(streamed(&mut *all(), &every_kind()).into());
    let lines: Vec<String> = events.as_array().unwrap().iter().map(Value::to_string).collect();
    insta::assert_snapshot!(lines.join("\n"));
}

#[test]
fn a_response_is_whole_in_openais_words() {
    let response = plain(whole(&mut *all(), &every_kind()));
    insta::assert_snapshot!(format!("{response:#}"));
}

#[test]
fn thinking_that_the_client_does_not_want_to_read_is_not_shown() {
    let response = plain(whole(&mut *writer(json!({})), &every_kind()));
    let hidden = json!({"type": "reasoning", "id": "rs_1o0", "status": "completed", "summary": [],
        "encrypted_content": null});
    assert_eq!(response["output"][0], hidden);
    let events = streamed(&mut *writer(json!({})), &every_kind());
    assert!(events.iter().all(|event| !event["type"].as_str().unwrap().contains("reasoning")));
}

#[test]
fn a_response_says_how_it_ended() {
    let text = [Event::Begin(Begin::Text), Event::Text("a".to_owned()), Event::End];
    let cases = [
        (Stop::EndTurn, None, "completed", Value::Null),
        (Stop::Sequence("b".to_owned()), None, "completed", Value::Null),
        (Stop::MaxTokens, None, "incomplete", "max_output_tokens".into()),
        (Stop::Refusal, None, "incomplete", "content_filter".into()),
        (Stop::Refusal, Some("No."), "completed", Value::Null),
    ];
    for (stop, refusal, status, reason) in cases {
        let done = Done { refusal: refusal.map(str::to_owned), ..done(stop) };
        let events: Vec<Event> = text.iter().cloned().chain([Event::Done(done)]).collect();
        let last = streamed(&mut *all(), &events).pop().unwrap();
        assert_eq!(last["type"], format!("response.{status}"));
        let response = whole(&mut *all(), &events);
        assert_eq!(
            (&response["status"], &response["incomplete_details"]["reason"]),
            (&status.into(), &reason)
        );
        assert_eq!(response["completed_at"].is_null(), status != "completed");
        let refused = &response["output"][1]["content"][0];
        assert_eq!(refused["refusal"].as_str(), refusal);
        let item = if reason == "max_output_tokens" { "incomplete" } else { "completed" };
        assert_eq!(response["output"][0]["status"], item);
        assert_eq!(plain(response), plain(last["response"].clone()));
    }
}

#[test]
fn a_stream_that_breaks_off_says_so() {
    let (mut writer, mut to) = (all(), Vec::new());
    writer.event(&Event::Begin(Begin::Text), &mut to);
    writer.event(&Event::Text("half".to_owned()), &mut to);
    writer.failed(&Failure::new(Kind::UpstreamTimeout, "too slow"), &mut to);
    let last = read(&to).pop().unwrap();
    assert_eq!(last["type"], "response.failed");
    assert_eq!(last["response"]["status"], "failed");
    let error =
        json!({"code": "server_error", "message": "too slow", "type": "upstream_timeout", "param": null});
    assert_eq!(last["response"]["error"], error);
    assert_eq!(last["response"]["output"][0]["content"][0]["text"], "half");
    let mut to = Vec::new();
    all().failed(&Failure::new(Kind::RateLimit, "later"), &mut to);
    let events = read(&to);
    let names: Vec<_> = events.iter().map(|event| event["type"].as_str().unwrap()).collect();
    assert_eq!(names, ["response.created", "response.in_progress", "response.failed"]);
}

#[test]
fn a_response_repeats_what_was_asked() {
    let fields = json!({
        "instructions": "Be brief.", "metadata": {"a": "b"}, "temperature": 0.2, "conversation": "c", "user": "u",
        "tools": [{"type": "function", "name": "f", "parameters": {"type": "object"}, "strict": true}],
        "tool_choice": {"type": "function", "name": "f"}, "reasoning": {"effort": "low"}, "max_output_tokens": 9,
    });
    let response = whole(&mut *writer(fields.clone()), &[Event::Done(done(Stop::EndTurn))]);
    for (name, value) in fields.as_object().unwrap() {
        let value = if name == "conversation" { &json!({"id": "c"}) } else { value };
        assert_eq!(&response[name], value, "{name}");
    }
    assert_eq!([&response["top_p"], &response["parallel_tool_calls"]], [&json!(1.0), &json!(true)]);
}

#[test]
fn a_call_without_input_has_an_empty_object() {
    let begin = Event::Begin(Begin::Tool { id: "1".to_owned(), name: "f".to_owned() });
    let events = [begin, Event::End, Event::Done(done(Stop::ToolUse))];
    assert_eq!(whole(&mut *all(), &events)["output"][0]["arguments"], "{}");
    assert_eq!(put_together(&streamed(&mut *all(), &events))[0]["arguments"], "{}");
}

/// What a client makes of the deltas of a stream: the output.
fn put_together(events: &[Value]) -> Value {
    let mut output: Vec<Value> = Vec::new();
    for (number, event) in events.iter().enumerate() {
        assert_eq!(event["sequence_number"], number);
        let kind = event["type"].as_str().unwrap();
        let at = event["output_index"].as_u64().unwrap_or_default() as usize;
        if kind == "response.output_item.added" {
            assert_eq!(at, output.len());
            output.push(event["item"].clone());
            continue;
        }
        if let Some(id) = event["item_id"].as_str() {
            assert_eq!(output[at]["id"], id);
        }
        let more = |value: &mut Value| {
            *value = (value.as_str().unwrap().to_owned() + event["delta"].as_str().unwrap()).into();
        };
        match kind {
            "response.content_part.added" => output[at]["content"] = json!([event["part"]]),
            "response.output_text.delta" => more(&mut output[at]["content"][0]["text"]),
            "response.refusal.delta" => more(&mut output[at]["content"][0]["refusal"]),
            "response.output_text.annotation.added" => {
                let annotations = output[at]["content"][0]["annotations"].as_array_mut().unwrap();
                assert_eq!(event["annotation_index"], annotations.len());
                annotations.push(event["annotation"].clone());
            }
            "response.function_call_arguments.delta" => more(&mut output[at]["arguments"]),
            "response.reasoning_summary_part.added" => output[at]["summary"] = json!([event["part"]]),
            "response.reasoning_summary_text.delta" => more(&mut output[at]["summary"][0]["text"]),
            "response.output_text.done" => assert_eq!(output[at]["content"][0]["text"], event["text"]),
            "response.content_part.done" => assert_eq!(output[at]["content"][0], event["part"]),
            "response.function_call_arguments.done" => {
                assert_eq!(output[at]["arguments"], event["arguments"])
            }
            "response.output_item.done" => {
                output[at]["status"] = "completed".into();
                output[at]["encrypted_content"] = event["item"]["encrypted_content"].clone();
                if output[at]["type"] != "reasoning" {
                    output[at].as_object_mut().unwrap().remove("encrypted_content");
                }
                assert_eq!(output[at], event["item"]);
            }
            "response.incomplete"
                if event["response"]["incomplete_details"]["reason"] == "max_output_tokens" =>
            {
                if let Some(last) = output.last_mut() {
                    last["status"] = "incomplete".into();
                }
            }
            _ => {}
        }
    }
    output.into()
}

proptest! {
    #[test]
    fn what_is_streamed_is_what_the_whole_form_says(events in answers(), shows: bool, seals: bool) {
        let fields = json!({"store": false, "reasoning": {"summary": shows.then_some("auto")},
            "include": if seals { vec!["reasoning.encrypted_content"] } else { Vec::new() }});
        let whole = plain(whole(&mut *writer(fields.clone()), &events));
        let stream = streamed(&mut *writer(fields), &events);
        let last = stream.last().unwrap()["response"].clone();
        prop_assert_eq!(&put_together(&stream), &last["output"]);
        prop_assert_eq!(plain(last), whole);
    }

    #[test]
    fn a_response_tells_what_the_events_say(events in answers()) {
        let mut answer = Answer::default();
        events.iter().for_each(|event| answer.hear(event));
        let response = whole(&mut *all(), &events);
        let items = |kind: &'static str| {
            response["output"].as_array().unwrap().iter().filter(move |item| item["type"] == kind)
        };
        let text: String = items("message").filter_map(|item| item["content"][0]["text"].as_str()).collect();
        prop_assert_eq!(text, answer.text());
        let calls = items("function_call").map(|item| [&item["call_id"], &item["name"], &item["arguments"]]);
        let said: Vec<_> = answer.blocks.iter().filter_map(|block| match block {
            Said::Tool { id, name, input } => Some([json!(id), json!(name), json!(input)]),
            _ => None,
        }).collect();
        prop_assert_eq!(calls.map(|call| call.map(Value::clone)).collect::<Vec<_>>(), said);
        let usage = answer.done.unwrap().usage;
        prop_assert_eq!(&response["usage"]["input_tokens"], usage.prompt());
        prop_assert_eq!(&response["usage"]["output_tokens"], usage.output);
    }
}
