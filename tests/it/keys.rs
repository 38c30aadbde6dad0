//! A configured `api_key` is added only where the client brought no credential, and only for those who may spend it.

use crate::support::proxy::Setup;
use crate::support::{Head, OK, Provider, Proxy, Wire};

const KEY: &str = "sk-configured";

/// A proxy with a key, in front of a provider.
struct Keyed {
    provider: Provider,
    proxy: Proxy,
}

impl Keyed {
    fn openai() -> Self {
        Self::with(|setup| setup)
    }

    fn anthropic() -> Self {
        Self::with(Setup::anthropic)
    }

    fn of(kind: &'static str) -> Self {
        Self::with(|setup| setup.kind(kind))
    }

    fn with(set_up: impl FnOnce(Setup) -> Setup) -> Self {
        let provider = Provider::start();
        let proxy = set_up(Proxy::to(&provider).args(&["--api-key", KEY])).start();
        Self { provider, proxy }
    }

    /// What reaches the provider of a request with these fields; `PORT` in them is the proxy's.
    fn forwarded(&self, fields: &str) -> Head {
        self.forwarded_over(self.proxy.connect(), fields)
    }

    fn forwarded_to(&self, target: &str, fields: &str) -> Head {
        self.exchanged(self.proxy.connect(), target, fields)
    }

    fn forwarded_over(&self, client: Wire, fields: &str) -> Head {
        self.exchanged(client, "/v1/models", fields)
    }

    fn exchanged(&self, mut client: Wire, target: &str, fields: &str) -> Head {
        let fields = fields.replace("PORT", &self.proxy.port().to_string());
        client.send(format!("GET {target} HTTP/1.1\r\n{fields}\r\n\r\n"));
        let mut upstream = self.provider.accept();
        let head = upstream.head();
        upstream.send(OK);
        upstream.close();
        assert_eq!(client.head().status(), 200);
        head
    }

    #[track_caller]
    fn check_added(&self, fields: &str) {
        let head = self.forwarded(fields);
        assert!(head.text().contains(KEY), "{fields:?} did not get the key: {head:?}");
    }

    #[track_caller]
    fn check_not_added(&self, fields: &str) {
        let head = self.forwarded(fields);
        assert!(!head.text().contains(KEY), "{fields:?} got the key: {head:?}");
    }
}

#[test]
fn a_request_without_a_credential_gets_the_key_in_the_form_of_openai() {
    let head = Keyed::openai().forwarded("Host: 127.0.0.1:PORT\r\nX-A: 1");
    assert_eq!(head.values("Authorization"), [format!("Bearer {KEY}")]);
    assert_eq!(head.fields().len(), 3, "{head:?}");
}

#[test]
fn a_request_without_a_credential_gets_the_key_in_the_form_of_anthropic() {
    let head = Keyed::anthropic().forwarded("Host: 127.0.0.1:PORT\r\nX-A: 1");
    assert_eq!(head.values("x-api-key"), [KEY]);
    assert_eq!(head.fields().len(), 3, "{head:?}");
}

#[test]
fn a_request_without_a_credential_gets_the_key_in_the_form_of_gemini() {
    let head = Keyed::of("gemini").forwarded("Host: 127.0.0.1:PORT\r\nX-A: 1");
    assert_eq!(head.values("x-goog-api-key"), [KEY]);
    assert_eq!(head.fields().len(), 3, "{head:?}");
}

#[test]
fn a_key_in_the_url_of_a_request_to_gemini_is_a_credential() {
    let keyed = Keyed::of("gemini");
    for target in ["/v1beta/models?key=own", "/v1beta/models/g:generateContent?alt=sse&key=own"] {
        let head = keyed.forwarded_to(target, "Host: localhost:PORT");
        assert!(!head.text().contains(KEY), "{target}: {head:?}");
    }
    let head = keyed.forwarded_to("/v1beta/models?monkey=own", "Host: localhost:PORT");
    assert_eq!(head.values("x-goog-api-key"), [KEY]);
}

#[test]
fn where_any_api_may_be_spoken_each_request_gets_the_key_in_the_form_of_its_own() {
    let keyed = Keyed::of("auto");
    let bearer = format!("Bearer {KEY}");
    for (target, fields, name, value) in [
        ("/v1/chat/completions", "", "authorization", &*bearer),
        ("/v1/models", "", "authorization", &bearer),
        ("/v1beta/openai/chat/completions", "", "authorization", &bearer),
        ("/v1/messages", "", "x-api-key", KEY),
        ("/v1/models", "anthropic-version: 2023-06-01\r\n", "x-api-key", KEY),
        ("/v1beta/models/gemini-2.5-pro:streamGenerateContent?alt=sse", "", "x-goog-api-key", KEY),
        ("/agent-workflow/w/v1beta/models", "", "x-goog-api-key", KEY),
    ] {
        let head = keyed.forwarded_to(target, &format!("{fields}Host: localhost:PORT"));
        assert_eq!(head.values(name), [value], "{target}: {head:?}");
        assert_eq!(head.text().matches(KEY).count(), 1, "{target}: {head:?}");
    }
}

#[test]
fn a_request_with_any_form_of_credential_is_left_alone() {
    for keyed in [Keyed::openai(), Keyed::anthropic(), Keyed::of("gemini"), Keyed::of("auto")] {
        for credential in [
            "Authorization: Bearer sk-own",
            "authorization: Basic eDp5",
            "x-api-key: sk-own",
            "X-Api-Key: sk-own",
            "api-key: sk-own",
            "x-goog-api-key: sk-own",
            "Sec-WebSocket-Protocol: realtime, openai-insecure-api-key.sk-own",
        ] {
            let head = keyed.forwarded(&format!("Host: localhost:PORT\r\n{credential}"));
            assert!(!head.text().contains(KEY), "{credential:?}: {head:?}");
            assert!(head.text().contains(&format!("\r\n{credential}\r\n")), "{head:?}");
        }
    }
}

#[test]
fn an_oauth_token_is_not_joined_by_a_key() {
    let head = Keyed::anthropic().forwarded("Host: localhost:PORT\r\nAuthorization: Bearer sk-ant-oat01-x");
    assert!(!head.has("x-api-key"), "{head:?}");
}

#[test]
fn nothing_is_added_where_no_key_is_configured() {
    let provider = Provider::start();
    let proxy = Proxy::to(&provider).start();
    let keyed = Keyed { provider, proxy };
    assert_eq!(keyed.forwarded("Host: localhost:PORT").names(), ["Host"]);
}

#[test]
fn every_name_of_this_listener_gets_the_key() {
    let keyed = Keyed::openai();
    for host in ["127.0.0.1:PORT", "localhost:PORT", "LocalHost:PORT", "[::1]:PORT"] {
        keyed.check_added(&format!("Host: {host}"));
    }
}

#[test]
fn a_foreign_host_does_not_get_the_key() {
    let keyed = Keyed::openai();
    for host in [
        "evil.example",
        "evil.example:PORT",
        "localhost:1",
        "localhost.evil.example:PORT",
        "127.0.0.1.evil.example",
    ] {
        keyed.check_not_added(&format!("Host: {host}"));
    }
}

#[test]
fn a_page_of_somebody_elses_does_not_get_the_key() {
    let keyed = Keyed::openai();
    for origin in [
        "https://evil.example",
        "http://evil.example:PORT",
        "null",
        "http://localhost:1",
        "http://localhost",
        "http://localhost.evil.example:PORT",
        "file://",
        "chrome-extension://abcdef",
        "",
    ] {
        keyed.check_not_added(&format!("Host: localhost:PORT\r\nOrigin: {origin}"));
    }
}

#[test]
fn a_page_of_our_own_gets_the_key() {
    let keyed = Keyed::openai();
    for origin in ["http://localhost:PORT", "http://127.0.0.1:PORT", "http://[::1]:PORT"] {
        keyed.check_added(&format!("Host: localhost:PORT\r\nOrigin: {origin}"));
    }
}

#[test]
fn a_request_that_a_browser_calls_foreign_does_not_get_the_key() {
    let keyed = Keyed::openai();
    for site in ["cross-site", "same-site", "Cross-Site", "whatever"] {
        keyed.check_not_added(&format!("Host: localhost:PORT\r\nSec-Fetch-Site: {site}"));
    }
    for site in ["same-origin", "none"] {
        keyed.check_added(&format!("Host: localhost:PORT\r\nSec-Fetch-Site: {site}"));
    }
}

#[test]
fn of_two_origins_one_that_is_foreign_is_enough() {
    let keyed = Keyed::openai();
    keyed.check_not_added(
        "Host: localhost:PORT\r\nOrigin: http://localhost:PORT\r\nOrigin: https://evil.example",
    );
    keyed.check_not_added("Host: localhost:PORT\r\nSec-Fetch-Site: none\r\nSec-Fetch-Site: cross-site");
}

#[test]
fn a_request_that_does_not_get_the_key_is_forwarded_as_it_is() {
    let head = Keyed::openai().forwarded("Host: evil.example\r\nOrigin: https://evil.example");
    assert_eq!(head.names(), ["Host", "Origin"]);
}

#[test]
fn a_target_in_absolute_form_is_a_foreign_host_where_it_names_one() {
    let keyed = Keyed::openai();
    let mut client = keyed.proxy.connect();
    let port = keyed.proxy.port();
    client.send(format!("GET http://evil.example/v1/models HTTP/1.1\r\nHost: localhost:{port}\r\n\r\n"));
    let head = keyed.provider.accept().head();
    assert!(!head.text().contains(KEY), "{head:?}");
}

#[test]
fn an_http_1_0_client_without_a_host_gets_the_key() {
    let keyed = Keyed::openai();
    let mut client = keyed.proxy.connect();
    client.send("GET /v1/models HTTP/1.0\r\n\r\n");
    assert_eq!(keyed.provider.accept().head().value("Authorization"), Some("Bearer sk-configured"));
}

#[test]
fn a_websocket_gets_the_key_as_well() {
    let head = Keyed::openai().forwarded(
        "Host: localhost:PORT\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Protocol: realtime",
    );
    assert_eq!(head.value("Authorization"), Some("Bearer sk-configured"));
}

#[test]
fn beyond_loopback_nobody_gets_the_key_unasked() {
    Keyed::with(|setup| setup.args(&["--host", "0.0.0.0"])).check_not_added("Host: 127.0.0.1:PORT");
}

/// Bound beyond loopback, with a key for clients.
fn with_client_keys() -> Keyed {
    Keyed::with(|setup| setup.args(&["--host", "0.0.0.0"]).yaml("server: {client_keys: [ck-1, ck-2]}"))
}

#[test]
fn beyond_loopback_a_client_that_shows_its_key_gets_ours() {
    let keyed = with_client_keys();
    for key in ["ck-1", "ck-2"] {
        let head = keyed.forwarded(&format!("Host: 127.0.0.1:PORT\r\nx-perimeter-key: {key}"));
        assert_eq!(head.values("Authorization"), ["Bearer sk-configured"]);
        assert!(!head.text().contains("ck-"), "{head:?}");
    }
}

#[test]
fn beyond_loopback_a_client_that_shows_no_key_of_ours_gets_none() {
    let keyed = with_client_keys();
    keyed.check_not_added("Host: 127.0.0.1:PORT");
    keyed.check_not_added("Host: 127.0.0.1:PORT\r\nx-perimeter-key: ck-3");
    keyed.check_not_added("Host: 127.0.0.1:PORT\r\nx-perimeter-key: ck-");
    keyed.check_not_added("Host: 127.0.0.1:PORT\r\nx-perimeter-key: ck-12");
    keyed.check_not_added("Host: 127.0.0.1:PORT\r\nx-perimeter-key:");
}

#[test]
fn a_client_can_show_its_key_where_its_sdk_puts_one() {
    let keyed = with_client_keys();
    for field in ["Authorization: Bearer ck-1", "x-api-key: ck-2", "api-key: ck-1"] {
        let head = keyed.forwarded(&format!("Host: 127.0.0.1:PORT\r\n{field}"));
        assert_eq!(head.values("Authorization"), ["Bearer sk-configured"], "of {field:?}");
        assert!(!head.text().contains("ck-"), "a key of ours went to the provider: {head:?}");
    }
}

#[test]
fn a_client_with_a_credential_of_its_own_keeps_it_beyond_loopback() {
    let head = with_client_keys().forwarded("Host: 127.0.0.1:PORT\r\nAuthorization: Bearer sk-own");
    assert_eq!(head.values("Authorization"), ["Bearer sk-own"]);
}

#[test]
fn a_client_that_shows_its_key_from_a_foreign_page_gets_none() {
    with_client_keys()
        .check_not_added("Host: 127.0.0.1:PORT\r\nx-perimeter-key: ck-1\r\nOrigin: https://evil.example");
}

#[test]
fn beyond_loopback_everybody_gets_the_key_where_that_is_written_out() {
    let keyed = Keyed::with(|setup| setup.args(&["--host", "0.0.0.0"]).yaml("server: {allow_open: true}"));
    keyed.check_added("Host: 127.0.0.1:PORT");
    keyed.check_not_added("Host: 127.0.0.1:PORT\r\nOrigin: https://evil.example");
}

#[test]
fn the_key_is_told_nowhere() {
    let keyed = Keyed::with(|setup| setup.args(&["--log-level", "trace"]));
    keyed.check_added("Host: localhost:PORT");
    for path in ["/health", "/ready", "/config", "/metrics"] {
        assert!(!keyed.proxy.admin(path).body.contains(KEY), "{path}");
    }
    let exit = keyed.proxy.stop();
    assert!(!exit.stderr.contains(KEY), "{}", exit.stderr);
}

#[test]
fn the_key_comes_from_the_environment_as_well() {
    let provider = Provider::start();
    let proxy = Proxy::to(&provider).env("LLM_API_KEY", KEY).start();
    Keyed { provider, proxy }.check_added("Host: localhost:PORT");
}
