//! A conversation as a transcript of the CLI's own, which it goes on with as if it had been there.
//!
//! That is how turns keep their roles, and images, thinking and tool calls stay what they are. The CLI takes history
//! literally; only a last prompt that has no tool results is read like something typed: `@path` would attach a file
//! (switched off, see [`super::launch`]), and `/` at the beginning of its last block would run a command.

use std::borrow::Cow;
use std::path::Path;

use serde::Serialize;
use serde_json::value::RawValue;

use crate::state;
use crate::upstream::bridge::ask::{Ask, Block, Role, Source, Turn};
use crate::upstream::bridge::{Failure, Kind};

/// What the CLI writes into its transcripts; only the order of lines is of interest to it.
const TIME: &str = "2025-01-01T00:00:00.000Z";
/// A version that writes transcripts such as these.
const VERSION: &str = "2.1.197";
/// By what the CLI knows that it wrote a prompt itself, about its own doings: it does not answer that.
const ITS_OWN: [&str; 2] = ["[Request interrupted by user", "<bash-"];

/// A message of the Messages API.
#[derive(Debug, Serialize)]
pub(super) struct Message<'a> {
    /// `user` or `assistant`.
    pub role: &'static str,
    /// What it says.
    pub content: Vec<Content<'a>>,
}

/// A block of a message.
#[derive(Debug, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(super) enum Content<'a> {
    Text {
        text: Cow<'a, str>,
    },
    Image {
        source: Bytes<'a>,
    },
    Document {
        source: Bytes<'a>,
        #[serde(skip_serializing_if = "Option::is_none")]
        title: Option<&'a str>,
    },
    Thinking {
        thinking: &'a str,
        signature: &'a str,
    },
    RedactedThinking {
        data: &'a str,
    },
    ToolUse {
        id: &'a str,
        name: &'a str,
        input: &'a RawValue,
    },
    ToolResult {
        tool_use_id: &'a str,
        content: Vec<Content<'a>>,
        #[serde(skip_serializing_if = "std::ops::Not::not")]
        is_error: bool,
    },
}

/// Where an image or a document is.
#[derive(Debug, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(super) enum Bytes<'a> {
    Base64 { media_type: &'a str, data: &'a str },
    Text { media_type: &'static str, data: &'a str },
    Url { url: &'a str },
}

/// The conversation as messages, two of one role never after each other.
pub(super) fn messages(turns: &[Turn]) -> Vec<Message<'_>> {
    let mut all: Vec<Message<'_>> = Vec::new();
    for turn in turns {
        let role = if turn.role == Role::Assistant { "assistant" } else { "user" };
        let content: Vec<_> = turn.parts.iter().filter_map(|part| content(&part.block, turn.role)).collect();
        match all.last_mut() {
            // Nothing may be left of a turn: empty text, or thinking that nobody signed.
            _ if content.is_empty() => {}
            Some(last) if last.role == role => last.content.extend(content),
            _ => all.push(Message { role, content }),
        }
    }
    all
}

fn content(block: &Block, role: Role) -> Option<Content<'_>> {
    Some(match block {
        Block::Text(text) if text.trim().is_empty() => return None,
        Block::Text(text) if role == Role::System => {
            Content::Text { text: format!("<system-reminder>\n{text}\n</system-reminder>").into() }
        }
        Block::Text(text) => Content::Text { text: text.into() },
        Block::Image(source) => Content::Image { source: bytes(source) },
        Block::Document { source, title } => {
            Content::Document { source: bytes(source), title: title.as_deref() }
        }
        Block::Thinking { text, signature } => Content::Thinking {
            thinking: text,
            signature: signature.as_deref().filter(|proof| !proof.is_empty())?,
        },
        Block::Redacted(data) => Content::RedactedThinking { data },
        Block::ToolUse { id, name, input } => Content::ToolUse { id, name, input },
        Block::ToolResult { id, content: said, is_error } => Content::ToolResult {
            tool_use_id: id,
            content: said.iter().filter_map(|block| content(block, Role::User)).collect(),
            is_error: *is_error,
        },
    })
}

fn bytes(source: &Source) -> Bytes<'_> {
    match source {
        Source::Base64 { media_type, data } => Bytes::Base64 { media_type, data },
        Source::Text(data) => Bytes::Text { media_type: "text/plain", data },
        Source::Url(url) => Bytes::Url { url },
    }
}

/// Whether there is thinking in the conversation that the model is to be given back.
pub(super) fn has_thinking(turns: &[Turn]) -> bool {
    let is_thinking = |block: &Block| matches!(block, Block::Thinking { .. } | Block::Redacted(_));
    turns.iter().flat_map(|turn| &turn.parts).any(|part| is_thinking(&part.block))
}

/// The conversation of `ask` as a transcript of a session in `cwd`, with `model`: the CLI gives thinking back to the
/// model that it takes it to be of, and to no other.
///
/// # Errors
/// Where there is nothing that the model could answer.
pub(super) fn transcript(ask: &Ask, model: &str, cwd: &Path) -> Result<Vec<u8>, Failure> {
    let mut messages = messages(&ask.turns);
    guard(messages.last_mut());
    let session = uuid()?;
    let (mut lines, mut parent) = (Vec::new(), None);
    for message in messages {
        let uuid = uuid()?;
        let kept = Kept {
            id: (message.role == "assistant").then(|| format!("msg_{}", uuid.replace('-', ""))),
            model,
            message,
        };
        let line = Line {
            kind: kept.message.role,
            is_sidechain: false,
            user_type: "external",
            cwd,
            session_id: &session,
            version: VERSION,
            parent_uuid: parent.take(),
            uuid: &uuid,
            timestamp: TIME,
            message: kept.api(),
        };
        let written = serde_json::to_writer(&mut lines, &line);
        written.map_err(|error| Failure::new(Kind::Unavailable, error.to_string()))?;
        lines.push(b'\n');
        parent = Some(uuid);
    }
    Ok(lines)
}

/// Keeps the CLI from taking a prompt for one of its commands, or for a note of its own: it looks at the beginning of
/// the last block only.
pub(super) fn guard(last: Option<&mut Message<'_>>) {
    let Some(Message { role: "user", content }) = last else { return };
    if content.iter().any(|block| matches!(block, Content::ToolResult { .. })) {
        return;
    }
    let Some(Content::Text { text }) = content.last() else { return };
    let (head, rest) = text.split_at(harmful(text));
    if !head.is_empty() {
        let pieces = [head, rest].map(|text| Content::Text { text: text.to_owned().into() });
        content.pop();
        content.extend(pieces);
    }
}

/// How much of a prompt has to stand apart from the rest, so that the CLI takes it as it is.
fn harmful(text: &str) -> usize {
    if ITS_OWN.iter().any(|own| text.starts_with(own)) {
        return 1;
    }
    let slashes = text.bytes().take_while(|byte| *byte == b'/').count();
    let is_all = text.get(slashes..).is_some_and(|rest| rest.trim().is_empty());
    // A single one is no command.
    if is_all { slashes.saturating_sub(1) } else { slashes }
}

struct Kept<'a> {
    id: Option<String>,
    model: &'a str,
    message: Message<'a>,
}

impl<'a> Kept<'a> {
    fn api(self) -> Api<'a> {
        let said = self.id.is_some();
        let calls = self.message.content.iter().any(|block| matches!(block, Content::ToolUse { .. }));
        let stop = if calls { "tool_use" } else { "end_turn" };
        Api {
            id: self.id,
            kind: said.then_some("message"),
            model: said.then_some(self.model),
            stop_reason: said.then_some(stop),
            usage: said.then_some(NoTokens { input_tokens: 0, output_tokens: 0 }),
            role: self.message.role,
            content: self.message.content,
        }
    }
}

/// A line of a transcript.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Line<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    is_sidechain: bool,
    user_type: &'static str,
    cwd: &'a Path,
    session_id: &'a str,
    version: &'static str,
    parent_uuid: Option<String>,
    uuid: &'a str,
    timestamp: &'static str,
    message: Api<'a>,
}

#[derive(Serialize)]
struct Api<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<String>,
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    kind: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    model: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    stop_reason: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    usage: Option<NoTokens>,
    role: &'static str,
    content: Vec<Content<'a>>,
}

#[derive(Serialize)]
struct NoTokens {
    input_tokens: u64,
    output_tokens: u64,
}

/// A UUID of random bits (RFC 9562, version 4).
///
/// # Errors
/// Where the system has none.
pub(super) fn uuid() -> Result<String, Failure> {
    let bytes = state::random::<16>().map_err(|error| Failure::new(Kind::Unavailable, error.to_string()))?;
    let bits = u128::from_be_bytes(bytes) & !(0xf << 76 | 0x3 << 62) | 0x4 << 76 | 0x2 << 62;
    let hex = format!("{bits:032x}");
    let piece = |from, to| hex.get(from..to).unwrap_or_default();
    Ok(format!("{}-{}-{}-{}-{}", piece(0, 8), piece(8, 12), piece(12, 16), piece(16, 20), piece(20, 32)))
}

#[cfg(test)]
mod tests;
