//! One line an exchange: what was asked, how it ended, how long it took, how much it was.

use serde_json::Value;

use crate::support::{GET, OK, Provider, Proxy, answered, asked, start};

/// The access line of the only exchange there was.
#[track_caller]
fn line(proxy: Proxy) -> String {
    proxy.wait_for_log(|line| line.contains("access"));
    let stderr = proxy.stop().stderr;
    let lines: Vec<_> = stderr.lines().filter(|line| line.contains("access")).collect();
    assert_eq!(lines.len(), 1, "{stderr}");
    lines[0].to_owned()
}

#[test]
fn an_exchange_is_one_line() {
    let (provider, proxy) = start();
    let mut client = proxy.connect();
    client.send("POST /v1/chat/completions HTTP/1.1\r\nHost: app\r\nContent-Length: 11\r\n\r\nhello world");
    let mut upstream = provider.accept();
    upstream.head();
    upstream.expect("hello world");
    upstream.send(OK);
    client.head();
    client.expect("ok");
    let line = line(proxy);
    assert!(line.contains(" INFO access: POST /v1/chat/completions 200 complete "), "{line}");
    assert!(line.contains("ms ttfb ") && line.ends_with("ms in 11 out 2"), "{line}");
}

#[test]
fn the_query_is_not_told() {
    let (provider, proxy) = start();
    let (mut client, _upstream) =
        answered(&provider, &proxy, "GET /v1/x?key=secret&a=1 HTTP/1.1\r\nHost: app\r\n\r\n", OK);
    client.expect("ok");
    let line = line(proxy);
    assert!(line.contains("GET /v1/x 200 complete ") && !line.contains("secret"), "{line}");
}

#[test]
fn a_client_that_left_is_told_as_that() {
    let (provider, proxy) = start();
    let (client, mut upstream) = asked(&provider, &proxy, GET);
    client.close();
    upstream.expect_end();
    let line = line(proxy);
    assert!(line.contains("GET /v1/models ") && line.contains(" client_left "), "{line}");
}

#[test]
fn a_broken_upstream_is_told_as_that() {
    let (provider, proxy) = start();
    let (mut client, mut upstream) =
        answered(&provider, &proxy, GET, "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n");
    upstream.send("hello");
    upstream.close();
    client.rest();
    let line = line(proxy);
    assert!(line.contains("GET /v1/models 200 upstream_broke ") && line.ends_with(" out 5"), "{line}");
}

#[test]
fn a_failure_is_told_as_that() {
    let (provider, proxy) = start();
    let (mut client, upstream) = asked(&provider, &proxy, GET);
    upstream.close();
    client.head();
    let line = line(proxy);
    assert!(line.contains("GET /v1/models 502 failed "), "{line}");
}

#[test]
fn a_line_in_json_has_the_same_under_names() {
    let provider = Provider::start();
    let proxy = Proxy::to(&provider).yaml("logging: {format: json}").start();
    let mut client = proxy.connect();
    client.send("POST /v1/x?a=1 HTTP/1.1\r\nHost: app\r\nContent-Length: 5\r\n\r\nhello");
    let mut upstream = provider.accept();
    upstream.head();
    upstream.expect("hello");
    upstream.send(OK);
    client.head();
    client.expect("ok");
    let line: Value = serde_json::from_str(&line(proxy)).unwrap();
    let find = |key: &str| {
        line.get(key).or_else(|| line["fields"].get(key)).unwrap_or_else(|| panic!("no {key}: {line}"))
    };
    assert_eq!(find("method"), "POST");
    assert_eq!(find("path"), "/v1/x");
    assert_eq!(find("status"), 200);
    assert_eq!(find("outcome"), "complete");
    assert_eq!(find("request_bytes"), 5);
    assert_eq!(find("response_bytes"), 2);
    assert!(find("duration_ms").as_f64().unwrap() > 0.0);
    assert!(find("ttfb_ms").as_f64().unwrap() > 0.0);
}

#[test]
fn a_key_in_a_path_is_not_kept() {
    let key = ["sk-pr", "oj-", &"a1B2".repeat(10)].concat();
    let provider = Provider::start();
    let proxy = Proxy::to(&provider).start();
    let (mut client, _upstream) =
        answered(&provider, &proxy, &format!("GET /hooks/{key}/x HTTP/1.1\r\nHost: app\r\n\r\n"), OK);
    client.expect("ok");
    proxy.wait_for_metric("perimeter_open_exchanges", 0.0);
    let stdout = proxy.stdout();
    let stderr = proxy.stop().stderr;
    assert!(stderr.contains("/hooks/") && !stderr.contains("a1B2a1B2"), "{stderr}");
    assert!(!stdout.contains("a1B2a1B2"), "{stdout}");
}

#[test]
fn no_line_is_written_below_info() {
    let provider = Provider::start();
    let proxy = Proxy::to(&provider).args(&["--log-level", "warning"]).start();
    let (mut client, _upstream) = answered(&provider, &proxy, GET, OK);
    client.expect("ok");
    let stderr = proxy.stop().stderr;
    assert!(!stderr.contains("access"), "{stderr}");
}

#[test]
fn control_characters_of_a_client_do_not_reach_the_log() {
    let (provider, proxy) = start();
    let (mut client, _upstream) =
        answered(&provider, &proxy, "GET /v1/\u{9b}31mred HTTP/1.1\r\nHost: app\r\n\r\n", OK);
    client.expect("ok");
    let line = line(proxy);
    assert!(!line.chars().any(char::is_control), "{line:?}");
}
