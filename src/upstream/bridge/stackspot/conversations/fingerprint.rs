//! What was said in a conversation, so far as it matters whether it is the same.
//!
//! Clients give an answer back in their own way: cut into more or fewer messages, with other white space, without
//! thinking. What one side says at a stretch is therefore one, its text without white space, and the input of its
//! calls as the values that it is.

use ring::digest::{Context, SHA256};
use serde_json::Value;

use super::super::super::ask::{Block, Role, Source, Turn};
use super::super::super::event::{Answer, Said};

/// Everything said so far.
#[derive(Clone)]
pub(super) struct Heard {
    all: Context,
    /// What it began with, up to the first answer.
    first: Option<[u8; 32]>,
    answers: u64,
}

impl Default for Heard {
    fn default() -> Self {
        Self { all: Context::new(&SHA256), first: None, answers: 0 }
    }
}

impl std::fmt::Debug for Heard {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Heard").field("answers", &self.answers).finish_non_exhaustive()
    }
}

impl Heard {
    /// And then `turns`.
    pub(super) fn and(mut self, turns: &[Turn]) -> Self {
        for stretch in stretches(turns) {
            self.add(&Stretch::of(stretch));
        }
        self
    }

    /// And then this answer.
    pub(super) fn and_answer(mut self, answer: &Answer) -> Self {
        let mut said = Stretch { role: Role::Assistant, text: String::new(), other: Vec::new() };
        for block in &answer.blocks {
            match block {
                Said::Text { text, .. } => said.say(text),
                Said::Tool { id, name, input } => said.other.push(call(id, name, input)),
                Said::Thinking { .. } | Said::Redacted(_) => {}
            }
        }
        self.first.get_or_insert(finish(&self.all));
        self.add(&said);
        self.answers += 1;
        self
    }

    /// The first turn of `turns` that comes after all of this. None where they do not begin with it, or nothing follows.
    pub(super) fn new_in(&self, turns: &[Turn]) -> Option<usize> {
        let known = finish(&self.all);
        let mut heard = Self::default();
        let mut at = 0;
        for stretch in stretches(turns) {
            heard.add(&Stretch::of(stretch));
            at += stretch.len();
            if finish(&heard.all) == known {
                return (at < turns.len()).then_some(at);
            }
        }
        None
    }

    /// Whether `turns` are all that was said before the only answer there is.
    pub(super) fn began_with(&self, turns: &[Turn]) -> bool {
        self.answers == 1 && self.first == Some(finish(&Self::default().and(turns).all))
    }

    fn add(&mut self, stretch: &Stretch) {
        let mut part = |kind: u8, text: &str| {
            self.all.update(&[kind]);
            self.all.update(&(text.len() as u64).to_be_bytes());
            self.all.update(text.as_bytes());
        };
        part(stretch.role as u8, &stretch.text);
        stretch.other.iter().for_each(|other| part(u8::MAX, other));
    }
}

/// A call. Clients write its input anew, each in its own way.
fn call(id: &str, name: &str, input: &str) -> String {
    let input =
        serde_json::from_str::<Value>(input).map_or_else(|_| input.to_owned(), |value| value.to_string());
    format!("call {id} {name} {input}")
}

fn finish(context: &Context) -> [u8; 32] {
    let mut bytes = [0; 32];
    bytes.iter_mut().zip(context.clone().finish().as_ref()).for_each(|(to, from)| *to = *from);
    bytes
}

fn stretches(turns: &[Turn]) -> impl Iterator<Item = &[Turn]> {
    turns.chunk_by(|a, b| a.role == b.role)
}

/// What one side says until the other does.
struct Stretch {
    role: Role,
    text: String,
    other: Vec<String>,
}

impl Stretch {
    fn of(turns: &[Turn]) -> Self {
        let role = turns.first().map_or(Role::User, |turn| turn.role);
        let mut stretch = Self { role, text: String::new(), other: Vec::new() };
        for part in turns.iter().flat_map(|turn| &turn.parts) {
            stretch.take(&part.block);
        }
        stretch
    }

    fn take(&mut self, block: &Block) {
        match block {
            Block::Text(text) => self.say(text),
            Block::Image(source) | Block::Document { source, .. } => {
                self.other.push(match source {
                    Source::Base64 { data, .. } => format!("file {data}"),
                    Source::Text(text) | Source::Url(text) => format!("file {text}"),
                });
            }
            Block::ToolUse { id, name, input } => self.other.push(call(id, name, input.get())),
            Block::ToolResult { id, content, .. } => {
                self.other.push(format!("result {id}"));
                content.iter().for_each(|block| self.take(block));
            }
            Block::Thinking { .. } | Block::Redacted(_) => {}
        }
    }

    fn say(&mut self, text: &str) {
        self.text.extend(text.split_whitespace());
    }
}
