//! A disk that is full, for real: the system refuses the process to let a file grow (`RLIMIT_FSIZE`), in the middle
//! of a write. The limit is the whole process's, so each test has one of its own.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::Duration;

use perimeter_interceptor::Interest;
use perimeter_interceptor::host::{Desk, Notice};
use perimeter_interceptor::testing::{Script, scenes};
use perimeter_recorder::EventRecorder;
use perimeter_recorder::event_recorder::{self, FileFormat};
use perimeter_recorder::message_logger::Settings;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use serde_json::Value;

use crate::support::{Told, desk, read_lines, take_all};

/// Runs a test of this file as a process that ignores the signal that comes with the refusal.
fn run(test: &str) {
    let output = Command::new("sh")
        .args(["-c", "trap '' XFSZ; exec \"$@\"", "sh"])
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", test, "--ignored"])
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && text.contains("1 passed"), "{output:?}");
}

/// Lets no file grow beyond `bytes`.
fn limit(bytes: Option<u64>) {
    let maximum = getrlimit(Resource::Fsize).maximum;
    setrlimit(Resource::Fsize, Rlimit { current: bytes.or(maximum), maximum }).unwrap();
}

fn settings(folder: &Path) -> Settings {
    Settings { directory: folder.to_owned(), buffer_size: 1, ..Settings::default() }
}

fn path_in(folder: &Path) -> PathBuf {
    folder.join("message_log.jsonl")
}

fn exchange(n: u32, size: usize) -> Vec<Notice> {
    Told::new(n).whole(&format!("{{\"n\":{n},\"text\":\"{}\"}}", "x".repeat(size)), "{}")
}

fn numbers(path: &Path) -> Vec<u64> {
    read_lines(path).iter().filter_map(|line| line["request"]["n"].as_u64()).collect()
}

#[test]
fn a_full_disk_is_said_once_leaves_no_half_line_and_is_written_to_again() {
    run("full_disk::child_whose_disk_is_full_for_a_while");
}

#[test]
#[ignore = "another test starts it"]
fn child_whose_disk_is_full_for_a_while() {
    let folder = tempfile::tempdir().unwrap();
    let path = path_in(folder.path());
    let mut desk = desk(settings(folder.path()));
    limit(Some(10_000));
    let mut faults = Vec::new();
    for n in 1..=30 {
        faults.extend(take_all(&mut desk, exchange(n, 500)));
        faults.extend(desk.idle().err());
        // Whole lines at every moment, though the system took a part of one.
        read_lines(&path);
    }
    assert_eq!(faults.len(), 1, "{faults:?}");
    let error = std::error::Error::source(&faults[0]).unwrap();
    assert!(error.to_string().contains("message_log.jsonl"), "{error}");
    assert!(error.source().unwrap().to_string().contains("File too large"), "{error:?}");
    assert!(fs::metadata(&path).unwrap().len() <= 10_000);

    limit(None);
    desk.idle().unwrap();
    assert_eq!(numbers(&path), (1..=30).collect::<Vec<_>>());

    // And when it is full once more, that is said once more.
    limit(Some(30_000));
    let faults: Vec<_> = (31..=60).flat_map(|n| take_all(&mut desk, exchange(n, 500))).collect();
    assert_eq!(faults.len(), 1, "{faults:?}");
    limit(None);
    desk.shut_down().unwrap();
    assert_eq!(numbers(&path), (1..=60).collect::<Vec<_>>());
}

#[test]
fn what_is_lost_at_the_end_is_counted() {
    run("full_disk::child_whose_disk_stays_full");
}

#[test]
#[ignore = "another test starts it"]
fn child_whose_disk_stays_full() {
    let folder = tempfile::tempdir().unwrap();
    let mut desk = desk(settings(folder.path()));
    limit(Some(10_000));
    let faults: Vec<_> = (1..=30).flat_map(|n| take_all(&mut desk, exchange(n, 500))).collect();
    assert_eq!(faults.len(), 1, "{faults:?}");
    let fault = desk.shut_down().unwrap_err();
    let kept = read_lines(&path_in(folder.path())).len();
    let error = std::error::Error::source(&fault).unwrap().to_string();
    assert!(error.ends_with(&format!("{} lines are lost", 60 - kept)), "{error}");
}

#[test]
fn what_is_held_is_bounded_and_the_next_line_waits_for_room() {
    run("full_disk::child_that_has_more_to_write_than_it_may_hold");
}

#[test]
#[ignore = "another test starts it"]
fn child_that_has_more_to_write_than_it_may_hold() {
    let folder = tempfile::tempdir().unwrap();
    let path = path_in(folder.path());
    let mut desk = desk(settings(folder.path()));
    limit(Some(1_000));
    let (told, ack) = channel();
    let worker = std::thread::spawn(move || {
        let mut faults = 0;
        for n in 1..=40 {
            faults += take_all(&mut desk, exchange(n, 100_000)).len();
            told.send(n).unwrap();
        }
        desk.shut_down().unwrap();
        faults
    });
    // A mebibyte holds ten of these lines, and the one that goes beyond it is the last to be taken.
    let mut taken = 0;
    while taken < 10 {
        taken = ack.recv().unwrap();
    }
    let waits = loop {
        match ack.recv_timeout(Duration::from_secs(1)) {
            Ok(n) => taken = n,
            Err(RecvTimeoutError::Timeout) => break true,
            Err(RecvTimeoutError::Disconnected) => break false,
        }
    };
    assert!(waits && taken <= 11, "{taken}");
    limit(None);
    assert_eq!(worker.join().unwrap(), 1);
    assert_eq!(numbers(&path), (1..=40).collect::<Vec<_>>());
}

#[test]
fn files_of_events_stay_whole_on_a_full_disk_and_go_on_when_there_is_room() {
    run("full_disk::child_whose_events_have_no_room_for_a_while");
}

#[test]
#[ignore = "another test starts it"]
fn child_whose_events_have_no_room_for_a_while() {
    for (format, extension) in [(FileFormat::Jsonl, "jsonl"), (FileFormat::Json, "json")] {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(format!("session_s.{extension}"));
        let settings = event_recorder::Settings {
            output_dir: folder.path().to_owned(),
            file_format: format,
            ..event_recorder::Settings::default()
        };
        let mut desk = Desk::new(EventRecorder::new(settings).unwrap(), Interest::LLM);
        let mut faults = Vec::new();
        let events = |path: &Path| -> usize {
            match format {
                FileFormat::Jsonl => read_lines(path).len() - 1,
                FileFormat::Json => {
                    let document: Value = serde_json::from_slice(&fs::read(path).unwrap()).unwrap();
                    let events = document["events"].as_array().unwrap().len();
                    assert_eq!(document["metadata"]["events_count"], events);
                    events
                }
            }
        };
        // Where it fills up, in the middle of what, is not said.
        for (round, room) in [20_000, 20_001, 20_013, 30_100].into_iter().enumerate() {
            limit(Some(room));
            for _ in 0..20 {
                let call = scenes::whole().in_session("s");
                let notices = Script::from(call).notices();
                faults.extend(notices.iter().filter_map(|notice| desk.take(notice).err()));
                faults.extend(desk.idle().err());
                events(&path);
            }
            limit(None);
            desk.idle().unwrap();
            assert_eq!(events(&path), 1 + 40 * (round + 1), "{format:?}");
        }
        assert_eq!(faults.len(), 4, "{faults:?}");
        desk.shut_down().unwrap();
    }
}
