//! SIGTERM and SIGINT: open exchanges may finish, nothing new begins, and then the process ends.

use std::net::TcpStream;

use rustix::process::Signal;

use crate::support::{Ending, GET, OK, Provider, Proxy, answered, asked, start};

const EVENTS: &str = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";

#[test]
fn a_proxy_with_nothing_to_do_stops_at_once() {
    for signal in [Signal::TERM, Signal::INT] {
        let (_provider, mut proxy) = start();
        proxy.signal(signal);
        assert_eq!(proxy.exit().code, Some(0));
    }
}

#[test]
fn an_open_exchange_finishes_before_the_proxy_stops() {
    for signal in [Signal::TERM, Signal::INT] {
        let (provider, mut proxy) = start();
        let (mut client, mut upstream) = answered(&provider, &proxy, GET, EVENTS);
        proxy.signal(signal);
        proxy.wait_until_it_stops_accepting();
        for n in 0..5 {
            let event = format!("data: {n}\n\n");
            upstream.send_chunk(&event);
            client.expect_in_chunks(&event);
        }
        upstream.send("0\r\n\r\n");
        assert!(client.chunk().is_empty());
        client.expect("\r\n");
        assert_eq!(client.expect_end(), Ending::Fin);
        assert_eq!(proxy.exit().code, Some(0));
    }
}

#[test]
fn an_exchange_without_a_response_head_finishes_before_the_proxy_stops() {
    let (provider, mut proxy) = start();
    let (mut client, mut upstream) = asked(&provider, &proxy, GET);
    proxy.signal(Signal::TERM);
    proxy.wait_until_it_stops_accepting();
    upstream.send(OK);
    assert_eq!(client.head().status(), 200);
    client.expect("ok");
    assert_eq!(client.expect_end(), Ending::Fin);
    assert_eq!(proxy.exit().code, Some(0));
}

#[test]
fn an_upload_finishes_before_the_proxy_stops() {
    let (provider, mut proxy) = start();
    let mut client = proxy.connect();
    client.send("POST / HTTP/1.1\r\nHost: app\r\nContent-Length: 10\r\n\r\nhello");
    let mut upstream = provider.accept();
    upstream.head();
    upstream.expect("hello");
    proxy.signal(Signal::TERM);
    proxy.wait_until_it_stops_accepting();
    client.send("world");
    upstream.expect("world");
    upstream.send(OK);
    assert_eq!(client.head().status(), 200);
    client.expect("ok");
    assert_eq!(proxy.exit().code, Some(0));
}

#[test]
fn a_proxy_that_stops_takes_no_new_connections() {
    let (provider, mut proxy) = start();
    let (_client, _upstream) = answered(&provider, &proxy, GET, EVENTS);
    proxy.signal(Signal::TERM);
    proxy.wait_until_it_stops_accepting();
    assert!(TcpStream::connect(proxy.address()).is_err());
    proxy.signal(Signal::TERM);
    proxy.exit();
}

#[test]
fn an_idle_connection_does_not_keep_the_proxy_from_stopping() {
    let (provider, mut proxy) = start();
    let mut never_used = proxy.connect();
    let (mut used, mut upstream) = answered(&provider, &proxy, GET, OK);
    used.expect("ok");
    proxy.signal(Signal::TERM);
    assert_eq!(used.expect_end(), Ending::Fin);
    assert_eq!(never_used.expect_end(), Ending::Fin);
    upstream.expect_end();
    assert_eq!(proxy.exit().code, Some(0));
}

/// Empty lines before a request are nothing (RFC 9112 section 2.2).
#[test]
fn a_connection_that_sent_an_empty_line_does_not_keep_the_proxy_from_stopping() {
    let provider = Provider::start();
    let mut proxy = Proxy::to(&provider).yaml("server: {drain: 10m, workers: 1}").start();
    let mut client = proxy.connect();
    client.send("\r\n");
    // What came before it has been read.
    let (mut other, _upstream) = answered(&provider, &proxy, GET, OK);
    other.expect("ok");
    proxy.signal(Signal::TERM);
    assert_eq!(client.expect_end(), Ending::Fin);
    assert_eq!(proxy.exit().code, Some(0));
}

#[test]
fn no_further_request_is_taken_on_a_connection_that_is_open() {
    let (provider, mut proxy) = start();
    let (mut client, mut upstream) = asked(&provider, &proxy, GET);
    proxy.signal(Signal::TERM);
    proxy.wait_until_it_stops_accepting();
    client.send(GET);
    upstream.send(OK);
    assert_eq!(client.head().status(), 200);
    client.expect("ok");
    client.expect_end();
    assert_eq!(proxy.exit().code, Some(0));
    upstream.expect_end();
    assert_eq!(provider.rest(), "");
}

#[test]
fn what_does_not_finish_is_broken_off_at_the_end_of_the_drain() {
    let provider = Provider::start();
    let mut proxy = Proxy::to(&provider).yaml("server: {drain: 300ms}").start();
    let (mut client, mut upstream) = answered(&provider, &proxy, GET, EVENTS);
    proxy.signal(Signal::TERM);
    let (rest, _) = client.rest();
    assert_eq!(rest, b"", "a broken body was ended cleanly");
    upstream.expect_end();
    assert_eq!(proxy.exit().code, Some(0));
}

#[test]
fn a_second_signal_ends_the_proxy_at_once() {
    for second in [Signal::TERM, Signal::INT] {
        let provider = Provider::start();
        let mut proxy = Proxy::to(&provider).yaml("server: {drain: 10m}").start();
        let (mut client, mut upstream) = answered(&provider, &proxy, GET, EVENTS);
        proxy.signal(Signal::TERM);
        proxy.wait_until_it_stops_accepting();
        proxy.signal(second);
        assert_eq!(client.rest().0, b"", "a broken body was ended cleanly");
        upstream.expect_end();
        assert_ne!(proxy.exit().code, None, "it ended by its own will");
    }
}

#[test]
fn a_signal_that_comes_twice_at_once_is_one() {
    let provider = Provider::start();
    let mut proxy = Proxy::to(&provider).yaml("server: {drain: 10m}").start();
    let (mut client, mut upstream) = answered(&provider, &proxy, GET, EVENTS);
    proxy.signal(Signal::TERM);
    proxy.signal(Signal::TERM);
    proxy.wait_until_it_stops_accepting();
    upstream.send("0\r\n\r\n");
    client.chunked();
    assert_eq!(proxy.exit().code, Some(0));
}

#[test]
fn a_broken_off_body_that_ends_with_the_connection_is_a_reset() {
    let provider = Provider::start();
    let mut proxy = Proxy::to(&provider).yaml("server: {drain: 300ms}").start();
    let (mut client, mut upstream) = answered(&provider, &proxy, "GET / HTTP/1.0\r\n\r\n", EVENTS);
    upstream.send_chunk("hello");
    client.expect("hello");
    proxy.signal(Signal::TERM);
    assert_eq!(client.expect_end(), Ending::Reset);
    proxy.exit();
}

#[test]
fn a_second_signal_breaks_bodies_that_end_with_the_connection_by_a_reset() {
    let provider = Provider::start();
    let mut proxy = Proxy::to(&provider).yaml("server: {drain: 10m}").start();
    let (mut client, mut upstream) = answered(&provider, &proxy, "GET / HTTP/1.0\r\n\r\n", EVENTS);
    upstream.send_chunk("hello");
    client.expect("hello");
    proxy.signal(Signal::TERM);
    proxy.wait_until_it_stops_accepting();
    proxy.signal(Signal::TERM);
    assert_eq!(client.expect_end(), Ending::Reset);
    proxy.exit();
}

#[test]
fn a_proxy_that_stops_says_so() {
    let (_provider, proxy) = start();
    let exit = proxy.stop();
    assert!(exit.stderr.lines().any(|line| line.contains("stopping")), "{}", exit.stderr);
}

#[test]
fn half_a_head_does_not_keep_the_proxy_from_stopping() {
    let (provider, mut proxy) = start();
    let mut served = proxy.connect();
    served.send(GET);
    let mut upstream = provider.accept();
    upstream.head();
    upstream.send(OK);
    assert_eq!(served.head().status(), 200);
    served.expect("ok");
    let mut client = proxy.connect();
    client.send("GET / HTTP/1.1\r\nHo");
    proxy.wait_for_metric("perimeter_open_connections", 2.0);
    proxy.signal(Signal::TERM);
    // Long before the 30 s of the drain and of header_timeout: the test's own patience ends sooner.
    assert_eq!(proxy.exit().code, Some(0));
    client.expect_end();
}

#[test]
fn the_admin_listener_tells_of_what_still_finishes() {
    let (provider, mut proxy) = start();
    let mut client = proxy.connect();
    client.send(GET);
    let mut upstream = provider.accept();
    upstream.head();
    proxy.signal(Signal::TERM);
    proxy.wait_until_it_stops_accepting();
    assert_eq!(proxy.admin("/ready").head.status(), 503);
    assert_eq!(proxy.metric("perimeter_open_exchanges"), 1.0);
    upstream.send(OK);
    assert_eq!(client.head().status(), 200);
    client.expect("ok");
    assert_eq!(proxy.exit().code, Some(0));
}
