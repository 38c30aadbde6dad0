//! Parts of messages.

use std::borrow::Cow;

use opentelemetry_proto::tonic::common::v1::AnyValue;
use perimeter_interceptor::{Media, Part, ToolResult, ToolUse};
use perimeter_redact::{redact, redact_start};

use super::settings::Settings;
use super::value::{self, member, object};

/// Longer names and ids are cut.
const WORD: usize = 256;

/// The same for what is told even where nothing else has room.
const ROLE: usize = 64;

/// Tells parts of messages, without secrets, and cut to a size.
pub(super) struct Teller<'s> {
    pub(super) settings: &'s Settings,
    most: usize,
}

impl<'s> Teller<'s> {
    pub(super) fn new(settings: &'s Settings) -> Self {
        Self { settings, most: size(settings.max_part) }
    }

    /// How many bytes of JSON one attribute may have.
    pub(super) fn room(&self) -> usize {
        size(self.settings.max_attribute)
    }

    /// A text, as long as a part may be.
    pub(super) fn text(&self, text: &str) -> AnyValue {
        value::text(self.cut(text, self.most))
    }

    /// A word, such as a name or an id.
    pub(super) fn word(&self, word: &str) -> AnyValue {
        value::text(self.cut(word, WORD))
    }

    /// A role, or why a model stopped.
    pub(super) fn role(&self, role: &str) -> AnyValue {
        value::text(self.cut(role, ROLE))
    }

    fn cut(&self, text: &str, most: usize) -> String {
        let (start, rest) = text.split_at(text.floor_char_boundary(most));
        let told =
            if self.settings.redact_credentials { redact_start(text, most) } else { Cow::Borrowed(start) };
        match rest.chars().count() {
            0 => told.into_owned(),
            left => format!("{told}…[truncated {left} chars]"),
        }
    }

    /// What JSON says, where it is JSON and not too long; else its text.
    pub(super) fn json(&self, json: &str) -> AnyValue {
        self.short_json(json).unwrap_or_else(|| self.text(json))
    }

    /// What JSON says, where it is JSON and not too long.
    pub(super) fn short_json(&self, json: &str) -> Option<AnyValue> {
        let read = (json.len() <= self.most).then(|| value::read(json)).flatten()?;
        if !self.settings.redact_credentials {
            return Some(read);
        }
        match redact(json) {
            Cow::Borrowed(_) => Some(read),
            Cow::Owned(redacted) => value::read(&redacted),
        }
    }

    /// The part `part` of a message, which the model says or not. Of what it says, results are of tools that the provider
    /// ran: they stand among the other `parts`, after what asked for them.
    pub(super) fn part(&self, part: &Part, by_model: Option<&[Part]>) -> AnyValue {
        let content = |kind, text: &str| {
            object(vec![member("type", value::text(kind)), member("content", self.text(text))])
        };
        match part {
            Part::Text(text) => content("text", text),
            Part::Thinking(text) => content("reasoning", text),
            Part::Refusal(text) => content("refusal", text),
            Part::ToolUse(tool) if tool.hosted => self.hosted_use(tool),
            Part::ToolUse(tool) => self.tool_use(tool),
            Part::ToolResult(result) => match by_model {
                Some(parts) => self.hosted_result(result, parts),
                None => self.tool_result(result),
            },
            Part::Media(media) => self.media(media),
            Part::Other(word) => self.other(word),
            // The contract may learn of more.
            _ => self.other("unknown"),
        }
    }

    fn tool_use(&self, tool: &ToolUse) -> AnyValue {
        let id = tool.id.as_ref().map(|id| member("id", self.word(id)));
        let input = (!tool.input.is_empty()).then(|| member("arguments", self.json(&tool.input)));
        let kind = member("type", value::text("tool_call"));
        let name = member("name", self.word(&tool.name));
        object([Some(kind), id, Some(name), input].into_iter().flatten().collect())
    }

    fn hosted_use(&self, tool: &ToolUse) -> AnyValue {
        let id = tool.id.as_ref().map(|id| member("id", self.word(id)));
        let input = (!tool.input.is_empty()).then(|| member("arguments", self.json(&tool.input)));
        let kind = Some(member("type", self.word(&tool.name)));
        let details = object([kind, input].into_iter().flatten().collect());
        let kind = member("type", value::text("server_tool_call"));
        let name = member("name", self.word(&tool.name));
        let details = member("server_tool_call", details);
        object([Some(kind), id, Some(name), Some(details)].into_iter().flatten().collect())
    }

    fn tool_result(&self, result: &ToolResult) -> AnyValue {
        let id = result.id.as_ref().map(|id| member("id", self.word(id)));
        let kind = member("type", value::text("tool_call_response"));
        let response = member("response", self.text(&result.text));
        object([Some(kind), id, Some(response), failed(result)].into_iter().flatten().collect())
    }

    fn hosted_result(&self, result: &ToolResult, parts: &[Part]) -> AnyValue {
        let asked = parts.iter().find_map(|part| match part {
            Part::ToolUse(tool) if result.id.is_some() && tool.id == result.id => Some(&*tool.name),
            _ => None,
        });
        let kind = Some(member("type", self.word(asked.unwrap_or("unknown"))));
        let response = Some(member("response", self.text(&result.text)));
        let details = object([kind, response, failed(result)].into_iter().flatten().collect());
        let id = result.id.as_ref().map(|id| member("id", self.word(id)));
        let kind = member("type", value::text("server_tool_call_response"));
        let details = member("server_tool_call_response", details);
        object([Some(kind), id, Some(details)].into_iter().flatten().collect())
    }

    /// Its content is not told, and is not known here. What is only referred to is no `blob`, and where to is not known.
    fn media(&self, media: &Media) -> AnyValue {
        let is_held = media.size > 0;
        let modality = match &*media.kind {
            "file" => "document",
            kind => kind,
        };
        let kind = member("type", value::text(if is_held { "blob" } else { "media" }));
        let mime_type = media.media_type.as_ref().map(|kind| member("mime_type", self.word(kind)));
        let name = media.name.as_ref().map(|name| member("name", self.word(name)));
        let content = is_held.then(|| member("content", value::text("")));
        let bytes = i64::try_from(media.size).unwrap_or(i64::MAX);
        let size = is_held.then(|| member("size", value::int(bytes)));
        let hash = (media.hash != 0).then(|| member("hash", value::text(format!("{:016x}", media.hash))));
        let modality = member("modality", self.word(modality));
        let members = [Some(kind), Some(modality), mime_type, name, content, size, hash];
        object(members.into_iter().flatten().collect())
    }

    /// A type of the provider's own is a legal type, unless the conventions mean something else by it.
    fn other(&self, word: &str) -> AnyValue {
        let is_name = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.');
        let is_type = !word.is_empty() && word.len() <= WORD && word.bytes().all(is_name);
        if is_type && !TYPES.contains(&word) {
            return object(vec![member("type", self.word(word))]);
        }
        object(vec![member("type", value::text("other")), member("content", self.text(word))])
    }
}

/// Types of parts that must have more than a type.
const TYPES: [&str; 9] = [
    "text",
    "reasoning",
    "tool_call",
    "tool_call_response",
    "server_tool_call",
    "server_tool_call_response",
    "blob",
    "file",
    "uri",
];

fn failed(result: &ToolResult) -> Option<opentelemetry_proto::tonic::common::v1::KeyValue> {
    result.is_error.then(|| member("is_error", value::flag(true)))
}

fn size(bytes: u64) -> usize {
    usize::try_from(bytes).unwrap_or(usize::MAX)
}
