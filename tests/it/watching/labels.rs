//! What a client says about its calls in headers and path, and the sessions that they make.

use serde_json::{Value, json};

use crate::support::told::{Exchange, Told};
use crate::support::{Provider, Proxy, Watch};

/// A chat completion with these fields and target, and its answer.
fn call(provider: &Provider, proxy: &Proxy, target: &str, fields: &str) {
    let body = r#"{"model":"gpt-4.1","messages":[{"role":"user","content":"hi"}]}"#;
    let answer = r#"{"id":"1","object":"chat.completion","model":"gpt-4.1","choices":[{"index":0,"message":{"role":"assistant","content":"hello"},"finish_reason":"stop"}]}"#;
    let mut client = proxy.connect();
    client.send(format!(
        "POST {target} HTTP/1.1\r\nHost: app\r\n{fields}Content-Type: application/json\r\n\
         Content-Length: {}\r\n\r\n{body}",
        body.len()
    ));
    let mut upstream = provider.accept();
    let head = upstream.head();
    assert!(!head.text().to_lowercase().contains("x-perimeter-"), "{head:?}");
    upstream.body(&head);
    upstream.send(format!(
        "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{answer}",
        answer.len()
    ));
    upstream.close();
    let head = client.head();
    assert_eq!(client.body(&head), answer.as_bytes());
}

const CHAT: &str = "/v1/chat/completions";

fn told_of(yaml: &str, calls: &[(&str, &str)]) -> Told {
    let provider = Provider::start();
    let watch = Watch::of(&[("witness", "")]);
    let proxy = watch.setup(&provider).yaml(yaml).start();
    for (target, fields) in calls {
        call(&provider, &proxy, target, fields);
    }
    watch.wait(0, |told| told.ends() == calls.len());
    watch.stop(proxy)
}

/// The session of the exchange's call.
#[track_caller]
fn session(exchange: &Exchange) -> &Value {
    let call = exchange.lines.iter().find_map(|line| line.get("call"));
    call.unwrap_or_else(|| panic!("no call in {exchange:#?}"))
}

#[test]
fn labels_are_told_with_the_head() {
    let fields = "X-Perimeter-Session-Id: s1\r\nX-Perimeter-Agent-Id: a1\r\n\
        X-Perimeter-Tags: team:blue,urgent\r\n";
    let told = told_of("", &[(&format!("/agent-workflow/w1{CHAT}"), fields)]);
    let exchange = told.only();
    let head = exchange.line("on_request_head");
    assert_eq!(
        (&head["workflow"], &head["session"], &head["agent"]),
        (&json!("w1"), &json!("s1"), &json!("a1"))
    );
    assert_eq!(head["tags"], json!({"team": "blue", "urgent": "true"}));
    let session = session(&exchange);
    assert_eq!(
        (&session["session"], &session["told"], &session["agent"]),
        (&json!("s1"), &json!(true), &json!("a1"))
    );
}

#[test]
fn the_predecessors_headers_name_sessions_too() {
    let conversation = (CHAT, "X-Cylestio-Conversation-Id: c1\r\n");
    let id = (CHAT, "X-Cylestio-Session-Id: s1\r\n");
    let sessions = |yaml: &str| -> Vec<(Value, Value)> {
        let exchanges = told_of(yaml, &[conversation, id]).exchanges();
        let heads = exchanges.iter().map(|exchange| exchange.line("on_request_head"));
        heads.map(|head| (head["session"].clone(), head["tags"].clone())).collect()
    };
    assert_eq!(sessions(""), [(json!("c1"), json!({})), (Value::Null, json!({"session": "s1"}))]);
    assert_eq!(
        sessions("session: {legacy_headers: v1}"),
        [(json!("c1"), json!({})), (json!("s1"), json!({}))]
    );
}

#[test]
fn calls_of_one_session_are_counted_and_others_are_sessions_of_their_own() {
    let named = (CHAT, "X-Perimeter-Session-Id: s1\r\n");
    let told = told_of("", &[named, (CHAT, ""), named, (CHAT, "")]);
    let exchanges = told.exchanges();
    let sessions: Vec<_> = exchanges.iter().map(session).collect();
    let of = |number: usize| {
        let session = sessions[number];
        (session["number"].as_u64().unwrap(), session["is_new"] == true, session["told"] == true)
    };
    assert_eq!([of(0), of(2)], [(1, true, true), (2, false, true)]);
    assert_eq!([of(1), of(3)], [(1, true, false), (1, true, false)]);
    assert_ne!(sessions[1]["session"], sessions[3]["session"]);
    assert_eq!(sessions[1]["session"], exchanges[1].lines[0]["exchange"]);
}

#[test]
fn a_session_ends_when_it_has_been_quiet_and_only_once() {
    let provider = Provider::start();
    let watch = Watch::of(&[("witness", "")]);
    let proxy = watch.setup(&provider).yaml("session: {completion_timeout: 300ms}").start();
    call(&provider, &proxy, CHAT, "X-Perimeter-Session-Id: quiet\r\n");
    watch.wait(0, |told| !told.of("on_session_end").is_empty());
    let told = watch.stop(proxy);
    assert_eq!(session_ends(&told), [(json!("quiet"), json!(1))]);
}

#[test]
fn a_session_ends_at_the_latest_when_the_proxy_stops() {
    let named = |id: &str| format!("X-Perimeter-Session-Id: {id}\r\n");
    let (one, other) = (named("one"), named("other"));
    let calls = [(CHAT, &*one), (CHAT, &other), ("/v1/embeddings", ""), (CHAT, &one), (CHAT, "")];
    let told = told_of("", &calls);
    let exchanges = told.exchanges();
    // What is no conversation ended with its only call; one without a name may have gone on.
    let [alone, recognised] = [2, 4].map(|at| (session(&exchanges[at])["session"].clone(), json!(1)));
    let named = [(json!("other"), json!(1)), (json!("one"), json!(2))];
    assert_eq!(session_ends(&told), [&[alone][..], &named, &[recognised]].concat());
    // After everything else.
    let last = told.lines.iter().rposition(|line| line["callback"] != "on_session_end").unwrap();
    assert_eq!(told.lines.len() - 1 - last, 3);
}

fn session_ends(told: &Told) -> Vec<(Value, Value)> {
    let ends = told.of("on_session_end");
    ends.iter().map(|end| (end["session"].clone(), end["calls"].clone())).collect()
}
