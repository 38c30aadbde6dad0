//! What a client asks, whichever door it came through.

use std::borrow::Cow;

use serde_json::value::RawValue;

use crate::upstream::Caller;

/// A request for an answer, as every backend takes it.
#[derive(Clone, Debug)]
pub(crate) struct Ask {
    /// The model by the client's own name for it; what the answer says.
    pub model: String,
    /// The model's [`Model::id`](super::model::Model::id). Empty until the core has looked it up.
    pub id: String,
    /// The system prompt, in its pieces.
    pub system: Vec<Prompt>,
    /// The conversation, oldest first.
    pub turns: Vec<Turn>,
    /// What the client can do for the model.
    pub tools: Vec<Tool>,
    /// Whether the model has to use them.
    pub choice: ToolChoice,
    /// Whether it may ask for several at once.
    pub parallel: bool,
    /// Tokens of the answer, thinking included.
    pub max_tokens: Option<u64>,
    /// Where the answer ends, should it say one of these.
    pub stop: Vec<String>,
    /// What the text of the answer has to be.
    pub format: Format,
    /// How hard to think.
    pub effort: Option<Effort>,
    /// Whether the client wants to read the thinking.
    pub shows_thinking: bool,
    /// Whether the answer goes out as it comes.
    pub stream: bool,
    /// The conversation that the client says this is part of: `x-conversation-id`, `correlation-id`, and what bodies
    /// have for it.
    pub conversation: Option<String>,
    /// `session_id` of the body: a session of an agent that goes on.
    pub session: Option<String>,
    /// `project_id` of the body: the project of an agent's new session.
    pub project: Option<String>,
    /// Who asks.
    pub caller: Caller,
    /// What of the request is not honoured, and yet no reason to refuse it: `x-bridge-warnings`.
    pub warnings: Warnings,
}

/// A piece of the system prompt.
#[derive(Clone, Debug)]
pub(crate) struct Prompt {
    /// What it says.
    pub text: String,
    /// Anthropic's `cache_control`, as it came.
    pub cache: Option<Box<RawValue>>,
}

/// What one side said.
#[derive(Clone, Debug)]
pub(crate) struct Turn {
    /// Who.
    pub role: Role,
    /// What. Two turns of one role may follow each other, as the client wrote them.
    pub parts: Vec<Part>,
}

/// Who speaks in a turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    /// The user, and whoever answers for tools.
    User,
    /// The model.
    Assistant,
    /// Instructions in the midst of the conversation. (Those before its first turn are in [`Ask::system`].)
    System,
}

/// A part of a turn.
#[derive(Clone, Debug)]
pub(crate) struct Part {
    /// What it is.
    pub block: Block,
    /// Anthropic's `cache_control`, as it came.
    pub cache: Option<Box<RawValue>>,
}

impl From<Block> for Part {
    fn from(block: Block) -> Self {
        Self { block, cache: None }
    }
}

/// What a part of a turn is.
#[derive(Clone, Debug)]
pub(crate) enum Block {
    /// Words.
    Text(String),
    /// A picture.
    Image(Source),
    /// A file, such as a PDF.
    Document {
        /// Its bytes.
        source: Source,
        /// Its name or title.
        title: Option<String>,
    },
    /// Thinking of the model, from an earlier answer.
    Thinking {
        /// What it says.
        text: String,
        /// What proves that it is the model's own. Without one it must not be given back to Anthropic's models.
        signature: Option<String>,
    },
    /// Thinking that only the provider can read.
    Redacted(String),
    /// The model asks for a tool.
    ToolUse {
        /// By what id the result will come.
        id: String,
        /// The tool.
        name: String,
        /// A JSON object, byte for byte. (Arguments that are no JSON object are refused at the door.)
        input: Box<RawValue>,
    },
    /// What a tool said.
    ToolResult {
        /// Of which [`Block::ToolUse`].
        id: String,
        /// Text, images and documents.
        content: Vec<Block>,
        /// Whether the tool failed.
        is_error: bool,
    },
}

/// Where the bytes of a picture or a file are.
#[derive(Clone, Debug)]
pub(crate) enum Source {
    /// Here, in base64 as the client wrote it (checked at the door).
    Base64 {
        /// `image/png` and so on.
        media_type: String,
        /// The base64.
        data: String,
    },
    /// Text of a document.
    Text(String),
    /// Elsewhere. Nobody here fetches it; a backend that cannot pass it on refuses it (`unsupported_content`).
    Url(String),
}

/// Something that the client can do.
#[derive(Clone, Debug)]
pub(crate) struct Tool {
    /// Its name.
    pub name: String,
    /// What it is for.
    pub description: Option<String>,
    /// The JSON schema of its input, byte for byte.
    pub schema: Box<RawValue>,
    /// Whether the client wants its inputs to match the schema exactly.
    pub strict: bool,
}

/// Whether tools have to be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum ToolChoice {
    /// As the model likes.
    Auto,
    /// None may be.
    None,
    /// One at least.
    Required,
    /// This one.
    Named(String),
}

/// What the text of an answer has to be.
#[derive(Clone, Debug)]
pub(crate) enum Format {
    /// Anything.
    Text,
    /// A JSON object.
    Json,
    /// A JSON value of this schema, byte for byte.
    Schema(Box<RawValue>),
}

/// How hard to think.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Effort {
    /// Not at all.
    None,
    /// OpenAI's least.
    Minimal,
    /// A little.
    Low,
    /// Some.
    Medium,
    /// Much.
    High,
    /// More.
    XHigh,
    /// As much as there is.
    Max,
}

/// What of a request is not honoured. In the order it was found, each once.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Warnings {
    dropped: Vec<Cow<'static, str>>,
    other: Vec<Cow<'static, str>>,
}

impl Warnings {
    /// The parameter at this path has no effect.
    pub(crate) fn dropped(&mut self, parameter: impl Into<Cow<'static, str>>) {
        add(&mut self.dropped, parameter.into());
    }

    /// Something else is not as the client may think, in a word or two without commas and semicolons.
    pub(crate) fn add(&mut self, warning: impl Into<Cow<'static, str>>) {
        add(&mut self.other, warning.into());
    }

    /// As `x-bridge-warnings` says it: `dropped=temperature,seed; truncated`. None where there is nothing to say.
    pub(crate) fn header(&self) -> Option<String> {
        let dropped = (!self.dropped.is_empty()).then(|| format!("dropped={}", self.dropped.join(",")));
        let all: Vec<_> =
            dropped.into_iter().chain(self.other.iter().map(|other| other.to_string())).collect();
        (!all.is_empty()).then(|| all.join("; "))
    }
}

fn add(list: &mut Vec<Cow<'static, str>>, item: Cow<'static, str>) {
    /// A client can make up names; a header has bounds.
    const MOST: usize = 32;
    const LONGEST: usize = 64;
    // What a client wrote goes into a header: only what is harmless there.
    let harmless = |c: char| c.is_ascii_alphanumeric() || "_-.=[] ".contains(c);
    let item = if item.len() <= LONGEST && item.chars().all(harmless) {
        item
    } else {
        item.chars().map(|c| if harmless(c) { c } else { '?' }).take(LONGEST).collect::<String>().into()
    };
    if list.len() < MOST && !list.contains(&item) {
        list.push(item);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_a_client_made_up_are_bounded_and_harmless_in_a_header() {
        let mut warnings = Warnings::default();
        for name in ["a\r\nb".to_owned(), "x".repeat(1_000_000), format!("{}y", "x".repeat(64))] {
            warnings.dropped(name);
        }
        assert_eq!(warnings.header(), Some(format!("dropped=a??b,{}", "x".repeat(64))));
        (0..1_000).for_each(|at| warnings.dropped(at.to_string()));
        assert_eq!(warnings.dropped.len(), 32);
    }
}
