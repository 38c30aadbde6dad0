//! What requests and responses mean, provider by provider: read-only knowledge, without I/O, clock or failure.
//!
//! A dialect skips what it does not know. What it is given may be cut anywhere, wrong in part or hostile; it tells
//! what can be read of it, and holds no more memory than it is allowed.

mod anthropic_messages;
mod asked;
#[cfg(test)]
mod bounds;
mod budget;
#[cfg(test)]
mod documented;
mod failure;
mod fields;
mod gemini;
#[cfg(test)]
pub(crate) mod golden;
mod history;
mod inputs;
mod json;
mod measured;
mod money;
mod names;
mod openai_chat;
mod openai_completions;
mod openai_realtime;
mod openai_responses;
mod reader;
mod skim;
mod socket;
mod source;
mod tools;
mod units;

use std::hash::{BuildHasher as _, Hasher as _};
use std::sync::Arc;

use perimeter_interceptor::{CallId, Media, Operation, Part, Role, Tool, ToolResult, Turn};

pub(crate) use self::asked::{Asked, is_call};
pub(crate) use self::history::{Histories, Lead, News};
pub(crate) use self::measured::Form as MultipartForm;
pub(crate) use self::names::{Names, name, shortened};
pub(crate) use self::openai_realtime::Conversation;
pub(crate) use self::reader::{Form, Reader};
pub(crate) use self::socket::{Heading, is_socket, request_of};
pub(crate) use self::units::{Run, Seed, Unit, Units};

/// An API that we understand.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Dialect {
    /// OpenAI's Chat Completions.
    OpenAiChat,
    /// OpenAI's Responses.
    OpenAiResponses,
    /// OpenAI's Realtime, on a socket.
    OpenAiRealtime,
    /// OpenAI's Completions, the API before Chat Completions.
    OpenAiCompletions,
    /// What else OpenAI offers: measured, not read.
    OpenAiOther,
    /// Anthropic's Messages.
    AnthropicMessages,
    /// What else Anthropic offers: measured, not read.
    AnthropicOther,
    /// Gemini's `generateContent`.
    Gemini,
    /// What else Gemini offers: measured, not read.
    GeminiOther,
}

impl Dialect {
    /// Its name, as in [`perimeter_interceptor::Call::dialect`].
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::OpenAiChat => "openai_chat",
            Self::OpenAiResponses => "openai_responses",
            Self::OpenAiRealtime => "openai_realtime",
            Self::OpenAiCompletions => "openai_completions",
            Self::OpenAiOther => "openai_other",
            Self::AnthropicMessages => "anthropic_messages",
            Self::AnthropicOther => "anthropic_other",
            Self::Gemini => "gemini",
            Self::GeminiOther => "gemini_other",
        }
    }

    /// Whether its calls are only measured.
    fn is_measured(self) -> bool {
        matches!(self, Self::OpenAiOther | Self::AnthropicOther | Self::GeminiOther)
    }

    /// Who made it.
    fn vendor(self) -> &'static str {
        match self {
            Self::OpenAiChat
            | Self::OpenAiResponses
            | Self::OpenAiRealtime
            | Self::OpenAiCompletions
            | Self::OpenAiOther => "openai",
            Self::AnthropicMessages | Self::AnthropicOther => "anthropic",
            Self::Gemini | Self::GeminiOther => "gemini",
        }
    }
}

impl Asked {
    /// What is asked of the conversation whose tokens are counted, where that is what is asked.
    pub(crate) fn counted(&self) -> Option<Self> {
        let dialect = match self.dialect {
            _ if self.operation != Operation::CountTokens => return None,
            Dialect::OpenAiOther => Dialect::OpenAiResponses,
            Dialect::AnthropicOther => Dialect::AnthropicMessages,
            Dialect::GeminiOther => Dialect::Gemini,
            _ => return None,
        };
        Some(Self { dialect, ..self.clone() })
    }

    /// Reads the body of the request `call`, decoded, and of this content type. Where it is not `whole`, it tells
    /// what was in it before the cut.
    pub(crate) fn read_request(
        &self,
        call: CallId,
        content_type: Option<&[u8]>,
        body: &[u8],
        whole: bool,
    ) -> Prompt {
        let mut prompt = if self.has_body {
            self.read_body(call, content_type, body, whole)
        } else {
            Prompt { partial: !whole, ..Prompt::default() }
        };
        self.complete(&mut prompt);
        prompt
    }

    fn read_body(&self, call: CallId, content_type: Option<&[u8]>, body: &[u8], whole: bool) -> Prompt {
        let read = |body: &[u8]| {
            let mut prompt = Prompt::default();
            let read = match self.dialect {
                Dialect::OpenAiChat => openai_chat::read_request(call, body, &mut prompt),
                Dialect::OpenAiResponses => openai_responses::read_request(call, body, &mut prompt),
                Dialect::OpenAiRealtime => openai_realtime::read_request(call, body, &mut prompt),
                Dialect::OpenAiCompletions => openai_completions::read_request(body, &mut prompt),
                Dialect::AnthropicMessages => anthropic_messages::read_request(call, body, &mut prompt),
                Dialect::Gemini => gemini::read_request(call, body, &mut prompt),
                Dialect::OpenAiOther | Dialect::AnthropicOther | Dialect::GeminiOther => {
                    measured::read_request(self, content_type, body, &mut prompt)
                }
            };
            prompt.partial = !whole || read != json::Read::Fine;
            (prompt, read)
        };
        let closed = if whole { None } else { json::close(body) };
        let text = closed.as_deref().unwrap_or(body);
        let (mut prompt, first) = read(text);
        if first == json::Read::Broken
            && let Some(mended) = json::mend(text)
        {
            prompt = read(&mended).0;
        }
        if closed.is_some() && prompt.names != Names::default() {
            // The text that was brought to an end may be a name, and half a name is another.
            prompt.names = read(body).0.names;
        }
        prompt
    }

    /// A reader of the request's body, where that is a form whose files are only measured.
    pub(crate) fn form(&self, content_type: Option<&[u8]>) -> Option<MultipartForm> {
        if self.has_body && self.dialect.is_measured() { MultipartForm::of(content_type) } else { None }
    }

    /// What a form says that has been read, `whole` or not.
    pub(crate) fn read_form(&self, form: MultipartForm, whole: bool) -> Prompt {
        let mut prompt = Prompt::default();
        prompt.partial = !form.fill(self.operation, &mut prompt) || !whole;
        self.complete(&mut prompt);
        prompt
    }

    /// Adds what the head of the request says.
    fn complete(&self, prompt: &mut Prompt) {
        if prompt.model.is_none() {
            prompt.model.clone_from(&self.model);
        }
        prompt.streaming |= self.streaming;
    }

    /// A reader of the response to `call`, which may hold about `limit` bytes at once.
    pub(crate) fn reader(&self, call: CallId, status: u16, form: Form, limit: usize) -> Reader {
        Reader::new(self, call, status, form, limit)
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
    /// The id of the response that it continues.
    pub(crate) previous: Option<Arc<str>>,
    /// The id of the conversation that it belongs to.
    pub(crate) conversation: Option<Arc<str>>,
    /// The conversation so far, the system prompt first.
    pub(crate) turns: Vec<Turn>,
    /// The tools that the model may ask for.
    pub(crate) tools: Vec<Tool>,
    /// What the body says of whose conversation it is.
    pub(crate) names: Names,
}

/// The role that this word means, in all dialects that have roles of these names.
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

/// Tells content from other content: for [`Media::hash`].
fn content_hash(content: &str) -> u64 {
    if content.is_empty() {
        return 0;
    }
    let mut hasher = foldhash::quality::FixedState::default().build_hasher();
    hasher.write(content.as_bytes());
    hasher.finish()
}

/// Something that is given as a URL. One of the scheme `data` holds it.
fn media(kind: &str, url: &str) -> Media {
    let mut media = Media::new(kind);
    media.hash = content_hash(unsigned(url));
    if let Some((head, data)) = url.strip_prefix("data:").and_then(|url| url.split_once(',')) {
        let media_type = head.split(';').next().filter(|media_type| !media_type.is_empty());
        media.media_type = media_type.map(Into::into);
        media.size = data.len() as u64;
    }
    media
}

/// What in a link's query shows that it is signed, for a while: S3 and what is made after it, Google's, Azure's and
/// CloudFront's stores.
const SIGNED: [&str; 4] = ["X-Amz-Signature=", "X-Goog-Signature=", "sig=", "Signature="];

/// A link without its signature, which apps make anew for each request.
fn unsigned(url: &str) -> &str {
    let parts = url.starts_with("http").then(|| url.split_once('?')).flatten();
    match parts {
        Some((link, query)) if query.split('&').any(is_signature) => link,
        _ => url,
    }
}

fn is_signature(field: &str) -> bool {
    SIGNED.iter().any(|name| field.starts_with(name))
}
