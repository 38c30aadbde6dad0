//! `messages`: who said what.

use super::{MOST_MESSAGES, MOST_PARTS};
use crate::upstream::bridge::Failure;
use crate::upstream::bridge::ask::{Block, Part, Prompt, Role, Turn, Warnings};
use crate::upstream::bridge::door::content;
use crate::upstream::bridge::door::fields::{self, Field, Object, Shape};
use crate::upstream::bridge::door::parameters;

/// What the messages say.
#[derive(Debug, Default)]
pub(super) struct Said {
    /// The instructions before the first turn.
    pub system: Vec<Prompt>,
    /// The turns.
    pub turns: Vec<Turn>,
    /// The calls of the latest message of the model that no tool has answered yet.
    open: Vec<Call>,
    /// Calls in the old form so far: they had no ids.
    legacy: usize,
}

/// A call of a tool.
#[derive(Debug)]
struct Call {
    id: String,
    name: String,
    /// Where it stands.
    place: String,
    /// Whether it is of the old form, which is answered by the name.
    legacy: bool,
}

/// Reads `messages`.
pub(super) fn read(messages: &Field<'_>, warnings: &mut Warnings) -> Result<Said, Failure> {
    let mut said = Said::default();
    for message in messages.list(MOST_MESSAGES)? {
        let mut message = message.object()?;
        said.hear(&mut message, warnings)?;
        message.finish(warnings);
    }
    said.answered()?;
    if said.turns.is_empty() {
        let message =
            "messages: nobody says anything; a message of the role user, with content, would be right";
        return Err(Failure::invalid("messages", message));
    }
    Ok(said)
}

impl Said {
    fn hear(&mut self, message: &mut Object<'_>, warnings: &mut Warnings) -> Result<(), Failure> {
        const ROLES: &str = "one of system, developer, user, assistant, tool";
        let role = message.need("role", ROLES)?;
        let word = role.text()?;
        match word.as_str() {
            "system" | "developer" => self.instruct(message, warnings),
            "user" => {
                self.answered()?;
                let content = message.need("content", "a string or a list of parts")?;
                self.turn(Role::User, user_parts(&content, warnings)?);
                Ok(())
            }
            "assistant" => {
                self.answered()?;
                let parts = self.assistant(message, warnings)?;
                self.turn(Role::Assistant, parts);
                Ok(())
            }
            "tool" => self.tool(message, warnings),
            "function" => self.function(message, warnings),
            _ => Err(role.unknown(&word, ROLES)),
        }
    }

    /// Adds a turn; one in which nothing is said is none.
    fn turn(&mut self, role: Role, parts: Vec<Part>) {
        if !parts.is_empty() {
            self.turns.push(Turn { role, parts });
        }
    }

    fn instruct(&mut self, message: &mut Object<'_>, warnings: &mut Warnings) -> Result<(), Failure> {
        let content = message.need("content", "a string or a list of text parts")?;
        let parts = texts(&content, warnings)?;
        if !self.turns.is_empty() {
            self.turn(Role::System, parts);
            return Ok(());
        }
        self.system.extend(parts.into_iter().filter_map(|part| match part.block {
            Block::Text(text) => Some(Prompt { text, cache: part.cache }),
            _ => None,
        }));
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
        let id = call.need("id", "the id that the answer gave the call")?;
        let name = parameters::name_in(&id)?;
        if self.open.iter().any(|open| open.id == name) {
            return Err(id.unknown(&name, "an id that no other call of the message has"));
        }
        // The place of a call in a streamed list; some clients keep it.
        call.take("index");
        let function = call.need("function", "an object with name and arguments")?;
        call.finish(warnings);
        self.function_of(function, Call { id: name, name: String::new(), place, legacy: false }, warnings)
    }

    /// `function_call`, which was before `tool_calls` and had no ids.
    fn legacy_call(&mut self, field: Field<'_>, warnings: &mut Warnings) -> Result<Block, Failure> {
        let place = field.place().to_owned();
        let id = format!("call_function_{}", self.legacy);
        self.legacy += 1;
        self.function_of(field, Call { id, name: String::new(), place, legacy: true }, warnings)
    }

    /// The name and the arguments of a call, which is open from now on.
    fn function_of(
        &mut self,
        field: Field<'_>,
        call: Call,
        warnings: &mut Warnings,
    ) -> Result<Block, Failure> {
        let mut function = field.object()?;
        let name = parameters::tool_name(&function.need("name", "the name of a tool")?)?;
        let arguments = function.text("arguments")?.unwrap_or_default();
        let input = fields::inner_object(&function.place_of("arguments"), &arguments)?;
        function.finish(warnings);
        let id = call.id.clone();
        self.open.push(Call { name: name.clone(), ..call });
        Ok(Block::ToolUse { id, name, input })
    }

    fn tool(&mut self, message: &mut Object<'_>, warnings: &mut Warnings) -> Result<(), Failure> {
        let field = message.need("tool_call_id", "the id of the call that this answers")?;
        let id = parameters::name_in(&field)?;
        let Some(at) = self.open.iter().position(|call| call.id == id && !call.legacy) else {
            let open: Vec<_> = self.open.iter().map(|call| call.id.as_str()).collect();
            return Err(if open.is_empty() {
                field.unknown(&id, "a message after one of the assistant with tool_calls")
            } else {
                field.unknown(&id, &format!("one of {}, each once,", open.join(", ")))
            });
        };
        // Some clients repeat the tool's name; the id says it all.
        message.take("name");
        self.result(at, message, warnings)
    }

    fn function(&mut self, message: &mut Object<'_>, warnings: &mut Warnings) -> Result<(), Failure> {
        let field = message.need("name", "the name of the function that this answers for")?;
        let name = field.text()?;
        let Some(at) = self.open.iter().position(|call| call.name == name && call.legacy) else {
            return Err(field.unknown(&name, "the name in the function_call of the message before"));
        };
        self.result(at, message, warnings)
    }

    /// The answer to the open call at `at`.
    fn result(
        &mut self,
        at: usize,
        message: &mut Object<'_>,
        warnings: &mut Warnings,
    ) -> Result<(), Failure> {
        let content = match message.take("content") {
            Some(content) => user_parts(&content, warnings)?,
            None => Vec::new(),
        };
        let cache = content.iter().rev().find_map(|part| part.cache.clone());
        let content = content.into_iter().map(|part| part.block).collect();
        let id = self.open.remove(at).id;
        let block = Block::ToolResult { id, content, is_error: false };
        self.turn(Role::User, vec![Part { block, cache }]);
        Ok(())
    }

    /// Every call has its answer, or there is none to be had.
    fn answered(&self) -> Result<(), Failure> {
        let Some(call) = self.open.first() else { return Ok(()) };
        let right = if call.legacy {
            format!("a message of the role function with the name {} would be right after it", call.name)
        } else {
            format!("a message of the role tool with the tool_call_id {} would be right after it", call.id)
        };
        let message = format!("{}: nothing answers this call; {right}", call.place);
        Err(Failure::invalid(call.place.clone(), message))
    }
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
