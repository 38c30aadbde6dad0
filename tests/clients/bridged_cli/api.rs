//! A scripted API of Anthropic's, as far as the CLI needs it.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

use serde_json::{Value, json};

use crate::perimeter::Perimeter;
use crate::process::{ANTHROPIC_KEY, installed};

/// What it answers, by how many requests have come and the body of the last.
pub(super) type Script = fn(usize, &Value) -> (u16, Value);

/// Anthropic's API, as far as the CLI needs it.
pub(super) struct Api {
    address: SocketAddr,
    bodies: Arc<Mutex<Vec<Value>>>,
}

impl Api {
    pub(super) fn start(script: Script) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let (address, bodies) = (listener.local_addr().unwrap(), Arc::<Mutex<Vec<Value>>>::default());
        let kept = Arc::clone(&bodies);
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let kept = Arc::clone(&kept);
                thread::spawn(move || converse(stream, &kept, script));
            }
        });
        Self { address, bodies }
    }

    /// What it was asked.
    pub(super) fn bodies(&self) -> Vec<Value> {
        self.bodies.lock().unwrap().clone()
    }

    /// A bridge to the CLI, which asks here. More settings of the CLI.
    pub(super) fn bridge(&self, more: &str) -> Perimeter {
        let llm = format!(
            "claude_code, api_key: {ANTHROPIC_KEY}, claude_code: {{command: '{}', retries: 0{more}}}",
            installed("claude").display()
        );
        Perimeter::start(&llm, &format!("http://{}", self.address))
    }
}

fn converse(stream: TcpStream, bodies: &Mutex<Vec<Value>>, script: Script) -> Option<()> {
    let mut reader = BufReader::new(stream.try_clone().ok()?);
    let mut stream = stream;
    loop {
        let (mut line, mut length) = (String::new(), 0);
        if reader.read_line(&mut line).ok()? == 0 {
            return None;
        }
        let asked = line.starts_with("POST /v1/messages?");
        while line.trim_end() != "" {
            line.clear();
            reader.read_line(&mut line).ok()?;
            if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
                length = value.trim().parse().ok()?;
            }
        }
        let mut body = vec![0; length];
        reader.read_exact(&mut body).ok()?;
        let (status, kind, said) = if asked {
            let body: Value = serde_json::from_slice(&body).ok()?;
            let count = {
                let mut bodies = bodies.lock().unwrap();
                bodies.push(body.clone());
                bodies.len()
            };
            match script(count, &body) {
                (200, events) => (200, "text/event-stream", stream_of(&events)),
                (status, error) => (status, "application/json", error.to_string()),
            }
        } else {
            (200, "application/json", String::new())
        };
        // A stream that lacks its last event is not over yet.
        let more = usize::from(said.starts_with("event") && !said.contains("message_stop"));
        let length = said.len() + more;
        let head =
            format!("HTTP/1.1 {status} Said\r\nContent-Type: {kind}\r\nContent-Length: {length}\r\n\r\n");
        stream.write_all(head.as_bytes()).ok()?;
        stream.write_all(said.as_bytes()).ok()?;
    }
}

fn stream_of(events: &Value) -> String {
    let events = events.as_array().unwrap().iter();
    events.map(|event| format!("event: {}\ndata: {event}\n\n", event["type"].as_str().unwrap())).collect()
}

/// An answer of these blocks, each with its deltas.
pub(super) fn answer(blocks: &[(Value, &[Value])], stop: &str) -> Value {
    let usage = json!({"input_tokens": 11, "cache_read_input_tokens": 7, "cache_creation_input_tokens": 3,
        "output_tokens": 1});
    let message = json!({"id": "msg_1", "type": "message", "role": "assistant", "model": "claude-sonnet-5-5",
        "content": [], "stop_reason": null, "stop_sequence": null, "usage": usage});
    let mut events = vec![json!({"type": "message_start", "message": message})];
    for (index, (block, deltas)) in blocks.iter().enumerate() {
        events.push(json!({"type": "content_block_start", "index": index, "content_block": block}));
        events.extend(
            deltas.iter().map(|delta| json!({"type": "content_block_delta", "index": index, "delta": delta})),
        );
        events.push(json!({"type": "content_block_stop", "index": index}));
    }
    events.push(json!({"type": "message_delta", "delta": {"stop_reason": stop, "stop_sequence": null},
        "usage": {"output_tokens": 5}}));
    events.push(json!({"type": "message_stop"}));
    json!(events)
}

/// Says `text`, word by word.
pub(super) fn text(text: &str) -> Value {
    let deltas: Vec<_> =
        text.split_inclusive(' ').map(|word| json!({"type": "text_delta", "text": word})).collect();
    answer(&[(json!({"type": "text", "text": ""}), &deltas)], "end_turn")
}
