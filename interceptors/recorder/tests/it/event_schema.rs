//! `docs/events.md` against what is really written: its tables name every attribute and no other, and its examples
//! are events of the exchanges in `events::script`.
//!
//! `UPDATE_SNAPSHOTS=1` writes the examples anew.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::time::Duration;

use perimeter_interceptor::SessionEnd;
use perimeter_interceptor::testing::{Script, play, scenes};
use perimeter_recorder::EventRecorder;
use perimeter_recorder::event_recorder::{FileFormat, Settings};
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

use crate::events::script;

/// What only this machine says, and what the document says instead.
const MACHINE: [(&str, &str); 4] = [
    ("os.type", "Linux"),
    ("os.version", "6.12.0"),
    ("env.machine.type", "x86_64"),
    ("host.name", "workstation"),
];

const EVENTS: [&str; 7] = [
    "session.start",
    "llm.call.start",
    "llm.call.finish",
    "llm.call.error",
    "tool.execution",
    "tool.result",
    "session.end",
];

fn document_path() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../docs/events.md")
}

/// Everything that can be said is said here.
fn exchanges() -> Script {
    let session = "release-notes";
    let end = || SessionEnd::new(session, 2, Duration::from_millis(1_006));
    Script::new()
        .scene(script::ask_for_the_weather(session))
        .scene(script::bring_the_weather(session))
        .session_end(end())
        .scene(script::overloaded(session))
        .session_end(end())
        .scene(script::hosted_search("search"))
        .scene(script::refused("refusal"))
        .scene(script::fetched_again("background"))
        .scene(script::embeddings())
        .scene(scenes::truncated_request())
        .scene(scenes::truncated_response())
        .scene(scenes::unreachable())
}

/// The events as they stand in files, indented.
fn written() -> Vec<String> {
    #[derive(Deserialize)]
    struct Document<'a> {
        #[serde(borrow)]
        events: Vec<&'a RawValue>,
    }
    let folder = tempfile::tempdir().unwrap();
    let settings = Settings {
        output_dir: folder.path().to_owned(),
        file_format: FileFormat::Json,
        pretty_print: true,
        ..Settings::default()
    };
    play(EventRecorder::new(settings).unwrap(), exchanges()).assert_faultless();
    let mut events = Vec::new();
    for entry in std::fs::read_dir(folder.path()).unwrap() {
        let text = std::fs::read_to_string(entry.unwrap().path()).unwrap();
        let document: Document<'_> = serde_json::from_str(&text).unwrap();
        events.extend(document.events.iter().map(|event| event.get().replace("\n    ", "\n")));
    }
    events.sort_by_key(|event| {
        let event = json(event);
        (event["timestamp"].to_string(), event["span_id"].to_string())
    });
    events
}

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

/// A table's names and types.
type Table = BTreeMap<String, String>;

/// The tables of the document, by the heading that they stand under.
fn tables(document: &str) -> BTreeMap<String, Table> {
    let mut tables = BTreeMap::<_, Table>::new();
    let mut heading = String::new();
    for line in document.lines() {
        if let Some(title) = line.strip_prefix("## ") {
            heading = title.trim_matches('`').to_owned();
        }
        let cells: Vec<_> = line.split('|').map(str::trim).collect();
        if let ["", name, kind, since, what, ""] = cells[..]
            && let Some(name) = name.strip_prefix('`').and_then(|name| name.strip_suffix('`'))
        {
            assert!(["1.0", "1.1", "1.2", "1.3"].contains(&since) && !what.is_empty(), "{line}");
            let table = tables.entry(heading.clone()).or_default();
            assert_eq!(table.insert(name.to_owned(), kind.to_owned()), None, "{line}");
        }
    }
    tables
}

fn is(value: &Value, kind: &str) -> bool {
    match kind {
        "string" => value.is_string(),
        "string or null" => value.is_string() || value.is_null(),
        "integer" => value.is_u64(),
        "number" => value.is_number(),
        "boolean" => value.is_boolean(),
        "object" => value.is_object(),
        "list" => value.is_array(),
        "list of objects" => value.as_array().is_some_and(|list| list.iter().all(Value::is_object)),
        "list of strings" => value.as_array().is_some_and(|list| list.iter().all(Value::is_string)),
        "JSON" => true,
        _ => panic!("no such type: {kind}"),
    }
}

fn assert_types(event: &Value, members: &Value, allowed: &Table) {
    for (name, value) in members.as_object().unwrap() {
        let kind = allowed.get(name).unwrap_or_else(|| panic!("{name} is in no table: {event:#}"));
        assert!(is(value, kind), "{name} is no {kind}: {event:#}");
    }
}

#[test]
fn the_document_names_every_attribute_with_its_type_and_no_other() {
    let document = std::fs::read_to_string(document_path()).unwrap();
    let tables = tables(&document);
    let mut seen = BTreeMap::<&str, BTreeSet<String>>::new();
    let events: Vec<_> = written().iter().map(|event| json(event)).collect();
    for event in &events {
        assert_types(event, event, &tables["The envelope"]);
        assert_eq!(event.as_object().unwrap().len(), tables["The envelope"].len());
        let name = event["name"].as_str().unwrap();
        let mut parts = vec!["Every event", name];
        if ["llm.call.finish", "llm.call.error"].contains(&name) {
            parts.push("What an answer says");
        }
        let allowed = parts.iter().flat_map(|part| tables[*part].clone()).collect();
        assert_types(event, &event["attributes"], &allowed);
        for part in parts {
            let names = event["attributes"].as_object().unwrap().keys();
            seen.entry(part)
                .or_default()
                .extend(names.filter(|name| tables[part].contains_key(*name)).cloned());
        }
    }
    for (part, names) in seen {
        let documented: BTreeSet<_> = tables[part].keys().cloned().collect();
        assert_eq!(documented, names, "{part}: what is documented, and what there is");
    }
    let sections: BTreeSet<_> = tables.keys().map(String::as_str).collect();
    assert!(EVENTS.iter().all(|name| sections.contains(name)), "{sections:?}");
}

#[test]
fn the_examples_in_the_document_are_real() {
    let document = std::fs::read_to_string(document_path()).unwrap();
    let events = written();
    let mut expected = String::new();
    let mut example: Option<String> = None;
    let mut inside = false;
    for line in document.lines() {
        if let Some(name) = line.strip_prefix("## `").and_then(|rest| rest.strip_suffix('`')) {
            example = Some(example_of(name, &events));
        }
        if !inside {
            expected.push_str(line);
            expected.push('\n');
        }
        if line == "```json" {
            expected.push_str(&example.take().unwrap());
            expected.push('\n');
            inside = true;
        } else if line == "```" && inside {
            expected.push_str("```\n");
            inside = false;
        }
    }
    if std::env::var_os("UPDATE_SNAPSHOTS").is_some() {
        std::fs::write(document_path(), expected).unwrap();
        return;
    }
    assert_eq!(document, expected);
    assert_eq!(document.matches("\n```json\n").count(), EVENTS.len());
}

/// The first event of this name, on a machine that is nobody's.
fn example_of(name: &str, events: &[String]) -> String {
    let event = events.iter().find(|event| json(event)["name"] == name).unwrap();
    let lines = event.lines().map(|line| {
        let theirs = MACHINE.iter().find(|(name, _)| line.trim_start().starts_with(&format!("\"{name}\": ")));
        match theirs {
            Some((name, value)) => {
                let comma = if line.ends_with(',') { "," } else { "" };
                format!("    \"{name}\": \"{value}\"{comma}")
            }
            None => line.to_owned(),
        }
    });
    lines.collect::<Vec<_>>().join("\n")
}
