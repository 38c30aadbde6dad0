//! `POST /v1/chat/completions` (<https://platform.openai.com/docs/api-reference/chat>).

use super::fields::{self, Field, Object};
use super::parameters::{self, Rule, SAMPLING};
use super::{Failure, Reader, Reading};
use crate::upstream::bridge::Ask;
use crate::upstream::bridge::ask::{Effort, Format, Prompt, Warnings};

mod messages;
mod shapes;
mod tools;
mod writer;

pub(super) use shapes::{Figures, finish_reason};

/// Parts of a message, and calls of tools in one.
const MOST_PARTS: usize = 10_000;

/// Parameters besides [`SAMPLING`] that have no effect here and yet do no harm, with OpenAI's defaults.
const HARMLESS: [(&str, &str); 6] = [
    ("store", "false"),
    ("service_tier", "\"auto\""),
    ("prediction", "null"),
    ("verbosity", "\"medium\""),
    ("prompt_cache_retention", "null"),
    ("prompt_cache_options", "null"),
];

/// Parameters that change what the answer means, with OpenAI's defaults.
const HARMFUL: [(&str, &str, &str); 7] = [
    ("n", "1", "one answer is all there is here; 1 would be right"),
    ("logprobs", "false", "probabilities of tokens are not known here; false would be right"),
    ("top_logprobs", "0", "probabilities of tokens are not known here; leave it out"),
    ("audio", "null", "answers are text here; leave it out"),
    ("modalities", "[\"text\"]", "answers are text here; [\"text\"] would be right"),
    ("web_search_options", "null", "nobody searches the web here; leave it out"),
    ("moderation", "null", "nobody moderates here; leave it out"),
];

pub(super) fn read(reader: Reader<'_>) -> Result<Reading, Failure> {
    let mut body = fields::object(reader.body)?;
    let mut rule = Rule { lenient: reader.lenient, warnings: Warnings::default() };
    let model = parameters::model(&mut body)?;
    let prompt = body.text("system_prompt")?.filter(|prompt| !prompt.is_empty());
    let messages = body.need("messages", "a list of messages")?;
    let conversation = parameters::conversation(reader.headers, &mut body, None, &mut rule.warnings)?;
    let (system, turns) = messages::read(&messages, conversation.is_some(), &mut rule.warnings)?;
    let tools = tools::read(&mut body, &mut rule)?;
    let max_tokens = max_tokens(&mut body, &mut rule.warnings)?;
    let stop = parameters::stop(&mut body)?;
    let format = body.take("response_format").map(|field| format(field, &mut rule)).transpose()?;
    let effort = body.take("reasoning_effort").map(|field| parameters::effort(&field)).transpose()?;
    let stream = body.flag("stream")?.unwrap_or_default();
    let include_usage = parameters::include_usage(&mut body, &mut rule.warnings)?;
    parameters::end_user(&mut body, &mut rule.warnings)?;
    let session = parameters::name(&mut body, "session_id")?;
    let project = parameters::name(&mut body, "project_id")?;
    rule.ignore(&mut body, &SAMPLING);
    rule.ignore(&mut body, &HARMLESS);
    for (name, default, message) in HARMFUL {
        rule.only(&mut body, name, default, message)?;
    }
    body.finish(&mut rule.warnings);

    let prompt = prompt.map(|text| Prompt { text, cache: None });
    let ask = Ask {
        model,
        id: String::new(),
        system: prompt.into_iter().chain(system).collect(),
        turns,
        tools: tools.tools,
        choice: tools.choice,
        parallel: tools.parallel,
        max_tokens,
        stop,
        format: format.unwrap_or(Format::Text),
        effort,
        shows_thinking: effort != Some(Effort::None),
        stream,
        conversation,
        session,
        project,
        caller: reader.caller,
        warnings: rule.warnings,
    };
    let writer = Box::new(writer::Chat::new(&ask, include_usage, tools.legacy));
    Ok(Reading { ask, writer })
}

/// `max_completion_tokens`, or `max_tokens` as it was called before. Where both are there and differ, the former name
/// has no effect.
fn max_tokens(body: &mut Object<'_>, warnings: &mut Warnings) -> Result<Option<u64>, Failure> {
    let former = parameters::tokens(body, "max_tokens")?;
    let most = parameters::tokens(body, "max_completion_tokens")?;
    if most.is_some() && former.is_some() && most != former {
        warnings.dropped("max_tokens");
    }
    Ok(most.or(former))
}

/// `response_format`.
fn format(field: Field<'_>, rule: &mut Rule) -> Result<Format, Failure> {
    let mut format = field.object()?;
    let kind = format.need("type", "one of text, json_object, json_schema")?;
    let word = kind.text()?;
    let read = match word.as_str() {
        "text" => Format::Text,
        "json_object" => Format::Json,
        "json_schema" => {
            let mut schema = format.need("json_schema", "an object with name and schema")?.object()?;
            schema.text("name")?;
            // An answer that is not of the schema is an error here anyway.
            schema.flag("strict")?;
            let raw = schema.need("schema", "a JSON schema")?.raw_object()?;
            schema.finish(&mut rule.warnings);
            Format::Schema(raw)
        }
        _ => return Err(kind.unknown(&word, "one of text, json_object, json_schema")),
    };
    format.finish(&mut rule.warnings);
    Ok(read)
}

#[cfg(test)]
mod tests;
