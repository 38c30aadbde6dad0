//! What an exchange means to a model's API, whichever dialect it speaks.

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;

use crate::{Cost, Session, Stream, Usage};

/// What the bytes so far mean.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum LlmEvent {
    /// The request has been read, and its session is known.
    Call(Arc<Call>),
    /// The model said a little more. Only streamed answers come in these.
    Delta(Delta),
    /// The model asked for a tool, its input complete.
    ToolUse(Arc<ToolUse>),
    /// The model finished.
    Completion(Arc<Completion>),
    /// The answer broke off, or was not seen to its end: what it had said by then.
    Cut(Arc<Completion>),
    /// The provider answered with an error, in place of an answer or in the middle of one. In the middle, what had
    /// been said by then comes as [`LlmEvent::Cut`] before it.
    Failure(Arc<ApiFailure>),
}

impl LlmEvent {
    /// The call that it belongs to.
    pub fn call(&self) -> CallId {
        match self {
            Self::Call(event) => event.id,
            Self::Delta(event) => event.call,
            Self::ToolUse(event) => event.call,
            Self::Completion(event) | Self::Cut(event) => event.call,
            Self::Failure(event) => event.call,
        }
    }
}

/// Tells the calls of one exchange apart: a socket carries many. The first is 0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CallId(pub u32);

impl fmt::Display for CallId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A request as its provider means it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Call {
    /// Which call of its exchange.
    pub id: CallId,
    /// The API that it speaks, such as `openai_chat` or `anthropic_messages`.
    pub dialect: &'static str,
    /// What it asks for.
    pub operation: Operation,
    /// Whose API it is, as far as its path and headers show: `openai`, `azure`, `anthropic`, `bedrock`, `vertex`,
    /// `gemini`. Many others speak OpenAI's, and are told by that name.
    pub vendor: &'static str,
    /// The model that is asked for.
    pub model: Option<Arc<str>>,
    /// Whether the answer is to come as a stream.
    pub streaming: bool,
    /// Whether the request was not read whole: it was cut, larger than `observe.body_limit`, or not what the dialect
    /// expects. What is here was in it.
    pub partial: bool,
    /// The id of the response that it continues, where the provider remembers the conversation up to there.
    pub previous: Option<Arc<str>>,
    /// The id of the conversation that the provider keeps, and adds this call and its answer to.
    pub conversation: Option<Arc<str>>,
    /// The conversation that it belongs to.
    pub session: Arc<Session>,
    /// How many of the messages in the body, counted from the first, this session had seen in an earlier call. They
    /// are not among the `news`, but for instructions among them that are new. A system prompt that stands outside of
    /// the list of messages is not counted.
    pub known: usize,
    /// The turns that this session had not seen yet, tool results among them. The system prompt is the first, in each
    /// call where it is new or changed.
    pub news: Vec<Turn>,
    /// All turns of the request in their order, where an interceptor asked for [`Interest::HISTORY`](crate::Interest);
    /// else none.
    pub history: Arc<[Turn]>,
    /// The tools that the model may ask for: all of them, in each call.
    pub tools: Arc<[Tool]>,
    /// The request's body, decoded (no content encoding), as the client wrote it.
    pub body: Bytes,
    /// How the body begins, up to the end of each of its messages, in their order: what another call began with as well
    /// need not be looked at again. None where the body is short or cut, is no conversation that is written as usual,
    /// or, but on a socket, sessions are off.
    pub prefixes: Arc<[Prefix]>,
}

/// The bytes of a body from its first to the last of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Prefix {
    /// How many they are.
    pub len: usize,
    /// The same for the same bytes, and another for others, within one run of the program.
    pub hash: u64,
}

impl Prefix {
    /// So many bytes, with this hash.
    pub fn new(len: usize, hash: u64) -> Self {
        Self { len, hash }
    }
}

impl Call {
    /// A call of nothing yet.
    pub fn new(id: CallId, dialect: &'static str, session: Arc<Session>) -> Self {
        Self {
            id,
            dialect,
            operation: Operation::Chat,
            vendor: "openai",
            model: None,
            streaming: false,
            partial: false,
            previous: None,
            conversation: None,
            session,
            known: 0,
            news: Vec::new(),
            history: Arc::default(),
            tools: Arc::default(),
            body: Bytes::new(),
            prefixes: Arc::default(),
        }
    }
}

/// What a call asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Operation {
    /// The next turn of a conversation.
    Chat,
    /// The continuation of a text.
    TextCompletion,
    /// Vectors of texts.
    Embeddings,
    /// Whether texts are harmful.
    Moderation,
    /// Pictures, made or changed.
    Image,
    /// A text read aloud.
    Speech,
    /// Speech as text, in its own language or another.
    Transcription,
    /// How many tokens a conversation takes.
    CountTokens,
    /// Files, sent, listed, read or deleted.
    Files,
    /// Many calls at once, answered later.
    Batches,
    /// Which models there are.
    Models,
    /// An earlier answer, fetched, listed, cancelled or deleted.
    Retrieval,
    /// Anything else that a provider offers.
    Other,
}

impl Operation {
    /// The word for it. Where OpenTelemetry's `gen_ai.operation.name` has one, it is that.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Chat => "chat",
            Self::TextCompletion => "text_completion",
            Self::Embeddings => "embeddings",
            Self::Moderation => "moderation",
            Self::Image => "image",
            Self::Speech => "speech",
            Self::Transcription => "transcription",
            Self::CountTokens => "count_tokens",
            Self::Files => "files",
            Self::Batches => "batches",
            Self::Models => "models",
            Self::Retrieval => "retrieval",
            Self::Other => "other",
        }
    }
}

/// Who speaks in a [`Turn`].
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Role {
    /// Instructions: a system prompt, a `developer` message.
    System,
    /// The user, or the app in the user's name.
    User,
    /// The model.
    Assistant,
    /// A tool, answering. (Anthropic has no such role: there, results stand in a user's turn.)
    Tool,
    /// Anything else, in the provider's word.
    Other(Arc<str>),
}

impl Role {
    /// The word for it.
    pub fn as_str(&self) -> &str {
        match self {
            Self::System => "system",
            Self::User => "user",
            Self::Assistant => "assistant",
            Self::Tool => "tool",
            Self::Other(word) => word,
        }
    }
}

/// One message of a conversation.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Turn {
    /// Who speaks.
    pub role: Role,
    /// What is said.
    pub parts: Vec<Part>,
}

impl Turn {
    /// A turn of these parts.
    pub fn new(role: Role, parts: Vec<Part>) -> Self {
        Self { role, parts }
    }

    /// Its texts, one after another.
    pub fn text(&self) -> String {
        text_of(&self.parts)
    }
}

fn text_of(parts: &[Part]) -> String {
    let texts = parts.iter().filter_map(|part| match part {
        Part::Text(text) => Some(&**text),
        _ => None,
    });
    texts.collect()
}

/// A part of what is said in a [`Turn`].
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Part {
    /// Text.
    Text(Arc<str>),
    /// What the model thought before it answered, as far as the provider shows it.
    Thinking(Arc<str>),
    /// The model's refusal, where the provider tells it apart from text.
    Refusal(Arc<str>),
    /// The model asks for a tool.
    ToolUse(Arc<ToolUse>),
    /// A tool's answer.
    ToolResult(ToolResult),
    /// An image, a document, audio: that it is there, not its content.
    Media(Media),
    /// Something else, in the provider's word for its type.
    Other(Arc<str>),
}

/// The model asks for a tool.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct ToolUse {
    /// In which call.
    pub call: CallId,
    /// In which of the answers to it.
    pub choice: u32,
    /// The provider's id, by which the result refers to it.
    pub id: Option<Arc<str>>,
    /// The tool's name.
    pub name: Arc<str>,
    /// Its input as the model wrote it: JSON, unless the model erred.
    pub input: Arc<str>,
    /// Whether the provider runs it, within this very call. Its result, where the provider shows it, is a
    /// [`Part::ToolResult`] of the same answer.
    pub hosted: bool,
}

impl ToolUse {
    /// A request for the tool `name` with this input.
    pub fn new(call: CallId, name: impl Into<Arc<str>>, input: impl Into<Arc<str>>) -> Self {
        Self { call, choice: 0, id: None, name: name.into(), input: input.into(), hosted: false }
    }

    /// Its input as JSON; text that is no JSON as a string.
    pub fn input_json(&self) -> serde_json::Value {
        serde_json::from_str(&self.input)
            .unwrap_or_else(|_| serde_json::Value::String(self.input.to_string()))
    }
}

/// A tool's answer.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct ToolResult {
    /// The id of the [`ToolUse`] that it answers.
    pub id: Option<Arc<str>>,
    /// Its text.
    pub text: Arc<str>,
    /// Whether the tool failed, where the dialect can say so.
    pub is_error: bool,
}

impl ToolResult {
    /// The answer to `id`.
    pub fn new(id: Option<Arc<str>>, text: impl Into<Arc<str>>) -> Self {
        Self { id, text: text.into(), is_error: false }
    }
}

/// Something that is not text.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Media {
    /// `image`, `document`, `audio`, or the provider's word.
    pub kind: Arc<str>,
    /// Its media type, such as `image/png`, where it is told.
    pub media_type: Option<Arc<str>>,
    /// The name of its file, where it is told.
    pub name: Option<Arc<str>>,
    /// Its size as it stands in the request (base64), in bytes; 0 where it is only referred to.
    pub size: u64,
    /// Tells it from others, by what stands in the request: the same content has the same; 0 where that was not seen.
    pub hash: u64,
}

impl Media {
    /// Something of this kind.
    pub fn new(kind: impl Into<Arc<str>>) -> Self {
        Self { kind: kind.into(), media_type: None, name: None, size: 0, hash: 0 }
    }
}

/// A tool that the model may ask for.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Tool {
    /// Its name; for a tool of the provider's own without one, its type.
    pub name: Arc<str>,
    /// What the model is told about it.
    pub description: Option<Arc<str>>,
}

impl Tool {
    /// The tool `name`.
    pub fn new(name: impl Into<Arc<str>>) -> Self {
        Self { name: name.into(), description: None }
    }
}

/// A little more of an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Delta {
    /// In which call.
    pub call: CallId,
    /// In which of the answers to it.
    pub choice: u32,
    /// What was said.
    pub said: Said,
}

impl Delta {
    /// More of the first answer.
    pub fn new(call: CallId, said: Said) -> Self {
        Self { call, choice: 0, said }
    }
}

/// What a [`Delta`] adds to.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Said {
    /// Text.
    Text(Arc<str>),
    /// Thinking.
    Thinking(Arc<str>),
    /// A refusal.
    Refusal(Arc<str>),
    /// The input of a tool that the model is asking for: a piece of JSON.
    ToolInput(Arc<str>),
}

/// A whole answer.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Completion {
    /// To which call.
    pub call: CallId,
    /// The provider's id of it.
    pub id: Option<Arc<str>>,
    /// The model that answered.
    pub model: Option<Arc<str>>,
    /// The answers: one, unless the call asked for more.
    pub answers: Vec<Answer>,
    /// What it used, where the provider said so.
    pub usage: Option<Usage>,
    /// The tier that served it, in the provider's word, such as `default`, `priority`, `flex` or `batch`.
    pub tier: Option<Arc<str>>,
    /// Where it was computed, in the provider's word, where it was kept to one place, such as `us`.
    pub region: Option<Arc<str>>,
    /// What it cost; none where that is not known.
    pub cost: Option<Arc<Cost>>,
    /// How it came, where it came as a stream.
    pub stream: Option<Arc<Stream>>,
    /// Whether this answer had been told before, and is only fetched once more: what it used is not new, and costs
    /// nothing more.
    pub repeated: bool,
    /// The response's body as JSON, decoded: as it came, or for a stream as the provider would have sent it at once.
    /// Empty where it is no JSON, such as speech, or a file.
    pub body: Bytes,
}

impl Completion {
    /// An answer of nothing yet.
    pub fn new(call: CallId) -> Self {
        Self {
            call,
            id: None,
            model: None,
            answers: Vec::new(),
            usage: None,
            tier: None,
            region: None,
            cost: None,
            stream: None,
            repeated: false,
            body: Bytes::new(),
        }
    }
}

impl Completion {
    /// Whether there is something to pay for, answering a call for that: not for counting tokens or listing models, and
    /// not for an answer that is only fetched once more, or is not ready and will be fetched.
    pub fn is_billed(&self, operation: Operation) -> bool {
        let is_waited_for =
            |answer: &Answer| matches!(answer.stop.as_deref(), Some("queued" | "in_progress"));
        match operation {
            _ if self.repeated => false,
            _ if self.usage.is_none() && self.answers.iter().any(is_waited_for) => false,
            Operation::CountTokens | Operation::Files | Operation::Models | Operation::Batches => false,
            Operation::Moderation | Operation::Retrieval | Operation::Other => self.usage.is_some(),
            _ => true,
        }
    }
}

/// One of the answers to a call.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Answer {
    /// Its index.
    pub choice: u32,
    /// What the model said.
    pub parts: Vec<Part>,
    /// Why it stopped, in the provider's word.
    pub stop: Option<Arc<str>>,
}

impl Answer {
    /// The answer with this index.
    pub fn new(choice: u32) -> Self {
        Self { choice, parts: Vec::new(), stop: None }
    }

    /// Its texts, one after another.
    pub fn text(&self) -> String {
        text_of(&self.parts)
    }
}

/// An error that the provider told.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ApiFailure {
    /// Of which call.
    pub call: CallId,
    /// The status of the response that it came in.
    pub status: u16,
    /// Its type, in the provider's word.
    pub kind: Option<Arc<str>>,
    /// What the provider says of it.
    pub message: Arc<str>,
    /// The body, or the event of the stream, that it came in, decoded.
    pub body: Bytes,
}

impl ApiFailure {
    /// An error in a response of this status.
    pub fn new(call: CallId, status: u16, message: impl Into<Arc<str>>) -> Self {
        Self { call, status, kind: None, message: message.into(), body: Bytes::new() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_of_a_turn_is_its_texts_and_nothing_else() {
        let parts = vec![
            Part::Thinking("hm".into()),
            Part::Text("Hello, ".into()),
            Part::Media(Media::new("image")),
            Part::Text("world".into()),
        ];
        assert_eq!(Turn::new(Role::Assistant, parts.clone()).text(), "Hello, world");
        assert_eq!(Answer { parts, ..Answer::new(0) }.text(), "Hello, world");
    }

    #[test]
    fn the_input_of_a_tool_is_json_where_it_is_json_and_else_a_string() {
        let read = |input: &str| ToolUse::new(CallId(0), "search", input).input_json();
        assert_eq!(read(r#"{"query":"rust"}"#), serde_json::json!({"query": "rust"}));
        assert_eq!(read(r#"{"query":"ru"#), serde_json::json!(r#"{"query":"ru"#));
        assert_eq!(read(""), serde_json::json!(""));
    }

    #[test]
    fn only_what_a_provider_charges_for_is_billed() {
        let mut completion = Completion::new(CallId(0));
        let billed = |completion: &Completion| {
            [Operation::Chat, Operation::Retrieval, Operation::CountTokens].map(|of| completion.is_billed(of))
        };
        assert_eq!(billed(&completion), [true, false, false]);
        // Made in the background, and fetched when it was done.
        completion.usage = Some(Usage::new(1, 1));
        assert_eq!(billed(&completion), [true, true, false]);
        completion.repeated = true;
        assert_eq!(billed(&completion), [false, false, false]);
        let mut queued = Completion::new(CallId(0));
        queued.answers.push(Answer { stop: Some("queued".into()), ..Answer::new(0) });
        assert_eq!(billed(&queued), [false, false, false]);
    }

    #[test]
    fn every_event_names_its_call() {
        let call = CallId(3);
        let events = [
            LlmEvent::Call(Arc::new(Call::new(call, "openai_chat", Arc::new(Session::new("s"))))),
            LlmEvent::Delta(Delta::new(call, Said::Text("a".into()))),
            LlmEvent::ToolUse(Arc::new(ToolUse::new(call, "search", "{}"))),
            LlmEvent::Completion(Arc::new(Completion::new(call))),
            LlmEvent::Cut(Arc::new(Completion::new(call))),
            LlmEvent::Failure(Arc::new(ApiFailure::new(call, 429, "slow down"))),
        ];
        assert!(events.iter().all(|event| event.call() == call));
    }

    #[test]
    fn a_role_is_written_as_its_word() {
        let roles = [Role::System, Role::User, Role::Assistant, Role::Tool, Role::Other("critic".into())];
        assert_eq!(roles.each_ref().map(Role::as_str), ["system", "user", "assistant", "tool", "critic"]);
    }
}
