//! The sessions that a running proxy holds, as it shows them.

mod command;
mod kept;
mod names;
mod page;

use serde_json::json;

use crate::support::{Provider, Proxy, Wire};

const ANSWER: &str = r#"{"id":"c","model":"m-1","choices":[{"index":0,"message":{"role":"assistant","content":"hi"},"finish_reason":"stop"}],"usage":{"prompt_tokens":9,"completion_tokens":2,"total_tokens":11}}"#;

/// A call in a session of this name, which the provider has read.
pub(crate) fn ask(provider: &Provider, proxy: &Proxy, session: &str) -> (Wire, Wire) {
    let body = json!({"model": "m", "messages": [{"role": "user", "content": "Hello"}]}).to_string();
    let mut client = proxy.connect();
    client.send(format!(
        "POST /v1/chat/completions HTTP/1.1\r\nHost: app\r\nContent-Type: application/json\r\nx-perimeter-session-id: {session}\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    ));
    let mut upstream = provider.accept();
    let head = upstream.head();
    upstream.body(&head);
    (client, upstream)
}

/// Answers it, and waits until the client has the answer.
pub(crate) fn answer((mut client, mut upstream): (Wire, Wire)) {
    upstream.send(format!(
        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{ANSWER}",
        ANSWER.len()
    ));
    upstream.close();
    assert_eq!(client.head().status(), 200);
    client.expect(ANSWER);
}

/// A call in a session of this name, answered.
pub(crate) fn call(provider: &Provider, proxy: &Proxy, session: &str) {
    answer(ask(provider, proxy, session));
}
