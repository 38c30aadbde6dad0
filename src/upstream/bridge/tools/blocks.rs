//! What has been read of an answer, as events.

use super::super::event::{Begin, Event};
use super::fence::Fence;

/// Writes text and calls as blocks.
#[derive(Debug)]
pub(super) struct Blocks {
    events: Vec<Event>,
    open: Open,
    /// More of the open block, that is no event yet.
    piece: String,
    /// Takes the fence off an answer that has to be JSON.
    fence: Option<Fence>,
    /// All of the text, and of each call the tool and its input: what is judged in the end.
    pub text: String,
    /// The calls.
    pub calls: Vec<Made>,
}

/// A call.
#[derive(Debug)]
pub(super) struct Made {
    /// The tool.
    pub name: String,
    /// What it is given: a JSON object.
    pub input: String,
    /// Whether some of it could not be read.
    pub lost: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Open {
    Nothing,
    Text,
    Tool,
}

impl Blocks {
    /// With `fenced`, a fence around the text is not part of it.
    pub(super) fn new(fenced: bool) -> Self {
        Self {
            events: Vec::new(),
            open: Open::Nothing,
            piece: String::new(),
            fence: fenced.then(Fence::default),
            text: String::new(),
            calls: Vec::new(),
        }
    }

    /// The events since the last time.
    pub(super) fn take(&mut self) -> Vec<Event> {
        self.flush();
        std::mem::take(&mut self.events)
    }

    /// More text.
    pub(super) fn say(&mut self, text: &str) {
        match &mut self.fence {
            Some(fence) => {
                let mut bare = String::new();
                fence.hear(text, &mut bare);
                self.bare(&bare);
            }
            None => self.bare(text),
        }
    }

    fn bare(&mut self, text: &str) {
        if text.is_empty() {
            return;
        }
        if self.open == Open::Nothing {
            self.events.push(Event::Begin(Begin::Text));
            self.open = Open::Text;
        }
        self.text.push_str(text);
        self.piece.push_str(text);
    }

    /// A call of `name` begins.
    pub(super) fn call(&mut self, id: String, name: String) {
        self.end_text();
        self.events.push(Event::Begin(Begin::Tool { id, name: name.clone() }));
        self.calls.push(Made { name, input: String::new(), lost: false });
        self.open = Open::Tool;
    }

    /// More of its input.
    pub(super) fn input(&mut self, json: &str) {
        self.piece.push_str(json);
        if let Some(call) = self.calls.last_mut() {
            call.input.push_str(json);
        }
    }

    /// The call ends.
    pub(super) fn end_call(&mut self, lost: bool) {
        if let Some(call) = self.calls.last_mut() {
            call.lost = lost;
        }
        self.end();
    }

    /// There is no more text before the next call, or at all.
    pub(super) fn end_text(&mut self) {
        if let Some(fence) = &mut self.fence {
            let mut bare = String::new();
            fence.finish(&mut bare);
            self.bare(&bare);
        }
        self.end();
    }

    fn end(&mut self) {
        self.flush();
        if self.open != Open::Nothing {
            self.events.push(Event::End);
            self.open = Open::Nothing;
        }
    }

    fn flush(&mut self) {
        if self.piece.is_empty() {
            return;
        }
        let piece = std::mem::take(&mut self.piece);
        self.events.push(if self.open == Open::Tool { Event::Input(piece) } else { Event::Text(piece) });
    }
}
