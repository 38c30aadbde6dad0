//! WebSockets: after the provider's 101 the bytes go both ways untouched.

use std::thread;

use rustix::process::Signal;

use crate::support::{Ending, GET, OK, Provider, Proxy, Wire, forwarded_by, pattern, start};

const HANDSHAKE: &str = "GET /v1/realtime?model=gpt-realtime HTTP/1.1\r\n\
    Host: app\r\n\
    Authorization: Bearer sk-1\r\n\
    Connection: Upgrade\r\n\
    Upgrade: websocket\r\n\
    Sec-WebSocket-Version: 13\r\n\
    Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
    Sec-WebSocket-Protocol: realtime, openai-insecure-api-key.sk-1\r\n\
    Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n\r\n";

const SWITCHING: &str = "HTTP/1.1 101 Switching Protocols\r\n\
    Upgrade: websocket\r\n\
    Connection: Upgrade\r\n\
    Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\
    Sec-WebSocket-Protocol: realtime\r\n\
    Sec-WebSocket-Extensions: permessage-deflate\r\n\r\n";

/// Both ends of a tunnel.
fn tunnel() -> (Provider, Proxy, Wire, Wire) {
    let (provider, proxy) = start();
    let (client, upstream) = tunnel_through(&provider, &proxy);
    (provider, proxy, client, upstream)
}

fn tunnel_through(provider: &Provider, proxy: &Proxy) -> (Wire, Wire) {
    let mut client = proxy.connect();
    client.send(HANDSHAKE);
    let mut upstream = provider.accept();
    upstream.head();
    upstream.send(SWITCHING);
    assert_eq!(client.head().status(), 101);
    (client, upstream)
}

#[test]
fn the_handshake_passes_byte_for_byte_both_ways() {
    let (provider, proxy) = start();
    let mut client = proxy.connect();
    client.send(HANDSHAKE);
    let mut upstream = provider.accept();
    assert_eq!(upstream.head().with(&provider.host(), "app").text(), HANDSHAKE);
    upstream.send(SWITCHING);
    assert_eq!(client.head().text(), SWITCHING);
}

#[test]
fn known_limit_an_upgrade_before_the_end_of_its_request_is_refused() {
    let (provider, proxy) = start();
    let mut client = proxy.connect();
    client.send(HANDSHAKE.replace("Host: app", "Host: app\r\nContent-Length: 5") + "he");
    let mut upstream = provider.accept();
    upstream.head();
    upstream.expect("he");
    upstream.send(SWITCHING);
    let head = client.head();
    assert_eq!((head.status(), head.value("x-perimeter-error")), (502, Some("upstream_protocol")));
    upstream.expect_end();
}

#[test]
fn an_upgrade_asked_for_beside_keep_alive_is_one() {
    let handshake = HANDSHAKE.replace("Connection: Upgrade", "Connection: keep-alive, Upgrade");
    let (provider, proxy) = start();
    let mut client = proxy.connect();
    client.send(handshake);
    let mut upstream = provider.accept();
    let head = upstream.head();
    assert_eq!(head.value("Connection"), Some("Upgrade"));
    assert_eq!(head.value("Upgrade"), Some("websocket"));
    upstream.send(SWITCHING);
    assert_eq!(client.head().status(), 101);
    client.send("ping");
    upstream.expect("ping");
}

#[test]
fn an_upgrade_is_one_in_any_case() {
    let handshake = HANDSHAKE
        .replace("Connection: Upgrade", "connection: upgrade")
        .replace("Upgrade: websocket", "upgrade: WebSocket");
    let (provider, proxy) = start();
    let mut client = proxy.connect();
    client.send(&handshake);
    assert_eq!(provider.accept().head().with(&provider.host(), "app").text(), handshake);
}

#[test]
fn bytes_pass_untouched_both_ways_piece_by_piece() {
    let (_provider, _proxy, mut client, mut upstream) = tunnel();
    let all: Vec<u8> = (0..=255).collect();
    for _ in 0..50 {
        client.send(&all);
        assert!(upstream.exactly(256) == all);
        upstream.send(&all);
        assert!(client.exactly(256) == all);
    }
}

#[test]
fn bytes_that_come_with_the_101_reach_the_client() {
    let (provider, proxy) = start();
    let mut client = proxy.connect();
    client.send(HANDSHAKE);
    let mut upstream = provider.accept();
    upstream.head();
    upstream.send(format!("{SWITCHING}hello"));
    assert_eq!(client.head().text(), SWITCHING);
    client.expect("hello");
}

#[test]
fn bytes_that_come_with_the_handshake_reach_the_provider() {
    let (provider, proxy) = start();
    let mut client = proxy.connect();
    client.send(format!("{HANDSHAKE}hello"));
    let mut upstream = provider.accept();
    upstream.head();
    upstream.send(SWITCHING);
    assert_eq!(client.head().status(), 101);
    upstream.expect("hello");
}

#[test]
fn much_passes_both_ways_at_once() {
    let (_provider, _proxy, mut client, mut upstream) = tunnel();
    let count = 20 << 20;
    let (mut client_writer, mut upstream_writer) = (client.writer(), upstream.writer());
    thread::scope(|scope| {
        scope.spawn(|| pattern::send(&mut client_writer, count));
        scope.spawn(|| pattern::send(&mut upstream_writer, count));
        scope.spawn(|| pattern::expect(&mut upstream, count));
        pattern::expect(&mut client, count);
    });
}

#[test]
fn a_client_that_has_said_all_can_still_listen() {
    let (_provider, _proxy, mut client, mut upstream) = tunnel();
    client.send("bye");
    client.half_close();
    upstream.expect("bye");
    assert_eq!(upstream.expect_end(), Ending::Fin);
    upstream.send("see you");
    client.expect("see you");
    upstream.close();
    assert_eq!(client.expect_end(), Ending::Fin);
}

#[test]
fn a_provider_that_has_said_all_can_still_listen() {
    let (_provider, _proxy, mut client, mut upstream) = tunnel();
    upstream.send("bye");
    upstream.half_close();
    client.expect("bye");
    assert_eq!(client.expect_end(), Ending::Fin);
    client.send("see you");
    upstream.expect("see you");
    client.close();
    assert_eq!(upstream.expect_end(), Ending::Fin);
}

#[test]
fn a_client_that_resets_a_tunnel_resets_it_for_the_provider() {
    let (_provider, _proxy, client, mut upstream) = tunnel();
    client.reset();
    assert_eq!(upstream.expect_end(), Ending::Reset);
}

#[test]
fn a_provider_that_resets_a_tunnel_resets_it_for_the_client() {
    let (_provider, _proxy, mut client, upstream) = tunnel();
    upstream.reset();
    assert_eq!(client.expect_end(), Ending::Reset);
}

#[test]
fn a_refused_upgrade_is_passed_on_and_the_connection_goes_on() {
    let (provider, proxy) = start();
    for refusal in [
        "HTTP/1.1 401 Unauthorized\r\nContent-Length: 2\r\n\r\n",
        "HTTP/1.1 403 Forbidden\r\nX-Why: no\r\nContent-Length: 2\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n",
    ] {
        let mut client = proxy.connect();
        client.send(HANDSHAKE);
        let mut upstream = provider.accept();
        upstream.head();
        upstream.send(format!("{refusal}no"));
        upstream.close();
        assert_eq!(client.head().text(), refusal);
        client.expect("no");
        client.send(GET);
        let mut upstream = provider.accept();
        upstream.head();
        upstream.send(OK);
        upstream.close();
        assert_eq!(client.head().status(), 200);
    }
}

#[test]
fn a_426_says_what_it_asks_for() {
    let (provider, proxy) = start();
    let mut client = proxy.connect();
    client.send(GET);
    let mut upstream = provider.accept();
    upstream.head();
    upstream.send("HTTP/1.1 426 Upgrade Required\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nContent-Length: 0\r\n\r\n");
    let head = client.head();
    assert_eq!(head.status(), 426);
    assert_eq!(head.value("Upgrade"), Some("websocket"));
}

#[test]
fn an_upgrade_goes_below_the_base_url_like_any_request() {
    let setup = |provider: &Provider| Proxy::to_url(format!("{}/openai", provider.url()));
    let head = forwarded_by(setup, HANDSHAKE.replace("/v1/", "/agent-workflow/w/v1/"));
    assert_eq!(head.target(), "/openai/v1/realtime?model=gpt-realtime");
    assert_eq!(head.value("Upgrade"), Some("websocket"));
}

#[test]
fn a_tunnel_is_counted_as_one() {
    let (_provider, proxy, client, mut upstream) = tunnel();
    client.close();
    upstream.expect_end();
    upstream.close();
    proxy.wait_for_metric("perimeter_exchanges_total{status=\"1xx\",outcome=\"upgraded\"}", 1.0);
    proxy.wait_for_metric("perimeter_open_exchanges", 0.0);
    proxy.wait_for_metric("perimeter_open_connections", 0.0);
}

#[test]
fn an_idle_tunnel_is_not_ended_by_the_patience_for_heads() {
    let provider = Provider::start();
    let proxy = Proxy::to(&provider).yaml("server: {header_timeout: 300ms}").start();
    let (mut client, mut upstream) = tunnel_through(&provider, &proxy);
    for _ in 0..3 {
        let mut slow = proxy.connect();
        slow.send("GET");
        assert_eq!(slow.head().status(), 408);
    }
    client.send("ping");
    upstream.expect("ping");
    upstream.send("pong");
    client.expect("pong");
}

#[test]
fn a_tunnel_may_finish_when_the_proxy_is_told_to_stop() {
    let (_provider, mut proxy, mut client, mut upstream) = tunnel();
    proxy.signal(Signal::TERM);
    proxy.wait_until_it_stops_accepting();
    client.send("last words");
    upstream.expect("last words");
    client.close();
    upstream.expect_end();
    upstream.close();
    assert_eq!(proxy.exit().code, Some(0));
}

#[test]
fn a_tunnel_that_does_not_finish_ends_with_the_drain() {
    let provider = Provider::start();
    let mut proxy = Proxy::to(&provider).yaml("server: {drain: 300ms}").start();
    let (mut client, mut upstream) = tunnel_through(&provider, &proxy);
    proxy.signal(Signal::TERM);
    client.expect_end();
    upstream.expect_end();
    assert_eq!(proxy.exit().code, Some(0));
}

#[test]
fn what_a_client_says_before_the_101_is_not_taken_for_http() {
    const EARLY: &[u8] = b"\x82\x05 \x80\x81\"<\xff\nGET /\xe9<> HTTP/1.1\r\nConnection: keep-alive\r\n\r\n";
    let (provider, proxy) = start();
    for in_one_write in [true, false] {
        let mut client = proxy.connect();
        if in_one_write {
            client.send([HANDSHAKE.as_bytes(), EARLY].concat());
        } else {
            client.send(HANDSHAKE);
            client.send(EARLY);
        }
        let mut upstream = provider.accept();
        upstream.head();
        upstream.send(SWITCHING);
        assert_eq!(client.head().status(), 101);
        upstream.expect(EARLY);
    }
}

#[test]
fn a_tunnel_that_is_reset_has_counted_its_bytes() {
    let (_provider, proxy, mut client, mut upstream) = tunnel();
    client.send("four");
    upstream.expect("four");
    upstream.send("seven77");
    client.expect("seven77");
    upstream.reset();
    proxy.wait_for_metric("perimeter_open_exchanges", 0.0);
    assert_eq!(proxy.metric("perimeter_request_bytes_total"), 4.0);
    assert_eq!(proxy.metric("perimeter_response_bytes_total"), 7.0);
}
