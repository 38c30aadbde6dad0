use serde_json::value::RawValue;

use super::super::ask::{Ask, Format, Tool, ToolChoice, Warnings};
use super::super::event::{Answer, Said};
use super::{Reading, Style, Verdict};
use crate::upstream::Caller;

mod corpus;

/// What a client asks that has these tools, of any input.
fn ask(tools: &[&str]) -> Ask {
    Ask {
        model: "agent".to_owned(),
        id: "agent".to_owned(),
        system: Vec::new(),
        turns: Vec::new(),
        tools: tools.iter().map(|name| tool(name, r#"{"type":"object"}"#)).collect(),
        choice: ToolChoice::Auto,
        parallel: true,
        max_tokens: None,
        stop: Vec::new(),
        format: Format::Text,
        effort: None,
        shows_thinking: false,
        stream: false,
        conversation: None,
        session: None,
        project: None,
        caller: Caller::local(),
        warnings: Warnings::default(),
    }
}

fn tool(name: &str, schema: &str) -> Tool {
    let schema = RawValue::from_string(schema.to_owned()).unwrap();
    Tool { name: name.to_owned(), description: None, schema, strict: false }
}

/// What is read of an answer that comes in these pieces.
fn read<'a>(ask: &Ask, pieces: impl IntoIterator<Item = &'a str>) -> (Answer, Verdict, Vec<&'static str>) {
    let mut reading = Reading::new(ask, Style::FunctionCall, "a");
    let mut answer = Answer::default();
    for piece in pieces {
        reading.hear(piece).iter().for_each(|event| answer.hear(event));
    }
    let (events, verdict) = reading.finish();
    events.iter().for_each(|event| answer.hear(event));
    (answer, verdict, reading.warnings().to_vec())
}

/// An answer in a line: text in quotes, calls as `name{…}`.
fn told(answer: &Answer) -> String {
    let blocks = answer.blocks.iter().map(|block| match block {
        Said::Text { text, .. } => format!("{text:?}"),
        Said::Tool { name, input, .. } => format!("{name}{input}"),
        other => format!("{other:?}"),
    });
    blocks.collect::<Vec<_>>().join(" ")
}

mod reading;
mod writing;
