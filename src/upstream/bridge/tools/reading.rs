//! A text-only model's answer, read as it comes.
//!
//! One machine, char by char; each char is looked at a bounded number of times, however the answer is cut in pieces.
//! A marker counts at the beginning of a line only, spaces aside. What may be one is held back, and no more than that:
//! the head of a call until its arguments begin, a line that may open a code fence around it, an answer that is nothing
//! but a JSON call until its end.

use super::super::ask::{Ask, ToolChoice};
use super::super::event::Event;
use super::arguments::Arguments;
use super::blocks::Blocks;
use super::calling::Calling;
use super::check::Wanted;
use super::head::{Head, Step};
use super::object::Fed;
use super::opening::Opening;
use super::{Form, Style, Verdict};

mod call;

/// An answer that is being read.
#[derive(Debug)]
pub(crate) struct Reading {
    wanted: Wanted,
    /// Tools that may be called. None: everything is text.
    names: Vec<String>,
    /// Keys of arguments that agents with tools of their own add, and that no tool here has.
    without: Vec<&'static str>,
    parallel: bool,
    answer_id: String,
    blocks: Blocks,
    at: At,
    /// What is text should this be no call after all.
    held: String,
    /// What may be the beginning of a marker.
    mark: String,
    /// Spaces, and a line that opens a code fence: text unless they stand beside a call.
    spaces: String,
    /// Whether the latest call stands in a code fence.
    fenced: bool,
    /// Whether a marker would count here.
    line_start: bool,
    /// Whether there is no text yet, or none since the last call.
    fresh: bool,
    /// To be read again, last char first.
    again: Vec<char>,
    /// The beginning of the answer, for [`Verdict::Unmet`].
    heard: String,
    over: bool,
    warnings: Vec<&'static str>,
    /// Steps taken: what the work is measured by.
    #[cfg(test)]
    pub(super) steps: usize,
}

/// Where the answer is.
#[derive(Debug)]
enum At {
    /// At its very beginning: it may be a JSON call as a whole.
    Opening(Opening),
    Text,
    /// Behind the marker that opens a call.
    Marked(Form),
    /// In `<tool_call …>`.
    Tag,
    Head(Head),
    Call(Call),
    /// Behind the arguments, before the marker that closes the call.
    After(Form),
}

/// A call whose JSON is being read.
#[derive(Debug)]
struct Call {
    form: Form,
    body: Calling,
    /// It has been said that it begins.
    begun: bool,
}

/// The longest that is held of a call whose name is not known yet. Bytes.
const HELD: usize = 64 * 1024;

/// The longest answer that may be a JSON call as a whole. Bytes.
const WHOLE: usize = 1024 * 1024;

/// The most spaces that are held.
const SPACES: usize = 1024;

/// What opens and closes a block of code.
const FENCE: &str = "```";

/// How much of an answer is quoted to the model that gave it. Bytes.
const QUOTED: usize = 16 * 1024;

/// What agents with tools of their own add to arguments.
const ADDED: [&str; 2] = ["step_id", "tool_execution_id"];

impl Reading {
    /// Reads an answer to `ask`, of which [`prompt`](super::prompt) said in this style how to call tools. The ids of
    /// its calls are made of `answer_id`.
    pub(crate) fn new(ask: &Ask, style: Style, answer_id: &str) -> Self {
        let wanted = Wanted::of(ask, style);
        let active = !ask.tools.is_empty() && ask.choice != ToolChoice::None;
        let names = ask.tools.iter().filter(|_| active).map(|tool| tool.name.clone()).collect();
        let without = ADDED.into_iter().filter(|key| !wanted.takes(key)).collect();
        let harmless = |c: &char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
        Self {
            blocks: Blocks::new(wanted.is_json()),
            wanted,
            names,
            without,
            parallel: ask.parallel,
            answer_id: answer_id.chars().filter(harmless).collect(),
            at: if active { At::Opening(Opening::default()) } else { At::Text },
            held: String::new(),
            mark: String::new(),
            spaces: String::new(),
            fenced: false,
            line_start: true,
            fresh: true,
            again: Vec::new(),
            heard: String::new(),
            over: false,
            warnings: Vec::new(),
            #[cfg(test)]
            steps: 0,
        }
    }

    /// Reads more of the answer.
    pub(crate) fn hear(&mut self, text: &str) -> Vec<Event> {
        if self.heard.len() < QUOTED {
            let rest = QUOTED - self.heard.len();
            self.heard.push_str(&text[..text.floor_char_boundary(rest)]);
        }
        if self.names.is_empty() {
            self.blocks.say(text);
            return self.blocks.take();
        }
        for c in text.chars() {
            self.again.push(c);
            self.drain();
        }
        self.blocks.take()
    }

    /// The answer is complete.
    pub(crate) fn finish(&mut self) -> (Vec<Event>, Verdict) {
        while !self.over && !self.settle() {
            self.drain();
        }
        self.blocks.end_text();
        let verdict = self.wanted.judge(&self.blocks, &self.heard, &mut self.warnings);
        (self.blocks.take(), verdict)
    }

    /// How many tools have been called.
    pub(crate) fn calls(&self) -> usize {
        self.blocks.calls.len()
    }

    /// Whether the rest of the answer is of no interest: it has called a tool, and may call no other.
    pub(crate) fn over(&self) -> bool {
        self.over
    }

    /// What was not as it should be, for [`Ask::warnings`]. Each once.
    pub(crate) fn warnings(&self) -> &[&'static str] {
        &self.warnings
    }

    fn warn(&mut self, warning: &'static str) {
        if !self.warnings.contains(&warning) {
            self.warnings.push(warning);
        }
    }

    fn drain(&mut self) {
        while let Some(c) = self.again.pop() {
            if self.over {
                self.again.clear();
                return;
            }
            self.step(c);
        }
    }

    fn step(&mut self, c: char) {
        #[cfg(test)]
        {
            self.steps += 1;
        }
        match std::mem::replace(&mut self.at, At::Text) {
            At::Text => self.text(c),
            At::Opening(opening) => self.opening(opening, c),
            At::Marked(form) => self.marked(form, c),
            At::Tag => self.tag(c),
            At::Head(head) => self.head(head, c),
            At::Call(call) => self.call(call, c),
            At::After(form) => self.after(form, c),
        }
    }

    /// Decides, at the end of the answer, what is still open. Whether everything is; else there is more to read again.
    fn settle(&mut self) -> bool {
        match std::mem::replace(&mut self.at, At::Text) {
            At::Text => {
                let mark = std::mem::take(&mut self.mark);
                if !(self.fenced && mark.trim_end() == FENCE) {
                    mark.chars().for_each(|c| self.plain(c));
                }
                if !self.fresh || self.blocks.calls.is_empty() {
                    self.blocks.say(&std::mem::take(&mut self.spaces));
                }
                return true;
            }
            At::Opening(opening) => self.opened(opening),
            At::Marked(_) | At::Tag => self.release(0),
            At::Head(mut head) => match head.finish(Form::Function.end()) {
                Step::End => self.call_without_arguments(head),
                _ => {
                    let last = self.last_word();
                    self.release(last);
                }
            },
            At::Call(mut call) => {
                self.warn("tool-call-repaired");
                call.body.finish();
                self.go_on(call, Fed::Marker);
            }
            At::After(_) => self.unclosed(),
        }
        false
    }

    fn text(&mut self, c: char) {
        if !self.line_start {
            return self.plain(c);
        }
        self.mark.push(c);
        if let Some(form) = Form::opened_by(&self.mark) {
            self.held = std::mem::take(&mut self.mark);
            self.at = At::Marked(form);
        } else if is_fence(&self.mark) {
            let mark = std::mem::take(&mut self.mark);
            if !(std::mem::take(&mut self.fenced) && mark.trim_end() == FENCE) {
                self.spaces.push_str(&mark);
            }
        } else if !Form::may_open(&self.mark) && !may_be_fence(&self.mark) {
            for c in std::mem::take(&mut self.mark).chars() {
                self.plain(c);
            }
        }
    }

    /// Reads a char that is of no marker.
    fn plain(&mut self, c: char) {
        if !c.is_whitespace() {
            if self.fresh && !self.blocks.text.is_empty() {
                // Some APIs have one text for all of it.
                self.blocks.say("\n\n");
            }
            self.line_start = false;
            self.fresh = false;
            self.fenced = false;
            self.blocks.say(&std::mem::take(&mut self.spaces));
            self.blocks.say(c.encode_utf8(&mut [0; 4]));
            return;
        }
        self.line_start |= c == '\n' || self.fresh;
        if self.fresh && self.calls() > 0 {
            return;
        }
        self.spaces.push(c);
        if self.spaces.len() > SPACES {
            self.blocks.say(&std::mem::take(&mut self.spaces));
        }
    }

    /// What is held is no call but text; the last bytes of it are read again.
    fn release(&mut self, again: usize) {
        let held = std::mem::take(&mut self.held);
        let (text, rest) = held.split_at(held.floor_char_boundary(held.len().saturating_sub(again)));
        for c in text.chars() {
            self.plain(c);
        }
        self.again.extend(rest.chars().rev());
        self.at = At::Text;
    }

    /// How long the last word of what is held is, with the space behind it. Bytes.
    fn last_word(&self) -> usize {
        let before = self.held.trim_end().rfind(char::is_whitespace).map_or(0, |space| space + 1);
        // The marker itself is not read again.
        let before = before.max(Form::Function.start().len());
        self.held.len().saturating_sub(before)
    }

    fn opening(&mut self, mut opening: Opening, c: char) {
        self.held.push(c);
        if opening.goes_on(c, &self.without) && self.held.len() <= WHOLE && self.may_be_call(&opening) {
            self.at = At::Opening(opening);
        } else {
            let all = self.held.len();
            self.release(all);
        }
    }

    fn may_be_call(&self, opening: &Opening) -> bool {
        let Some(call) = &opening.call else { return true };
        let known = |name: &String| self.names.contains(name);
        !call.foreign && !call.lost() && call.name.as_ref().is_none_or(known)
    }

    /// The answer is complete, and may be a call as a whole.
    fn opened(&mut self, opening: Opening) {
        let Some(mut envelope) = opening.call else {
            let all = self.held.len();
            return self.release(all);
        };
        if !opening.closed {
            envelope.finish();
        }
        let arguments = envelope.arguments.as_ref().is_some_and(Arguments::begun);
        if envelope.name.is_some() && arguments && !envelope.lost() && !envelope.foreign {
            let body = Calling::Wrapped(Some(envelope));
            return self.go_on(Call { form: Form::Json, body, begun: false }, Fed::Marker);
        }
        let all = self.held.len();
        self.release(all);
    }
}

/// Whether `mark` is a whole line that opens or closes a block of code.
fn is_fence(mark: &str) -> bool {
    mark.ends_with('\n') && mark.starts_with(FENCE) && may_be_fence(mark.trim_end())
}

/// Whether `mark` may become such a line.
fn may_be_fence(mark: &str) -> bool {
    /// The longest name of a language. Bytes.
    const LONGEST: usize = 32;
    match mark.strip_prefix(FENCE) {
        Some(language) => {
            let language = language.trim_end_matches([' ', '\r']);
            language.len() <= LONGEST
                && language.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
        }
        None => FENCE.starts_with(mark),
    }
}
