//! A coding agent does a turn of work: it asks, is told to have an agent of its own read a file, which reads it, and
//! reports.

use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

use crate::compare::watched;
use crate::perimeter::Perimeter;
use crate::process::{ANTHROPIC_KEY, client, installed, transcript};
use crate::provider::{Provider, Request};
use crate::sessions::{Place, sessions};

/// Fields of its output that are not the same in two runs.
const DRAWN: [&str; 9] = [
    "uuid",
    "timestamp",
    "messaging_socket_path",
    "task_id",
    "run_id",
    "agent_id",
    "agentId",
    "end_time",
    "output_file",
];

/// Fixed, so that what the agent derives from it is the same in both runs.
pub(crate) const SESSION: &str = "0b9f4c1e-5a5e-4d0e-9c57-3f1d2a7b8c90";

#[test]
fn claude_code_completes_a_turn_with_a_tool_and_side_calls() {
    // One folder for both runs: the agent tells the provider where it works.
    let folder = tempfile::tempdir().unwrap();
    let (told, watched) = watched("anthropic", even_out, |provider, url| {
        prepare(folder.path());
        turn(folder.path(), provider, url).lines().map(even_out_line).collect::<Vec<_>>().join("\n")
    });
    for sign in ["\"api_retry\"", "\"tool_result\"", "The file says: the proxy saw nothing."] {
        assert!(told.contains(sign), "no {sign} in\n{told}");
    }
    // Each agent is overloaded at first; then a tool is asked for, answers, and the model makes something of it.
    let printed = [
        "  529  ".to_owned(),
        "        → Agent {\"description\":\"Look into a file\"".to_owned(),
        "        ← Agent ".to_owned(),
        "        ✗ overloaded_error: Overloaded".to_owned(),
        format!("        → Read {{\"file_path\":\"{}\"}}", folder.path().join("project/notes.txt").display()),
        "        ← Read ".to_owned(),
        "        ‹ The file says: the proxy saw nothing.".to_owned(),
    ];
    for sign in printed {
        assert!(watched.printed.contains(&sign), "no {sign} in\n{}", watched.printed);
    }
}

#[test]
fn claude_codes_calls_are_one_session_with_its_agent_and_its_counts() {
    let folder = tempfile::tempdir().unwrap();
    prepare(folder.path());
    let provider = Provider::start();
    let perimeter = Perimeter::start("anthropic", &provider.url(""));
    turn(folder.path(), &provider, &perimeter.url);
    count(folder.path(), &provider, &perimeter.url);
    let watched = perimeter.stop();
    let sessions = sessions(&watched);
    let [(id, client, places)] = &*sessions else { panic!("{sessions:#?}") };
    assert_eq!((&**id, &**client), (SESSION, "Claude Code"));
    // Both agents are overloaded at first.
    let turn = [
        Place::new(1, "opening", None, 0),
        Place::new(2, "retry", Some(1), 0),
        Place::new(3, "sub_agent", Some(2), 1),
        Place::new(4, "retry", Some(3), 1),
        Place::new(5, "turn", Some(4), 1),
        Place::new(6, "turn", Some(2), 0),
    ];
    let (conversation, counts) = places.split_at(turn.len());
    assert_eq!(conversation, turn, "{}", watched.printed);
    assert!(!counts.is_empty(), "{}", watched.printed);
    for count in counts {
        assert_eq!((&*count.relation, count.parent), ("side", Some(6)), "{count:?}\n{}", watched.printed);
    }
    for line in watched.lines() {
        assert_eq!(line["session"]["agent_name"], "Claude Code", "{line:#}");
    }
    assert!(watched.printed.contains("        # session 0b9f4c1e, Claude Code "), "{}", watched.printed);
}

/// A line of the agent's output without its clock readings, the ids that it draws for its own events and agents, and
/// the socket that is named after its process.
fn even_out_line(line: &str) -> String {
    let Ok(mut line) = serde_json::from_str(line) else { return line.to_owned() };
    drop_drawn(&mut line);
    line.to_string()
}

fn drop_drawn(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            fields.retain(|key, _| {
                !DRAWN.contains(&key.as_str()) && !key.ends_with("_ms") && !key.ends_with("Ms")
            });
            fields.values_mut().for_each(drop_drawn);
        }
        Value::Array(values) => values.iter_mut().for_each(drop_drawn),
        Value::String(text) => {
            if let Some(rest) = drop_report(text.as_bytes()) {
                *text = String::from_utf8(rest).unwrap();
            }
        }
        _ => {}
    }
}

/// The agent tells the model what day it is, and midnight may fall between the runs; and what an agent of its own was
/// called, and how long it took.
fn even_out(requests: &mut Vec<Request>) {
    drop_date(requests);
    for request in requests {
        hide(request, "x-claude-code-agent-id");
        if let Some(rest) = drop_report(&request.body) {
            request.body = rest;
            hide(request, "content-length");
        }
    }
}

/// Takes the value of a field away, where there is one.
fn hide(request: &mut Request, name: &str) {
    for field in &mut request.fields {
        if let Some((found, _)) = field.split_once(':')
            && found.eq_ignore_ascii_case(name)
        {
            *field = format!("{found}: (drawn)");
        }
    }
}

/// The text without what stands behind these words in the report on an agent; `None` where there is no report.
fn drop_report(text: &[u8]) -> Option<Vec<u8>> {
    let mut rest = text.to_vec();
    let mut found = false;
    for word in ["agentId: ", "with to: '", "duration_ms: "] {
        while let Some(at) = rest.windows(word.len()).position(|window| window == word.as_bytes()) {
            let drawn =
                rest[at + word.len()..].iter().take_while(|byte| byte.is_ascii_alphanumeric()).count();
            rest.splice(at..at + word.len() + drawn, []);
            found = true;
        }
    }
    found.then_some(rest)
}

fn drop_date(requests: &mut Vec<Request>) {
    const BEFORE: &[u8] = b"Today's date is ";
    for request in requests {
        let found = request.body.windows(BEFORE.len()).position(|window| window == BEFORE);
        if let Some(at) = found {
            request.body[at + BEFORE.len()..][.."2026-01-01".len()].fill(b'-');
        }
    }
}

pub(crate) fn prepare(folder: &Path) {
    for name in ["home", "project", "tmp"] {
        let path = folder.join(name);
        if path.exists() {
            fs::remove_dir_all(&path).unwrap();
        }
        fs::create_dir(&path).unwrap();
    }
    // The id of the device, which a fresh home would draw.
    let identity = format!("{{\"userID\": \"{}\"}}", "0123456789abcdef".repeat(4));
    fs::write(folder.join("home/.claude.json"), identity).unwrap();
    fs::write(folder.join("project/notes.txt"), "the proxy saw nothing\n").unwrap();
}

pub(crate) fn turn(folder: &Path, provider: &Provider, base_url: &str) -> String {
    let file = folder.join("project/notes.txt");
    let output = claude(folder, provider, base_url)
        .args(["--print", &format!("Read the file {} and tell me what it says.", file.display())])
        .args(["--output-format", "stream-json", "--verbose", "--include-partial-messages"])
        .args(["--model", "claude-opus-5-5", "--allowedTools", "Read", "--session-id", SESSION])
        .output()
        .unwrap();
    transcript("claude", &output)
}

/// It has its context counted, piece by piece.
pub(crate) fn count(folder: &Path, provider: &Provider, base_url: &str) {
    let counted = claude(folder, provider, base_url)
        .args(["--print", "/context", "--model", "claude-opus-5-5", "--resume", SESSION])
        .output()
        .unwrap();
    assert!(transcript("claude", &counted).contains("Context Usage"));
}

fn claude(folder: &Path, provider: &Provider, base_url: &str) -> Command {
    let mut claude = client(installed("claude"), &folder.join("home"));
    claude
        .current_dir(folder.join("project"))
        .env("TMPDIR", folder.join("tmp"))
        .env("ANTHROPIC_BASE_URL", base_url)
        .env("ANTHROPIC_API_KEY", ANTHROPIC_KEY)
        .env("CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC", "1")
        .env("DISABLE_TELEMETRY", "1")
        .env("DISABLE_ERROR_REPORTING", "1")
        .env("DISABLE_AUTOUPDATER", "1")
        // Should it want anything of the world beyond, that turns up at the provider as a CONNECT.
        .env("HTTPS_PROXY", provider.url(""))
        .env("NO_PROXY", "127.0.0.1");
    claude
}
