//! What the lines of the CLI mean, as events.
//!
//! Text comes in `stream_event` lines; an `assistant` line, which has a whole block, completes what did not come that
//! way. What an agent of the CLI's own says, and what the CLI itself makes up, is never part of an answer.

use http::{HeaderName, HeaderValue};
use serde_json::value::RawValue;

use super::fault;
use super::wire::{Content, Delta, Limit, Line, Message, Streamed, Tokens};
use crate::upstream::bridge::event::{Begin, Done, Event, Head, Stop, Usage};
use crate::upstream::bridge::{Failure, Kind};

/// Who writes what the API did not.
const SYNTHETIC: &str = "<synthetic>";
/// The tool that the CLI lets the model answer with where a schema is given.
pub(super) const STRUCTURED: &str = "StructuredOutput";

/// What the CLI is run for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Manner {
    /// Whether it works by itself: its tools are nobody else's business, and a turn ends when it says so.
    pub agent: bool,
    /// Whether the answer is a JSON value, which comes with the end of the turn.
    pub structured: bool,
}

/// What follows a line.
#[derive(Clone, Debug)]
pub(super) enum Next {
    /// More lines.
    Line,
    /// The client's tools. The CLI waits for what they say.
    Tools(Done),
    /// Nothing: the answer is complete, and the process of no use any more.
    End(Done),
}

/// The lines of one process, in their order.
#[derive(Debug, Default)]
pub(super) struct Mapping {
    manner: Manner,
    /// Whether `Head` was said.
    begun: bool,
    open: Option<Open>,
    message: Current,
    /// Tokens of this answer's messages before the current one.
    usage: Usage,
    /// Tokens of answers of this process that the client has already been told of.
    told: Usage,
    /// The last that was heard of limits.
    limit: Option<Limit>,
    /// The kind of the failure that the `result` will tell of.
    fault: Option<String>,
    /// Whether something was said that does not count.
    broken: bool,
}

/// The message that is being heard.
#[derive(Debug, Default)]
struct Current {
    id: String,
    streams: bool,
    usage: Usage,
    stop: Option<String>,
    sequence: Option<String>,
    /// The last block that was said anything of.
    last: Option<u64>,
    /// Whether one of its blocks is for the client to act on.
    calls: bool,
}

/// A block that has begun and not ended.
#[derive(Debug)]
struct Open {
    index: u64,
    kind: Block,
    /// Whether the client hears it.
    heard: bool,
    /// Whether anything of it has come.
    filled: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Block {
    Text,
    Thinking,
    Redacted,
    Tool,
}

impl Mapping {
    /// For a process that runs in this manner.
    pub(super) fn new(manner: Manner) -> Self {
        Self { manner, ..Self::default() }
    }

    /// The client's tools have answered: what comes now is another answer of the same process.
    pub(super) fn again(&mut self) {
        let told = add(self.told, self.spent());
        *self = Self { told, limit: self.limit.take(), ..Self::new(self.manner) };
    }

    /// Tokens of this answer so far.
    pub(super) fn spent(&self) -> Usage {
        add(self.usage, self.message.usage)
    }

    /// Whether anything was said to the client.
    pub(super) fn begun(&self) -> bool {
        self.begun
    }

    /// Adds to `events` what `line` says.
    ///
    /// # Errors
    /// Where it says that there is no answer, or no more of it.
    pub(super) fn hear(&mut self, line: &Line, events: &mut Vec<Event>) -> Result<Next, Failure> {
        if line.parent_tool_use_id.is_some() {
            return Ok(Next::Line);
        }
        match (line.kind.as_str(), line.subtype.as_deref()) {
            ("stream_event", _) => self.streamed(line, events),
            ("assistant", _) => self.whole(line, events),
            ("result", _) => self.result(line, events).map(Next::End),
            ("rate_limit_event", _) => {
                self.limited(line.rate_limit_info.clone().unwrap_or_default(), events);
                Ok(Next::Line)
            }
            ("system", Some("api_retry" | "thinking_tokens" | "status")) => {
                events.push(Event::Alive);
                Ok(Next::Line)
            }
            _ => Ok(Next::Line),
        }
    }

    fn streamed(&mut self, line: &Line, events: &mut Vec<Event>) -> Result<Next, Failure> {
        let Some(event) = line.event.as_deref().and_then(read::<Streamed>) else { return Ok(Next::Line) };
        match event.kind.as_str() {
            "message_start" => {
                let message = event.message.as_deref().and_then(read::<Message>).unwrap_or_default();
                self.message(&message.id, message.usage, events)?;
                self.message.streams = true;
            }
            "content_block_start" => {
                if let Some(content) = event.content_block {
                    self.begin(event.index, &content, events);
                }
            }
            "content_block_delta" => self.delta(event.index, event.delta.unwrap_or_default(), events),
            "content_block_stop" => self.end(events),
            "message_delta" => {
                if let Some(tokens) = event.usage {
                    self.message.usage = tokens.over(self.message.usage);
                }
                let delta = event.delta.unwrap_or_default();
                self.message.stop = delta.stop_reason;
                self.message.sequence = delta.stop_sequence;
                if !self.manner.agent && self.is_cut_short() {
                    // Every moment counts: the CLI asks for the rest by itself.
                    self.end(events);
                    return Ok(Next::End(self.done(Stop::MaxTokens)));
                }
            }
            "message_stop" => {
                self.end(events);
                if let Some(abandoned) = &line.abandoned_blocks {
                    self.broken |= self.message.last.is_some_and(|last| last >= abandoned.from_block_index);
                } else {
                    return Ok(self.stopped());
                }
            }
            _ => {}
        }
        Ok(Next::Line)
    }

    /// A message has ended, in the API's words. The CLI would go on by itself where the client is asked to act, and
    /// where the model was cut short.
    fn stopped(&self) -> Next {
        if self.message.stop.as_deref() == Some("tool_use") && self.message.calls {
            return Next::Tools(self.done(Stop::ToolUse));
        }
        if !self.manner.agent && self.is_cut_short() {
            return Next::End(self.done(Stop::MaxTokens));
        }
        Next::Line
    }

    fn is_cut_short(&self) -> bool {
        matches!(self.message.stop.as_deref(), Some("max_tokens" | "model_context_window_exceeded"))
    }

    fn done(&self, stop: Stop) -> Done {
        Done { stop, usage: self.spent(), refusal: None, cost: None }
    }

    /// Another message begins, if this is not the one that is being heard.
    fn message(&mut self, id: &str, tokens: Option<Tokens>, events: &mut Vec<Event>) -> Result<(), Failure> {
        if id != self.message.id || id.is_empty() {
            if self.broken {
                return Err(Failure::new(Kind::Upstream, "Anthropic's answer broke off"));
            }
            self.end(events);
            self.usage = self.spent();
            self.message = Current { id: id.to_owned(), ..Current::default() };
        }
        let tokens = tokens.unwrap_or_default();
        self.message.usage = tokens.over(self.message.usage);
        self.head(Some(self.spent()), events);
        Ok(())
    }

    fn head(&mut self, usage: Option<Usage>, events: &mut Vec<Event>) {
        if !std::mem::replace(&mut self.begun, true) {
            let headers = self.limit.as_ref().map(headers).unwrap_or_default();
            events.push(Event::Head(Head { usage, headers, ..Head::default() }));
        }
    }

    fn begin(&mut self, index: u64, content: &Content, events: &mut Vec<Event>) {
        self.end(events);
        let (kind, begin) = match (content.kind.as_str(), &content.id, &content.name) {
            ("text", ..) => (Block::Text, Begin::Text),
            ("thinking", ..) => (Block::Thinking, Begin::Thinking),
            ("redacted_thinking", ..) => {
                (Block::Redacted, Begin::Redacted(content.data.clone().unwrap_or_default()))
            }
            ("tool_use", Some(id), Some(name)) => {
                (Block::Tool, Begin::Tool { id: id.clone(), name: name.clone() })
            }
            _ => return,
        };
        let heard = match kind {
            Block::Text => !self.manner.structured,
            Block::Thinking | Block::Redacted => true,
            Block::Tool => {
                let is_answer = self.manner.structured && content.name.as_deref() == Some(STRUCTURED);
                !self.manner.agent && !is_answer
            }
        };
        if heard {
            self.head(None, events);
            self.message.last = Some(index);
            self.message.calls |= kind == Block::Tool;
            events.push(Event::Begin(begin));
        }
        self.open = Some(Open { index, kind, heard, filled: kind == Block::Redacted });
    }

    fn delta(&mut self, index: u64, delta: Delta, events: &mut Vec<Event>) {
        let Some(open) = self.open.as_mut().filter(|open| open.index == index) else { return };
        let said = match (open.kind, delta.kind.as_deref()) {
            (Block::Text, Some("text_delta")) => delta.text.map(Event::Text),
            (Block::Thinking, Some("thinking_delta")) => delta.thinking.map(Event::Thinking),
            (Block::Thinking, Some("signature_delta")) => delta.signature.map(Event::Signature),
            (Block::Tool, Some("input_json_delta")) => delta.partial_json.map(Event::Input),
            _ => None,
        };
        open.say(said, events);
    }

    fn end(&mut self, events: &mut Vec<Event>) {
        if let Some(mut open) = self.open.take()
            && open.heard
        {
            if open.kind == Block::Tool && !open.filled {
                open.say(Some(Event::Input("{}".to_owned())), events);
            }
            events.push(Event::End);
        }
    }

    /// A line with a whole block.
    fn whole(&mut self, line: &Line, events: &mut Vec<Event>) -> Result<Next, Failure> {
        let Some(message) = line.message.as_deref().and_then(read::<Message>) else { return Ok(Next::Line) };
        if message.model == SYNTHETIC {
            self.fault = line.error.as_ref().and_then(|error| error.as_str()).map(str::to_owned);
            return Ok(Next::Line);
        }
        if self.message.streams && message.id == self.message.id {
            if let (Some(open), [content]) = (&mut self.open, &*message.content)
                && !open.filled
            {
                open.fill(content, events);
            }
            return Ok(Next::Line);
        }
        self.message(&message.id, message.usage, events)?;
        for content in &message.content {
            let index = self.message.last.map_or(0, |last| last + 1);
            self.begin(index, content, events);
            if let Some(open) = &mut self.open {
                open.fill(content, events);
            }
            self.end(events);
        }
        if message.stop_reason.is_some() {
            self.message.stop = message.stop_reason;
            return Ok(self.stopped());
        }
        Ok(Next::Line)
    }

    /// What the turn that ends with this line has taken.
    pub(super) fn usage(&self, line: &Line) -> Usage {
        let usage = line.model_usage_since_last_result.as_ref().filter(|models| !models.is_empty());
        let usage =
            usage.map(|models| models.values().map(|tokens| (*tokens).into()).fold(Usage::default(), add));
        let usage = usage.or(line.usage.map(|tokens| tokens.over(Usage::default())));
        usage.map_or(self.spent(), |usage| without(usage, self.told))
    }

    /// The turn has ended.
    fn result(&mut self, line: &Line, events: &mut Vec<Event>) -> Result<Done, Failure> {
        let usage = self.usage(line);
        let stop = self.message.stop.as_deref().or(line.stop_reason.as_deref());
        if line.stop_reason.as_deref() == Some("refusal") || stop == Some("refusal") {
            self.end(events);
            self.head(None, events);
            let refusal = Some("The model declined to answer.".to_owned());
            return Ok(Done { stop: Stop::Refusal, usage, refusal, cost: line.total_cost_usd });
        }
        let cut_short = self.fault.as_deref() == Some("max_output_tokens") && !self.broken;
        if cut_short {
            self.end(events);
            return Ok(Done { stop: Stop::MaxTokens, usage, refusal: None, cost: line.total_cost_usd });
        }
        if line.is_error || line.subtype.as_deref() != Some("success") {
            return Err(fault::failure(line, self.fault.as_deref(), self.limit.as_ref()));
        }
        let stop = match (stop, self.message.sequence.take()) {
            (Some("max_tokens"), _) => Stop::MaxTokens,
            (Some("stop_sequence"), Some(sequence)) => Stop::Sequence(sequence),
            _ => Stop::EndTurn,
        };
        self.end(events);
        self.head(None, events);
        if self.manner.structured {
            let Some(value) = &line.structured_output else {
                return Err(Failure::new(Kind::FormatUnmet, "the model's answer does not match the schema"));
            };
            events.extend([Event::Begin(Begin::Text), Event::Text(value.get().to_owned()), Event::End]);
        }
        Ok(Done { stop, usage, refusal: None, cost: line.total_cost_usd })
    }

    fn limited(&mut self, limit: Limit, events: &mut Vec<Event>) {
        if self.begun && limit.status.as_deref().is_some_and(|status| status != "allowed") {
            let status = limit.status.as_deref().unwrap_or_default();
            events.push(Event::Warning(format!("ratelimit={status}")));
        }
        self.limit = Some(limit);
    }
}

impl Open {
    fn say(&mut self, said: Option<Event>, events: &mut Vec<Event>) {
        let Some(event) = said else { return };
        if let Event::Text(more) | Event::Thinking(more) | Event::Signature(more) | Event::Input(more) =
            &event
            && more.is_empty()
        {
            return;
        }
        self.filled = true;
        if self.heard {
            events.push(event);
        }
    }

    /// All of it, at once.
    fn fill(&mut self, content: &Content, events: &mut Vec<Event>) {
        match (self.kind, content.kind.as_str()) {
            (Block::Text, "text") => self.say(content.text.clone().map(Event::Text), events),
            (Block::Thinking, "thinking") => {
                self.say(content.thinking.clone().map(Event::Thinking), events);
                self.say(content.signature.clone().map(Event::Signature), events);
            }
            (Block::Tool, "tool_use") => {
                self.say(content.input.as_ref().map(|input| Event::Input(input.get().to_owned())), events);
            }
            _ => {}
        }
    }
}

fn read<'a, T: serde::Deserialize<'a>>(json: &'a RawValue) -> Option<T> {
    serde_json::from_str(json.get()).ok()
}

/// The limits of a subscription, as Anthropic's own answers have them in their head.
fn headers(limit: &Limit) -> Vec<(HeaderName, HeaderValue)> {
    let fields = [
        ("anthropic-ratelimit-unified-status", limit.status.clone()),
        ("anthropic-ratelimit-unified-reset", limit.resets_at.map(|at| at.to_string())),
        ("anthropic-ratelimit-unified-representative-claim", limit.rate_limit_type.clone()),
        ("anthropic-ratelimit-unified-utilization", limit.utilization.map(|part| part.to_string())),
    ];
    let known =
        fields.into_iter().filter_map(|(name, value)| Some((name, HeaderValue::try_from(value?).ok()?)));
    known.map(|(name, value)| (HeaderName::from_static(name), value)).collect()
}

/// The tokens of both.
pub(super) fn add(a: Usage, b: Usage) -> Usage {
    combine(a, b, u64::saturating_add)
}

fn without(a: Usage, b: Usage) -> Usage {
    combine(a, b, u64::saturating_sub)
}

fn combine(a: Usage, b: Usage, with: fn(u64, u64) -> u64) -> Usage {
    Usage {
        input: with(a.input, b.input),
        cache_read: with(a.cache_read, b.cache_read),
        cache_write: with(a.cache_write, b.cache_write),
        output: with(a.output, b.output),
        reasoning: match (a.reasoning, b.reasoning) {
            (None, None) => None,
            (a, b) => Some(with(a.unwrap_or(0), b.unwrap_or(0))),
        },
        estimated: a.estimated || b.estimated,
    }
}

#[cfg(test)]
mod tests;
