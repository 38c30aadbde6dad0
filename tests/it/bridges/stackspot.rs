//! `llm.type: stackspot`, against a scripted Stackspot.

use serde_json::{Value, json};

use super::scripted_stackspot::{AGENT, Grant, Reply, Stackspot};
use crate::support::proxy::Setup;
use crate::support::{Head, Proxy, Wire};

mod answers;
mod conversations;
mod failures;
mod files;
mod repair;
mod starting;
mod tokens;

/// A proxy with that account, `more` below it.
fn setup(spot: &Stackspot, more: &str) -> Setup {
    Proxy::bridge("stackspot").yaml(&spot.yaml(more))
}

/// An answer.
struct Answer {
    head: Head,
    body: String,
}

impl Answer {
    /// Its body, which has to be JSON, where its status is that.
    #[track_caller]
    fn json(&self, status: u16) -> Value {
        assert_eq!(self.head.status(), status, "{}", self.body);
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.body))
    }

    /// The text of its message.
    #[track_caller]
    fn text(&self) -> String {
        self.json(200)["choices"][0]["message"]["content"].as_str().expect("text").to_owned()
    }

    /// Status, `error.code`, and `error.message`.
    #[track_caller]
    fn error(&self) -> (u16, String, String) {
        let status = self.head.status();
        let error = &self.json(status)["error"];
        let text = |key: &str| error[key].as_str().unwrap_or_default().to_owned();
        (status, text("code"), text("message"))
    }

    fn header(&self, name: &str) -> Option<&str> {
        self.head.value(name)
    }
}

fn send(proxy: &Proxy, path: &str, headers: &str, body: &Value) -> Wire {
    let mut client = proxy.connect();
    let body = body.to_string();
    client.send(format!(
        "POST {path} HTTP/1.1\r\nHost: {}\r\nContent-Type: application/json\r\n{headers}Content-Length: {}\r\n\r\n{body}",
        proxy.address(),
        body.len()
    ));
    client
}

fn receive(mut client: Wire) -> Answer {
    let head = client.head();
    let body = String::from_utf8(client.body(&head)).unwrap();
    Answer { head, body }
}

fn post(proxy: &Proxy, path: &str, headers: &str, body: &Value) -> Answer {
    receive(send(proxy, path, headers, body))
}

fn chat(proxy: &Proxy, body: &Value) -> Answer {
    post(proxy, "/v1/chat/completions", "", body)
}

/// A question.
fn question(text: &str) -> Value {
    json!({"model": "stackspot-chat", "messages": [{"role": "user", "content": text}]})
}

/// `question` with more in it.
fn with(mut question: Value, more: Value) -> Value {
    let more = more.as_object().unwrap().clone();
    question.as_object_mut().unwrap().extend(more);
    question
}

/// The deltas of a stream, one after the other.
fn streamed(body: &str) -> Vec<Value> {
    let data = body.lines().filter_map(|line| line.strip_prefix("data: "));
    data.filter(|data| *data != "[DONE]").map(|data| serde_json::from_str(data).unwrap()).collect()
}

fn streamed_text(body: &str) -> String {
    let chunks = streamed(body);
    chunks.iter().filter_map(|chunk| chunk["choices"][0]["delta"]["content"].as_str()).collect()
}
