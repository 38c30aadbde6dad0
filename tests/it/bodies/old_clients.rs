//! Clients that speak HTTP/1.0.

use crate::support::{Ending, OK, asked, latin1, start};

#[test]
fn an_http_1_0_client_gets_its_answer_and_the_end() {
    let (provider, proxy) = start();
    let (mut client, mut upstream) = asked(&provider, &proxy, "GET / HTTP/1.0\r\n\r\n");
    upstream.send(OK);
    let head = client.head();
    assert_eq!(head.first_line(), "HTTP/1.0 200 OK");
    assert_eq!(head.value("Content-Length"), Some("2"));
    client.expect("ok");
    assert_eq!(client.expect_end(), Ending::Fin);
}

#[test]
fn an_http_1_0_client_that_asks_for_it_keeps_its_connection() {
    let (provider, proxy) = start();
    let request = "GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n";
    let (mut client, mut upstream) = asked(&provider, &proxy, request);
    upstream.send(OK);
    let head = client.head();
    assert_eq!(head.value("Connection").map(str::to_lowercase).as_deref(), Some("keep-alive"));
    client.expect("ok");
    client.send(request);
    upstream.head();
    upstream.send(OK);
    client.head();
    client.expect("ok");
}

#[test]
fn an_http_1_0_client_gets_a_chunked_response_without_chunks() {
    let (provider, proxy) = start();
    let (mut client, mut upstream) = asked(&provider, &proxy, "GET / HTTP/1.0\r\n\r\n");
    upstream.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n");
    let head = client.head();
    assert!(!head.is_chunked(), "{head:?}");
    client.expect("hello");
    upstream.send("6\r\n world\r\n0\r\n\r\n");
    let (rest, ending) = client.rest();
    assert_eq!((latin1(rest).as_str(), ending), (" world", Ending::Fin));
}

#[test]
fn an_http_1_0_client_that_keeps_its_connection_still_sees_where_a_chunked_response_ends() {
    let (provider, proxy) = start();
    let request = "GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n";
    let (mut client, mut upstream) = asked(&provider, &proxy, request);
    upstream.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n");
    let head = client.head();
    assert!(!head.is_chunked(), "{head:?}");
    let (rest, ending) = client.rest();
    assert_eq!((latin1(rest).as_str(), ending), ("hello", Ending::Fin));
}

#[test]
fn the_body_of_an_http_1_0_request_passes() {
    let (provider, proxy) = start();
    let mut client = proxy.connect();
    client.send("POST / HTTP/1.0\r\nContent-Length: 5\r\n\r\nhello");
    let mut upstream = provider.accept();
    let head = upstream.head();
    assert_eq!(head.value("Content-Length"), Some("5"));
    assert_eq!(latin1(upstream.body(&head)), "hello");
    upstream.send(OK);
    assert_eq!(client.head().status(), 200);
}
