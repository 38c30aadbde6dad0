//! Gemini's `generateContent`, streamed or not, at Google's own API, on Vertex, and as Code Assist wraps it.

mod answer;
mod body;
mod chunk;
mod content;
mod part;
mod request;
mod stream;
mod usage;

pub(super) use self::answer::read_answer;
pub(super) use self::request::read_request;
pub(super) use self::stream::Stream;
