//! Which sessions are kept, for how long, and how they are counted.

use serde_json::{Value, json};

use super::answer;
use crate::support::{Provider, Proxy, Watch};

const OPEN: &str = "perimeter_sessions{state=\"open\"}";
const OVER: &str = "perimeter_sessions{state=\"over\"}";

/// So many sessions began, as they are known.
fn begun(known: &str) -> String {
    format!("perimeter_sessions_total{{known=\"{known}\"}}")
}

/// So many calls belong so to their sessions.
fn calls(relation: &str) -> String {
    format!("perimeter_session_calls_total{{relation=\"{relation}\"}}")
}

/// A call with this body and these fields, answered.
fn ask(provider: &Provider, proxy: &Proxy, path: &str, fields: &str, body: &Value) {
    let body = body.to_string();
    let mut client = proxy.connect();
    client.send(format!(
        "POST {path} HTTP/1.1\r\nHost: app\r\nContent-Type: application/json\r\n{fields}Content-Length: {}\r\n\r\n{body}",
        body.len()
    ));
    let mut upstream = provider.accept();
    let head = upstream.head();
    upstream.body(&head);
    answer((client, upstream));
}

const CHAT: &str = "/v1/chat/completions";

/// A conversation of these messages, the user's and the model's in turn.
fn said(messages: &[&str]) -> Value {
    let roles = ["user", "assistant"].into_iter().cycle();
    let messages: Vec<_> =
        roles.zip(messages).map(|(role, text)| json!({"role": role, "content": text})).collect();
    json!({"model": "m", "messages": messages})
}

#[test]
fn sessions_and_their_calls_are_counted() {
    let provider = Provider::start();
    let proxy = Proxy::to(&provider).start();
    assert!(proxy.admin("/metrics").body.contains(&format!("{} 0\n", calls("sub_agent"))));
    for _ in 0..2 {
        ask(&provider, &proxy, CHAT, "x-perimeter-session-id: a\r\n", &said(&["Hello"]));
    }
    ask(&provider, &proxy, CHAT, "", &said(&["Good morning"]));
    ask(&provider, &proxy, CHAT, "", &said(&["Good morning", "hi", "And now?"]));
    ask(&provider, &proxy, "/v1/embeddings", "", &json!({"model": "m", "input": "x"}));
    for (series, count) in [
        (OPEN.to_owned(), 2.0),
        (OVER.to_owned(), 0.0),
        (begun("told"), 1.0),
        (begun("recognised"), 1.0),
        (begun("alone"), 1.0),
        (calls("opening"), 3.0),
        (calls("regenerate"), 1.0),
        (calls("turn"), 1.0),
    ] {
        proxy.wait_for_metric(&series, count);
    }
}

#[test]
fn a_session_that_is_over_is_remembered_for_a_while() {
    let provider = Provider::start();
    let proxy = Proxy::to(&provider).yaml("session: {completion_timeout: 100ms}").start();
    ask(&provider, &proxy, CHAT, "", &said(&["Hello"]));
    proxy.wait_for_metric(OVER, 1.0);
    assert_eq!(proxy.metric(OPEN), 0.0);
    ask(&provider, &proxy, CHAT, "", &said(&["Hello", "hi", "And now?"]));
    proxy.wait_for_metric(&calls("turn"), 1.0);
    assert_eq!(proxy.metric(&begun("recognised")), 1.0);
}

#[test]
fn a_session_lives_no_longer_than_it_may_whenever_it_would_be_over() {
    let provider = Provider::start();
    let watch = Watch::of(&[("witness", "")]);
    let settings = "session: {session_ttl_seconds: 500ms, completion_timeout: 1h}";
    let proxy = watch.setup(&provider).yaml(settings).start();
    ask(&provider, &proxy, CHAT, "", &said(&["Hello"]));
    watch.wait(0, |told| told.of("on_session_end").len() == 1);
    ask(&provider, &proxy, CHAT, "", &said(&["Hello", "hi", "And now?"]));
    proxy.wait_for_metric(&begun("recognised"), 2.0);
}

#[test]
fn where_there_is_room_for_one_session_the_next_one_takes_it() {
    let provider = Provider::start();
    let proxy = Proxy::to(&provider).yaml("session: {max_sessions: 1}").start();
    for messages in [&["One"][..], &["Two"], &["One", "hi", "And now?"]] {
        ask(&provider, &proxy, CHAT, "", &said(messages));
    }
    proxy.wait_for_metric(&begun("recognised"), 3.0);
    // The one that holds it goes on.
    ask(&provider, &proxy, CHAT, "", &said(&["One", "hi", "And now?", "hi", "And then?"]));
    proxy.wait_for_metric(&calls("turn"), 1.0);
    proxy.wait_for_metric(OPEN, 1.0);
    assert_eq!(proxy.metric(&calls("opening")), 3.0);
}

#[test]
fn where_there_are_no_sessions_each_call_is_its_own() {
    let provider = Provider::start();
    let proxy = Proxy::to(&provider).yaml("session: {enabled: false}").start();
    ask(&provider, &proxy, CHAT, "x-perimeter-session-id: a\r\n", &said(&["Hello"]));
    ask(&provider, &proxy, CHAT, "", &said(&["Hello"]));
    ask(&provider, &proxy, CHAT, "", &said(&["Hello", "hi", "And now?"]));
    proxy.wait_for_metric(&begun("alone"), 3.0);
    let none = [OPEN.to_owned(), begun("told"), begun("recognised"), calls("turn")];
    assert!(none.iter().all(|series| proxy.metric(series) == 0.0));
    proxy.wait_for_metric("perimeter_observe_memory_bytes", 0.0);
}

#[test]
fn calls_of_which_only_a_beginning_was_read_are_nobodys_next_turn() {
    let provider = Provider::start();
    let proxy = Proxy::to(&provider).yaml("observe: {body_limit: 4KiB}").start();
    let long = "The same for all of them. ".repeat(400);
    for messages in [
        &[&*long, "hi", "Yes"][..],
        &[&*long, "hi", "No"],
        &[&*long, "hi", "Yes", "hi", "And now?"],
        &[&*long],
    ] {
        ask(&provider, &proxy, CHAT, "", &said(messages));
    }
    proxy.wait_for_metric(&begun("recognised"), 4.0);
    assert_eq!(proxy.metric(&calls("opening")), 4.0);
    // And somebody of whom all was read is not among them.
    ask(&provider, &proxy, CHAT, "", &said(&["Hello"]));
    proxy.wait_for_metric(&begun("recognised"), 5.0);
}
