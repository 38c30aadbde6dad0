//! `POST /v1/completions`, from before there were messages (<https://platform.openai.com/docs/api-reference/completions>).

use serde::Serialize;

use super::chat::{Figures, finish_reason};
use super::fields::{self, Field, Shape};
use super::parameters::{self, Rule, SAMPLING};
use super::{Failure, Reader, Reading, Writer, errors, wire};
use crate::upstream::bridge::Ask;
use crate::upstream::bridge::ask::{Block, Format, Role, ToolChoice, Turn, Warnings};
use crate::upstream::bridge::event::{Answer, Begin, Event};

/// Parameters that change what the answer means, with OpenAI's defaults.
const HARMFUL: [(&str, &str, &str); 5] = [
    ("n", "1", "one answer is all there is here; 1 would be right"),
    ("best_of", "1", "one answer is all there is here; 1 would be right"),
    ("logprobs", "null", "probabilities of tokens are not known here; leave it out"),
    ("echo", "false", "the prompt is not said again here; false would be right"),
    ("suffix", "\"\"", "nothing can be put in the midst of a text here; leave it out"),
];

pub(super) fn read(reader: Reader<'_>) -> Result<Reading, Failure> {
    let mut body = fields::object(reader.body)?;
    let mut rule = Rule { lenient: reader.lenient, warnings: Warnings::default() };
    let model = parameters::model(&mut body)?;
    let prompt = prompt(&body.need("prompt", "a string")?)?;
    let max_tokens = parameters::tokens(&mut body, "max_tokens")?;
    let stop = parameters::stop(&mut body)?;
    let stream = body.flag("stream")?.unwrap_or_default();
    let include_usage = parameters::include_usage(&mut body, &mut rule.warnings)?;
    let conversation = parameters::conversation(reader.headers, &mut body, None, &mut rule.warnings)?;
    parameters::end_user(&mut body, &mut rule.warnings)?;
    rule.ignore(&mut body, &SAMPLING);
    for (name, default, message) in HARMFUL {
        rule.only(&mut body, name, default, message)?;
    }
    body.finish(&mut rule.warnings);

    let ask = Ask {
        model,
        id: String::new(),
        system: Vec::new(),
        turns: vec![Turn { role: Role::User, parts: vec![Block::Text(prompt).into()] }],
        tools: Vec::new(),
        choice: ToolChoice::Auto,
        parallel: true,
        max_tokens,
        stop,
        format: Format::Text,
        effort: None,
        shows_thinking: false,
        stream,
        conversation,
        session: None,
        project: None,
        caller: reader.caller,
        warnings: rule.warnings,
    };
    let writer = Box::new(Completion::new(&ask, include_usage));
    Ok(Reading { ask, writer })
}

/// `prompt`: a string, or a list of one.
fn prompt(field: &Field<'_>) -> Result<String, Failure> {
    const RIGHT: &str = "a string that is not empty";
    let text = match field.shape() {
        Shape::Text => field.text()?,
        Shape::List => match field.list(usize::MAX)?.as_slice() {
            [only] if only.shape() == Shape::Text => only.text()?,
            [first, ..] if first.shape() == Shape::Text => {
                return Err(field.unsupported("several prompts, but one answer is all there is here"));
            }
            [] => return Err(field.wrong(RIGHT)),
            _ => return Err(field.unsupported("tokens, but only words are understood here")),
        },
        _ => return Err(field.wrong(RIGHT)),
    };
    if text.is_empty() { Err(field.unknown("", RIGHT)) } else { Ok(text) }
}

/// Writes an answer as Completions has it: its text, and nothing of its thinking.
#[derive(Debug)]
struct Completion {
    id: String,
    created: u64,
    model: String,
    /// Whether the stream says what it took.
    include_usage: bool,
}

/// Both a whole completion and a chunk of one.
#[derive(Serialize)]
struct Body<'a> {
    id: &'a str,
    object: &'static str,
    created: u64,
    model: &'a str,
    choices: &'a [Choice<'a>],
    /// Null in every chunk but the last, where usage was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    usage: Option<Option<Figures>>,
}

#[derive(Serialize)]
struct Choice<'a> {
    text: &'a str,
    index: u8,
    logprobs: Option<()>,
    finish_reason: Option<&'static str>,
}

impl Completion {
    fn new(ask: &Ask, include_usage: bool) -> Self {
        Self { id: wire::id("cmpl-"), created: wire::now(), model: ask.model.clone(), include_usage }
    }

    fn body<'a>(&'a self, choices: &'a [Choice<'a>], usage: Option<Option<Figures>>) -> Body<'a> {
        let object = "text_completion";
        Body { id: &self.id, object, created: self.created, model: &self.model, choices, usage }
    }

    fn chunk(&self, text: &str, finish_reason: Option<&'static str>, to: &mut Vec<u8>) {
        let usage = self.include_usage.then_some(None);
        wire::data(&self.body(&[Choice { text, index: 0, logprobs: None, finish_reason }], usage), to);
    }
}

impl Writer for Completion {
    fn event(&mut self, event: &Event, to: &mut Vec<u8>) {
        match event {
            Event::Text(text) if !text.is_empty() => self.chunk(text, None, to),
            // Something has to open the stream; the thinking itself has no place in it.
            Event::Alive | Event::Begin(Begin::Thinking) => self.beat(to),
            Event::Done(done) => {
                self.chunk("", Some(finish_reason(&done.stop)), to);
                if self.include_usage {
                    wire::data(&self.body(&[], Some(Some(Figures::new(done)))), to);
                }
                to.extend_from_slice(b"data: [DONE]\n\n");
            }
            _ => {}
        }
    }

    fn failed(&mut self, failure: &Failure, to: &mut Vec<u8>) {
        wire::data(&errors::openai(failure), to);
    }

    fn whole(&mut self, answer: &Answer, to: &mut Vec<u8>) {
        let done = answer.done.as_ref();
        let finish_reason = Some(done.map_or("stop", |done| finish_reason(&done.stop)));
        let text = answer.text();
        let choices = [Choice { text: &text, index: 0, logprobs: None, finish_reason }];
        wire::json(&self.body(&choices, Some(Some(done.map(Figures::new).unwrap_or_default()))), to);
    }
}

#[cfg(test)]
mod tests;
