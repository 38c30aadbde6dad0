//! What a backend says, piece by piece, and the whole that it makes.

use std::time::Duration;

use http::{HeaderName, HeaderValue};
use tokio::sync::mpsc;

/// What a backend says. `Head`, blocks one after the other (`Begin`, what is in it, `End`), `Done`; `Alive`, `Warning`
/// and `Citation` anywhere before `Done`. A backend that cannot go on returns a [`Failure`](super::Failure) instead of
/// saying `Done`.
#[derive(Clone, Debug)]
pub(crate) enum Event {
    /// What is known before the first word. At most once, and first; may be left out.
    Head(Head),
    /// A block begins. There is never more than one open.
    Begin(Begin),
    /// More of an open [`Begin::Text`].
    Text(String),
    /// More of an open [`Begin::Thinking`].
    Thinking(String),
    /// The signature of an open [`Begin::Thinking`].
    Signature(String),
    /// More of the JSON of an open [`Begin::Tool`]. All pieces together are a JSON object.
    Input(String),
    /// The open block ends.
    End,
    /// A source that the text rests on: belongs to the latest text block, and says so of all of it.
    Citation(Citation),
    /// The backend is at work, though it has nothing to say: the client gets a sign of life.
    Alive,
    /// As [`Warnings::add`](super::ask::Warnings::add), found out while answering.
    Warning(String),
    /// The answer is complete. Last.
    Done(Done),
}

/// What is known before the first word.
#[derive(Clone, Debug, Default)]
pub(crate) struct Head {
    /// The conversation that this has become part of: `x-conversation-id`.
    pub conversation: Option<String>,
    /// The session that this is part of: `x-session-id`, and `session_id` of the Chat door's bodies.
    pub session: Option<String>,
    /// The project of that session: `x-project-id`, and `project_id` of the Chat door's bodies.
    pub project: Option<String>,
    /// Tokens of the input, where they are known by now.
    pub usage: Option<Usage>,
    /// More to say in the response's head: rate limits and the like.
    pub headers: Vec<(HeaderName, HeaderValue)>,
}

/// What begins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Begin {
    /// Text for the user.
    Text,
    /// Thinking.
    Thinking,
    /// Thinking that only the provider can read, whole.
    Redacted(String),
    /// The client is asked to use a tool.
    Tool {
        /// By what id the result is to come.
        id: String,
        /// The tool.
        name: String,
    },
}

/// A source.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Citation {
    /// Its name for people.
    pub title: Option<String>,
    /// Where it is.
    pub url: Option<String>,
    /// What the backend calls it.
    pub id: String,
}

/// How an answer ended.
#[derive(Clone, Debug)]
pub(crate) struct Done {
    /// Why.
    pub stop: Stop,
    /// What it took.
    pub usage: Usage,
    /// In which words the model refused, if it did.
    pub refusal: Option<String>,
    /// What it cost, where the backend says so. USD.
    pub cost: Option<f64>,
}

/// Why an answer ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Stop {
    /// The model had said everything.
    EndTurn,
    /// `max_tokens`, or the model's own bound.
    MaxTokens,
    /// It said this, of [`Ask::stop`](super::ask::Ask::stop).
    Sequence(String),
    /// It waits for tools.
    ToolUse,
    /// It will not answer.
    Refusal,
}

/// Tokens.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Usage {
    /// Of the input, without what came from a cache or went into one.
    pub input: u64,
    /// Of the input, from a cache.
    pub cache_read: u64,
    /// Of the input, into a cache.
    pub cache_write: u64,
    /// Of the output, thinking included.
    pub output: u64,
    /// Of the output, thinking, where that is known.
    pub reasoning: Option<u64>,
    /// Whether nobody counted them, and these are a guess.
    pub estimated: bool,
}

impl Usage {
    /// All tokens of the input.
    pub(crate) fn prompt(&self) -> u64 {
        self.input.saturating_add(self.cache_read).saturating_add(self.cache_write)
    }
}

/// Where a backend says its events. A slow client slows it down.
#[derive(Clone, Debug)]
pub(crate) struct Out(mpsc::Sender<Event>);

/// Nobody listens any more: what is running can end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Left;

/// Events that wait for a slow client.
const WAITING: usize = 32;

impl Out {
    /// An end to say events at, and one to hear them.
    pub(crate) fn channel() -> (Self, mpsc::Receiver<Event>) {
        let (tx, rx) = mpsc::channel(WAITING);
        (Self(tx), rx)
    }

    /// Says `event`, once there is room for it.
    pub(crate) async fn say(&self, event: Event) -> Result<(), Left> {
        self.0.send(event).await.map_err(|_| Left)
    }
}

/// A whole answer.
#[derive(Clone, Debug, Default)]
pub(crate) struct Answer {
    /// What was known before the first word.
    pub head: Head,
    /// Its blocks, in their order.
    pub blocks: Vec<Said>,
    /// How it ended, once it has.
    pub done: Option<Done>,
}

/// A whole block of an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Said {
    /// Text.
    Text {
        /// What it says.
        text: String,
        /// What it rests on.
        citations: Vec<Citation>,
    },
    /// Thinking.
    Thinking {
        /// What it says.
        text: String,
        /// What proves it; may be empty.
        signature: String,
    },
    /// Thinking that only the provider can read.
    Redacted(String),
    /// A tool is asked for.
    Tool {
        /// By what id the result is to come.
        id: String,
        /// The tool.
        name: String,
        /// A JSON object.
        input: String,
    },
}

impl Answer {
    /// Adds what `event` says.
    pub(crate) fn hear(&mut self, event: &Event) {
        match event {
            Event::Begin(Begin::Text) => {
                self.blocks.push(Said::Text { text: String::new(), citations: Vec::new() });
            }
            Event::Begin(Begin::Thinking) => {
                self.blocks.push(Said::Thinking { text: String::new(), signature: String::new() });
            }
            Event::Begin(Begin::Redacted(data)) => self.blocks.push(Said::Redacted(data.clone())),
            Event::Begin(Begin::Tool { id, name }) => {
                self.blocks.push(Said::Tool { id: id.clone(), name: name.clone(), input: String::new() });
            }
            Event::Citation(citation) => {
                let texts = self.blocks.iter_mut().rev();
                let mut citations = texts.filter_map(|block| match block {
                    Said::Text { citations, .. } => Some(citations),
                    _ => None,
                });
                if let Some(citations) = citations.next() {
                    citations.push(citation.clone());
                }
            }
            Event::Done(done) => self.done = Some(done.clone()),
            Event::Text(more) | Event::Thinking(more) | Event::Signature(more) | Event::Input(more) => {
                self.more(event, more);
            }
            Event::Head(head) => self.head = head.clone(),
            Event::End | Event::Alive | Event::Warning(_) => {}
        }
    }

    fn more(&mut self, event: &Event, more: &str) {
        match (self.blocks.last_mut(), event) {
            (Some(Said::Text { text, .. }), Event::Text(_))
            | (Some(Said::Thinking { text, .. }), Event::Thinking(_))
            | (Some(Said::Thinking { signature: text, .. }), Event::Signature(_))
            | (Some(Said::Tool { input: text, .. }), Event::Input(_)) => text.push_str(more),
            _ => {}
        }
    }

    /// All of its text.
    pub(crate) fn text(&self) -> String {
        self.blocks
            .iter()
            .filter_map(|block| match block {
                Said::Text { text, .. } => Some(text.as_str()),
                _ => None,
            })
            .collect()
    }
}

/// How long a client should wait before it asks again, in whole seconds, at least one.
pub(crate) fn retry_seconds(after: Duration) -> u64 {
    after.as_secs() + u64::from(after.subsec_nanos() > 0).max(u64::from(after.is_zero()))
}

#[cfg(test)]
pub(crate) mod tests;
