//! The way to the provider through an HTTP proxy that the environment names.

use crate::support::tls::Authority;
use crate::support::{Ending, GET, Head, OK, Provider, Proxy, Wire, asked};

const NAME: &str = "https://provider.example:8443";

/// A perimeter that reaches its provider, whose name nobody knows here, through a proxy at `proxy`.
fn through(proxy: &str, authority: &Authority) -> Proxy {
    Proxy::to_url(NAME).env("HTTPS_PROXY", proxy).env("SSL_CERT_FILE", authority.file()).start()
}

/// Sends a request, lets it through as the proxy at `middle`, and returns both ends and what the proxy was asked.
fn let_through(middle: &Provider, perimeter: &Proxy, authority: &Authority) -> (Wire, Wire, Head) {
    let mut client = perimeter.connect();
    client.send(GET);
    let mut upstream = middle.accept();
    let asked = upstream.head();
    upstream.send("HTTP/1.1 200 Connection established\r\n\r\n");
    let upstream = upstream.into_tls(&authority.server_for(&["provider.example"])).unwrap();
    (client, upstream, asked)
}

#[test]
fn a_provider_over_tls_is_reached_through_the_proxy_that_the_environment_names() {
    let authority = Authority::new();
    let middle = Provider::start();
    let perimeter = through(&middle.url(), &authority);
    let (mut client, mut upstream, asked) = let_through(&middle, &perimeter, &authority);
    assert_eq!(asked.text(), "CONNECT provider.example:8443 HTTP/1.1\r\nHost: provider.example:8443\r\n\r\n");
    assert_eq!(upstream.server_name(), Some("provider.example"));
    assert_eq!(upstream.head().text(), "GET /v1/models HTTP/1.1\r\nHost: provider.example:8443\r\n\r\n");
    upstream.send(OK);
    assert_eq!(client.head().status(), 200);
    client.expect("ok");
    client.send(GET);
    assert_eq!(upstream.head().first_line(), "GET /v1/models HTTP/1.1");
}

#[test]
fn the_credentials_of_the_proxy_go_to_the_proxy_and_nowhere_else() {
    let authority = Authority::new();
    let middle = Provider::start();
    let perimeter = through(&format!("http://user:hunter2@{}", middle.host()), &authority);
    let (mut client, mut upstream, asked) = let_through(&middle, &perimeter, &authority);
    assert_eq!(asked.value("Proxy-Authorization"), Some("Basic dXNlcjpodW50ZXIy"));
    assert_eq!(upstream.head().names(), ["Host"]);
    upstream.send(OK);
    client.head();
    assert!(!perimeter.stop().stderr.contains("hunter2"));
}

#[test]
fn a_proxy_that_refuses_is_told_as_that() {
    let authority = Authority::new();
    let middle = Provider::start();
    let perimeter = through(&format!("http://user:hunter2@{}", middle.host()), &authority);
    let mut client = perimeter.connect();
    client.send(GET);
    let mut upstream = middle.accept();
    upstream.head();
    upstream.send("HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n");
    let head = client.head();
    assert_eq!((head.status(), head.value("x-perimeter-error")), (502, Some("upstream_proxy")), "{head:?}");
    let body = crate::support::latin1(client.body(&head));
    assert!(body.contains("407") && !body.contains("hunter2"), "{body}");
}

#[test]
fn a_host_that_no_proxy_names_is_reached_straight() {
    let authority = Authority::new();
    let provider = Provider::start();
    let perimeter = Proxy::to_url(format!("https://{}", provider.host()))
        .env("HTTPS_PROXY", "http://127.0.0.1:1")
        .env("NO_PROXY", "example.org,127.0.0.1")
        .env("SSL_CERT_FILE", authority.file())
        .start();
    let mut client = perimeter.connect();
    client.send(GET);
    let mut upstream = provider.accept_tls(&authority.server_for(&["127.0.0.1"])).unwrap();
    upstream.head();
    upstream.send(OK);
    assert_eq!(client.head().status(), 200);
}

#[test]
fn a_provider_over_tls_is_told_when_its_connection_ends() {
    let authority = Authority::new();
    for answer in [
        "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok",
        "HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok",
        "no HTTP\r\n\r\n",
    ] {
        let provider = Provider::start();
        let perimeter = Proxy::to_url(format!("https://{}", provider.host()))
            .env("SSL_CERT_FILE", authority.file())
            .start();
        let mut client = perimeter.connect();
        client.send(GET);
        let mut upstream = provider.accept_tls(&authority.server_for(&["127.0.0.1"])).unwrap();
        upstream.head();
        upstream.send(answer);
        client.head();
        assert_eq!(upstream.expect_end(), Ending::Fin, "{answer}");
    }
}

#[test]
fn a_provider_without_tls_is_reached_straight() {
    let provider = Provider::start();
    let perimeter = Proxy::to(&provider)
        .env("HTTPS_PROXY", "http://127.0.0.1:1")
        .env("HTTP_PROXY", "http://127.0.0.1:1")
        .env("http_proxy", "http://127.0.0.1:1")
        .start();
    let (mut client, mut upstream) = asked(&provider, &perimeter, GET);
    upstream.send(OK);
    assert_eq!(client.head().status(), 200);
}
