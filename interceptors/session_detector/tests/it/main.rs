//! The index on real files, driven as the proxy drives it.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use perimeter_interceptor::testing::{Scene, Script, comply, play};
use perimeter_interceptor::{
    Agent, Branch, Client, Labels, LlmEvent, Peer, Relation, Session, SessionEnd, Usage, Usd,
};
use perimeter_session_detector::{SessionDetector, Settings};
use serde_json::Value;

mod document;

fn settings(folder: &Path) -> Settings {
    Settings { directory: folder.join("index"), ..Settings::default() }
}

fn detector(folder: &Path) -> SessionDetector {
    SessionDetector::new(settings(folder)).unwrap()
}

/// The lines that a script leaves.
fn written(script: impl Into<Script>) -> Vec<String> {
    let folder = tempfile::tempdir().unwrap();
    play(detector(folder.path()), script).assert_faultless();
    let text = std::fs::read_to_string(folder.path().join("index/sessions.jsonl")).unwrap();
    assert!(text.is_empty() || text.ends_with('\n'), "{text}");
    text.lines().map(str::to_owned).collect()
}

fn json(lines: &[String]) -> Vec<Value> {
    lines.iter().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// What each line tells, of which session, and at which call it begins or after how many it ends.
fn told(script: impl Into<Script>) -> Vec<(String, String, u64)> {
    let word = |value: &Value| value.as_str().unwrap().to_owned();
    let tell = |line: Value| {
        let calls = if line["event"] == "start" { &line["call"] } else { &line["calls"] };
        let resumed = line.get("resumed").map_or("", |_| " again");
        (word(&line["event"]) + resumed, word(&line["session_id"]), calls.as_u64().unwrap())
    };
    json(&written(script)).into_iter().map(tell).collect()
}

fn line(event: &str, session: &str, calls: u64) -> (String, String, u64) {
    (event.to_owned(), session.to_owned(), calls)
}

/// The call with this number of a session, and its answer.
fn call(id: &str, number: u32) -> Scene {
    let scene = Scene::post("/v1/chat/completions").request("{}");
    let mut call = scene.next_call("gpt-4.1-mini", "Hello");
    let mut session = Session::new(id);
    (session.told, session.call, session.is_new) = (true, number, number == 1);
    call.session = Arc::new(session);
    scene.llm(LlmEvent::Call(Arc::new(call))).response(200).answers("Hi", Usage::new(9, 2)).end()
}

fn end(id: &str, calls: u32) -> SessionEnd {
    let mut end = SessionEnd::new(id, calls, Duration::from_millis(1_500));
    end.told = true;
    end
}

#[test]
fn it_holds_what_every_interceptor_must() {
    let folder = tempfile::tempdir().unwrap();
    comply(|| detector(folder.path()));
}

#[test]
fn a_session_is_a_line_when_it_begins_and_one_when_it_is_over() {
    let script = Script::new()
        .together([call("a", 1), call("b", 1)])
        .scene(call("a", 2))
        .session_end(end("b", 1))
        .session_end(end("a", 2));
    let expected = [line("start", "a", 1), line("start", "b", 1), line("end", "b", 1), line("end", "a", 2)];
    assert_eq!(told(script), expected);
}

#[test]
fn one_that_goes_on_after_its_end_begins_again_and_has_another_end() {
    let script = Script::new()
        .scene(call("a", 1))
        .session_end(end("a", 1))
        .scene(call("a", 2))
        .scene(call("a", 3))
        .session_end(end("a", 3));
    let expected =
        [line("start", "a", 1), line("end", "a", 1), line("start again", "a", 2), line("end", "a", 3)];
    assert_eq!(told(script), expected);
}

#[test]
fn another_of_the_same_name_begins_though_the_end_of_the_first_was_not_told() {
    let script = Script::new().scene(call("a", 1)).scene(call("a", 2)).scene(call("a", 1));
    assert_eq!(told(script), [line("start", "a", 1), line("start", "a", 1)]);
}

#[test]
fn what_was_not_seen_makes_no_wrong_line() {
    // The first call passed unseen: the session begins in the index where it was seen, and says at which call.
    let script = Script::new().scene(call("a", 3)).scene(call("a", 4)).session_end(end("a", 4));
    assert_eq!(told(script), [line("start again", "a", 3), line("end", "a", 4)]);
    // All of them did.
    assert_eq!(told(Script::new().session_end(end("a", 4))), [line("end", "a", 4)]);
    // The answer did.
    let unseen = call("a", 1).cut_short(4).unseen(Peer::Upstream, 10);
    assert_eq!(told(unseen), [line("start", "a", 1)]);
}

#[test]
fn an_exchange_without_a_call_is_no_line() {
    assert_eq!(told(Scene::get("/v1/models").response(200)), []);
}

#[test]
fn a_call_of_a_socket_begins_when_it_is_made_and_not_with_the_socket() {
    let scene = Scene::get("/v1/realtime").response(101).upgrade("websocket").after(Duration::from_secs(60));
    let call = scene.next_call("gpt-realtime", "Hello");
    let lines = json(&written(scene.llm(LlmEvent::Call(Arc::new(call)))));
    let at = lines[0]["timestamp"].as_str().unwrap();
    assert!(at.starts_with("2026-01-01T00:01:0"), "{at}");
}

#[test]
fn a_secret_in_a_tag_is_replaced_and_nothing_else() {
    let secret = "sk-proj-abcdefghijklmnopqrstuvwxyz0123456789ABCDEF";
    let scene = Scene::post("/v1/chat/completions").request("{}");
    let mut call = scene.next_call("gpt-4.1-mini", "Hello");
    let mut session = Session::new("tokens");
    session.tags.insert("key".to_owned(), secret.to_owned());
    session.tags.insert("team".to_owned(), "a".to_owned());
    call.session = Arc::new(session);
    let script =
        || Script::new().scene(scene.clone().llm(LlmEvent::Call(Arc::new(call.clone()))).response(200));
    let lines = written(script());
    assert!(!lines[0].contains("abcdefghij") && lines[0].contains("[REDACTED]"), "{}", lines[0]);
    assert!(lines[0].contains(r#""team":"a""#) && lines[0].contains(r#""session_id":"tokens""#));

    let folder = tempfile::tempdir().unwrap();
    let as_it_is = Settings { redact_credentials: false, ..settings(folder.path()) };
    play(SessionDetector::new(as_it_is).unwrap(), script()).assert_faultless();
    let text = std::fs::read_to_string(folder.path().join("index/sessions.jsonl")).unwrap();
    assert!(text.contains(secret));
}

#[test]
fn the_file_is_its_owners_alone_is_appended_to_and_turned_over() {
    let folder = tempfile::tempdir().unwrap();
    let small = Settings { max_file_size: 2_000, backup_count: 1, ..settings(folder.path()) };
    for number in 1..=8 {
        let script = Script::new().scene(call(&format!("s{number}"), 1)).session_end(end("s", 1));
        play(SessionDetector::new(small.clone()).unwrap(), script).assert_faultless();
    }
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    let directory = folder.path().join("index");
    assert_eq!(mode(&directory), 0o700);
    for name in ["sessions.jsonl", "sessions.jsonl.1"] {
        let path = directory.join(name);
        assert_eq!(mode(&path), 0o600, "{name}");
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(text.len() <= 2_000 && text.lines().all(|line| serde_json::from_str::<Value>(line).is_ok()));
    }
    assert_eq!(std::fs::read_dir(&directory).unwrap().count(), 2);
}

#[test]
fn settings_have_defaults_and_no_unknown_keys() {
    let settings: Settings = serde_json::from_str(r#"{"max_file_size": "10MB"}"#).unwrap();
    assert_eq!(settings.filename, Path::new("sessions.jsonl"));
    assert!(
        (settings.max_file_size, settings.backup_count) == (10_000_000, 5) && settings.redact_credentials
    );
    let error = serde_json::from_str::<Settings>(r#"{"dirctory": "x"}"#).unwrap_err();
    assert!(error.to_string().contains("dirctory"), "{error}");
}

#[test]
fn a_directory_that_cannot_be_made_is_told() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("index"), "in the way").unwrap();
    let error = SessionDetector::new(settings(folder.path())).unwrap_err();
    assert!(error.to_string().contains("the directory cannot be made"), "{error}");
}
