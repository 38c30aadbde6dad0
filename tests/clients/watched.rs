//! What the interceptors made of a run: the message logger's lines and the printer's blocks, held against what the
//! provider has seen and said.
//!
//! The log is compared call by call. Which of several equal requests comes first is nobody's promise, so each call
//! that reached the provider must find one conversation of the log that is its own, and none may be left over.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::process::{KEYS, SECRET, SECRET_REDACTED};
use crate::provider::{Answer, Request};
use crate::said::Said;

/// What was left behind by a proxy that has stopped.
pub(crate) struct Watched {
    /// The lines of the message log.
    pub(crate) log: String,
    /// What the printer has printed.
    pub(crate) printed: String,
}

impl Watched {
    /// Asserts that it tells of all these requests, rightly, of each once, and of nothing else.
    pub(crate) fn assert_tells(&self, dialect: &str, requests: &[Request]) {
        self.assert_secrets_are_kept();
        let seen: Vec<_> = requests.iter().filter(is_proxied).map(Exchange::of).collect();
        self.assert_logged(dialect, &seen);
        self.assert_printed(&seen);
    }

    fn assert_secrets_are_kept(&self) {
        for key in KEYS {
            assert!(!self.log.contains(key), "a client's key is in the log");
            assert!(!self.printed.contains(key), "a client's key was printed");
        }
        assert!(!self.log.contains(SECRET), "a secret that somebody wrote is in the log");
    }

    fn assert_logged(&self, dialect: &str, seen: &[Exchange]) {
        let mut conversations = conversations(&self.lines());
        for exchange in seen.iter().filter(|exchange| exchange.operation().is_some()) {
            let asked = exchange.logged_request();
            let own = |conversation: &&Conversation| match &asked {
                Some(asked) => conversation.request["request"] == *asked,
                None => exchange.is_that(conversation),
            };
            let compared: Vec<_> = conversations
                .iter()
                .filter(|(_, conversation)| own(conversation))
                .map(|(id, conversation)| (id.clone(), exchange.compare(dialect, conversation)))
                .collect();
            match compared.iter().find(|(_, compared)| compared.is_ok()) {
                Some((id, _)) => drop(conversations.remove(id)),
                None => panic!("not in the log: {} {asked:?}\n{compared:#?}", exchange.request.line),
            }
        }
        assert!(conversations.is_empty(), "in the log, but not at the provider: {conversations:#?}");
    }

    /// The lines of the log, each of which must be JSON.
    pub(crate) fn lines(&self) -> Vec<Value> {
        assert!(self.log.is_empty() || self.log.ends_with('\n'), "half a line in the log");
        self.log.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    fn assert_printed(&self, seen: &[Exchange]) {
        let mut printed: Vec<_> = self.printed.lines().filter_map(head_line).collect();
        let mut expected: Vec<_> = seen.iter().map(Exchange::head_line).collect();
        printed.sort();
        expected.sort();
        assert_eq!(expected, printed, "what the printer had to tell, and what it told:\n{}", self.printed);
    }
}

/// The lines of one exchange.
#[derive(Debug)]
struct Conversation {
    request: Value,
    answer: Value,
}

/// The log's lines by their exchange, each of which must have two: a request, and what came of it.
fn conversations(lines: &[Value]) -> BTreeMap<String, Conversation> {
    let mut open: BTreeMap<String, Value> = BTreeMap::new();
    let mut complete = BTreeMap::new();
    for line in lines {
        let id = line["exchange_id"].as_str().unwrap().to_owned();
        assert!(line["timestamp"].as_str().is_some_and(|at| at.ends_with('Z')), "{line}");
        match open.remove(&id) {
            None => {
                assert_eq!(line["direction"], "request", "{line:#}");
                assert!(!complete.contains_key(&id), "more than a request and its answer: {line:#}");
                open.insert(id, line.clone());
            }
            Some(request) => {
                assert_ne!(line["direction"], "request", "twice in the log: {line:#}");
                for field in ["session_id", "model", "provider"] {
                    assert_eq!(line[field], request[field], "{field} of {line:#}");
                }
                complete.insert(id, Conversation { request, answer: line.clone() });
            }
        }
    }
    assert!(open.is_empty(), "no answer to {open:#?}");
    complete
}

/// A request that came to the provider, and its answer.
struct Exchange<'a> {
    request: &'a Request,
    asked: Value,
    answer: Option<Answer>,
}

/// Frames of a WebSocket are no exchanges of their own; and some clients go past the proxy.
fn is_proxied(request: &&Request) -> bool {
    !request.line.starts_with("(frame") && request.method() != "CONNECT"
}

impl<'a> Exchange<'a> {
    fn of(request: &'a Request) -> Self {
        Self { request, asked: request.json(), answer: Answer::to(request) }
    }

    /// What is asked for, where that is something that perimeter knows.
    fn operation(&self) -> Option<&'static str> {
        let (method, path) = (self.request.method(), self.request.path());
        let segments: Vec<&str> = path.split('/').skip(1).collect();
        Some(match (method, &*segments) {
            ("POST", [.., "chat", "completions"] | [.., "v1", "messages"] | [.., "responses"]) => "chat",
            (_, [.., "responses", _]) => "retrieval",
            ("POST", [.., "embeddings"]) => "embeddings",
            ("POST", [.., "audio", "speech"]) => "speech",
            ("POST", [.., "messages", "count_tokens"]) => "count_tokens",
            (_, [.., "messages", "batches"] | [.., "batches", _] | [.., "batches", _, _]) => "batches",
            (_, [.., "files"] | [.., "files", _] | [.., "files", _, "content"]) => "files",
            ("GET", [.., "models"] | [.., "models", _]) => "models",
            _ => return None,
        })
    }

    /// Whether it is a part of a conversation, and not only measured.
    fn is_chat(&self) -> bool {
        self.operation() == Some("chat")
    }

    /// What of the request should be in the log, where that tells it from others.
    fn logged_request(&self) -> Option<Value> {
        let text = String::from_utf8(self.request.decoded()).ok().filter(|_| self.is_chat())?;
        serde_json::from_str(&text.replace(SECRET, SECRET_REDACTED)).unwrap()
    }

    /// Whether a conversation is about the same thing, and came to the same end.
    fn is_that(&self, conversation: &Conversation) -> bool {
        let Conversation { request, answer } = conversation;
        request["metadata"]["path"] == self.request.path()
            && request["metadata"]["method"] == self.request.method()
            && answer["metadata"]["status_code"].as_u64()
                == self.answer.as_ref().map(|answer| u64::from(answer.status))
    }

    /// What is wrong with the conversation, if it is this one.
    fn compare(&self, dialect: &str, conversation: &Conversation) -> Result<(), String> {
        let Conversation { request, answer: logged } = conversation;
        let mut metadata = json!({
            "path": self.request.path(),
            "method": self.request.method(),
            "is_streaming": self.asked["stream"] == true,
        });
        if !self.is_chat() {
            metadata["operation"] = json!(self.operation());
        }
        same("what is said of the request", &metadata, &request["metadata"])?;
        same("the model", &self.asked["model"], &request["model"])?;
        same("the provider", &json!(dialect), &request["provider"])?;
        let Some(answer) = &self.answer else {
            same("the direction", &json!("error"), &logged["direction"])?;
            return same("the reason", &json!("client_left"), &logged["error_type"]);
        };
        same("the direction", &json!("response"), &logged["direction"])?;
        same("the status", &json!(answer.status), &logged["metadata"]["status_code"])?;
        let lasted = logged["metadata"]["duration_ms"].as_f64();
        lasted.filter(|lasted| *lasted > 0.0).ok_or_else(|| format!("no duration: {logged:#}"))?;
        let failed = answer.status >= 400 || !answer.said().error.is_null();
        same("that it failed", &json!(failed), &json!(logged["error"].is_object()))?;
        let complete = answer.whole && answer.said().error.is_null();
        same("that it is not whole", &json!(!complete), &json!(logged["metadata"]["complete"] == false))?;
        if !answer.whole {
            // Of the scripts, those that wait for it are left by their clients; others break off.
            let left = self.asked["model"].as_str().is_some_and(|model| model.starts_with("left/"));
            let why = if left { "client_left" } else { "upstream_broke" };
            same("why it is not whole", &json!(why), &logged["metadata"]["ended_by"])?;
        }
        if self.is_chat() { answer.compare(logged) } else { Ok(()) }
    }

    /// What the printer should say of it first: the fields of its head line that are no clock's.
    fn head_line(&self) -> Vec<String> {
        let status = self.answer.as_ref().map_or("---".to_owned(), |answer| answer.status.to_string());
        let mut fields = vec![status.clone()];
        if self.operation().is_some_and(|_| !self.is_chat()) {
            fields.extend(self.operation().map(str::to_owned));
        }
        if self.operation().is_some() {
            fields.extend(self.asked["model"].as_str().map(str::to_owned));
            let tokens = self.answer.as_ref().and_then(|answer| answer.said().tokens());
            if let Some([input, cached, output, reasoning]) = tokens {
                let part = |count, word| if count > 0 { format!(" ({count} {word})") } else { String::new() };
                fields.push(format!("{input} in{}", part(cached, "cached")));
                fields.push(format!("{output} out{}", part(reasoning, "reasoning")));
            }
        }
        fields.push(format!("{} {}", self.request.method(), self.request.path()));
        if status == "101" {
            fields.push("websocket".to_owned());
        }
        fields
    }
}

impl Answer {
    fn said(&self) -> Said {
        match serde_json::from_slice(&self.body) {
            _ if self.is_streamed() => Said::streamed(&self.body),
            Ok(body) => Said::whole(&body),
            Err(_) => Said::default(),
        }
    }

    /// Compares what was answered with what the log says of it.
    fn compare(&self, logged: &Value) -> Result<(), String> {
        let response = &logged["response"];
        let body = String::from_utf8_lossy(&self.body);
        if !self.is_streamed() {
            let expected = serde_json::from_str(&body).unwrap_or_else(|_| json!({"raw": body}));
            same("the answer", &expected, response)?;
            let message = if self.status < 400 { &Value::Null } else { error_message(&expected) };
            return same("the error's message", message, &logged["error"]["message"]);
        }
        let (mut expected, got) = (self.said(), Said::whole(response));
        same("the error's message", &expected.error["message"].take(), &logged["error"]["message"])?;
        if !self.whole {
            // How far the proxy had come with it is chance.
            return got
                .begins(&expected)
                .then_some(())
                .ok_or_else(|| format!("{got:#?} does not begin {expected:#?}"));
        }
        expected.error = Value::Null;
        (got == expected).then_some(()).ok_or_else(|| format!("{expected:#?} is logged as {got:#?}"))
    }
}

/// The message of an error that is a body: where it is no JSON, all of it.
fn error_message(body: &Value) -> &Value {
    match (&body["error"], &body["raw"]) {
        (Value::Null, raw) => raw,
        (error, _) => &error["message"],
    }
}

fn same(what: &str, expected: &Value, got: &Value) -> Result<(), String> {
    if expected == got {
        return Ok(());
    }
    Err(format!("{what}: {got:.2000} in place of {expected:.2000}"))
}

/// The fields of a head line, without the time, how long it took, when the first token came, and what it cost.
fn head_line(line: &str) -> Option<Vec<String>> {
    let mut fields = line.split("  ").map(str::trim).filter(|field| !field.is_empty());
    let time = fields.next().filter(|_| !line.starts_with(' '))?;
    assert_eq!(time.len(), "00:00:00".len(), "{line}");
    let status = fields.next()?.to_owned();
    let is_told = |field: &&str| !["ttft ", "cost ", "$"].iter().any(|other| field.starts_with(other));
    let rest = fields.skip(1).filter(is_told).map(str::to_owned);
    Some([status].into_iter().chain(rest).collect())
}
