//! The Cylestio platform, as the program speaks to it: over TLS, until the last event, and not without a key.

use rustix::process::Signal;
use serde_json::Value;

use crate::live_sessions::call;
use crate::support::tls::Authority;
use crate::support::{Provider, Proxy, Wire};

fn sending(platform: &Provider, more: &str) -> String {
    let url = format!("https://{}", platform.host());
    format!(
        "interceptors: [{{type: cylestio_trace, config: {{api_url: '{url}', descope_base_url: '{url}'{more}}}}}]\n"
    )
}

/// Answers a request, and gives it.
fn answered(platform: &mut Wire, answer: &str) -> (String, String, String) {
    let head = platform.head();
    let body = String::from_utf8(platform.body(&head)).unwrap();
    let length = answer.len();
    platform.send(format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n{answer}"));
    (head.target().to_owned(), head.value("Authorization").unwrap().to_owned(), body)
}

#[test]
fn events_reach_the_platform_over_tls_to_the_last_one_at_the_stop() {
    let (provider, listener, authority) = (Provider::start(), Provider::start(), Authority::new());
    let mut proxy = Proxy::to(&provider)
        .yaml(&sending(&listener, ""))
        .env("CYLESTIO_ACCESS_KEY", "K2-of-the-environment")
        .env("SSL_CERT_FILE", authority.file())
        .start();
    call(&provider, &proxy, "s");
    let mut platform = listener.accept_tls(&authority.server_for(&["127.0.0.1"])).unwrap();
    let (target, authorization, _) = answered(&mut platform, r#"{"sessionJwt": "the.session.token"}"#);
    assert_eq!(target, "/v1/auth/accesskey/exchange");
    assert!(authorization.ends_with(":K2-of-the-environment"), "{authorization}");
    proxy.signal(Signal::TERM);
    let mut names = Vec::new();
    while names.last().is_none_or(|name| name != "session.end") {
        let (target, authorization, body) = answered(&mut platform, "");
        assert_eq!((&*target, &*authorization), ("/v1/telemetry", "Bearer the.session.token"));
        let event: Value = serde_json::from_str(&body).unwrap();
        assert_eq!(event["session_id"], "s");
        names.push(event["name"].as_str().unwrap().to_owned());
    }
    assert_eq!(names.len(), 4, "{names:?}");
    assert_eq!(names[..2], ["session.start", "llm.call.start"]);
    let exit = proxy.exit();
    assert_eq!(exit.code, Some(0), "{}", exit.stderr);
    assert!(!exit.stderr.contains("K2-of") && !exit.stderr.contains("the.session"), "{}", exit.stderr);
    assert!(!exit.stderr.contains("left behind"), "{}", exit.stderr);
}

#[test]
fn a_platform_that_never_answers_holds_up_neither_traffic_nor_stop() {
    let (provider, platform) = (Provider::start(), Provider::start());
    let yaml = sending(&platform, ", access_key: K2").replace("https:", "http:");
    let proxy = Proxy::to(&provider).yaml(&format!("{yaml}server: {{flush: 100ms}}\n")).start();
    for session in ["a", "b", "c"] {
        call(&provider, &proxy, session);
    }
    let exit = proxy.stop();
    assert_eq!(exit.code, Some(0), "{}", exit.stderr);
    assert!(exit.stderr.contains("left behind"), "{}", exit.stderr);
}

#[test]
fn without_an_access_key_the_program_does_not_start() {
    let (provider, platform) = (Provider::start(), Provider::start());
    let exit = Proxy::to(&provider).args(&["--port", "0"]).yaml(&sending(&platform, "")).fails();
    assert_eq!(exit.code, Some(1), "{}", exit.stderr);
    for words in ["cylestio_trace cannot start", "set access_key", "CYLESTIO_ACCESS_KEY"] {
        assert!(exit.stderr.contains(words), "{}", exit.stderr);
    }
}
