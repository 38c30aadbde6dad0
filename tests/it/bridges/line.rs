//! Whose turn it is at a bridge, and who keeps no place from others.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::scripted_stackspot::{Reply, Stackspot};
use crate::support::proxy::ask;
use crate::support::{Proxy, Wire};

/// A bridge with so many places, and a Stackspot whose answers wait for the gate.
fn start(places: usize, more: &str) -> (Stackspot, Proxy) {
    let spot = Stackspot::start();
    spot.answer_by(|_| Reply::deltas(&["Hello"]).gate(0, "go"));
    let llm = spot.yaml("requests_per_minute: 100000");
    let yaml = format!(
        "{}\n  bridge: {{concurrency: {places}, body_limit: 64KiB}}\nserver: {{client_keys: [a, b, c]}}\n{more}",
        llm.trim_end()
    );
    let proxy = Proxy::bridge("stackspot").yaml(&yaml).start();
    (spot, proxy)
}

/// A request of whoever has this key, which says so.
fn request(key: &str) -> String {
    let body = json!({"model": "chat", "messages": [{"role": "user", "content": format!("I am {key}.")}]});
    let body = body.to_string();
    format!(
        "POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nx-api-key: {key}\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
}

fn send(proxy: &Proxy, key: &'static str) -> (&'static str, Wire) {
    let mut wire = proxy.connect();
    wire.send(request(key));
    (key, wire)
}

/// How many wait, once `enough` of them do.
fn wait_for_waiting(proxy: &Proxy, enough: u64) {
    let begin = Instant::now();
    loop {
        let page = ask(
            proxy.address(),
            "GET /ready HTTP/1.1\r\nHost: localhost\r\nx-api-key: a\r\nConnection: close\r\n\r\n",
        );
        let page: Value = serde_json::from_str(&page.body).unwrap();
        if page["queue"]["waiting"].as_u64().unwrap() == enough {
            return;
        }
        assert!(begin.elapsed() < Duration::from_secs(30), "{page}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn of_200_at_4_places_all_keys_have_their_share_and_the_rest_hear_when_to_come_again() {
    let (spot, proxy) = start(4, "");
    let mut all: Vec<_> = (0..4).map(|_| send(&proxy, "a")).collect();
    spot.wait_for_chats(4);
    // One of them fills the line before the others come.
    all.extend((0..100).map(|_| send(&proxy, "a")));
    wait_for_waiting(&proxy, 100);
    all.extend((0..96).map(|number| send(&proxy, if number % 2 == 0 { "b" } else { "c" })));
    proxy.wait_for_metric(r#"perimeter_exchanges_total{status="4xx",outcome="complete"}"#, 96.0);
    wait_for_waiting(&proxy, 100);
    spot.open("go");
    let mut answered = std::collections::HashMap::<_, usize>::new();
    for (key, mut wire) in all {
        let head = wire.head();
        let body: Value = serde_json::from_slice(&wire.body(&head)).unwrap();
        if head.status() == 200 {
            *answered.entry(key).or_default() += 1;
        } else {
            assert_eq!((head.status(), &body["error"]["code"]), (429, &json!("queue_full")), "{body}");
            assert!(head.value("retry-after").unwrap().parse::<u64>().unwrap() > 0);
        }
    }
    assert_eq!(answered.values().sum::<usize>(), 104, "{answered:?}");
    assert!(answered["b"] >= 33 && answered["c"] >= 33, "a filled line keeps nobody out: {answered:?}");
    // They take turns: of any that follow each other, no key has much more than another. Four are on their way at once.
    let order: Vec<_> = spot.chats()[4..].iter().map(|chat| chat.prompt()).collect();
    for turns in order[..90].chunks(30) {
        for key in ["a", "b", "c"] {
            let theirs = turns.iter().filter(|prompt| prompt.contains(&format!("I am {key}."))).count();
            assert!((6..=14).contains(&theirs), "{key}: {theirs} of {turns:?}");
        }
    }
}

#[test]
fn a_request_that_drips_has_no_place_until_it_is_whole() {
    let (spot, proxy) = start(1, "");
    spot.open("go");
    let whole = request("a");
    let (most, last) = whole.split_at(whole.len() - 1);
    let mut drips: Vec<_> = (0..20).map(|_| proxy.connect()).collect();
    for drip in &mut drips {
        drip.send(most);
    }
    let (_, mut other) = send(&proxy, "b");
    assert_eq!(other.head().status(), 200);
    for drip in &mut drips {
        drip.send(last);
        assert_eq!(drip.head().status(), 200);
    }
}

#[test]
fn a_body_that_is_held_back_is_asked_for_at_once_and_not_at_all_where_it_is_too_large() {
    let (spot, proxy) = start(1, "");
    spot.open("go");
    let head = |length: usize| {
        format!(
            "POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nx-api-key: a\r\nExpect: 100-continue\r\n\
             Content-Length: {length}\r\n\r\n"
        )
    };
    // A machine that was busy elsewhere says nothing about the proxy.
    let asked = (0..10).any(|_| {
        let mut client = proxy.connect();
        let begin = Instant::now();
        client.send(head(5));
        client.expect("HTTP/1.1 100 Continue\r\n\r\n");
        begin.elapsed() < Duration::from_secs(1)
    });
    assert!(asked, "nobody else is there who would ask for it");
    let mut client = proxy.connect();
    client.send(head(64 * 1024 + 1));
    let answer = client.head();
    assert_eq!(answer.status(), 413);
    let body: Value = serde_json::from_slice(&client.body(&answer)).unwrap();
    assert_eq!(body["error"]["code"], "request_too_large");
}
