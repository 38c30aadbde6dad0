//! One event, and its envelope.

use std::sync::Arc;
use std::time::SystemTime;

use serde::ser::SerializeStruct;
use serde::{Serialize, Serializer};

use super::attributes::Attributes;
use super::ids::{SpanId, trace_of};
use crate::{line, time};

/// The version of the schema that events are written by.
pub const SCHEMA_VERSION: &str = "1.3";

/// Something that happened in a session.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Event {
    /// When it happened.
    pub at: SystemTime,
    /// What happened.
    pub name: Name,
    /// What begins and ends with it, or is answered by it.
    pub span: SpanId,
    /// What that is a part of; none for a session.
    pub parent: Option<SpanId>,
    /// Which agent it happened to.
    pub agent: Arc<str>,
    /// In which session.
    pub session: Arc<str>,
    /// All else that is known of it.
    pub attributes: Attributes,
}

/// What can happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Name {
    /// A session began, or went on after its end.
    SessionStart,
    /// A model was called.
    CallStart,
    /// It answered.
    CallFinish,
    /// It did not, or not to the end.
    CallError,
    /// It asked for a tool.
    ToolExecution,
    /// A tool answered.
    ToolResult,
    /// A session ended.
    SessionEnd,
}

impl Name {
    /// As it is written.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::SessionStart => "session.start",
            Self::CallStart => "llm.call.start",
            Self::CallFinish => "llm.call.finish",
            Self::CallError => "llm.call.error",
            Self::ToolExecution => "tool.execution",
            Self::ToolResult => "tool.result",
            Self::SessionEnd => "session.end",
        }
    }

    fn level(self) -> &'static str {
        match self {
            Self::CallError => "ERROR",
            _ => "INFO",
        }
    }
}

impl Event {
    /// About how many bytes it holds.
    pub(crate) fn size(&self) -> usize {
        size_of::<Self>() + self.attributes.len()
    }

    /// The same without its attributes.
    pub(crate) fn envelope(&self) -> Self {
        let attributes = Attributes::default();
        let (agent, session) = (Arc::clone(&self.agent), Arc::clone(&self.session));
        Self { agent, session, attributes, ..*self }
    }

    /// Its JSON, in one line.
    pub fn to_json(&self) -> String {
        let mut text = Vec::with_capacity(ENVELOPE + self.attributes.len() + MACHINE);
        if serde_json::to_writer(&mut text, &Envelope(self)).is_err() {
            return String::new();
        }
        text.pop();
        text.extend_from_slice(b",\"attributes\":{");
        self.attributes.write(&mut text);
        text.extend_from_slice(b"}}");
        line::of_json(text)
    }

    fn serialize_envelope<S: SerializeStruct>(&self, event: &mut S) -> Result<(), S::Error> {
        event.serialize_field("schema_version", SCHEMA_VERSION)?;
        event.serialize_field("timestamp", &time::timestamp(self.at))?;
        event.serialize_field("trace_id", &trace_of(&self.session))?;
        event.serialize_field("span_id", &self.span)?;
        event.serialize_field("parent_span_id", &self.parent)?;
        event.serialize_field("name", self.name.as_str())?;
        event.serialize_field("level", self.name.level())?;
        event.serialize_field("agent_id", &*self.agent)?;
        event.serialize_field("session_id", &*self.session)
    }
}

/// About how long an event is without its attributes, and what they say of the machine, bytes.
const ENVELOPE: usize = 512;
const MACHINE: usize = 256;

/// All of an event but its attributes.
struct Envelope<'a>(&'a Event);

impl Serialize for Envelope<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut event = serializer.serialize_struct("Event", 9)?;
        self.0.serialize_envelope(&mut event)?;
        event.end()
    }
}

impl Serialize for Event {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut event = serializer.serialize_struct("Event", 10)?;
        self.serialize_envelope(&mut event)?;
        event.serialize_field("attributes", &self.attributes)?;
        event.end()
    }
}
