//! What an agent says, read as it comes: server-sent events with deltas or with all of it so far, one JSON document,
//! or OpenAI's chunks. Any split of the bytes gives the same.

use serde_json::Value;

use super::super::event::Citation;
use super::super::{Failure, Kind};
use super::refusal;

mod messages;
mod sources;

use messages::Messages;

/// The longest line, the largest document, and the longest answer. Bytes.
const MOST: usize = 16 * 1024 * 1024;

/// What an answer's end says of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Ending {
    /// `stop_reason`, in the agent's words.
    pub stop: Option<String>,
    /// Tokens that it read.
    pub input: Option<u64>,
    /// Tokens that it wrote.
    pub output: Option<u64>,
    /// What it rests on.
    pub sources: Vec<Citation>,
}

/// Reads one answer.
#[derive(Debug)]
pub(super) struct Stream {
    model: String,
    shape: Shape,
    /// A line that has not ended, or the document.
    line: Vec<u8>,
    after_cr: bool,
    event: String,
    data: Vec<u8>,
    messages: Messages,
    /// Bytes of its text so far.
    said: usize,
    ending: Ending,
    /// There was a word of an agent in it, if an empty one.
    spoke: bool,
    /// Somebody said why it ends.
    ended: bool,
    /// Nothing that follows matters.
    over: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Shape {
    Unknown,
    Events,
    Document,
}

impl Stream {
    /// Of an answer of `model`.
    pub(super) fn new(model: &str) -> Self {
        Self {
            model: model.to_owned(),
            shape: Shape::Unknown,
            line: Vec::new(),
            after_cr: false,
            event: String::new(),
            data: Vec::new(),
            messages: Messages::default(),
            said: 0,
            ending: Ending::default(),
            spoke: false,
            ended: false,
            over: false,
        }
    }

    /// Whether the answer is complete, whatever follows.
    pub(super) fn is_over(&self) -> bool {
        self.over
    }

    /// Reads more. What is new of its text is added to `text`, also where it fails then.
    pub(super) fn hear(&mut self, bytes: &[u8], text: &mut String) -> Result<(), Failure> {
        for &byte in bytes {
            if self.over {
                break;
            }
            if self.shape == Shape::Unknown {
                self.shape = match byte {
                    b'{' => Shape::Document,
                    byte if byte.is_ascii_whitespace() || [0xef, 0xbb, 0xbf].contains(&byte) => continue,
                    _ => Shape::Events,
                };
            }
            let after_cr = std::mem::take(&mut self.after_cr);
            match byte {
                _ if self.shape == Shape::Document => self.line.push(byte),
                b'\n' if after_cr => {}
                b'\n' | b'\r' => {
                    self.after_cr = byte == b'\r';
                    self.end_line(text)?;
                }
                _ => self.line.push(byte),
            }
            if self.line.len() + self.data.len() > MOST {
                return Err(broken("is longer than 16 MiB"));
            }
        }
        Ok(())
    }

    /// There is no more. The rest of its text is added to `text`. Returns how it ended.
    pub(super) fn finish(mut self, text: &mut String) -> Result<Ending, Failure> {
        if self.shape == Shape::Document {
            self.data = std::mem::take(&mut self.line);
        } else if !self.line.is_empty() {
            self.end_line(text)?;
        }
        if !self.over {
            self.dispatch(text)?;
        }
        // A document is complete where it is JSON.
        self.ended |= self.spoke && self.shape == Shape::Document;
        if !self.ended {
            let truncated = "broke off before it was complete: it is truncated";
            return Err(broken(if self.spoke {
                truncated
            } else {
                "is empty, or nothing that an agent says"
            }));
        }
        text.push_str(&self.messages.finish());
        Ok(self.ending)
    }

    /// A line of <https://html.spec.whatwg.org/multipage/server-sent-events.html>.
    fn end_line(&mut self, text: &mut String) -> Result<(), Failure> {
        let line = std::mem::take(&mut self.line);
        if line.is_empty() {
            return self.dispatch(text);
        }
        let colon = line.iter().position(|byte| *byte == b':').unwrap_or(line.len());
        let (field, value) = line.split_at(colon);
        let value = value.strip_prefix(b":").unwrap_or(value);
        let value = value.strip_prefix(b" ").unwrap_or(value);
        match field {
            b"data" => {
                if !self.data.is_empty() {
                    self.data.push(b'\n');
                }
                self.data.extend_from_slice(value);
            }
            b"event" => self.event = String::from_utf8_lossy(value).into_owned(),
            _ => {}
        }
        Ok(())
    }

    fn dispatch(&mut self, text: &mut String) -> Result<(), Failure> {
        let (name, data) = (std::mem::take(&mut self.event), std::mem::take(&mut self.data));
        let data = String::from_utf8_lossy(&data);
        match data.trim() {
            "" if name == "error" => Err(refusal::of_event(&Value::Null, &self.model)),
            "" => Ok(()),
            "[DONE]" => {
                (self.ended, self.over) = (true, true);
                Ok(())
            }
            json if name == "error" => {
                let said = serde_json::from_str(json).unwrap_or_else(|_| Value::from(json));
                Err(refusal::of_event(&said, &self.model))
            }
            json => match serde_json::from_str(json) {
                Ok(Value::Object(said)) => self.take(&Value::Object(said), text),
                Ok(_) => Err(broken("is not what an agent says")),
                Err(error) if error.is_eof() => {
                    Err(broken("broke off before it was complete: it is truncated"))
                }
                Err(_) => Err(broken("is no JSON")),
            },
        }
    }

    fn take(&mut self, said: &Value, text: &mut String) -> Result<(), Failure> {
        if refusal::is_error(said) {
            return Err(refusal::of_event(said, &self.model));
        }
        let choice = said.pointer("/choices/0");
        let message = said.get("message").or_else(|| {
            let choice = choice?;
            choice.pointer("/delta/content").or_else(|| choice.pointer("/message/content"))
        });
        self.spoke |= choice.is_some() || said.get("stop_reason").is_some();
        if let Some(message) = message.and_then(Value::as_str) {
            self.spoke = true;
            let new = self.messages.hear(message).ok_or_else(|| broken("contradicts what it said before"))?;
            self.said += new.len();
            if self.said > MOST {
                return Err(broken("is longer than 16 MiB"));
            }
            text.push_str(&new);
        }
        let reason = |value: Option<&Value>| {
            value.and_then(Value::as_str).filter(|reason| !reason.is_empty()).map(str::to_owned)
        };
        if let Some(stop) = reason(said.get("stop_reason")) {
            (self.ending.stop, self.ended, self.over) = (Some(stop), true, true);
        }
        // OpenAI's usage comes after its finish_reason.
        if let Some(stop) = reason(choice.and_then(|choice| choice.get("finish_reason"))) {
            (self.ending.stop, self.ended) = (Some(stop), true);
        }
        self.count(said);
        sources::add(said, &mut self.ending.sources);
        Ok(())
    }

    fn count(&mut self, said: &Value) {
        let of = |pointer: &str| said.pointer(pointer).and_then(number);
        let user = match (of("/tokens/user"), of("/tokens/enrichment")) {
            (None, None) => None,
            (user, enrichment) => {
                Some(user.unwrap_or_default().saturating_add(enrichment.unwrap_or_default()))
            }
        };
        let input = of("/tokens/input").or(user).or_else(|| of("/usage/prompt_tokens"));
        // Nothing is read without having tokens: it was not counted.
        let input = input.filter(|input| *input > 0);
        let output = of("/tokens/output").or_else(|| of("/usage/completion_tokens"));
        self.ending.input = input.or(self.ending.input);
        self.ending.output = output.or(self.ending.output);
    }
}

/// A count, which may come as text.
fn number(value: &Value) -> Option<u64> {
    match value {
        Value::String(text) => text.trim().parse().ok(),
        value => value.as_u64(),
    }
}

fn broken(how: &str) -> Failure {
    Failure::new(Kind::Upstream, format!("the agent's answer {how}"))
}

#[cfg(test)]
mod tests;
