//! The real Claude Code CLI as an agent behind the bridge, asking a scripted Anthropic API: its sessions go on, its
//! tools run in the project and nowhere else, and what is stopped has stopped.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;
use std::time::Duration;

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::process::{ANTHROPIC_KEY, installed};

/// Nothing here takes longer, however slow the machine.
const PATIENCE: Duration = Duration::from_secs(90);

/// Anthropic's API, which asks for a tool where the user says `USE name {input}.`, never ends where the user says
/// `HANG`, and says how many messages there were otherwise.
struct Api {
    address: SocketAddr,
    seen: Arc<Seen>,
}

#[derive(Default)]
struct Seen {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    /// The messages of each request.
    asked: Vec<Value>,
    /// Streams whose client has left.
    left: usize,
}

impl Api {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let (address, seen) = (listener.local_addr().unwrap(), Arc::<Seen>::default());
        let shared = Arc::clone(&seen);
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let seen = Arc::clone(&shared);
                // A client may leave at any point.
                thread::spawn(move || converse(stream, &seen));
            }
        });
        Self { address, seen }
    }

    #[track_caller]
    fn wait(&self, what: &str, reached: impl Fn(&State) -> bool) {
        let state = self.seen.state.lock().unwrap();
        let waited = self.seen.changed.wait_timeout_while(state, PATIENCE, |state| !reached(state)).unwrap();
        assert!(!waited.1.timed_out(), "waited in vain: {what}");
    }

    /// The messages of the last request, each as its role and its text.
    fn last(&self) -> Vec<(String, String)> {
        let state = self.seen.state.lock().unwrap();
        let messages = state.asked.last().unwrap().as_array().unwrap();
        let said =
            |message: &Value| (message["role"].as_str().unwrap().to_owned(), words(&message["content"]));
        messages.iter().map(said).filter(|(role, _)| role != "system").collect()
    }
}

fn words(content: &Value) -> String {
    let Value::Array(blocks) = content else { return content.as_str().unwrap_or_default().to_owned() };
    let word = |block: &Value| match block["type"].as_str() {
        Some("tool_result") => format!("[result: {}]", words(&block["content"])),
        Some("tool_use") => format!("[{}]", block["name"].as_str().unwrap_or_default()),
        _ => block["text"].as_str().unwrap_or_default().to_owned(),
    };
    blocks.iter().map(word).collect()
}

fn converse(stream: TcpStream, seen: &Seen) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream.try_clone()?);
    let mut stream = stream;
    let (mut head, mut length) = (String::new(), 0);
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line)? == 0 {
            return Ok(());
        }
        if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse().unwrap();
        }
        head.push_str(&line);
        if line == "\r\n" {
            break;
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    if !head.starts_with("POST /v1/messages?") {
        return stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
    }
    let body: Value = serde_json::from_slice(&body).unwrap();
    let messages = body["messages"].clone();
    let number = {
        let mut state = seen.state.lock().unwrap();
        state.asked.push(messages.clone());
        state.asked.len()
    };
    seen.changed.notify_all();
    let (blocks, hangs) = answer(&messages, number);
    stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n")?;
    let tail = if hangs { 2 } else { 0 };
    let events = events(&body["model"], number, &blocks);
    for event in &events[..events.len() - tail] {
        let kind = event["type"].as_str().unwrap();
        stream.write_all(format!("event: {kind}\ndata: {event}\n\n").as_bytes())?;
    }
    if hangs {
        // Nothing more comes from the client but its leaving.
        let _ = reader.read(&mut [0]);
        seen.state.lock().unwrap().left += 1;
        seen.changed.notify_all();
    }
    Ok(())
}

fn answer(messages: &Value, number: usize) -> (Vec<Value>, bool) {
    let mut users = messages.as_array().unwrap().iter().filter(|message| message["role"] == "user");
    let last = &users.next_back().unwrap()["content"];
    let said = words(last);
    let said = said.rsplit("[result").next().unwrap_or_default();
    if words(last).starts_with("[result") {
        return (vec![json!({"type": "text", "text": "Done."})], false);
    }
    match said.split_once("USE ").and_then(|(_, rest)| rest.split_once(' ')) {
        Some((name, rest)) => {
            let input: Value = serde_json::from_str(rest.trim_end_matches('.')).unwrap();
            let id = format!("toolu_{number}");
            (vec![json!({"type": "tool_use", "id": id, "name": name, "input": input})], false)
        }
        None => {
            let text = format!("Answer {number}.");
            (vec![json!({"type": "text", "text": text})], said.contains("HANG"))
        }
    }
}

fn events(model: &Value, number: usize, blocks: &[Value]) -> Vec<Value> {
    let usage = json!({"input_tokens": 10, "output_tokens": 1});
    let mut events = vec![json!({"type": "message_start", "message": {
        "id": format!("msg_{number}"), "type": "message", "role": "assistant", "model": model, "content": [],
        "stop_reason": null, "stop_sequence": null, "usage": usage,
    }})];
    for (index, block) in blocks.iter().enumerate() {
        let mut begun = block.clone();
        let delta = if block["type"] == "text" {
            begun["text"] = "".into();
            json!({"type": "text_delta", "text": block["text"]})
        } else {
            begun["input"] = json!({});
            json!({"type": "input_json_delta", "partial_json": block["input"].to_string()})
        };
        events.push(json!({"type": "content_block_start", "index": index, "content_block": begun}));
        events.push(json!({"type": "content_block_delta", "index": index, "delta": delta}));
        events.push(json!({"type": "content_block_stop", "index": index}));
    }
    let reason = if blocks[0]["type"] == "text" { "end_turn" } else { "tool_use" };
    let delta = json!({"stop_reason": reason, "stop_sequence": null});
    events.push(json!({"type": "message_delta", "delta": delta, "usage": {"output_tokens": 5}}));
    events.push(json!({"type": "message_stop"}));
    events
}

/// What the proxy keeps, from one run of it to the next.
struct Place(TempDir);

impl Place {
    fn new(api: &Api) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let config = format!(
            "llm:\n  type: claude_code\n  base_url: http://{}\n  claude_code:\n    command: {}\n    models: {{agent: \
             {{model: sonnet, mode: agent}}}}\n    agent: {{tools: [Read, Write], workspace: '{2}/workspace'}}\n\
             server: {{port: 0}}\nstate_dir: '{2}/state'\n",
            api.address,
            installed("claude").display(),
            folder.path().canonicalize().unwrap().display()
        );
        fs::write(folder.path().join("perimeter.yaml"), config).unwrap();
        Self(folder)
    }

    /// The directory of sessions that name no project.
    fn project(&self) -> PathBuf {
        self.0.path().canonicalize().unwrap().join("workspace/default-local")
    }

    fn start(&self) -> Bridge {
        let mut process = Command::new(env!("CARGO_BIN_EXE_perimeter"))
            .args(["run", "--config"])
            .arg(self.0.path().join("perimeter.yaml"))
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("HOME", self.0.path())
            .env("ANTHROPIC_API_KEY", ANTHROPIC_KEY)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(process.stderr.take().unwrap()).lines();
        let line =
            lines.find(|line| line.as_ref().unwrap().contains("listening on http://")).unwrap().unwrap();
        let address = line.split_once("listening on http://").unwrap().1.split([' ', ',']).next().unwrap();
        let address = address.parse().unwrap();
        // Read on, so that it never waits for its reader.
        thread::spawn(move || lines.for_each(drop));
        Bridge { process, address }
    }
}

/// A proxy whose backend is the CLI.
struct Bridge {
    process: Child,
    address: SocketAddr,
}

impl Bridge {
    fn call(&self, method: &str, path: &str, body: &Value) -> (u16, Value) {
        let body = if body.is_null() { String::new() } else { body.to_string() };
        let mut stream = TcpStream::connect(self.address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let head = format!(
            "{method} {path} HTTP/1.1\r\nHost: {}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
            self.address,
            body.len()
        );
        stream.write_all((head + &body).as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        (status, serde_json::from_str(body).unwrap_or_else(|_| panic!("{answer}")))
    }

    /// The answer's text and thinking, and the session's id.
    #[track_caller]
    fn say(&self, session: Option<&str>, text: &str) -> (String, String, String) {
        let (status, body) = self.call("POST", "/v1/chat/completions", &request(session, text));
        assert_eq!(status, 200, "{body}");
        let message = &body["choices"][0]["message"];
        let string = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        (string(&message["content"]), string(&message["reasoning_content"]), string(&body["session_id"]))
    }

    fn stop(mut self) {
        let pid = rustix::process::Pid::from_child(&self.process);
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
        assert!(self.process.wait().unwrap().success());
    }
}

impl Drop for Bridge {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn request(session: Option<&str>, text: &str) -> Value {
    let mut body = json!({"model": "agent", "messages": [{"role": "user", "content": text}]});
    if let Some(session) = session {
        body["session_id"] = session.into();
    }
    body
}

fn said(role: &str, text: &str) -> (String, String) {
    (role.to_owned(), text.to_owned())
}

#[test]
fn a_session_is_resumed_for_real_after_the_proxy_has_been_restarted() {
    let api = Api::start();
    let place = Place::new(&api);
    let bridge = place.start();
    let (text, _, session) = bridge.say(None, "/cost and @/etc/passwd");
    assert_eq!(text, "Answer 1.");
    assert_eq!(api.last(), [said("user", "/cost and @/etc/passwd")], "neither a command nor a file");
    bridge.stop();

    let bridge = place.start();
    let (text, _, again) = bridge.say(Some(&session), "And now?");
    assert_eq!((text.as_str(), again), ("Answer 2.", session));
    let expected =
        [said("user", "/cost and @/etc/passwd"), said("assistant", "Answer 1."), said("user", "And now?")];
    assert_eq!(api.last(), expected);
    let (_, ready) = bridge.call("GET", "/ready", &Value::Null);
    assert_eq!(ready["status"], "ready", "{ready}");
}

#[test]
fn tools_work_in_the_project_and_nowhere_else() {
    let api = Api::start();
    let place = Place::new(&api);
    let bridge = place.start();
    let (_, _, session) = bridge.say(None, "Hello");
    let project = place.project();
    fs::write(project.join("notes.txt"), "the proxy saw nothing\n").unwrap();
    let outside = place.0.path().canonicalize().unwrap().join("outside.txt");
    fs::write(&outside, "of nobody's business\n").unwrap();
    let file = |path: &PathBuf| json!({"file_path": path});

    let (text, thinking, _) =
        bridge.say(Some(&session), &format!("USE Read {}.", file(&project.join("notes.txt"))));
    assert_eq!((text.as_str(), thinking.as_str()), ("Done.", "Read notes.txt\n"));
    let result = api.last().pop().unwrap().1;
    assert!(result.contains("the proxy saw nothing"), "{result}");

    let write = |path: &PathBuf| json!({"file_path": path, "content": "written"});
    bridge.say(Some(&session), &format!("USE Write {}.", write(&project.join("new.txt"))));
    assert_eq!(fs::read_to_string(project.join("new.txt")).unwrap(), "written");

    let elsewhere = outside.with_file_name("elsewhere.txt");
    bridge.say(Some(&session), &format!("USE Write {}.", write(&elsewhere)));
    let result = api.last().pop().unwrap().1;
    assert!(result.contains("is outside of the project"), "{result}");
    assert!(!elsewhere.exists());

    std::os::unix::fs::symlink(&outside, project.join("link.txt")).unwrap();
    for path in [outside, project.join("link.txt")] {
        bridge.say(Some(&session), &format!("USE Read {}.", file(&path)));
        let result = api.last().pop().unwrap().1;
        assert!(result.contains("is outside of the project") && !result.contains("business"), "{result}");
    }
    // A tool that the settings do not name is not there.
    bridge.say(Some(&session), &format!("USE Bash {}.", json!({"command": "touch made-by-bash"})));
    assert!(!project.join("made-by-bash").exists());
}

#[test]
fn what_is_stopped_has_stopped_and_the_session_goes_on_from_what_was_said() {
    let api = Api::start();
    let place = Place::new(&api);
    let bridge = place.start();
    let (_, _, session) = bridge.say(None, "Hello");
    let at = format!("/v1/chat/completions/{session}");
    thread::scope(|scope| {
        let hanging =
            scope.spawn(|| bridge.call("POST", "/v1/chat/completions", &request(Some(&session), "HANG")));
        api.wait("a request that hangs", |state| state.asked.len() == 2);
        let (status, stopped) = bridge.call("DELETE", &at, &Value::Null);
        assert_eq!((status, &stopped["status"]), (200, &json!("stopped")));
        api.wait("the provider is left", |state| state.left == 1);
        assert_eq!(hanging.join().unwrap().0, 502);
    });
    assert_eq!(bridge.call("GET", &format!("{at}/status"), &Value::Null).1["is_running"], false);
    bridge.say(Some(&session), "Where were we?");
    let messages = api.last();
    assert_eq!(messages[..2], [said("user", "Hello"), said("assistant", "Answer 1.")]);
    assert!(messages.last().unwrap().1.ends_with("Where were we?"), "{messages:?}");
    // And once more, from the transcript that was written for it.
    bridge.say(Some(&session), "Still there?");
    let messages = api.last();
    assert_eq!(messages[0], said("user", "Hello"));
    assert_eq!(messages.last().unwrap(), &said("user", "Still there?"));
}
