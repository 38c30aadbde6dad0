//! Messages whose length is in doubt.

use super::{check_ambiguous, check_refused, plain_and_last};
use crate::support::{OK, latin1, start};

fn post(fields: &str, body: &str) -> String {
    format!("POST /v1/x HTTP/1.1\r\nHost: app\r\n{fields}\r\n\r\n{body}")
}

#[test]
fn both_lengths_at_once_travel_as_one_chunked_request_which_is_the_last() {
    for fields in
        ["Content-Length: 5\r\nTransfer-Encoding: chunked", "Transfer-Encoding: chunked\r\nContent-Length: 5"]
    {
        let (head, body) = plain_and_last(post(fields, "3\r\nabc\r\n0\r\n\r\n"));
        assert!(head.is_chunked() && !head.has("Content-Length"), "{head:?}");
        assert_eq!(latin1(body), "abc");
    }
}

#[test]
fn two_different_lengths_are_refused() {
    check_refused(post("Content-Length: 5\r\nContent-Length: 6", "hello!"));
    check_refused(post("Content-Length: 0\r\ncontent-length: 5", "hello"));
}

#[test]
fn the_same_length_twice_travels_once_in_a_request_which_is_the_last() {
    let (head, body) = plain_and_last(post("Content-Length: 5\r\nContent-Length: 5", "hello"));
    assert_eq!(head.values("Content-Length"), ["5"]);
    assert_eq!(latin1(body), "hello");
}

#[test]
fn a_length_that_is_no_number_is_refused() {
    for length in ["+5", "-5", "5x", "0x5", "5 5", "5, 5", "5;", "five", "", "99999999999999999999999"] {
        check_refused(post(&format!("Content-Length: {length}"), "hello"));
    }
}

#[test]
fn a_transfer_coding_other_than_chunked_is_refused() {
    check_refused(post("Transfer-Encoding: gzip", "hello"));
    check_refused(post("Transfer-Encoding: identity", "hello"));
    check_refused(post("Transfer-Encoding: xchunked", "0\r\n\r\n"));
    check_refused(post("Transfer-Encoding: chunked;q=1", "0\r\n\r\n"));
    check_refused(post("Transfer-Encoding: \"chunked\"", "0\r\n\r\n"));
    check_refused(post("Transfer-Encoding:", "0\r\n\r\n"));
    check_refused(post("Transfer-Encoding: chunked, identity", "0\r\n\r\n"));
}

#[test]
fn transfer_codings_beside_chunked_are_refused() {
    check_ambiguous(post("Transfer-Encoding: gzip, chunked", "0\r\n\r\n"));
    check_ambiguous(post("Transfer-Encoding: gzip\r\nTransfer-Encoding: chunked", "0\r\n\r\n"));
    check_ambiguous(post("Transfer-Encoding: identity, chunked", "0\r\n\r\n"));
    check_ambiguous(post("Transfer-Encoding: ,chunked", "0\r\n\r\n"));
}

#[test]
fn a_doubled_chunked_is_refused() {
    check_ambiguous(post("Transfer-Encoding: chunked, chunked", "0\r\n\r\n"));
    check_ambiguous(post("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked", "0\r\n\r\n"));
}

#[test]
fn chunks_in_http_1_0_are_refused() {
    check_refused("POST / HTTP/1.0\r\nHost: app\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n");
}

#[test]
fn a_field_name_that_only_looks_like_a_length_is_no_length() {
    let (provider, proxy) = start();
    let mut client = proxy.connect();
    client.send("GET / HTTP/1.1\r\nHost: app\r\nContent_Length: 5\r\nX-Transfer-Encoding: chunked\r\n\r\n");
    let mut upstream = provider.accept();
    let head = upstream.head();
    assert_eq!(head.names(), ["Host", "Content_Length", "X-Transfer-Encoding"]);
    upstream.send(OK);
    assert_eq!(client.head().status(), 200);
}

#[test]
fn a_body_is_not_one_byte_longer_than_its_length() {
    let (provider, proxy) = start();
    let mut client = proxy.connect();
    client.send(post("Content-Length: 5", "hello, world"));
    let mut upstream = provider.accept();
    upstream.head();
    upstream.expect("hello");
    upstream.send(OK);
    assert_eq!(client.head().status(), 200);
    client.expect("ok");
    // What was too much is no request, and gets no farther.
    let _ = client.try_send("\r\n\r\n");
    assert_eq!(client.head().status(), 400);
    client.expect_end();
    proxy.stop();
    upstream.expect_end();
    assert_eq!(provider.rest(), "");
}
