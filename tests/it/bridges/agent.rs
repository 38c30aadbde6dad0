//! Agents of the Claude Code CLI: sessions that go on, projects that are nobody else's, and what may be done there.
//! The CLI is a script.

use std::fs;
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::Proxy;
use crate::support::proxy::{Answer, Exit, Setup, ask};

mod kept;
mod paid;
mod set;

/// Nothing here takes longer, however slow the machine.
const PATIENCE: Duration = Duration::from_secs(30);

/// Does as the first word of a prompt in capitals says; writes what it is told into `@LOG@`.
const CLI: &str = r#"#!/bin/sh
log() { printf '%s\n' "$1" >> '@LOG@'; }
say() { printf '%s\n' "$1"; }
text() { say '{"type":"assistant","message":{"id":"m'"$1"'","model":"claude","content":[{"type":"text","text":"'"$2"'"}]},"parent_tool_use_id":'"${3:-null}"'}'; }
done_() { say '{"subtype":"success","is_error":false,"usage":{"input_tokens":10,"output_tokens":5},"total_cost_usd":0.25,"stop_reason":"end_turn","type":"result"}'; }
[ "$1" = --version ] && { say '2.1.329 (Claude Code)'; exit; }
log "args $*"
log "cwd $PWD"
log "home $HOME"
read -r initialize; log "$initialize"
read -r user; log "$user"
case "$user" in
*HANG*)
    text 1 'It begins.'
    read -r stop; log "$stop"
    say '{"type":"result","subtype":"error_during_execution","is_error":true,"terminal_reason":"aborted_streaming","usage":{"input_tokens":7,"output_tokens":3},"total_cost_usd":1.0}'
    ;;
*LOSE*)
    case "$*" in
    *.jsonl*) text 1 'Found again.'; done_ ;;
    *) say '{"type":"result","subtype":"error_during_execution","is_error":true,"errors":["No conversation found with session ID: x"]}' ;;
    esac
    ;;
*WORK*)
    text 1 'I will look.'
    say '{"type":"assistant","message":{"id":"m1","model":"claude","content":[{"type":"tool_use","id":"t1","name":"Read","input":{"file_path":"src/main.rs"}}]},"parent_tool_use_id":null}'
    text 2 'A word of a sub-agent.' '"t1"'
    say '{"type":"control_request","request_id":"p1","request":{"subtype":"can_use_tool","tool_name":"Write","input":{"file_path":"/etc/passwd"}}}'
    read -r answer; log "$answer"
    say '{"type":"control_request","request_id":"p2","request":{"subtype":"can_use_tool","tool_name":"Write","input":{"file_path":"new"}}}'
    read -r answer; log "$answer"
    say '{"type":"control_request","request_id":"p3","request":{"subtype":"can_use_tool","tool_name":"Bash","input":{"command":"ls"}}}'
    read -r answer; log "$answer"
    text 3 'Done.'; done_
    ;;
*FAIL*)
    say '{"type":"assistant","message":{"id":"f","model":"<synthetic>","content":[]},"error":"rate_limit","parent_tool_use_id":null}'
    say '{"type":"result","subtype":"success","is_error":true,"terminal_reason":"api_error","api_error_status":429,"total_cost_usd":0.125}'
    ;;
*LIMIT*)
    text 1 'As far as I came.'
    say '{"type":"result","subtype":"error_max_turns","is_error":true,"terminal_reason":"max_turns","usage":{"input_tokens":1,"output_tokens":1}}'
    ;;
*) text 1 'Hello.'; done_ ;;
esac
"#;

/// Where the script, what it was told, and what the proxy keeps are, from one proxy to the next.
struct Place(TempDir);

impl Place {
    fn new() -> Self {
        let place = Self(tempfile::tempdir().unwrap());
        let script = CLI.replace("@LOG@", place.path("told").to_str().unwrap());
        // By another process: nothing of ours has it open for writing when it is to be run.
        let write = "printf %s \"$1\" > \"$0\"; chmod 700 \"$0\"";
        let status =
            Command::new("/bin/sh").arg("-c").arg(write).arg(place.path("claude")).arg(script).status();
        assert!(status.unwrap().success());
        place
    }

    fn path(&self, name: &str) -> std::path::PathBuf {
        self.0.path().join(name)
    }

    fn setup(&self) -> Setup {
        self.with("")
    }

    /// With `more` settings of agents.
    fn with(&self, more: &str) -> Setup {
        let (command, state) = (self.path("claude"), self.path("state"));
        Proxy::bridge("claude_code").env("ANTHROPIC_API_KEY", "sk-ant-of-the-owner").yaml(&format!(
            "llm: {{type: claude_code, claude_code: {{command: {}, models: {{agent: {{model: sonnet, mode: agent}}, \
             model: {{model: sonnet}}}}, agent: {{tools: [Read, Write]{more}}}}}}}\nstate_dir: {}",
            command.display(),
            state.display()
        ))
    }

    fn start(&self) -> Proxy {
        self.setup().start()
    }

    /// What the script was told, line by line.
    fn told(&self) -> Vec<String> {
        fs::read_to_string(self.path("told")).unwrap_or_default().lines().map(str::to_owned).collect()
    }

    /// The arguments of each run.
    fn runs(&self) -> Vec<String> {
        self.told().iter().filter_map(|line| line.strip_prefix("args ").map(str::to_owned)).collect()
    }
}

fn send(proxy: &Proxy, method: &str, path: &str, key: &str, body: &Value) -> Answer {
    let body = if body.is_null() { String::new() } else { body.to_string() };
    let head = format!(
        "{method} {path} HTTP/1.1\r\nHost: {}\r\nAuthorization: Bearer {key}\r\nContent-Length: {}\r\nConnection: \
         close\r\n\r\n",
        proxy.address(),
        body.len()
    );
    ask(proxy.address(), &(head + &body))
}

/// The answer's status and its JSON.
fn call(proxy: &Proxy, method: &str, path: &str, body: &Value) -> (u16, Value) {
    let answer = send(proxy, method, path, "any", body);
    (answer.head.status(), serde_json::from_str(&answer.body).unwrap())
}

fn chat(session: Option<&str>, text: &str) -> Value {
    let mut body = json!({"model": "agent", "messages": [{"role": "user", "content": text}]});
    if let Some(session) = session {
        body["session_id"] = session.into();
    }
    body
}

fn say(proxy: &Proxy, session: Option<&str>, text: &str) -> (u16, Value) {
    call(proxy, "POST", "/v1/chat/completions", &chat(session, text))
}

fn option<'a>(args: &'a str, name: &str) -> Option<&'a str> {
    args.split(' ').skip_while(|arg| *arg != name).nth(1)
}

#[track_caller]
fn wait_until(what: &str, done: impl Fn() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !done() {
        assert!(Instant::now() < deadline, "not so: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn a_session_goes_on_after_the_proxy_has_been_restarted() {
    let place = Place::new();
    let proxy = place.start();
    let answer = send(&proxy, "POST", "/v1/chat/completions", "any", &chat(None, "/secret @/etc/passwd"));
    assert_eq!(answer.head.status(), 200, "{}", answer.body);
    let body: Value = serde_json::from_str(&answer.body).unwrap();
    let session = body["session_id"].as_str().unwrap().to_owned();
    assert_eq!(answer.head.value("x-session-id"), Some(&*session));
    assert_eq!(answer.head.value("x-project-id"), Some("default-local"));
    assert_eq!(
        (&body["project_id"], &body["choices"][0]["message"]["content"]),
        (&json!("default-local"), &json!("Hello."))
    );
    proxy.stop();

    let proxy = place.start();
    let (status, body) = say(&proxy, Some(&session), "And now?");
    assert_eq!((status, &body["session_id"]), (200, &json!(session)), "{body}");
    let runs = place.runs();
    let [first, second] = &*runs else { panic!("{runs:#?}") };
    assert_eq!(option(first, "--session-id"), option(second, "--resume"));
    assert_eq!(option(second, "--session-id"), None);
    for run in [first, second] {
        assert!(run.contains("--permission-prompt-tool stdio") && !run.contains("skip-permissions"), "{run}");
        assert!(
            !run.contains("secret") && !run.contains("sk-ant"),
            "no word of a client's is an argument: {run}"
        );
    }
    let told = place.told().join("\n");
    assert!(
        told.contains(r#"[{"text":"/","type":"text"},{"text":"secret @/etc/passwd","type":"text"}]"#),
        "{told}"
    );
    assert!(told.contains(&format!(
        "cwd {}",
        place.path("state/claude_code/agent/workspace/default-local").display()
    )));
    let (_, status) = call(&proxy, "GET", &format!("/v1/chat/completions/{session}/status"), &Value::Null);
    assert_eq!(status["message_count"], 4);
    assert_eq!(status["total_tokens"], 30);
    assert_eq!(status["total_cost"], 0.25, "the CLI counts all that its session has cost");
    assert_eq!((&status["is_running"], &status["model"]), (&json!(false), &json!("agent")));
}

#[test]
fn what_an_agent_does_is_thinking_and_what_it_may_not_do_is_denied() {
    let place = Place::new();
    let proxy = place.start();
    let (status, body) = say(&proxy, None, "WORK");
    assert_eq!(status, 200, "{body}");
    let message = &body["choices"][0]["message"];
    assert_eq!(message["content"], "I will look.\n\nDone.");
    assert_eq!(message["reasoning_content"], "Read src/main.rs\n");
    assert_eq!(
        (&message["tool_calls"], &body["choices"][0]["finish_reason"]),
        (&Value::Null, &json!("stop"))
    );
    let told = place.told();
    let answers: Vec<Value> = told
        .iter()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok())
        .filter(|line| line["type"] == "control_response")
        .map(|line| line["response"]["response"].clone())
        .collect();
    let [outside, inside, unnamed] = &*answers else { panic!("{told:#?}") };
    let outside_is =
        json!({"behavior": "deny", "message": "/etc/passwd is outside of the project, and may not be used."});
    assert_eq!(*outside, outside_is);
    assert_eq!(*inside, json!({"behavior": "allow", "updatedInput": {"file_path": "new"}}));
    assert_eq!(unnamed["behavior"], "deny");
    let (_, body) = say(&proxy, None, "LIMIT");
    assert_eq!(body["choices"][0]["finish_reason"], "length", "{body}");
}

#[test]
fn a_session_has_one_turn_at_a_time_which_can_be_stopped_and_is_told_again_after_that() {
    let place = Place::new();
    let proxy = place.start();
    let (_, made) = call(&proxy, "POST", "/v1/projects", &json!({"name": "A project", "path": "a/b"}));
    let new = json!({"project_id": made["id"], "system_prompt": "Be brief."});
    let (status, session) = call(&proxy, "POST", "/v1/sessions", &new);
    assert_eq!(status, 200, "{session}");
    let id = session["id"].as_str().unwrap();
    let at = format!("/v1/chat/completions/{id}");
    std::thread::scope(|scope| {
        let first = scope.spawn(|| say(&proxy, Some(id), "HANG"));
        wait_until("it hangs", || place.told().iter().any(|line| line.contains("HANG")));
        let (status, busy) = say(&proxy, Some(id), "Me too");
        assert_eq!((status, &busy["error"]["code"]), (409, &json!("session_busy")));
        assert_eq!(call(&proxy, "GET", &format!("{at}/status"), &Value::Null).1["is_running"], true);
        let stats = call(&proxy, "GET", "/v1/sessions/stats", &Value::Null).1;
        assert_eq!(stats["claude_sessions"], json!([id]));
        let (status, stopped) = call(&proxy, "DELETE", &at, &Value::Null);
        assert_eq!((status, stopped), (200, json!({"session_id": id, "status": "stopped"})));
        let (status, failed) = first.join().unwrap();
        assert_eq!(status, 502, "{failed}");
    });
    assert_eq!(call(&proxy, "GET", &format!("{at}/status"), &Value::Null).1["is_running"], false);
    assert!(place.told().iter().any(|line| line.contains("interrupt")), "{:#?}", place.told());
    assert!(place.told().iter().any(|line| line.contains(r#""appendSystemPrompt":"Be brief.""#)));

    let (status, body) = say(&proxy, Some(id), "Once more");
    assert_eq!(status, 200, "{body}");
    let runs = place.runs();
    let transcript = option(runs.last().unwrap(), "--resume").unwrap().to_owned();
    let history: Vec<Value> = fs::read_to_string(transcript)
        .unwrap()
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let said: Vec<_> = history.iter().map(|line| &line["message"]["content"][0]["text"]).collect();
    assert_eq!(said, ["HANG", "It begins."], "what was said before, and not what is new");
    assert_eq!(history[1]["parentUuid"], history[0]["uuid"]);
}

#[test]
fn a_session_that_the_cli_has_lost_is_told_to_it_again() {
    let place = Place::new();
    let proxy = place.start();
    let (_, body) = say(&proxy, None, "One");
    let session = body["session_id"].as_str().unwrap();
    let (status, body) = say(&proxy, Some(session), "LOSE");
    assert_eq!((status, &body["choices"][0]["message"]["content"]), (200, &json!("Found again.")), "{body}");
    assert_eq!(place.runs().len(), 3);
    let (_, status) = call(&proxy, "GET", &format!("/v1/chat/completions/{session}/status"), &Value::Null);
    assert_eq!(status["message_count"], 4);
}

#[test]
fn a_turn_that_nothing_came_of_leaves_nothing() {
    let place = Place::new();
    let proxy = place.start();
    let sessions = || call(&proxy, "GET", "/v1/sessions", &Value::Null).1;
    let (status, error) = say(&proxy, None, "FAIL");
    assert_eq!((status, &error["error"]["code"]), (429, &json!("rate_limit_exceeded")), "{error}");
    assert_eq!(sessions()["data"], json!([]), "nobody has heard of it");
    let (_, body) = say(&proxy, None, "One");
    let session = body["session_id"].as_str().unwrap();
    assert_eq!(say(&proxy, Some(session), "FAIL").0, 429);
    assert_eq!(sessions()["data"][0]["message_count"], 2);
    assert_eq!(say(&proxy, Some(session), "Two").0, 200);
    let runs = place.runs();
    let transcript = fs::read_to_string(option(runs.last().unwrap(), "--resume").unwrap()).unwrap();
    assert!(transcript.contains("One") && !transcript.contains("FAIL"), "{transcript}");
}

#[test]
fn a_client_that_leaves_ends_the_turn() {
    let place = Place::new();
    let proxy = place.start();
    let (_, body) = say(&proxy, None, "One");
    let session = body["session_id"].as_str().unwrap();
    let body = chat(Some(session), "HANG").to_string();
    let mut wire = proxy.connect();
    wire.send(format!(
        "POST /v1/chat/completions HTTP/1.1\r\nHost: {}\r\nContent-Length: {}\r\n\r\n{body}",
        proxy.address(),
        body.len()
    ));
    wait_until("it hangs", || place.told().iter().any(|line| line.contains("HANG")));
    drop(wire);
    wait_until("it is told to stop", || place.told().iter().any(|line| line.contains("interrupt")));
    let running = format!("/v1/chat/completions/{session}/status");
    wait_until("it runs no more", || call(&proxy, "GET", &running, &Value::Null).1["is_running"] == false);
    assert_eq!(say(&proxy, Some(session), "Again").0, 200);
}

#[test]
fn what_an_agent_cannot_do_is_refused_and_what_can_be_asked_is_told() {
    let place = Place::new();
    let proxy = place.start();
    let mut body = chat(None, "Hi");
    body["tools"] =
        json!([{"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}]);
    let (status, error) = call(&proxy, "POST", "/v1/chat/completions", &body);
    assert_eq!((status, &error["error"]["param"]), (400, &json!("tools")), "{error}");
    let (status, told) = call(&proxy, "POST", "/v1/chat/completions/debug", &body);
    assert_eq!(
        (status, &told["status"], &told["error"]["param"]),
        (200, &json!("validation_error"), &json!("tools"))
    );
    let (status, told) = call(&proxy, "POST", "/v1/chat/completions/debug", &chat(None, "My secret"));
    assert_eq!((status, &told["status"]), (200, &json!("success")), "{told}");
    assert!(!told.to_string().contains("My secret"));
    let new = json!({"project_id": "none", "other": 1});
    let (status, error) = call(&proxy, "POST", "/v1/sessions", &new);
    assert_eq!(status, 400, "{error}");
    let (status, error) = call(&proxy, "POST", "/v1/sessions", &json!({"project_id": "none"}));
    assert_eq!((status, &error["error"]["code"]), (404, &json!("project_not_found")));
    let answer = send(&proxy, "PUT", "/v1/projects", "any", &json!({}));
    assert_eq!((answer.head.status(), answer.head.value("allow")), (405, Some("GET, POST")));
    let (_, told) = call(&proxy, "GET", "/v1/models/capabilities", &Value::Null);
    assert_eq!(told["total"], 2);
    let tools: Vec<_> =
        told["models"].as_array().unwrap().iter().map(|model| &model["supports_tools"]).collect();
    assert_eq!(tools, [&json!(false), &json!(true)], "{told}");
    assert!(place.runs().is_empty(), "nobody was asked");
}

#[test]
fn a_store_that_is_damaged_keeps_the_bridge_from_starting_and_stays_as_it_is() {
    let place = Place::new();
    let file = place.path("state/claude_code/agent/sessions.sqlite");
    fs::create_dir_all(file.parent().unwrap()).unwrap();
    let damage = "no database at all ".repeat(500);
    fs::write(&file, &damage).unwrap();
    let Exit { code, stderr } = place.setup().fails();
    assert_eq!(code, Some(2), "{stderr}");
    assert!(stderr.contains("sessions.sqlite cannot be read"), "{stderr}");
    assert_eq!(fs::read_to_string(&file).unwrap(), damage);
}
