//! `server.header_timeout`: how long a client may take for a head.

use crate::support::{Ending, GET, OK, Provider, Proxy};

fn start_impatient() -> (Provider, Proxy) {
    let provider = Provider::start();
    let proxy = Proxy::to(&provider).yaml("server: {header_timeout: 300ms}").start();
    (provider, proxy)
}

#[test]
fn a_head_that_does_not_come_to_an_end_is_refused_in_time() {
    let (provider, proxy) = start_impatient();
    let mut client = proxy.connect();
    client.send("GET /v1/models HTTP/1.1\r\nHost: a");
    let head = client.head();
    assert_eq!((head.status(), head.value("x-perimeter-error")), (408, Some("header_timeout")), "{head:?}");
    client.body(&head);
    assert_eq!(client.expect_end(), Ending::Fin);
    proxy.wait_for_metric("perimeter_refused_requests_total{reason=\"header_timeout\"}", 1.0);
    proxy.stop();
    assert_eq!(provider.rest(), "");
}

#[test]
fn a_head_that_trickles_is_refused_in_time() {
    let (_provider, proxy) = start_impatient();
    let mut client = proxy.connect();
    client.send("GET /v1/models HTTP/1.1\r\nHost: app\r\nX-Slow: ");
    while !client.heard_anything() {
        let _ = client.try_send("x");
        std::thread::yield_now();
    }
    let (heard, _) = client.rest();
    assert!(heard.is_empty() || heard.starts_with(b"HTTP/1.1 408 "), "{:?}", crate::support::latin1(heard));
}

#[test]
fn a_connection_on_which_nothing_is_said_is_not_ended_by_it() {
    let (provider, proxy) = start_impatient();
    let mut silent = proxy.connect();
    let mut between = proxy.connect();
    between.send(GET);
    let mut upstream = provider.accept();
    upstream.head();
    upstream.send(OK);
    between.head();
    between.expect("ok");
    upstream.close();
    // Somebody else's timeout is the clock: three of them, one after the other.
    for _ in 0..3 {
        let mut slow = proxy.connect();
        slow.send("GET");
        assert_eq!(slow.head().status(), 408);
    }
    for client in [&mut silent, &mut between] {
        client.send(GET);
        let mut upstream = provider.accept();
        upstream.head();
        upstream.send(OK);
        upstream.close();
        assert_eq!(client.head().status(), 200);
    }
}

#[test]
fn a_slow_body_is_not_ended_by_it() {
    let (provider, proxy) = start_impatient();
    let mut client = proxy.connect();
    client.send("POST / HTTP/1.1\r\nHost: app\r\nContent-Length: 5\r\n\r\nhe");
    let mut upstream = provider.accept();
    upstream.head();
    for _ in 0..3 {
        let mut slow = proxy.connect();
        slow.send("GET");
        assert_eq!(slow.head().status(), 408);
    }
    client.send("llo");
    upstream.expect("hello");
    upstream.send(OK);
    assert_eq!(client.head().status(), 200);
}

#[test]
fn a_second_head_that_does_not_come_to_an_end_is_refused_in_time() {
    let (provider, proxy) = start_impatient();
    let mut client = proxy.connect();
    client.send(GET);
    let mut upstream = provider.accept();
    upstream.head();
    upstream.send(OK);
    client.head();
    client.expect("ok");
    client.send("GET /second");
    assert_eq!(client.head().status(), 408);
}

#[test]
fn half_a_head_behind_an_open_exchange_does_not_end_the_exchange() {
    let (provider, proxy) = start_impatient();
    let mut client = proxy.connect();
    client.send(format!("{GET}GET /second"));
    let mut upstream = provider.accept();
    upstream.head();
    upstream.send("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello");
    client.head();
    client.expect("hello");
    for _ in 0..3 {
        let mut slow = proxy.connect();
        slow.send("GET");
        assert_eq!(slow.head().status(), 408);
    }
    upstream.send("world");
    client.expect("world");
    client.send(" HTTP/1.1\r\nHost: app\r\n\r\n");
    assert_eq!(upstream.head().target(), "/second");
}
