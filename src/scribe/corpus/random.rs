//! Conversations that chance makes, whose truth is known since they are made so: people who say much the same, with one
//! key and one program, from three addresses, whose programs write their histories otherwise from call to call.

use serde_json::{Value, json};

use super::labelled::Dice;
use super::labelled::scenario::{Scenario, read};

const OPENINGS: [&str; 3] = ["hi", "Tell me something.", "What can you do for me today?"];
const WORDS: [&str; 6] = ["Yes", "Why", "Go on", "No, the other one", "Shorter", "Größer ☕"];
const DIALECTS: [&str; 4] = ["chat", "responses", "anthropic", "gemini"];
const LONG: &str =
    "A longer answer, as hardly any other model would give it twice in the same words, since it has so many.";

/// So many conversations. Those of the same number, three by three, are answered alike, at three addresses.
pub(super) fn talks(seed: u64, count: usize) -> Vec<Scenario> {
    let mut dice = Dice(seed);
    (0..count).map(|number| talk(&format!("talk_{seed}_{number}"), number, &mut dice)).collect()
}

/// A call that was answered.
#[derive(Clone)]
struct Answered {
    id: usize,
    /// What it asked, to ask it again.
    asked: Value,
    tools: Vec<String>,
}

struct Talk<'d> {
    dice: &'d mut Dice,
    dialect: &'static str,
    /// Whether the provider keeps the history.
    kept: bool,
    number: usize,
    calls: Vec<Value>,
    /// Nothing goes on from these yet; from the others something does.
    tips: Vec<Answered>,
    inner: Vec<Answered>,
}

fn talk(name: &str, number: usize, dice: &mut Dice) -> Scenario {
    let dialect = DIALECTS[dice.below(4)];
    let kept = dialect == "responses" && dice.below(2) == 0;
    let mut talk =
        Talk { dice, dialect, kept, number, calls: Vec::new(), tips: Vec::new(), inner: Vec::new() };
    talk.opens();
    for _ in 0..4 + talk.dice.below(9) {
        match talk.dice.below(10) {
            0 => talk.fails(),
            1 => talk.regenerates(),
            2 => talk.edits(),
            _ => talk.goes_on(),
        }
    }
    let client = json!({"ip": 20 + number % 3, "program": "node"});
    let scenario =
        json!({"about": "Chance.", "dialect": dialect, "clients": {"app": client}, "calls": talk.calls});
    read(name, &scenario.to_string())
}

impl Talk<'_> {
    fn one_of<T: Copy>(&mut self, all: &[T]) -> T {
        all[self.dice.below(all.len())]
    }

    /// What others say as well.
    fn words(&mut self) -> Value {
        json!([self.one_of(&WORDS)])
    }

    /// What nobody else says in this conversation.
    fn own_words(&self) -> Value {
        json!([format!("Rather this: {}", self.calls.len())])
    }

    /// A call as its program writes it this time, which must not matter, and whether it is answered with tools.
    fn call(&mut self, is: &str, asked: &Value) -> Value {
        let mut call = asked.clone();
        call["is"] = format!("A {is}").into();
        call["id"] = self.calls.len().into();
        call["agent"] = false.into();
        call["stream"] = (self.dice.below(2) == 0).into();
        call["system"] =
            format!("You help. It is {}:{:02}.", self.dice.below(24), self.dice.below(60)).into();
        let mut style = json!({"json": self.one_of(&["js", "python", "pretty"])});
        let choices: &[&str] = match self.dialect {
            "chat" => &["blocks", "nulls"],
            "anthropic" => &["blocks", "cache", "forgets"],
            "responses" => &["blocks", "forgets", "nameless"],
            _ => &[],
        };
        for choice in choices {
            style[choice] = (self.dice.below(2) == 0).into();
        }
        call["style"] = style;
        call
    }

    /// Answers a call: with a few words, with many, or with tools.
    fn answered(&mut self, mut call: Value, asked: Value) {
        let (id, tag) = (self.calls.len(), self.number / 3);
        let mut parts = Vec::new();
        if matches!(self.dialect, "anthropic" | "responses") && self.dice.below(3) == 0 {
            parts.push(json!({"thinking": format!("Hm {id}.")}));
        }
        let words = self.one_of(&WORDS);
        let kind = self.dice.below(4);
        if kind != 3 {
            let more = if kind == 2 { LONG } else { "" };
            parts.push(format!("{words} {tag}.{id} {more}").into());
        }
        let mut tools = Vec::new();
        for tool in 0..if kind == 3 { 1 + self.dice.below(3) } else { 0 } {
            tools.push(format!("t{tool}"));
            parts.push(json!({"tool": "find", "id": format!("t{tool}"), "input": {"what": format!("{tag}.{id}"), "n": tool}}));
        }
        call["answer"] = parts.into();
        self.calls.push(call);
        self.tips.push(Answered { id, asked, tools });
    }

    fn opens(&mut self) {
        let asked = json!({"say": [self.one_of(&OPENINGS)]});
        let call = self.call("opening", &asked);
        self.answered(call, asked);
    }

    /// What is asked after an answer: results, in any order, where it wants some.
    fn after(&mut self, before: &Answered, words: Value) -> Value {
        let how = if self.kept { "previous" } else { "after" };
        let mut results: Vec<Value> = Vec::new();
        for id in &before.tools {
            let result = json!({"result": id, "text": format!("of {id}")});
            results.insert(self.dice.below(results.len() + 1), result);
        }
        let say = if results.is_empty() { words } else { json!([{"user": results}]) };
        json!({how: before.id, "say": say})
    }

    fn takes_a_tip(&mut self) -> Answered {
        let at = self.dice.below(self.tips.len());
        let tip = self.tips.remove(at);
        self.inner.push(tip.clone());
        tip
    }

    fn goes_on(&mut self) {
        let words = self.words();
        let tip = self.takes_a_tip();
        let asked = self.after(&tip, words);
        let call = self.call(&format!("turn {}", tip.id), &asked);
        self.answered(call, asked);
    }

    /// It does not work at first.
    fn fails(&mut self) {
        let words = self.words();
        let tip = self.takes_a_tip();
        let asked = self.after(&tip, words);
        let mut call = self.call(&format!("turn {}", tip.id), &asked);
        match self.dice.below(3) {
            0 => call["status"] = self.one_of(&[429, 500, 529]).into(),
            1 => call["ends"] = "none".into(),
            _ => {
                (call["stream"], call["ends"]) = (true.into(), self.one_of(&["cut", "broken"]).into());
                call["answer"] = "Well, I".into();
            }
        }
        self.calls.push(call);
        let mut call = self.call("retry", &asked);
        call["news"] = json!([]);
        self.answered(call, asked);
    }

    /// Another answer to what was asked last somewhere, if that was no opening.
    fn regenerates(&mut self) {
        let at = self.dice.below(self.tips.len());
        let asked = self.tips[at].asked.clone();
        if asked.get("after").or(asked.get("previous")).is_none() {
            return;
        }
        let mut call = self.call("regenerate", &asked);
        call["news"] = json!([]);
        self.answered(call, asked);
    }

    /// Something else is said where something was already.
    fn edits(&mut self) {
        let open: Vec<Answered> = self.inner.iter().filter(|inner| inner.tools.is_empty()).cloned().collect();
        if open.is_empty() {
            return;
        }
        let inner = open[self.dice.below(open.len())].clone();
        let words = self.own_words();
        let asked = self.after(&inner, words);
        let call = self.call(&format!("edit {}", inner.id), &asked);
        self.answered(call, asked);
    }
}
