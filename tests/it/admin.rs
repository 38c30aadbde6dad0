//! The second listener: health, readiness, the configuration in force, and what is counted.

use serde_json::Value;

use crate::support::provider::free_port;
use crate::support::proxy::{Answer, ask};
use crate::support::{GET, OK, Provider, Proxy, answered, asked, forwarded_through, start};

fn json(answer: &Answer) -> Value {
    assert_eq!(answer.head.value("content-type"), Some("application/json"));
    serde_json::from_str(&answer.body).unwrap()
}

/// Asks for a page with these fields.
fn page(proxy: &Proxy, path: &str, fields: &str) -> Answer {
    let fields = fields.replace("PORT", &proxy.admin_address().port().to_string());
    ask(proxy.admin_address(), &format!("GET {path} HTTP/1.1\r\n{fields}\r\nConnection: close\r\n\r\n"))
}

#[test]
fn health_is_told() {
    let (_provider, proxy) = start();
    let answer = proxy.admin("/health");
    assert_eq!(answer.head.status(), 200);
    assert_eq!(json(&answer)["status"], "healthy");
}

#[test]
fn readiness_is_told_without_asking_the_provider() {
    let (provider, proxy) = start();
    let answer = proxy.admin("/ready");
    assert_eq!(answer.head.status(), 200);
    json(&answer);
    proxy.stop();
    assert_eq!(provider.rest(), "");
}

#[test]
fn the_configuration_in_force_is_told_without_its_secrets() {
    let provider = Provider::start();
    let url = format!("http://user:hunter2@{}/v1", provider.host());
    let proxy = Proxy::to_url(url)
        .args(&["--api-key", "sk-secret"])
        .yaml("server: {client_keys: [ck-secret], drain: 7s, admin: {token: at-secret}}")
        .start();
    let answer = page(&proxy, "/config", "Host: localhost:PORT\r\nAuthorization: Bearer at-secret");
    assert_eq!(answer.head.status(), 200);
    let config = json(&answer);
    assert_eq!(config["llm"]["type"], "openai");
    assert_eq!(config["llm"]["api_key"], "***");
    assert!(
        config["llm"]["base_url"].as_str().unwrap().ends_with(&format!("{}/v1", provider.host())),
        "{config}"
    );
    for secret in ["sk-secret", "ck-secret", "at-secret", "hunter2"] {
        assert!(!answer.body.contains(secret), "{secret} is told: {}", answer.body);
    }
}

#[test]
fn there_is_nothing_else() {
    let (_provider, proxy) = start();
    for path in ["/", "/v1/models", "/health/", "/configs", "/metrics/x"] {
        assert_eq!(proxy.admin(path).head.status(), 404, "{path}");
    }
}

#[test]
fn only_reading_is_possible() {
    let (_provider, proxy) = start();
    let address = proxy.admin_address();
    for method in ["POST", "PUT", "DELETE"] {
        let request = format!("{method} /config HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
        assert_eq!(ask(address, &request).head.status(), 405, "{method}");
    }
}

#[test]
fn a_foreign_host_is_told_nothing() {
    let (_provider, proxy) = start();
    for path in ["/health", "/ready", "/config", "/metrics", "/sessions"] {
        for host in ["evil.example", "evil.example:PORT", "localhost:1"] {
            let answer = page(&proxy, path, &format!("Host: {host}"));
            assert_eq!(answer.head.status(), 403, "{path} for {host}: {}", answer.body);
        }
    }
    for host in ["localhost:PORT", "127.0.0.1:PORT", "[::1]:PORT"] {
        assert_eq!(page(&proxy, "/health", &format!("Host: {host}")).head.status(), 200, "{host}");
    }
}

#[test]
fn a_page_of_somebody_elses_is_told_nothing() {
    let (_provider, proxy) = start();
    for origin in ["https://evil.example", "null", "http://localhost:1"] {
        let answer = page(&proxy, "/config", &format!("Host: localhost:PORT\r\nOrigin: {origin}"));
        assert_eq!(answer.head.status(), 403, "{origin}: {}", answer.body);
        assert!(!answer.head.has("access-control-allow-origin"));
    }
    let own = page(&proxy, "/config", "Host: localhost:PORT\r\nOrigin: http://localhost:PORT");
    assert_eq!(own.head.status(), 200);
}

#[test]
fn a_token_is_asked_for_where_one_is_set() {
    let provider = Provider::start();
    let proxy = Proxy::to(&provider).yaml("server: {admin: {host: 0.0.0.0, token: at-1}}").start();
    for path in ["/health", "/ready", "/config", "/metrics", "/sessions"] {
        for credential in
            ["X-A: 1", "Authorization: Bearer at-2", "Authorization: Bearer at-", "Authorization: Basic at-1"]
        {
            let answer = page(&proxy, path, &format!("Host: localhost:PORT\r\n{credential}"));
            assert_eq!(answer.head.status(), 401, "{path} with {credential}");
        }
        let answer = page(&proxy, path, "Host: localhost:PORT\r\nAuthorization: Bearer at-1");
        assert_eq!(answer.head.status(), 200, "{path}");
    }
}

#[test]
fn beyond_loopback_there_is_no_admin_listener_without_a_token() {
    let provider = Provider::start();
    let exit = Proxy::to(&provider).args(&["--port", "0"]).yaml("server: {admin: {host: 0.0.0.0}}").fails();
    assert_eq!(exit.code, Some(2), "{}", exit.stderr);
    assert!(exit.stderr.contains("token"), "{}", exit.stderr);
}

#[test]
fn its_pages_are_on_the_proxy_port_where_that_is_written_out() {
    let provider = Provider::start();
    let proxy = Proxy::to(&provider).yaml("server: {admin_on_proxy_port: true}").start();
    for path in ["/health", "/ready", "/config", "/metrics", "/sessions"] {
        let request =
            format!("GET {path} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\r\n", proxy.address());
        assert_eq!(ask(proxy.address(), &request).head.status(), 200, "{path}");
    }
    assert_eq!(forwarded_through(&provider, &proxy, GET).target(), "/v1/models");
    assert_eq!(proxy.admin("/health").head.status(), 200);
}

#[test]
fn its_pages_on_the_proxy_port_are_told_to_no_foreign_page() {
    let provider = Provider::start();
    let proxy = Proxy::to(&provider).yaml("server: {admin_on_proxy_port: true}").start();
    let request = "GET /config HTTP/1.1\r\nHost: evil.example\r\nConnection: close\r\n\r\n";
    assert_eq!(ask(proxy.address(), request).head.status(), 403);
}

#[test]
fn its_port_is_the_one_that_is_given() {
    let free = free_port();
    let provider = Provider::start();
    let proxy = Proxy::to(&provider).yaml(&format!("server: {{admin: {{port: {free}}}}}")).start();
    assert_eq!(proxy.admin_address().port(), free);
    assert_eq!(proxy.admin("/health").head.status(), 200);
}

#[test]
fn exchanges_and_their_bytes_are_counted() {
    let (provider, proxy) = start();
    let mut client = proxy.connect();
    client.send("POST / HTTP/1.1\r\nHost: app\r\nContent-Length: 11\r\n\r\nhello world");
    let mut upstream = provider.accept();
    upstream.head();
    upstream.expect("hello world");
    upstream.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n");
    client.head();
    client.chunked();
    proxy.wait_for_metric("perimeter_exchanges_total{status=\"2xx\",outcome=\"complete\"}", 1.0);
    proxy.wait_for_metric("perimeter_request_bytes_total", 11.0);
    proxy.wait_for_metric("perimeter_response_bytes_total", 5.0);
    client.send(GET);
    upstream.head();
    upstream.send("HTTP/1.1 429 Slow Down\r\nContent-Length: 2\r\n\r\nno");
    client.head();
    client.expect("no");
    proxy.wait_for_metric("perimeter_exchanges_total{status=\"4xx\",outcome=\"complete\"}", 1.0);
    proxy.wait_for_metric("perimeter_response_bytes_total", 7.0);
}

#[test]
fn what_is_open_is_counted() {
    let (provider, proxy) = start();
    proxy.wait_for_metric("perimeter_open_connections", 0.0);
    let (mut client, mut upstream) = asked(&provider, &proxy, GET);
    proxy.wait_for_metric("perimeter_open_connections", 1.0);
    proxy.wait_for_metric("perimeter_open_exchanges", 1.0);
    upstream.send(OK);
    client.head();
    client.expect("ok");
    proxy.wait_for_metric("perimeter_open_exchanges", 0.0);
    proxy.wait_for_metric("perimeter_open_connections", 1.0);
    client.close();
    proxy.wait_for_metric("perimeter_open_connections", 0.0);
}

#[test]
fn our_own_time_is_told_as_a_histogram() {
    let (provider, proxy) = start();
    let (mut client, mut upstream) = answered(&provider, &proxy, GET, OK);
    client.expect("ok");
    for _ in 0..4 {
        client.send(GET);
        upstream.head();
        upstream.send(OK);
        client.head();
        client.expect("ok");
    }
    proxy.wait_for_metric("perimeter_added_seconds_count", 5.0);
    assert!(proxy.metric("perimeter_added_seconds_sum") > 0.0);
    assert!((proxy.metric("perimeter_added_seconds_bucket{le=\"+Inf\"}") - 5.0).abs() < f64::EPSILON);
}

#[test]
fn the_metrics_are_well_formed() {
    let (_provider, proxy) = start();
    let answer = proxy.admin("/metrics");
    assert!(answer.head.value("content-type").unwrap().starts_with("text/plain"));
    let mut series = std::collections::HashSet::new();
    for line in answer.body.lines().filter(|line| !line.starts_with('#')) {
        let (name, value) = line.rsplit_once(' ').unwrap_or_else(|| panic!("{line:?}"));
        assert!(name.starts_with("perimeter_"), "{line:?}");
        assert!(value.parse::<f64>().is_ok(), "{line:?}");
        assert!(series.insert(name.to_owned()), "{name} stands twice");
    }
    for name in [
        "perimeter_request_bytes_total",
        "perimeter_response_bytes_total",
        "perimeter_open_exchanges",
        "perimeter_open_connections",
        "perimeter_upstream_connections_opened_total",
        "perimeter_upstream_connections_reused_total",
        "perimeter_log_lines_dropped_total",
        "perimeter_added_seconds_count",
    ] {
        assert!(series.contains(name), "{name} is missing");
    }
}

#[test]
fn what_the_admin_listener_answers_is_no_exchange() {
    let (_provider, proxy) = start();
    proxy.admin("/health");
    proxy.admin("/nothing");
    let text = proxy.admin("/metrics").body;
    for line in text.lines().filter(|line| line.starts_with("perimeter_exchanges_total")) {
        assert!(line.ends_with(" 0"), "{line}");
    }
    proxy.wait_for_metric("perimeter_open_connections", 0.0);
}
