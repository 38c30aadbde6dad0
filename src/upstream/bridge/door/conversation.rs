//! Who said what, one after the other, and whether each call of a tool has its result: the same rules for every door.
//!
//! Providers want the results right after the turn with the calls. What a client says in between is moved after them,
//! and a warning tells so.

use std::collections::HashMap;

use super::fields::Field;
use super::parameters;
use crate::upstream::bridge::Failure;
use crate::upstream::bridge::ask::{Block, Part, Prompt, Role, Turn, Warnings};

/// A conversation as far as it has been read.
#[derive(Debug)]
pub(super) struct Conversation {
    /// What a result is in the words of the door, up to the id that it answers.
    result: &'static str,
    /// Whether the client speaks of a conversation that goes on elsewhere: there the calls may be.
    elsewhere: bool,
    /// The instructions before the first turn.
    system: Vec<Prompt>,
    turns: Vec<Turn>,
    /// Whether some of the turns are the model's.
    has_answers: bool,
    /// What was said between calls and the last of their results.
    held: Vec<Turn>,
    /// Calls without a result, by their ids.
    open: HashMap<String, Call>,
    /// Calls so far.
    calls: usize,
    /// Whether the latest turn is of results, and more of them may come.
    answering: bool,
}

/// A call of a tool.
#[derive(Debug)]
struct Call {
    /// Which it is, counted from the first.
    at: usize,
    /// Where it stands.
    place: String,
    /// Its name, where it is of the form that had no ids and is answered by the name.
    function: Option<String>,
}

impl Conversation {
    /// Nothing so far. `result` is how the door calls what answers a call, up to the id: "a tool_result with the
    /// tool_use_id". `elsewhere` is whether the client names a conversation.
    pub(super) fn new(result: &'static str, elsewhere: bool) -> Self {
        Self {
            result,
            elsewhere,
            system: Vec::new(),
            turns: Vec::new(),
            has_answers: false,
            held: Vec::new(),
            open: HashMap::new(),
            calls: 0,
            answering: false,
        }
    }

    /// Each call has its result: the model may speak.
    ///
    /// # Errors
    /// Where one has none.
    pub(super) fn settled(&self) -> Result<(), Failure> {
        let Some((id, call)) = self.open.iter().min_by_key(|(_, call)| call.at) else { return Ok(()) };
        let right = match &call.function {
            Some(name) => format!("a message of the role function with the name {name}"),
            None => format!("{} {}", self.result, short(id)),
        };
        let message = format!("{}: nothing answers this call; {right} would be right after it", call.place);
        Err(Failure::invalid(call.place.clone(), message))
    }

    /// The model calls a tool, at `place`. Returns the call's id.
    ///
    /// # Errors
    /// Where the id is none, or another's.
    pub(super) fn call(&mut self, place: &str, id: &Field<'_>) -> Result<String, Failure> {
        let name = parameters::name_in(id)?;
        if self.open.contains_key(&name) {
            return Err(id.unknown(&name, "an id that no other call of the message has"));
        }
        self.open(name.clone(), place, None);
        Ok(name)
    }

    /// As [`Conversation::call`], in the form that had no ids.
    pub(super) fn call_function(&mut self, place: &str, name: &str) -> String {
        let mut id = format!("call_function_{}", self.calls);
        while self.open.contains_key(&id) {
            id.push('_');
        }
        self.open(id.clone(), place, Some(name.to_owned()));
        id
    }

    fn open(&mut self, id: String, place: &str, function: Option<String>) {
        self.open.insert(id, Call { at: self.calls, place: place.to_owned(), function });
        self.calls += 1;
    }

    /// A tool answers the call of this id.
    ///
    /// # Errors
    /// Where no call waits for it.
    pub(super) fn result(&mut self, id: &Field<'_>) -> Result<String, Failure> {
        let name = parameters::name_in(id)?;
        if self.open.get(&name).is_some_and(|call| call.function.is_none()) {
            self.open.remove(&name);
            return Ok(name);
        }
        if self.elsewhere && !self.has_answers {
            return Ok(name);
        }
        Err(id.unknown(&name, &self.expected()))
    }

    /// What ids would be right, in a few words.
    fn expected(&self) -> String {
        const SAID: usize = 3;
        let mut waiting: Vec<_> = self.open.iter().filter(|(_, call)| call.function.is_none()).collect();
        if waiting.is_empty() {
            return "the id of a call in the turn before that has no result yet".to_owned();
        }
        waiting.sort_by_key(|(_, call)| call.at);
        let names: Vec<_> = waiting.iter().take(SAID).map(|(id, _)| short(id)).collect();
        match waiting.len().saturating_sub(SAID) {
            0 => format!("one of {}, each once,", names.join(", ")),
            more => format!("one of {} and {more} more, each once,", names.join(", ")),
        }
    }

    /// A function of this name answers, in the form that had no ids. Returns the call's id.
    ///
    /// # Errors
    /// Where no call waits for it.
    pub(super) fn function_result(&mut self, name: &Field<'_>) -> Result<String, Failure> {
        let wanted = name.text()?;
        let found = self.open.iter().find(|(_, call)| call.function.as_deref() == Some(&wanted));
        let Some(id) = found.map(|(id, _)| id.clone()) else {
            return Err(name.unknown(&wanted, "the name in the function_call of the message before"));
        };
        self.open.remove(&id);
        Ok(id)
    }

    /// Adds a message. One in which nothing is said is none. The calls and results in `parts` are known by now.
    pub(super) fn say(&mut self, role: Role, parts: Vec<Part>, warnings: &mut Warnings) {
        if role == Role::Assistant {
            self.push(role, parts);
            return;
        }
        let (results, rest): (Vec<_>, Vec<_>) = parts.into_iter().partition(is_result);
        let answers = !results.is_empty();
        if answers {
            self.answer(results);
        }
        if !self.open.is_empty() {
            if !rest.is_empty() {
                warnings.add("moved behind tool results");
                self.held.push(Turn { role, parts: rest });
            }
            return;
        }
        let joins = answers && self.held.is_empty();
        for turn in std::mem::take(&mut self.held) {
            self.push(turn.role, turn.parts);
        }
        match self.turns.last_mut() {
            Some(turn) if joins => {
                self.answering &= rest.is_empty();
                turn.parts.extend(rest);
            }
            None if role == Role::System => self.system.extend(rest.into_iter().filter_map(prompt)),
            _ => self.push(role, rest),
        }
    }

    /// Adds to what the model has just said.
    pub(super) fn go_on(&mut self, parts: Vec<Part>) {
        match self.turns.last_mut().filter(|turn| turn.role == Role::Assistant && self.held.is_empty()) {
            Some(turn) => turn.parts.extend(parts),
            None => self.push(Role::Assistant, parts),
        }
    }

    /// Results of one turn are one turn, however many messages they come in.
    fn answer(&mut self, results: Vec<Part>) {
        match self.turns.last_mut() {
            Some(turn) if self.answering => turn.parts.extend(results),
            _ => self.turns.push(Turn { role: Role::User, parts: results }),
        }
        self.answering = true;
    }

    fn push(&mut self, role: Role, parts: Vec<Part>) {
        if !parts.is_empty() {
            self.has_answers |= role == Role::Assistant;
            self.turns.push(Turn { role, parts });
            self.answering = false;
        }
    }

    /// The instructions before the first turn, and the turns.
    ///
    /// # Errors
    /// Where a call has no result.
    pub(super) fn finish(self) -> Result<(Vec<Prompt>, Vec<Turn>), Failure> {
        self.settled()?;
        Ok((self.system, self.turns))
    }
}

fn is_result(part: &Part) -> bool {
    matches!(part.block, Block::ToolResult { .. })
}

/// Instructions are text.
fn prompt(part: Part) -> Option<Prompt> {
    match part.block {
        Block::Text(text) => Some(Prompt { text, cache: part.cache }),
        _ => None,
    }
}

/// An id as an error names it: a client's may be long.
fn short(id: &str) -> String {
    const LONGEST: usize = 64;
    if id.chars().count() <= LONGEST {
        id.to_owned()
    } else {
        id.chars().take(LONGEST).chain(['…']).collect()
    }
}
