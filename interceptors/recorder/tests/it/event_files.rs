//! Files of events: one a session, whole at every moment, and nobody else's.

use std::error::Error;
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use perimeter_interceptor::host::{Desk, Fault, Notice};
use perimeter_interceptor::testing::{Scene, Script, comply, play, scenes};
use perimeter_interceptor::{Interceptor, SessionEnd, Usage};
use perimeter_recorder::event_recorder::{FileFormat, Settings};
use perimeter_recorder::{EventRecorder, OpenError};
use serde_json::{Value, json};

use crate::support::read_lines;

fn settings(folder: &Path, format: FileFormat) -> Settings {
    Settings { output_dir: folder.join("events"), file_format: format, ..Settings::default() }
}

fn desk(settings: Settings) -> Desk<EventRecorder> {
    let recorder = EventRecorder::new(settings).unwrap();
    let interest = recorder.interest();
    Desk::new(recorder, interest)
}

/// A call in a session, and an answer of that size.
fn call(session: &str, size: usize) -> Scene {
    Scene::post("/v1/chat/completions")
        .in_session(session)
        .request(r#"{"model":"m","messages":[{"role":"user","content":"Hello"}]}"#)
        .asks("m", "Hello")
        .response(200)
        .answers(&"x".repeat(size), Usage::new(1, 1))
        .end()
}

/// Tells it all, and which callbacks failed.
fn tell(desk: &mut Desk<EventRecorder>, script: impl Into<Script>) -> Vec<Fault> {
    script.into().notices().iter().filter_map(|notice: &Notice| desk.take(notice).err()).collect()
}

fn file(folder: &Path, name: &str) -> PathBuf {
    folder.join("events").join(name)
}

fn names(path: &Path) -> Vec<String> {
    let names = read_lines(path).into_iter().map(|line| line["name"].as_str().unwrap_or("_").to_owned());
    names.collect()
}

/// The document, and the names of the events in it.
#[track_caller]
fn document(path: &Path) -> (Value, Vec<String>) {
    let text = fs::read_to_string(path).unwrap();
    let document: Value = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"));
    let events = document["events"].as_array().unwrap();
    let names = events.iter().map(|event| event["name"].as_str().unwrap().to_owned()).collect();
    (document, names)
}

const ONE: [&str; 3] = ["session.start", "llm.call.start", "llm.call.finish"];

#[test]
fn each_session_has_a_file_that_only_its_owner_reads() {
    let folder = tempfile::tempdir().unwrap();
    let mut desk = desk(settings(folder.path(), FileFormat::Jsonl));
    let script = Script::new().together([call("user@1", 1), call("user1", 1)]);
    assert!(tell(&mut desk, script).is_empty());
    desk.idle().unwrap();
    let directory = folder.path().join("events");
    assert_eq!(fs::metadata(&directory).unwrap().permissions().mode() & 0o777, 0o700);
    let mut files: Vec<_> = fs::read_dir(&directory).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    assert_eq!(files.len(), 2, "{files:?}");
    for (path, session) in files.iter().zip(["user@1", "user1"]) {
        assert_eq!(fs::metadata(path).unwrap().permissions().mode() & 0o777, 0o600);
        let lines = read_lines(path);
        let metadata = &lines[0]["_metadata"];
        assert_eq!((&metadata["format"], &metadata["session_id"]), (&json!("jsonl"), &json!(session)));
        assert_eq!(names(path)[1..], ONE);
        assert!(lines[1..].iter().all(|line| line["session_id"] == session));
    }
}

#[test]
fn the_defaults_are_those_of_the_predecessor_and_unknown_keys_are_refused() {
    let settings: Settings = serde_json::from_value(json!({})).unwrap();
    assert_eq!(settings.output_dir, Path::new("./event_logs"));
    assert_eq!((settings.file_format, settings.pretty_print), (FileFormat::Jsonl, false));
    assert!(settings.include_metadata && settings.redact_credentials);
    assert!(serde_json::from_value::<Settings>(json!({"file_format": "xml"})).is_err());
    assert!(serde_json::from_value::<Settings>(json!({"dir": "x"})).is_err());
}

#[test]
fn a_directory_that_cannot_be_made_is_an_error_at_the_start() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("events"), "").unwrap();
    let error = EventRecorder::new(settings(folder.path(), FileFormat::Jsonl)).unwrap_err();
    assert!(matches!(error, OpenError::Directory { .. }), "{error}");
}

#[test]
fn a_later_run_goes_on_behind_the_earlier_one() {
    let folder = tempfile::tempdir().unwrap();
    for runs in 1..=3 {
        for format in [FileFormat::Jsonl, FileFormat::Json] {
            play(EventRecorder::new(settings(folder.path(), format)).unwrap(), call("s", 5))
                .assert_faultless();
        }
        let mut expected = ONE.repeat(runs);
        let (document, events) = document(&file(folder.path(), "session_s.json"));
        assert_eq!(events, expected);
        assert_eq!(document["metadata"]["events_count"], 3 * runs);
        expected.insert(0, "_");
        assert_eq!(names(&file(folder.path(), "session_s.jsonl")), expected);
    }
}

#[test]
fn a_torn_file_is_gone_on_with() {
    let folder = tempfile::tempdir().unwrap();
    let run = |format| {
        play(EventRecorder::new(settings(folder.path(), format)).unwrap(), call("s", 50)).assert_faultless();
    };
    run(FileFormat::Jsonl);
    let path = file(folder.path(), "session_s.jsonl");
    let whole = fs::read(&path).unwrap();
    fs::write(&path, &whole[..whole.len() - 40]).unwrap();
    run(FileFormat::Jsonl);
    let text = fs::read_to_string(&path).unwrap();
    let broken: Vec<_> = text.lines().filter(|line| serde_json::from_str::<Value>(line).is_err()).collect();
    assert_eq!((broken.len(), text.lines().count()), (1, 7), "{text}");

    for pretty_print in [false, true] {
        let path = file(folder.path(), "session_s.json");
        let run = || {
            let settings = Settings { pretty_print, ..settings(folder.path(), FileFormat::Json) };
            play(EventRecorder::new(settings).unwrap(), call("s", 50)).assert_faultless();
        };
        let _ = fs::remove_file(&path);
        run();
        let whole = fs::read(&path).unwrap();
        for cut in (0..whole.len()).step_by(7) {
            fs::write(&path, &whole[..cut]).unwrap();
            run();
            let (document, events) = document(&path);
            assert_eq!(events[events.len() - 3..], ONE, "cut at {cut}");
            assert_eq!(document["metadata"]["events_count"], events.len(), "cut at {cut}");
        }
    }
}

#[test]
fn a_document_is_whole_whenever_one_looks_and_is_not_written_anew() {
    let folder = tempfile::tempdir().unwrap();
    for (pretty_print, include_metadata) in [(false, true), (true, true), (false, false), (true, false)] {
        let folder = folder.path().join(format!("{pretty_print}{include_metadata}"));
        let settings = Settings { pretty_print, include_metadata, ..settings(&folder, FileFormat::Json) };
        let mut desk = desk(settings);
        let path = file(&folder, "session_s.json");
        let mut before = Vec::new();
        for runs in 1..=5 {
            assert!(tell(&mut desk, call("s", 300)).is_empty());
            desk.idle().unwrap();
            let (document, events) = document(&path);
            assert_eq!(events.len(), 3 * runs - (runs - 1));
            assert_eq!(document.get("metadata").is_some(), include_metadata);
            if include_metadata {
                assert_eq!(document["metadata"]["events_count"], events.len());
                assert_eq!(document["metadata"]["session_id"], "s");
            }
            let now = fs::read(&path).unwrap();
            // What closes it is the end of what was there.
            let kept = before.len().saturating_sub(300);
            assert_eq!(now.get(..kept), before.get(..kept));
            before = now;
        }
        desk.shut_down().unwrap();
        assert_eq!(String::from_utf8(before).unwrap().lines().count() > 60, pretty_print);
    }
}

#[test]
fn numbers_in_documents_keep_their_digits() {
    let folder = tempfile::tempdir().unwrap();
    let settings = Settings { pretty_print: true, ..settings(folder.path(), FileFormat::Json) };
    let scene = Scene::post("/v1/chat/completions")
        .in_session("s")
        .request(r#"{"temperature":0.10,"seed":123456789012345678901234567890,"top_p":1e0}"#)
        .asks("m", "Hello")
        .aborted();
    play(EventRecorder::new(settings).unwrap(), scene).assert_faultless();
    let text = fs::read_to_string(file(folder.path(), "session_s.json")).unwrap();
    for digits in ["\"temperature\": 0.10,", "\"seed\": 123456789012345678901234567890,", "\"top_p\": 1e0"] {
        assert!(text.contains(digits), "{text}");
    }
}

#[test]
fn a_body_of_many_levels_makes_no_large_file() {
    let folder = tempfile::tempdir().unwrap();
    let settings = Settings { pretty_print: true, ..settings(folder.path(), FileFormat::Json) };
    let deep = [r#"{"tools":"#, &"[".repeat(20_000), &"]".repeat(20_000), "}"].concat();
    let scene = Scene::post("/v1/chat/completions").in_session("s").request(deep).asks("m", "Hello");
    play(EventRecorder::new(settings).unwrap(), scene.aborted()).assert_faultless();
    let text = fs::read_to_string(file(folder.path(), "session_s.json")).unwrap();
    assert!(text.len() < 20_000_000, "{}", text.len());
    assert_eq!(text.matches('[').count(), 40_001);
}

#[test]
fn events_are_written_when_there_is_time_when_their_session_ends_and_at_the_stop() {
    let folder = tempfile::tempdir().unwrap();
    let mut desk = desk(settings(folder.path(), FileFormat::Jsonl));
    let path = |name| file(folder.path(), name);
    let script = Script::new().scene(call("a", 1)).scene(call("b", 1)).scene(call("c", 1));
    assert!(tell(&mut desk, script).is_empty());
    assert!(!path("session_a.jsonl").exists());
    let end = Script::new().session_end(SessionEnd::new("a", 1, Duration::ZERO));
    assert!(tell(&mut desk, end).is_empty());
    assert_eq!(names(&path("session_a.jsonl")).last().unwrap(), "session.end");
    assert!(!path("session_b.jsonl").exists());
    desk.idle().unwrap();
    assert_eq!(names(&path("session_b.jsonl")).len(), 4);
    assert!(tell(&mut desk, call("d", 1)).is_empty());
    desk.shut_down().unwrap();
    assert_eq!(names(&path("session_d.jsonl")).len(), 4);
}

#[test]
fn many_sessions_at_once_need_few_open_files() {
    let folder = tempfile::tempdir().unwrap();
    let mut desk = desk(settings(folder.path(), FileFormat::Json));
    let ours = || {
        let open =
            fs::read_dir("/proc/self/fd").unwrap().filter_map(|entry| fs::read_link(entry.ok()?.path()).ok());
        open.filter(|path| path.starts_with(folder.path())).count()
    };
    for round in 1..=2 {
        for number in 0..200 {
            assert!(tell(&mut desk, call(&format!("s{number}"), 1)).is_empty());
        }
        desk.idle().unwrap();
        assert!((1..=64).contains(&ours()), "{}", ours());
        let (_, events) = document(&file(folder.path(), "session_s7.json"));
        assert_eq!(events.len(), if round == 1 { 3 } else { 5 });
    }
    for number in 0..200 {
        let end = SessionEnd::new(format!("s{number}"), 1, Duration::ZERO);
        assert!(tell(&mut desk, Script::new().session_end(end)).is_empty());
    }
    assert_eq!(ours(), 0);
}

#[test]
fn what_leads_elsewhere_is_not_followed_and_keeps_no_other_session_from_its_file() {
    for (format, extension) in [(FileFormat::Jsonl, "jsonl"), (FileFormat::Json, "json")] {
        let folder = tempfile::tempdir().unwrap();
        let mut desk = desk(settings(folder.path(), format));
        let target = folder.path().join("target");
        fs::write(&target, "precious").unwrap();
        let trap = file(folder.path(), &format!("session_a.{extension}"));
        symlink(&target, &trap).unwrap();
        let mut faults = tell(&mut desk, Script::new().together([call("a", 1), call("b", 1)]));
        for _ in 0..3 {
            faults.extend(desk.idle().err());
        }
        assert_eq!(faults.len(), 1, "{faults:?}");
        let error = Error::source(&faults[0]).unwrap().to_string();
        assert!(error.contains("session_a"), "{error}");
        assert_eq!(fs::read_to_string(&target).unwrap(), "precious");
        assert!(file(folder.path(), &format!("session_b.{extension}")).exists());
        // What was held is written when there is a place for it.
        fs::remove_file(&trap).unwrap();
        desk.idle().unwrap();
        assert!(trap.is_file());
        desk.shut_down().unwrap();
    }
}

#[test]
fn somebody_elses_file_is_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let mut desk = desk(settings(folder.path(), FileFormat::Json));
    let path = file(folder.path(), "session_s.json");
    fs::write(&path, r#"{"mine":[1,2,3]}"#).unwrap();
    assert!(tell(&mut desk, call("s", 1)).is_empty());
    assert!(desk.idle().is_err());
    assert_eq!(fs::read_to_string(&path).unwrap(), r#"{"mine":[1,2,3]}"#);
    assert!(desk.shut_down().is_err());
}

#[test]
fn a_directory_that_is_removed_is_made_again() {
    for (format, extension) in [(FileFormat::Jsonl, "jsonl"), (FileFormat::Json, "json")] {
        let folder = tempfile::tempdir().unwrap();
        let mut desk = desk(settings(folder.path(), format));
        for expected in [3, 2] {
            assert!(tell(&mut desk, call("s", 1)).is_empty());
            desk.idle().unwrap();
            let text = fs::read_to_string(file(folder.path(), &format!("session_s.{extension}"))).unwrap();
            assert_eq!(text.matches("\"schema_version\"").count(), expected);
            assert_eq!(text.matches("created_at").count(), 1);
            fs::remove_dir_all(folder.path().join("events")).unwrap();
        }
    }
}

#[test]
fn what_cannot_be_written_is_held_up_to_a_bound_and_what_is_lost_is_counted() {
    let folder = tempfile::tempdir().unwrap();
    let mut desk = desk(settings(folder.path(), FileFormat::Jsonl));
    let trap = file(folder.path(), "session_a.jsonl");
    fs::create_dir(&trap).unwrap();
    let faults: Vec<_> = (0..60).flat_map(|_| tell(&mut desk, call("a", 100_000))).collect();
    let words: Vec<_> = faults.iter().map(|fault| Error::source(fault).unwrap().to_string()).collect();
    assert_eq!(words.len(), 2, "{words:?}");
    assert!(words[0].contains("cannot be written to") && words[1].contains("lost"), "{words:?}");
    // Others are written as if nothing were.
    assert!(tell(&mut desk, call("b", 100_000)).is_empty());
    desk.idle().unwrap();
    assert_eq!(names(&file(folder.path(), "session_b.jsonl")).len(), 4);
    fs::remove_dir(&trap).unwrap();
    desk.idle().unwrap();
    assert!(names(&trap).len() > 50);
    desk.shut_down().unwrap();
}

#[test]
fn secrets_are_replaced_unless_they_are_wanted() {
    let secret = "sk-proj-abcdefghijklmnopqrstuvwxyz0123456789ABCDEF";
    for redact_credentials in [true, false] {
        let folder = tempfile::tempdir().unwrap();
        let settings = Settings { redact_credentials, ..settings(folder.path(), FileFormat::Jsonl) };
        let scene = Scene::post("/v1/chat/completions")
            .in_session("s")
            .request(format!(r#"{{"messages":[{{"role":"user","content":"my key is {secret}"}}]}}"#))
            .asks("m", "Hello")
            .aborted();
        play(EventRecorder::new(settings).unwrap(), scene).assert_faultless();
        let text = fs::read_to_string(file(folder.path(), "session_s.jsonl")).unwrap();
        assert_eq!(text.contains(secret), !redact_credentials, "{text}");
    }
}

#[test]
fn a_secret_that_a_client_takes_for_a_name_is_in_no_file_and_no_files_name() {
    let secret = "sk-proj-abcdefghijklmnopqrstuvwxyz0123456789ABCDEF";
    for format in [FileFormat::Jsonl, FileFormat::Json] {
        let folder = tempfile::tempdir().unwrap();
        play(EventRecorder::new(settings(folder.path(), format)).unwrap(), call(secret, 1))
            .assert_faultless();
        let files: Vec<_> = fs::read_dir(folder.path().join("events")).unwrap().collect();
        assert_eq!(files.len(), 1);
        let path = files.into_iter().next().unwrap().unwrap().path();
        let text = fs::read_to_string(&path).unwrap();
        assert!(!text.contains(secret) && !path.to_str().unwrap().contains(secret), "{path:?} {text}");
        assert!(text.contains("sk-proj-[REDACTED]"));
    }
}

#[test]
fn it_holds_what_every_interceptor_must() {
    for format in [FileFormat::Jsonl, FileFormat::Json] {
        let folder = tempfile::tempdir().unwrap();
        comply(|| EventRecorder::new(settings(folder.path(), format)).unwrap());
    }
    let folder = tempfile::tempdir().unwrap();
    let script: Script = scenes::all().into_iter().collect();
    play(EventRecorder::new(settings(folder.path(), FileFormat::Json)).unwrap(), script).assert_faultless();
    for entry in fs::read_dir(folder.path().join("events")).unwrap() {
        document(&entry.unwrap().path());
    }
}

#[test]
fn a_killed_process_leaves_files_that_the_next_one_goes_on_with() {
    let folder = tempfile::tempdir().unwrap();
    let size = |extension: &str| {
        let path = file(folder.path(), &format!("session_s.{extension}"));
        fs::metadata(path).map_or(0, |metadata| metadata.len())
    };
    for _ in 0..3 {
        let before = (size("json"), size("jsonl"));
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "event_files::child_that_never_stops_writing", "--ignored"])
            .env("PERIMETER_TEST_FOLDER", folder.path())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        while size("json") < before.0 + 100_000 || size("jsonl") < before.1 + 100_000 {
            assert_eq!(child.try_wait().unwrap(), None);
            std::thread::yield_now();
        }
        child.kill().unwrap();
        child.wait().unwrap();
    }
    for format in [FileFormat::Jsonl, FileFormat::Json] {
        play(EventRecorder::new(settings(folder.path(), format)).unwrap(), call("s", 5)).assert_faultless();
    }
    let (_, events) = document(&file(folder.path(), "session_s.json"));
    assert_eq!(events[events.len() - 3..], ONE);
    let text = fs::read_to_string(file(folder.path(), "session_s.jsonl")).unwrap();
    let broken = text.lines().filter(|line| serde_json::from_str::<Value>(line).is_err()).count();
    assert!(broken <= 3, "{broken}");
    assert_eq!(text.matches("_metadata\":{\"format\"").count(), 1);
}

#[test]
fn several_who_write_to_the_same_files_at_once_lose_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let write = |format| {
        let mut desk = desk(settings(folder.path(), format));
        for number in 0..100 {
            assert!(tell(&mut desk, call("s", number)).is_empty());
            desk.idle().unwrap();
        }
        desk.shut_down().unwrap();
    };
    std::thread::scope(|threads| {
        for _ in 0..3 {
            threads.spawn(|| write(FileFormat::Json));
            threads.spawn(|| write(FileFormat::Jsonl));
        }
    });
    // Each has its own start of the session, and two events for each call.
    let (document, events) = document(&file(folder.path(), "session_s.json"));
    assert_eq!((events.len(), &document["metadata"]["events_count"]), (3 * 201, &json!(3 * 201)));
    let lines = read_lines(&file(folder.path(), "session_s.jsonl"));
    assert_eq!(lines.iter().filter(|line| line.get("name").is_some()).count(), 3 * 201);
}

#[test]
fn a_trap_for_one_session_keeps_no_other_from_its_file_though_much_is_held() {
    let folder = tempfile::tempdir().unwrap();
    let mut desk = desk(settings(folder.path(), FileFormat::Jsonl));
    fs::create_dir(file(folder.path(), "session_a.jsonl")).unwrap();
    for _ in 0..60 {
        tell(&mut desk, call("a", 100_000));
    }
    assert!(tell(&mut desk, call("b", 100_000)).is_empty());
    assert_eq!(names(&file(folder.path(), "session_b.jsonl")).len(), 4);
}

#[test]
#[ignore = "another test starts it, and kills it"]
fn child_that_never_stops_writing() {
    let folder = PathBuf::from(std::env::var_os("PERIMETER_TEST_FOLDER").unwrap());
    let mut desks = [FileFormat::Jsonl, FileFormat::Json].map(|format| desk(settings(&folder, format)));
    for number in 1..20_000 {
        for desk in &mut desks {
            assert!(tell(desk, call("s", number % 3_000)).is_empty());
            desk.idle().unwrap();
        }
    }
}
