//! How streamed answers came: when, with which gaps, and who made whom wait. Time must pass here: a silence is made by
//! being silent, and told by a threshold far below it.

use std::thread;
use std::time::Duration;

use serde_json::{Value, json};

use crate::support::{Provider, Proxy, Watch, Wire};

const EVENTS: &str = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n";

/// Longer than anything takes here, and shorter than a [`SILENCE`].
const THRESHOLD: &str = "observe: {stall_threshold: 1s}\n";

const SILENCE: Duration = Duration::from_millis(1500);

fn start() -> (Provider, Proxy, Watch) {
    let provider = Provider::start();
    let watch = Watch::of(&[("witness", "chunks: false")]);
    let proxy = watch.setup(&provider).yaml(THRESHOLD).start();
    (provider, proxy, watch)
}

/// A call that is being answered.
fn ask(provider: &Provider, proxy: &Proxy) -> (Wire, Wire) {
    let body = json!({"model": "m", "stream": true, "messages": [{"role": "user", "content": "Hello"}]});
    let body = body.to_string();
    let mut client = proxy.connect();
    client.send(format!(
        "POST /v1/chat/completions HTTP/1.1\r\nHost: app\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    ));
    let mut upstream = provider.accept();
    let head = upstream.head();
    upstream.body(&head);
    upstream.send(EVENTS);
    (client, upstream)
}

fn says(text: &str) -> String {
    let event = json!({"id": "c", "model": "m", "choices": [{"index": 0, "delta": {"content": text}}]});
    format!("data: {event}\n\n")
}

const ENDS: &str = "data: {\"id\":\"c\",\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\ndata: [DONE]\n\n";

/// How the only answer came.
#[track_caller]
fn stream(watch: &Watch, proxy: Proxy) -> Value {
    let told = watch.stop(proxy);
    let last = told.lines.iter().rfind(|line| line.get("stream").is_some());
    last.expect("no answer was told")["stream"].clone()
}

fn stalls(stream: &Value) -> Vec<(&str, bool)> {
    let long = |stall: &Value| stall["lasted"].as_u64().unwrap() >= 1_400;
    stream["stalls"]
        .as_array()
        .unwrap()
        .iter()
        .map(|stall| (stall["by"].as_str().unwrap(), long(stall)))
        .collect()
}

#[test]
fn a_provider_that_falls_silent_is_told_as_the_one_who_did() {
    let (provider, proxy, watch) = start();
    let (mut client, mut upstream) = ask(&provider, &proxy);
    client.head();
    for text in ["a", "b"] {
        upstream.send_chunk(says(text));
        client.expect_in_chunks(says(text));
        thread::sleep(SILENCE);
    }
    upstream.send_chunk(ENDS);
    upstream.send("0\r\n\r\n");
    client.expect_in_chunks(ENDS);
    assert!(client.chunk().is_empty());
    let stream = stream(&watch, proxy);
    assert_eq!(stalls(&stream), [("Upstream", true), ("Upstream", true)], "{stream}");
    let time = |name: &str| stream[name].as_u64().unwrap();
    assert!(time("first_byte") <= time("first_chunk") && time("first_chunk") <= time("first_token"));
    assert!(time("last_token") >= time("first_token") + 1_400 && time("last") >= time("last_token") + 1_400);
    assert_eq!((time("chunks"), time("gaps")), (3, 2), "{stream}");
    assert!(time("longest") >= 1_400);
}

#[test]
fn a_client_that_does_not_read_is_told_as_the_one_who_did_not() {
    let (provider, proxy, watch) = start();
    let (mut client, mut upstream) = ask(&provider, &proxy);
    client.head();
    // More than all buffers on the way hold. Comments are no part of the answer, so they are not kept.
    let comment = format!(": {}\n\n", "x".repeat(256 * 1024));
    let fills = thread::spawn(move || {
        upstream.send_chunk(says("a"));
        for _ in 0..160 {
            upstream.send_chunk(&comment);
        }
        upstream.send_chunk(ENDS);
        upstream.send("0\r\n\r\n");
    });
    thread::sleep(SILENCE);
    let (body, _) = client.chunked();
    fills.join().unwrap();
    assert!(body.ends_with(ENDS.as_bytes()));
    let stream = stream(&watch, proxy);
    assert!(
        stalls(&stream).contains(&("Client", false)) || stalls(&stream).contains(&("Client", true)),
        "{stream}"
    );
    assert!(!stalls(&stream).iter().any(|(by, _)| *by == "Upstream"), "{stream}");
}

#[test]
fn a_silence_that_ends_with_the_client_leaving_is_the_providers() {
    let (provider, proxy, watch) = start();
    let (mut client, mut upstream) = ask(&provider, &proxy);
    client.head();
    upstream.send_chunk(says("a"));
    client.expect_in_chunks(says("a"));
    thread::sleep(SILENCE);
    client.close();
    upstream.expect_end();
    let stream = stream(&watch, proxy);
    assert_eq!(stalls(&stream), [("Upstream", true)], "{stream}");
}

#[test]
fn pings_do_not_hide_a_silence() {
    let (provider, proxy, watch) = start();
    let (mut client, mut upstream) = ask(&provider, &proxy);
    client.head();
    for event in [&*says("a"), ": ping\n\n", ": ping\n\n", ENDS] {
        upstream.send_chunk(event);
        client.expect_in_chunks(event);
        thread::sleep(SILENCE / 2);
    }
    upstream.send("0\r\n\r\n");
    assert!(client.chunk().is_empty());
    let stream = stream(&watch, proxy);
    assert_eq!((stalls(&stream), &stream["chunks"]), (vec![("Upstream", true)], &json!(2)), "{stream}");
}

#[test]
fn an_answer_that_comes_whole_is_no_stream() {
    let (provider, proxy, watch) = start();
    let mut client = proxy.connect();
    let body = r#"{"model":"m","messages":[{"role":"user","content":"Hi"}]}"#;
    client.send(format!(
        "POST /v1/chat/completions HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    ));
    let mut upstream = provider.accept();
    let head = upstream.head();
    upstream.body(&head);
    let answer = r#"{"id":"c","choices":[{"index":0,"message":{"role":"assistant","content":"hi"},"finish_reason":"stop"}]}"#;
    upstream.send(format!(
        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{answer}",
        answer.len()
    ));
    client.head();
    client.expect(answer);
    upstream.close();
    assert_eq!(stream(&watch, proxy), Value::Null);
}
