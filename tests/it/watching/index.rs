//! The index of sessions, as the proxy leaves it on disk.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde_json::{Value, json};

use crate::live_sessions::call;
use crate::support::{Provider, Proxy};

fn indexing(folder: &Path) -> String {
    format!("interceptors: [{{type: session_detector, config: {{directory: {}}}}}]\n", folder.display())
}

/// The lines so far, each whole.
fn lines(folder: &Path) -> Vec<Value> {
    let text = std::fs::read_to_string(folder.join("sessions.jsonl")).unwrap_or_default();
    assert!(text.is_empty() || text.ends_with('\n'), "{text}");
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn told(folder: &Path) -> Vec<(String, String, Option<u64>)> {
    let tell = |line: Value| {
        let word = |name: &str| line[name].as_str().unwrap().to_owned();
        (word("event"), word("session_id"), line["calls"].as_u64())
    };
    lines(folder).into_iter().map(tell).collect()
}

fn start(session: &str) -> (String, String, Option<u64>) {
    ("start".to_owned(), session.to_owned(), None)
}

fn end(session: &str, calls: u64) -> (String, String, Option<u64>) {
    ("end".to_owned(), session.to_owned(), Some(calls))
}

#[test]
fn sessions_are_lines_of_a_file_that_is_its_owners_alone() {
    let folder = tempfile::tempdir().unwrap();
    let index = folder.path().join("index");
    let provider = Provider::start();
    let proxy = Proxy::to(&provider).yaml(&indexing(&index)).start();
    for session in ["a", "a", "b"] {
        call(&provider, &proxy, session);
    }
    proxy.stop();
    let mut told = told(&index);
    told.sort();
    assert_eq!(told, [end("a", 2), end("b", 1), start("a"), start("b")]);
    let first = &lines(&index)[0];
    assert_eq!(
        (&first["told"], &first["model"], &first["vendor"]),
        (&json!(true), &json!("m"), &json!("openai"))
    );
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(&index), mode(&index.join("sessions.jsonl"))), (0o700, 0o600));
}

#[test]
fn a_kill_leaves_whole_lines_and_the_next_run_goes_on_behind_them() {
    let folder = tempfile::tempdir().unwrap();
    let provider = Provider::start();
    let mut proxy = Proxy::to(&provider).yaml(&indexing(folder.path())).start();
    for session in ["a", "b"] {
        call(&provider, &proxy, session);
    }
    let deadline = Instant::now() + Duration::from_secs(30);
    while lines(folder.path()).len() < 2 {
        assert!(Instant::now() < deadline, "{:?}", lines(folder.path()));
        std::thread::sleep(Duration::from_millis(5));
    }
    proxy.signal(Signal::KILL);
    proxy.exit();
    assert_eq!(told(folder.path()), [start("a"), start("b")]);

    let proxy = Proxy::to(&provider).yaml(&indexing(folder.path())).start();
    call(&provider, &proxy, "a");
    proxy.stop();
    assert_eq!(told(folder.path()), [start("a"), start("b"), start("a"), end("a", 1)]);
    assert!(lines(folder.path()).iter().all(|line| line.get("resumed").is_none()));
}

#[test]
fn a_session_that_ends_while_the_proxy_runs_is_written_then() {
    let folder = tempfile::tempdir().unwrap();
    let provider = Provider::start();
    let yaml = indexing(folder.path()) + "session: {completion_timeout: 1s}\n";
    let proxy = Proxy::to(&provider).yaml(&yaml).start();
    call(&provider, &proxy, "a");
    let deadline = Instant::now() + Duration::from_secs(30);
    while told(folder.path()) != [start("a"), end("a", 1)] {
        assert!(Instant::now() < deadline, "{:?}", lines(folder.path()));
        std::thread::sleep(Duration::from_millis(5));
    }
    call(&provider, &proxy, "a");
    proxy.stop();
    assert_eq!(told(folder.path()), [start("a"), end("a", 1), start("a"), end("a", 2)]);
    assert_eq!(lines(folder.path())[2]["resumed"], true);
}

/// Embeddings of this text, answered with this; in a session of this name, where it has one.
fn embed(provider: &Provider, proxy: &Proxy, session: Option<&str>, status: &str, answer: &str) {
    let body = json!({"model": "text-embedding-3-small", "input": "a word"}).to_string();
    let session = session.map(|name| format!("x-perimeter-session-id: {name}\r\n")).unwrap_or_default();
    let mut client = proxy.connect();
    client.send(format!(
        "POST /v1/embeddings HTTP/1.1\r\nHost: app\r\nUser-Agent: curl/8.5.0\r\nContent-Type: application/json\r\n{session}Content-Length: {}\r\n\r\n{body}",
        body.len()
    ));
    let mut upstream = provider.accept();
    let head = upstream.head();
    upstream.body(&head);
    upstream.send(format!(
        "HTTP/1.1 {status}\r\nContent-Type: application/json\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{answer}",
        answer.len()
    ));
    upstream.close();
    client.head();
    client.expect(answer);
}

const EMBEDDED: &str = r#"{"object":"list","model":"text-embedding-3-small","data":[{"object":"embedding","index":0,"embedding":[0.5]}],"usage":{"prompt_tokens":500,"total_tokens":500}}"#;
const REFUSED: &str = r#"{"error":{"type":"invalid_request_error","message":"no"}}"#;

#[test]
fn an_exchange_that_is_a_session_by_itself_ends_with_what_it_came_to() {
    let folder = tempfile::tempdir().unwrap();
    let provider = Provider::start();
    let proxy = Proxy::to(&provider).yaml(&indexing(folder.path())).start();
    embed(&provider, &proxy, None, "200 OK", EMBEDDED);
    embed(&provider, &proxy, None, "400 Bad Request", REFUSED);
    proxy.stop();
    let mut ends = lines(folder.path());
    ends.retain(|line| line["event"] == "end");
    let [good, bad] = &*ends else { panic!("{ends:#?}") };
    for end in [good, bad] {
        assert_eq!((&end["calls"], &end["told"]), (&json!(1), &json!(false)), "{end:#}");
        assert_eq!(end["models"], json!(["text-embedding-3-small"]), "{end:#}");
        assert_eq!(end["client"]["name"], "curl", "{end:#}");
    }
    assert_eq!((&good["failed"], &good["usage"]["input_tokens"]), (&json!(0), &json!(500)), "{good:#}");
    assert!(good["cost_usd"].as_f64().is_some_and(|cost| cost > 0.0), "{good:#}");
    assert_eq!((&bad["failed"], &bad["usage"]["input_tokens"]), (&json!(1), &json!(0)), "{bad:#}");
}

#[test]
fn what_fails_beside_a_conversation_is_counted_as_failed() {
    let folder = tempfile::tempdir().unwrap();
    let provider = Provider::start();
    let proxy = Proxy::to(&provider).yaml(&indexing(folder.path())).start();
    call(&provider, &proxy, "a");
    embed(&provider, &proxy, Some("a"), "200 OK", EMBEDDED);
    embed(&provider, &proxy, Some("a"), "400 Bad Request", REFUSED);
    proxy.stop();
    let end = lines(folder.path()).pop().unwrap();
    assert_eq!((&end["calls"], &end["failed"]), (&json!(3), &json!(1)), "{end:#}");
    let relations: Vec<_> = end["tree"].as_array().unwrap().iter().map(|call| &call["relation"]).collect();
    assert_eq!(relations, ["opening", "side", "side"], "{end:#}");
}

#[test]
fn all_sessions_end_when_the_proxy_stops_however_little_room_there_is() {
    let folder = tempfile::tempdir().unwrap();
    let provider = Provider::start();
    let yaml = indexing(folder.path()) + "observe: {mailbox: 8KiB}\n";
    let proxy = Proxy::to(&provider).yaml(&yaml).start();
    // Of each, what comes next has room; of the ends of all, it has not.
    let deadline = Instant::now() + Duration::from_secs(60);
    for number in 1..=40 {
        call(&provider, &proxy, &format!("s{number}"));
        while lines(folder.path()).len() < number {
            assert!(Instant::now() < deadline, "{:?}", lines(folder.path()));
            std::thread::sleep(Duration::from_millis(5));
        }
    }
    proxy.stop();
    let mut told = told(folder.path());
    let mut all: Vec<_> =
        (1..=40).flat_map(|number| [start(&format!("s{number}")), end(&format!("s{number}"), 1)]).collect();
    told.sort();
    all.sort();
    assert_eq!(told, all);
}

#[test]
fn a_directory_that_cannot_be_made_stops_the_start() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("file"), "").unwrap();
    let provider = Provider::start();
    let exit = Proxy::to(&provider)
        .args(&["--port", "0"])
        .yaml(&indexing(&folder.path().join("file/index")))
        .fails();
    assert_eq!(exit.code, Some(1), "{}", exit.stderr);
    assert!(exit.stderr.contains("interceptor session_detector cannot start"), "{}", exit.stderr);
}
