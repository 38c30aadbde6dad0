//! What was found broken once.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use rustix::process::{Pid, Resource, Rlimit, prlimit};
use serde_json::Value;

use crate::support::{Provider, Proxy, Wire};

/// The lines of the message log in `folder`.
fn log(folder: &Path) -> Vec<Value> {
    let text = std::fs::read_to_string(folder.join("message_log.jsonl")).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn logging(folder: &Path) -> String {
    format!("interceptors: [{{type: message_logger, config: {{directory: {}}}}}]\n", folder.display())
}

const ANSWER: &str = r#"{"id":"c","model":"m","choices":[{"index":0,"message":{"role":"assistant","content":"hi"},"finish_reason":"stop"}]}"#;

/// One chat completion whose prompt is of this length.
fn chat(provider: &Provider, proxy: &Proxy, length: usize) {
    let text = "word ".repeat(length / 5);
    let body = format!(r#"{{"model":"m","messages":[{{"role":"user","content":"{text}"}}]}}"#);
    let mut client: Wire = proxy.connect();
    let head = "POST /v1/chat/completions HTTP/1.1\r\nHost: app\r\nContent-Type: application/json";
    std::thread::scope(|scope| {
        scope.spawn(|| client.send(format!("{head}\r\nContent-Length: {}\r\n\r\n{body}", body.len())));
        let mut upstream = provider.accept();
        let head = upstream.head();
        assert_eq!(upstream.body(&head).len(), body.len());
        let length = ANSWER.len();
        upstream.send(format!(
            "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n{ANSWER}"
        ));
        upstream.close();
    });
    assert_eq!(client.head().status(), 200);
    client.expect(ANSWER);
}

#[test]
fn whoever_has_nothing_else_to_do_is_told_of_a_call_of_twenty_mebibytes() {
    let folder = tempfile::tempdir().unwrap();
    let provider = Provider::start();
    // All of it may come before the first of it is read.
    // A busy machine may need longer to write it than the proxy would wait for when it stops.
    let yaml = logging(folder.path()) + "observe: {journal: 128MiB}\nserver: {flush: 60s}\n";
    let proxy = Proxy::to(&provider).yaml(&yaml).start();
    chat(&provider, &proxy, 20 << 20);
    proxy.stop();
    let lines = log(folder.path());
    assert_eq!(lines.len(), 2);
    let content = lines[0]["request"]["messages"][0]["content"].as_str().unwrap();
    assert_eq!(content.len(), 20 << 20);
    assert_eq!(lines[1]["response"]["choices"][0]["message"]["content"], "hi");
}

#[test]
fn a_call_that_there_is_no_room_for_has_its_lines_in_the_log_all_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let provider = Provider::start();
    let yaml = logging(folder.path()) + "observe: {memory: 2MiB}\n";
    let proxy = Proxy::to(&provider).yaml(&yaml).start();
    chat(&provider, &proxy, 1_500_000);
    proxy.stop();
    let lines = log(folder.path());
    let directions: Vec<_> = lines.iter().map(|line| line["direction"].as_str().unwrap()).collect();
    assert_eq!(directions[0], "request", "{lines:?}");
    assert_eq!(lines.len(), 2, "{lines:?}");
    assert_eq!(lines[0]["metadata"]["partial"], true);
    assert_eq!(lines[0]["exchange_id"], lines[1]["exchange_id"]);
}

#[test]
fn a_limit_of_the_size_of_files_does_not_end_the_proxy() {
    let folder = tempfile::tempdir().unwrap();
    let provider = Provider::start();
    let proxy = Proxy::to(&provider).yaml(&logging(folder.path())).start();
    let pid = Pid::from_raw(proxy.pid().try_into().unwrap());
    let before = rustix::process::getrlimit(Resource::Fsize);
    let limit = |current| prlimit(pid, Resource::Fsize, Rlimit { current, ..before }).unwrap();
    limit(Some(20_000));
    for _ in 0..20 {
        chat(&provider, &proxy, 3_000);
    }
    proxy.wait_for_metric("perimeter_interceptor_errors_total{interceptor=\"message_logger\"}", 1.0);
    limit(before.current);
    proxy.stop();
    assert_eq!(log(folder.path()).len(), 40, "what had to wait was written when there was room");
}

#[test]
fn a_log_that_others_could_read_is_for_its_owner_only_from_now_on() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("message_log.jsonl");
    std::fs::write(&file, "").unwrap();
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o644)).unwrap();
    let provider = Provider::start();
    let proxy = Proxy::to(&provider).yaml(&logging(folder.path())).start();
    chat(&provider, &proxy, 10);
    proxy.stop();
    assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(log(folder.path()).len(), 2);
}

#[test]
fn an_answer_that_is_cut_off_at_the_end_of_the_drain_is_blamed_on_nobody_else() {
    let folder = tempfile::tempdir().unwrap();
    let provider = Provider::start();
    let yaml = logging(folder.path()) + "server: {drain: 300ms}\n";
    let proxy = Proxy::to(&provider).yaml(&yaml).start();
    let mut client = proxy.connect();
    client.send("POST /v1/chat/completions HTTP/1.1\r\nHost: app\r\nContent-Length: 2\r\n\r\n{}");
    let mut upstream = provider.accept();
    let head = upstream.head();
    upstream.body(&head);
    upstream.send(super::EVENTS);
    let event = "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"hi\"}}]}\n\n";
    upstream.send_chunk(event);
    client.head();
    client.expect_in_chunks(event);
    proxy.stop();
    let answer = &log(folder.path())[1];
    assert_eq!(answer["metadata"]["ended_by"], "stopped", "{answer}");
    assert_eq!(answer["response"]["choices"][0]["message"]["content"], "hi", "{answer}");
}

#[test]
fn a_plain_exchange_that_broke_off_is_not_counted_as_complete() {
    let provider = Provider::start();
    let proxy = Proxy::to(&provider).start();
    let (mut client, mut upstream) = crate::support::asked(&provider, &proxy, crate::support::PLAIN);
    upstream.send("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nabc");
    upstream.close();
    client.head();
    client.expect("abc");
    client.expect_end();
    let name = "perimeter_calls_total{dialect=\"http\",model=\"\",agent=\"\",outcome=\"cut\"}";
    proxy.wait_for_metric(name, 1.0);
}

#[test]
fn the_body_of_a_request_for_a_websocket_is_told_where_there_is_none_after_all() {
    let (provider, proxy, watch) = crate::support::watched();
    let mut client = proxy.connect();
    client.send(
        "GET /ws HTTP/1.1\r\nHost: app\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nContent-Length: 5\r\n\r\nhello",
    );
    let mut upstream = provider.accept();
    let head = upstream.head();
    assert_eq!(upstream.body(&head), b"hello");
    upstream.send(super::LAST);
    upstream.close();
    assert_eq!(client.head().status(), 200);
    client.expect("ok");
    let told = watch.stop(proxy);
    assert_eq!(told.only().text("on_request_chunk"), "hello");
    assert_eq!(told.only().ended().0, "complete");
}

#[test]
fn an_answer_in_a_coding_that_nobody_knows_is_logged_as_one_that_was_not_read() {
    let folder = tempfile::tempdir().unwrap();
    let provider = Provider::start();
    let proxy = Proxy::to(&provider).yaml(&logging(folder.path())).start();
    let mut client = proxy.connect();
    let body = r#"{"model":"m","messages":[]}"#;
    let length = body.len();
    client.send(format!(
        "POST /v1/chat/completions HTTP/1.1\r\nHost: app\r\nContent-Length: {length}\r\n\r\n{body}"
    ));
    let mut upstream = provider.accept();
    let head = upstream.head();
    upstream.body(&head);
    upstream.send("HTTP/1.1 200 OK\r\nContent-Encoding: foo\r\nContent-Length: 3\r\n\r\n???");
    client.head();
    client.expect("???");
    proxy.stop();
    let lines = log(folder.path());
    assert_eq!(lines.len(), 2, "{lines:?}");
    assert_eq!(
        (&lines[1]["direction"], &lines[1]["metadata"]["complete"]),
        (&"response".into(), &false.into())
    );
}
