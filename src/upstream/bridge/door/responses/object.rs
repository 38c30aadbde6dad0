//! A response and its items, as clients see them (<https://platform.openai.com/docs/api-reference/responses/object>).

use serde::Serialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};

use crate::upstream::bridge::event::{Citation, Done, Stop, Usage};
use crate::upstream::bridge::{Failure, Kind};

/// Something of the request, or what holds without it.
#[derive(Debug, Serialize)]
#[serde(untagged)]
pub(super) enum Shown {
    /// As it came.
    Given(Box<RawValue>),
    /// As OpenAI has it.
    Default(Value),
}

/// What a response repeats of its request.
#[derive(Debug, Serialize)]
pub(super) struct Echo {
    pub(super) instructions: Shown,
    pub(super) metadata: Shown,
    pub(super) parallel_tool_calls: Shown,
    pub(super) temperature: Shown,
    pub(super) top_p: Shown,
    pub(super) tool_choice: Shown,
    pub(super) tools: Shown,
    pub(super) max_output_tokens: Shown,
    pub(super) max_tool_calls: Shown,
    pub(super) previous_response_id: Shown,
    pub(super) prompt_cache_key: Shown,
    pub(super) reasoning: Shown,
    pub(super) safety_identifier: Shown,
    pub(super) user: Shown,
    pub(super) text: Shown,
    pub(super) conversation: Shown,
    pub(super) service_tier: &'static str,
    pub(super) top_logprobs: u8,
    pub(super) truncation: &'static str,
    pub(super) background: bool,
    pub(super) store: bool,
}

/// A response, however far it has come.
#[derive(Serialize)]
pub(super) struct Response<'a> {
    pub(super) id: &'a str,
    pub(super) object: &'static str,
    pub(super) created_at: u64,
    pub(super) completed_at: Option<u64>,
    pub(super) status: &'static str,
    pub(super) error: Option<Value>,
    pub(super) incomplete_details: Option<Value>,
    pub(super) model: &'a str,
    pub(super) output: &'a [Item],
    pub(super) usage: Option<Value>,
    #[serde(flatten)]
    pub(super) echo: &'a Echo,
}

/// An item of the output.
#[derive(Clone, Debug, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(super) enum Item {
    /// Text, or a refusal.
    Message { id: String, status: &'static str, role: &'static str, content: Vec<Part> },
    /// Thinking.
    Reasoning { id: String, status: &'static str, summary: Vec<Summary>, encrypted_content: Option<String> },
    /// A call of a tool.
    FunctionCall { id: String, status: &'static str, call_id: String, name: String, arguments: String },
}

/// A part of a message.
#[derive(Clone, Debug, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(super) enum Part {
    /// Text.
    OutputText { text: String, annotations: Vec<Annotation>, logprobs: [u8; 0] },
    /// In which words the model refused.
    Refusal { refusal: String },
}

/// A part of what is shown of thinking.
#[derive(Clone, Debug, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(super) enum Summary {
    /// All of it.
    SummaryText { text: String },
}

/// A source of a text. Indices are in characters.
#[derive(Clone, Debug, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(super) enum Annotation {
    /// On the web; of all of the text.
    UrlCitation { start_index: usize, end_index: usize, title: String, url: String },
    /// Elsewhere.
    FileCitation { file_id: String, filename: String, index: usize },
}

impl Annotation {
    /// `text` rests on `citation`.
    pub(super) fn of(citation: &Citation, text: &str) -> Self {
        let end = text.chars().count();
        let Citation { title, url, id } = citation;
        match url {
            Some(url) => Self::UrlCitation {
                start_index: 0,
                end_index: end,
                title: title.clone().unwrap_or_else(|| id.clone()),
                url: url.clone(),
            },
            None => Self::FileCitation {
                file_id: id.clone(),
                filename: title.clone().unwrap_or_else(|| id.clone()),
                index: end,
            },
        }
    }
}

impl Item {
    /// Its id.
    pub(super) fn id(&self) -> &str {
        match self {
            Self::Message { id, .. } | Self::Reasoning { id, .. } | Self::FunctionCall { id, .. } => id,
        }
    }

    /// How far it has come.
    pub(super) fn set_status(&mut self, now: &'static str) {
        match self {
            Self::Message { status, .. }
            | Self::Reasoning { status, .. }
            | Self::FunctionCall { status, .. } => *status = now,
        }
    }
}

/// The id of an item: the response's own, and where the item is in it. `list` is `i`nput or `o`utput.
pub(super) fn item_id(kind: &str, response: &str, list: char, at: usize) -> String {
    let response = response.strip_prefix("resp_").unwrap_or(response);
    format!("{kind}_{response}{list}{at:x}")
}

/// `status` and `incomplete_details` of a response that ended like this. A refusal in words is an answer.
pub(super) fn status(done: &Done) -> (&'static str, Option<Value>) {
    match (&done.stop, &done.refusal) {
        (Stop::MaxTokens, _) => ("incomplete", Some(json!({"reason": "max_output_tokens"}))),
        (Stop::Refusal, None) => ("incomplete", Some(json!({"reason": "content_filter"}))),
        _ => ("completed", None),
    }
}

/// What a response took.
pub(super) fn usage(usage: &Usage) -> Value {
    let mut value = json!({
        "input_tokens": usage.prompt(),
        "input_tokens_details": {"cached_tokens": usage.cache_read, "cache_write_tokens": usage.cache_write},
        "output_tokens": usage.output,
        "output_tokens_details": {"reasoning_tokens": usage.reasoning.unwrap_or_default()},
        "total_tokens": usage.prompt().saturating_add(usage.output),
    });
    if usage.estimated {
        value["estimated"] = true.into();
    }
    value
}

/// `error` of a response that failed. Its codes are few; the bridge's own is the type.
pub(super) fn error(failure: &Failure) -> Value {
    let code = match failure.kind {
        Kind::RateLimit | Kind::QueueFull | Kind::QueueTimeout => "rate_limit_exceeded",
        kind if kind.status().is_client_error() => "invalid_prompt",
        _ => "server_error",
    };
    json!({"code": code, "message": failure.message, "type": failure.kind.code(), "param": failure.param})
}
