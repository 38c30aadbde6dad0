//! What notices weigh: the memory that they keep, bytes. About, and rather more than less.

use std::collections::BTreeMap;

use http::{HeaderMap, Uri};
use perimeter_interceptor::host::What;
use perimeter_interceptor::{BodyEnd, Completion, Exchange, Labels, LlmEvent, Part, Said, Turn};

use crate::journal::is_copied;

/// What each notice weighs besides what it holds.
const NOTICE: usize = 256;

/// What each part of a conversation weighs besides its text.
const PART: usize = 64;

/// What `what` weighs, told of `exchange`, which its head brings along.
pub(crate) fn of(exchange: &Exchange, what: &What) -> usize {
    NOTICE
        + match what {
            What::RequestHead(head) => uri(&head.uri) + headers(&head.headers) + labels(&exchange.labels),
            What::ResponseHead(head) => headers(&head.headers),
            What::RequestChunk(bytes) | What::ResponseChunk(bytes) | What::UpgradedChunk(_, bytes) => {
                chunk(bytes.len())
            }
            What::Llm(event) => event_of(event),
            What::Failure(failure) => failure.message.len(),
            What::RequestEnd(end) => end_of(end),
            What::End(end) => end_of(&end.request) + end_of(&end.response),
            What::Upgrade(upgrade) => upgrade.protocol.len(),
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
            let history: usize = call.history.iter().map(turn).sum();
            let prefixes = size_of_val(&*call.prefixes);
            call.body.len() + prefixes + turns + history + tools.sum::<usize>() + tags(&call.session.tags)
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
    let stream = completion
        .stream
        .as_deref()
        .map_or(0, |stream| size_of_val(stream) + stream.gaps.held() + size_of_val(&*stream.stalls));
    completion.body.len() + stream + parts.map(part).sum::<usize>()
}

fn turn(turn: &Turn) -> usize {
    PART + turn.parts.iter().map(part).sum::<usize>()
}

fn part(part: &Part) -> usize {
    PART + match part {
        Part::Text(text) | Part::Thinking(text) | Part::Refusal(text) | Part::Other(text) => text.len(),
        Part::ToolUse(tool) => tool.name.len() + tool.input.len(),
        Part::ToolResult(result) => result.text.len(),
        Part::Media(media) => media.name.as_deref().map_or(0, str::len),
        _ => 0,
    }
}

/// What a target weighs.
pub(crate) fn uri(uri: &Uri) -> usize {
    uri.authority().map_or(0, |authority| authority.as_str().len())
        + uri.path_and_query().map_or(0, |target| target.as_str().len())
}

/// What the trailers of a body weigh.
pub(crate) fn end_of(end: &BodyEnd) -> usize {
    match end {
        BodyEnd::Complete { trailers: Some(trailers) } => headers(trailers),
        BodyEnd::Failed(why) => why.len(),
        _ => 0,
    }
}

fn labels(labels: &Labels) -> usize {
    let names = [&labels.workflow, &labels.session, &labels.agent].into_iter().flatten();
    names.map(|name| name.len()).sum::<usize>() + tags(&labels.tags)
}

fn tags(tags: &BTreeMap<String, String>) -> usize {
    tags.iter().map(|(name, value)| PART + name.len() + value.len()).sum()
}

/// What headers weigh.
pub(crate) fn headers(headers: &HeaderMap) -> usize {
    headers.iter().map(|(name, value)| name.as_str().len() + value.len() + 64).sum()
}
