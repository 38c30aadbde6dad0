//! What holds for every door: the same events tell a client the same, and nothing that a client sends makes one panic.

use bytes::Bytes;
use http::HeaderMap;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::upstream::bridge::event::tests::{answers, texts};
use crate::upstream::bridge::event::{Done, Said, Stop};

mod reading_back;
mod same_conversation;

use reading_back::Told;

/// What `door` reads of `body`.
pub(super) fn read_with(
    door: Door,
    headers: &HeaderMap,
    body: &str,
    lenient: bool,
) -> Result<Reading, Failure> {
    let body = Bytes::copy_from_slice(body.as_bytes());
    let kept = Kept::default();
    door.read(Reader { headers, body: &body, id: "req_1", caller: Caller::local(), lenient, kept: &kept })
}

/// What `door` reads of `body`, without headers and strictly.
pub(super) fn read(door: Door, body: &Value) -> Result<Reading, Failure> {
    read_with(door, &HeaderMap::new(), &body.to_string(), false)
}

/// `events`, as they are streamed.
pub(super) fn streamed(mut writer: Box<dyn Writer>, events: &[Event]) -> String {
    let mut to = Vec::new();
    events.iter().for_each(|event| writer.event(event, &mut to));
    String::from_utf8(to).expect("a stream of UTF-8")
}

/// `events`, as one document.
pub(super) fn whole(mut writer: Box<dyn Writer>, events: &[Event]) -> Value {
    let mut answer = Answer::default();
    events.iter().for_each(|event| answer.hear(event));
    let mut to = Vec::new();
    writer.whole(&answer, &mut to);
    serde_json::from_slice(&to).expect("a JSON document")
}

/// A request of `door` that has nothing special about it.
fn plain(door: Door) -> Value {
    let messages = json!([{"role": "user", "content": "hello"}]);
    match door {
        Door::Chat => json!({"model": "m", "messages": messages, "stream_options": {"include_usage": true}}),
        Door::Completions => {
            json!({"model": "m", "prompt": "hello", "stream_options": {"include_usage": true}})
        }
        Door::Responses => {
            json!({"model": "m", "input": messages, "store": false, "reasoning": {"summary": "auto"}})
        }
        Door::Messages => {
            json!({"model": "m", "messages": messages, "max_tokens": 99, "thinking": {"type": "adaptive"}})
        }
    }
}

fn writer(door: Door) -> Box<dyn Writer> {
    read(door, &plain(door)).expect("a plain request").writer
}

/// What the events say, without any door.
fn said(events: &[Event]) -> Told {
    let mut answer = Answer::default();
    events.iter().for_each(|event| answer.hear(event));
    let Done { stop, usage, .. } = answer.done.clone().expect("an answer that is complete");
    let mut told = Told {
        stop: match stop {
            Stop::EndTurn | Stop::Sequence(_) => "end",
            Stop::MaxTokens => "length",
            Stop::ToolUse => "tools",
            Stop::Refusal => "refusal",
        },
        prompt: usage.prompt(),
        cached: usage.cache_read,
        output: usage.output,
        ..Told::default()
    };
    for block in answer.blocks {
        match block {
            Said::Text { text, .. } => told.text.push_str(&text),
            Said::Thinking { text, .. } => told.thinking.push_str(&text),
            Said::Redacted(_) => {}
            Said::Tool { id, name, input } => {
                told.calls.push((id, name, serde_json::from_str(&input).expect("JSON")));
            }
        }
    }
    told
}

proptest! {
    #[test]
    fn chat_tells_what_the_events_say(events in answers()) {
        let said = said(&events);
        prop_assert_eq!(&reading_back::chat(&whole(writer(Door::Chat), &events)), &said);
        prop_assert_eq!(&reading_back::chat_stream(&streamed(writer(Door::Chat), &events)), &said);
    }

    #[test]
    fn messages_tells_what_the_events_say(events in answers()) {
        let said = said(&events);
        prop_assert_eq!(&reading_back::messages::message(&whole(writer(Door::Messages), &events)), &said);
        prop_assert_eq!(&reading_back::messages::stream(&streamed(writer(Door::Messages), &events)), &said);
    }

    #[test]
    fn responses_tells_what_the_events_say(events in answers()) {
        let said = said(&events);
        prop_assert_eq!(&reading_back::responses::response(&whole(writer(Door::Responses), &events)), &said);
        prop_assert_eq!(&reading_back::responses::stream(&streamed(writer(Door::Responses), &events)), &said);
    }

    #[test]
    fn chat_says_the_same_of_sources_streamed_and_whole(events in answers()) {
        let whole = whole(writer(Door::Chat), &events);
        let annotations = whole["choices"][0]["message"]["annotations"].as_array().cloned().unwrap_or_default();
        let stream = streamed(writer(Door::Chat), &events);
        prop_assert_eq!(reading_back::annotations(&stream), annotations);
    }

    #[test]
    fn completions_tells_what_the_events_say_of_text(events in texts()) {
        let said = said(&events);
        prop_assert_eq!(&reading_back::completion(&whole(writer(Door::Completions), &events)), &said);
        let stream = streamed(writer(Door::Completions), &events);
        prop_assert_eq!(&reading_back::completion_stream(&stream), &said);
    }

    #[test]
    fn no_bytes_make_a_door_panic(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
        for door in DOORS {
            let kept = Kept::default();
            let body = Bytes::copy_from_slice(&bytes);
            let headers = HeaderMap::new();
            let reader =
                Reader { headers: &headers, body: &body, id: "req_1", caller: Caller::local(), lenient: false, kept: &kept };
            let _ = door.read(reader);
        }
    }

    #[test]
    fn no_json_makes_a_door_panic(body in requests(), lenient in any::<bool>()) {
        for door in DOORS {
            let _ = read_with(door, &HeaderMap::new(), &body.to_string(), lenient);
        }
    }
}

const DOORS: [Door; 4] = [Door::Chat, Door::Completions, Door::Responses, Door::Messages];

/// JSON of the words that the doors know, in any order: mostly wrong, and sometimes nearly right.
fn requests() -> impl Strategy<Value = Value> {
    const KEYS: &str = "model|messages|role|content|type|text|image_url|url|file|file_data|filename|tool_calls|id|\
        function|name|arguments|tool_call_id|tools|parameters|tool_choice|functions|function_call|stop|stream|\
        response_format|json_schema|schema|reasoning_effort|metadata|conversation|prompt|suffix|n|input|call_id|\
        output|system|thinking|signature|source|media_type|data|tool_use_id|is_error|max_tokens|mode|allowed_tools";
    const WORDS: &str = "user|assistant|system|tool|developer|function|text|image_url|file|json_schema|auto|required|\
        message|function_call|function_call_output|reasoning|input_text|input_image|tool_use|tool_result|thinking|\
        base64|image/png|data:image/png;base64,aGk=|https://example.com/a.png|\\{\\}|\\{\"a\":1\\}|high|allowed_tools";
    let leaf = prop_oneof![
        1 => Just(Value::Null),
        1 => any::<bool>().prop_map(Value::from),
        1 => any::<i64>().prop_map(Value::from),
        1 => any::<f64>().prop_map(Value::from),
        4 => WORDS.prop_map(Value::from),
        1 => ".{0,6}".prop_map(Value::from),
    ];
    let value = leaf.prop_recursive(6, 64, 6, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            proptest::collection::hash_map(KEYS, inner, 0..6)
                .prop_map(|fields| fields.into_iter().collect::<Value>()),
        ]
    });
    (value.clone(), proptest::collection::vec(value, 0..4), any::<u8>()).prop_map(|(any, items, kind)| {
        match kind % 4 {
            0 => any,
            1 => json!({"model": "m", "messages": items, "tools": any, "max_tokens": 1}),
            2 => json!({"model": "m", "input": items, "tools": any}),
            _ => json!({"model": "m", "prompt": "p", "messages": [{"role": "user", "content": items}],
                "input": [{"role": "user", "content": items}], "max_tokens": 1, "stop": any}),
        }
    })
}

#[test]
fn a_stream_that_breaks_off_says_so_and_does_not_say_that_it_is_whole() {
    let failure = Failure::new(crate::upstream::bridge::Kind::Overloaded, "too much to do");
    for door in [Door::Chat, Door::Completions] {
        let mut writer = writer(door);
        let mut to = Vec::new();
        writer.event(&Event::Begin(crate::upstream::bridge::event::Begin::Text), &mut to);
        writer.event(&Event::Text("half".to_owned()), &mut to);
        writer.failed(&failure, &mut to);
        let stream = String::from_utf8(to).unwrap();
        let last = reading_back::events(&stream).pop().unwrap();
        assert_eq!(last.1["error"]["code"], "overloaded");
        assert!(!stream.contains("[DONE]"), "{stream}");
        assert!(!stream.contains("\"finish_reason\":\"stop\""), "{stream}");
    }
}
