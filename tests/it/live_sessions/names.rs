//! Sessions by names that nobody should call them: they are shown and kept, and do no harm.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use super::{answer, command};
use crate::support::{Provider, Proxy};

const SECRET: &str = "sk-proj-abcdefghijklmnopqrstuvwxyz0123456789ABCDEF";

fn recording(folder: &Path) -> String {
    let folder = folder.display();
    format!(
        "interceptors:\n- type: printer\n- {{type: message_logger, config: {{directory: {folder}/log}}}}\n\
         - {{type: event_recorder, config: {{output_dir: {folder}/events}}}}\n\
         - {{type: session_detector, config: {{directory: {folder}/index}}}}\n"
    )
}

/// A call with these fields and this in its body, answered.
fn call(provider: &Provider, proxy: &Proxy, path: &str, fields: &str, more: &Value) {
    let mut body = json!({"model": "m", "messages": [{"role": "user", "content": "Hello"}]});
    body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    let body = body.to_string();
    let mut client = proxy.connect();
    client.send(format!(
        "POST {path} HTTP/1.1\r\nHost: app\r\nContent-Type: application/json\r\n{fields}Content-Length: {}\r\n\r\n{body}",
        body.len()
    ));
    let mut upstream = provider.accept();
    let head = upstream.head();
    upstream.body(&head);
    answer((client, upstream));
}

/// The paths below `folder`, and what is in its files.
fn files(folder: &Path) -> Vec<(String, String)> {
    let mut all = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            all.extend(files(&path));
        } else {
            let text = String::from_utf8_lossy(&fs::read(&path).unwrap()).into_owned();
            all.push((path.display().to_string(), text));
        }
    }
    all
}

#[test]
fn a_key_that_names_a_session_an_agent_a_tag_or_a_workflow_comes_to_rest_nowhere() {
    let folder = tempfile::tempdir().unwrap();
    let provider = Provider::start();
    let yaml = recording(folder.path()) + "session: {headers: [x-mine]}\n";
    let proxy = Proxy::to(&provider).yaml(&yaml).start();
    let chat = "/v1/chat/completions";
    let names =
        ["x-perimeter-session-id", "x-cylestio-conversation-id", "x-session-id", "session_id", "x-mine"];
    for name in names.into_iter().chain(["x-perimeter-agent-id", "x-claude-code-agent-id"]) {
        call(&provider, &proxy, chat, &format!("{name}: {SECRET}\r\n"), &json!({}));
    }
    call(&provider, &proxy, chat, &format!("x-perimeter-tags: key:{SECRET},{SECRET}\r\n"), &json!({}));
    call(&provider, &proxy, &format!("/agent-workflow/{SECRET}{chat}"), "", &json!({}));
    call(&provider, &proxy, chat, "", &json!({"metadata": {"session_id": SECRET}}));
    call(&provider, &proxy, "/v1/responses", "", &json!({"conversation": SECRET, "input": "Hello"}));
    let calls = names.len() + 6;
    proxy.wait_for_metric("perimeter_exchanges_total{status=\"2xx\",outcome=\"complete\"}", calls as f64);
    let url = format!("http://{}", proxy.admin_address());
    // One session by the key itself; the agents, the tags and the workflow are of others.
    let table = command::shown(&["--url", &url], |table| table.contains("\nsk-proj-[REDACTED]  "));
    let pages = ["/sessions", "/metrics", "/config"].map(|page| (page.to_owned(), proxy.admin(page).body));
    let log = proxy.stderr();
    let printed = proxy.stop_and_tell();
    let kept = files(folder.path());
    for part in ["log/message_log.jsonl", "index/sessions.jsonl", "events/session_"] {
        let of = |(path, text): &(String, String)| path.contains(part) && text.contains("[REDACTED]");
        assert!(kept.iter().any(of), "{part}");
    }
    let said = [("table", table), ("log", log), ("printed", printed)];
    let said = said.into_iter().map(|(place, text)| (place.to_owned(), text));
    for (place, text) in said.chain(pages).chain(kept) {
        assert!(!text.contains("abcdefghijkl") && !place.contains("abcdefghijkl"), "{place}: {text}");
    }
}

#[test]
fn no_name_leads_out_of_the_folder_of_the_files() {
    let folder = tempfile::tempdir().unwrap();
    let records = folder.path().join("a/b/records");
    let provider = Provider::start();
    let proxy = Proxy::to(&provider).yaml(&recording(&records)).start();
    let names =
        ["../../out", "/tmp/../out", "..", ".", "a/../../../out", "..\\..\\out", "%2e%2e/out", "\u{202e}tuo"];
    for name in names {
        call(&provider, &proxy, "/v1/chat/completions", &format!("x-session-id: {name}\r\n"), &json!({}));
    }
    proxy.stop();
    let files = files(folder.path());
    let events = records.join("events").display().to_string();
    let (events, others): (Vec<_>, Vec<_>) = files.iter().partition(|(path, _)| path.starts_with(&events));
    assert_eq!((events.len(), others.len()), (names.len(), 2), "{files:#?}");
    assert!(others.iter().all(|(path, _)| path.starts_with(&records.display().to_string())));
    let told = |name: &&str| events.iter().any(|(_, text)| text.contains(&json!(name).to_string()));
    assert!(names.iter().all(told), "{events:#?}");
}
