//! Trailers, where they are announced.

use crate::support::{GET, Wire, asked, start};

/// Posts a chunked body with this head and end, and returns the trailers that reach the provider.
#[track_caller]
fn request_trailers(fields: &str, end: &str) -> String {
    let (provider, proxy) = start();
    let mut client = proxy.connect();
    client.send(format!(
        "POST / HTTP/1.1\r\nHost: app\r\nTransfer-Encoding: chunked\r\n{fields}\r\n2\r\nhi\r\n{end}"
    ));
    let mut upstream = provider.accept();
    upstream.head();
    let (body, trailers) = upstream.chunked();
    assert_eq!(body, b"hi");
    trailers
}

/// Gets a chunked body with this end, and returns the trailers that reach the client.
#[track_caller]
fn response_trailers(request: &str, fields: &str, end: &str) -> (String, Wire) {
    let (provider, proxy) = start();
    let (mut client, mut upstream) = asked(&provider, &proxy, request);
    upstream.send(format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n{fields}\r\n2\r\nok\r\n{end}"));
    client.head();
    let (body, trailers) = client.chunked();
    assert_eq!(body, b"ok");
    (trailers, client)
}

#[test]
fn announced_request_trailers_pass() {
    let trailers =
        request_trailers("Trailer: x-sum, x-other\r\n", "0\r\nx-sum: 1\r\nx-other: two words\r\n\r\n");
    assert_eq!(trailers, "x-sum: 1\r\nx-other: two words\r\n");
}

#[test]
fn announced_response_trailers_pass_to_a_client_that_takes_them() {
    let request = "GET / HTTP/1.1\r\nHost: app\r\nTE: trailers\r\n\r\n";
    let (trailers, _) = response_trailers(request, "Trailer: x-sum\r\n", "0\r\nx-sum: 1\r\n\r\n");
    assert_eq!(trailers, "x-sum: 1\r\n");
}

#[test]
fn announced_response_trailers_pass_where_connection_names_te() {
    let request = "GET / HTTP/1.1\r\nHost: app\r\nConnection: TE\r\nTE: trailers\r\n\r\n";
    let (trailers, _) = response_trailers(request, "Trailer: x-sum\r\n", "0\r\nx-sum: 1\r\n\r\n");
    assert_eq!(trailers, "x-sum: 1\r\n");
}

#[test]
fn known_limit_request_trailers_that_nobody_announced_are_dropped_and_the_body_is_whole() {
    assert_eq!(request_trailers("", "0\r\nx-sum: 1\r\n\r\n"), "");
}

#[test]
fn known_limit_response_trailers_that_the_client_did_not_ask_for_are_dropped_and_the_body_is_whole() {
    let (trailers, _) = response_trailers(GET, "Trailer: x-sum\r\n", "0\r\nx-sum: 1\r\n\r\n");
    assert_eq!(trailers, "");
}

#[test]
fn known_limit_response_trailers_that_nobody_announced_are_dropped_and_the_body_is_whole() {
    let request = "GET / HTTP/1.1\r\nHost: app\r\nTE: trailers\r\n\r\n";
    let (trailers, _) = response_trailers(request, "", "0\r\nx-sum: 1\r\n\r\n");
    assert_eq!(trailers, "");
}

#[test]
fn known_limit_the_names_of_trailers_arrive_in_small_letters() {
    assert_eq!(request_trailers("Trailer: X-Sum\r\n", "0\r\nX-Sum: One\r\n\r\n"), "x-sum: One\r\n");
}

#[test]
fn a_trailer_cannot_smuggle_a_header_that_frames() {
    let trailers = request_trailers(
        "Trailer: content-length, x-sum\r\n",
        "0\r\ncontent-length: 100\r\ntransfer-encoding: gzip\r\nx-sum: 1\r\n\r\n",
    );
    assert_eq!(trailers, "x-sum: 1\r\n");
}
