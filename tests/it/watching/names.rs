//! What a client says of its session in headers and a body of its own: it is read, and passes as it came.

use serde_json::Value;

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

/// A call with these headers and this body, through what `yaml` says: the head as the provider got it, and whose call it
/// was read as.
fn call(yaml: &str, fields: &str, body: &str) -> (String, Value) {
    let provider = Provider::start();
    let watch = Watch::of(&[("witness", "")]);
    let proxy = watch.setup(&provider).yaml(yaml).start();
    let mut client = proxy.connect();
    client.send(format!(
        "POST /v1/chat/completions HTTP/1.1\r\nHost: app\r\n{fields}Content-Type: application/json\r\n\
         Content-Length: {}\r\n\r\n{body}",
        body.len()
    ));
    let mut upstream = provider.accept();
    let head = upstream.head();
    assert_eq!(upstream.body(&head), body.as_bytes());
    upstream.send(format!(
        "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{ANSWER}",
        ANSWER.len()
    ));
    upstream.close();
    let answer = client.head();
    assert_eq!(client.body(&answer), ANSWER.as_bytes());
    watch.wait(0, |told| told.ends() == 1);
    let told = watch.stop(proxy);
    let call = told.only().lines.iter().find_map(|line| line.get("call").cloned());
    (head.text().to_owned(), call.unwrap())
}

#[track_caller]
fn session(yaml: &str, fields: &str, body: &str) -> String {
    let (_, call) = call(yaml, fields, body);
    assert_eq!(call["told"], true, "{call}");
    call["session"].as_str().unwrap().to_owned()
}

#[test]
fn what_names_a_session_passes_to_the_provider_as_it_came() {
    let yaml = "session: {headers: [x-my-session]}";
    let (text, call) = call(yaml, &format!("{FIELDS}X-Perimeter-Session-Id: ours\r\n"), BODY);
    assert!(text.contains(&format!("\r\n{FIELDS}Content-Type: ")), "{text}");
    assert!(!text.to_lowercase().contains("x-perimeter-"), "{text}");
    // Of all of them, the one that is meant for us counts.
    assert_eq!((&call["session"], &call["told"]), (&"ours".into(), &true.into()));
}

#[test]
fn headers_of_the_configuration_count_before_those_that_are_known_and_these_before_the_body() {
    let yaml = "session: {headers: [x-none, x-my-session]}";
    assert_eq!(session(yaml, FIELDS, BODY), "mine");
    assert_eq!(session("", FIELDS, BODY), "4d3f2b1a-0f9e-4d8c-b7a6-95847362514f");
    assert_eq!(session("", "X-Session-Id: one\r\n", BODY), "one");
    assert_eq!(session("", "X-Session-Id: undefined\r\n", BODY), "b1");
}

#[test]
fn a_secret_in_a_header_that_names_the_session_is_no_name() {
    let yaml = "observe: {mask: {headers: [x-session-id]}}";
    let name = session(yaml, "X-Session-Id: hidden-7\r\n", BODY);
    assert!(name.starts_with("***") && !name.contains("hidden"), "{name}");
}
