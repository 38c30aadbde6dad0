//! Heads that are no plain heads.

use super::{check_ambiguous, check_refused, plain_and_last, refused};
use crate::support::{Ending, GET, Provider, Proxy, start};

fn with(field: &str) -> String {
    format!("GET / HTTP/1.1\r\nHost: app\r\n{field}\r\n\r\n")
}

#[test]
fn a_request_line_that_is_none_is_refused() {
    check_refused("GET / HTTP/1.1 extra\r\nHost: app\r\n\r\n");
    check_refused("GET  / HTTP/1.1\r\nHost: app\r\n\r\n");
    check_refused("GET /\r\nHost: app\r\n\r\n");
    check_refused("GET / http/1.1\r\nHost: app\r\n\r\n");
    check_refused("GET / HTTP/3.7\r\nHost: app\r\n\r\n");
    check_refused("G@T / HTTP/1.1\r\nHost: app\r\n\r\n");
    check_refused("/ HTTP/1.1\r\nHost: app\r\n\r\n");
    check_refused("GET v1/models HTTP/1.1\r\nHost: app\r\n\r\n");
    check_refused("GET\t/\tHTTP/1.1\r\nHost: app\r\n\r\n");
}

#[test]
fn bytes_that_are_no_http_are_refused() {
    check_refused(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n");
    check_refused("SSH-2.0-OpenSSH_9.9\r\n\r\n");
}

#[test]
fn a_space_before_the_colon_is_refused() {
    check_refused(with("X-A : 1"));
    check_refused(with("Content-Length : 5"));
    check_refused(with("Transfer-Encoding\t: chunked"));
}

#[test]
fn a_folded_line_is_refused() {
    check_refused(with("X-A: 1\r\n folded"));
    check_refused(with("X-A: 1\r\n\tfolded"));
    check_refused("GET / HTTP/1.1\r\n Host: app\r\nHost: app\r\n\r\n");
}

#[test]
fn a_nul_in_a_head_is_refused() {
    check_refused(with("X-A: a\0b"));
    check_refused(with("X\0A: 1"));
    check_refused("GET /a\0b HTTP/1.1\r\nHost: app\r\n\r\n");
}

#[test]
fn a_control_character_in_a_head_is_refused() {
    check_refused(with("X-A: a\u{1}b"));
    check_refused(with("X-A: a\u{7f}b"));
    check_refused(with("X\u{b}A: 1"));
}

#[test]
fn a_bare_cr_in_a_value_is_refused() {
    check_refused(with("X-A: a\rContent-Length: 5"));
}

#[test]
fn a_field_without_a_name_or_a_colon_is_refused() {
    check_refused(with(": 1"));
    check_refused(with("no colon"));
    check_refused(with("X A: 1"));
}

#[test]
fn bare_line_feeds_travel_as_one_plain_request_which_is_the_last() {
    let (head, _) = plain_and_last("GET /v1 HTTP/1.1\nHost: app\nX-A: 1\n\n");
    assert_eq!(head.first_line(), "GET /v1 HTTP/1.1");
    assert_eq!(head.names(), ["Host", "X-A"]);
}

#[test]
fn one_bare_line_feed_makes_a_request_the_last() {
    let (head, _) = plain_and_last("GET /v1 HTTP/1.1\r\nHost: app\r\nX-A: 1\nX-B: 2\r\n\r\n");
    assert_eq!(head.fields()[1..], [("X-A", "1"), ("X-B", "2")]);
}

#[test]
fn a_bare_line_feed_that_comes_late_makes_its_own_request_the_last() {
    let (provider, proxy) = start();
    let mut client = proxy.connect();
    client.send(GET);
    let mut upstream = provider.accept();
    upstream.head();
    upstream.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
    client.head();
    client.expect("ok");
    client.send(format!("GET /second HTTP/1.1\nHost: app\r\n\r\n{GET}"));
    assert_eq!(upstream.head().target(), "/second");
    upstream.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
    client.head();
    client.expect("ok");
    assert_eq!(client.expect_end(), Ending::Fin);
}

#[test]
fn a_request_without_a_host_is_refused() {
    check_ambiguous("GET / HTTP/1.1\r\nX-A: 1\r\n\r\n");
}

#[test]
fn a_request_with_two_hosts_is_refused() {
    check_ambiguous("GET / HTTP/1.1\r\nHost: app\r\nHost: other\r\n\r\n");
    check_ambiguous("GET / HTTP/1.1\r\nHost: app\r\nX-A: 1\r\nhost: app\r\n\r\n");
    check_ambiguous("GET / HTTP/1.0\r\nHost: app\r\nHost: app\r\n\r\n");
}

#[test]
fn a_host_that_is_no_host_is_refused() {
    for host in ["a, b", "a b", "user@app", "app/path"] {
        check_ambiguous(format!("GET / HTTP/1.1\r\nHost: {host}\r\n\r\n"));
    }
}

#[test]
fn connect_is_refused_and_opens_nothing() {
    let head = refused("CONNECT elsewhere.example:443 HTTP/1.1\r\nHost: elsewhere.example:443\r\n\r\n");
    assert_eq!(
        (head.status(), head.value("x-perimeter-error")),
        (405, Some("method_not_allowed")),
        "{head:?}"
    );
    assert!(head.has("Allow"), "{head:?}");
}

#[test]
fn a_head_with_too_many_fields_is_refused() {
    let fields: String = (0..2000).map(|n| format!("X-{n}: {n}\r\n")).collect();
    assert_eq!(refused(format!("GET / HTTP/1.1\r\nHost: app\r\n{fields}\r\n")).status(), 431);
}

#[test]
fn a_head_that_never_ends_is_refused() {
    let long = "v".repeat(2 << 20);
    let (provider, proxy) = start();
    let mut client = proxy.connect();
    let _ = client.try_send(format!("GET / HTTP/1.1\r\nHost: app\r\nX-Long: {long}"));
    assert_eq!(client.head().status(), 431);
    proxy.stop();
    assert_eq!(provider.rest(), "");
}

#[test]
fn a_target_of_any_length_is_answered() {
    let long = "p".repeat(100_000);
    let head = refused(format!("GET /{long} HTTP/1.1\r\nHost: app\r\n\r\n"));
    assert_eq!(head.status(), 414);
}

#[test]
fn what_is_refused_is_counted_by_its_reason() {
    let provider = Provider::start();
    let proxy = Proxy::to(&provider).start();
    let refusals = [
        ("GET / HTTP/1.1\r\n\r\n", "ambiguous_request"),
        ("CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\n\r\n", "method_not_allowed"),
        ("nonsense\r\n\r\n", "malformed_head"),
    ];
    for (message, reason) in refusals {
        let mut client = proxy.connect();
        client.send(message);
        client.rest();
        proxy.wait_for_metric(&format!("perimeter_refused_requests_total{{reason=\"{reason}\"}}"), 1.0);
    }
}

#[test]
fn a_refusal_speaks_the_words_of_the_provider() {
    for (kind, is_anthropic) in [("openai", false), ("anthropic", true)] {
        let provider = Provider::start();
        let setup = Proxy::to(&provider);
        let proxy = if is_anthropic { setup.anthropic() } else { setup }.start();
        let mut client = proxy.connect();
        client.send("GET / HTTP/1.1\r\n\r\n");
        let head = client.head();
        let body: serde_json::Value = serde_json::from_slice(&client.body(&head)).unwrap();
        assert_eq!(body["error"]["type"], "invalid_request_error", "{kind}");
        assert!(body["error"]["message"].as_str().unwrap().contains("Host"), "{kind}: {body}");
        assert_eq!(body.get("type").is_some(), is_anthropic, "{kind}: {body}");
    }
}

#[test]
fn a_refusal_does_not_hold_up_another_connection() {
    let (provider, proxy) = start();
    let mut bystander = proxy.connect();
    let mut client = proxy.connect();
    client.send("nonsense\r\n\r\n");
    assert_eq!(client.head().status(), 400);
    bystander.send(GET);
    assert_eq!(provider.accept().head().target(), "/v1/models");
}
