//! How a body is delimited is kept, and the body is the same.

use crate::support::{Ending, GET, Head, Provider, Proxy, answered, asked, latin1, pattern, start};

/// Sends a request with its body, answers it, and returns what the provider got.
#[track_caller]
fn posted(request: impl AsRef<[u8]>) -> (Head, Vec<u8>) {
    let (provider, proxy) = start();
    let mut client = proxy.connect();
    client.send(request);
    let mut upstream = provider.accept();
    let head = upstream.head();
    let body = upstream.body(&head);
    upstream.send("HTTP/1.1 204 No Content\r\n\r\n");
    assert_eq!(client.head().status(), 204);
    (head, body)
}

/// An exchange whose provider has answered with this head.
fn answering(head: &str) -> (Provider, Proxy, crate::support::Wire, crate::support::Wire, Head) {
    let (provider, proxy) = start();
    let (mut client, mut upstream) = asked(&provider, &proxy, GET);
    upstream.send(head);
    let head = client.head();
    (provider, proxy, client, upstream, head)
}

#[test]
fn a_request_body_of_a_given_length_keeps_its_length() {
    let (head, body) = posted("POST /v1/x HTTP/1.1\r\nHost: app\r\nContent-Length: 11\r\n\r\nhello world");
    assert_eq!(head.names(), ["Host", "Content-Length"]);
    assert_eq!(head.value("Content-Length"), Some("11"));
    assert_eq!(latin1(body), "hello world");
}

#[test]
fn a_chunked_request_body_stays_chunked() {
    let (head, body) = posted(
        "POST /v1/x HTTP/1.1\r\nHost: app\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n",
    );
    assert!(head.is_chunked() && !head.has("Content-Length"), "{head:?}");
    assert_eq!(latin1(body), "hello world");
}

#[test]
fn chunk_sizes_are_read_in_any_case_and_with_extensions() {
    let (_, body) = posted(
        "POST /v1/x HTTP/1.1\r\nHost: app\r\nTransfer-Encoding: Chunked\r\n\r\n\
         00A\r\n0123456789\r\na;name=value\r\nabcdefghij\r\nB ; q=\"x y\"\r\nABCDEFGHIJK\r\n0\r\n\r\n",
    );
    assert_eq!(latin1(body), "0123456789abcdefghijABCDEFGHIJK");
}

#[test]
fn a_content_length_of_zero_is_kept() {
    let (head, body) = posted("POST /v1/x HTTP/1.1\r\nHost: app\r\nContent-Length: 0\r\n\r\n");
    assert_eq!(head.fields()[1..], [("Content-Length", "0")]);
    assert!(body.is_empty());
}

#[test]
fn a_request_without_a_body_gets_no_length() {
    for method in ["POST", "PUT", "PATCH", "DELETE", "GET"] {
        let (head, _) = posted(format!("{method} /v1/x HTTP/1.1\r\nHost: app\r\n\r\n"));
        assert_eq!(head.names(), ["Host"], "{method}");
    }
}

#[test]
fn an_empty_chunked_request_body_stays_an_empty_chunked_body() {
    let (head, body) =
        posted("POST /v1/x HTTP/1.1\r\nHost: app\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n");
    assert!(head.is_chunked() && !head.has("Content-Length"), "{head:?}");
    assert!(body.is_empty());
}

#[test]
fn a_get_keeps_its_body() {
    let (head, body) = posted("GET /v1/x HTTP/1.1\r\nHost: app\r\nContent-Length: 2\r\n\r\nhi");
    assert_eq!(head.value("Content-Length"), Some("2"));
    assert_eq!(latin1(body), "hi");
}

#[test]
fn a_get_keeps_its_chunked_body() {
    let (head, body) =
        posted("GET /v1/x HTTP/1.1\r\nHost: app\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n");
    assert!(head.is_chunked(), "{head:?}");
    assert_eq!(latin1(body), "hi");
}

#[test]
fn a_delete_keeps_its_body() {
    let (head, body) = posted("DELETE /v1/x HTTP/1.1\r\nHost: app\r\nContent-Length: 2\r\n\r\nhi");
    assert_eq!(head.value("Content-Length"), Some("2"));
    assert_eq!(latin1(body), "hi");
}

#[test]
fn a_body_that_connection_would_strip_of_its_length_is_still_that_body() {
    let (_, body) = posted(
        "POST /v1/x HTTP/1.1\r\nHost: app\r\nConnection: Content-Length\r\nContent-Length: 2\r\n\r\nhi",
    );
    assert_eq!(latin1(body), "hi");
}

#[test]
fn any_bytes_pass_in_a_request_body() {
    let all: Vec<u8> = (0..=255).cycle().take(70_000).collect();
    let mut request = b"POST /v1/x HTTP/1.1\r\nHost: app\r\nContent-Length: 70000\r\n\r\n".to_vec();
    request.extend(&all);
    assert!(posted(request).1 == all);
}

#[test]
fn a_response_body_of_a_given_length_keeps_its_length() {
    let (_provider, _proxy, mut client, mut upstream, head) =
        answering("HTTP/1.1 200 OK\r\nContent-Length: 11\r\n\r\n");
    assert_eq!(head.fields(), [("Content-Length", "11")]);
    upstream.send("hello world");
    client.expect("hello world");
}

#[test]
fn a_chunked_response_body_stays_chunked() {
    let (_provider, _proxy, mut client, mut upstream, head) =
        answering("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
    assert!(head.is_chunked() && !head.has("Content-Length"), "{head:?}");
    upstream.send("5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n");
    assert_eq!(latin1(client.chunked().0), "hello world");
}

#[test]
fn chunks_of_a_response_are_read_however_they_are_written_and_the_connection_is_used_again() {
    let (provider, proxy) = start();
    let head = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
    let (mut client, mut upstream) = answered(&provider, &proxy, GET, head);
    for end in ["0\r\n\r\n", "00\r\n\r\n", "0;last=1\r\n\r\n"] {
        upstream.send("5\r\nhello\r\n1\r\n \r\n00A\r\n01234");
        client.expect_in_chunks("hello 01234");
        upstream.send("56789\r\n");
        client.expect_in_chunks("56789");
        upstream.send("a;name=value\r\nabcdefghij\r\nB ; q=\"x y\"\r\nABCDEFGHIJK\r\n1\r\n!\r\n");
        client.expect_in_chunks("abcdefghijABCDEFGHIJK!");
        upstream.send(end);
        assert_eq!(latin1(client.chunked().0), "", "{end:?}");
        client.send(GET);
        upstream.head();
        upstream.send(head);
        client.head();
    }
}

#[test]
fn a_response_to_head_has_no_chunks_to_read() {
    let (provider, proxy) = start();
    let head = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
    let ask = GET.replace("GET", "HEAD");
    let (mut client, mut upstream) = answered(&provider, &proxy, &ask, head);
    client.send(GET);
    upstream.head();
    upstream.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
    client.head();
    client.expect("ok");
}

#[test]
fn a_chunk_of_a_response_passes_as_far_as_it_came_and_large_ones_are_the_same() {
    let (_provider, _proxy, mut client, mut upstream, _) =
        answering("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
    upstream.send("186a0\r\n");
    let bytes = pattern::bytes(100_000);
    for part in [&bytes[..1], &bytes[1..5_000], &bytes[5_000..5_001]] {
        upstream.send(part);
        client.expect_in_chunks(part);
    }
    upstream.send(&bytes[5_001..]);
    client.expect_in_chunks(&bytes[5_001..]);
    upstream.send("\r");
    upstream.send("\n0\r\n\r\n");
    assert!(client.chunked().0.is_empty());
}

#[test]
fn an_empty_chunked_response_body_is_an_empty_body() {
    let (_provider, _proxy, mut client, mut upstream, head) =
        answering("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
    upstream.send("0\r\n\r\n");
    assert!(client.body(&head).is_empty());
}

#[test]
fn a_response_body_that_ends_with_the_connection_is_whole() {
    let (_provider, _proxy, mut client, mut upstream, head) =
        answering("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Type: text/plain\r\n\r\n");
    assert!(!head.has("Content-Length"), "{head:?}");
    upstream.send("hello ");
    upstream.send("world");
    upstream.close();
    assert_eq!(latin1(client.body(&head)), "hello world");
}

#[test]
fn an_empty_response_body_that_ends_with_the_connection_is_an_empty_body() {
    let (_provider, _proxy, mut client, upstream, head) = answering("HTTP/1.1 200 OK\r\nX-A: 1\r\n\r\n");
    assert_eq!(head.value("X-A"), Some("1"));
    upstream.close();
    assert!(client.body(&head).is_empty());
}

#[test]
fn a_response_of_http_1_0_without_a_length_is_whole() {
    let (_provider, _proxy, mut client, mut upstream, head) = answering("HTTP/1.0 200 OK\r\n\r\n");
    upstream.send(pattern::bytes(100_000));
    upstream.close();
    assert!(client.body(&head) == pattern::bytes(100_000));
}

#[test]
fn any_bytes_pass_in_a_response_body() {
    let (_provider, _proxy, mut client, mut upstream, head) =
        answering("HTTP/1.1 200 OK\r\nContent-Length: 70000\r\n\r\n");
    let all: Vec<u8> = (0..=255).cycle().take(70_000).collect();
    upstream.send(&all);
    assert!(client.body(&head) == all);
}

#[test]
fn bytes_after_a_complete_response_reach_nobody() {
    let (provider, proxy) = start();
    let answer =
        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokHTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil";
    let (mut client, _upstream) = answered(&provider, &proxy, GET, answer);
    client.expect("ok");
    client.send(GET);
    let mut second = provider.accept();
    second.head();
    second.send("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ngood");
    client.head();
    client.expect("good");
}

#[test]
fn a_client_that_asked_to_close_sees_the_body_and_then_the_end() {
    let (provider, proxy) = start();
    let (mut client, _upstream) = answered(
        &provider,
        &proxy,
        "GET / HTTP/1.1\r\nHost: app\r\nConnection: close\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
    );
    client.expect("ok");
    assert_eq!(client.expect_end(), Ending::Fin);
}
