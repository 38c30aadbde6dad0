//! OpenAI's Responses, and what others make of it (Azure, Codex' own backend, vLLM, OpenRouter …).

mod answer;
mod gathered;
mod item;
mod kind;
mod outcome;
mod piece;
mod request;
mod stream;
#[cfg(test)]
mod tests;

pub(super) use self::answer::read_answer;
pub(super) use self::request::read_request;
pub(super) use self::stream::Stream;
