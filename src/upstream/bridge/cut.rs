//! Ends an answer here where the backend cannot: at a stop sequence, or when it is long enough.

use super::ask::Ask;
use super::event::{Begin, Event, Stop};

/// Listens to the events of an answer, up to where it is cut.
#[derive(Debug)]
pub(crate) struct Cut {
    sequences: Vec<Sequence>,
    /// Bytes that may still be said.
    left: Option<u64>,
    open: Open,
    /// The end of the text so far, which may be the beginning of a sequence.
    held: String,
    over: bool,
}

/// What is left of an event.
#[derive(Debug)]
pub(crate) struct Heard {
    /// What is to be said.
    pub events: Vec<Event>,
    /// The answer ends with this. Nothing is heard from then on.
    pub over: Option<Stop>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Open {
    Nothing,
    Text,
    Other,
}

/// How many bytes of an answer count as a token where nobody counts them.
pub(crate) const TOKEN: u64 = 4;

impl Cut {
    /// Cuts at the stop sequences of `ask` and after its `max_tokens`. A call is never cut in half.
    pub(crate) fn new(ask: &Ask) -> Self {
        Self { left: ask.max_tokens.map(|tokens| tokens.saturating_mul(TOKEN)), ..Self::at_stops(ask) }
    }

    /// Cuts at the stop sequences of `ask` only.
    pub(crate) fn at_stops(ask: &Ask) -> Self {
        let sequences = ask.stop.iter().filter(|stop| !stop.is_empty()).map(|stop| Sequence::new(stop));
        Self {
            sequences: sequences.collect(),
            left: None,
            open: Open::Nothing,
            held: String::new(),
            over: false,
        }
    }

    /// What is to be said of `event`.
    pub(crate) fn hear(&mut self, event: Event) -> Heard {
        let mut events = Vec::new();
        if self.over {
            return Heard { events, over: None };
        }
        let over = match event {
            Event::Text(text) if self.open == Open::Text => self.text(&text, &mut events),
            Event::Thinking(text) => self.say(text, Event::Thinking, &mut events),
            Event::Begin(begin) => self.begin(begin, &mut events),
            Event::End => {
                let over = self.flush(&mut events);
                if over.is_none() {
                    events.push(Event::End);
                    self.open = Open::Nothing;
                }
                over
            }
            Event::Input(json) => {
                self.spend(json.len());
                events.push(Event::Input(json));
                None
            }
            Event::Done(done) => {
                // A block that nobody ended.
                let over = self.flush(&mut events);
                if over.is_none() {
                    events.push(Event::Done(done));
                }
                over
            }
            other => {
                events.push(other);
                None
            }
        };
        if over.is_some() {
            self.over = true;
            if self.open != Open::Nothing {
                events.push(Event::End);
            }
        }
        Heard { events, over }
    }

    fn begin(&mut self, begin: Begin, events: &mut Vec<Event>) -> Option<Stop> {
        if self.left == Some(0) {
            return Some(Stop::MaxTokens);
        }
        self.open = if begin == Begin::Text { Open::Text } else { Open::Other };
        for sequence in &mut self.sequences {
            sequence.matched = 0;
        }
        events.push(Event::Begin(begin));
        None
    }

    fn text(&mut self, text: &str, events: &mut Vec<Event>) -> Option<Stop> {
        if self.sequences.is_empty() {
            return self.say(text.to_owned(), Event::Text, events);
        }
        let before = self.held.len();
        self.held.push_str(text);
        for (at, byte) in text.bytes().enumerate() {
            let Some(found) = self.find(byte) else { continue };
            let length = found.len();
            self.held.truncate(before + at + 1 - length);
            let over = self.flush(events);
            return Some(over.unwrap_or(Stop::Sequence(found)));
        }
        let possible = self.sequences.iter().map(|sequence| sequence.matched).max().unwrap_or(0);
        let held = self.held.split_off(self.held.len() - possible);
        let sure = std::mem::replace(&mut self.held, held);
        self.say(sure, Event::Text, events)
    }

    /// The longest sequence that is complete with `byte`.
    fn find(&mut self, byte: u8) -> Option<String> {
        let complete =
            self.sequences.iter_mut().filter_map(|sequence| sequence.step(byte).then_some(&*sequence));
        complete.max_by_key(|sequence| sequence.text.len()).map(|sequence| sequence.text.clone())
    }

    /// Says what was held.
    fn flush(&mut self, events: &mut Vec<Event>) -> Option<Stop> {
        let held = std::mem::take(&mut self.held);
        self.say(held, Event::Text, events)
    }

    /// Says as much of `text` as may be.
    fn say(&mut self, mut text: String, event: fn(String) -> Event, events: &mut Vec<Event>) -> Option<Stop> {
        let room = self.left.map_or(usize::MAX, |left| usize::try_from(left).unwrap_or(usize::MAX));
        let over = text.len() > room;
        if over {
            text.truncate(text.floor_char_boundary(room));
        }
        self.spend(text.len());
        if !text.is_empty() {
            events.push(event(text));
        }
        over.then_some(Stop::MaxTokens)
    }

    fn spend(&mut self, bytes: usize) {
        self.left = self.left.map(|left| left.saturating_sub(bytes as u64));
    }
}

/// A stop sequence that is looked for, byte by byte (Knuth, Morris and Pratt).
#[derive(Debug)]
struct Sequence {
    text: String,
    /// For each length of a beginning: the longest shorter beginning that it ends with.
    shorter: Vec<usize>,
    matched: usize,
}

impl Sequence {
    fn new(text: &str) -> Self {
        let mut new = Self { text: text.to_owned(), shorter: vec![0], matched: 0 };
        for byte in text.bytes().skip(1) {
            new.step(byte);
            new.shorter.push(new.matched);
        }
        new.matched = 0;
        new
    }

    /// Reads `byte`. Whether the sequence is complete with it.
    fn step(&mut self, byte: u8) -> bool {
        let text = self.text.as_bytes();
        while self.matched > 0 && text.get(self.matched) != Some(&byte) {
            self.matched = self.shorter.get(self.matched - 1).copied().unwrap_or(0);
        }
        self.matched += usize::from(text.get(self.matched) == Some(&byte));
        self.matched == text.len()
    }
}

#[cfg(test)]
mod tests;
