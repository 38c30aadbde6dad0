//! The JSON of answers, whose fields are OpenAI's (<https://platform.openai.com/docs/api-reference/chat/object>, `…/chat-streaming`).

use serde::Serialize;

use crate::upstream::bridge::event::{Citation, Done, Stop, Usage};

/// A piece of a streamed answer.
#[derive(Serialize)]
pub(super) struct Chunk<'a> {
    pub id: &'a str,
    pub object: &'static str,
    pub created: u64,
    pub model: &'a str,
    pub choices: &'a [ChunkChoice<'a>],
    /// Null in every chunk but the last, where usage was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub usage: Option<Option<Figures>>,
}

/// What it says.
#[derive(Serialize)]
pub(super) struct ChunkChoice<'a> {
    pub index: u8,
    pub delta: Delta<'a>,
    pub finish_reason: Option<&'static str>,
}

/// What a piece adds.
#[derive(Default, Serialize)]
pub(super) struct Delta<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub role: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub content: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reasoning_content: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub refusal: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tool_calls: Option<[CallDelta<'a>; 1]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub function_call: Option<Function<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub annotations: Vec<Annotation<'a>>,
}

/// A call that begins, or more of its arguments.
#[derive(Serialize)]
pub(super) struct CallDelta<'a> {
    pub index: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<&'a str>,
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    pub kind: Option<&'static str>,
    pub function: Function<'a>,
}

/// What is called, with what.
#[derive(Serialize)]
pub(super) struct Function<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<&'a str>,
    pub arguments: &'a str,
}

/// A whole answer.
#[derive(Serialize)]
pub(super) struct Completion<'a> {
    pub id: &'a str,
    pub object: &'static str,
    pub created: u64,
    pub model: &'a str,
    pub choices: [Choice<'a>; 1],
    pub usage: Figures,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub session_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub project_id: Option<&'a str>,
}

/// What it says.
#[derive(Serialize)]
pub(super) struct Choice<'a> {
    pub index: u8,
    pub message: Message<'a>,
    pub finish_reason: &'static str,
}

/// The message that an answer is.
#[derive(Serialize)]
pub(super) struct Message<'a> {
    pub role: &'static str,
    pub content: Option<String>,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub reasoning_content: String,
    pub refusal: Option<&'a str>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub annotations: Vec<Annotation<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tool_calls: Vec<Call<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub function_call: Option<Function<'a>>,
}

/// A whole call.
#[derive(Serialize)]
pub(super) struct Call<'a> {
    pub id: &'a str,
    #[serde(rename = "type")]
    pub kind: &'static str,
    pub function: Function<'a>,
}

/// A source.
#[derive(Serialize)]
pub(super) struct Annotation<'a> {
    #[serde(rename = "type")]
    pub kind: &'static str,
    pub url_citation: UrlCitation<'a>,
}

/// A source and the text that rests on it.
#[derive(Serialize)]
pub(super) struct UrlCitation<'a> {
    pub start_index: usize,
    pub end_index: usize,
    pub title: &'a str,
    pub url: &'a str,
}

/// A part of the text. Characters.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Span {
    pub start: usize,
    pub end: usize,
    /// Whether there is any text at all.
    pub any: bool,
}

/// A source, of which OpenAI's only kind says that it is on the web. What has no address there has its name instead.
pub(super) fn annotation(citation: &Citation, span: Span) -> Annotation<'_> {
    let url = citation.url.as_deref().unwrap_or(&citation.id);
    let url_citation = UrlCitation {
        start_index: span.start,
        end_index: span.end,
        title: citation.title.as_deref().unwrap_or(if citation.id.is_empty() { url } else { &citation.id }),
        url,
    };
    Annotation { kind: "url_citation", url_citation }
}

/// Why an answer ended, in the words of OpenAI's completions.
pub(in crate::upstream::bridge::door) fn finish_reason(stop: &Stop) -> &'static str {
    match stop {
        Stop::EndTurn | Stop::Sequence(_) => "stop",
        Stop::MaxTokens => "length",
        Stop::ToolUse => "tool_calls",
        Stop::Refusal => "content_filter",
    }
}

/// What an answer took, as OpenAI's completions say it.
#[derive(Default, Serialize)]
pub(in crate::upstream::bridge::door) struct Figures {
    prompt_tokens: u64,
    completion_tokens: u64,
    total_tokens: u64,
    prompt_tokens_details: PromptDetails,
    completion_tokens_details: CompletionDetails,
    /// Whether nobody counted them.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    estimated: bool,
    /// USD.
    #[serde(skip_serializing_if = "Option::is_none")]
    cost: Option<f64>,
}

#[derive(Default, Serialize)]
struct PromptDetails {
    cached_tokens: u64,
    cache_write_tokens: u64,
}

#[derive(Default, Serialize)]
struct CompletionDetails {
    #[serde(skip_serializing_if = "Option::is_none")]
    reasoning_tokens: Option<u64>,
}

impl Figures {
    /// What `done` says.
    pub(in crate::upstream::bridge::door) fn new(done: &Done) -> Self {
        let Usage { cache_read, cache_write, output, reasoning, estimated, .. } = done.usage;
        let prompt = done.usage.prompt();
        Self {
            prompt_tokens: prompt,
            completion_tokens: output,
            total_tokens: prompt.saturating_add(output),
            prompt_tokens_details: PromptDetails {
                cached_tokens: cache_read,
                cache_write_tokens: cache_write,
            },
            completion_tokens_details: CompletionDetails { reasoning_tokens: reasoning },
            estimated,
            cost: done.cost,
        }
    }
}
