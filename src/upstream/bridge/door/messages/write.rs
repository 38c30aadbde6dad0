//! A message, streamed (<https://docs.claude.com/en/docs/build-with-claude/streaming>) or whole.

use serde::Serialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};

use crate::upstream::bridge::Failure;
use crate::upstream::bridge::ask::Ask;
use crate::upstream::bridge::door::{Writer, errors, wire};
use crate::upstream::bridge::event::{Answer, Begin, Citation, Done, Event, Said, Stop, Usage};

/// A message that is being written.
pub(super) struct Message {
    id: String,
    /// The request's id, for errors.
    request: String,
    model: String,
    /// Whether the client wants to read the thinking. If not, only what proves it is written.
    shows_thinking: bool,
    started: bool,
    /// Blocks that have begun.
    blocks: usize,
    /// The latest text, and how many sources of it have been named.
    text: Option<(usize, usize)>,
    /// The signature of open thinking: clients take the last piece for all of it, so there is one.
    signature: String,
    /// Whether a block of text has ended, and its end is not written yet: a source of it may still come.
    ending: bool,
}

impl Message {
    /// The answer to `ask`, which came with the request of this id.
    pub(super) fn new(id: String, request: &str, ask: &Ask) -> Self {
        Self {
            id,
            request: request.to_owned(),
            model: ask.model.clone(),
            shows_thinking: ask.shows_thinking,
            started: false,
            blocks: 0,
            text: None,
            signature: String::new(),
            ending: false,
        }
    }

    fn start(&mut self, usage: Usage, to: &mut Vec<u8>) {
        if std::mem::replace(&mut self.started, true) {
            return;
        }
        let usage = usage_of(usage);
        let message = self.message(Vec::new(), None, &usage);
        wire::named("message_start", &json!({"type": "message_start", "message": message}), to);
    }

    fn message<'a>(
        &'a self,
        content: Vec<Content<'a>>,
        done: Option<&'a Done>,
        usage: &'a Value,
    ) -> Whole<'a> {
        let end = done.map(End::of).unwrap_or_default();
        Whole { id: &self.id, r#type: "message", role: "assistant", model: &self.model, content, end, usage }
    }

    fn begin(&mut self, begin: &Begin, to: &mut Vec<u8>) {
        self.end_text(to);
        let index = self.blocks;
        self.blocks += 1;
        let content = match begin {
            Begin::Text => {
                self.text = Some((index, 0));
                Content::Text { text: "", citations: Vec::new() }
            }
            Begin::Thinking => Content::Thinking { thinking: "", signature: "" },
            Begin::Redacted(data) => Content::RedactedThinking { data },
            Begin::Tool { id, name } => Content::ToolUse { id, name, input: Input::Nothing {} },
        };
        let event = Start { r#type: "content_block_start", index, content_block: content };
        wire::named("content_block_start", &event, to);
    }

    fn delta(&self, delta: Value, to: &mut Vec<u8>) {
        self.delta_of(self.blocks.saturating_sub(1), delta, to);
    }

    fn delta_of(&self, index: usize, delta: Value, to: &mut Vec<u8>) {
        let event = json!({"type": "content_block_delta", "index": index, "delta": delta});
        wire::named("content_block_delta", &event, to);
    }

    fn end(&mut self, to: &mut Vec<u8>) {
        let index = self.blocks.saturating_sub(1);
        let signature = std::mem::take(&mut self.signature);
        if !signature.is_empty() {
            self.delta(json!({"type": "signature_delta", "signature": signature}), to);
        }
        if self.text.is_some_and(|(text, _)| text == index) {
            self.ending = true;
        } else {
            stop(index, to);
        }
    }

    fn end_text(&mut self, to: &mut Vec<u8>) {
        if let (true, Some((index, _))) = (self.ending, self.text) {
            self.ending = false;
            stop(index, to);
        }
    }

    fn cite(&mut self, citation: &Citation, to: &mut Vec<u8>) {
        let Some((index, sources)) = &mut self.text else { return };
        let delta = json!({"type": "citations_delta", "citation": Cited::of(citation, *sources)});
        *sources += 1;
        let index = *index;
        self.delta_of(index, delta, to);
    }

    fn done(&mut self, done: &Done, to: &mut Vec<u8>) {
        self.end_text(to);
        let event = json!({"type": "message_delta", "delta": End::of(done), "usage": usage_of(done.usage)});
        wire::named("message_delta", &event, to);
        wire::named("message_stop", &json!({"type": "message_stop"}), to);
    }
}

impl Writer for Message {
    fn event(&mut self, event: &Event, to: &mut Vec<u8>) {
        match event {
            Event::Alive => return self.beat(to),
            Event::Warning(_) => return,
            Event::Head(head) => return self.start(head.usage.unwrap_or_default(), to),
            _ => self.start(Usage::default(), to),
        }
        match event {
            Event::Begin(begin) => self.begin(begin, to),
            Event::Text(text) => self.delta(json!({"type": "text_delta", "text": text}), to),
            Event::Thinking(text) if self.shows_thinking => {
                self.delta(json!({"type": "thinking_delta", "thinking": text}), to);
            }
            Event::Signature(more) => self.signature.push_str(more),
            Event::Input(json) => self.delta(json!({"type": "input_json_delta", "partial_json": json}), to),
            Event::End => self.end(to),
            Event::Citation(citation) => self.cite(citation, to),
            Event::Done(done) => self.done(done, to),
            Event::Thinking(_) | Event::Alive | Event::Warning(_) | Event::Head(_) => {}
        }
    }

    fn beat(&mut self, to: &mut Vec<u8>) {
        wire::named("ping", &json!({"type": "ping"}), to);
    }

    fn failed(&mut self, failure: &Failure, to: &mut Vec<u8>) {
        wire::named("error", &errors::anthropic(failure, &self.request), to);
    }

    fn whole(&mut self, answer: &Answer, to: &mut Vec<u8>) {
        let usage = usage_of(answer.done.as_ref().map(|done| done.usage).unwrap_or_default());
        let content = answer.blocks.iter().map(|said| Content::of(said, self.shows_thinking)).collect();
        let whole = self.message(content, answer.done.as_ref(), &usage);
        wire::json(&whole, to);
    }
}

/// A message as a JSON document.
#[derive(Serialize)]
struct Whole<'a> {
    id: &'a str,
    r#type: &'static str,
    role: &'static str,
    model: &'a str,
    content: Vec<Content<'a>>,
    #[serde(flatten)]
    end: End<'a>,
    usage: &'a Value,
}

/// Why a message ended. Nothing yet where it has just begun.
#[derive(Default, Serialize)]
struct End<'a> {
    stop_reason: Option<&'static str>,
    stop_sequence: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    stop_details: Option<Value>,
}

impl<'a> End<'a> {
    fn of(done: &'a Done) -> Self {
        let (reason, sequence) = match &done.stop {
            Stop::EndTurn => ("end_turn", None),
            Stop::MaxTokens => ("max_tokens", None),
            Stop::Sequence(sequence) => ("stop_sequence", Some(sequence.as_str())),
            Stop::ToolUse => ("tool_use", None),
            Stop::Refusal => ("refusal", None),
        };
        let refusal = done.refusal.as_ref();
        let details = refusal.map(|words| json!({"type": "refusal", "category": null, "explanation": words}));
        Self { stop_reason: Some(reason), stop_sequence: sequence, stop_details: details }
    }
}

#[derive(Serialize)]
struct Start<'a> {
    r#type: &'static str,
    index: usize,
    content_block: Content<'a>,
}

/// A block.
#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Content<'a> {
    Text {
        text: &'a str,
        #[serde(skip_serializing_if = "Vec::is_empty")]
        citations: Vec<Cited<'a>>,
    },
    Thinking {
        thinking: &'a str,
        signature: &'a str,
    },
    RedactedThinking {
        data: &'a str,
    },
    ToolUse {
        id: &'a str,
        name: &'a str,
        input: Input,
    },
}

impl<'a> Content<'a> {
    fn of(said: &'a Said, shows_thinking: bool) -> Self {
        match said {
            Said::Text { text, citations } => {
                let citations = citations.iter().enumerate();
                let citations = citations.map(|(at, citation)| Cited::of(citation, at)).collect();
                Self::Text { text, citations }
            }
            Said::Thinking { text, signature } => {
                Self::Thinking { thinking: if shows_thinking { text } else { "" }, signature }
            }
            Said::Redacted(data) => Self::RedactedThinking { data },
            Said::Tool { id, name, input } => Self::ToolUse { id, name, input: Input::of(input) },
        }
    }
}

/// What a tool is given.
#[derive(Serialize)]
#[serde(untagged)]
enum Input {
    /// Byte for byte as it came.
    Json(Box<RawValue>),
    /// It has not come yet, or was cut off before it was a JSON object.
    Nothing {},
}

impl Input {
    fn of(json: &str) -> Self {
        let raw: Option<Box<RawValue>> = serde_json::from_str(json).ok();
        raw.filter(|raw| raw.get().starts_with('{')).map_or(Self::Nothing {}, Self::Json)
    }
}

/// A source. Of the types that there are, this one says no more of a place in it than that there is one.
#[derive(Serialize)]
struct Cited<'a> {
    r#type: &'static str,
    cited_text: &'static str,
    source: &'a str,
    title: Option<&'a str>,
    search_result_index: usize,
    start_block_index: usize,
    end_block_index: usize,
}

impl<'a> Cited<'a> {
    fn of(citation: &'a Citation, at: usize) -> Self {
        Self {
            r#type: "search_result_location",
            cited_text: "",
            source: citation.url.as_deref().unwrap_or(&citation.id),
            title: citation.title.as_deref(),
            search_result_index: at,
            start_block_index: 0,
            end_block_index: 0,
        }
    }
}

fn usage_of(usage: Usage) -> Value {
    let mut value = json!({
        "input_tokens": usage.input,
        "cache_creation_input_tokens": usage.cache_write,
        "cache_read_input_tokens": usage.cache_read,
        "output_tokens": usage.output,
    });
    if let Some(thinking) = usage.reasoning {
        value["output_tokens_details"] = json!({"thinking_tokens": thinking});
    }
    if usage.estimated {
        value["estimated"] = true.into();
    }
    value
}

fn stop(index: usize, to: &mut Vec<u8>) {
    wire::named("content_block_stop", &json!({"type": "content_block_stop", "index": index}), to);
}
