//! What identifies a conversation: its messages, without what clients change of them on the way.
//!
//! A unit is what one side says at once: a message of the user's; a tool's result; or all that the model says until
//! then, in however many messages. White space, thinking, signatures, marks, ids of items, system prompts and what clients
//! put in and take out again are no part of it.

mod dense;

use std::hash::{BuildHasher as _, Hasher as _};
use std::net::IpAddr;

use foldhash::quality::RandomState;
use perimeter_interceptor::{Part, Role, ToolResult, ToolUse, Turn};
use serde_json::Value;

use self::dense::dense;
use crate::scribe::markers::{is_cleared, lasting};

/// Makes hashes that nobody outside can make collide: they are others in each run.
#[derive(Clone, Debug, Default)]
pub(crate) struct Seed(RandomState);

impl Seed {
    pub(crate) fn of_bytes(&self, bytes: &[u8]) -> u64 {
        let mut hasher = self.0.build_hasher();
        hasher.write(bytes);
        hasher.finish()
    }

    pub(crate) fn of_turn(&self, turn: &Turn) -> u64 {
        self.0.hash_one(turn)
    }

    pub(crate) fn of_address(&self, address: IpAddr) -> u64 {
        self.0.hash_one(address)
    }

    /// What follows `before`.
    pub(crate) fn then(&self, before: u64, next: u64) -> u64 {
        self.0.hash_one((before, next))
    }

    /// A text without its white space: as a unit has it that is this text alone, said by the user.
    pub(crate) fn of_text(&self, text: &str) -> u64 {
        let mut bytes = Vec::with_capacity(text.len());
        dense(text, &mut bytes);
        Unit::new(self.of_bytes(&bytes), false).hash()
    }
}

/// What one side says at once, as a hash.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Unit(u64);

impl Unit {
    fn new(hash: u64, by_model: bool) -> Self {
        Self(hash & !3 | u64::from(by_model))
    }

    fn of_result(hash: u64) -> Self {
        Self(hash & !3 | 2)
    }

    /// Whether it is a tool's result.
    fn is_result(self) -> bool {
        self.0 & 2 == 2
    }

    /// Whether the model said it.
    pub(crate) fn by_model(self) -> bool {
        self.0 & 1 == 1
    }

    pub(crate) fn hash(self) -> u64 {
        self.0
    }
}

/// The messages of a conversation.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Units {
    /// What is said, one side after the other.
    pub(crate) list: Vec<Unit>,
    /// Of each message: how many units, from the first, there are once it is said; and whether it is instructions.
    ends: Vec<(u32, bool)>,
    /// What the model is to go on with, where its own words are the last.
    pub(crate) open: Option<Run>,
    /// What else the model's last words may have been. Where they are several messages: what it had said after the
    /// first, the second and so on, since the others may be the client's. And what they are without the ids of tools,
    /// which clients make up where the provider gives none.
    pub(crate) begun: Vec<Unit>,
    /// The last item of an answer's that is only referred to.
    pub(crate) referred: Option<Referred>,
}

/// An item of an answer's, in the place of what it says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Referred {
    /// Its id, as a hash.
    pub(crate) id: u64,
    /// So many units there are with it.
    pub(crate) units: usize,
    message: usize,
}

/// So many messages of the model's in a row are looked at one by one.
const BEGUN: usize = 8;

/// What the model said.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Run {
    text: Vec<u8>,
    tools: Vec<u8>,
}

impl Units {
    /// The units of these messages.
    pub(crate) fn of(seed: &Seed, turns: &[Turn]) -> Self {
        let mut units = Self::default();
        units.extend(seed, turns);
        units
    }

    /// Adds messages. The last one before them is not the model's where the first of them is.
    pub(crate) fn extend(&mut self, seed: &Seed, turns: &[Turn]) {
        self.open = None;
        // Where the model speaks again, if only to say nothing, what it said before were not its last words.
        if turns.iter().any(|turn| turn.role == Role::Assistant) {
            self.begun.clear();
        }
        let mut run: Option<(std::ops::Range<usize>, Run)> = None;
        let mut begun = Vec::new();
        let mut scratch = Vec::new();
        for turn in turns {
            match turn.role {
                Role::System => self.ends.push((self.count(), true)),
                Role::Assistant => {
                    let at = self.ends.len();
                    let (messages, run) = run.get_or_insert_with(|| (at..at, Run::default()));
                    if messages.end > messages.start && begun.len() < BEGUN {
                        begun.extend(run.unit(seed));
                    }
                    messages.end = at + 1;
                    run.add(&turn.parts);
                    self.ends.push((self.count(), false));
                }
                _ => {
                    if let Some((messages, run)) = run.take() {
                        self.close(seed, messages, &run, std::mem::take(&mut begun));
                    }
                    for part in &turn.parts {
                        if let Part::ToolResult(result) = part {
                            scratch.clear();
                            tool_result(result, &mut scratch);
                            self.add_result(Unit::of_result(seed.of_bytes(&scratch)));
                        }
                    }
                    scratch.clear();
                    others(turn, &mut scratch);
                    if !scratch.is_empty() {
                        self.list.push(Unit::new(seed.of_bytes(&scratch), false));
                    }
                    if let Some(id) = referred(turn) {
                        let (units, message) = (self.list.len(), self.ends.len());
                        self.referred = Some(Referred { id: seed.of_text(id), units, message });
                    }
                    self.ends.push((self.count(), false));
                }
            }
        }
        if let Some((messages, run)) = run {
            self.close(seed, messages, &run, begun);
            self.open = (!run.is_empty()).then_some(run);
        }
        self.begun.extend(without_ids(turns).and_then(|run| run.unit(seed)));
    }

    /// The hash of what this turn, the last one, says ([`Seed::of_text`]), where it is one text and nothing else. As far
    /// as it [lasts](lasting).
    pub(crate) fn said_last(&self, last: &Turn) -> Option<u64> {
        let [Part::Text(text)] = &*last.parts else { return None };
        let is_unit = last.role == Role::User && !lasting(text).trim().is_empty();
        self.list
            .last()
            .filter(|unit| is_unit && !unit.by_model() && !unit.is_result())
            .map(|unit| unit.hash())
    }

    /// How many messages, from the first, are said with so many units. Instructions belong to what comes behind them.
    pub(crate) fn messages(&self, units: usize) -> usize {
        self.ends.partition_point(|(end, is_system)| *end as usize + usize::from(*is_system) <= units)
    }

    /// Whether the message of this number is instructions, with nothing said before it.
    pub(crate) fn leads(&self, message: usize) -> bool {
        self.ends.get(message) == Some(&(0, true))
    }

    /// The first so many messages. `None` where the model goes on to speak behind them, or tools to answer.
    pub(crate) fn prefix(&self, messages: usize) -> Option<Self> {
        let (ends, behind) = self.ends.split_at_checked(messages)?;
        let units = ends.last().map_or(0, |(end, _)| *end as usize);
        let list = self.list.get(..units)?;
        let cuts_results = [units.checked_sub(1), Some(units)]
            .iter()
            .all(|at| at.and_then(|at| self.list.get(at)).is_some_and(|unit| unit.is_result()));
        let is_model = list.last().is_some_and(|unit| unit.by_model());
        let goes_on = behind.first().is_some_and(|(end, is_system)| *end as usize == units && !is_system);
        let is_same = !self.list.get(units..)?.iter().any(|unit| unit.by_model());
        let begun = if is_same { self.begun.clone() } else { Vec::new() };
        let is_referred = self.referred.is_none_or(|referred| referred.message < messages);
        (!cuts_results && is_referred && (!is_model || !goes_on)).then(|| Self {
            list: list.to_vec(),
            ends: ends.to_vec(),
            open: None,
            begun,
            referred: self.referred,
        })
    }

    /// All but what the model is to go on with.
    pub(crate) fn answered(&self) -> &[Unit] {
        match self.list.split_last() {
            Some((_, before)) if self.open.is_some() => before,
            _ => &self.list,
        }
    }

    /// Whether the model's words were the last.
    pub(crate) fn ends_by_model(&self) -> bool {
        self.list.last().is_some_and(|unit| unit.by_model())
    }

    /// About how many bytes of memory they take.
    pub(crate) fn weight(&self) -> usize {
        self.list.capacity() * size_of::<Unit>() + self.ends.capacity() * size_of::<(u32, bool)>()
    }

    /// Adds a tool's result among those beside it: clients put them into one message or several, in the order in which
    /// they came or that of the calls.
    fn add_result(&mut self, unit: Unit) {
        let alike = self.list.iter().rev().take_while(|other| other.is_result() && other.0 > unit.0).count();
        self.list.insert(self.list.len() - alike, unit);
    }

    fn count(&self) -> u32 {
        u32::try_from(self.list.len()).unwrap_or(u32::MAX)
    }

    /// The model has said what these messages are.
    fn close(&mut self, seed: &Seed, messages: std::ops::Range<usize>, run: &Run, begun: Vec<Unit>) {
        let Some(unit) = run.unit(seed) else { return };
        self.begun = begun;
        self.list.push(unit);
        let count = self.count();
        for (at, end) in self.ends.iter_mut().enumerate().skip(messages.start) {
            *end = (count, at >= messages.end);
        }
    }
}

impl Run {
    /// Adds what else the model says.
    pub(crate) fn add(&mut self, parts: &[Part]) {
        for part in parts {
            match part {
                Part::Text(text) if self.text.is_empty() => dense(after_thoughts(text), &mut self.text),
                Part::Text(text) | Part::Refusal(text) => dense(text, &mut self.text),
                Part::ToolUse(tool) if !tool.hosted => {
                    tool_use(tool, tool.id.as_deref().unwrap_or_default(), &mut self.tools);
                }
                _ => {}
            }
        }
    }

    /// Its texts alone, where there is more.
    pub(crate) fn texts(&self) -> Option<Self> {
        let has_both = !self.text.is_empty() && !self.tools.is_empty();
        has_both.then(|| Self { text: self.text.clone(), tools: Vec::new() })
    }

    /// As a unit, where anything was said.
    pub(crate) fn unit(&self, seed: &Seed) -> Option<Unit> {
        let hash = || seed.then(seed.of_bytes(&self.text), seed.of_bytes(&self.tools));
        (!self.is_empty()).then(|| Unit::new(hash(), true))
    }

    /// Whether hardly any other model would have said the same: it is long, or asks for a tool.
    pub(crate) fn is_telling(&self) -> bool {
        self.text.len() >= TELLING || !self.tools.is_empty()
    }

    fn is_empty(&self) -> bool {
        self.text.is_empty() && self.tools.is_empty()
    }
}

/// An answer without the thoughts that local models write before it, and that clients take out of their histories.
fn after_thoughts(text: &str) -> &str {
    // Few texts have any, and to look for a letter takes much less than for a word.
    if memchr::memchr(b'<', text.as_bytes()).is_none() {
        return text;
    }
    let is_thought =
        |thoughts: &str| thoughts.trim_start().starts_with("<think>") || !thoughts.contains("<think>");
    match text.split_once("</think>") {
        Some((thoughts, rest)) if is_thought(thoughts) => rest,
        _ => text,
    }
}

/// So long an answer is hardly given twice, bytes without white space.
const TELLING: usize = 80;

/// Whether hardly any other call of a tool has the same id: letters and digits stand in it in no order.
fn is_unique(id: &str) -> bool {
    id.split(|letter: char| !letter.is_ascii_alphanumeric()).any(|part| {
        part.len() >= 9
            && part.bytes().any(|byte| byte.is_ascii_digit())
            && part.bytes().any(|byte| byte.is_ascii_alphabetic())
    })
}

/// What the model said last, as if no tool in it had an id. `None` where none has.
fn without_ids(turns: &[Turn]) -> Option<Run> {
    let last = turns.iter().rposition(|turn| turn.role == Role::Assistant)?;
    let before = turns.get(..=last)?;
    let is_model = |turn: &&Turn| matches!(turn.role, Role::Assistant | Role::System);
    let first = before.len() - before.iter().rev().take_while(is_model).count();
    let mut run = Run::default();
    let mut has_ids = false;
    for part in
        before.get(first..)?.iter().filter(|turn| turn.role == Role::Assistant).flat_map(|turn| &turn.parts)
    {
        match part {
            Part::ToolUse(tool) if !tool.hosted => {
                has_ids |= tool.id.is_some();
                tool_use(tool, "", &mut run.tools);
            }
            part => run.add(std::slice::from_ref(part)),
        }
    }
    has_ids.then_some(run)
}

/// The id of the item that this one refers to.
fn referred(turn: &Turn) -> Option<&str> {
    match (&turn.role, &*turn.parts) {
        (Role::Other(word), [_, Part::Other(id)]) if &**word == "item_reference" => Some(id),
        _ => None,
    }
}

/// What a tool brought.
fn tool_result(result: &ToolResult, out: &mut Vec<u8>) {
    let id = result.id.as_deref().unwrap_or_default();
    mark(b'a', id, out);
    // Clients take old results out of their histories.
    if !is_unique(id) && !is_cleared(&result.text) {
        dense(&lasting(&result.text), out);
    }
}

/// What a user says, and what a message holds beside results of tools.
fn others(turn: &Turn, out: &mut Vec<u8>) {
    if let Role::Other(word) = &turn.role {
        mark(b'r', word, out);
    }
    for part in &turn.parts {
        match part {
            Part::Text(text) | Part::Refusal(text) => dense(&lasting(text), out),
            Part::Thinking(_) | Part::ToolResult(_) => {}
            Part::ToolUse(tool) => tool_use(tool, tool.id.as_deref().unwrap_or_default(), out),
            Part::Media(media) => {
                mark(b'm', &media.kind, out);
                out.extend_from_slice(&media.size.to_le_bytes());
                out.extend_from_slice(&media.hash.to_le_bytes());
            }
            Part::Other(word) => mark(b'o', word, out),
            _ => {}
        }
    }
}

fn tool_use(tool: &ToolUse, id: &str, out: &mut Vec<u8>) {
    mark(b't', id, out);
    mark(b'n', &tool.name, out);
    // Clients complete what the model wrote, such as with the values of fields that it left out.
    if is_unique(id) {
        return;
    }
    match serde_json::from_str::<Value>(&tool.input) {
        Ok(input) => json(&input, out),
        Err(_) if tool.input.trim().is_empty() => out.extend_from_slice(b"{}"),
        Err(_) => dense(&tool.input, out),
    }
}

/// A word that no text can be taken for: no text holds the byte 255.
fn mark(kind: u8, word: &str, out: &mut Vec<u8>) {
    out.extend_from_slice(&[0xff, kind]);
    out.extend_from_slice(word.as_bytes());
    out.push(0xff);
}

/// A value, however it was written: members in the order of their names, whole numbers alike, no white space.
fn json(value: &Value, out: &mut Vec<u8>) {
    match value {
        Value::Null => out.push(b'0'),
        Value::Bool(truth) => out.push(if *truth { b'+' } else { b'-' }),
        Value::Number(number) => match number.as_f64() {
            Some(number) => {
                out.push(b'#');
                out.extend_from_slice(&number.to_le_bytes());
            }
            None => mark(b'#', &number.to_string(), out),
        },
        Value::String(text) => {
            out.push(0xff);
            dense(text, out);
        }
        Value::Array(items) => {
            out.push(b'[');
            items.iter().for_each(|item| json(item, out));
            out.push(b']');
        }
        Value::Object(members) => {
            let mut names: Vec<&String> = members.keys().collect();
            names.sort_unstable();
            out.push(b'{');
            for name in names {
                mark(b'k', name, out);
                if let Some(value) = members.get(name) {
                    json(value, out);
                }
            }
            out.push(b'}');
        }
    }
}

#[cfg(test)]
mod tests;
