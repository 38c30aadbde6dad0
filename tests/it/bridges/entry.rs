//! A bridge spends its owner's money: who may, and what is said where something is missing.

use serde_json::{Value, json};

use crate::support::Proxy;
use crate::support::proxy::{Answer, Setup, ask};

/// A bridge to a CLI that is not there: what comes before it is the same.
fn setup() -> Setup {
    Proxy::bridge("claude_code")
        .env("ANTHROPIC_API_KEY", "sk-ant-of-the-owner")
        .yaml("llm: {type: claude_code, claude_code: {command: /nowhere/claude}}")
}

fn get(proxy: &Proxy, path: &str, fields: &str) -> Answer {
    let fields = fields.replace("PORT", &proxy.port().to_string());
    ask(proxy.address(), &format!("GET {path} HTTP/1.1\r\n{fields}Connection: close\r\n\r\n"))
}

fn code(answer: &Answer) -> Value {
    serde_json::from_str::<Value>(&answer.body).unwrap()["error"]["code"].clone()
}

#[test]
fn anybody_on_this_machine_may_ask_with_any_key_and_no_web_page() {
    let proxy = setup().start();
    for fields in [
        "Host: localhost:PORT\r\n",
        "Host: 127.0.0.1:PORT\r\nAuthorization: Bearer fake-key\r\n",
        "Host: 127.0.0.1:PORT\r\nOrigin: http://127.0.0.1:PORT\r\n",
    ] {
        assert_eq!(get(&proxy, "/v1/models", fields).head.status(), 200, "{fields}");
    }
    for fields in [
        "Host: evil.example:PORT\r\n",
        "Host: localhost:PORT\r\nOrigin: https://evil.example\r\nAuthorization: Bearer fake-key\r\n",
        "Host: localhost:PORT\r\nSec-Fetch-Site: cross-site\r\n",
    ] {
        let answer = get(&proxy, "/v1/models", fields);
        assert_eq!((answer.head.status(), code(&answer)), (403, json!("foreign_page")), "{fields}");
        assert_eq!(answer.head.value("x-perimeter-error"), Some("foreign_page"));
    }
}

#[test]
fn where_there_are_client_keys_one_of_them_has_to_be_shown_on_loopback_too() {
    let proxy = setup().yaml("server: {client_keys: [sk-team-a]}").start();
    for fields in [
        "Authorization: Bearer sk-team-a\r\n",
        "x-api-key: sk-team-a\r\n",
        "x-perimeter-key: sk-team-a\r\nAuthorization: Bearer other\r\n",
    ] {
        let answer = get(&proxy, "/v1/models", &format!("Host: localhost:PORT\r\n{fields}"));
        assert_eq!(answer.head.status(), 200, "{fields}");
    }
    let answer = get(&proxy, "/v1/models", "Host: localhost:PORT\r\nAuthorization: Bearer sk-team\r\n");
    assert_eq!((answer.head.status(), code(&answer)), (401, json!("invalid_api_key")));
    let fields = "Host: localhost:PORT\r\nanthropic-version: 2023-06-01\r\n";
    let answer: Value = serde_json::from_str(&get(&proxy, "/v1/models", fields).body).unwrap();
    assert_eq!(answer["error"]["type"], "authentication_error");
}

#[test]
fn beyond_loopback_a_bridge_does_not_start_without_client_keys() {
    for open in ["", ", allow_open: true"] {
        let exit = setup().yaml(&format!("server: {{host: 0.0.0.0{open}}}")).fails();
        assert_eq!(exit.code, Some(2));
        let told = "a bridge spends your money: beyond loopback it needs server.client_keys";
        assert!(exit.stderr.contains(told), "{}", exit.stderr);
    }
}

#[test]
fn what_is_missing_is_said_at_the_start_and_in_ready_and_to_clients() {
    let proxy = setup().start();
    let line = proxy.wait_for_log(|line| line.contains("the bridge is not ready"));
    assert!(line.contains("/nowhere/claude"), "{line}");
    let ready = proxy.admin("/ready");
    assert_eq!(ready.head.status(), 503);
    let page: Value = serde_json::from_str(&ready.body).unwrap();
    assert_eq!(page["status"], "not ready");
    assert!(page["missing"].as_str().unwrap().contains("npm install"), "{page}");
    let body = json!({"model": "sonnet", "messages": [{"role": "user", "content": "hi"}]}).to_string();
    let request = format!(
        "POST /v1/chat/completions HTTP/1.1\r\nHost: {}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
        proxy.address(),
        body.len()
    );
    let answer = ask(proxy.address(), &request);
    assert_eq!((answer.head.status(), code(&answer)), (503, json!("bridge_unavailable")), "{}", answer.body);
    assert!(!answer.head.has("x-perimeter-error"), "it is the bridge's own answer");
    assert!(!proxy.stderr().contains("sk-ant"), "{}", proxy.stderr());
}

#[test]
fn a_bridge_needs_no_base_url_and_says_what_to_set() {
    let proxy = setup().start();
    let line = proxy.wait_for_log(|line| line.contains("listening on"));
    let here = format!("http://127.0.0.1:{}", proxy.port());
    let told = format!("set OPENAI_BASE_URL={here}/v1 or ANTHROPIC_BASE_URL={here}");
    assert!(line.ends_with(&told), "{line}");
}

#[test]
fn settings_of_the_cli_that_make_no_sense_are_refused_with_what_would() {
    for (llm, key, words) in [
        ("bridge: {concurrency: 0}", "llm.bridge.concurrency", "expected at least 1"),
        (
            "claude_code: {models: {a: {aliases: [x]}, b: {aliases: [x]}}}",
            "llm.claude_code.models",
            "more than one",
        ),
        ("base_url: https://api.openai.com", "llm.base_url", "leave it out"),
        (
            "claude_code: {models: {a: {mode: agent}}, agent: {mcp_config: /nowhere/mcp.json}}",
            "llm.claude_code.agent.mcp_config",
            "mcpServers",
        ),
        (
            "claude_code: {models: {a: {mode: agent}}, agent: {workspace: /dev/null}}",
            "llm.claude_code.agent.workspace",
            "no directory",
        ),
    ] {
        let setup =
            Proxy::bridge("claude_code").env("ANTHROPIC_API_KEY", "sk").yaml(&format!("llm: {{{llm}}}"));
        let exit = setup.fails();
        assert_eq!(exit.code, Some(2), "{llm}: {}", exit.stderr);
        assert!(
            exit.stderr.contains(&format!("{key}:")) && exit.stderr.contains(words),
            "{llm}: {}",
            exit.stderr
        );
    }
}
