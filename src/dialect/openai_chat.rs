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

pub(super) use self::answer::read_answer;
pub(super) use self::request::read_request;
pub(super) use self::stream::Stream;
pub(super) use self::usage::usage;

/// How many answers to a call are read. OpenAI gives at most this many.
const MOST_CHOICES: usize = 128;
