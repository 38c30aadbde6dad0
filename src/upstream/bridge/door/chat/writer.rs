//! Answers, streamed and whole.

use super::shapes::{
    Call, CallDelta, Choice, Chunk, ChunkChoice, Completion, Delta, Figures, Function, Message, Span,
    annotation, finish_reason,
};
use crate::upstream::bridge::door::{Writer, errors, wire};
use crate::upstream::bridge::event::{Answer, Begin, Citation, Done, Event, Said, Stop};
use crate::upstream::bridge::{Ask, Failure};

/// Writes an answer as Chat Completions has it.
#[derive(Debug)]
pub(super) struct Chat {
    id: String,
    created: u64,
    model: String,
    /// Whether the stream says what it took.
    include_usage: bool,
    /// Whether calls are of the old form: `function_call`, and only one.
    legacy: bool,
    /// Whether the first chunk, which names the role, is written.
    begun: bool,
    /// Calls so far.
    calls: usize,
    /// The open block.
    open: Open,
    /// Where the latest text is in all of it.
    text: Span,
    /// Sources of the latest text, while it is open.
    citations: Vec<Citation>,
}

/// What block is open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Open {
    /// None of those below.
    Other,
    Text,
    /// A call of which no arguments, or some, are written.
    Call {
        empty: bool,
    },
}

impl Chat {
    /// A writer of the answer to `ask`. For `include_usage` and `legacy` see the fields of these names.
    pub(super) fn new(ask: &Ask, include_usage: bool, legacy: bool) -> Self {
        Self {
            id: wire::id("chatcmpl-"),
            created: wire::now(),
            model: ask.model.clone(),
            include_usage,
            legacy,
            begun: false,
            calls: 0,
            open: Open::Other,
            text: Span::default(),
            citations: Vec::new(),
        }
    }

    fn chunk(&self, choices: &[ChunkChoice<'_>], usage: Option<Figures>, to: &mut Vec<u8>) {
        let usage = self.include_usage.then_some(usage);
        let (id, object) = (self.id.as_str(), "chat.completion.chunk");
        wire::data(&Chunk { id, object, created: self.created, model: &self.model, choices, usage }, to);
    }

    fn delta(&mut self, delta: Delta<'_>, to: &mut Vec<u8>) {
        self.begin(to);
        self.chunk(&[ChunkChoice { index: 0, delta, finish_reason: None }], None, to);
    }

    /// The first chunk: whose words these are.
    fn begin(&mut self, to: &mut Vec<u8>) {
        if !self.begun {
            self.begun = true;
            let delta = Delta { role: Some("assistant"), content: Some(""), ..Delta::default() };
            self.chunk(&[ChunkChoice { index: 0, delta, finish_reason: None }], None, to);
        }
    }

    fn call(&mut self, id: &str, name: &str, to: &mut Vec<u8>) {
        let index = self.calls;
        self.calls += 1;
        let function = Function { name: Some(name), arguments: "" };
        if !self.legacy {
            let call = CallDelta { index, id: Some(id), kind: Some("function"), function };
            self.delta(Delta { tool_calls: Some([call]), ..Delta::default() }, to);
        } else if index == 0 {
            self.delta(Delta { function_call: Some(function), ..Delta::default() }, to);
        }
    }

    fn arguments(&mut self, arguments: &str, to: &mut Vec<u8>) {
        self.open = Open::Call { empty: false };
        let function = Function { name: None, arguments };
        if !self.legacy {
            let index = self.calls.saturating_sub(1);
            let call = CallDelta { index, id: None, kind: None, function };
            self.delta(Delta { tool_calls: Some([call]), ..Delta::default() }, to);
        } else if self.calls == 1 {
            self.delta(Delta { function_call: Some(function), ..Delta::default() }, to);
        }
    }

    /// Writes the sources of the text that has just ended, and of no more.
    fn cite(&mut self, to: &mut Vec<u8>) {
        let citations = std::mem::take(&mut self.citations);
        let span = self.text;
        if span.any && !citations.is_empty() {
            let annotations = citations.iter().map(|citation| annotation(citation, span)).collect();
            self.delta(Delta { annotations, ..Delta::default() }, to);
        }
    }

    fn end(&mut self, to: &mut Vec<u8>) {
        match std::mem::replace(&mut self.open, Open::Other) {
            Open::Text => self.cite(to),
            Open::Call { empty: true } => self.arguments("{}", to),
            Open::Call { empty: false } | Open::Other => {}
        }
        self.open = Open::Other;
    }

    fn done(&mut self, done: &Done, to: &mut Vec<u8>) {
        self.begin(to);
        if let Some(refusal) = &done.refusal {
            self.delta(Delta { refusal: Some(refusal), ..Delta::default() }, to);
        }
        let finish_reason = Some(self.finish_reason(&done.stop));
        self.chunk(&[ChunkChoice { index: 0, delta: Delta::default(), finish_reason }], None, to);
        if self.include_usage {
            self.chunk(&[], Some(Figures::new(done)), to);
        }
        to.extend_from_slice(b"data: [DONE]\n\n");
    }

    fn finish_reason(&self, stop: &Stop) -> &'static str {
        match stop {
            Stop::ToolUse if self.legacy => "function_call",
            stop => finish_reason(stop),
        }
    }
}

impl Writer for Chat {
    fn event(&mut self, event: &Event, to: &mut Vec<u8>) {
        match event {
            Event::Begin(begin) => {
                self.begin(to);
                self.open = Open::Other;
                match begin {
                    Begin::Text => {
                        self.open = Open::Text;
                        self.text = Span { start: self.text.end, end: self.text.end, any: true };
                    }
                    Begin::Tool { id, name } => {
                        self.open = Open::Call { empty: true };
                        self.call(id, name, to);
                    }
                    Begin::Thinking | Begin::Redacted(_) => {}
                }
            }
            Event::Text(text) if !text.is_empty() => {
                self.text.end += text.chars().count();
                self.delta(Delta { content: Some(text), ..Delta::default() }, to);
            }
            Event::Thinking(text) if !text.is_empty() => {
                self.delta(Delta { reasoning_content: Some(text), ..Delta::default() }, to);
            }
            Event::Input(arguments) if !arguments.is_empty() => self.arguments(arguments, to),
            Event::End => self.end(to),
            Event::Citation(citation) => {
                self.citations.push(citation.clone());
                if self.open != Open::Text {
                    self.cite(to);
                }
            }
            Event::Alive => self.beat(to),
            Event::Done(done) => self.done(done, to),
            // Nobody but the provider can read a signature, and no field here has a place for it.
            Event::Head(_) | Event::Warning(_) | Event::Signature(_) => {}
            Event::Text(_) | Event::Thinking(_) | Event::Input(_) => {}
        }
    }

    fn failed(&mut self, failure: &Failure, to: &mut Vec<u8>) {
        wire::data(&errors::openai(failure), to);
    }

    fn whole(&mut self, answer: &Answer, to: &mut Vec<u8>) {
        let done = answer.done.as_ref();
        let finish_reason = done.map_or("stop", |done| self.finish_reason(&done.stop));
        let mut message = message(answer);
        if self.legacy {
            let first = std::mem::take(&mut message.tool_calls).into_iter().next();
            message.function_call = first.map(|call| call.function);
        }
        let completion = Completion {
            id: &self.id,
            object: "chat.completion",
            created: self.created,
            model: &self.model,
            choices: [Choice { index: 0, message, finish_reason }],
            usage: done.map(Figures::new).unwrap_or_default(),
            session_id: answer.head.session.as_deref(),
            project_id: answer.head.project.as_deref(),
        };
        wire::json(&completion, to);
    }
}

/// The message that an answer is.
fn message(answer: &Answer) -> Message<'_> {
    let mut message = Message {
        role: "assistant",
        content: None,
        reasoning_content: String::new(),
        refusal: answer.done.as_ref().and_then(|done| done.refusal.as_deref()),
        annotations: Vec::new(),
        tool_calls: Vec::new(),
        function_call: None,
    };
    let mut said = 0;
    for block in &answer.blocks {
        match block {
            Said::Text { text, citations } => {
                message.content.get_or_insert_default().push_str(text);
                let span = Span { start: said, end: said + text.chars().count(), any: true };
                said = span.end;
                message.annotations.extend(citations.iter().map(|citation| annotation(citation, span)));
            }
            Said::Thinking { text, .. } => message.reasoning_content.push_str(text),
            Said::Redacted(_) => {}
            Said::Tool { id, name, input } => {
                let arguments = if input.is_empty() { "{}" } else { input };
                let function = Function { name: Some(name), arguments };
                message.tool_calls.push(Call { id, kind: "function", function });
            }
        }
    }
    if message.content.is_none() && message.tool_calls.is_empty() && message.refusal.is_none() {
        message.content = Some(String::new());
    }
    message
}

#[cfg(test)]
mod tests;
