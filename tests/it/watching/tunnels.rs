//! Upgrades: what both sides say after the 101, and how they come to their end.

use serde_json::json;

use crate::support::told::Exchange;
use crate::support::{Provider, Proxy, Wire, pattern, watched};

const HANDSHAKE: &str = "GET /v1/realtime HTTP/1.1\r\nHost: app\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
    Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";

const SWITCHING: &str = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
    Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";

/// Both ends of a tunnel.
pub(super) fn tunnel(provider: &Provider, proxy: &Proxy) -> (Wire, Wire) {
    let mut client = proxy.connect();
    client.send(HANDSHAKE);
    let mut upstream = provider.accept();
    upstream.head();
    upstream.send(SWITCHING);
    assert_eq!(client.head().status(), 101);
    (client, upstream)
}

/// What was told of the tunnel of this story.
#[track_caller]
fn told_of(story: impl FnOnce(Wire, Wire)) -> Exchange {
    let (provider, proxy, watch) = watched();
    let (client, upstream) = tunnel(&provider, &proxy);
    story(client, upstream);
    watch.wait(0, |told| told.ends() > 0);
    watch.stop(proxy).only()
}

#[test]
fn the_bytes_of_a_tunnel_are_told_both_ways() {
    let all: Vec<u8> = (0..=255).collect();
    let exchange = told_of(|mut client, mut upstream| {
        for _ in 0..10 {
            client.send(&all);
            assert!(upstream.exactly(256) == all);
            upstream.send(&all);
            assert!(client.exactly(256) == all);
        }
        client.close();
        upstream.expect_end();
        upstream.close();
    });
    assert_eq!(
        exchange.course(),
        ["on_request_head", "on_response_head", "on_upgrade", "on_upgraded_chunk", "on_end"]
    );
    assert_eq!(exchange.line("on_response_head")["status"], 101);
    assert_eq!(exchange.line("on_upgrade")["protocol"], "websocket");
    let said = crate::support::latin1(all.repeat(10));
    assert_eq!((exchange.upgraded("Client"), exchange.upgraded("Upstream")), (said.clone(), said));
    assert_eq!(exchange.ended(), (&json!("complete"), &json!("complete")));
    assert_eq!(exchange.unseen(), (0, 0));
}

#[test]
fn bytes_that_came_with_the_heads_are_told() {
    let (provider, proxy, watch) = watched();
    let mut client = proxy.connect();
    client.send(format!("{HANDSHAKE}early"));
    let mut upstream = provider.accept();
    upstream.head();
    upstream.send(format!("{SWITCHING}at once"));
    assert_eq!(client.head().status(), 101);
    client.expect("at once");
    upstream.expect("early");
    client.close();
    upstream.expect_end();
    upstream.close();
    watch.wait(0, |told| told.ends() > 0);
    let exchange = watch.stop(proxy).only();
    assert_eq!(
        (exchange.upgraded("Client"), exchange.upgraded("Upstream")),
        ("early".into(), "at once".into())
    );
}

#[test]
fn what_is_said_after_the_other_side_has_finished_is_told() {
    let exchange = told_of(|mut client, mut upstream| {
        client.send("bye");
        client.half_close();
        upstream.expect("bye");
        upstream.expect_end();
        upstream.send("see you");
        client.expect("see you");
        upstream.close();
        client.expect_end();
    });
    assert_eq!(
        (exchange.upgraded("Client"), exchange.upgraded("Upstream")),
        ("bye".into(), "see you".into())
    );
    assert_eq!(exchange.ended(), (&json!("complete"), &json!("complete")));

    let exchange = told_of(|mut client, mut upstream| {
        upstream.send("bye");
        upstream.half_close();
        client.expect("bye");
        client.expect_end();
        client.send("see you");
        upstream.expect("see you");
        client.close();
        upstream.expect_end();
    });
    assert_eq!(
        (exchange.upgraded("Client"), exchange.upgraded("Upstream")),
        ("see you".into(), "bye".into())
    );
    assert_eq!(exchange.ended(), (&json!("complete"), &json!("complete")));
}

#[test]
fn a_tunnel_that_breaks_off_is_not_complete() {
    for by_the_client in [true, false] {
        let exchange = told_of(|mut client, mut upstream| {
            client.send("ping");
            upstream.expect("ping");
            upstream.send("pong");
            client.expect("pong");
            let (leaves, mut stays) = if by_the_client { (client, upstream) } else { (upstream, client) };
            leaves.reset();
            stays.expect_end();
        });
        assert_eq!(
            (exchange.upgraded("Client"), exchange.upgraded("Upstream")),
            ("ping".into(), "pong".into())
        );
        let (client, upstream) = exchange.ended();
        assert!(client != "complete" && upstream != "complete", "{exchange:#?}");
        // The one that broke off is the one that failed.
        let broken = if by_the_client { client } else { upstream };
        assert!(broken.get("failed").is_some(), "{exchange:#?}");
    }
}

#[test]
fn a_tunnel_that_is_cut_off_at_the_end_of_the_drain_says_so() {
    let provider = Provider::start();
    let watch = crate::support::Watch::of(&[("witness", "")]);
    let mut proxy = watch.setup(&provider).yaml("server: {drain: 300ms}").start();
    let (mut client, mut upstream) = tunnel(&provider, &proxy);
    client.send("ping");
    upstream.expect("ping");
    proxy.signal(rustix::process::Signal::TERM);
    assert_eq!(proxy.exit().code, Some(0));
    let exchange = watch.after(0).only();
    assert_eq!(exchange.upgraded("Client"), "ping");
    let stopped = json!("stopped");
    assert_eq!(exchange.ended(), (&stopped, &stopped));
}

#[test]
fn much_through_a_tunnel_is_told_whole_both_ways() {
    let count = 1 << 20;
    let exchange = told_of(|mut client, mut upstream| {
        let (mut client_writer, mut upstream_writer) = (client.writer(), upstream.writer());
        std::thread::scope(|scope| {
            scope.spawn(|| pattern::send(&mut client_writer, count));
            scope.spawn(|| pattern::send(&mut upstream_writer, count));
            scope.spawn(|| pattern::expect(&mut upstream, count));
            pattern::expect(&mut client, count);
        });
        drop((client_writer, upstream_writer));
        client.close();
        upstream.expect_end();
        upstream.close();
    });
    let said = crate::support::latin1(pattern::bytes(count as usize));
    assert!(exchange.upgraded("Client") == said && exchange.upgraded("Upstream") == said);
}

#[test]
fn a_refused_upgrade_is_a_plain_exchange() {
    let (provider, proxy, watch) = watched();
    let mut client = proxy.connect();
    client.send(HANDSHAKE);
    let mut upstream = provider.accept();
    upstream.head();
    upstream.send("HTTP/1.1 401 Unauthorized\r\nContent-Length: 2\r\n\r\nno");
    assert_eq!(client.head().status(), 401);
    client.expect("no");
    let exchange = watch.stop(proxy).only();
    assert_eq!(
        exchange.course(),
        ["on_request_head", "on_response_head", "on_request_end", "on_response_chunk", "on_end"]
    );
    assert_eq!(exchange.ended(), (&json!("complete"), &json!("complete")));
}
