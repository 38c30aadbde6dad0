//! Parameters that several doors read alike.

use std::collections::HashSet;

use http::HeaderMap;

use super::fields::{Field, Object, Shape};
use crate::upstream::bridge::Failure;
use crate::upstream::bridge::ask::{Effort, Tool, Warnings};

/// Messages of a request: as many as Anthropic takes (<https://docs.claude.com/en/api/messages>).
pub(super) const MOST_MESSAGES: usize = 100_000;

/// Tools of a request: more than models know what to do with.
pub(super) const MOST_TOOLS: usize = 10_000;

/// Stop sequences of a request. (OpenAI takes 4.)
const MOST_STOPS: usize = 64;

/// Bytes of one. A stream holds back as much.
const LONGEST_STOP: usize = 1024;

/// Bytes of the name of a conversation.
const LONGEST_NAME: usize = 512;

/// How the next token is chosen, with OpenAI's defaults: no backend can be told.
pub(super) const SAMPLING: [(&str, &str); 6] = [
    ("temperature", "1"),
    ("top_p", "1"),
    ("frequency_penalty", "0"),
    ("presence_penalty", "0"),
    ("logit_bias", "{}"),
    ("seed", "null"),
];

/// What becomes of parameters that cannot be honoured and would change what the answer means.
#[derive(Debug)]
pub(super) struct Rule {
    /// Whether they are noted instead of refused.
    pub lenient: bool,
    /// Where.
    pub warnings: Warnings,
}

impl Rule {
    /// `field` cannot be honoured, for the reason that `message` gives.
    pub(super) fn refuse(&mut self, field: &Field<'_>, message: &str) -> Result<(), Failure> {
        if !self.lenient {
            return Err(field.unsupported(message));
        }
        self.warnings.dropped(field.place().to_owned());
        Ok(())
    }

    /// Reads `name`, which cannot be honoured unless it is `default`, in JSON.
    pub(super) fn only(
        &mut self,
        object: &mut Object<'_>,
        name: &str,
        default: &str,
        message: &str,
    ) -> Result<(), Failure> {
        match object.take(name) {
            Some(field) if !field.is(default) => self.refuse(&field, message),
            _ => Ok(()),
        }
    }

    /// Reads parameters that have no effect here, each with its default in JSON.
    pub(super) fn ignore(&mut self, object: &mut Object<'_>, parameters: &[(&str, &str)]) {
        for (name, default) in parameters {
            object.ignore(name, default, &mut self.warnings);
        }
    }
}

/// The name of the conversation that the headers have: `x-conversation-id`, or `correlation-id`. Another name in the
/// second is worth a warning.
///
/// # Errors
/// Where one is too long for a name.
fn conversation_of(headers: &HeaderMap, warnings: &mut Warnings) -> Result<Option<String>, Failure> {
    let mut names = Vec::new();
    for name in ["x-conversation-id", "correlation-id"] {
        let Some(value) = headers.get(name) else { continue };
        let value = value.to_str().map(str::trim).unwrap_or_default();
        if value.is_empty() || value.len() > LONGEST_NAME {
            let right = format!("1 to {LONGEST_NAME} visible ASCII characters would be right");
            return Err(Failure::invalid(name, format!("the header {name}: {right}")));
        }
        names.push((name, value.to_owned()));
    }
    Ok(first_of(names, warnings))
}

/// As [`conversation_of`], of a request whose `metadata` may have a name, too.
///
/// # Errors
/// As there.
pub(super) fn conversation_or(
    headers: &HeaderMap,
    name: Option<String>,
    warnings: &mut Warnings,
) -> Result<Option<String>, Failure> {
    let mut names = Vec::new();
    names.extend(conversation_of(headers, warnings)?.map(|name| ("header", name)));
    names.extend(name.map(|name| ("metadata.conversation_id", name)));
    Ok(first_of(names, warnings))
}

/// The first of what is said several times; those that differ from it have no effect.
fn first_of(names: Vec<(&'static str, String)>, warnings: &mut Warnings) -> Option<String> {
    let mut names = names.into_iter();
    let (_, first) = names.next()?;
    names.filter(|(_, other)| *other != first).for_each(|(place, _)| warnings.dropped(place));
    Some(first)
}

/// `stream_options.include_usage`.
///
/// # Errors
/// Where the options are none.
pub(super) fn include_usage(body: &mut Object<'_>, warnings: &mut Warnings) -> Result<bool, Failure> {
    let Some(options) = body.take("stream_options") else { return Ok(false) };
    let mut options = options.object()?;
    let include = options.flag("include_usage")?.unwrap_or_default();
    options.ignore("include_obfuscation", "false", warnings);
    options.finish(warnings);
    Ok(include)
}

/// The conversation that the request says it is part of; headers stand above the body. Other names that it gives are
/// worth a warning. What `metadata` says beside is noted in `own`.
///
/// # Errors
/// Where one of the names is none.
pub(super) fn conversation(
    headers: &HeaderMap,
    body: &mut Object<'_>,
    own: Option<&mut Warnings>,
    warnings: &mut Warnings,
) -> Result<Option<String>, Failure> {
    let mut names = Vec::new();
    names.extend(conversation_of(headers, warnings)?.map(|name| ("header", name)));
    if let Some(field) = body.take("conversation") {
        let name = match field.shape() {
            Shape::Object => {
                let mut conversation = field.object()?;
                let id = conversation.need("id", "the id of a conversation")?;
                conversation.finish(warnings);
                name_in(&id)?
            }
            _ => name_in(&field)?,
        };
        names.push(("conversation", name));
    }
    if let Some(metadata) = body.take("metadata") {
        let mut metadata = metadata.object()?;
        names.extend(name(&mut metadata, "conversation_id")?.map(|name| ("metadata.conversation_id", name)));
        metadata.finish(own.unwrap_or(warnings));
    }
    names.extend(name(body, "prompt_cache_key")?.map(|name| ("prompt_cache_key", name)));
    Ok(first_of(names, warnings))
}

/// The name of something of the client's: a conversation, a session, a user.
///
/// # Errors
/// Where it is none.
pub(super) fn name(object: &mut Object<'_>, key: &str) -> Result<Option<String>, Failure> {
    object.take(key).map(|field| name_in(&field)).transpose()
}

/// The model that is asked.
///
/// # Errors
/// Where there is none, or no name of one.
pub(super) fn model(object: &mut Object<'_>) -> Result<String, Failure> {
    name_in(&object.need("model", "the name of a model, as GET /v1/models lists them,")?)
}

/// Who the client's own user is: for whoever watches, and for nobody here. `user` is what `safety_identifier` was called
/// before; where it says something else, nobody can tell which is meant.
///
/// # Errors
/// Where it is no name.
pub(super) fn end_user(object: &mut Object<'_>, warnings: &mut Warnings) -> Result<(), Failure> {
    let mut names = Vec::new();
    for key in ["safety_identifier", "user"] {
        names.extend(name(object, key)?.map(|name| (key, name)));
    }
    first_of(names, warnings);
    Ok(())
}

/// As [`name`], of a field.
pub(super) fn name_in(field: &Field<'_>) -> Result<String, Failure> {
    let name = field.text()?;
    if name.is_empty() || name.len() > LONGEST_NAME {
        return Err(field.unknown(&name, &format!("a string of 1 to {LONGEST_NAME} bytes")));
    }
    Ok(name)
}

/// `stop`: a string or a list of strings.
///
/// # Errors
/// Where it is something else, or too much.
pub(super) fn stop(object: &mut Object<'_>) -> Result<Vec<String>, Failure> {
    let Some(field) = object.take("stop") else { return Ok(Vec::new()) };
    match field.shape() {
        Shape::Text => Ok(vec![stop_in(&field)?]),
        Shape::List => field.list(MOST_STOPS)?.iter().map(stop_in).collect(),
        _ => Err(field.wrong("a string or a list of strings")),
    }
}

/// A stop sequence.
///
/// # Errors
/// Where it is none, or too long.
pub(super) fn stop_in(field: &Field<'_>) -> Result<String, Failure> {
    let text = field.text()?;
    if text.is_empty() || text.len() > LONGEST_STOP {
        return Err(field.unknown(&text, &format!("a string of 1 to {LONGEST_STOP} bytes")));
    }
    Ok(text)
}

/// A number of tokens, at least one.
///
/// # Errors
/// Where it is none.
pub(super) fn tokens(object: &mut Object<'_>, key: &str) -> Result<Option<u64>, Failure> {
    let Some(field) = object.take(key) else { return Ok(None) };
    match field.whole()? {
        0 => Err(field.wrong("a whole number above 0")),
        tokens => Ok(Some(tokens)),
    }
}

/// How hard to think, in OpenAI's words and those of others.
///
/// # Errors
/// Where it is none of them.
pub(super) fn effort(field: &Field<'_>) -> Result<Effort, Failure> {
    let word = field.text()?;
    match word.as_str() {
        "none" => Ok(Effort::None),
        "minimal" => Ok(Effort::Minimal),
        "low" => Ok(Effort::Low),
        "medium" => Ok(Effort::Medium),
        "high" => Ok(Effort::High),
        "xhigh" => Ok(Effort::XHigh),
        "max" => Ok(Effort::Max),
        _ => Err(field.unknown(&word, "one of none, minimal, low, medium, high, xhigh, max")),
    }
}

/// The name of one of the request's tools.
///
/// # Errors
/// Where it is of none.
pub(super) fn known_tool(field: &Field<'_>, tools: &HashSet<String>) -> Result<String, Failure> {
    let name = field.text()?;
    if tools.contains(&name) {
        return Ok(name);
    }
    Err(field.unknown(&name, "the name of one of the tools of the request"))
}

/// The names of tools.
pub(super) fn names(tools: &[Tool]) -> HashSet<String> {
    tools.iter().map(|tool| tool.name.clone()).collect()
}

/// The name of a tool, in characters that every provider takes.
///
/// # Errors
/// Where it has others.
pub(super) fn tool_name(field: &Field<'_>) -> Result<String, Failure> {
    const LONGEST: usize = 128;
    let name = field.text()?;
    let known = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    if name.is_empty() || name.len() > LONGEST || !name.chars().all(known) {
        let right = format!("1 to {LONGEST} letters, digits, underscores and dashes");
        return Err(field.unknown(&name, &right));
    }
    Ok(name)
}
