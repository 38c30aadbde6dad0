//! Where no provider answered, the proxy says so: a status, `x-perimeter-error`, and a body its SDK can read.

use std::net::{Ipv4Addr, TcpStream};
use std::time::Duration;

use serde_json::Value;
use socket2::{Domain, SockAddr, Socket, Type};

use crate::support::provider::Nobody;
use crate::support::proxy::Setup;
use crate::support::tls::Authority;
use crate::support::{GET, Head, OK, Provider, Proxy, Wire, asked, start};

/// What a client gets by one plain request.
#[track_caller]
fn answer(proxy: &Proxy) -> (Head, Value) {
    let mut client = proxy.connect();
    client.send(GET);
    answer_on(&mut client)
}

#[track_caller]
fn answer_on(client: &mut Wire) -> (Head, Value) {
    let head = client.head();
    let body = client.body(&head);
    (head, serde_json::from_slice(&body).expect("a JSON body"))
}

#[track_caller]
fn assert_failure(answer: &(Head, Value), status: u16, code: &str) {
    let (head, body) = answer;
    assert_eq!((head.status(), head.value("x-perimeter-error")), (status, Some(code)), "{head:?} {body}");
    assert_eq!(body["error"]["code"], code, "{body}");
}

/// What a client gets when the provider, having read its request, does this.
#[track_caller]
fn answer_after(what: impl FnOnce(Wire)) -> (Head, Value) {
    let (provider, proxy) = start();
    let (mut client, upstream) = asked(&provider, &proxy, GET);
    what(upstream);
    answer_on(&mut client)
}

#[test]
fn empty_lines_without_end_are_no_answer() {
    let answer = answer_after(|mut upstream| upstream.send("\r\n".repeat(5_000)));
    assert_failure(&answer, 502, "upstream_protocol");
}

#[test]
fn a_name_without_an_address_is_told_as_that() {
    let proxy = Proxy::to_url("http://perimeter-test.invalid").start();
    assert_failure(&answer(&proxy), 502, "upstream_dns");
}

#[test]
fn a_refused_connection_is_told_as_that() {
    let nobody = Nobody::new();
    let proxy = Proxy::to_url(nobody.url()).start();
    assert_failure(&answer(&proxy), 502, "upstream_connect");
}

#[test]
fn a_connection_that_never_comes_about_is_told_as_a_timeout() {
    let (full, _fillers) = full_listener();
    let proxy = Proxy::to_url(format!("http://{full}")).yaml("llm: {timeout: 300ms}").start();
    assert_failure(&answer(&proxy), 504, "upstream_connect_timeout");
}

/// A listener whose queue is full, so that a further connection is neither taken nor refused.
fn full_listener() -> (std::net::SocketAddr, (Socket, Vec<TcpStream>)) {
    let listener = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    listener.bind(&SockAddr::from(std::net::SocketAddr::from((Ipv4Addr::LOCALHOST, 0)))).unwrap();
    listener.listen(0).unwrap();
    let address = listener.local_addr().unwrap().as_socket().unwrap();
    let mut fillers = Vec::new();
    while let Ok(filler) = TcpStream::connect_timeout(&address, Duration::from_millis(500)) {
        fillers.push(filler);
    }
    (address, (listener, fillers))
}

#[test]
fn a_tls_handshake_that_never_comes_to_an_end_is_told_as_a_timeout() {
    let provider = Provider::start();
    let proxy = Proxy::to_url(format!("https://{}", provider.host())).yaml("llm: {timeout: 300ms}").start();
    let mut client = proxy.connect();
    client.send(GET);
    let _silent = provider.accept();
    assert_failure(&answer_on(&mut client), 504, "upstream_connect_timeout");
}

#[test]
fn a_slow_answer_is_not_ended_by_the_time_to_connect() {
    let provider = Provider::start();
    let proxy = Proxy::to(&provider).yaml("llm: {timeout: 300ms}\nserver: {header_timeout: 400ms}").start();
    let (mut client, mut upstream) = asked(&provider, &proxy, GET);
    // Somebody else's timeout is the clock.
    let mut slow = proxy.connect();
    slow.send("GET");
    assert_eq!(slow.head().status(), 408);
    upstream.send(OK);
    assert_eq!(client.head().status(), 200);
    client.expect("ok");
}

#[test]
fn a_certificate_of_an_unknown_authority_is_told_as_a_tls_failure() {
    let (known, unknown) = (Authority::new(), Authority::new());
    assert_tls_failure(&known, &unknown, "127.0.0.1");
}

#[test]
fn a_certificate_for_another_name_is_told_as_a_tls_failure() {
    let authority = Authority::new();
    assert_tls_failure(&authority, &authority, "elsewhere.example");
}

#[track_caller]
fn assert_tls_failure(known: &Authority, issuer: &Authority, name: &str) {
    let tls = issuer.server_for(&[name]);
    let provider = Provider::start();
    let proxy = over_tls(&provider, known).start();
    let mut client = proxy.connect();
    client.send(GET);
    assert!(provider.accept_tls(&tls).is_err(), "the proxy took a certificate it must not take");
    assert_failure(&answer_on(&mut client), 502, "upstream_tls");
}

fn over_tls(provider: &Provider, authority: &Authority) -> Setup {
    Proxy::to_url(format!("https://{}", provider.host())).env("SSL_CERT_FILE", authority.file())
}

#[test]
fn a_provider_that_speaks_no_tls_is_told_as_a_tls_failure() {
    let authority = Authority::new();
    let provider = Provider::start();
    let proxy = over_tls(&provider, &authority).start();
    let mut client = proxy.connect();
    client.send(GET);
    provider.accept().send("HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n");
    assert_failure(&answer_on(&mut client), 502, "upstream_tls");
}

#[test]
fn a_provider_that_closes_before_a_head_is_told_as_closed() {
    assert_failure(&answer_after(Wire::close), 502, "upstream_closed");
}

#[test]
fn a_provider_that_resets_before_a_head_is_told_as_closed() {
    assert_failure(&answer_after(Wire::reset), 502, "upstream_closed");
}

#[test]
fn a_provider_that_closes_within_its_head_is_told_as_closed() {
    let answer = answer_after(|mut upstream| {
        upstream.send("HTTP/1.1 200 OK\r\nContent-Le");
        upstream.close();
    });
    assert_failure(&answer, 502, "upstream_closed");
}

#[test]
fn a_provider_that_resets_within_its_head_is_told_as_closed() {
    let answer = answer_after(|mut upstream| {
        upstream.send("HTTP/1.1 200 OK\r\nContent-Le");
        upstream.reset();
    });
    assert_failure(&answer, 502, "upstream_closed");
}

#[test]
fn a_provider_that_closes_while_the_body_is_being_sent_is_told_as_closed() {
    for leave in [Wire::close, Wire::reset] {
        let (provider, proxy) = start();
        let mut client = proxy.connect();
        client.send("POST / HTTP/1.1\r\nHost: app\r\nContent-Length: 10\r\n\r\nhello");
        let mut upstream = provider.accept();
        upstream.head();
        upstream.expect("hello");
        leave(upstream);
        assert_failure(&answer_on(&mut client), 502, "upstream_closed");
    }
}

#[test]
fn a_provider_that_talks_nonsense_is_told_as_that() {
    for nonsense in [
        &b"SSH-2.0-OpenSSH_9.9\r\n\r\n"[..],
        b"HTTP/1.1 abc OK\r\n\r\n",
        b"HTTP/1.1 20 OK\r\n\r\n",
        b"\x15\x03\x03\x00\x02\x02\x50\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nno colon\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX-A: a\0b\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: five\r\n\r\n",
    ] {
        let answer = answer_after(|mut upstream| upstream.send(nonsense));
        assert_failure(&answer, 502, "upstream_protocol");
    }
}

#[test]
fn a_provider_that_switches_protocols_unasked_is_told_as_nonsense() {
    let answer = answer_after(|mut upstream| {
        upstream.send(
            "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
             CONTENT-TYPE: a/b\r\n\r\n",
        );
    });
    assert_failure(&answer, 502, "upstream_protocol");
    assert!(answer.0.names().contains(&"content-type"), "our own words in our own letters: {:?}", answer.0);
}

#[test]
fn a_failure_is_json_in_the_shape_that_openai_clients_read() {
    let nobody = Nobody::new();
    let proxy = Proxy::to_url(nobody.url()).start();
    let (head, body) = answer(&proxy);
    assert_eq!(head.value("content-type"), Some("application/json"));
    assert_eq!(body["error"]["type"], "api_error");
    assert_eq!(body["error"]["param"], Value::Null);
    assert_eq!(body["error"]["code"], "upstream_connect");
    assert!(!body["error"]["message"].as_str().unwrap().is_empty());
    assert_eq!(body.as_object().unwrap().len(), 1, "{body}");
    assert_eq!(body["error"].as_object().unwrap().len(), 4, "{body}");
}

#[test]
fn a_failure_is_json_in_the_shape_that_anthropic_clients_read() {
    let nobody = Nobody::new();
    let proxy = Proxy::to_url(nobody.url()).anthropic().start();
    let (head, body) = answer(&proxy);
    assert_eq!(head.value("content-type"), Some("application/json"));
    assert_eq!((head.status(), head.value("x-perimeter-error")), (502, Some("upstream_connect")));
    assert_eq!(body["type"], "error");
    assert_eq!(body["error"]["type"], "api_error");
    assert!(!body["error"]["message"].as_str().unwrap().is_empty());
    assert_eq!(body.as_object().unwrap().len(), 2, "{body}");
    assert_eq!(body["error"].as_object().unwrap().len(), 2, "{body}");
}

#[test]
fn a_failure_is_json_in_the_shape_that_gemini_clients_read() {
    let nobody = Nobody::new();
    let proxy = Proxy::to_url(nobody.url()).kind("gemini").start();
    let (head, body) = answer(&proxy);
    assert_eq!(head.value("content-type"), Some("application/json"));
    assert_eq!((head.status(), head.value("x-perimeter-error")), (502, Some("upstream_connect")));
    assert_eq!((&body["error"]["code"], &body["error"]["status"]), (&502.into(), &"UNAVAILABLE".into()));
    assert!(!body["error"]["message"].as_str().unwrap().is_empty());
    assert_eq!(body.as_object().unwrap().len(), 1, "{body}");
    assert_eq!(body["error"].as_object().unwrap().len(), 3, "{body}");
}

#[test]
fn where_any_api_may_be_spoken_a_failure_has_the_shape_of_the_requests_own() {
    let nobody = Nobody::new();
    let proxy = Proxy::to_url(nobody.url()).kind("auto").start();
    for (target, fields, pointer, value) in [
        ("/v1/chat/completions", "", "/error/code", "upstream_connect"),
        ("/v1/messages", "", "/type", "error"),
        ("/v1/files", "anthropic-version: 2023-06-01\r\n", "/type", "error"),
        ("/v1beta/models/g:generateContent", "", "/error/status", "UNAVAILABLE"),
        ("/v1internal:streamGenerateContent?alt=sse", "", "/error/status", "UNAVAILABLE"),
    ] {
        let mut client = proxy.connect();
        client.send(format!("GET {target} HTTP/1.1\r\n{fields}Host: app\r\nConnection: close\r\n\r\n"));
        let head = client.head();
        assert_eq!(head.status(), 502);
        let body: Value = serde_json::from_slice(&client.body(&head)).unwrap();
        assert_eq!(body.pointer(pointer).and_then(Value::as_str), Some(value), "{target}: {body}");
    }
}

#[test]
fn the_message_of_a_failure_says_what_failed_and_why() {
    let nobody = Nobody::new();
    let proxy = Proxy::to_url(nobody.url()).start();
    let (_, body) = answer(&proxy);
    let message = body["error"]["message"].as_str().unwrap();
    assert!(message.contains(&nobody.host()), "{message}");
    assert!(message.contains("refused"), "{message}");
}

#[test]
fn a_failure_of_head_has_no_body() {
    let nobody = Nobody::new();
    let proxy = Proxy::to_url(nobody.url()).start();
    let mut client = proxy.connect();
    client.send("HEAD / HTTP/1.1\r\nHost: app\r\nConnection: close\r\n\r\n");
    assert_eq!(client.head().value("x-perimeter-error"), Some("upstream_connect"));
    client.expect_end();
}

#[test]
fn after_a_failure_the_client_connection_goes_on() {
    let (provider, proxy) = start();
    let (mut client, upstream) = asked(&provider, &proxy, GET);
    upstream.close();
    assert_failure(&answer_on(&mut client), 502, "upstream_closed");
    client.send(GET);
    let mut upstream = provider.accept();
    upstream.head();
    upstream.send(OK);
    assert_eq!(client.head().status(), 200);
}

#[test]
fn a_failure_that_leaves_a_request_body_unread_never_takes_it_for_a_request() {
    let nobody = Nobody::new();
    let proxy = Proxy::to_url(nobody.url()).start();
    let mut client = proxy.connect();
    let body = "GET /smuggled HTTP/1.1\r\nHost: app\r\n\r\n".repeat(100);
    client.send(format!("POST / HTTP/1.1\r\nHost: app\r\nContent-Length: {}\r\n\r\n", body.len() + 1));
    assert_failure(&answer_on(&mut client), 502, "upstream_connect");
    let _ = client.try_send(body);
    // Either the connection ends, or the proxy goes on reading that body: it never answers it.
    client.half_close();
    client.expect_end();
}

#[test]
fn a_failure_is_logged_once_with_its_causes() {
    let nobody = Nobody::new();
    let proxy = Proxy::to_url(nobody.url()).start();
    answer(&proxy);
    proxy.wait_for_log(|line| line.contains("refused"));
    let exit = proxy.stop();
    let lines: Vec<_> = exit.stderr.lines().filter(|line| line.contains("refused")).collect();
    assert_eq!(lines.len(), 1, "{}", exit.stderr);
    assert!(lines[0].contains("cannot connect") && lines[0].contains("WARN"), "{}", lines[0]);
}

#[test]
fn an_error_of_the_provider_is_passed_on_as_it_came() {
    let (provider, proxy) = start();
    let (mut client, mut upstream) = asked(&provider, &proxy, GET);
    let response =
        "HTTP/1.1 502 Bad Gateway\r\nContent-Type: text/html\r\nContent-Length: 9\r\n\r\n<h1>no</h";
    upstream.send(response);
    let head = client.head();
    assert!(!head.has("x-perimeter-error"));
    assert_eq!(head.text().to_owned() + "<h1>no</h", response);
    client.expect("<h1>no</h");
}

#[test]
fn a_failure_is_counted_as_failed() {
    let nobody = Nobody::new();
    let proxy = Proxy::to_url(nobody.url()).start();
    answer(&proxy);
    proxy.wait_for_metric("perimeter_exchanges_total{status=\"5xx\",outcome=\"failed\"}", 1.0);
}

#[test]
fn a_provider_over_tls_is_served_like_any_other() {
    let authority = Authority::new();
    let tls = authority.server_for(&["127.0.0.1"]);
    let provider = Provider::start();
    let proxy = over_tls(&provider, &authority).start();
    let mut client = proxy.connect();
    client.send("POST /v1/x HTTP/1.1\r\nHost: app\r\nContent-Length: 5\r\n\r\nhello");
    let mut upstream = provider.accept_tls(&tls).unwrap();
    let head = upstream.head().with(&provider.host(), "UPSTREAM");
    assert_eq!(head.text(), "POST /v1/x HTTP/1.1\r\nHost: UPSTREAM\r\nContent-Length: 5\r\n\r\n");
    upstream.expect("hello");
    for n in 0..10 {
        upstream.send(OK);
        assert_eq!(client.head().text(), "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n");
        client.expect("ok");
        client.send(format!("GET /{n} HTTP/1.1\r\nHost: app\r\n\r\n"));
        assert_eq!(upstream.head().target(), format!("/{n}"));
    }
}

#[test]
fn a_provider_is_asked_for_by_its_name_over_tls() {
    let authority = Authority::new();
    let tls = authority.server_for(&["localhost"]);
    let provider = Provider::start();
    let url = format!("https://localhost:{}", provider.port());
    let proxy = Proxy::to_url(url).env("SSL_CERT_FILE", authority.file()).start();
    let mut client = proxy.connect();
    client.send(GET);
    let mut upstream = provider.accept_tls(&tls).unwrap();
    assert_eq!(upstream.server_name(), Some("localhost"));
    upstream.head();
    upstream.send(OK);
    assert_eq!(client.head().status(), 200);
}

#[test]
fn a_stream_over_tls_arrives_piece_by_piece() {
    let authority = Authority::new();
    let tls = authority.server_for(&["127.0.0.1"]);
    let provider = Provider::start();
    let proxy = over_tls(&provider, &authority).start();
    let mut client = proxy.connect();
    client.send(GET);
    let mut upstream = provider.accept_tls(&tls).unwrap();
    upstream.head();
    upstream.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
    client.head();
    for n in 0..50 {
        let event = format!("data: {n}\n\n");
        upstream.send_chunk(&event);
        client.expect_in_chunks(&event);
    }
}

#[test]
fn a_client_that_leaves_ends_its_request_over_tls_as_well() {
    let authority = Authority::new();
    let tls = authority.server_for(&["127.0.0.1"]);
    let provider = Provider::start();
    let proxy = over_tls(&provider, &authority).start();
    let mut client = proxy.connect();
    client.send(GET);
    let mut upstream = provider.accept_tls(&tls).unwrap();
    upstream.head();
    client.close();
    upstream.expect_end();
}
