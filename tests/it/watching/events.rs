//! The events of sessions, in files: one a session, of those who named theirs and of those who did not.

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use rustix::process::Signal;
use serde_json::{Value, json};

use crate::support::{Provider, Proxy, Wire};

const STREAM: &str = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n";
const ANSWER: &str = r#"{"id":"c","model":"m-1","choices":[{"index":0,"message":{"role":"assistant","content":"hi"},"finish_reason":"stop"}]}"#;

fn recording(folder: &Path, more: &str) -> String {
    format!("interceptors: [{{type: event_recorder, config: {{output_dir: {}{more}}}}}]\n", folder.display())
}

fn request(session: Option<&str>, messages: &Value) -> String {
    let body = json!({"model": "m", "stream": true, "messages": messages}).to_string();
    let named = session.map_or(String::new(), |session| format!("x-perimeter-session-id: {session}\r\n"));
    format!(
        "POST /v1/chat/completions HTTP/1.1\r\nHost: app\r\nContent-Type: application/json\r\n{named}Content-Length: {}\r\n\r\n{body}",
        body.len()
    )
}

/// A client that asks, and the provider that has read it.
fn ask(provider: &Provider, proxy: &Proxy, session: Option<&str>, messages: &Value) -> (Wire, Wire) {
    send(provider, proxy, request(session, messages))
}

fn send(provider: &Provider, proxy: &Proxy, request: String) -> (Wire, Wire) {
    let mut client = proxy.connect();
    client.send(request);
    let mut upstream = provider.accept();
    let head = upstream.head();
    upstream.body(&head);
    (client, upstream)
}

/// An answer at once, and that the client has it.
fn answer(mut client: Wire, mut upstream: Wire) {
    let length = ANSWER.len();
    upstream.send(format!(
        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n{ANSWER}"
    ));
    upstream.close();
    assert_eq!(client.head().status(), 200);
    client.expect(ANSWER);
}

fn hello() -> Value {
    json!([{"role": "user", "content": "Hello"}])
}

/// The events of the files in `folder`, by session.
fn events(folder: &Path) -> BTreeMap<String, Vec<Value>> {
    let mut sessions = BTreeMap::<String, Vec<Value>>::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let text = std::fs::read_to_string(entry.unwrap().path()).unwrap();
        let lines = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        for event in lines.filter(|line| line.get("_metadata").is_none()) {
            sessions.entry(event["session_id"].as_str().unwrap().to_owned()).or_default().push(event);
        }
    }
    sessions
}

fn names(events: &[Value]) -> Vec<&str> {
    events.iter().map(|event| event["name"].as_str().unwrap()).collect()
}

const ONE: [&str; 4] = ["session.start", "llm.call.start", "llm.call.finish", "session.end"];

#[test]
fn two_sessions_at_once_have_a_file_each_and_so_has_a_call_without_a_name() {
    let folder = tempfile::tempdir().unwrap();
    let logs = folder.path().join("events");
    let provider = Provider::start();
    let proxy = Proxy::to(&provider).yaml(&recording(&logs, "")).start();
    let first = ask(&provider, &proxy, Some("user@1"), &hello());
    let second = ask(&provider, &proxy, Some("user1"), &hello());
    let third = ask(&provider, &proxy, None, &hello());
    for (client, upstream) in [third, first, second] {
        answer(client, upstream);
    }
    proxy.stop();
    let sessions = events(&logs);
    assert_eq!(sessions.len(), 3);
    for (session, events) in &sessions {
        assert_eq!(names(events), ONE, "{session}");
    }
    assert!(sessions.contains_key("user@1") && sessions.contains_key("user1"));
    assert_eq!(std::fs::metadata(&logs).unwrap().permissions().mode() & 0o777, 0o700);
    for entry in std::fs::read_dir(&logs).unwrap() {
        assert_eq!(entry.unwrap().metadata().unwrap().permissions().mode() & 0o777, 0o600);
    }
}

/// Waits until the only session of the folder has these events: they are written while the proxy goes on.
#[track_caller]
fn wait_for(folder: &Path, wanted: &[&str]) {
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(30);
    while events(folder).values().next().is_none_or(|events| names(events) != wanted) {
        assert!(std::time::Instant::now() < deadline, "{:?}", events(folder));
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
}

#[test]
fn a_call_that_is_no_conversation_is_a_session_that_ends_with_it() {
    let folder = tempfile::tempdir().unwrap();
    let provider = Provider::start();
    let proxy = Proxy::to(&provider).yaml(&recording(folder.path(), "")).start();
    let asked = request(None, &hello()).replace("/chat/completions", "/embeddings");
    let (client, upstream) = send(&provider, &proxy, asked);
    answer(client, upstream);
    wait_for(folder.path(), &ONE);
    proxy.stop();
}

#[test]
fn a_conversation_without_a_name_ends_when_it_is_quiet_and_goes_on_in_its_file() {
    let folder = tempfile::tempdir().unwrap();
    let provider = Provider::start();
    let yaml = recording(folder.path(), "") + "session: {completion_timeout: 1s}\n";
    let proxy = Proxy::to(&provider).yaml(&yaml).start();
    let (client, upstream) = ask(&provider, &proxy, None, &hello());
    answer(client, upstream);
    wait_for(folder.path(), &ONE);
    let mut history = hello();
    let turns = [json!({"role": "assistant", "content": "hi"}), json!({"role": "user", "content": "Go on"})];
    history.as_array_mut().unwrap().extend(turns);
    let (client, upstream) = ask(&provider, &proxy, None, &history);
    answer(client, upstream);
    wait_for(folder.path(), &[ONE, ONE].concat());
    proxy.stop();
    let (session, events) = events(folder.path()).pop_first().unwrap();
    // Not a moment later: that it ended was told.
    assert_eq!(names(&events), [ONE, ONE].concat());
    let of = |at: usize, attribute: &str| events[at]["attributes"][attribute].clone();
    assert_eq!(of(0, "exchange_id"), session);
    assert_eq!([of(0, "session.resumed"), of(4, "session.resumed")], [Value::Null, json!(true)]);
    assert_eq!([of(1, "session.relation"), of(5, "session.relation")], ["opening", "turn"]);
    assert_eq!(of(5, "llm.request.data")["_cylestio_metadata"]["new_messages"], 1);
    // What a session came to is what it came to in all.
    assert_eq!([of(3, "session.calls"), of(7, "session.calls")], [1, 2]);
}

#[test]
fn a_conversation_with_a_tool_is_joined_by_its_spans() {
    let folder = tempfile::tempdir().unwrap();
    let provider = Provider::start();
    let proxy = Proxy::to(&provider).yaml(&recording(folder.path(), "")).start();
    let (mut client, mut upstream) = ask(&provider, &proxy, Some("s"), &hello());
    upstream.send(STREAM);
    let call =
        json!([{"index": 0, "id": "call_1", "function": {"name": "search", "arguments": "{\"n\":1.0}"}}]);
    for delta in [json!({"content": "Wait."}), json!({"tool_calls": call})] {
        let chunk = json!({"id": "c1", "model": "m-1", "choices": [{"index": 0, "delta": delta}]});
        upstream.send_chunk(format!("data: {chunk}\n\n"));
    }
    let last = json!({"id": "c1", "model": "m-1", "choices": [{"index": 0, "delta": {}, "finish_reason": "tool_calls"}]});
    upstream.send_chunk(format!("data: {last}\n\ndata: [DONE]\n\n"));
    upstream.send("0\r\n\r\n");
    upstream.close();
    client.head();
    client.chunked();

    let history = json!([
        {"role": "user", "content": "Hello"},
        {"role": "assistant", "content": "Wait.", "tool_calls":
            [{"id": "call_1", "type": "function", "function": {"name": "search", "arguments": "{\"n\":1.0}"}}]},
        {"role": "tool", "tool_call_id": "call_1", "content": "found"},
    ]);
    // The first try breaks off, and the second brings the same history.
    for _ in 0..2 {
        let (mut client, mut upstream) = ask(&provider, &proxy, Some("s"), &history);
        upstream.send(STREAM);
        client.head();
        let chunk = json!({"choices": [{"index": 0, "delta": {"content": "Found"}}]});
        upstream.send_chunk(format!("data: {chunk}\n\n"));
        client.chunk();
        upstream.close();
        client.rest();
    }
    proxy.stop();
    let events = events(folder.path()).remove("s").unwrap();
    assert_eq!(
        names(&events),
        [
            "session.start",
            "llm.call.start",
            "llm.call.finish",
            "tool.execution",
            "tool.result",
            "llm.call.start",
            "llm.call.error",
            "llm.call.start",
            "llm.call.error",
            "session.end",
        ]
    );
    let finish = &events[2]["attributes"];
    assert_eq!(finish["llm.response.model"], "m-1");
    assert_eq!(finish["llm.response.finish_reasons"], json!(["tool_calls"]));
    assert!(
        finish["llm.response.ttft_ms"].as_f64().unwrap()
            <= finish["llm.response.duration_ms"].as_f64().unwrap()
    );
    let (asked, result) = (&events[3], &events[4]);
    assert_eq!(asked["span_id"], result["span_id"]);
    assert_eq!(asked["parent_span_id"], events[1]["span_id"]);
    assert!(result["attributes"]["tool.execution_time_ms"].as_f64().unwrap() > 0.0);
    let error = &events[6]["attributes"];
    assert_eq!(error["error.type"], "upstream_broke");
    assert_eq!(error["llm.response.content"][0]["content"], "Found");
    assert_eq!(events[9]["attributes"]["session.events_count"], 10);
}

#[test]
fn a_client_that_leaves_and_a_provider_that_is_not_there_are_errors() {
    let folder = tempfile::tempdir().unwrap();
    let provider = Provider::start();
    let proxy = Proxy::to(&provider).yaml(&recording(folder.path(), "")).start();
    let (mut client, mut upstream) = ask(&provider, &proxy, Some("left"), &hello());
    upstream.send(STREAM);
    client.head();
    upstream.send_chunk("data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"Hel\"}}]}\n\n");
    client.chunk();
    client.reset();
    upstream.expect_end();
    proxy.stop();

    let nobody = crate::support::provider::Nobody::new();
    let proxy = Proxy::to_url(nobody.url()).yaml(&recording(folder.path(), "")).start();
    let mut client = proxy.connect();
    client.send(request(Some("nobody"), &hello()));
    let code = client.head();
    assert_eq!(code.status(), 502);
    proxy.stop();

    let sessions = events(folder.path());
    let error = |session: &str| {
        assert_eq!(
            names(&sessions[session]),
            ["session.start", "llm.call.start", "llm.call.error", "session.end"]
        );
        sessions[session][2]["attributes"].clone()
    };
    assert_eq!(error("left")["llm.stream.closed_first"], "client");
    assert_eq!(error("left")["error.type"], "client_left");
    assert_eq!(error("left")["llm.response.content"][0]["content"], "Hel");
    assert!(error("nobody")["error.type"].as_str().unwrap().starts_with("upstream"), "{}", error("nobody"));
    assert!(error("nobody").get("http.status_code").is_none());
}

#[test]
fn a_file_goes_on_after_a_restart_and_after_a_kill() {
    for (format, extension) in [("jsonl", "jsonl"), ("json", "json")] {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join(format!("session_s.{extension}"));
        let provider = Provider::start();
        let start = || {
            let yaml = recording(folder.path(), &format!(", file_format: {format}"));
            Proxy::to(&provider).yaml(&yaml).start()
        };
        let count = |name: &str| {
            // Whole for whoever takes a lock, also while it is written.
            let text = std::fs::File::open(&file).and_then(|file| {
                file.lock_shared()?;
                std::io::read_to_string(file)
            });
            let text = text.unwrap_or_default();
            if format == "json" && !text.is_empty() {
                serde_json::from_str::<Value>(&text).unwrap_or_else(|error| panic!("{error}: {text}"));
            }
            text.matches(&format!("\"name\":\"{name}\"")).count()
        };
        let once = |proxy: &Proxy| {
            let (client, upstream) = ask(&provider, proxy, Some("s"), &hello());
            answer(client, upstream);
        };
        let proxy = start();
        once(&proxy);
        proxy.stop();
        assert_eq!((count("llm.call.finish"), count("session.end")), (1, 1));

        let mut proxy = start();
        for calls in 2..=4 {
            once(&proxy);
            let deadline = std::time::Instant::now() + std::time::Duration::from_secs(30);
            while count("llm.call.finish") < calls {
                assert!(std::time::Instant::now() < deadline);
            }
        }
        proxy.signal(Signal::KILL);
        proxy.exit();

        let proxy = start();
        once(&proxy);
        proxy.stop();
        assert_eq!((count("session.start"), count("llm.call.finish"), count("session.end")), (3, 5, 2));
        let text = std::fs::read_to_string(&file).unwrap();
        assert_eq!(text.matches("created_at").count(), 1, "{text}");
    }
}

#[test]
fn a_credential_is_in_no_event() {
    let folder = tempfile::tempdir().unwrap();
    let provider = Provider::start();
    let proxy = Proxy::to(&provider).yaml(&recording(folder.path(), "")).start();
    let secret = "sk-proj-abcdefghijklmnopqrstuvwxyz0123456789ABCDEF";
    let said = json!([{"role": "user", "content": format!("my key is {secret}")}]);
    let (client, upstream) = ask(&provider, &proxy, Some("s"), &said);
    answer(client, upstream);
    proxy.stop();
    let text = std::fs::read_to_string(folder.path().join("session_s.jsonl")).unwrap();
    assert!(text.contains("my key is sk-proj-[REDACTED]") && !text.contains(secret), "{text}");
}

#[test]
fn the_test_recorder_can_be_hired_by_its_name() {
    let provider = Provider::start();
    let yaml = "interceptors: [{type: test_recorder, config: {max_events: 5, max_size: 1MiB}}]\n";
    let proxy = Proxy::to(&provider).yaml(yaml).start();
    let (client, upstream) = ask(&provider, &proxy, None, &hello());
    answer(client, upstream);
    assert!((proxy.metric("perimeter_interceptor_errors_total{interceptor=\"test_recorder\"}")).abs() < 0.5);
    proxy.stop();
}

#[test]
fn a_silence_in_a_stream_is_in_the_events_and_in_print() {
    let folder = tempfile::tempdir().unwrap();
    let provider = Provider::start();
    let watchers = format!(
        "observe: {{stall_threshold: 1s}}\ninterceptors:\n  - {{type: printer, config: {{format: full}}}}\n  - {{type: event_recorder, config: {{output_dir: {}}}}}\n",
        folder.path().display()
    );
    let proxy = Proxy::to(&provider).yaml(&watchers).start();
    let (mut client, mut upstream) = ask(&provider, &proxy, Some("s"), &hello());
    upstream.send(STREAM);
    client.head();
    for end in [json!(null), json!("stop")] {
        let choice = json!({"index": 0, "delta": {"content": "Wait."}, "finish_reason": end});
        upstream.send_chunk(format!("data: {}\n\n", json!({"id": "c", "choices": [choice]})));
        client.chunk();
        // A silence is made by being silent.
        std::thread::sleep(std::time::Duration::from_millis(1_500));
    }
    upstream.send_chunk("data: [DONE]\n\n");
    upstream.send("0\r\n\r\n");
    upstream.close();
    client.chunked();
    let printed = proxy.stop_and_tell();
    assert!(printed.contains("· stream  first byte ") && printed.contains(": upstream silent"), "{printed}");
    let events = events(folder.path()).remove("s").unwrap();
    let finish = events.iter().find(|event| event["name"] == "llm.call.finish").unwrap();
    let attributes = &finish["attributes"];
    assert_eq!(attributes["llm.stream.stalls"][0]["by"], "upstream");
    assert!(attributes["llm.stream.gap_max_ms"].as_f64().unwrap() >= 1_400.0, "{attributes}");
    assert_eq!(attributes["llm.stream.closed_first"], "upstream");
    assert!(attributes["llm.stream.chunks"].as_u64().unwrap() >= 2, "{attributes}");
}
