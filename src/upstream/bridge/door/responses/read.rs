//! A request, apart from its items and tools.

use serde_json::value::RawValue;
use serde_json::{Value, json};

use super::items::Said;
use super::object::{Echo, Shown};
use super::parts::MOST_ITEMS;
use super::tools;
use crate::upstream::bridge::Failure;
use crate::upstream::bridge::ask::{Ask, Effort, Format, Prompt, Turn, Warnings};
use crate::upstream::bridge::door::Reader;
use crate::upstream::bridge::door::fields::{self, Field, Object, Shape};
use crate::upstream::bridge::door::parameters::{self, Rule};

/// Parameters that have no effect here and yet do no harm, with OpenAI's defaults.
const HARMLESS: [(&str, &str); 10] = [
    ("temperature", "1"),
    ("top_p", "1"),
    ("service_tier", "\"auto\""),
    ("truncation", "\"disabled\""),
    ("max_tool_calls", "null"),
    ("prompt_cache_retention", "null"),
    ("prompt_cache_options", "null"),
    ("context_management", "[]"),
    ("access_programs", "null"),
    ("image", "null"),
];

/// Parameters that change what the answer means, with OpenAI's defaults.
const HARMFUL: [(&str, &str, &str); 4] = [
    ("background", "false", "answers are given while one waits here; false would be right"),
    ("top_logprobs", "0", "probabilities of tokens are not known here; leave it out"),
    (
        "prompt",
        "null",
        "prompts that are kept at OpenAI are out of reach here; instructions and input would do",
    ),
    ("moderation", "null", "nobody moderates here; leave it out"),
];

/// A request as it was read.
pub(super) struct Asked {
    /// What is asked.
    pub(super) ask: Ask,
    /// What of it the response repeats.
    pub(super) echo: Echo,
    /// The items of the input, in JSON, where they are to be kept.
    pub(super) input: Option<Vec<Box<RawValue>>>,
    /// The response that this goes on from.
    pub(super) previous: Option<String>,
    /// Whether the client wants thinking sealed, to give it back.
    pub(super) wants_sealed: bool,
}

/// Reads a request.
pub(super) fn asked(reader: &Reader<'_>) -> Result<Asked, Failure> {
    let mut body = fields::object(reader.body)?;
    let mut rule = Rule { lenient: reader.lenient, warnings: Warnings::default() };
    let model = parameters::name_in(&body.need("model", "the name of a model")?)?;
    let mut echo = echo(reader)?;
    let input = body.take("input");
    let stores = body.flag("store")?.unwrap_or(true);
    let kept_input = if stores { Some(items(input.as_ref())?) } else { None };
    let previous = body.take("previous_response_id");
    if let (Some(id), true) = (&previous, body.has("conversation")) {
        return Err(id.unknown(&id.text()?, "either previous_response_id or conversation, and not both,"));
    }
    // What else `metadata` says is the client's own, and repeated to it.
    let mut own = Warnings::default();
    let conversation =
        parameters::conversation(reader.headers, &mut body, Some(&mut own), &mut rule.warnings)?;
    let mut heard = Said::new(reader.kept, &reader.caller, conversation.is_some());
    if let Some(id) = &previous {
        heard.replay(id)?;
    }
    let (system, turns) = said(&mut body, heard, input.as_ref(), &mut rule)?;
    let previous = previous.map(|id| id.text()).transpose()?;
    let (tools, choice) = tools::read(&mut body, &mut rule)?;
    let parallel = body.flag("parallel_tool_calls")?.unwrap_or(true);
    let max_tokens = parameters::tokens(&mut body, "max_output_tokens")?;
    let format = format(&mut body, &mut rule)?;
    let (effort, shows_thinking) = reasoning(&mut body, &mut rule)?;
    let wants_sealed = include(&mut body, &mut rule)?;
    let stream = body.flag("stream")?.unwrap_or_default();
    if let Some(options) = body.take("stream_options") {
        let mut options = options.object()?;
        options.ignore("include_obfuscation", "false", &mut rule.warnings);
        options.finish(&mut rule.warnings);
    }
    parameters::end_user(&mut body, &mut rule.warnings)?;
    let session = parameters::name(&mut body, "session_id")?;
    let project = parameters::name(&mut body, "project_id")?;
    rule.ignore(&mut body, &HARMLESS);
    for (name, default, message) in HARMFUL {
        rule.only(&mut body, name, default, message)?;
    }
    body.finish(&mut rule.warnings);
    echo.store = stores;
    let ask = Ask {
        model,
        id: String::new(),
        system,
        turns,
        tools,
        choice,
        parallel,
        max_tokens,
        stop: Vec::new(),
        format,
        effort,
        shows_thinking,
        stream,
        conversation,
        session,
        project,
        caller: reader.caller.clone(),
        warnings: rule.warnings,
    };
    Ok(Asked { ask, echo, input: kept_input, previous, wants_sealed })
}

/// The items of `input`; a string is one.
fn items(input: Option<&Field<'_>>) -> Result<Vec<Box<RawValue>>, Failure> {
    let Some(input) = input else { return Ok(Vec::new()) };
    if input.shape() != Shape::Text {
        return Ok(input.list(MOST_ITEMS)?.iter().map(Field::raw).collect());
    }
    let item = json!({"type": "message", "role": "user",
        "content": [{"type": "input_text", "text": input.text()?}]});
    let item = RawValue::from_string(item.to_string());
    item.map(|item| vec![item]).map_err(|_| input.wrong("a string or a list of items"))
}

/// The instructions and the turns: what was `heard` before, and what the input says.
fn said(
    body: &mut Object<'_>,
    mut heard: Said<'_>,
    input: Option<&Field<'_>>,
    rule: &mut Rule,
) -> Result<(Vec<Prompt>, Vec<Turn>), Failure> {
    if let Some(input) = input {
        heard.hear(input, rule)?;
    }
    let (mut system, turns) = heard.finish()?;
    if turns.is_empty() {
        let message = "input: nobody says anything; a string or a list of items would be right";
        return Err(Failure::invalid("input", message));
    }
    if let Some(text) = body.text("instructions")?.filter(|text| !text.is_empty()) {
        system.insert(0, Prompt { text, cache: None });
    }
    Ok((system, turns))
}

/// `text`: what the text has to be.
fn format(body: &mut Object<'_>, rule: &mut Rule) -> Result<Format, Failure> {
    const KINDS: &str = "one of text, json_object, json_schema";
    let Some(text) = body.take("text") else { return Ok(Format::Text) };
    let mut text = text.object()?;
    text.ignore("verbosity", "\"medium\"", &mut rule.warnings);
    let field = text.take("format");
    text.finish(&mut rule.warnings);
    let Some(field) = field else { return Ok(Format::Text) };
    let mut format = field.object()?;
    let kind = format.need("type", KINDS)?;
    let read = match kind.text()?.as_str() {
        "text" => Format::Text,
        "json_object" => Format::Json,
        "json_schema" => {
            // An answer that is not of the schema is an error here anyway; and the schema describes itself.
            format.flag("strict")?;
            format.text("description")?;
            let schema = format.need("schema", "a JSON schema")?.raw_object()?;
            {
                format.text("name")?;
                Format::Schema(schema)
            }
        }
        other => return Err(kind.unknown(other, KINDS)),
    };
    format.finish(&mut rule.warnings);
    Ok(read)
}

/// `reasoning`: how hard to think, and whether the thinking is shown.
fn reasoning(body: &mut Object<'_>, rule: &mut Rule) -> Result<(Option<Effort>, bool), Failure> {
    const SUMMARIES: &str = "one of auto, concise, detailed";
    let Some(reasoning) = body.take("reasoning") else { return Ok((None, false)) };
    let mut reasoning = reasoning.object()?;
    let effort = reasoning.take("effort").map(|field| parameters::effort(&field)).transpose()?;
    let mut shows = false;
    // As the second was called before.
    for name in ["generate_summary", "summary"] {
        let Some(field) = reasoning.take(name) else { continue };
        match field.text()?.as_str() {
            "auto" | "concise" | "detailed" => shows = true,
            other => return Err(field.unknown(other, SUMMARIES)),
        }
    }
    rule.ignore(&mut reasoning, &[("mode", "\"standard\""), ("context", "\"auto\"")]);
    reasoning.finish(&mut rule.warnings);
    Ok((effort, shows))
}

/// `include`: whether thinking is wanted sealed. What belongs to tools of OpenAI's has no effect.
fn include(body: &mut Object<'_>, rule: &mut Rule) -> Result<bool, Failure> {
    let mut wants_sealed = false;
    let list = body.take("include").map(|list| list.list(MOST_ITEMS)).transpose()?;
    for field in list.unwrap_or_default() {
        match field.text()?.as_str() {
            "reasoning.encrypted_content" => wants_sealed = true,
            "message.output_text.logprobs" => {
                rule.refuse(&field, "probabilities of tokens are not known here")?;
            }
            // What the client sent is told as it came, pictures too.
            "message.input_image.image_url" => {}
            other => rule.warnings.dropped(format!("include={other}")),
        }
    }
    Ok(wants_sealed)
}

/// What the response repeats of the request.
fn echo(reader: &Reader<'_>) -> Result<Echo, Failure> {
    let mut body = fields::object(reader.body)?;
    let mut shown = |name: &str, default: Value| match body.take(name) {
        Some(field) => Shown::Given(field.raw()),
        None => Shown::Default(default),
    };
    let mut echo = Echo {
        instructions: shown("instructions", Value::Null),
        metadata: shown("metadata", json!({})),
        parallel_tool_calls: shown("parallel_tool_calls", true.into()),
        temperature: shown("temperature", json!(1.0)),
        top_p: shown("top_p", json!(1.0)),
        tool_choice: shown("tool_choice", "auto".into()),
        tools: shown("tools", json!([])),
        max_output_tokens: shown("max_output_tokens", Value::Null),
        max_tool_calls: shown("max_tool_calls", Value::Null),
        previous_response_id: shown("previous_response_id", Value::Null),
        prompt_cache_key: shown("prompt_cache_key", Value::Null),
        reasoning: shown("reasoning", json!({"effort": null, "summary": null})),
        safety_identifier: shown("safety_identifier", Value::Null),
        user: shown("user", Value::Null),
        text: shown("text", json!({"format": {"type": "text"}})),
        conversation: shown("conversation", Value::Null),
        service_tier: "default",
        top_logprobs: 0,
        truncation: "disabled",
        background: false,
        store: true,
    };
    // A string there, an object here.
    if let Shown::Given(raw) = &echo.conversation
        && raw.get().starts_with('"')
    {
        let id: Value = serde_json::from_str(raw.get()).unwrap_or_default();
        echo.conversation = Shown::Default(json!({"id": id}));
    }
    Ok(echo)
}
