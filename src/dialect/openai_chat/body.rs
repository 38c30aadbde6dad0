//! The body of an answer, written as the provider would have sent it at once.

use bytes::Bytes;
use serde::Serialize;
use serde::ser::{SerializeMap, Serializer};
use serde_json::value::RawValue;

use super::Holds;
use super::choice::{self, Choice, Tool};
use super::logprobs::Logprobs;
use super::message::Kind;
use super::stream::Top;

/// Writes an answer of these choices.
pub(super) fn write(hold: Holds, top: &Top, choices: &[&Choice]) -> Bytes {
    let body = Body {
        id: top.id.as_deref(),
        object: match hold {
            Holds::Message => "chat.completion",
            Holds::Text => "text_completion",
        },
        created: top.created,
        model: top.model.as_deref(),
        choices: choices.iter().map(|choice| WholeChoice::of(hold, choice)).collect(),
        usage: top.usage.as_ref().map(|(_, written)| &**written),
        service_tier: top.tier.as_deref(),
        system_fingerprint: top.fingerprint.as_deref(),
    };
    serde_json::to_vec(&body).unwrap_or_default().into()
}

#[derive(Serialize)]
struct Body<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<&'a str>,
    object: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    created: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    model: Option<&'a str>,
    choices: Vec<WholeChoice<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    usage: Option<&'a RawValue>,
    #[serde(skip_serializing_if = "Option::is_none")]
    service_tier: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    system_fingerprint: Option<&'a str>,
}

#[derive(Serialize)]
struct WholeChoice<'a> {
    index: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<Message<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    text: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    logprobs: Option<&'a Logprobs>,
    finish_reason: Option<&'a str>,
}

impl<'a> WholeChoice<'a> {
    fn of(hold: Holds, choice: &'a Choice) -> Self {
        let is_text = hold == Holds::Text;
        Self {
            index: choice.index,
            message: (!is_text).then_some(Message(choice)),
            text: is_text.then(|| choice.content.as_deref().unwrap_or_default()),
            logprobs: choice.logprobs.as_ref().filter(|_| !is_text),
            finish_reason: choice.stop.as_deref(),
        }
    }
}

struct Message<'a>(&'a Choice);

impl Serialize for Message<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let choice = self.0;
        let mut message = serializer.serialize_map(None)?;
        message.serialize_entry("role", "assistant")?;
        message.serialize_entry("content", &choice.content)?;
        if let Some(refusal) = &choice.refusal {
            message.serialize_entry("refusal", refusal)?;
        }
        if let Some((name, thinking)) = &choice.thinking {
            message.serialize_entry(name, thinking)?;
        }
        if !choice.details.is_empty() {
            message.serialize_entry("reasoning_details", &choice.details)?;
        }
        if !choice.annotations.is_empty() {
            message.serialize_entry("annotations", &choice.annotations)?;
        }
        if let Some(audio) = &choice.audio {
            message.serialize_entry("audio", &Audio::of(audio))?;
        }
        let (legacy, tools): (Vec<_>, Vec<_>) =
            choice.tools.iter().partition(|tool| tool.kind == Kind::Legacy);
        if let Some(tool) = legacy.first() {
            message
                .serialize_entry("function_call", &Function { name: &tool.name, arguments: &tool.input })?;
        }
        if !tools.is_empty() {
            let tools: Vec<_> = tools.into_iter().map(ToolCall).collect();
            message.serialize_entry("tool_calls", &tools)?;
        }
        message.end()
    }
}

#[derive(Serialize)]
struct Audio<'a> {
    id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    expires_at: Option<u64>,
    data: &'a str,
    transcript: &'a str,
}

impl<'a> Audio<'a> {
    fn of(audio: &'a choice::Audio) -> Self {
        Self {
            id: audio.id.as_deref(),
            expires_at: audio.expires_at,
            data: &audio.data,
            transcript: &audio.transcript,
        }
    }
}

struct ToolCall<'a>(&'a Tool);

impl Serialize for ToolCall<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Tool { id, name, input, .. } = self.0;
        let mut call = serializer.serialize_map(None)?;
        if let Some(id) = id {
            call.serialize_entry("id", &**id)?;
        }
        if self.0.kind == Kind::Custom {
            call.serialize_entry("type", "custom")?;
            call.serialize_entry("custom", &Custom { name, input })?;
        } else {
            call.serialize_entry("type", "function")?;
            call.serialize_entry("function", &Function { name, arguments: input })?;
        }
        call.end()
    }
}

#[derive(Serialize)]
struct Function<'a> {
    name: &'a str,
    arguments: &'a str,
}

#[derive(Serialize)]
struct Custom<'a> {
    name: &'a str,
    input: &'a str,
}
