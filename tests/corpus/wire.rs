//! What programs and providers write, dialect by dialect.

mod anthropic;
mod chat;
mod gemini;
mod responses;

use serde::Deserialize;
use serde_json::json;

use super::json::{Hand, Json, object, text};
use super::said::{Message, Part};

#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Dialect {
    Chat,
    Responses,
    Anthropic,
    Gemini,
    /// Legacy: the messages' texts, one after another, are the prompt.
    Completions,
    /// A path and a body as they stand in the scenario.
    Raw,
}

/// How a program writes what it sends.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Style {
    json: Option<Hand>,
    /// Texts are lists of blocks.
    blocks: Option<bool>,
    /// The system prompt is a list of blocks, or has the role `developer`.
    system: Option<System>,
    /// Members that a provider left out come back as null.
    nulls: Option<bool>,
    /// The end of the last message is marked for the cache.
    cache: Option<bool>,
    /// What was thought is left out.
    forgets: Option<bool>,
    /// Ids of items are left out.
    nameless: Option<bool>,
}

#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub(crate) enum System {
    Blocks,
    Developer,
}

impl Style {
    pub(crate) fn over(self, below: Self) -> Self {
        Self {
            json: self.json.or(below.json),
            blocks: self.blocks.or(below.blocks),
            system: self.system.or(below.system),
            nulls: self.nulls.or(below.nulls),
            cache: self.cache.or(below.cache),
            forgets: self.forgets.or(below.forgets),
            nameless: self.nameless.or(below.nameless),
        }
    }

    pub(crate) fn json(self) -> Hand {
        self.json.unwrap_or_default()
    }

    fn blocks(self) -> bool {
        self.blocks.unwrap_or(false)
    }

    fn nulls(self) -> bool {
        self.nulls.unwrap_or(false)
    }

    fn cache(self) -> bool {
        self.cache.unwrap_or(false)
    }

    fn forgets(self) -> bool {
        self.forgets.unwrap_or(false)
    }

    fn nameless(self) -> bool {
        self.nameless.unwrap_or(false)
    }
}

/// What a request says.
pub(crate) struct Ask<'a> {
    pub(crate) model: &'a str,
    pub(crate) system: Option<&'a str>,
    pub(crate) tools: &'a [String],
    pub(crate) messages: &'a [Message],
    pub(crate) stream: bool,
    pub(crate) previous: Option<String>,
    pub(crate) style: Style,
}

/// What an answer says.
pub(crate) struct Reply {
    pub(crate) id: String,
    pub(crate) model: String,
    pub(crate) choices: Vec<Vec<Part>>,
}

impl Dialect {
    /// Who answers, where nobody says.
    pub(crate) fn model(self) -> &'static str {
        match self {
            Self::Chat => "gpt-4.1",
            Self::Responses => "gpt-5",
            Self::Anthropic => "claude-sonnet-4-5",
            Self::Gemini => "gemini-2.5-pro",
            Self::Completions => "gpt-3.5-turbo-instruct",
            Self::Raw => "none",
        }
    }

    pub(crate) fn path(self, model: &str, stream: bool) -> String {
        match self {
            Self::Chat => "/v1/chat/completions".into(),
            Self::Responses => "/v1/responses".into(),
            Self::Anthropic => "/v1/messages".into(),
            Self::Gemini if stream => format!("/v1beta/models/{model}:streamGenerateContent?alt=sse"),
            Self::Gemini => format!("/v1beta/models/{model}:generateContent"),
            Self::Completions => "/v1/completions".into(),
            Self::Raw => panic!("this call has no path"),
        }
    }

    pub(crate) fn headers(self) -> &'static [(&'static str, &'static str)] {
        match self {
            Self::Anthropic => &[("anthropic-version", "2023-06-01")],
            _ => &[],
        }
    }

    /// The header that shows the key. One that is a whole header already stays so.
    pub(crate) fn key(self, key: &str) -> (String, String) {
        match self {
            Self::Anthropic if !key.starts_with("eyJ") => ("x-api-key".into(), key.into()),
            Self::Gemini => ("x-goog-api-key".into(), key.into()),
            _ => ("authorization".into(), format!("Bearer {key}")),
        }
    }
}

/// The id that the provider gives an answer.
pub(crate) fn id_of(dialect: Dialect, id: &str) -> String {
    match dialect {
        Dialect::Chat => format!("chatcmpl-{id}"),
        Dialect::Responses => format!("resp_{id}"),
        Dialect::Anthropic => format!("msg_{id}"),
        Dialect::Completions => format!("cmpl-{id}"),
        Dialect::Gemini | Dialect::Raw => id.into(),
    }
}

pub(crate) fn request(dialect: Dialect, ask: &Ask<'_>) -> Json {
    match dialect {
        Dialect::Chat => chat::request(ask),
        Dialect::Responses => responses::request(ask),
        Dialect::Anthropic => anthropic::request(ask),
        Dialect::Gemini => gemini::request(ask),
        Dialect::Completions => {
            let texts: String = ask.messages.iter().map(|message| said(&message.parts)).collect();
            object([("model", text(ask.model)), ("prompt", text(texts)), ("max_tokens", 64.into())])
        }
        Dialect::Raw => Json::NULL,
    }
}

/// An answer at once.
pub(crate) fn answer(dialect: Dialect, reply: &Reply) -> String {
    let answer = match dialect {
        Dialect::Chat => chat::answer(reply),
        Dialect::Responses => responses::answer(reply, true),
        Dialect::Anthropic => anthropic::answer(reply),
        Dialect::Gemini => gemini::answer(reply),
        Dialect::Completions => json!({
            "id": id_of(dialect, &reply.id), "object": "text_completion", "created": 1_760_000_000, "model": reply.model,
            "choices": [{"index": 0, "text": said(&reply.choices[0]), "finish_reason": "stop"}],
            "usage": {"prompt_tokens": 9, "completion_tokens": 5, "total_tokens": 14},
        })
        .into(),
        Dialect::Raw => Json::NULL,
    };
    answer.written(Hand::Js)
}

/// An answer as a stream; `whole`, or as far as it got.
pub(crate) fn events(dialect: Dialect, reply: &Reply, whole: bool) -> Vec<String> {
    match dialect {
        Dialect::Chat => chat::events(reply, whole),
        Dialect::Responses => responses::events(reply, whole),
        Dialect::Anthropic => anthropic::events(reply, whole),
        Dialect::Gemini => gemini::events(reply, whole),
        Dialect::Completions | Dialect::Raw => panic!("this dialect has no streams here"),
    }
}

/// An error.
pub(crate) fn refusal(dialect: Dialect, status: u16) -> String {
    let kind = match status {
        429 => "rate_limit_error",
        529 => "overloaded_error",
        500.. => "api_error",
        _ => "invalid_request_error",
    };
    match dialect {
        Dialect::Anthropic => {
            json!({"type": "error", "error": {"type": kind, "message": "It did not work."}})
        }
        Dialect::Gemini => json!({"error": {"code": status, "message": "It did not work.", "status": kind}}),
        _ => json!({"error": {"message": "It did not work.", "type": kind, "code": null, "param": null}}),
    }
    .to_string()
}

/// Its texts.
pub(crate) fn said(parts: &[Part]) -> String {
    let texts = parts.iter().filter_map(|part| match part {
        Part::Text(text) => Some(&**text),
        _ => None,
    });
    texts.collect()
}

/// A text in two pieces, as streams bring it.
fn pieces(text: &str) -> Vec<&str> {
    let middle = text.floor_char_boundary(text.len() / 2);
    let (first, second) = text.split_at(middle);
    [first, second].into_iter().filter(|piece| !piece.is_empty()).collect()
}
