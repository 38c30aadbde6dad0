//! Nothing is sent twice. A connection that was found dead before a byte was written on it may be replaced.

use crate::support::tls::Authority;
use crate::support::{GET, OK, Provider, Proxy, Wire};

const POST: &str = "POST /v1/x HTTP/1.1\r\nHost: app\r\nContent-Length: 5\r\n\r\nhello";

/// A client with one exchange behind it, and the upstream connection that waits for the next.
fn warmed_up(workers: u8) -> (Provider, Proxy, Wire, Wire) {
    let provider = Provider::start();
    let proxy = Proxy::to(&provider).yaml(&format!("server: {{workers: {workers}}}")).start();
    let mut client = proxy.connect();
    client.send(GET);
    let mut upstream = provider.accept();
    upstream.head();
    upstream.send(OK);
    client.head();
    client.expect("ok");
    (provider, proxy, client, upstream)
}

#[test]
fn a_pooled_connection_that_was_closed_is_replaced() {
    for request in [GET, POST] {
        let (provider, _proxy, mut client, mut upstream) = warmed_up(1);
        for _ in 0..20 {
            upstream.close();
            client.send(request);
            upstream = provider.accept();
            let head = upstream.head();
            upstream.body(&head);
            upstream.send(OK);
            assert_eq!(client.head().status(), 200);
            client.expect("ok");
        }
    }
}

#[test]
fn a_pooled_connection_that_was_reset_is_replaced() {
    for request in [GET, POST] {
        let (provider, _proxy, mut client, mut upstream) = warmed_up(1);
        for _ in 0..20 {
            upstream.reset_and_arrive();
            client.send(request);
            upstream = provider.accept();
            let head = upstream.head();
            upstream.body(&head);
            upstream.send(OK);
            assert_eq!(client.head().status(), 200);
            client.expect("ok");
        }
    }
}

#[test]
fn a_pooled_connection_on_which_the_provider_spoke_unasked_is_replaced() {
    let (provider, _proxy, mut client, mut upstream) = warmed_up(1);
    upstream.send("HTTP/1.1 408 Request Timeout\r\nConnection: close\r\nContent-Length: 0\r\n\r\n");
    upstream.half_close();
    client.send(GET);
    let mut fresh = provider.accept();
    fresh.head();
    fresh.send(OK);
    assert_eq!(client.head().status(), 200);
    client.expect("ok");
}

#[test]
fn all_pooled_connections_that_were_closed_are_passed_over() {
    let provider = Provider::start();
    let proxy = Proxy::to(&provider).yaml("server: {workers: 1}").start();
    // More than the runtime lets one task look at in one turn.
    let mut clients: Vec<_> = (0..150).map(|_| proxy.connect()).collect();
    clients.iter_mut().for_each(|client| client.send(GET));
    let mut upstreams: Vec<_> = (0..150).map(|_| provider.accept()).collect();
    for upstream in &mut upstreams {
        upstream.head();
        upstream.send(OK);
    }
    for client in &mut clients {
        client.head();
        client.expect("ok");
    }
    upstreams.into_iter().for_each(Wire::close);
    clients[0].send(GET);
    let mut fresh = provider.accept();
    fresh.head();
    fresh.send(OK);
    assert_eq!(clients[0].head().status(), 200);
}

/// The provider reads a request on a fresh and on a reused connection, and goes away without an answer.
#[track_caller]
fn check_sent_once(request: &str, leave: fn(Wire)) {
    for is_reused in [false, true] {
        let (provider, proxy, mut client, upstream) = warmed_up(1);
        let mut upstream = if is_reused {
            client.send(request);
            upstream
        } else {
            upstream.close();
            client.send(request);
            provider.accept()
        };
        let head = upstream.head();
        upstream.body(&head);
        leave(upstream);
        assert_lost(client, proxy, &provider);
    }
}

/// That the client is told that its provider went away, and that the provider gets no more than it got.
#[track_caller]
fn assert_lost(mut client: Wire, proxy: Proxy, provider: &Provider) {
    let head = client.head();
    let told = (head.status(), head.value("x-perimeter-error"));
    assert_eq!(told, (502, Some("upstream_closed")), "{head:?}");
    proxy.stop();
    assert_eq!(provider.rest(), "", "the request was sent again");
}

#[test]
fn a_request_that_was_read_and_not_answered_is_not_sent_again() {
    check_sent_once(POST, Wire::close);
    check_sent_once(POST, Wire::reset);
}

#[test]
fn a_get_that_was_read_and_not_answered_is_not_sent_again() {
    check_sent_once(GET, Wire::close);
    check_sent_once(GET, Wire::reset);
}

#[test]
fn a_request_of_which_only_the_head_was_read_is_not_sent_again() {
    let (provider, proxy, mut client, mut upstream) = warmed_up(1);
    client.send("POST /v1/x HTTP/1.1\r\nHost: app\r\nContent-Length: 10\r\n\r\nhello");
    upstream.head();
    upstream.reset();
    assert_eq!(client.head().value("x-perimeter-error"), Some("upstream_closed"));
    proxy.stop();
    assert_eq!(provider.rest(), "");
}

/// What TLS holds back, and has sent of a request when it fails, nobody outside of it can tell.
#[test]
fn over_tls_nothing_is_sent_again_either() {
    let authority = Authority::new();
    let config = authority.server_for(&["127.0.0.1"]);
    let large = format!("GET /v1/x HTTP/1.1\r\nHost: app\r\nX-Large: {}\r\n\r\n", "x".repeat(100_000));
    for request in [GET, POST, &large] {
        for (leave, reads) in [(Wire::close as fn(Wire), true), (Wire::reset, true), (Wire::reset, false)] {
            let provider = Provider::start();
            let proxy = Proxy::to_url(format!("https://{}", provider.host()))
                .env("SSL_CERT_FILE", authority.file())
                .yaml("server: {workers: 1}")
                .start();
            let mut client = proxy.connect();
            client.send(GET);
            let mut upstream = provider.accept_tls(&config).unwrap();
            upstream.head();
            upstream.send(OK);
            client.head();
            client.expect("ok");
            client.send(request);
            // Its first bytes have come, whatever more is on its way.
            upstream.exactly(1);
            if reads {
                let head = upstream.head();
                upstream.body(&head);
            }
            leave(upstream);
            assert_lost(client, proxy, &provider);
        }
    }
}

#[test]
fn a_request_that_was_answered_in_part_is_not_sent_again() {
    let (provider, proxy, mut client, mut upstream) = warmed_up(1);
    client.send(GET);
    upstream.head();
    upstream.send("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello");
    upstream.reset();
    assert_eq!(client.head().status(), 200);
    client.rest();
    proxy.stop();
    assert_eq!(provider.rest(), "");
}

#[test]
fn a_request_that_was_answered_503_is_not_sent_again() {
    let (provider, proxy, mut client, mut upstream) = warmed_up(1);
    client.send(GET);
    upstream.head();
    upstream.send("HTTP/1.1 503 Service Unavailable\r\nRetry-After: 0\r\nContent-Length: 0\r\n\r\n");
    assert_eq!(client.head().value("Retry-After"), Some("0"));
    proxy.stop();
    upstream.expect_end();
    assert_eq!(provider.rest(), "");
}

#[test]
fn connections_opened_and_reused_are_counted() {
    let (_provider, proxy, mut client, mut upstream) = warmed_up(1);
    client.send(GET);
    upstream.head();
    upstream.send(OK);
    client.head();
    client.expect("ok");
    proxy.wait_for_metric("perimeter_upstream_connections_opened_total", 1.0);
    proxy.wait_for_metric("perimeter_upstream_connections_reused_total", 1.0);
}
