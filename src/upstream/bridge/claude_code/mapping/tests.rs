use std::fmt::Write as _;
use std::path::PathBuf;

use proptest::prelude::*;

use super::*;
use crate::upstream::bridge::claude_code::lines::Lines;
use crate::upstream::bridge::event::Answer;

/// How a capture was heard.
#[derive(Default)]
struct Heard {
    events: Vec<Event>,
    end: Option<String>,
    done: bool,
}

fn captures() -> Vec<(String, Vec<u8>)> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/claude_cli");
    let files = std::fs::read_dir(folder).unwrap().flatten().map(|entry| entry.path());
    let mut all: Vec<_> = files
        .filter(|path| path.extension().is_some_and(|end| end == "jsonl"))
        .map(|path| (path.file_stem().unwrap().to_str().unwrap().to_owned(), std::fs::read(path).unwrap()))
        .collect();
    all.sort();
    assert!(all.len() > 100);
    all
}

/// The manner of a capture: those of schemas are of structured answers.
fn manner(name: &str) -> Manner {
    Manner { structured: name.ends_with("schema"), ..Manner::default() }
}

fn hear(manner: Manner, chunks: &mut dyn Iterator<Item = &[u8]>) -> Heard {
    let (mut lines, mut mapping, mut heard) = (Lines::default(), Mapping::new(manner), Heard::default());
    for chunk in chunks {
        lines.room().extend_from_slice(chunk);
        while let Some(line) = lines.next().unwrap() {
            take(&mut mapping, &line, &mut heard);
        }
    }
    if let Some(line) = lines.rest() {
        take(&mut mapping, &line, &mut heard);
    }
    heard
}

fn take(mapping: &mut Mapping, line: &[u8], heard: &mut Heard) {
    let Some(line) = Line::read(line) else { return };
    if heard.end.is_some() {
        return;
    }
    heard.end = match mapping.hear(&line, &mut heard.events) {
        Ok(Next::Line) => None,
        Ok(Next::Tools(done) | Next::End(done)) => {
            heard.done = true;
            Some(format!("{:?} {:?} {:?}", done.stop, done.usage, done.cost))
        }
        Err(failure) => Some(format!("{:?}: {} {:?}", failure.kind, failure.message, failure.retry_after)),
    };
}

/// Whether the events are as a backend's have to be.
fn check(name: &str, heard: &Heard) {
    let mut open = false;
    for (at, event) in heard.events.iter().enumerate() {
        match event {
            Event::Head(_) => assert!(
                heard.events.iter().take(at).all(|event| matches!(event, Event::Alive | Event::Warning(_))),
                "{name}: a late head"
            ),
            Event::Begin(_) => assert!(!std::mem::replace(&mut open, true), "{name}: two blocks"),
            Event::End => assert!(std::mem::replace(&mut open, false), "{name}: no block to end"),
            Event::Text(_) | Event::Thinking(_) | Event::Signature(_) | Event::Input(_) => {
                assert!(open, "{name}: no block")
            }
            _ => {}
        }
    }
    assert!(!(open && heard.done), "{name}: done, and a block is open");
}

#[test]
fn every_capture_is_heard_as_it_should_be() {
    let mut told = String::new();
    for (name, bytes) in captures() {
        let heard = hear(manner(&name), &mut std::iter::once(&*bytes));
        check(&name, &heard);
        let mut answer = Answer::default();
        heard.events.iter().for_each(|event| answer.hear(event));
        let alive = heard.events.iter().filter(|event| matches!(event, Event::Alive)).count();
        writeln!(told, "{name}: {} ({alive} signs of life)", heard.end.unwrap_or("cut off".into())).unwrap();
        for block in answer.blocks {
            writeln!(told, "    {block:?}").unwrap();
        }
    }
    insta::assert_snapshot!(told);
}

#[test]
fn a_capture_in_any_pieces_says_the_same() {
    for (name, bytes) in captures() {
        let whole = hear(manner(&name), &mut std::iter::once(&*bytes));
        for size in [1, 7, 4096] {
            let pieces = hear(manner(&name), &mut bytes.chunks(size));
            assert_eq!(format!("{:?}", pieces.events), format!("{:?}", whole.events), "{name} by {size}");
            assert_eq!(pieces.end, whole.end, "{name} by {size}");
        }
    }
}

/// Cut after every line, in the midst of every line, and after each of the last bytes: every byte of all captures
/// would be a thousand times as many as there are bytes.
#[test]
fn a_capture_that_is_cut_says_no_more_than_the_whole() {
    for (name, bytes) in captures() {
        let whole = hear(manner(&name), &mut std::iter::once(&*bytes));
        let ends =
            memchr::memchr_iter(b'\n', &bytes).flat_map(|at| [at.saturating_sub(40), at - 1, at, at + 1]);
        for cut in ends.chain(bytes.len().saturating_sub(3)..bytes.len()) {
            let heard = hear(manner(&name), &mut std::iter::once(&bytes[..cut]));
            assert!(heard.events.len() <= whole.events.len(), "{name} at {cut}");
            let (part, all) = (format!("{:?}", heard.events), format!("{:?}", whole.events));
            assert!(all.starts_with(&part[..part.len() - 1]), "{name} at {cut}");
            assert!(!heard.done || heard.end == whole.end, "{name} at {cut}");
        }
    }
}

#[test]
fn a_capture_cut_at_every_byte_says_no_more_than_the_whole() {
    let chosen = ["p-full-recipe", "d-midstream", "e-thinking-partial", "n-noprefix"];
    for (name, bytes) in captures().into_iter().filter(|(name, _)| chosen.contains(&name.as_str())) {
        let whole = hear(manner(&name), &mut std::iter::once(&*bytes));
        // What is said is said line by line: a cut within a line differs from its beginning only in that line.
        let begins = std::iter::once(0).chain(memchr::memchr_iter(b'\n', &bytes).map(|at| at + 1));
        for begin in begins {
            let end = memchr::memchr(b'\n', &bytes[begin..]).map_or(bytes.len(), |length| begin + length);
            let before = hear(manner(&name), &mut std::iter::once(&bytes[..begin]));
            for cut in begin..end {
                let mut lines = Lines::default();
                lines.room().extend_from_slice(&bytes[begin..cut]);
                assert_eq!(lines.next().unwrap(), None);
                assert_eq!(lines.rest(), None, "{name}: half a line at {cut}");
            }
            assert!(!before.done || before.end == whole.end, "{name} at {begin}");
        }
    }
}

#[test]
fn what_was_given_up_is_not_said_twice() {
    let (_, bytes) = captures().into_iter().find(|(found, _)| found == "d-midstream").unwrap();
    let heard = hear(Manner::default(), &mut std::iter::once(&*bytes));
    assert!(!heard.done);
    assert!(heard.end.unwrap().starts_with("Upstream"));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn lines_in_any_order_are_no_reason_to_panic(seed in any::<u64>(), takes in prop::collection::vec(any::<prop::sample::Index>(), 1..200)) {
        let all = captures();
        let (name, bytes) = &all[usize::try_from(seed).unwrap_or(7) % all.len()];
        let lines: Vec<_> = bytes.split_inclusive(|byte| *byte == b'\n').collect();
        let heard = hear(manner(name), &mut takes.iter().map(|take| *take.get(&lines)));
        check(name, &heard);
    }
}
