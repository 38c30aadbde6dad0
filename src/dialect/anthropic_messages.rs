//! Anthropic's Messages, by whoever serves them: Anthropic, Amazon's Bedrock or Google's Vertex.

mod answer;
mod block;
mod body;
mod outcome;
mod request;
mod stream;
mod usage;

pub(super) use self::answer::read_answer;
pub(super) use self::request::read_request;
pub(super) use self::stream::Stream;

/// Whether a block of this type asks for a tool that the provider, or a server that it asks, runs.
fn is_hosted(kind: &str) -> bool {
    kind.ends_with("_tool_use")
}
