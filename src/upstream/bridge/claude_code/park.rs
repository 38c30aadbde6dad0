//! Processes that wait for the client's tools, so that the answer to what these say need not begin anew.
//!
//! A process goes on only where a new process with the whole conversation would be told the very same: the conversation
//! is the one it knows, the request asks for the same, and what the tools said is plain text of moderate length.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use ring::digest::{SHA256, digest};
use serde_json::value::RawValue;
use serde_json::{Value, json};
use tokio_util::task::{AbortOnDropHandle, TaskTracker};

use super::mapping::Mapping;
use super::process::Process;
use super::seed::{self, Content, Message};
use super::tools::Server;
use crate::upstream::bridge::ask::{Ask, Block, Part, Role, Turn};
use crate::upstream::bridge::event::{Answer, Said};

/// Longer results the CLI would write to a file, and tell the model where. Bytes.
const LONGEST: usize = 16 * 1024;

/// A process that waits.
#[derive(Debug)]
pub(super) struct Waiting {
    /// The process.
    pub process: Process,
    /// What it has said so far.
    pub mapping: Mapping,
    /// Its calls.
    pub server: Server,
}

/// Processes that wait.
#[derive(Clone, Debug)]
pub(super) struct Parked(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    patience: Duration,
    most: usize,
    tasks: TaskTracker,
    /// The one that has waited longest first.
    slots: Mutex<Vec<Slot>>,
}

#[derive(Debug)]
struct Slot {
    conversation: Conversation,
    /// The calls that it waits for.
    calls: Vec<String>,
    waiting: Waiting,
    _patience: AbortOnDropHandle<()>,
}

/// What tells a conversation, and what is asked about it, from all others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Conversation([u8; 32]);

impl Parked {
    /// Room for `most`, each of which waits for `patience`.
    pub(super) fn new(patience: Duration, most: usize, tasks: TaskTracker) -> Self {
        Self(Arc::new(Inner { patience, most, tasks, slots: Mutex::default() }))
    }

    /// Lets a process wait that has given `answer` to `ask`. Where there is no room, the one that has waited longest
    /// ends.
    pub(super) fn put(&self, ask: &Ask, answer: &Answer, waiting: Waiting) -> Option<Conversation> {
        if self.0.patience.is_zero() || self.0.most == 0 {
            return None;
        }
        let conversation = Conversation::with(ask, answer)?;
        let calls = answer.blocks.iter().filter_map(|said| match said {
            Said::Tool { id, .. } => Some(id.clone()),
            _ => None,
        });
        let this = self.clone();
        let patience = self.0.tasks.spawn(async move {
            tokio::time::sleep(this.0.patience).await;
            this.end(conversation);
        });
        let slot = Slot {
            conversation,
            calls: calls.collect(),
            waiting,
            _patience: AbortOnDropHandle::new(patience),
        };
        let ended = self.with(|slots| {
            slots.push(slot);
            (slots.len() > self.0.most).then(|| slots.remove(0))
        });
        drop(ended);
        Some(conversation)
    }

    /// The process that waits for what `ask` brings, and what it is to be told.
    pub(super) fn take(&self, ask: &Ask) -> Option<(Waiting, HashMap<String, Value>)> {
        if self.with(|slots| slots.is_empty()) {
            return None;
        }
        let mut messages = seed::messages(&ask.turns);
        let results = results(&messages.pop()?)?;
        let conversation = Conversation::of(ask, &messages)?;
        let slot = self.with(|slots| {
            let found = slots.iter().position(|slot| slot.conversation == conversation)?;
            Some(slots.remove(found))
        })?;
        // What else it brings is for a new process to read; nobody will ask this one again.
        let all =
            slot.calls.len() == results.len() && slot.calls.iter().all(|call| results.contains_key(call));
        all.then_some((slot.waiting, results))
    }

    /// Ends the process that waits in this conversation.
    pub(super) fn end(&self, conversation: Conversation) {
        let ended = self.with(|slots| {
            let found = slots.iter().position(|slot| slot.conversation == conversation)?;
            Some(slots.remove(found))
        });
        drop(ended);
    }

    /// Ends all of them.
    pub(super) fn clear(&self) {
        drop(self.with(std::mem::take));
    }

    fn with<T>(&self, act: impl FnOnce(&mut Vec<Slot>) -> T) -> T {
        act(&mut self.0.slots.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Conversation {
    /// That of `ask`, once `answer` is part of it.
    fn with(ask: &Ask, answer: &Answer) -> Option<Self> {
        let parts = answer.blocks.iter().filter_map(|said| match said {
            Said::Text { text, .. } => Some(Block::Text(text.clone())),
            Said::Tool { id, name, input } => Some(Block::ToolUse {
                id: id.clone(),
                name: name.clone(),
                input: RawValue::from_string(input.clone()).ok()?,
            }),
            Said::Thinking { .. } | Said::Redacted(_) => None,
        });
        let said = Turn { role: Role::Assistant, parts: parts.map(Part::from).collect() };
        let turns: Vec<_> = ask.turns.iter().cloned().chain([said]).collect();
        Self::of(ask, &seed::messages(&turns))
    }

    /// That of `ask`, whose conversation is `messages`. Thinking is left out, which not every client gives back, and how
    /// text is cut into pieces.
    fn of(ask: &Ask, messages: &[Message<'_>]) -> Option<Self> {
        let messages: Vec<_> = messages.iter().map(even).collect();
        let system: Vec<_> = ask.system.iter().map(|prompt| &prompt.text).collect();
        let tools: Vec<_> =
            ask.tools.iter().map(|tool| json!([tool.name, tool.description, tool.schema])).collect();
        let asked = json!([
            ask.caller.id(),
            ask.id,
            system,
            messages,
            tools,
            format!("{:?}", (&ask.choice, ask.parallel, ask.max_tokens, &ask.stop, &ask.format, ask.effort)),
            ask.shows_thinking,
        ]);
        let digest = digest(&SHA256, asked.to_string().as_bytes());
        Some(Self(digest.as_ref().try_into().ok()?))
    }
}

fn even(message: &Message<'_>) -> Value {
    // Clients may give back the text and the calls of an answer each for themselves, but what they said as they did.
    let apart = message.role == "assistant";
    let mut text = String::new();
    let mut others = Vec::new();
    for content in &message.content {
        match content {
            Content::Text { text: more } => text.push_str(more),
            Content::Thinking { .. } | Content::RedactedThinking { .. } => {}
            other => {
                if !apart {
                    others.push(json!(std::mem::take(&mut text)));
                }
                others.push(json!(other));
            }
        }
    }
    json!([message.role, text, others])
}

/// What tools said, as MCP has it, if that is all there is and the CLI passes it on as it is.
fn results(message: &Message<'_>) -> Option<HashMap<String, Value>> {
    let results = message.content.iter().map(|content| {
        let Content::ToolResult { tool_use_id, content, is_error: false } = content else { return None };
        let texts = content.iter().map(|content| match content {
            Content::Text { text } => Some(text.len()),
            _ => None,
        });
        let length: usize = texts.collect::<Option<Vec<_>>>()?.iter().sum();
        ((1..=LONGEST).contains(&length)).then(|| ((*tool_use_id).to_owned(), json!({"content": content})))
    });
    results.collect()
}
