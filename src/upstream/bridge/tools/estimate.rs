//! How many tokens a prompt has, by a guess.

use super::super::ask::{Ask, Block, Format, Source};

/// Tokens of an image: Anthropic's largest is some 1600 (<https://docs.claude.com/en/docs/build-with-claude/vision>).
const IMAGE: u64 = 1600;

/// Tokens of a page of a document, and how many bytes of a file make one.
const PAGE: u64 = 2000;
const PAGE_BYTES: u64 = 50_000;

/// What a turn, a tool or a call costs beside its words.
const FRAME: u64 = 4;

/// A guess at the tokens of `ask`.
pub(super) fn tokens(ask: &Ask) -> u64 {
    let system: u64 = ask.system.iter().map(|prompt| words(&prompt.text) + FRAME).sum();
    let turns: u64 = ask
        .turns
        .iter()
        .map(|turn| FRAME + turn.parts.iter().map(|part| block(&part.block)).sum::<u64>())
        .sum();
    let tools: u64 = ask
        .tools
        .iter()
        .map(|tool| {
            let description = tool.description.as_deref().map_or(0, words);
            FRAME + words(&tool.name) + description + words(tool.schema.get())
        })
        .sum();
    let format = match &ask.format {
        Format::Schema(schema) => words(schema.get()),
        Format::Text | Format::Json => 0,
    };
    system + turns + tools + format
}

fn block(block: &Block) -> u64 {
    match block {
        Block::Text(text) | Block::Thinking { text, .. } => words(text),
        Block::Redacted(data) => words(data),
        Block::Image(_) => IMAGE,
        Block::Document { source, title } => title.as_deref().map_or(0, words) + document(source),
        Block::ToolUse { name, input, .. } => FRAME + words(name) + words(input.get()),
        Block::ToolResult { content, .. } => FRAME + content.iter().map(self::block).sum::<u64>(),
    }
}

fn document(source: &Source) -> u64 {
    match source {
        Source::Text(text) => words(text),
        Source::Base64 { data, .. } => PAGE * (data.len() as u64 * 3 / 4).div_ceil(PAGE_BYTES).max(1),
        Source::Url(_) => PAGE,
    }
}

/// Four letters of ASCII are a token, of others two.
fn words(text: &str) -> u64 {
    let ascii = text.bytes().filter(u8::is_ascii).count() as u64;
    let others = text.chars().filter(|c| !c.is_ascii()).count() as u64;
    ascii.div_ceil(4) + others.div_ceil(2)
}
