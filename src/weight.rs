//! What notices weigh: the memory that they keep, bytes. About, and rather more than less.

use http::HeaderMap;
use perimeter_interceptor::host::What;
use perimeter_interceptor::{Completion, LlmEvent, Part, Said, Turn};

use crate::journal::is_copied;

/// What each notice weighs besides what it holds.
const NOTICE: usize = 256;

/// What each part of a conversation weighs besides its text.
const PART: usize = 64;

/// What `what` weighs.
pub(crate) fn of(what: &What) -> usize {
    NOTICE
        + match what {
            What::RequestHead(head) => head.uri.path().len() + headers(&head.headers),
            What::ResponseHead(head) => headers(&head.headers),
            What::RequestChunk(bytes) | What::ResponseChunk(bytes) | What::UpgradedChunk(_, bytes) => {
                chunk(bytes.len())
            }
            What::Llm(event) => event_of(event),
            What::Failure(failure) => failure.message.len(),
            What::RequestEnd(_) | What::Upgrade(_) | What::End(_) => 0,
        }
}

/// What a chunk of `len` bytes weighs: a copy, what its allocation is rounded up to; a clone, what it may keep of the
/// buffer that it was cut from.
pub(crate) fn chunk(len: usize) -> usize {
    if is_copied(len) { len + len / 4 } else { 2 * len }
}

/// What an event holds.
pub(crate) fn event_of(event: &LlmEvent) -> usize {
    match event {
        LlmEvent::Call(call) => {
            let turns: usize = call.news.iter().map(turn).sum();
            let tools = call
                .tools
                .iter()
                .map(|tool| PART + tool.name.len() + tool.description.as_ref().map_or(0, |text| text.len()));
            call.body.len() + turns + tools.sum::<usize>()
        }
        LlmEvent::Delta(delta) => match &delta.said {
            Said::Text(text) | Said::Thinking(text) | Said::Refusal(text) | Said::ToolInput(text) => {
                text.len()
            }
            _ => 0,
        },
        LlmEvent::ToolUse(tool) => tool.name.len() + tool.input.len(),
        LlmEvent::Completion(completion) | LlmEvent::Cut(completion) => completion_of(completion),
        LlmEvent::Failure(failure) => failure.message.len() + failure.body.len(),
        _ => 0,
    }
}

fn completion_of(completion: &Completion) -> usize {
    let parts = completion.answers.iter().flat_map(|answer| &answer.parts);
    completion.body.len() + parts.map(part).sum::<usize>()
}

fn turn(turn: &Turn) -> usize {
    PART + turn.parts.iter().map(part).sum::<usize>()
}

fn part(part: &Part) -> usize {
    PART + match part {
        Part::Text(text) | Part::Thinking(text) | Part::Refusal(text) | Part::Other(text) => text.len(),
        Part::ToolUse(tool) => tool.name.len() + tool.input.len(),
        Part::ToolResult(result) => result.text.len(),
        _ => 0,
    }
}

fn headers(headers: &HeaderMap) -> usize {
    headers.iter().map(|(name, value)| name.as_str().len() + value.len() + 64).sum()
}
