//! Conversations as long as wanted, which differ in how they begin.

use std::fmt::Write as _;

use bytes::Bytes;
use perimeter::measure::Call;

/// Which API they are held by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Dialect {
    Chat,
    Anthropic,
}

impl Dialect {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Chat => "Chat",
            Self::Anthropic => "Anthropic",
        }
    }

    fn path(self) -> &'static str {
        match self {
            Self::Chat => "/v1/chat/completions",
            Self::Anthropic => "/v1/messages",
        }
    }
}

/// Conversations of one length.
#[derive(Debug)]
pub(super) struct Talk {
    dialect: Dialect,
    /// Behind the first message: what was said until the last question, and that.
    before: String,
    last: String,
    /// How many messages there are together with the first.
    messages: usize,
    /// How long a message is, bytes.
    length: usize,
}

/// One of them, and a call in it.
#[derive(Debug)]
pub(super) struct Turn {
    path: &'static str,
    session: Option<String>,
    request: [Bytes; 1],
    response: [Bytes; 1],
    /// What the model says to it.
    pub(super) answer: String,
}

impl Turn {
    pub(super) fn call(&self) -> Call<'_> {
        Call {
            path: self.path,
            session: self.session.as_deref(),
            key: Some("Bearer sk-the-same"),
            request: &self.request,
            response: &self.response,
            content_type: "application/json",
        }
    }

    pub(super) fn body(&self) -> &Bytes {
        &self.request[0]
    }
}

impl Talk {
    /// Of so many messages, an odd number, of such a length each.
    pub(super) fn new(dialect: Dialect, messages: usize, length: usize) -> Self {
        let mut said = String::new();
        let mut before = 0;
        for number in 1..messages {
            before = said.len();
            let role = if number % 2 == 0 { "user" } else { "assistant" };
            let _ = write!(said, ",{{\"role\":\"{role}\",\"content\":\"{}\"}}", words(number, length));
            // The last question comes with the answer before it.
            if number + 1 == messages {
                before = said.rfind(",{\"role\":\"assistant\"").unwrap_or(before);
            }
        }
        let last = said.split_off(before);
        Self { dialect, before: said, last, messages, length }
    }

    /// How many bytes the last answer and the question behind it take.
    pub(super) fn new_bytes(&self) -> usize {
        self.last.len()
    }

    /// The call before the last of the conversation of this number.
    pub(super) fn before(&self, number: u64, is_named: bool) -> Turn {
        self.turn(number, is_named, "", self.messages.saturating_sub(2))
    }

    /// The last call of the conversation of this number.
    pub(super) fn last(&self, number: u64, is_named: bool) -> Turn {
        self.turn(number, is_named, &self.last, self.messages)
    }

    fn turn(&self, number: u64, is_named: bool, last: &str, messages: usize) -> Turn {
        let first = format!("{number:08} {}", words(0, self.length));
        let answer = words(messages, self.length);
        let list = format!("{{\"role\":\"user\",\"content\":\"{first}\"}}{}{last}", self.before);
        let (request, response) = match self.dialect {
            Dialect::Chat => (
                format!(
                    "{{\"model\":\"gpt-5\",\"messages\":[{{\"role\":\"system\",\"content\":\"You are brief.\"}},{list}]}}"
                ),
                format!(
                    "{{\"id\":\"chatcmpl-1\",\"object\":\"chat.completion\",\"model\":\"gpt-5\",\"choices\":[{{\"index\":0,\
                     \"message\":{{\"role\":\"assistant\",\"content\":\"{answer}\"}},\"finish_reason\":\"stop\"}}],\
                     \"usage\":{{\"prompt_tokens\":9,\"completion_tokens\":9,\"total_tokens\":18}}}}"
                ),
            ),
            Dialect::Anthropic => (
                format!(
                    "{{\"model\":\"claude-sonnet-4-5\",\"max_tokens\":100,\"system\":\"You are brief.\",\"messages\":[{list}]}}"
                ),
                format!(
                    "{{\"id\":\"msg_1\",\"type\":\"message\",\"role\":\"assistant\",\"model\":\"claude-sonnet-4-5\",\
                     \"content\":[{{\"type\":\"text\",\"text\":\"{answer}\"}}],\"stop_reason\":\"end_turn\",\
                     \"usage\":{{\"input_tokens\":9,\"output_tokens\":9}}}}"
                ),
            ),
        };
        Turn {
            path: self.dialect.path(),
            session: is_named.then(|| format!("session {number}")),
            request: [request.into()],
            response: [response.into()],
            answer,
        }
    }
}

/// What the message of this number says: the same each time.
fn words(number: usize, length: usize) -> String {
    let mut words = format!("{number:04}");
    while words.len() < length {
        words.push_str(" and so it went on");
    }
    words.truncate(length.max(4));
    words
}

#[cfg(test)]
mod tests {
    use perimeter::measure::Attaching;
    use serde_json::Value;

    use super::*;

    #[test]
    fn the_last_call_says_all_that_the_one_before_said_with_its_answer_and_a_question() {
        for dialect in [Dialect::Chat, Dialect::Anthropic] {
            for messages in [3, 51] {
                let talk = Talk::new(dialect, messages, 100);
                let list = |turn: &Turn| -> Vec<Value> {
                    let request: Value = serde_json::from_slice(turn.body()).unwrap();
                    let list = request["messages"].as_array().unwrap().iter().cloned();
                    list.filter(|message| message["role"] != "system").collect()
                };
                let (before, last) = (talk.before(7, true), talk.last(7, true));
                let (earlier, all) = (list(&before), list(&last));
                assert_eq!((earlier.len(), all.len()), (messages - 2, messages));
                assert_eq!(all[..messages - 2], earlier);
                assert_eq!(all[messages - 2]["content"], before.answer.as_str());
                let response: Value = serde_json::from_slice(&last.response[0]).unwrap();
                assert!(response.to_string().contains(&last.answer));
                assert_ne!(list(&talk.last(8, true))[0], all[0]);
            }
        }
    }

    #[test]
    fn the_last_call_is_recognised() {
        for dialect in [Dialect::Chat, Dialect::Anthropic] {
            for is_named in [false, true] {
                let talk = Talk::new(dialect, 11, 100);
                let mut attaching = Attaching::holding(10);
                let read = |attaching: &Attaching, turn: &Turn| attaching.read(1, &turn.call(), &turn.answer);
                let before = read(&attaching, &talk.before(1, is_named)).unwrap();
                let last = read(&attaching, &talk.last(1, is_named)).unwrap();
                assert_eq!(attaching.attach(&before), 0);
                let leading = usize::from(dialect == Dialect::Chat);
                assert_eq!(attaching.attach(&last), 10 + leading, "{dialect:?}");
            }
        }
    }
}
