//! OpenAI's Chat Completions, and what others make of it (Azure, vLLM, Ollama, OpenRouter, DeepSeek, Mistral …).

mod answer;
mod body;
mod choice;
mod logprobs;
mod message;
mod piece;
mod reasoning;
mod request;
mod stream;
mod usage;

pub(super) use self::answer::{read_answer, read_choices};
pub(super) use self::request::read_request;
pub(super) use self::stream::Stream;
pub(super) use self::usage::usage;

/// What a choice of an answer holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Holds {
    /// A message, as in a chat.
    Message,
    /// A text, as in a completion.
    Text,
}

/// How many answers to a call are read. OpenAI gives at most this many.
const MOST_CHOICES: usize = 128;
