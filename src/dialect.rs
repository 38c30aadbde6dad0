//! What requests and responses mean, provider by provider: read-only knowledge, without I/O, clock or failure.
//!
//! A dialect skips what it does not know. What it is given may be cut anywhere, wrong in part or hostile; it tells
//! what can be read of it, and holds no more memory than it is allowed.

mod anthropic_messages;
#[cfg(test)]
mod bounds;
mod budget;
mod failure;
mod fields;
#[cfg(test)]
mod golden;
mod json;
mod openai_chat;
mod reader;

use std::sync::Arc;

use http::Method;
use perimeter_interceptor::{CallId, Media, Part, Role, Tool, ToolResult, Turn};

pub(crate) use self::reader::{Reader, Streaming};

/// An API that we understand.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Dialect {
    /// `POST …/chat/completions`.
    OpenAiChat,
    /// `POST …/v1/messages`.
    AnthropicMessages,
}

impl Dialect {
    /// The dialect that a request speaks, by its method and the end of its path (without the query).
    pub(crate) fn of(method: &Method, path: &str) -> Option<Self> {
        if method != Method::POST {
            return None;
        }
        let path = path.strip_suffix('/').unwrap_or(path);
        if path.ends_with("/chat/completions") {
            Some(Self::OpenAiChat)
        } else if path.ends_with("/v1/messages") {
            Some(Self::AnthropicMessages)
        } else {
            None
        }
    }

    /// Its name, as in [`perimeter_interceptor::Call::dialect`].
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::OpenAiChat => "openai_chat",
            Self::AnthropicMessages => "anthropic_messages",
        }
    }

    /// Reads the body of the request `call`, decoded. Where it is not `whole`, it tells what was in it before the
    /// cut.
    pub(crate) fn read_request(self, call: CallId, body: &[u8], whole: bool) -> Prompt {
        let read = |body: &[u8]| {
            let mut prompt = Prompt::default();
            let read = match self {
                Self::OpenAiChat => openai_chat::read_request(call, body, &mut prompt),
                Self::AnthropicMessages => anthropic_messages::read_request(call, body, &mut prompt),
            };
            prompt.partial = !whole || read != json::Read::Fine;
            (prompt, read)
        };
        let (prompt, first) = read(body);
        match json::mend(body) {
            Some(mended) if first == json::Read::Broken => read(&mended).0,
            _ => prompt,
        }
    }

    /// A reader of the response to `call`, which may hold about `limit` bytes at once.
    pub(crate) fn reader(self, call: CallId, status: u16, streaming: Streaming, limit: usize) -> Reader {
        Reader::new(self, call, status, streaming, limit)
    }
}

/// What a request asks.
#[derive(Clone, Debug, Default)]
pub(crate) struct Prompt {
    /// The model that is asked for.
    pub(crate) model: Option<Arc<str>>,
    /// Whether the answer is to come as a stream.
    pub(crate) streaming: bool,
    /// Whether something was not read: the body was cut, or is not what the dialect expects.
    pub(crate) partial: bool,
    /// The conversation so far, the system prompt first.
    pub(crate) turns: Vec<Turn>,
    /// The tools that the model may ask for.
    pub(crate) tools: Vec<Tool>,
}

/// The role that both dialects mean by this word.
fn role(word: &str) -> Role {
    match word {
        "system" | "developer" => Role::System,
        "user" => Role::User,
        "assistant" => Role::Assistant,
        "tool" | "function" => Role::Tool,
        other => Role::Other(other.into()),
    }
}

/// A tool's answer that is made of these parts, and those of them that are no text.
fn tool_result(id: Option<Arc<str>>, is_error: bool, content: Vec<Part>) -> (ToolResult, Vec<Part>) {
    let mut texts: Vec<Arc<str>> = Vec::new();
    let mut rest = Vec::new();
    for part in content {
        match part {
            Part::Text(text) => texts.push(text),
            part => rest.push(part),
        }
    }
    let text = match &*texts {
        [text] => text.clone(),
        texts => texts.join("\n").into(),
    };
    let mut result = ToolResult::new(id, text);
    result.is_error = is_error;
    (result, rest)
}

/// Something that is given as a URL. One of the scheme `data` holds it.
fn media(kind: &str, url: &str) -> Media {
    let mut media = Media::new(kind);
    if let Some((head, data)) = url.strip_prefix("data:").and_then(|url| url.split_once(',')) {
        let media_type = head.split(';').next().filter(|media_type| !media_type.is_empty());
        media.media_type = media_type.map(Into::into);
        media.size = data.len() as u64;
    }
    media
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dialect_is_known_by_method_and_the_end_of_the_path() {
        let of = |path| Dialect::of(&Method::POST, path);
        assert_eq!(of("/v1/chat/completions"), Some(Dialect::OpenAiChat));
        assert_eq!(of("/openai/deployments/x/chat/completions"), Some(Dialect::OpenAiChat));
        assert_eq!(of("/chat/completions/"), Some(Dialect::OpenAiChat));
        assert_eq!(of("/v1/messages"), Some(Dialect::AnthropicMessages));
        assert_eq!(of("/proxied/anthropic/v1/messages"), Some(Dialect::AnthropicMessages));
        assert_eq!(of("/v1/messages/count_tokens"), None);
        assert_eq!(of("/v1/messages/batches"), None);
        assert_eq!(of("/v1/chat/completions/chatcmpl-1/messages"), None);
        assert_eq!(of("/v1/threads/t/messages"), None);
        assert_eq!(of(""), None);
        assert_eq!(Dialect::of(&Method::GET, "/v1/chat/completions"), None);
    }
}
