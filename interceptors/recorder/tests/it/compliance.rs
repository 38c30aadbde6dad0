//! What every interceptor has to withstand, and what the log holds of it.

use std::collections::BTreeMap;
use std::path::Path;

use perimeter_interceptor::testing::{Script, comply, play, scenes};
use perimeter_recorder::MessageLogger;
use perimeter_recorder::message_logger::Settings;

use crate::support::read_lines;

fn logger(directory: &Path) -> MessageLogger {
    MessageLogger::new(Settings { directory: directory.to_owned(), ..Settings::default() }).unwrap()
}

#[test]
fn it_holds_what_every_interceptor_must() {
    let folder = tempfile::tempdir().unwrap();
    comply(|| logger(folder.path()));
}

/// That each exchange with requests has as many answers as requests.
#[track_caller]
fn assert_answered(script: Script) {
    let folder = tempfile::tempdir().unwrap();
    play(logger(folder.path()), script).assert_faultless();
    let mut counts = BTreeMap::<String, (u32, u32)>::new();
    for line in read_lines(&folder.path().join("message_log.jsonl")) {
        let (requests, answers) = counts.entry(line["exchange_id"].to_string()).or_default();
        *(if line["direction"] == "request" { requests } else { answers }) += 1;
    }
    // A provider that could not be reached is told also where no request could be read.
    assert!(counts.values().all(|counts| counts.0 == counts.1 || *counts == (0, 1)), "{counts:?}");
}

#[test]
fn every_request_has_one_answer_wherever_its_exchange_ends() {
    for scene in scenes::all() {
        assert_answered(Script::from(scene.clone()));
        assert_answered((1..24).map(|notices| scene.cut_short(notices)).collect());
    }
    for seed in 0..8 {
        assert_answered(Script::new().shuffled(seed, scenes::all()));
    }
}
