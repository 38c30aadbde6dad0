//! What a client says of its session in headers and a body of its own: it is read, and passes as it came.

use crate::support::{Provider, Watch};

/// Headers of clients that name sessions, as they write them, and one of the configuration.
const FIELDS: &str = "X-Claude-Code-Session-Id: 4d3f2b1a-0f9e-4d8c-b7a6-95847362514f\r\n\
    x-claude-code-agent-id: a1\r\n\
    session_id: 0199aa00-1111-7222-8333-444455556666\r\n\
    Session-Id: 0199aa00-1111-7222-8333-444455556666\r\n\
    x-session-affinity: ses_1\r\n\
    X-Parent-Session-Id: ses_0\r\n\
    Helicone-Session-Id: null\r\n\
    x-litellm-session-id: l1\r\n\
    X-Session-Id: one\r\n\
    X-Session-Id: two\r\n\
    traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01\r\n\
    X-Stainless-Retry-Count: 1\r\n\
    x-My-Session: mine\r\n";

const BODY: &str = r#"{ "model":"gpt-4.1", "session_id" : "b1","user":"u1","prompt_cache_key":"k1", "metadata":{"session_id":"m1"},"messages":[{"role":"user","content":"hi"}] }"#;

const ANSWER: &str = r#"{"id":"1","object":"chat.completion","model":"gpt-4.1","choices":[{"index":0,"message":{"role":"assistant","content":"hello"},"finish_reason":"stop"}]}"#;

#[test]
fn what_names_a_session_passes_to_the_provider_as_it_came() {
    let provider = Provider::start();
    let watch = Watch::of(&[("witness", "")]);
    let proxy = watch.setup(&provider).yaml("session: {headers: [x-my-session]}").start();
    let mut client = proxy.connect();
    client.send(format!(
        "POST /v1/chat/completions HTTP/1.1\r\nHost: app\r\n{FIELDS}X-Perimeter-Session-Id: ours\r\n\
         Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{BODY}",
        BODY.len()
    ));
    let mut upstream = provider.accept();
    let head = upstream.head();
    let text = head.text();
    assert!(text.contains(&format!("\r\n{FIELDS}Content-Type: ")), "{text}");
    assert!(!text.to_lowercase().contains("x-perimeter-"), "{text}");
    assert_eq!(upstream.body(&head), BODY.as_bytes());
    upstream.send(format!(
        "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{ANSWER}",
        ANSWER.len()
    ));
    upstream.close();
    let head = client.head();
    assert_eq!(client.body(&head), ANSWER.as_bytes());
    watch.wait(0, |told| told.ends() == 1);
    let told = watch.stop(proxy);
    let exchange = told.only();
    let call = exchange.lines.iter().find_map(|line| line.get("call")).unwrap();
    // Of all of them, the one that is meant for us counts.
    assert_eq!((&call["session"], &call["told"]), (&"ours".into(), &true.into()));
}
