//! Content of messages, and of what tools said.

use crate::upstream::bridge::Failure;
use crate::upstream::bridge::ask::{Block, Role, Source};
use crate::upstream::bridge::door::content;
use crate::upstream::bridge::door::fields::{self, Field, Object, Shape};
use crate::upstream::bridge::door::parameters::Rule;

/// Items of a request, and parts of one.
pub(super) const MOST_ITEMS: usize = 100_000;

/// A part of a request that nobody here can take: a failure, or with `lenient` a warning.
pub(super) fn refuse(place: &str, message: &str, rule: &mut Rule) -> Result<(), Failure> {
    if !rule.lenient {
        return Err(content::unsupported(place, message));
    }
    rule.warnings.dropped(fields::without_indices(place));
    Ok(())
}

/// Content: a string, or parts.
pub(super) fn blocks(field: &Field<'_>, role: Role, rule: &mut Rule) -> Result<Vec<Block>, Failure> {
    match field.shape() {
        Shape::Text => Ok(vec![Block::Text(field.text()?)]),
        Shape::List => {
            let mut blocks = Vec::new();
            for part in field.list(MOST_ITEMS)? {
                blocks.extend(block(part, role, rule)?);
            }
            Ok(blocks)
        }
        _ => Err(field.wrong("a string or a list of parts")),
    }
}

/// A part. None where it was refused and the client does not mind.
fn block(field: Field<'_>, role: Role, rule: &mut Rule) -> Result<Option<Block>, Failure> {
    let mut part = field.object()?;
    let kind = part.need("type", "the type of the part, such as \"input_text\",")?;
    let word = kind.text()?;
    let block = match (word.as_str(), role) {
        ("input_text" | "output_text" | "text", _) => {
            // What the model rested on, and how sure it was: of no use to it.
            part.take("annotations");
            part.take("logprobs");
            Some(Block::Text(part.need("text", "a string")?.text()?))
        }
        ("refusal", Role::Assistant) => Some(Block::Text(part.need("refusal", "a string")?.text()?)),
        ("input_image", Role::User) => image(&mut part, rule)?.map(Block::Image),
        ("input_file", Role::User) => file(&mut part, rule)?,
        ("input_image" | "input_file" | "refusal", _) => {
            return Err(kind.unknown(&word, "a part that may stand in a message of this role"));
        }
        _ => {
            let message = format!("a part of type {word:?} cannot be had here");
            refuse(part.place(), &message, rule)?;
            return Ok(None);
        }
    };
    part.finish(&mut rule.warnings);
    Ok(block)
}

fn image(part: &mut Object<'_>, rule: &mut Rule) -> Result<Option<Source>, Failure> {
    part.ignore("detail", "\"auto\"", &mut rule.warnings);
    if is_uploaded(part, rule)? {
        return Ok(None);
    }
    let url = part.need("image_url", "a data URL or an https URL")?;
    content::picture_at(url.place(), &url.text()?).map(Some)
}

fn file(part: &mut Object<'_>, rule: &mut Rule) -> Result<Option<Block>, Failure> {
    part.ignore("detail", "\"auto\"", &mut rule.warnings);
    if is_uploaded(part, rule)? {
        return Ok(None);
    }
    let name = part.text("filename")?;
    if let Some(url) = part.take("file_url") {
        let source = content::web(url.place(), &url.text()?)?;
        return Ok(Some(Block::Document { source, title: name }));
    }
    let data = part.need("file_data", "a data URL")?;
    content::file_at(data.place(), &data.text()?, name).map(Some)
}

/// Whether it is a file that was uploaded elsewhere.
fn is_uploaded(part: &mut Object<'_>, rule: &mut Rule) -> Result<bool, Failure> {
    let Some(id) = part.take("file_id") else { return Ok(false) };
    refuse(
        id.place(),
        "files that were uploaded to OpenAI are out of reach here; a data URL would do",
        rule,
    )?;
    Ok(true)
}
