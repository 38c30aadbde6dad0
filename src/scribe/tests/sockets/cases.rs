//! Every case of `tests/fixtures/sockets/{case}`: what both sides say, and what it means in `notices.snap`.
//! `UPDATE_SNAPSHOTS=1` writes `notices.snap` anew, to be read before it is kept.
//!
//! | file | what |
//! |---|---|
//! | `messages` | the messages in their order, one a line: `>` stands before one of the client, `<` before one of the provider |
//! | `head` | the request's method, target and headers, where they are not `GET /v1/responses` |

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use super::*;
use crate::dialect::golden::{request_head, show, show_parts};

fn notices(case: &Path, deflate: bool, cut: usize) -> String {
    let head = fs::read_to_string(case.join("head")).unwrap_or_else(|_| "GET /v1/responses".to_owned());
    let mut talk = Talk::of(Desk::large(), &request_head(&head), deflate, cut);
    for line in fs::read_to_string(case.join("messages")).unwrap().lines() {
        match line.split_once(' ') {
            Some((">", message)) => talk.asks(message),
            Some(("<", message)) => talk.answers(&[message]),
            _ => panic!("{line:?} in {}", case.display()),
        }
    }
    talk.over();
    let mut out = String::new();
    for event in talk.desk.events() {
        write!(out, "{} ", event.call()).unwrap();
        match event {
            LlmEvent::Call(call) => show_call(&mut out, call),
            event => show(&mut out, event, b"\0"),
        }
    }
    out
}

fn show_call(out: &mut String, call: &Call) {
    let model = call.model.as_deref().unwrap_or("-");
    write!(out, "call {} vendor={} model={model}", call.dialect, call.vendor).unwrap();
    if let Some(previous) = &call.previous {
        write!(out, " previous={previous}").unwrap();
    }
    out.push_str(if call.streaming { " streaming" } else { "" });
    out.push_str(if call.partial { " partial\n" } else { "\n" });
    for tool in &*call.tools {
        writeln!(out, "  tool {} {:?}", tool.name, tool.description.as_deref().unwrap_or_default()).unwrap();
    }
    for turn in &call.news {
        writeln!(out, "  {}: {}", turn.role.as_str(), show_parts(&turn.parts)).unwrap();
    }
}

#[test]
fn every_case_means_the_same_however_it_is_cut_and_compressed() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/sockets");
    let cases: Vec<_> = fs::read_dir(root).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert!(cases.len() >= 15, "{} cases", cases.len());
    for case in cases {
        let whole = notices(&case, false, usize::MAX);
        let snapshot = case.join("notices.snap");
        if std::env::var_os("UPDATE_SNAPSHOTS").is_some() {
            fs::write(&snapshot, &whole).unwrap();
        }
        let expected = fs::read_to_string(&snapshot).unwrap_or_default();
        assert_eq!(whole, expected, "{}", case.display());
        for (deflate, cut) in [(false, 1), (false, 7), (true, usize::MAX), (true, 1), (true, 33)] {
            let told = notices(&case, deflate, cut);
            assert_eq!(told, expected, "{}: deflate {deflate}, pieces of {cut}", case.display());
        }
    }
}
