//! The lines that the CLI prints with `--output-format stream-json`, as far as they are of interest.
//!
//! The order of their keys is not fixed, and fields come and go with its versions: whatever can be missing may be.

use std::collections::HashMap;

use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

use crate::upstream::bridge::event::Usage;

/// A line. Which fields it has depends on its `type`.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Line {
    /// `system`, `stream_event`, `assistant`, `user`, `result`, `rate_limit_event`, `control_request` and more.
    #[serde(rename = "type")]
    pub kind: String,
    /// Of `system` and `result`.
    pub subtype: Option<String>,
    /// The call that a sub-agent works for. What has one is none of the conversation's.
    pub parent_tool_use_id: Option<String>,
    /// Of `stream_event`: what the API sent.
    pub event: Option<Box<RawValue>>,
    /// Of `assistant` and `user`.
    pub message: Option<Box<RawValue>>,
    /// Of `stream_event`: what of the message does not count, because the stream broke off.
    pub abandoned_blocks: Option<Abandoned>,
    /// Of an `assistant` line about a failure: its kind. Of `api_retry`, too.
    pub error: Option<Value>,
    /// The status of the API, where that is the failure.
    pub api_error_status: Option<u16>,
    /// Of `control_request`.
    pub request_id: Option<String>,
    /// Of `control_request`.
    pub request: Option<Request>,
    /// Of `control_response`.
    pub response: Option<Response>,
    /// Of `rate_limit_event`.
    pub rate_limit_info: Option<Limit>,
    /// Of `result`: whether there is no answer.
    #[serde(default)]
    pub is_error: bool,
    /// Of `result`: its text, or that of the failure.
    pub result: Option<Value>,
    /// Of `result`: more about a failure.
    pub errors: Option<Vec<Value>>,
    /// Of `result`: how the turn ended, in the CLI's own words.
    pub terminal_reason: Option<String>,
    /// Of `result`: how the last message ended, in the API's.
    pub stop_reason: Option<String>,
    /// Of `result`: USD, of the whole process.
    pub total_cost_usd: Option<f64>,
    /// Of `result`: tokens of the turn.
    pub usage: Option<Tokens>,
    /// Of `result`: tokens of all models since the last one.
    pub model_usage_since_last_result: Option<HashMap<String, ModelTokens>>,
    /// Of `result`: the value that `jsonSchema` asked for.
    pub structured_output: Option<Box<RawValue>>,
}

impl Line {
    /// Reads a line. What cannot be read is none of ours.
    pub(super) fn read(line: &[u8]) -> Option<Self> {
        serde_json::from_slice(line).ok()
    }

    /// Whether this is part of a turn, and not about how the CLI is set up.
    pub(super) fn is_of_a_turn(&self) -> bool {
        let about = self.subtype.as_deref();
        match self.kind.as_str() {
            "system" => matches!(about, Some("init" | "status" | "api_retry" | "thinking_tokens")),
            kind => !kind.starts_with("control_"),
        }
    }

    /// Whether a `result` is about a conversation that the CLI cannot go on with.
    pub(super) fn knows_no_conversation(&self) -> bool {
        let about =
            |error: &Value| error.as_str().is_some_and(|error| error.contains("No conversation found"));
        self.errors.iter().flatten().any(about)
    }
}

/// What of a message does not count.
#[derive(Debug, Deserialize)]
pub(super) struct Abandoned {
    /// Its blocks from this one on.
    #[serde(default)]
    pub from_block_index: u64,
}

/// What the CLI asks of its host.
#[derive(Debug, Deserialize)]
pub(super) struct Request {
    /// `mcp_message`, `can_use_tool`, `hook_callback` and others.
    pub subtype: String,
    /// Of `mcp_message`: JSON-RPC.
    pub message: Option<Rpc>,
}

/// A message of JSON-RPC, as MCP has it (<https://modelcontextprotocol.io/specification>).
#[derive(Debug, Deserialize)]
pub(super) struct Rpc {
    /// What is asked for.
    pub method: Option<String>,
    /// By what an answer is known. Notifications have none.
    pub id: Option<Value>,
    /// With what.
    #[serde(default)]
    pub params: Value,
}

/// What the CLI answers its host.
#[derive(Debug, Deserialize)]
pub(super) struct Response {
    /// `success` or `error`.
    pub subtype: String,
    /// To what.
    pub request_id: Option<String>,
    /// Why not.
    pub error: Option<Value>,
    /// What it answers.
    pub response: Option<Box<RawValue>>,
}

/// How far the limits of an account are used up.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Limit {
    /// `allowed`, `allowed_warning`, `rejected`.
    pub status: Option<String>,
    /// Seconds since 1970.
    pub resets_at: Option<u64>,
    /// `five_hour`, `seven_day` and so on.
    pub rate_limit_type: Option<String>,
    /// Of 1.
    pub utilization: Option<f64>,
}

/// An event of the Messages API (<https://docs.claude.com/en/docs/build-with-claude/streaming>).
#[derive(Debug, Deserialize)]
pub(super) struct Streamed {
    /// `message_start` and so on.
    #[serde(rename = "type")]
    pub kind: String,
    /// Of `message_start`.
    pub message: Option<Box<RawValue>>,
    /// Which block.
    #[serde(default)]
    pub index: u64,
    /// Of `content_block_start`.
    pub content_block: Option<Content>,
    /// Of `content_block_delta` and `message_delta`.
    pub delta: Option<Delta>,
    /// Of `message_delta`.
    pub usage: Option<Tokens>,
}

/// What `content_block_delta` and `message_delta` add.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Delta {
    /// Of a block.
    #[serde(rename = "type")]
    pub kind: Option<String>,
    /// Of `text_delta`.
    pub text: Option<String>,
    /// Of `thinking_delta`.
    pub thinking: Option<String>,
    /// Of `signature_delta`.
    pub signature: Option<String>,
    /// Of `input_json_delta`.
    pub partial_json: Option<String>,
    /// Of a message.
    pub stop_reason: Option<String>,
    /// Of a message.
    pub stop_sequence: Option<String>,
}

/// A message of the Messages API.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Message {
    /// Its id.
    pub id: String,
    /// Who wrote it; the CLI itself is `<synthetic>`.
    pub model: String,
    /// Its blocks.
    pub content: Vec<Content>,
    /// Tokens of the input, and of the output so far.
    pub usage: Option<Tokens>,
    /// Why it ended. The CLI leaves it out of most lines.
    pub stop_reason: Option<String>,
}

/// A block of a message.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Content {
    /// `text`, `thinking`, `redacted_thinking`, `tool_use`.
    #[serde(rename = "type")]
    pub kind: String,
    /// Of `text`.
    pub text: Option<String>,
    /// Of `thinking`.
    pub thinking: Option<String>,
    /// Of `thinking`.
    pub signature: Option<String>,
    /// Of `redacted_thinking`.
    pub data: Option<String>,
    /// Of `tool_use`.
    pub id: Option<String>,
    /// Of `tool_use`.
    pub name: Option<String>,
    /// Of `tool_use`.
    pub input: Option<Box<RawValue>>,
}

/// Tokens as the Messages API counts them.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Tokens {
    input_tokens: Option<u64>,
    cache_read_input_tokens: Option<u64>,
    cache_creation_input_tokens: Option<u64>,
    output_tokens: Option<u64>,
    output_tokens_details: Option<Details>,
}

#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(default)]
struct Details {
    thinking_tokens: Option<u64>,
}

impl Tokens {
    /// What of `usage` these know better.
    pub(super) fn over(self, usage: Usage) -> Usage {
        let thinking = self.output_tokens_details.and_then(|details| details.thinking_tokens);
        Usage {
            input: self.input_tokens.unwrap_or(usage.input),
            cache_read: self.cache_read_input_tokens.unwrap_or(usage.cache_read),
            cache_write: self.cache_creation_input_tokens.unwrap_or(usage.cache_write),
            output: self.output_tokens.unwrap_or(usage.output),
            reasoning: thinking.or(usage.reasoning),
            estimated: false,
        }
    }
}

/// Tokens as the CLI counts them, of one model.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct ModelTokens {
    input_tokens: u64,
    output_tokens: u64,
    cache_read_input_tokens: u64,
    cache_creation_input_tokens: u64,
    thinking_tokens: Option<u64>,
}

impl From<ModelTokens> for Usage {
    fn from(tokens: ModelTokens) -> Self {
        Self {
            input: tokens.input_tokens,
            cache_read: tokens.cache_read_input_tokens,
            cache_write: tokens.cache_creation_input_tokens,
            output: tokens.output_tokens,
            reasoning: tokens.thinking_tokens,
            estimated: false,
        }
    }
}
