//! What messages say, block by block.

use serde_json::value::RawValue;

use super::read::{Notes, cache};
use crate::upstream::bridge::Failure;
use crate::upstream::bridge::ask::{Block, Part, Prompt, Role, Source};
use crate::upstream::bridge::door::content as files;
use crate::upstream::bridge::door::conversation::Conversation;
use crate::upstream::bridge::door::fields::{Field, Object, Shape};
use crate::upstream::bridge::door::parameters;

/// More blocks than a message can have in a body that is not too large.
const BLOCKS: usize = 1_000_000;

/// A string with something in it.
pub(super) fn name(field: &Field<'_>) -> Result<String, Failure> {
    let name = field.text()?;
    if name.is_empty() { Err(field.unknown("", "a string that is not empty")) } else { Ok(name) }
}

/// Instructions: a string, or blocks of text.
pub(super) fn prompts(field: &Field<'_>, notes: &mut Notes) -> Result<Vec<Prompt>, Failure> {
    let prompt = |part: Part| match part.block {
        Block::Text(text) => Some(Prompt { text, cache: part.cache }),
        _ => None,
    };
    // Nobody calls tools in instructions.
    let parts = parts(field, Role::System, &mut Conversation::new("", false), notes)?.into_iter();
    Ok(parts.filter_map(prompt).collect())
}

/// What somebody says in `said`: a string, or blocks. Empty text is nothing.
pub(super) fn parts(
    field: &Field<'_>,
    role: Role,
    said: &mut Conversation,
    notes: &mut Notes,
) -> Result<Vec<Part>, Failure> {
    match field.shape() {
        Shape::Text => {
            let text = Some(field.text()?).filter(|text| !text.is_empty());
            Ok(text.map(|text| Block::Text(text).into()).into_iter().collect())
        }
        Shape::List => {
            let mut parts = Vec::new();
            for block in field.list(BLOCKS)? {
                parts.extend(part(block, role, said, notes)?);
            }
            parts.retain(|part| !matches!(&part.block, Block::Text(text) if text.is_empty()));
            Ok(parts)
        }
        _ => Err(field.wrong("a string or a list of blocks")),
    }
}

/// A block. None where it was refused and the client does not mind.
fn part(
    field: Field<'_>,
    role: Role,
    said: &mut Conversation,
    notes: &mut Notes,
) -> Result<Option<Part>, Failure> {
    let mut block = field.object()?;
    let kind = block.need("type", "the block's type")?;
    let what = kind.text()?;
    let cache = cache(&mut block)?;
    let read = match (what.as_str(), role) {
        ("text", _) => Some(text(&mut block, notes)?),
        ("image", Role::User) => image(&mut block, notes)?,
        ("document", Role::User) => document(&mut block, notes)?,
        ("tool_result", Role::User) => Some(tool_result(&mut block, said, notes)?),
        ("tool_use", Role::Assistant) => Some(tool_use(&mut block, said, notes)?),
        ("thinking", Role::Assistant) => Some(thinking(&mut block)?),
        ("redacted_thinking", Role::Assistant) => {
            Some(Block::Redacted(block.need("data", "what the provider wrote")?.text()?))
        }
        ("image" | "document" | "tool_result" | "tool_use" | "thinking" | "redacted_thinking", _) => {
            return Err(kind.unknown(&what, right(role)));
        }
        _ => {
            let place = block.place().to_owned();
            notes.refuse_content(&place, &format!("a block of type {what:?} cannot be had here"))?;
            return Ok(None);
        }
    };
    block.finish(&mut notes.warnings);
    Ok(read.map(|block| Part { block, cache }))
}

fn right(role: Role) -> &'static str {
    match role {
        Role::User => "in a message of the user, \"text\", \"image\", \"document\" or \"tool_result\"",
        Role::Assistant => {
            "in a message of the assistant, \"text\", \"thinking\", \"redacted_thinking\" or \"tool_use\""
        }
        Role::System => "among instructions, \"text\"",
    }
}

fn text(block: &mut Object<'_>, notes: &mut Notes) -> Result<Block, Failure> {
    block.ignore("citations", "[]", &mut notes.warnings);
    Ok(Block::Text(block.need("text", "a string")?.text()?))
}

fn thinking(block: &mut Object<'_>) -> Result<Block, Failure> {
    let text = block.need("thinking", "a string")?.text()?;
    let signature = block.text("signature")?.filter(|signature| !signature.is_empty());
    Ok(Block::Thinking { text, signature })
}

fn tool_use(block: &mut Object<'_>, said: &mut Conversation, notes: &mut Notes) -> Result<Block, Failure> {
    let id = block.need("id", "the id of the call")?;
    let id = said.call(block.place(), &id)?;
    let tool = parameters::tool_name(&block.need("name", "the name of a tool")?)?;
    let input: Box<RawValue> = block.need("input", "an object")?.raw_object()?;
    block.ignore("caller", "{\"type\":\"direct\"}", &mut notes.warnings);
    Ok(Block::ToolUse { id, name: tool, input })
}

fn tool_result(block: &mut Object<'_>, said: &mut Conversation, notes: &mut Notes) -> Result<Block, Failure> {
    let id = said.result(&block.need("tool_use_id", "the id of a call")?)?;
    let is_error = block.flag("is_error")?.unwrap_or_default();
    let content = match block.take("content") {
        None => Vec::new(),
        Some(field) if field.shape() == Shape::Text => vec![Block::Text(field.text()?)],
        Some(field) if field.shape() == Shape::List => {
            let mut content = Vec::new();
            for block in field.list(BLOCKS)? {
                content.extend(result(block, notes)?);
            }
            content
        }
        Some(field) => return Err(field.wrong("a string or a list of blocks")),
    };
    Ok(Block::ToolResult { id, content, is_error })
}

/// A part of what a tool said.
fn result(field: Field<'_>, notes: &mut Notes) -> Result<Option<Block>, Failure> {
    let mut block = field.object()?;
    let kind = block.need("type", "the block's type")?;
    let what = kind.text()?;
    let read = match what.as_str() {
        "text" => Some(text(&mut block, notes)?),
        "image" => image(&mut block, notes)?,
        "document" => document(&mut block, notes)?,
        // The client found a tool that it meant to load later. All are loaded here: the model only has to hear of it.
        "tool_reference" => {
            let tool = name(&block.need("tool_name", "the name of a tool")?)?;
            notes.warnings.add("tool_reference as text");
            Some(Block::Text(format!("The tool {tool} can be used.")))
        }
        "tool_result" | "tool_use" | "thinking" | "redacted_thinking" => {
            return Err(kind.unknown(&what, "in what a tool said, \"text\", \"image\" or \"document\""));
        }
        _ => {
            let place = block.place().to_owned();
            notes.refuse_content(&place, &format!("a block of type {what:?} cannot be had here"))?;
            return Ok(None);
        }
    };
    block.finish(&mut notes.warnings);
    Ok(read)
}

fn image(block: &mut Object<'_>, notes: &mut Notes) -> Result<Option<Block>, Failure> {
    let Some((mut source, kind)) = source(block, notes)? else { return Ok(None) };
    let image = match kind.text()?.as_str() {
        "base64" => {
            let media_type = source.need("media_type", "\"image/png\" and the like")?.text()?;
            let data = source.need("data", "base64")?;
            files::picture(data.place(), &media_type, &data.text()?)?
        }
        "url" => web(&mut source)?,
        other => return Err(kind.unknown(other, "\"base64\" or \"url\"")),
    };
    source.finish(&mut notes.warnings);
    Ok(Some(Block::Image(image)))
}

fn document(block: &mut Object<'_>, notes: &mut Notes) -> Result<Option<Block>, Failure> {
    let title = block.text("title")?;
    block.ignore("citations", "{\"enabled\":false}", &mut notes.warnings);
    let Some((mut source, kind)) = source(block, notes)? else { return Ok(None) };
    let document = match kind.text()?.as_str() {
        "base64" => {
            let media_type = source.need("media_type", "\"application/pdf\"")?.text()?;
            let data = source.need("data", "base64")?;
            files::file(data.place(), &media_type, &data.text()?, title)?
        }
        "text" => {
            source.ignore("media_type", "\"text/plain\"", &mut notes.warnings);
            let text = source.need("data", "the document's text")?.text()?;
            Block::Document { source: Source::Text(text), title }
        }
        "content" => {
            let content = source.need("content", "a string or a list of blocks")?;
            Block::Document { source: Source::Text(plain(&content, notes)?), title }
        }
        "url" => Block::Document { source: web(&mut source)?, title },
        other => return Err(kind.unknown(other, "\"base64\", \"text\", \"content\" or \"url\"")),
    };
    source.finish(&mut notes.warnings);
    Ok(Some(document))
}

/// Where the bytes of a picture or a document are, and in which of the ways. None where they are in Anthropic's store
/// of files, and the client does not mind.
fn source<'a>(block: &mut Object<'a>, notes: &mut Notes) -> Result<Option<(Object<'a>, Field<'a>)>, Failure> {
    let source = block.need("source", "where it is")?;
    let place = source.place().to_owned();
    let mut source = source.object()?;
    let kind = source.need("type", "\"base64\" or \"url\"")?;
    if kind.text()? == "file" {
        notes.refuse_content(&place, "files that were uploaded to Anthropic are out of reach here")?;
        return Ok(None);
    }
    Ok(Some((source, kind)))
}

fn web(source: &mut Object<'_>) -> Result<Source, Failure> {
    let url = source.need("url", "an https URL")?;
    files::web(url.place(), &url.text()?)
}

/// The text of a document that is given in blocks. Pictures among them have no place in it.
fn plain(field: &Field<'_>, notes: &mut Notes) -> Result<String, Failure> {
    if field.shape() == Shape::Text {
        return field.text();
    }
    let mut all = Vec::new();
    for block in field.list(BLOCKS)? {
        let mut block = block.object()?;
        let kind = block.need("type", "\"text\"")?.text()?;
        if kind != "text" {
            let place = block.place().to_owned();
            notes.refuse_content(
                &place,
                &format!("a block of type {kind:?} in a document cannot be had here"),
            )?;
            continue;
        }
        if let Block::Text(text) = text(&mut block, notes)? {
            all.push(text);
        }
        block.finish(&mut notes.warnings);
    }
    Ok(all.join("\n\n"))
}
