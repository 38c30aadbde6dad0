//! A response, streamed (<https://platform.openai.com/docs/api-reference/responses-streaming>) or whole.

use std::time::Instant;

use serde::Serialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};

use super::kept::{Earlier, Kept};
use super::object::{self, Annotation, Echo, Item, Part, Response, Summary, item_id};
use super::read::Asked;
use super::seal::Thought;
use crate::upstream::Caller;
use crate::upstream::bridge::Failure;
use crate::upstream::bridge::ask::Ask;
use crate::upstream::bridge::door::{Writer, wire};
use crate::upstream::bridge::event::{Answer, Begin, Citation, Done, Event, Said, Stop};

/// A response that is being written.
pub(super) struct Writing {
    id: String,
    created: u64,
    model: String,
    echo: Echo,
    /// Whether the client wants to read the thinking.
    shows_thinking: bool,
    /// Whether it wants it sealed, to give it back.
    wants_sealed: bool,
    caller: Caller,
    kept: Kept,
    /// The items of the input, where the response is to be kept; and the response before it.
    input: Option<Vec<Box<RawValue>>>,
    previous: Option<String>,
    /// The number of the next event.
    number: u64,
    output: Vec<Item>,
    /// The seals of thinking, in the order of the output.
    sealed: Vec<Option<String>>,
    thinking: Thinking,
    text: Option<Text>,
}

/// Thinking that has not ended.
#[derive(Default)]
struct Thinking {
    text: String,
    signature: String,
    /// Whether some of it has been shown.
    shown: bool,
}

/// The latest text.
struct Text {
    /// The index of its item.
    at: usize,
    /// Whether its end has been written. Until then, its sources are collected.
    is_over: bool,
    sources: Vec<Citation>,
}

/// An event as it is written.
#[derive(Serialize)]
struct Numbered<'a, T> {
    r#type: &'a str,
    sequence_number: u64,
    #[serde(flatten)]
    rest: T,
}

/// What of a response is told when its state changes.
#[derive(Serialize)]
struct State<'a> {
    response: Response<'a>,
}

impl Writing {
    /// The answer to what was asked.
    pub(super) fn new(asked: Asked, kept: &Kept) -> (Ask, Self) {
        let Asked { ask, echo, input, previous, wants_sealed } = asked;
        let writing = Self {
            id: wire::id("resp_"),
            created: wire::now(),
            model: ask.model.clone(),
            echo,
            shows_thinking: ask.shows_thinking,
            wants_sealed,
            caller: ask.caller.clone(),
            kept: kept.clone(),
            input,
            previous,
            number: 0,
            output: Vec::new(),
            sealed: Vec::new(),
            thinking: Thinking::default(),
            text: None,
        };
        (ask, writing)
    }

    fn say(&mut self, name: &str, rest: Value, to: &mut Vec<u8>) {
        let event = Numbered { r#type: name, sequence_number: self.number, rest };
        wire::named(name, &event, to);
        self.number += 1;
    }

    /// Says something of the item at `at`.
    fn say_of(&mut self, at: usize, name: &str, mut rest: Value, to: &mut Vec<u8>) {
        rest["output_index"] = at.into();
        rest["item_id"] = self.output.get(at).map(Item::id).unwrap_or_default().into();
        self.say(name, rest, to);
    }

    fn state(&mut self, name: &str, done: Option<&Done>, failure: Option<&Failure>, to: &mut Vec<u8>) {
        let rest = State { response: self.response(done, failure) };
        wire::named(name, &Numbered { r#type: name, sequence_number: self.number, rest }, to);
        self.number += 1;
    }

    fn response(&self, done: Option<&Done>, failure: Option<&Failure>) -> Response<'_> {
        let (status, incomplete_details) = match (done, failure) {
            (_, Some(_)) => ("failed", None),
            (Some(done), None) => object::status(done),
            (None, None) => ("in_progress", None),
        };
        Response {
            id: &self.id,
            object: "response",
            created_at: self.created,
            completed_at: (status == "completed").then(|| self.created.max(wire::now())),
            status,
            error: failure.map(object::error),
            incomplete_details,
            model: &self.model,
            output: &self.output,
            usage: done.map(|done| object::usage(&done.usage)),
            echo: &self.echo,
        }
    }

    fn start(&mut self, to: &mut Vec<u8>) {
        if self.number == 0 {
            self.state("response.created", None, None, to);
            self.state("response.in_progress", None, None, to);
        }
    }

    fn item(&mut self, item: Item, to: &mut Vec<u8>) {
        let added = json!({"output_index": self.output.len(), "item": item});
        self.output.push(item);
        self.sealed.push(None);
        self.say("response.output_item.added", added, to);
    }

    fn end_item(&mut self, at: usize, to: &mut Vec<u8>) {
        let Some(item) = self.output.get_mut(at) else { return };
        item.set_status("completed");
        let done = json!({"output_index": at, "item": item});
        self.say("response.output_item.done", done, to);
    }

    fn next_id(&self, kind: &str) -> String {
        item_id(kind, &self.id, 'o', self.output.len())
    }

    fn begin(&mut self, begin: &Begin, to: &mut Vec<u8>) {
        self.end_text(to);
        let status = "in_progress";
        match begin {
            Begin::Text => {
                let part = Part::OutputText { text: String::new(), annotations: Vec::new(), logprobs: [] };
                let at = self.message(part, to);
                self.text = Some(Text { at, is_over: false, sources: Vec::new() });
            }
            Begin::Thinking | Begin::Redacted(_) => {
                let id = self.next_id("rs");
                self.item(Item::Reasoning { id, status, summary: Vec::new(), encrypted_content: None }, to);
                self.thinking = Thinking::default();
                if let Begin::Redacted(data) = begin {
                    self.seal(&Thought::Redacted(data.clone()));
                }
            }
            Begin::Tool { id: call_id, name } => {
                let (call_id, name, arguments) = (call_id.clone(), name.clone(), String::new());
                let id = self.next_id("fc");
                self.item(Item::FunctionCall { id, status, call_id, name, arguments }, to);
            }
        }
    }

    /// Begins a message with this part. Returns where.
    fn message(&mut self, part: Part, to: &mut Vec<u8>) -> usize {
        let (at, id) = (self.output.len(), self.next_id("msg"));
        let added = json!({"content_index": 0, "part": part});
        self.item(Item::Message { id, status: "in_progress", role: "assistant", content: Vec::new() }, to);
        if let Some(Item::Message { content, .. }) = self.output.last_mut() {
            content.push(part);
        }
        self.say_of(at, "response.content_part.added", added, to);
        at
    }

    fn more(&mut self, event: &Event, to: &mut Vec<u8>) {
        let at = self.output.len().saturating_sub(1);
        match (event, self.output.last_mut()) {
            (Event::Text(more), Some(Item::Message { content, .. })) => {
                if let Some(Part::OutputText { text, .. }) = content.first_mut() {
                    text.push_str(more);
                }
                let delta = json!({"content_index": 0, "delta": more, "logprobs": []});
                self.say_of(at, "response.output_text.delta", delta, to);
            }
            (Event::Input(more), Some(Item::FunctionCall { arguments, .. })) => {
                arguments.push_str(more);
                self.say_of(at, "response.function_call_arguments.delta", json!({"delta": more}), to);
            }
            (Event::Thinking(more), Some(Item::Reasoning { .. })) => self.think(at, more, to),
            (Event::Signature(more), _) => self.thinking.signature.push_str(more),
            _ => {}
        }
    }

    fn think(&mut self, at: usize, more: &str, to: &mut Vec<u8>) {
        self.thinking.text.push_str(more);
        if !self.shows_thinking || more.is_empty() {
            return;
        }
        if !std::mem::replace(&mut self.thinking.shown, true) {
            let part = json!({"summary_index": 0, "part": {"type": "summary_text", "text": ""}});
            self.say_of(at, "response.reasoning_summary_part.added", part, to);
        }
        let delta = json!({"summary_index": 0, "delta": more});
        self.say_of(at, "response.reasoning_summary_text.delta", delta, to);
    }

    fn end(&mut self, to: &mut Vec<u8>) {
        let at = self.output.len().saturating_sub(1);
        match self.output.last() {
            Some(Item::Reasoning { .. }) => self.end_thinking(at, to),
            Some(Item::FunctionCall { arguments, .. }) if arguments.is_empty() => {
                // No words are no JSON, and clients parse this.
                self.more(&Event::Input("{}".to_owned()), to);
                self.end(to);
            }
            Some(Item::FunctionCall { arguments, .. }) => {
                let done = json!({"arguments": arguments});
                self.say_of(at, "response.function_call_arguments.done", done, to);
                self.end_item(at, to);
            }
            // A source of it may still come.
            Some(Item::Message { .. }) | None => {}
        }
    }

    fn end_thinking(&mut self, at: usize, to: &mut Vec<u8>) {
        let Thinking { text, signature, shown } = std::mem::take(&mut self.thinking);
        if shown {
            let done = json!({"summary_index": 0, "text": text});
            self.say_of(at, "response.reasoning_summary_text.done", done, to);
            let done = json!({"summary_index": 0, "part": {"type": "summary_text", "text": text}});
            self.say_of(at, "response.reasoning_summary_part.done", done, to);
            if let Some(Item::Reasoning { summary, .. }) = self.output.get_mut(at) {
                summary.push(Summary::SummaryText { text: text.clone() });
            }
        }
        if !signature.is_empty() {
            self.seal(&Thought::Signed { text, signature });
        }
        self.end_item(at, to);
    }

    /// Seals the latest item's thinking.
    fn seal(&mut self, thought: &Thought) {
        let seal = self.kept.seal().seal(&self.caller, thought);
        if let (true, Some(Item::Reasoning { encrypted_content, .. })) =
            (self.wants_sealed, self.output.last_mut())
        {
            encrypted_content.clone_from(&seal);
        }
        if let Some(last) = self.sealed.last_mut() {
            *last = seal;
        }
    }

    fn cite(&mut self, citation: &Citation, to: &mut Vec<u8>) {
        match &mut self.text {
            Some(text) if text.is_over => {
                let at = text.at;
                self.annotate(at, citation, to);
            }
            Some(text) => text.sources.push(citation.clone()),
            None => {}
        }
    }

    fn annotate(&mut self, at: usize, citation: &Citation, to: &mut Vec<u8>) {
        let Some(Item::Message { content, .. }) = self.output.get_mut(at) else { return };
        let Some(Part::OutputText { text, annotations, .. }) = content.first_mut() else { return };
        let annotation = Annotation::of(citation, text);
        let index = annotations.len();
        let added = json!({"content_index": 0, "annotation_index": index, "annotation": annotation});
        annotations.push(annotation);
        self.say_of(at, "response.output_text.annotation.added", added, to);
    }

    /// Writes the end of the latest text, if that has not been written.
    fn end_text(&mut self, to: &mut Vec<u8>) {
        let Some(latest) = self.text.as_mut().filter(|text| !text.is_over) else { return };
        latest.is_over = true;
        let (at, sources) = (latest.at, std::mem::take(&mut latest.sources));
        for citation in &sources {
            self.annotate(at, citation, to);
        }
        let Some(Item::Message { content, .. }) = self.output.get(at) else { return };
        let Some(part) = content.first() else { return };
        let Part::OutputText { text, .. } = part else { return };
        let done = json!({"content_index": 0, "text": text, "logprobs": []});
        let part = json!({"content_index": 0, "part": part});
        self.say_of(at, "response.output_text.done", done, to);
        self.say_of(at, "response.content_part.done", part, to);
        self.end_item(at, to);
    }

    fn refuse(&mut self, words: &str, to: &mut Vec<u8>) {
        let at = self.message(Part::Refusal { refusal: String::new() }, to);
        if let Some(Item::Message { content, .. }) = self.output.last_mut() {
            *content = vec![Part::Refusal { refusal: words.to_owned() }];
        }
        self.say_of(at, "response.refusal.delta", json!({"content_index": 0, "delta": words}), to);
        self.say_of(at, "response.refusal.done", json!({"content_index": 0, "refusal": words}), to);
        let part = json!({"content_index": 0, "part": {"type": "refusal", "refusal": words}});
        self.say_of(at, "response.content_part.done", part, to);
        self.end_item(at, to);
    }

    fn done(&mut self, done: &Done, to: &mut Vec<u8>) {
        self.end_text(to);
        if let Some(words) = &done.refusal {
            self.refuse(words, to);
        }
        if let (Stop::MaxTokens, Some(last)) = (&done.stop, self.output.last_mut()) {
            last.set_status("incomplete");
        }
        self.keep(done);
        let name = format!("response.{}", object::status(done).0);
        self.state(&name, Some(done), None, to);
    }

    /// Keeps the response, if it is to be kept: with its thinking sealed, whether the client wants that or not.
    fn keep(&mut self, done: &Done) {
        let Some(input) = self.input.take() else { return };
        let shown = std::mem::take(&mut self.output);
        self.output.clone_from(&shown);
        for (item, seal) in self.output.iter_mut().zip(&self.sealed) {
            if let Item::Reasoning { encrypted_content, .. } = item {
                encrypted_content.clone_from(seal);
            }
        }
        let (mut items, mut response) = (Vec::new(), Vec::new());
        wire::json(&Items { input: &input, output: &self.output }, &mut items);
        wire::json(&self.response(Some(done), None), &mut response);
        self.output = shown;
        let (Ok(items), Ok(response)) = (String::from_utf8(items), String::from_utf8(response)) else {
            return;
        };
        let (caller, previous) = (self.caller.clone(), self.previous.take());
        let earlier = Earlier { caller, since: Instant::now(), previous, items, response };
        self.kept.keep(self.id.clone(), earlier);
    }
}

#[derive(Serialize)]
struct Items<'a> {
    input: &'a [Box<RawValue>],
    output: &'a [Item],
}

impl Writer for Writing {
    fn event(&mut self, event: &Event, to: &mut Vec<u8>) {
        match event {
            Event::Alive => return self.beat(to),
            Event::Warning(_) => return,
            _ => self.start(to),
        }
        match event {
            Event::Begin(begin) => self.begin(begin, to),
            Event::Text(_) | Event::Thinking(_) | Event::Signature(_) | Event::Input(_) => {
                self.more(event, to)
            }
            Event::End => self.end(to),
            Event::Citation(citation) => self.cite(citation, to),
            Event::Done(done) => self.done(done, to),
            Event::Head(_) | Event::Alive | Event::Warning(_) => {}
        }
    }

    fn failed(&mut self, failure: &Failure, to: &mut Vec<u8>) {
        self.start(to);
        self.state("response.failed", None, Some(failure), to);
    }

    fn whole(&mut self, answer: &Answer, to: &mut Vec<u8>) {
        // As if it were streamed: what a response says in the end is what its stream has said.
        let mut unheard = Vec::new();
        for event in answer.blocks.iter().flat_map(events) {
            self.event(&event, &mut unheard);
            unheard.clear();
        }
        let Some(done) = &answer.done else { return };
        self.event(&Event::Done(done.clone()), &mut unheard);
        wire::json(&self.response(Some(done), None), to);
    }
}

/// What was said to make this.
fn events(said: &Said) -> Vec<Event> {
    match said {
        Said::Text { text, citations } => {
            let sources = citations.iter().cloned().map(Event::Citation);
            let text = [Event::Begin(Begin::Text), Event::Text(text.clone()), Event::End];
            text.into_iter().chain(sources).collect()
        }
        Said::Thinking { text, signature } => {
            let thinking = Event::Thinking(text.clone());
            vec![Event::Begin(Begin::Thinking), thinking, Event::Signature(signature.clone()), Event::End]
        }
        Said::Redacted(data) => vec![Event::Begin(Begin::Redacted(data.clone())), Event::End],
        Said::Tool { id, name, input } => {
            let begin = Begin::Tool { id: id.clone(), name: name.clone() };
            vec![Event::Begin(begin), Event::Input(input.clone()), Event::End]
        }
    }
}
