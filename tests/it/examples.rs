//! The programs in `examples/` do what a third party's would: the whole command line with their own kind in it, real
//! exchanges, the settings of their own. `cargo test` builds them.

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::{Provider, Proxy, Wire, latin1};

#[expect(dead_code, reason = "its own tests run here too; its main runs as a process")]
#[path = "../../examples/own_interceptor.rs"]
mod own_interceptor;

#[expect(dead_code, reason = "its own tests run here; its main is for people")]
#[path = "../../examples/waterfall/main.rs"]
mod waterfall;

const INTERCEPTOR: &str = include_str!("../../examples/own_interceptor.rs");
const UPSTREAM: &str = include_str!("../../examples/own_upstream.rs");
const README: &str = include_str!("../../README.md");

/// The built example.
#[track_caller]
fn example(name: &str) -> PathBuf {
    let test = std::env::current_exe().unwrap();
    let program = test.parent().and_then(|deps| deps.parent()).unwrap().join("examples").join(name);
    assert!(program.exists(), "{} is not there: `cargo build --examples` makes it", program.display());
    program
}

/// Calls the example in `folder`.
fn call(name: &str, folder: &TempDir, args: &[&str]) -> Output {
    let mut command = Command::new(example(name));
    command.args(args).current_dir(folder.path()).env_clear().env("HOME", folder.path()).stdin(Stdio::null());
    command.output().unwrap()
}

fn ask(client: &mut Wire, body: &Value) -> (u16, String) {
    let body = body.to_string();
    client.send(format!(
        "POST /v1/chat/completions HTTP/1.1\r\nHost: app\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    ));
    let head = client.head();
    let body = client.body(&head);
    (head.status(), latin1(body))
}

fn question(model: &str, stream: bool) -> Value {
    json!({"model": model, "stream": stream, "messages": [
        {"role": "system", "content": "Be short."}, {"role": "user", "content": "one two  three"},
    ]})
}

fn answer(model: &str) -> String {
    let body = json!({
        "id": "c", "object": "chat.completion", "model": model,
        "choices": [{"index": 0, "message": {"role": "assistant", "content": "Hi"}, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 7, "completion_tokens": 3, "total_tokens": 10},
    })
    .to_string();
    format!(
        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
}

/// Two calls through the example as `yaml` and `args` set it up; what it leaves in `file`.
fn table_after_two_calls(yaml: &str, args: &[&str], file: &std::path::Path) -> String {
    let provider = Provider::start();
    let proxy = Proxy::to(&provider).program(example("own_interceptor")).yaml(yaml).args(args).start();
    for model in ["b", "a"] {
        let mut client = proxy.connect();
        let body = question(model, false).to_string();
        client.send(format!(
            "POST /v1/chat/completions HTTP/1.1\r\nHost: app\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        ));
        let mut upstream = provider.accept();
        let head = upstream.head();
        upstream.body(&head);
        upstream.send(answer(model));
        upstream.close();
        let head = client.head();
        client.body(&head);
    }
    proxy.stop();
    fs::read_to_string(file).unwrap()
}

#[test]
fn an_interceptor_of_ones_own_is_hired_by_the_file_that_names_it() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("table.tsv");
    let yaml = format!(
        "interceptors:\n  - type: token_table\n    config:\n      file: {}\n  - type: printer\n",
        file.display()
    );
    assert_eq!(table_after_two_calls(&yaml, &[], &file), "a\t7\t3\nb\t7\t3\n");
}

#[test]
fn an_interceptor_of_ones_own_is_hired_by_the_command_line_with_the_settings_of_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("table.tsv");
    let yaml = format!(
        "interceptors:\n  - type: token_table\n    enabled: false\n    config:\n      file: {}\n",
        file.display()
    );
    let table = table_after_two_calls(&yaml, &["--interceptors", "token_table"], &file);
    assert_eq!(table, "a\t7\t3\nb\t7\t3\n");
}

#[test]
fn the_settings_of_an_interceptor_of_ones_own_are_checked_with_their_line() {
    let folder = tempfile::tempdir().unwrap();
    let valid = "llm: {type: openai, base_url: http://h.example}\ninterceptors:\n  - type: token_table\n";
    fs::write(folder.path().join("valid.yaml"), valid).unwrap();
    let output = call("own_interceptor", &folder, &["validate-config", "valid.yaml"]);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert!(latin1(output.stdout).contains("token_table"));

    for (config, said) in [
        ("    config:\n      fiel: x\n", "wrong.yaml:5:7: interceptors[0].config.fiel: unknown key"),
        ("    config:\n      file: [1]\n", "wrong.yaml:5:13: interceptors[0].config.file: "),
    ] {
        fs::write(folder.path().join("wrong.yaml"), format!("{valid}{config}")).unwrap();
        for command in [&["validate-config", "wrong.yaml"][..], &["run", "--config", "wrong.yaml"]] {
            let output = call("own_interceptor", &folder, command);
            assert_eq!(output.status.code(), Some(2), "{output:?}");
            let stderr = latin1(output.stderr);
            assert!(stderr.contains(said), "{said:?} is not in {stderr:?}");
        }
    }
    assert!(!folder.path().join("tokens.tsv").exists(), "nothing is made by a check");
}

#[test]
fn an_interceptor_of_ones_own_that_cannot_be_made_stops_the_start() {
    let provider = Provider::start();
    let yaml = "interceptors:\n  - type: token_table\n    config:\n      file: /\n";
    let exit =
        Proxy::to(&provider).program(example("own_interceptor")).yaml(yaml).args(&["--port", "0"]).fails();
    assert_eq!(exit.code, Some(1));
    assert!(exit.stderr.contains("interceptor token_table cannot start: "), "{}", exit.stderr);
}

#[test]
fn an_upstream_of_ones_own_answers_and_is_watched_as_any_other() {
    let yaml = "interceptors:\n  - type: printer\n    config: {format: json}\n";
    let proxy = Proxy::to_url("http://echo.invalid").program(example("own_upstream")).yaml(yaml).start();
    let mut client = proxy.connect();

    let (status, body) = ask(&mut client, &question("whole", false));
    let body: Value = serde_json::from_str(&body).unwrap();
    assert_eq!((status, &body["choices"][0]["message"]["content"]), (200, &json!("one two  three")));

    let (status, stream) = ask(&mut client, &question("streamed", true));
    assert_eq!(status, 200);
    let events: Vec<&str> = stream.split_terminator("\n\n").map(|event| &event["data: ".len()..]).collect();
    let said = events.iter().filter_map(|event| serde_json::from_str::<Value>(event).ok());
    let said: String =
        said.filter_map(|event| Some(event["choices"][0]["delta"]["content"].as_str()?.to_owned())).collect();
    assert_eq!((&*said, events.last()), ("one two  three", Some(&"[DONE]")));

    // What it fails with is told in the provider's own form.
    client.send("POST /v1/chat/completions HTTP/1.1\r\nHost: app\r\nContent-Length: 2\r\n\r\n{]");
    let head = client.head();
    assert_eq!((head.status(), head.value("x-perimeter-error")), (502, Some("upstream_failed")));
    client.body(&head);
    client.close();

    let printed = proxy.stop_and_tell();
    let lines: Vec<Value> = printed.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.len(), 3, "{printed}");
    for (line, model) in lines.iter().zip(["whole", "streamed"]) {
        let line = line.to_string();
        assert!(line.contains(model) && line.contains("one two  three"), "{line}");
    }
}

#[test]
fn what_the_readme_shows_of_rust_is_a_part_of_an_example() {
    for block in README.split("```rust\n").skip(1) {
        let code = block.split("```").next().unwrap();
        assert!(INTERCEPTOR.contains(code) || UPSTREAM.contains(code), "no example has this:\n{code}");
    }
}
