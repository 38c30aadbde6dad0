//! A process that is killed.

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use perimeter_recorder::message_logger::Settings;
use serde_json::Value;

use crate::support::{Told, desk, take_all};

#[test]
fn a_killed_process_leaves_whole_lines_and_the_next_one_goes_on_behind_them() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("message_log.jsonl");
    for _ in 0..3 {
        let before = fs::metadata(&path).map_or(0, |metadata| metadata.len());
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "crash::child_that_never_stops_writing", "--ignored"])
            .env("PERIMETER_TEST_FOLDER", folder.path())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        while fs::metadata(&path).map_or(0, |metadata| metadata.len()) < before + 200_000 {
            assert_eq!(child.try_wait().unwrap(), None);
            std::thread::yield_now();
        }
        child.kill().unwrap();
        child.wait().unwrap();
    }
    let text = fs::read_to_string(&path).unwrap();
    let broken = text.lines().filter(|line| serde_json::from_str::<Value>(line).is_err()).count();
    // The system may end a write between two pages. That is the last line of a process, and of no other.
    assert!(broken <= 3, "{broken}");
}

#[test]
#[ignore = "another test starts it, and kills it"]
fn child_that_never_stops_writing() {
    let folder = PathBuf::from(std::env::var_os("PERIMETER_TEST_FOLDER").unwrap());
    let mut desk = desk(Settings { directory: folder, max_file_size: 0, ..Settings::default() });
    for n in 1..20_000 {
        let request = format!("{{\"text\":\"{}\"}}", "x".repeat(n as usize % 3_000));
        assert!(take_all(&mut desk, Told::new(n).whole(&request, "{}")).is_empty());
    }
}
