//! The sessions of a page as a table for people.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::time::Duration;

use perimeter_interceptor::Usd;
use perimeter_printer::{measure, text};
use serde::Deserialize;

/// Cells of a name, unless all of it is wanted.
const NAME: usize = 24;
/// Cells of the models.
const MODELS: usize = 32;

#[derive(Deserialize)]
struct Page {
    sessions: Vec<Session>,
    live: usize,
    #[serde(default)]
    watching: Option<bool>,
}

/// What is shown of a session. A later version may say more.
#[derive(Deserialize)]
struct Session {
    session_id: String,
    agent: Agent,
    client: Option<Client>,
    calls: u32,
    failed: u32,
    models: Vec<String>,
    usage: Usage,
    cost_usd: f64,
    unpriced_calls: u32,
    tree: Vec<Branch>,
    state: String,
    quiet_ms: u64,
}

#[derive(Deserialize)]
struct Agent {
    id: String,
    prompt: String,
    name: Option<String>,
}

#[derive(Deserialize)]
struct Client {
    name: String,
    version: Option<String>,
}

#[derive(Deserialize)]
struct Usage {
    input_tokens: u64,
    output_tokens: u64,
}

#[derive(Deserialize)]
struct Branch {
    call: u32,
    relation: String,
}

/// The page is not what this version reads.
#[derive(Debug, thiserror::Error)]
#[error("the page is none that this version reads; --json shows it")]
pub(super) struct Unread(#[from] serde_json::Error);

/// This page as a table, one line a session.
pub(super) fn of(page: &str, wide: bool) -> Result<String, Unread> {
    let page: Page = serde_json::from_str(page)?;
    if page.watching == Some(false) {
        return Ok(
            "Nobody watches: this perimeter runs without an interceptor that has calls read, so it knows no \
                   sessions."
                .to_owned(),
        );
    }
    if page.sessions.is_empty() {
        return Ok("No sessions so far.".to_owned());
    }
    let mut rows = vec![
        ["SESSION", "AGENT", "CALLS", "IN", "OUT", "COST", "LAST", "STATE", "MODELS", "ALSO"]
            .map(str::to_owned),
    ];
    rows.extend(page.sessions.iter().map(|session| row(session, wide)));
    let mut table = lines(&rows).join("\n");
    if page.sessions.len() < page.live {
        let count = page.sessions.len();
        table.push_str(&format!("\n\nThe latest {count} of {} sessions; --limit shows more.", page.live));
    }
    Ok(table)
}

fn row(session: &Session, wide: bool) -> [String; 10] {
    let clean = |name: &str| text::line(name, None);
    let cut = |name: &str, width| if wide { clean(name) } else { text::line(name, Some(width)) };
    let id = clean(&session.session_id);
    [
        if wide { id } else { middle_out(&id, NAME).into_owned() },
        cut(&who(session), NAME),
        session.calls.to_string(),
        measure::count(session.usage.input_tokens),
        measure::count(session.usage.output_tokens),
        cost(session),
        match session.state.as_str() {
            "answering" => "now".to_owned(),
            _ => format!("{} ago", measure::duration(Duration::from_millis(session.quiet_ms))),
        },
        cut(&session.state, NAME),
        cut(&session.models.join(", "), MODELS),
        clean(&also(session)),
    ]
}

/// The agent as it calls itself, or by its name, or the program that makes its calls; else the id of its prompt.
fn who(session: &Session) -> Cow<'_, str> {
    let agent = &session.agent;
    let program = session.client.as_ref().map(|client| match &client.version {
        Some(version) => Cow::from(format!("{} {version}", client.name)),
        None => Cow::from(&client.name),
    });
    match (&agent.name, program) {
        _ if agent.id != agent.prompt => (&agent.id).into(),
        (Some(name), Some(program)) if program.starts_with(name.as_str()) => program,
        (Some(name), _) => name.into(),
        (None, Some(program)) => program,
        (None, None) => (&agent.id).into(),
    }
}

/// What is not known is never nought.
fn cost(session: &Session) -> String {
    let picos = session.cost_usd * Usd::DOLLAR as f64;
    let dollars = measure::dollars(Usd(picos as u64));
    match session.unpriced_calls {
        0 => dollars,
        _ if session.cost_usd > 0.0 => format!("≥{dollars}"),
        _ => "unknown".to_owned(),
    }
}

/// What is no simple turn, in words: `2 sub-agents, 1 retry, 1 failed`.
fn also(session: &Session) -> String {
    let mut counts = BTreeMap::<&str, usize>::new();
    // That each session has a first call goes without saying.
    for branch in session.tree.iter().filter(|branch| branch.call > 1) {
        *counts.entry(&branch.relation).or_default() += 1;
    }
    let mut words: Vec<_> = counts
        .into_iter()
        .filter(|(relation, _)| *relation != "turn")
        .map(|(relation, count)| plural(count, relation))
        .collect();
    if session.failed > 0 {
        words.push(format!("{} failed", session.failed));
    }
    words.join(", ")
}

fn plural(count: usize, relation: &str) -> String {
    let (one, many) = match relation {
        "opening" => ("more opening", "more openings"),
        "retry" => ("retry", "retries"),
        "regenerate" => ("regenerated", "regenerated"),
        "edit" => ("edit", "edits"),
        "fork" => ("fork", "forks"),
        "compaction" => ("compaction", "compactions"),
        "truncation" => ("truncation", "truncations"),
        "sub_agent" => ("sub-agent", "sub-agents"),
        "side" => ("side call", "side calls"),
        other => (other, other),
    };
    format!("{count} {}", if count == 1 { one } else { many })
}

/// Text of at most `width` cells, its middle cut out: the beginning and the end of an id are what tells it from others.
fn middle_out(id: &str, width: usize) -> Cow<'_, str> {
    if text::cells(id) <= width {
        return id.into();
    }
    let half = (width - 1) / 2;
    let end = id
        .char_indices()
        .rev()
        .map(|(at, _)| id.get(at..).unwrap_or_default())
        .take_while(|end| text::cells(end) <= half)
        .last()
        .unwrap_or_default();
    // `line` ends in the `…`.
    format!("{}{end}", text::line(id, Some(width - text::cells(end)))).into()
}

/// Columns side by side, numbers to the right.
fn lines(rows: &[[String; 10]]) -> Vec<String> {
    let width = |column: usize| {
        let cells = rows.iter().filter_map(|row| row.get(column)).map(|cell| text::cells(cell));
        cells.max().unwrap_or_default()
    };
    let widths: Vec<usize> = (0..10).map(width).collect();
    let line = |row: &[String; 10]| {
        let cells = row.iter().zip(&widths).enumerate().map(|(column, (cell, width))| {
            let blank = " ".repeat(width - text::cells(cell));
            if matches!(column, 2..=6) { blank + cell } else { format!("{cell}{blank}") }
        });
        cells.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    };
    rows.iter().map(line).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;

    fn session(id: &str, change: Value) -> Value {
        let mut session = json!({
            "session_id": id, "told": true, "began": "2026-01-01T00:00:01.000000Z", "duration_ms": 48211.5,
            "calls": 7, "failed": 0,
            "agent": {"id": "prompt-5dbc98dcc983", "prompt": "prompt-5dbc98dcc983", "stable": "agent-1", "name": null},
            "client": null, "models": ["gpt-4.1-mini"], "usage": {"input_tokens": 61204, "output_tokens": 1830},
            "cost_usd": 0.127415, "unpriced_calls": 0, "tree": [], "state": "quiet", "quiet_ms": 12_400,
            "open_calls": 0
        });
        for (name, value) in change.as_object().unwrap() {
            session[name] = value.clone();
        }
        session
    }

    fn table(sessions: &[Value], live: usize, wide: bool) -> String {
        let page = json!({"sessions": sessions, "live": live, "shown": sessions.len(), "watching": true});
        of(&page.to_string(), wide).unwrap()
    }

    fn sessions() -> Vec<Value> {
        let tree = |relations: &[&str]| -> Vec<Value> {
            let branch = |(call, relation): (u32, &&str)| json!({"call": call, "parent": null, "relation": relation, "thread": 0});
            (1..).zip(relations).map(branch).collect()
        };
        vec![
            session(
                "1c8a3c5e-9a51-4c8b-9d0e-2f6c1f4b7d10",
                json!({
                    "agent": {"id": "prompt-1", "prompt": "prompt-1", "stable": "agent-1", "name": "Claude Code"},
                    "client": {"name": "Claude Code", "version": "2.1.50"}, "state": "answering", "failed": 1,
                    "models": ["claude-opus-4-8", "claude-haiku-4-5"], "unpriced_calls": 1,
                    "tree": tree(&["opening", "sub_agent", "side", "sub_agent", "retry"])
                }),
            ),
            session(
                "trip-to-rome",
                json!({
                    "agent": {"id": "planner", "prompt": "prompt-1", "stable": "agent-1", "name": null},
                    "client": {"name": "OpenAI Python", "version": null}, "tree": tree(&["opening", "opening", "fork", "weave"])
                }),
            ),
            session(
                "\u{1b}[31mred\u{1b}[0m\n\u{202e}",
                json!({
                    "cost_usd": 0.0, "unpriced_calls": 2, "state": "over", "quiet_ms": 125_000, "calls": 1,
                    "models": ["\u{9b}2J"], "client": {"name": "\u{7}", "version": null}
                }),
            ),
            session("日本語のとても長い名前のセッション", json!({"cost_usd": 0.0, "models": []})),
        ]
    }

    #[test]
    fn sessions_are_lines_and_nothing_in_them_moves_the_cursor() {
        insta::assert_snapshot!(table(&sessions(), 4, false));
    }

    #[test]
    fn wide_shows_whole_names() {
        insta::assert_snapshot!(table(&sessions(), 9, true));
    }

    #[test]
    fn where_there_are_none_it_says_why() {
        assert_eq!(table(&[], 0, false), "No sessions so far.");
        let unwatched = of(r#"{"sessions":[],"live":0,"shown":0,"watching":false}"#, false).unwrap();
        assert!(unwatched.starts_with("Nobody watches"), "{unwatched}");
        assert!(of(r#"{"sessions":[{}],"live":1}"#, false).is_err());
    }

    proptest! {
        #[test]
        fn any_name_stays_in_its_line_and_its_column(name in "\\PC{0,60}|(?s).{0,60}") {
            let change = json!({
                "agent": {"id": name, "prompt": "p", "stable": "s", "name": name}, "models": [name, name], "state": name,
                "tree": [{"call": 2, "relation": name}]
            });
            let table = table(&[session(&name, change)], 1, false);
            let lines: Vec<_> = table.split('\n').collect();
            prop_assert_eq!(lines.len(), 2);
            let moves = |c: char| c != '\n' && c.is_control() || matches!(c, '\u{2028}'..='\u{202e}');
            prop_assert!(!table.chars().any(moves));
            let clean = text::line(&name, None);
            let id = middle_out(&clean, NAME);
            prop_assert!(text::cells(&text::line(&id, None)) <= NAME + 8, "{:?}", id);
        }
    }
}
