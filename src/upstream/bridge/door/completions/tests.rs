use http::HeaderMap;
use serde_json::{Value, json};

use super::*;
use crate::upstream::bridge::Kind;
use crate::upstream::bridge::door::Door;
use crate::upstream::bridge::door::tests::{read_with, streamed, whole};
use crate::upstream::bridge::event::{Done, Stop, Usage};

/// What is read of a request with `prompt` and `more`.
fn read(prompt: Value, more: Value, lenient: bool) -> Result<Reading, Failure> {
    let mut body = json!({"model": "m", "prompt": prompt});
    body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    read_with(Door::Completions, &HeaderMap::new(), &body.to_string(), lenient)
}

#[test]
fn a_prompt_is_what_a_user_says() {
    for prompt in [json!("once upon"), json!(["once upon"])] {
        let ask = read(prompt, json!({"max_tokens": 3, "stop": ["."], "user": "u"}), false).unwrap().ask;
        let [turn] = ask.turns.as_slice() else { panic!("one turn") };
        assert_eq!(turn.role, Role::User);
        assert!(matches!(&turn.parts[0].block, Block::Text(text) if text == "once upon"));
        assert_eq!((ask.max_tokens, ask.stop.len()), (Some(3), 1));
        assert_eq!(ask.warnings.header(), None);
    }
}

#[test]
fn prompts_that_cannot_be_answered_are_refused() {
    for (prompt, kind) in [
        (json!(["a", "b"]), Kind::Unsupported),
        (json!([1, 2]), Kind::Unsupported),
        (json!([[1, 2]]), Kind::Unsupported),
        (json!([]), Kind::Invalid),
        (json!(""), Kind::Invalid),
        (json!([""]), Kind::Invalid),
        (json!(7), Kind::Invalid),
        (Value::Null, Kind::Invalid),
    ] {
        let failure = read(prompt.clone(), json!({}), true).err().expect("a failure");
        assert_eq!((failure.kind, failure.param.as_deref()), (kind, Some("prompt")), "{prompt}");
    }
}

#[test]
fn parameters_are_refused_or_noted_by_the_rule() {
    for (name, value) in [
        ("n", json!(2)),
        ("best_of", json!(2)),
        ("logprobs", json!(0)),
        ("echo", json!(true)),
        ("suffix", json!("x")),
    ] {
        let failure = read(json!("x"), json!({name: value}), false).err().expect("a failure");
        assert_eq!((failure.kind, failure.param.as_deref()), (Kind::Unsupported, Some(name)));
        let ask = read(json!("x"), json!({name: value}), true).unwrap().ask;
        assert_eq!(ask.warnings.header(), Some(format!("dropped={name}")));
    }
    let harmless = json!({"temperature": 0, "top_p": 0, "seed": 1, "zzz": 1, "presence_penalty": 0, "n": 1,
        "best_of": 1, "logprobs": null, "echo": false, "suffix": ""});
    let ask = read(json!("x"), harmless, false).unwrap().ask;
    assert_eq!(ask.warnings.header().unwrap(), "dropped=temperature,top_p,seed,zzz");
}

#[test]
fn an_answer_is_its_text() {
    let usage = Usage { input: 2, output: 3, ..Usage::default() };
    let events = [
        Event::Begin(Begin::Thinking),
        Event::Thinking("hm".to_owned()),
        Event::End,
        Event::Begin(Begin::Text),
        Event::Text("a ".to_owned()),
        Event::Text("time".to_owned()),
        Event::End,
        Event::Done(Done { stop: Stop::MaxTokens, usage, refusal: None, cost: None }),
    ];
    let writer =
        || read(json!("x"), json!({"stream_options": {"include_usage": true}}), false).unwrap().writer;
    let mut answer = whole(writer(), &events);
    let id = answer["id"].take();
    answer["created"].take();
    assert!(id.as_str().unwrap().starts_with("cmpl-"));
    insta::assert_snapshot!(format!("{answer:#}"));
    let stream = streamed(writer(), &events);
    assert!(stream.contains("\"text\":\"a \""), "{stream}");
    assert!(stream.ends_with("data: [DONE]\n\n"), "{stream}");
    assert!(!stream.contains("hm"), "{stream}");
}
