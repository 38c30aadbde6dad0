//! `messages`: who said what.

use serde_json::value::RawValue;

use super::MOST_PARTS;
use crate::upstream::bridge::Failure;
use crate::upstream::bridge::ask::{Block, Part, Prompt, Role, Turn, Warnings};
use crate::upstream::bridge::door::content;
use crate::upstream::bridge::door::conversation::Conversation;
use crate::upstream::bridge::door::fields::{self, Field, Object, Shape};
use crate::upstream::bridge::door::parameters;

/// What the messages say: the instructions before the first turn, and the turns.
type Said = (Vec<Prompt>, Vec<Turn>);

/// Messages that are being read.
struct Messages {
    said: Conversation,
}

/// Reads `messages`. `elsewhere` is whether the client names a conversation.
pub(super) fn read(messages: &Field<'_>, elsewhere: bool, warnings: &mut Warnings) -> Result<Said, Failure> {
    const RESULT: &str = "a message of the role tool with the tool_call_id";
    let mut all = Messages { said: Conversation::new(RESULT, elsewhere) };
    for message in messages.list(parameters::MOST_MESSAGES)? {
        let mut message = message.object()?;
        all.hear(&mut message, warnings)?;
        message.finish(warnings);
    }
    let (system, turns) = all.said.finish()?;
    if turns.is_empty() {
        let message =
            "messages: nobody says anything; a message of the role user, with content, would be right";
        return Err(Failure::invalid("messages", message));
    }
    Ok((system, turns))
}

impl Messages {
    fn hear(&mut self, message: &mut Object<'_>, warnings: &mut Warnings) -> Result<(), Failure> {
        const ROLES: &str = "one of system, developer, user, assistant, tool";
        let role = message.need("role", ROLES)?;
        let word = role.text()?;
        let (role, parts) = match word.as_str() {
            "system" | "developer" => {
                let content = message.need("content", "a string or a list of text parts")?;
                (Role::System, texts(&content, warnings)?)
            }
            "user" => {
                let content = message.need("content", "a string or a list of parts")?;
                (Role::User, user_parts(&content, warnings)?)
            }
            "assistant" => {
                self.said.settled()?;
                (Role::Assistant, self.assistant(message, warnings)?)
            }
            "tool" => (Role::User, vec![self.tool(message, warnings)?]),
            "function" => (Role::User, vec![self.function(message, warnings)?]),
            _ => return Err(role.unknown(&word, ROLES)),
        };
        self.said.say(role, parts, warnings);
        Ok(())
    }

    fn assistant(&mut self, message: &mut Object<'_>, warnings: &mut Warnings) -> Result<Vec<Part>, Failure> {
        let mut parts = Vec::new();
        let thinking = message.text("reasoning_content")?.filter(|text| !text.is_empty());
        parts.extend(thinking.map(|text| Part::from(Block::Thinking { text, signature: None })));
        if let Some(content) = message.take("content") {
            parts.extend(texts(&content, warnings)?);
        }
        if let Some(refusal) = message.text("refusal")?.filter(|text| !text.is_empty()) {
            parts.push(Block::Text(refusal).into());
        }
        if message.take("audio").is_some() {
            return Err(content::unsupported(
                &message.place_of("audio"),
                "an answer in sound; text would do",
            ));
        }
        if let Some(calls) = message.take("tool_calls") {
            for call in calls.list(MOST_PARTS)? {
                parts.push(self.call(call, warnings)?.into());
            }
        }
        if let Some(call) = message.take("function_call") {
            parts.push(self.legacy_call(call, warnings)?.into());
        }
        Ok(parts)
    }

    /// An item of `tool_calls`.
    fn call(&mut self, field: Field<'_>, warnings: &mut Warnings) -> Result<Block, Failure> {
        let place = field.place().to_owned();
        let mut call = field.object()?;
        if let Some(kind) = call.take("type") {
            let word = kind.text()?;
            if word != "function" {
                return Err(kind.unsupported(&format!("{word:?}, but only functions are known here")));
            }
        }
        let id = self.said.call(&place, &call.need("id", "the id that the answer gave the call")?)?;
        // The place of a call in a streamed list; some clients keep it.
        call.take("index");
        let function = call.need("function", "an object with name and arguments")?;
        call.finish(warnings);
        let (name, input) = function_of(function, warnings)?;
        Ok(Block::ToolUse { id, name, input })
    }

    /// `function_call`, which was before `tool_calls` and had no ids.
    fn legacy_call(&mut self, field: Field<'_>, warnings: &mut Warnings) -> Result<Block, Failure> {
        let place = field.place().to_owned();
        let (name, input) = function_of(field, warnings)?;
        Ok(Block::ToolUse { id: self.said.call_function(&place, &name), name, input })
    }

    fn tool(&mut self, message: &mut Object<'_>, warnings: &mut Warnings) -> Result<Part, Failure> {
        let id = self.said.result(&message.need("tool_call_id", "the id of the call that this answers")?)?;
        // Some clients repeat the tool's name; the id says it all.
        message.take("name");
        result(id, message, warnings)
    }

    fn function(&mut self, message: &mut Object<'_>, warnings: &mut Warnings) -> Result<Part, Failure> {
        let name = message.need("name", "the name of the function that this answers for")?;
        result(self.said.function_result(&name)?, message, warnings)
    }
}

/// The name and the arguments of a call.
fn function_of(field: Field<'_>, warnings: &mut Warnings) -> Result<(String, Box<RawValue>), Failure> {
    let mut function = field.object()?;
    let name = parameters::tool_name(&function.need("name", "the name of a tool")?)?;
    let arguments = function.text("arguments")?.unwrap_or_default();
    let input = fields::inner_object(&function.place_of("arguments"), &arguments)?;
    function.finish(warnings);
    Ok((name, input))
}

/// What a tool said to the call of this id.
fn result(id: String, message: &mut Object<'_>, warnings: &mut Warnings) -> Result<Part, Failure> {
    let content = match message.take("content") {
        Some(content) => user_parts(&content, warnings)?,
        None => Vec::new(),
    };
    let cache = content.iter().rev().find_map(|part| part.cache.clone());
    let content = content.into_iter().map(|part| part.block).collect();
    Ok(Part { block: Block::ToolResult { id, content, is_error: false }, cache })
}

/// Content that can only be text.
fn texts(content: &Field<'_>, warnings: &mut Warnings) -> Result<Vec<Part>, Failure> {
    parts(content, warnings, |kind, part, _| match kind {
        "text" => Ok(part.need("text", "a string")?.text().map(Block::Text)?),
        "refusal" => Ok(part.need("refusal", "a string")?.text().map(Block::Text)?),
        _ => Err(wrong_type(part, kind, "text")),
    })
}

/// Content of a user or a tool.
fn user_parts(content: &Field<'_>, warnings: &mut Warnings) -> Result<Vec<Part>, Failure> {
    parts(content, warnings, |kind, part, warnings| match kind {
        "text" => Ok(Block::Text(part.need("text", "a string")?.text()?)),
        "image_url" => image(part, warnings),
        "file" => file(part, warnings),
        "input_audio" => Err(content::unsupported(part.place(), "sound; text, a picture or a file would do")),
        _ => Err(wrong_type(part, kind, "one of text, image_url, file")),
    })
}

/// The parts of `content`, each read by `block` as its type says; those that are empty text are none.
fn parts(
    content: &Field<'_>,
    warnings: &mut Warnings,
    block: impl Fn(&str, &mut Object<'_>, &mut Warnings) -> Result<Block, Failure>,
) -> Result<Vec<Part>, Failure> {
    let list = match content.shape() {
        Shape::Text => {
            let text = content.text()?;
            return Ok(if text.is_empty() { Vec::new() } else { vec![Block::Text(text).into()] });
        }
        Shape::List => content.list(MOST_PARTS)?,
        _ => return Err(content.wrong("a string or a list of parts")),
    };
    let mut parts = Vec::new();
    for part in list {
        let mut part = part.object()?;
        let kind = part.need("type", "the type of the part, such as \"text\",")?.text()?;
        let block = block(&kind, &mut part, warnings)?;
        let cache = part.take("cache_control").map(|cache| cache.raw_object()).transpose()?;
        part.finish(warnings);
        if !matches!(&block, Block::Text(text) if text.is_empty()) {
            parts.push(Part { block, cache });
        }
    }
    Ok(parts)
}

fn wrong_type(part: &Object<'_>, kind: &str, right: &str) -> Failure {
    let place = part.place_of("type");
    let kind: String = kind.chars().take(40).collect();
    let message = format!("{place}: found {kind:?}, where {right} would be right");
    Failure::invalid(place, message)
}

fn image(part: &mut Object<'_>, warnings: &mut Warnings) -> Result<Block, Failure> {
    let field = part.need("image_url", "an object with a url")?;
    if field.shape() == Shape::Text {
        return content::picture_at(field.place(), &field.text()?).map(Block::Image);
    }
    let mut image = field.object()?;
    let url = image.need("url", "a data URL or an https URL")?;
    image.ignore("detail", "\"auto\"", warnings);
    image.finish(warnings);
    content::picture_at(url.place(), &url.text()?).map(Block::Image)
}

fn file(part: &mut Object<'_>, warnings: &mut Warnings) -> Result<Block, Failure> {
    let mut file = part.need("file", "an object with file_data")?.object()?;
    if file.take("file_id").is_some() {
        let message = "no files are kept here; file_data would do";
        return Err(content::unsupported(&file.place_of("file_id"), message));
    }
    let name = file.text("filename")?;
    let data = file.need("file_data", "a data URL")?;
    file.finish(warnings);
    content::file_at(data.place(), &data.text()?, name)
}
