//! Which calls of real clients belong together: chats of SDKs that say nothing of it, and Claude Code, which does.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::perimeter::Perimeter;
use crate::process::script;
use crate::provider::Provider;
use crate::watched::Watched;

/// What the scripts say, once for each of two people.
const QUESTIONS: [&str; 3] = ["Hello", "How far is the moon?", "And the sun?"];

/// Where a call stands.
#[derive(Debug, PartialEq)]
pub(crate) struct Place {
    pub(crate) call: u64,
    pub(crate) relation: String,
    pub(crate) parent: Option<u64>,
    pub(crate) thread: u64,
}

impl Place {
    fn of(line: &Value) -> Self {
        let number = |name: &str| line["session"][name].as_u64();
        Self {
            call: number("call").unwrap(),
            relation: line["session"]["relation"].as_str().unwrap().to_owned(),
            parent: number("parent"),
            thread: number("thread").unwrap(),
        }
    }

    pub(crate) fn new(call: u64, relation: &str, parent: Option<u64>, thread: u64) -> Self {
        Self { call, relation: relation.to_owned(), parent, thread }
    }
}

/// The calls of each session, by the client that made them, in the order in which the sessions began.
pub(crate) fn sessions(watched: &Watched) -> Vec<(String, String, Vec<Place>)> {
    let mut sessions: Vec<(String, String, Vec<Place>)> = Vec::new();
    for line in watched.lines().iter().filter(|line| line["direction"] == "request") {
        let id = line["session_id"].as_str().unwrap();
        let client = line["session"]["client"].as_str().unwrap_or_default();
        match sessions.iter_mut().find(|(known, ..)| known == id) {
            Some((.., places)) => places.push(Place::of(line)),
            None => sessions.push((id.to_owned(), client.to_owned(), vec![Place::of(line)])),
        }
    }
    sessions
}

/// How often each question was told as new.
fn told(watched: &Watched) -> BTreeMap<String, usize> {
    let mut told = BTreeMap::new();
    for question in watched.printed.lines().filter_map(|line| line.trim().strip_prefix("› ")) {
        *told.entry(question.to_owned()).or_default() += 1;
    }
    told
}

/// Two people of each of these clients have talked, one after the other: each has a session, and each word of theirs is
/// told once.
fn assert_two_each(watched: &Watched, clients: &[&str]) {
    let sessions = sessions(watched);
    let made: Vec<&str> = sessions.iter().map(|(_, client, _)| &**client).collect();
    let expected: Vec<&str> = clients.iter().flat_map(|client| [*client; 2]).collect();
    assert_eq!(made, expected, "{}", watched.printed);
    let chat = [
        Place::new(1, "opening", None, 0),
        Place::new(2, "turn", Some(1), 0),
        Place::new(3, "turn", Some(2), 0),
    ];
    for (_, client, places) in &sessions {
        assert_eq!(*places, chat, "{client}: {}", watched.printed);
    }
    let each = QUESTIONS.iter().map(|question| ((*question).to_owned(), sessions.len())).collect();
    assert_eq!(told(watched), each, "{}", watched.printed);
}

#[test]
fn chats_of_sdks_for_python_are_a_session_for_each_key() {
    let provider = Provider::start();
    let perimeter = Perimeter::start("auto", &provider.url(""));
    script("python/chats.py", &provider, &perimeter.url);
    let clients = ["OpenAI Python", "OpenAI Python", "Anthropic Python", "Google Gen AI"];
    assert_two_each(&perimeter.stop(), &clients);
}

#[test]
fn chats_of_sdks_for_node_are_a_session_for_each_key() {
    let provider = Provider::start();
    let perimeter = Perimeter::start("auto", &provider.url(""));
    script("node/chats.mjs", &provider, &perimeter.url);
    assert_two_each(&perimeter.stop(), &["OpenAI JS", "Anthropic JS"]);
}
