//! Tools for backends that know only text: told in the prompt, read back from the answer.
//!
//! [`prompt`] writes what is asked as one text. [`Reading`] reads the answer to it as it comes, and says its text and
//! its calls as [`Event`](super::event::Event)s. In the end its [`Verdict`] says whether that is what was asked for.

use serde::{Deserialize, Serialize};

use super::ask::Ask;
use super::failure::Kind;

mod arguments;
mod blocks;
mod calling;
mod check;
mod envelope;
mod escape;
mod estimate;
mod fence;
mod head;
mod object;
mod opening;
mod prompt;
mod reading;
#[cfg(test)]
mod tests;

pub(crate) use prompt::prompt;
pub(crate) use reading::Reading;

/// How a model is told to ask for a tool. What it says is understood in all of these ways, whichever it was told.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Style {
    /// `FUNCTION_CALL_START`, the name, `arguments: {…}` and `FUNCTION_CALL_END`, each in a line of its own.
    #[default]
    FunctionCall,
    /// `<tool_call>{"name": …, "arguments": {…}}</tool_call>`
    Xml,
    /// `TOOL_CALL_START`, `{"name": …, "arguments": {…}}` and `TOOL_CALL_END`, each in a line of its own.
    Json,
}

/// Whether an answer is what was asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It is.
    Fine,
    /// It is not.
    Unmet {
        /// [`Kind::ToolChoiceUnmet`] or [`Kind::FormatUnmet`].
        kind: Kind,
        /// What is wrong, for people.
        why: String,
        /// Whether a call is not all there: nobody may take it for the one that the model meant.
        damaged: bool,
        /// What to say to the model so that it tries again: alone where the backend remembers the conversation, else
        /// below the prompt. It has in it what the model has said.
        follow_up: String,
    },
}

/// How many tokens the prompt of `ask` has, by a fair guess.
pub(crate) fn estimate(ask: &Ask) -> u64 {
    estimate::tokens(ask)
}

/// How a call is written: between which markers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    Function,
    Json,
    Xml,
}

impl Form {
    const ALL: [Self; 3] = [Self::Function, Self::Json, Self::Xml];

    /// What opens a call.
    fn start(self) -> &'static str {
        match self {
            Self::Function => "FUNCTION_CALL_START",
            Self::Json => "TOOL_CALL_START",
            Self::Xml => "<tool_call",
        }
    }

    /// What closes it.
    fn end(self) -> &'static str {
        match self {
            Self::Function => "FUNCTION_CALL_END",
            Self::Json => "TOOL_CALL_END",
            Self::Xml => "</tool_call>",
        }
    }

    fn opened_by(mark: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|form| form.start() == mark)
    }

    fn may_open(mark: &str) -> bool {
        Self::ALL.iter().any(|form| form.start().starts_with(mark))
    }
}

impl From<Style> for Form {
    fn from(style: Style) -> Self {
        match style {
            Style::FunctionCall => Self::Function,
            Style::Xml => Self::Xml,
            Style::Json => Self::Json,
        }
    }
}
