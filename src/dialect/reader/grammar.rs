//! Which functions read the answers of a dialect.

use perimeter_interceptor::CallId;

use super::{Answered, Gather};
use crate::dialect::{
    Dialect, anthropic_messages, gemini, openai_chat, openai_completions, openai_realtime, openai_responses,
};

/// How a dialect reads its answers.
#[derive(Clone, Copy)]
pub(super) struct Grammar {
    /// One that comes at once.
    pub(super) whole: for<'de> fn(CallId, &'de [u8]) -> Answered<'de>,
    /// One that comes in events; of this status, and holding about so many bytes.
    pub(super) stream: fn(CallId, u16, usize) -> Box<dyn Gather + Send>,
}

impl Grammar {
    /// That of a dialect that is read, and not only measured.
    pub(super) fn of(dialect: Dialect) -> Option<Self> {
        Some(match dialect {
            Dialect::OpenAiChat => Self {
                whole: openai_chat::read_answer,
                stream: |call, status, limit| Box::new(openai_chat::Stream::new(call, status, limit)),
            },
            Dialect::OpenAiResponses => Self {
                whole: openai_responses::read_answer,
                stream: |call, status, limit| Box::new(openai_responses::Stream::new(call, status, limit)),
            },
            Dialect::OpenAiRealtime => Self {
                // It answers in messages alone, and its responses are written like those.
                whole: openai_responses::read_answer,
                stream: |call, status, limit| Box::new(openai_realtime::Stream::new(call, status, limit)),
            },
            Dialect::OpenAiCompletions => Self {
                whole: openai_completions::read_answer,
                stream: |call, status, limit| Box::new(openai_completions::stream(call, status, limit)),
            },
            Dialect::AnthropicMessages => Self {
                whole: anthropic_messages::read_answer,
                stream: |call, status, limit| Box::new(anthropic_messages::Stream::new(call, status, limit)),
            },
            Dialect::Gemini => Self {
                whole: gemini::read_answer,
                stream: |call, status, limit| Box::new(gemini::Stream::new(call, status, limit)),
            },
            Dialect::OpenAiOther | Dialect::AnthropicOther | Dialect::GeminiOther => return None,
        })
    }
}
