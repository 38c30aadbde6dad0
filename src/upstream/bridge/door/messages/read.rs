//! A request, apart from what its messages say.

use std::collections::HashSet;

use serde_json::value::RawValue;

use super::content;
use crate::upstream::bridge::Failure;
use crate::upstream::bridge::ask::{Ask, Effort, Format, Prompt, Role, Tool, ToolChoice, Turn, Warnings};
use crate::upstream::bridge::door::conversation::Conversation;
use crate::upstream::bridge::door::fields::{self, Field, Object, Shape};
use crate::upstream::bridge::door::{Reader, content as files, parameters};

const STOPS: usize = 1_000;

/// A conversation that Anthropic keeps, and of which a request has only what is new.
pub(in crate::upstream::bridge::door) const THREAD: &str = "thread";

/// What the first words of the system prompt are where Claude Code says who is billed. They are no instructions.
const BILLING: &str = "x-anthropic-billing-header:";

/// What a request is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum For {
    /// An answer.
    Answer,
    /// A number of tokens: nothing bounds what nobody writes.
    Count,
}

/// What of a request is understood by parts: where what cannot be honoured is noted.
pub(super) struct Notes {
    pub(super) warnings: Warnings,
    pub(super) lenient: bool,
}

impl Notes {
    /// `field` cannot be had here, for the reason that `message` gives: a failure, or with `lenient` a warning.
    pub(super) fn refuse(&mut self, field: &Field<'_>, message: &str) -> Result<(), Failure> {
        self.unless_lenient(field.unsupported(message), field.place())
    }

    /// As [`Notes::refuse`], of a picture, a file or another part of a message.
    pub(super) fn refuse_content(&mut self, place: &str, message: &str) -> Result<(), Failure> {
        self.unless_lenient(files::unsupported(place, message), place)
    }

    fn unless_lenient(&mut self, failure: Failure, place: &str) -> Result<(), Failure> {
        if !self.lenient {
            return Err(failure);
        }
        self.warnings.dropped(fields::without_indices(place));
        Ok(())
    }
}

/// Reads a request.
pub(super) fn ask(reader: &Reader<'_>, purpose: For) -> Result<Ask, Failure> {
    let mut body = fields::object(reader.body)?;
    let mut notes = Notes { warnings: Warnings::default(), lenient: reader.lenient };
    let model = content::name(&body.need("model", "the name of a model")?)?;
    let max_tokens = max_tokens(&mut body, purpose)?;
    let conversation = conversation(&mut body, reader, &mut notes)?;
    let mut system = system(&mut body, &mut notes)?;
    let (more, turns) = turns(&mut body, conversation.is_some(), &mut notes)?;
    system.extend(more);
    let tools = tools(&mut body, &mut notes)?;
    let (choice, parallel) = choice(&mut body, &tools, &mut notes)?;
    let (effort, shows_thinking, format) = output(&mut body, &mut notes)?;
    let stop = stop(&mut body)?;
    let stream = body.flag("stream")?.unwrap_or_default();
    let (session, project) = (body.text("session_id")?, body.text("project_id")?);
    without_effect(&mut body, &mut notes)?;
    body.finish(&mut notes.warnings);
    Ok(Ask {
        model,
        id: String::new(),
        system,
        turns,
        tools,
        choice,
        parallel,
        max_tokens,
        stop,
        format,
        effort,
        shows_thinking,
        stream,
        conversation,
        session,
        project,
        caller: reader.caller.clone(),
        warnings: notes.warnings,
    })
}

fn max_tokens(body: &mut Object<'_>, purpose: For) -> Result<Option<u64>, Failure> {
    const RIGHT: &str = "how many tokens the answer may have";
    let field = match purpose {
        For::Answer => body.need("max_tokens", RIGHT)?,
        For::Count => match body.take("max_tokens") {
            Some(field) => field,
            None => return Ok(None),
        },
    };
    match field.whole()? {
        // Anthropic's way to fill a cache and to say nothing.
        0 => Err(field.unsupported("nothing can be asked for without an answer here; 1 is the least")),
        tokens => Ok(Some(tokens)),
    }
}

fn system(body: &mut Object<'_>, notes: &mut Notes) -> Result<Vec<Prompt>, Failure> {
    let Some(field) = body.take("system") else { return Ok(Vec::new()) };
    let mut prompts = content::prompts(&field, notes)?;
    if prompts.first().is_some_and(|first| first.text.starts_with(BILLING)) {
        prompts.remove(0);
    }
    Ok(prompts)
}

/// The messages. System messages before the first of them are more of the system prompt.
fn turns(
    body: &mut Object<'_>,
    elsewhere: bool,
    notes: &mut Notes,
) -> Result<(Vec<Prompt>, Vec<Turn>), Failure> {
    let field = body.need("messages", "a list of messages")?;
    let mut said = Conversation::new("a tool_result with the tool_use_id", elsewhere);
    for message in field.list(parameters::MOST_MESSAGES)? {
        let mut message = message.object()?;
        let role = role(&message.need("role", "\"user\" or \"assistant\"")?)?;
        let what = message.need("content", "a string or a list of blocks")?;
        message.finish(&mut notes.warnings);
        if role == Role::Assistant {
            said.settled()?;
        }
        let parts = content::parts(&what, role, &mut said, notes)?;
        said.say(role, parts, &mut notes.warnings);
    }
    let (system, turns) = said.finish()?;
    if turns.is_empty() {
        let message = "messages: nobody says anything; a message of the user with content would be right";
        return Err(Failure::invalid("messages", message));
    }
    Ok((system, turns))
}

fn role(field: &Field<'_>) -> Result<Role, Failure> {
    match field.text()?.as_str() {
        "user" => Ok(Role::User),
        "assistant" => Ok(Role::Assistant),
        "system" => Ok(Role::System),
        other => Err(field.unknown(other, "\"user\" or \"assistant\"")),
    }
}

fn tools(body: &mut Object<'_>, notes: &mut Notes) -> Result<Vec<Tool>, Failure> {
    let Some(field) = body.take("tools") else { return Ok(Vec::new()) };
    let (mut tools, mut names) = (Vec::new(), HashSet::new());
    for item in field.list(parameters::MOST_TOOLS)? {
        let mut item = item.object()?;
        if let Some(kind) = item.take("type")
            && kind.text()? != "custom"
        {
            let what = kind.text()?;
            notes.refuse(
                &kind,
                &format!("a tool that Anthropic's servers run ({what:?}) cannot be had here"),
            )?;
            continue;
        }
        let name = item.need("name", "the tool's name")?;
        let tool = Tool {
            name: parameters::tool_name(&name)?,
            description: item.text("description")?,
            schema: item.need("input_schema", "a JSON schema")?.raw_object()?,
            strict: item.flag("strict")?.unwrap_or_default(),
        };
        item.ignore("defer_loading", "false", &mut notes.warnings);
        item.ignore("allowed_callers", "[\"direct\"]", &mut notes.warnings);
        item.finish(&mut notes.warnings);
        if !names.insert(tool.name.clone()) {
            return Err(name.unknown(&tool.name, "a name that no other tool has"));
        }
        tools.push(tool);
    }
    Ok(tools)
}

fn choice(body: &mut Object<'_>, tools: &[Tool], notes: &mut Notes) -> Result<(ToolChoice, bool), Failure> {
    const RIGHT: &str = "\"auto\", \"any\", \"tool\" or \"none\"";
    let Some(field) = body.take("tool_choice") else { return Ok((ToolChoice::Auto, true)) };
    let mut choice = field.object()?;
    let kind = choice.need("type", RIGHT)?;
    let chosen = match kind.text()?.as_str() {
        "auto" => ToolChoice::Auto,
        "none" => ToolChoice::None,
        "any" if tools.is_empty() => {
            return Err(kind.unknown("any", "\"auto\": there are no tools to choose from,"));
        }
        "any" => ToolChoice::Required,
        "tool" => {
            let name = choice.need("name", "the name of a tool")?;
            let named = parameters::known_tool(&name, &parameters::names(tools))?;
            ToolChoice::Named(named)
        }
        other => return Err(kind.unknown(other, RIGHT)),
    };
    let parallel = !choice.flag("disable_parallel_tool_use")?.unwrap_or_default();
    choice.finish(&mut notes.warnings);
    Ok((chosen, parallel))
}

/// How hard to think, whether the thinking is shown, and what the text has to be.
fn output(body: &mut Object<'_>, notes: &mut Notes) -> Result<(Option<Effort>, bool, Format), Failure> {
    let (budget, shows) = thinking(body, notes)?;
    let mut format = body.take("output_format").map(|field| json_format(field, notes)).transpose()?;
    let mut effort = None;
    if let Some(field) = body.take("output_config") {
        let mut config = field.object()?;
        if let Some(field) = config.take("effort") {
            effort = Some(effort_of(&field)?);
            if budget == Some(Effort::None) {
                notes.warnings.dropped("output_config.effort");
            }
        }
        if let Some(field) = config.take("format") {
            format = Some(json_format(field, notes)?);
        }
        config.finish(&mut notes.warnings);
    }
    let effort = if budget == Some(Effort::None) { budget } else { effort.or(budget) };
    Ok((effort, shows, format.unwrap_or(Format::Text)))
}

fn thinking(body: &mut Object<'_>, notes: &mut Notes) -> Result<(Option<Effort>, bool), Failure> {
    let Some(field) = body.take("thinking") else { return Ok((None, false)) };
    let mut thinking = field.object()?;
    let kind = thinking.need("type", "\"enabled\", \"disabled\" or \"adaptive\"")?;
    let effort = match kind.text()?.as_str() {
        "enabled" => {
            let budget = thinking.need("budget_tokens", "how many tokens the thinking may have")?.whole()?;
            Some(effort_for(budget))
        }
        "disabled" => Some(Effort::None),
        // `between_tools` bounds when a model thinks, not how hard.
        "adaptive" | "between_tools" => None,
        other => return Err(kind.unknown(other, "\"enabled\", \"disabled\" or \"adaptive\"")),
    };
    let omitted = thinking.text("display")?.as_deref() == Some("omitted");
    thinking.finish(&mut notes.warnings);
    Ok((effort, effort != Some(Effort::None) && !omitted))
}

/// The effort that comes closest to a budget of this many tokens. What Claude Code has spent on "think", "think hard"
/// and "ultrathink" is low, medium and high.
fn effort_for(budget: u64) -> Effort {
    match budget {
        0..=4_096 => Effort::Low,
        4_097..=16_384 => Effort::Medium,
        16_385..=32_768 => Effort::High,
        _ => Effort::XHigh,
    }
}

fn effort_of(field: &Field<'_>) -> Result<Effort, Failure> {
    Ok(match field.text()?.as_str() {
        "low" => Effort::Low,
        "medium" => Effort::Medium,
        "high" => Effort::High,
        "xhigh" => Effort::XHigh,
        "max" => Effort::Max,
        other => return Err(field.unknown(other, "\"low\", \"medium\", \"high\", \"xhigh\" or \"max\"")),
    })
}

fn json_format(field: Field<'_>, notes: &mut Notes) -> Result<Format, Failure> {
    let mut format = field.object()?;
    let kind = format.need("type", "\"json_schema\"")?;
    if kind.text()? != "json_schema" {
        return Err(kind.unknown(&kind.text()?, "\"json_schema\""));
    }
    let schema = format.need("schema", "a JSON schema")?.raw_object()?;
    format.text("name")?;
    format.finish(&mut notes.warnings);
    Ok(Format::Schema(schema))
}

fn stop(body: &mut Object<'_>) -> Result<Vec<String>, Failure> {
    let Some(field) = body.take("stop_sequences") else { return Ok(Vec::new()) };
    field.list(STOPS)?.iter().map(content::name).collect()
}

/// The conversation by the name that the headers have for it, or `metadata`. Who the user is, is for whoever watches, and
/// for nobody here.
fn conversation(
    body: &mut Object<'_>,
    reader: &Reader<'_>,
    notes: &mut Notes,
) -> Result<Option<String>, Failure> {
    if let Some(metadata) = body.take("metadata") {
        let mut metadata = metadata.object()?;
        metadata.text("user_id")?;
        let name = parameters::name(&mut metadata, "conversation_id")?;
        metadata.finish(&mut notes.warnings);
        return parameters::conversation_or(reader.headers, name, &mut notes.warnings);
    }
    parameters::conversation_or(reader.headers, None, &mut notes.warnings)
}

/// What has no effect here, and what cannot be answered without.
fn without_effect(body: &mut Object<'_>, notes: &mut Notes) -> Result<(), Failure> {
    // Not even for those who do not mind: what follows in a thread would be without what went before.
    if let Some(thread) = body.take(THREAD) {
        return Err(
            thread.unsupported("no threads are kept here; the whole conversation in messages would be right")
        );
    }
    for (name, default) in
        [("temperature", "1"), ("top_p", "1"), ("service_tier", "\"auto\""), ("speed", "\"standard\"")]
    {
        body.ignore(name, default, &mut notes.warnings);
    }
    for (name, why) in [
        ("mcp_servers", "nobody here connects to MCP servers of a client; give their tools as tools"),
        ("container", "there are no containers to run code in here"),
        (
            "compaction",
            "nobody here writes summaries that are sent instead of messages; ask for one in words",
        ),
    ] {
        if let Some(field) = body.take(name)
            && !(field.shape() == Shape::List && field.is("[]"))
        {
            notes.refuse(&field, why)?;
        }
    }
    Ok(())
}

/// `cache_control` of a part, as it came.
pub(super) fn cache(part: &mut Object<'_>) -> Result<Option<Box<RawValue>>, Failure> {
    part.take("cache_control").map(|field| field.raw_object()).transpose()
}
