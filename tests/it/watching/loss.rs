//! What does not fit is lost from behind, exchange by exchange, and everybody is told how much that was.

use serde_json::json;

use crate::support::told::Exchange;
use crate::support::{Gate, Provider, Proxy, Watch, asked, latin1, pattern};

const CHUNK: usize = 8 * 1024;
const CHUNKS: usize = 20;
const TOTAL: usize = CHUNK * CHUNKS;

/// An upload and a download of [`TOTAL`] bytes each. The one of that number is told of each piece before the next.
fn there_and_back(provider: &Provider, proxy: &Proxy, watch: &Watch, number: usize) {
    let before = watch.told(number).exchanges().len();
    let follows = |callback: &str, bytes: usize| {
        watch.wait(number, |told| {
            told.exchanges().get(before).is_some_and(|exchange| exchange.bytes(callback) >= bytes as u64)
        });
    };
    let body = pattern::bytes(TOTAL);
    let mut client = proxy.connect();
    client.send(format!("POST / HTTP/1.1\r\nHost: app\r\nContent-Length: {TOTAL}\r\n\r\n"));
    let mut upstream = provider.accept();
    upstream.head();
    for (n, chunk) in body.chunks(CHUNK).enumerate() {
        client.send(chunk);
        assert!(upstream.exactly(CHUNK) == chunk);
        follows("on_request_chunk", (n + 1) * CHUNK);
    }
    upstream.send(format!("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: {TOTAL}\r\n\r\n"));
    client.head();
    for (n, chunk) in body.chunks(CHUNK).enumerate() {
        upstream.send(chunk);
        assert!(client.exactly(CHUNK) == chunk);
        follows("on_response_chunk", (n + 1) * CHUNK);
    }
    upstream.close();
}

/// That a true prefix of each side was told, and how much is missing; which is how much.
#[track_caller]
fn assert_prefix(exchange: &Exchange, request: &[u8], response: &[u8]) -> u64 {
    let unseen = exchange.unseen();
    for (callback, unseen, whole) in
        [("on_request_chunk", unseen.0, request), ("on_response_chunk", unseen.1, response)]
    {
        let told = exchange.text(callback);
        assert!(latin1(whole).starts_with(&told), "{callback}: not a prefix");
        assert_eq!(exchange.bytes(callback) + unseen, whole.len() as u64, "{callback}");
    }
    assert_eq!(exchange.ended(), (&json!("complete"), &json!("complete")));
    unseen.0 + unseen.1
}

fn unseen_by(queue: &str) -> String {
    format!("perimeter_unseen_bytes_total{{queue=\"{queue}\"}}")
}

fn refused_by(queue: &str) -> String {
    format!("perimeter_refused_exchanges_total{{queue=\"{queue}\"}}")
}

#[test]
fn a_blocked_interceptor_loses_the_end_of_what_it_had_no_room_for_and_nobody_else_does() {
    let gate = Gate::new();
    let provider = Provider::start();
    let settings = format!("at: on_request_head, {}", gate.settings());
    let watch = Watch::of(&[("witness", ""), ("blocked", &settings)]);
    let proxy = watch.setup(&provider).yaml("observe: {mailbox: 64KiB}").start();
    there_and_back(&provider, &proxy, &watch, 0);
    let held = gate.blocked();
    there_and_back(&provider, &proxy, &watch, 0);
    proxy.wait_for_log(|line| line.contains("blocked") && line.contains("does not fit into its mailbox"));
    let lost = proxy.metric(&unseen_by("blocked"));
    assert!(proxy.metric("perimeter_queue_bytes{queue=\"blocked\"}") < (64 + 8) as f64 * 1024.0);
    drop(held);
    proxy.wait_for_log(|line| line.contains("blocked") && line.contains("is told everything again"));
    assert_eq!((proxy.metric(&unseen_by("witness")), proxy.metric(&unseen_by("journal"))), (0.0, 0.0));
    proxy.stop();

    let body = pattern::bytes(TOTAL);
    let seen = watch.after(0).exchanges();
    assert_eq!(seen.len(), 2);
    assert!(seen.iter().all(|exchange| assert_prefix(exchange, &body, &body) == 0));
    let blocked = watch.after(1).exchanges();
    assert_eq!(blocked.len(), 2);
    let unseen: u64 = blocked.iter().map(|exchange| assert_prefix(exchange, &body, &body)).sum();
    assert_eq!(unseen as f64, lost);
    assert!(unseen > (4 * TOTAL - 2 * 64 * 1024) as u64, "{unseen}");
}

#[test]
fn an_exchange_that_begins_while_there_is_no_room_at_all_is_not_told() {
    let gate = Gate::new();
    let provider = Provider::start();
    let settings = format!("at: on_request_head, {}", gate.settings());
    let watch = Watch::of(&[("witness", ""), ("blocked", &settings)]);
    let proxy = watch.setup(&provider).yaml("observe: {mailbox: 64KiB}").start();
    there_and_back(&provider, &proxy, &watch, 0);
    let held = gate.blocked();
    let mut count = 1;
    while proxy.metric(&refused_by("blocked")) < 5.0 {
        assert!(count < 200, "there is always room");
        super::exchange(&provider, &proxy);
        count += 1;
        watch.wait(0, |told| told.ends() == count);
    }
    drop(held);
    // What it has caught up with it is told again.
    proxy.wait_for_metric("perimeter_queue_bytes{queue=\"blocked\"}", 0.0);
    super::exchange(&provider, &proxy);
    count += 1;
    watch.wait(1, |told| {
        told.exchanges().last().is_some_and(|last| {
            watch.told(0).exchanges().last().unwrap().lines[0]["exchange"] == last.lines[0]["exchange"]
        })
    });
    let refused = proxy.metric(&refused_by("blocked")) as usize;
    assert_eq!(proxy.metric(&refused_by("witness")), 0.0);
    proxy.stop();
    assert_eq!(watch.after(0).exchanges().len(), count);
    let told = watch.after(1).exchanges();
    assert_eq!((told.len() + refused, refused), (count, 5));
    for exchange in &told[1..] {
        assert_prefix(exchange, b"", b"ok");
    }
}

#[test]
fn a_journal_without_room_loses_the_end_for_everybody_and_says_how_much() {
    let provider = Provider::start();
    let watch = Watch::of(&[("witness", ""), ("slow", "")]);
    let proxy = watch.setup(&provider).yaml("observe: {journal: 8KiB}").start();
    let count = 300 * 1024;
    let body = pattern::bytes(count);
    let mut client = proxy.connect();
    client.send(format!("POST / HTTP/1.1\r\nHost: app\r\nContent-Length: {count}\r\n\r\n"));
    let mut upstream = provider.accept();
    upstream.head();
    std::thread::scope(|scope| {
        scope.spawn(|| client.send(&body));
        assert!(upstream.exactly(count) == body);
    });
    upstream.send(format!("HTTP/1.1 200 OK\r\nContent-Length: {count}\r\n\r\n"));
    client.head();
    std::thread::scope(|scope| {
        scope.spawn(|| upstream.send(&body));
        assert!(client.exactly(count) == body);
    });
    watch.wait(0, |told| told.ends() == 1);
    let lost = proxy.metric(&unseen_by("journal"));
    assert!(lost > 0.0);
    assert_eq!((proxy.metric(&unseen_by("witness")), proxy.metric(&unseen_by("slow"))), (0.0, 0.0));
    proxy.stop();
    for number in [0, 1] {
        let exchange = watch.after(number).only();
        assert_eq!(assert_prefix(&exchange, &body, &body) as f64, lost);
    }
}

#[test]
fn an_exchange_whose_head_does_not_fit_into_the_journal_is_not_told_and_those_around_it_are() {
    let provider = Provider::start();
    let watch = Watch::of(&[("witness", "")]);
    let proxy = watch.setup(&provider).yaml("observe: {journal: 8KiB}").start();
    super::exchange(&provider, &proxy);
    let head = format!("GET / HTTP/1.1\r\nHost: app\r\nX-Long: {}\r\n\r\n", "x".repeat(9 * 1024));
    let (mut client, mut upstream) = asked(&provider, &proxy, head);
    upstream.send(super::LAST);
    upstream.close();
    assert_eq!(client.head().status(), 200);
    client.expect("ok");
    proxy.wait_for_metric(&refused_by("journal"), 1.0);
    watch.wait(0, |told| told.ends() == 1);
    super::exchange(&provider, &proxy);
    let exchanges = watch.stop(proxy).exchanges();
    assert_eq!(exchanges.len(), 2);
    for exchange in exchanges {
        assert_eq!(exchange.line("on_request_head")["target"], "/plain");
        assert_eq!(exchange.text("on_response_chunk"), "ok");
    }
}

#[test]
fn a_call_that_is_lost_from_the_middle_on_is_told_by_the_rules_and_as_cut() {
    let gate = Gate::new();
    let provider = Provider::start();
    let settings = format!("at: on_request_head, {}", gate.settings());
    let watch = Watch::of(&[("witness", "llm: false"), ("blocked", &settings)]);
    // So that nothing is remembered of the request.
    let settings = "observe: {mailbox: 64KiB}\nsession: {enabled: false}";
    let proxy = watch.setup(&provider).yaml(settings).start();
    let body = r#"{"model":"m","stream":true,"messages":[{"role":"user","content":"hi"}]}"#;
    let (mut client, mut upstream) = asked(
        &provider,
        &proxy,
        format!(
            "POST /v1/chat/completions HTTP/1.1\r\nHost: app\r\nContent-Type: application/json\r\n\
             Content-Length: {}\r\n\r\n{body}",
            body.len()
        ),
    );
    upstream.expect(body);
    let held = gate.blocked();
    upstream.send(super::EVENTS);
    client.head();
    let mut said = Vec::new();
    let word = "x".repeat(4000);
    for n in 0..40 {
        let delta = json!({"content": word});
        let event = json!({"object": "chat.completion.chunk", "choices": [{"index": 0, "delta": delta}]});
        let event = format!("data: {event}\n\n");
        upstream.send_chunk(&event);
        client.expect_in_chunks(&event);
        said.extend(event.into_bytes());
        watch.wait(0, |told| told.of("on_response_chunk").len() > n);
    }
    upstream.send_chunk("data: [DONE]\n\n");
    upstream.send("0\r\n\r\n");
    client.chunked();
    said.extend(b"data: [DONE]\n\n");
    drop(held);
    // What was lost is not held, and what was held has been let go.
    proxy.wait_for_metric("perimeter_observe_memory_bytes", 0.0);
    proxy.stop();
    let seen = watch.after(0).only();
    assert_eq!(assert_prefix(&seen, body.as_bytes(), &said), 0);
    let blocked = watch.after(1).only();
    let told = blocked.text("on_response_chunk");
    assert!(latin1(&said).starts_with(&told) && told.len() < said.len());
    // What was not told of the meaning counts as well.
    assert!(blocked.bytes("on_response_chunk") + blocked.unseen().1 > said.len() as u64);
}

#[test]
fn a_tunnel_loses_the_end_of_each_side_and_says_how_much() {
    let gate = Gate::new();
    let provider = Provider::start();
    let settings = format!("at: on_request_head, {}", gate.settings());
    let watch = Watch::of(&[("witness", ""), ("blocked", &settings)]);
    let proxy = watch.setup(&provider).yaml("observe: {mailbox: 64KiB}").start();
    let (mut client, mut upstream) = super::tunnels::tunnel(&provider, &proxy);
    let held = gate.blocked();
    let body = pattern::bytes(TOTAL);
    for (n, chunk) in body.chunks(CHUNK).enumerate() {
        client.send(chunk);
        assert!(upstream.exactly(CHUNK) == chunk);
        upstream.send(chunk);
        assert!(client.exactly(CHUNK) == chunk);
        let both = 2 * (n + 1) * CHUNK;
        watch.wait(0, |told| {
            told.exchanges().first().is_some_and(|tunnel| tunnel.bytes("on_upgraded_chunk") == both as u64)
        });
    }
    client.close();
    upstream.expect_end();
    upstream.close();
    watch.wait(0, |told| told.ends() == 1);
    drop(held);
    // What was lost is not held, and what was held has been let go.
    proxy.wait_for_metric("perimeter_observe_memory_bytes", 0.0);
    proxy.stop();
    let whole = latin1(&body);
    let seen = watch.after(0).only();
    assert!(seen.upgraded("Client") == whole && seen.upgraded("Upstream") == whole);
    assert_eq!(seen.unseen(), (0, 0));
    let blocked = watch.after(1).only();
    for (from, unseen) in [("Client", blocked.unseen().0), ("Upstream", blocked.unseen().1)] {
        let told = blocked.upgraded(from);
        assert!(whole.starts_with(&told), "{from}: not a prefix");
        assert!(unseen > 0);
        // Latin-1 in a string: a character a byte.
        assert_eq!(told.chars().count() as u64 + unseen, TOTAL as u64, "{from}");
    }
    assert_eq!(blocked.ended(), (&json!("complete"), &json!("complete")));
}
