//! Chunked bodies that break their framing when their head has travelled already.

use super::{SMUGGLED, cut_off};
use crate::support::{latin1, start};

#[test]
fn a_chunk_size_that_is_no_number_cuts_the_request_off() {
    cut_off("xyz\r\nhello\r\n0\r\n\r\n");
    cut_off("-5\r\nhello\r\n0\r\n\r\n");
    cut_off("+5\r\nhello\r\n0\r\n\r\n");
    cut_off("0x5\r\nhello\r\n0\r\n\r\n");
    cut_off("5 5\r\nhello\r\n0\r\n\r\n");
    cut_off("\r\nhello\r\n0\r\n\r\n");
}

#[test]
fn a_chunk_size_beyond_all_numbers_cuts_the_request_off() {
    cut_off("10000000000000005\r\nhello\r\n0\r\n\r\n");
    cut_off("fffffffffffffffffffff\r\nhello\r\n0\r\n\r\n");
}

#[test]
fn a_chunk_longer_than_its_size_cuts_the_request_off() {
    cut_off("5\r\nhello, world\r\n0\r\n\r\n");
    cut_off("5\r\nhello0\r\n\r\n");
}

#[test]
fn a_bare_line_feed_in_the_chunk_framing_cuts_the_request_off() {
    cut_off("5\nhello\r\n0\r\n\r\n");
    cut_off("5\r\nhello\n0\r\n\r\n");
    cut_off("5;ext\nhello\r\n0\r\n\r\n");
}

#[test]
fn a_bare_carriage_return_in_the_chunk_framing_cuts_the_request_off() {
    cut_off("5\rhello\r\n0\r\n\r\n");
    cut_off("5;a\rb\r\nhello\r\n0\r\n\r\n");
}

#[test]
fn a_later_chunk_that_is_broken_cuts_the_request_off() {
    cut_off("5\r\nhello\r\nzz\r\nworld\r\n0\r\n\r\n");
}

#[test]
fn a_trailer_section_that_is_none_cuts_the_request_off() {
    cut_off("5\r\nhello\r\n0\r\nno colon\r\n\r\n");
    cut_off("5\r\nhello\r\n0\r\nX A: 1\r\n\r\n");
}

#[test]
fn a_chunk_extension_that_never_ends_cuts_the_request_off() {
    cut_off(format!("5;{}", "x".repeat(1 << 20)));
}

#[test]
fn a_trailer_section_that_never_ends_cuts_the_request_off() {
    cut_off(format!("5\r\nhello\r\n0\r\nX-A: {}", "x".repeat(2 << 20)));
}

#[test]
fn a_body_that_breaks_when_the_answer_has_begun_never_becomes_two_requests() {
    let (provider, proxy) = start();
    let mut client = proxy.connect();
    client.send("POST / HTTP/1.1\r\nHost: app\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n");
    let mut upstream = provider.accept();
    upstream.head();
    upstream.expect_in_chunks("hello");
    upstream.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n");
    assert_eq!(client.head().status(), 200);
    client.expect_in_chunks("ok");
    let _ = client.try_send(format!("zz\r\n{SMUGGLED}"));
    let travelled = latin1(upstream.rest().0);
    assert!(
        !travelled.contains("0\r\n\r\n") && !travelled.contains("smuggled"),
        "this travelled: {travelled:?}"
    );
    let heard = latin1(client.rest().0);
    assert!(!heard.contains("0\r\n\r\n"), "a broken exchange ended cleanly: {heard:?}");
    proxy.stop();
    assert_eq!(provider.rest(), "");
}

#[test]
fn a_malformed_body_is_counted_and_told_as_the_clients_fault() {
    let (provider, proxy) = start();
    let mut client = proxy.connect();
    client.send("POST / HTTP/1.1\r\nHost: app\r\nTransfer-Encoding: chunked\r\n\r\n");
    let mut upstream = provider.accept();
    upstream.head();
    client.send("zz\r\n");
    upstream.expect_end();
    let answer = latin1(client.rest().0);
    assert!(answer.contains("x-perimeter-error: malformed_body\r\n"), "the client got {answer:?}");
    proxy.wait_for_metric("perimeter_refused_requests_total{reason=\"malformed_body\"}", 1.0);
}

/// Where lines end is in doubt here: what hyper takes for trailers must not become part of the next request.
#[test]
fn lines_behind_a_bare_line_feed_in_the_trailers_become_part_of_no_other_request() {
    for trailers in ["X: y\n\r\n", "\n"] {
        let (provider, proxy) = start();
        let mut client = proxy.connect();
        client.send("POST / HTTP/1.1\r\nHost: app\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n");
        let mut upstream = provider.accept();
        upstream.head();
        upstream.expect_in_chunks("abc");
        client.send(format!("0\r\n{trailers}GET /evil HTTP/1.1\r\nHost: evil\r\nX-Evil: 1\r\n\r\n"));
        client.send("POST /two HTTP/1.1\r\nHost: app\r\nX-Own: 1\r\nContent-Length: 1\r\n\r\n!");
        upstream.expect("0\r\n\r\n");
        upstream.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
        let head = client.head();
        assert_eq!(head.value("connection"), Some("close"), "{trailers:?}");
        client.expect("ok");
        client.expect_end();
        assert!(!upstream.heard_anything(), "{trailers:?}");
    }
}
