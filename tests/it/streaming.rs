//! What one side says reaches the other at once: the next piece is said only when the last one has arrived.

use std::thread;
use std::time::Duration;

use crate::support::{GET, Provider, Proxy, Wire, answered, asked, pattern, start};

const EVENTS: &str =
    "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n";

#[test]
fn the_response_head_arrives_before_any_of_its_body() {
    let (provider, proxy) = start();
    let (mut client, mut upstream) = asked(&provider, &proxy, GET);
    upstream.send(EVENTS);
    assert_eq!(client.head().status(), 200);
    client.expect_silence();
}

#[test]
fn each_event_arrives_before_the_next_is_sent() {
    let (provider, proxy) = start();
    let (mut client, mut upstream) = answered(&provider, &proxy, GET, EVENTS);
    for n in 0..200 {
        let event = format!("data: {{\"choices\":[{{\"delta\":{{\"content\":\"{n}\"}}}}]}}\n\n");
        upstream.send_chunk(&event);
        client.expect_in_chunks(&event);
    }
    upstream.send("0\r\n\r\n");
    assert!(client.chunk().is_empty());
}

#[test]
fn each_byte_arrives_before_the_next_is_sent() {
    let (provider, proxy) = start();
    let (mut client, mut upstream) = answered(&provider, &proxy, GET, EVENTS);
    for byte in b"data: a\r\n\r\ndata: [DONE]\n\n" {
        upstream.send_chunk([*byte]);
        assert_eq!(client.chunk(), [*byte]);
    }
}

#[test]
fn comments_and_pings_of_a_stream_pass() {
    let (provider, proxy) = start();
    let (mut client, mut upstream) = answered(&provider, &proxy, GET, EVENTS);
    for event in [
        ": OPENROUTER PROCESSING\n\n",
        ":\n\n",
        "event: ping\ndata: {\"type\": \"ping\"}\n\n",
        "\n",
        "\r\n\r\n",
    ] {
        upstream.send_chunk(event);
        client.expect_in_chunks(event);
    }
}

#[test]
fn an_event_cut_anywhere_arrives_in_its_pieces() {
    let (provider, proxy) = start();
    let (mut client, mut upstream) = answered(&provider, &proxy, GET, EVENTS);
    // A chunk that arrives in two halves: the first half of its data is no less data.
    upstream.send("c\r\ndata: ");
    client.expect_in_chunks("data: ");
    upstream.send("hello\n\r\n");
    client.expect_in_chunks("hello\n");
}

#[test]
fn a_body_of_a_given_length_streams_as_well() {
    let (provider, proxy) = start();
    let (mut client, mut upstream) =
        answered(&provider, &proxy, GET, "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n");
    for piece in ["a", "bc", "def", "ghij"] {
        upstream.send(piece);
        client.expect(piece);
    }
}

#[test]
fn a_body_that_ends_with_the_connection_streams_as_well() {
    let (provider, proxy) = start();
    let (mut client, mut upstream) = asked(&provider, &proxy, GET);
    upstream.send("HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n");
    let head = client.head();
    for piece in ["data: a\n\n", "data: b\n\n"] {
        upstream.send(piece);
        if head.is_chunked() { client.expect_in_chunks(piece) } else { client.expect(piece) }
    }
}

#[test]
fn each_piece_of_a_request_body_arrives_before_the_next_is_sent() {
    let (provider, proxy) = start();
    let mut client = proxy.connect();
    client.send("POST / HTTP/1.1\r\nHost: app\r\nTransfer-Encoding: chunked\r\n\r\n");
    let mut upstream = provider.accept();
    upstream.head();
    for n in 0..100 {
        let piece = format!("piece {n}");
        client.send_chunk(&piece);
        upstream.expect_in_chunks(&piece);
    }
    client.send("0\r\n\r\n");
    assert!(upstream.chunk().is_empty());
}

#[test]
fn each_piece_of_an_upload_of_a_given_length_arrives_before_the_next_is_sent() {
    let (provider, proxy) = start();
    let mut client = proxy.connect();
    client.send("POST / HTTP/1.1\r\nHost: app\r\nContent-Length: 10\r\n\r\n");
    let mut upstream = provider.accept();
    upstream.head();
    for piece in ["a", "bc", "def", "ghij"] {
        client.send(piece);
        upstream.expect(piece);
    }
}

#[test]
fn the_request_head_arrives_before_any_of_its_body() {
    let (provider, proxy) = start();
    let mut client = proxy.connect();
    client.send("POST / HTTP/1.1\r\nHost: app\r\nContent-Length: 5\r\n\r\n");
    let mut upstream = provider.accept();
    assert_eq!(upstream.head().value("Content-Length"), Some("5"));
    upstream.expect_silence();
    client.send("hello");
    upstream.expect("hello");
}

#[test]
fn both_directions_stream_at_once() {
    let (provider, proxy) = start();
    let mut client = proxy.connect();
    client.send("POST / HTTP/1.1\r\nHost: app\r\nTransfer-Encoding: chunked\r\n\r\n");
    let mut upstream = provider.accept();
    upstream.head();
    upstream.send(EVENTS);
    client.head();
    for n in 0..50 {
        let (question, answer) = (format!("question {n}"), format!("answer {n}"));
        client.send_chunk(&question);
        upstream.expect_in_chunks(&question);
        upstream.send_chunk(&answer);
        client.expect_in_chunks(&answer);
    }
    client.send("0\r\n\r\n");
    assert!(upstream.chunk().is_empty());
    upstream.send_chunk("last");
    client.expect_in_chunks("last");
}

#[test]
fn an_answer_given_before_the_request_has_ended_reaches_the_client() {
    let (provider, proxy) = start();
    let mut client = proxy.connect();
    client.send("POST / HTTP/1.1\r\nHost: app\r\nContent-Length: 10\r\n\r\nhello");
    let mut upstream = provider.accept();
    upstream.head();
    upstream.expect("hello");
    upstream.send("HTTP/1.1 413 Payload Too Large\r\nContent-Length: 3\r\n\r\nbig");
    assert_eq!(client.head().status(), 413);
    client.expect("big");
}

#[test]
fn an_answer_given_while_the_client_still_sends_reaches_it() {
    let (provider, proxy) = start();
    let mut client = proxy.connect();
    client.send("POST / HTTP/1.1\r\nHost: app\r\nContent-Length: 1000000000\r\n\r\n");
    let mut upstream = provider.accept();
    upstream.head();
    // The provider answers without reading on and closes, as servers do that refuse an upload.
    upstream.send("HTTP/1.1 413 Payload Too Large\r\nConnection: close\r\nContent-Length: 3\r\n\r\nbig");
    upstream.half_close();
    let mut writer = client.writer();
    thread::scope(|scope| {
        scope.spawn(move || while writer.try_send(pattern::bytes(65536)).is_ok() {});
        assert_eq!(client.head().status(), 413);
        client.expect("big");
        client.socket().shutdown(std::net::Shutdown::Both).unwrap();
    });
}

#[test]
fn one_client_that_does_not_read_holds_up_nobody_else() {
    let provider = Provider::start();
    let proxy = Proxy::to(&provider).yaml("server: {workers: 1}").start();
    let (stuck, mut full) =
        answered(&provider, &proxy, GET, "HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n");
    fill_until_stuck(&mut full, 1_000_000_000);
    let (mut client, mut upstream) = answered(&provider, &proxy, GET, EVENTS);
    upstream.send_chunk("data: hello\n\n");
    client.expect_in_chunks("data: hello\n\n");
    drop(stuck);
}

#[test]
fn a_slow_reader_slows_the_provider_and_memory_stays_flat() {
    let (provider, proxy) = start();
    let before = proxy.peak_memory();
    let total = 1 << 30;
    let (mut client, mut upstream) =
        answered(&provider, &proxy, GET, &format!("HTTP/1.1 200 OK\r\nContent-Length: {total}\r\n\r\n"));
    let sent = fill_until_stuck(&mut upstream, total);
    let growth = proxy.peak_memory().saturating_sub(before);
    assert!(growth < 32 << 20, "the proxy grew by {growth} bytes");
    pattern::expect(&mut client, sent);
}

#[test]
fn a_slow_provider_slows_the_upload_and_memory_stays_flat() {
    let (provider, proxy) = start();
    let before = proxy.peak_memory();
    let total = 1 << 30;
    let mut client = proxy.connect();
    client.send(format!("POST / HTTP/1.1\r\nHost: app\r\nContent-Length: {total}\r\n\r\n"));
    let mut upstream = provider.accept();
    upstream.head();
    let sent = fill_until_stuck(&mut client, total);
    let growth = proxy.peak_memory().saturating_sub(before);
    assert!(growth < 32 << 20, "the proxy grew by {growth} bytes");
    pattern::expect(&mut upstream, sent);
}

/// Sends the pattern until nothing more is taken for a second, and says how much was. That the whole of `total` is
/// not taken is what the tests want to know; how long it takes to be sure is not.
fn fill_until_stuck(wire: &mut Wire, total: u64) -> u64 {
    wire.socket().set_write_timeout(Some(Duration::from_secs(1))).unwrap();
    let sent = pattern::send_until_stuck(wire, total);
    assert!(sent < total / 4, "{sent} bytes went out to somebody who does not read");
    sent
}
