//! Whether an answer is what was asked for.

use jsonschema::PatternOptions;
use serde_json::Value;
use serde_json::value::RawValue;

use super::super::ask::{Ask, Format, Tool, ToolChoice};
use super::super::failure::Kind;
use super::blocks::{Blocks, Made};
use super::{Style, Verdict, prompt};

mod work;

/// What is asked of an answer.
#[derive(Debug)]
pub(super) struct Wanted {
    tools: Vec<Tool>,
    choice: ToolChoice,
    format: Format,
    style: Style,
}

/// What a schema says of a value.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Checked {
    /// It is of the schema.
    Fine,
    /// It is not, because of this.
    Wrong(String),
    /// The schema is of no use, or too large to be checked with.
    Unchecked,
}

/// The largest schema, and the largest value, that is checked. Bytes.
const LARGEST: usize = 1024 * 1024;

impl Wanted {
    pub(super) fn of(ask: &Ask, style: Style) -> Self {
        let tools = if ask.choice == ToolChoice::None { Vec::new() } else { ask.tools.clone() };
        Self { tools, choice: ask.choice.clone(), format: ask.format.clone(), style }
    }

    /// Whether the text has to be JSON.
    pub(super) fn is_json(&self) -> bool {
        !matches!(self.format, Format::Text)
    }

    /// Whether a tool has a parameter of this name.
    pub(super) fn takes(&self, key: &str) -> bool {
        self.tools.iter().any(|tool| {
            tool.schema.get().contains(key)
                && serde_json::from_str::<Value>(tool.schema.get())
                    .is_ok_and(|schema| schema.get("properties").is_some_and(|all| all.get(key).is_some()))
        })
    }

    /// Judges what has been read, of which `heard` is the beginning.
    pub(super) fn judge(&self, read: &Blocks, heard: &str, warnings: &mut Vec<&'static str>) -> Verdict {
        let wrong = self
            .call(read, warnings)
            .map(|why| (Kind::ToolChoiceUnmet, why))
            .or_else(|| self.text(read, warnings).map(|why| (Kind::FormatUnmet, why)));
        match wrong {
            None => Verdict::Fine,
            Some((kind, why)) => {
                let follow_up = prompt::follow_up(&self.tools, self.style, kind, &why, heard);
                let damaged = read.calls.iter().any(|call| call.lost);
                Verdict::Unmet { kind, why, damaged, follow_up }
            }
        }
    }

    /// What is wrong with its calls.
    fn call(&self, read: &Blocks, warnings: &mut Vec<&'static str>) -> Option<String> {
        for call in &read.calls {
            if let Some(why) = self.input(call, warnings) {
                return Some(why);
            }
        }
        match &self.choice {
            ToolChoice::Required if read.calls.is_empty() => {
                Some("The model had to use a tool, and used none.".to_owned())
            }
            ToolChoice::Named(name)
                if read.calls.is_empty() || read.calls.iter().any(|call| call.name != *name) =>
            {
                Some(format!("The model had to use the tool {name:?} and no other, and did not."))
            }
            _ => None,
        }
    }

    fn input(&self, call: &Made, warnings: &mut Vec<&'static str>) -> Option<String> {
        let name = &call.name;
        if call.lost {
            return Some(format!("The input that the model gave to {name:?} is not JSON, or is cut off."));
        }
        let tool = self.tools.iter().find(|tool| tool.name == *name)?;
        match check(&tool.schema, &call.input) {
            Checked::Fine => None,
            Checked::Wrong(why) => {
                Some(format!("The input that the model gave to {name:?} is not of its schema: {why}"))
            }
            Checked::Unchecked => {
                unchecked(warnings);
                None
            }
        }
    }

    /// What is wrong with its text. Text beside calls is free.
    fn text(&self, read: &Blocks, warnings: &mut Vec<&'static str>) -> Option<String> {
        if !read.calls.is_empty() {
            return None;
        }
        match &self.format {
            Format::Text => None,
            Format::Json
                if serde_json::from_str::<Value>(&read.text).is_ok_and(|value| value.is_object()) =>
            {
                None
            }
            Format::Json => Some("The answer is not a JSON object.".to_owned()),
            Format::Schema(schema) => match check(schema, &read.text) {
                Checked::Fine => None,
                Checked::Wrong(why) => Some(format!("The answer is not of the schema: {why}")),
                Checked::Unchecked if serde_json::from_str::<Value>(&read.text).is_err() => {
                    Some("The answer is not JSON.".to_owned())
                }
                Checked::Unchecked => {
                    unchecked(warnings);
                    None
                }
            },
        }
    }
}

fn unchecked(warnings: &mut Vec<&'static str>) {
    const UNCHECKED: &str = "schema-unchecked";
    if !warnings.contains(&UNCHECKED) {
        warnings.push(UNCHECKED);
    }
}

/// Whether the JSON `value` is of `schema`.
pub(super) fn check(schema: &RawValue, value: &str) -> Checked {
    if schema.get().len() > LARGEST || value.len() > LARGEST {
        return Checked::Unchecked;
    }
    let Ok(schema) = serde_json::from_str::<Value>(schema.get()) else { return Checked::Unchecked };
    let value = match serde_json::from_str::<Value>(value) {
        Ok(value) => value,
        Err(error) => return Checked::Wrong(format!("not JSON: {error}")),
    };
    if !work::is_bounded(&schema, &value) {
        return Checked::Unchecked;
    }
    // No regular expression of a client may take longer than its text is long. References to elsewhere are not
    // followed: the crate is built without what would fetch them.
    let built = jsonschema::options().with_pattern_options(PatternOptions::regex()).offline().build(&schema);
    let Ok(validator) = built else { return Checked::Unchecked };
    match validator.validate(&value) {
        Ok(()) => Checked::Fine,
        Err(error) => Checked::Wrong(said(&error)),
    }
}

/// The error in a sentence that is not too long: it may quote the value.
fn said(error: &jsonschema::ValidationError<'_>) -> String {
    const LONGEST: usize = 500;
    let text = error.to_string();
    let place = error.instance_path().to_string();
    let text = &text[..text.floor_char_boundary(LONGEST)];
    if place.is_empty() { text.to_owned() } else { format!("{text} (at {place})") }
}

#[cfg(test)]
mod tests;
