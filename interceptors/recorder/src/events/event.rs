//! One event, and its envelope.

use std::ops::Range;
use std::sync::Arc;
use std::time::SystemTime;

use perimeter_redact::{REDACTED, redact, secrets_in};
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
        let mut text = Vec::new();
        self.write(&mut text);
        String::from_utf8(text).unwrap_or_default()
    }

    /// Writes that, and says where in the text there may be secrets: nowhere else.
    fn write(&self, text: &mut Vec<u8>) -> Vec<Range<usize>> {
        text.reserve(ENVELOPE + self.attributes.len() + MACHINE);
        let start = text.len();
        let names = self.write_envelope(text);
        let mut foreign = Vec::with_capacity(FOREIGN);
        foreign.push(names);
        text.extend_from_slice(b",\"attributes\":{");
        self.attributes.write(text, &mut foreign);
        text.extend_from_slice(b"}}");
        line::join(text, start);
        foreign
    }

    /// Writes its JSON, in one line, and what [`redact`] leaves of it where that is wanted.
    pub(crate) fn write_line(&self, redacts: bool, text: &mut Vec<u8>) {
        let start = text.len();
        let foreign = self.write(text);
        if redacts {
            redact_parts(text, start, &foreign);
        }
        text.push(b'\n');
    }

    /// Where the names are that clients may have given.
    fn write_envelope(&self, text: &mut Vec<u8>) -> Range<usize> {
        text.extend_from_slice(b"{\"schema_version\":\"");
        text.extend_from_slice(SCHEMA_VERSION.as_bytes());
        text.extend_from_slice(b"\",\"timestamp\":\"");
        text.extend_from_slice(time::timestamp(self.at).as_bytes());
        text.extend_from_slice(b"\",\"trace_id\":\"");
        text.extend_from_slice(trace_of(&self.session).digits().as_flattened());
        text.extend_from_slice(b"\",\"span_id\":\"");
        text.extend_from_slice(self.span.hex().digits().as_flattened());
        text.extend_from_slice(b"\",\"parent_span_id\":");
        match self.parent {
            Some(parent) => {
                text.push(b'"');
                text.extend_from_slice(parent.hex().digits().as_flattened());
                text.push(b'"');
            }
            None => text.extend_from_slice(b"null"),
        }
        text.extend_from_slice(b",\"name\":\"");
        text.extend_from_slice(self.name.as_str().as_bytes());
        text.extend_from_slice(b"\",\"level\":\"");
        text.extend_from_slice(self.name.level().as_bytes());
        text.extend_from_slice(b"\",");
        let start = text.len();
        // A text cannot fail to be written.
        text.extend_from_slice(b"\"agent_id\":");
        let _ = serde_json::to_writer(&mut *text, &*self.agent);
        text.extend_from_slice(b",\"session_id\":");
        let _ = serde_json::to_writer(&mut *text, &*self.session);
        start..text.len()
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
/// So many parts of an event usually may hold secrets.
const FOREIGN: usize = 8;

/// Replaces the secrets in these parts of JSON that begins at `start`, and ends with the text. It is what [`redact`]
/// makes of all of that if there are none elsewhere.
fn redact_parts(text: &mut Vec<u8>, start: usize, parts: &[Range<usize>]) {
    let mut found = Vec::new();
    for part in parts {
        let in_part = text.get(part.clone()).and_then(secrets_in);
        let Some(in_part) = in_part else {
            let json = text.split_off(start);
            text.extend_from_slice(redact(&String::from_utf8_lossy(&json)).as_bytes());
            return;
        };
        found.extend(in_part.into_iter().map(|secret| part.start + secret.start..part.start + secret.end));
    }
    if found.is_empty() {
        return;
    }
    let json = text.split_off(start);
    let mut kept = 0;
    for secret in found {
        text.extend_from_slice(json.get(kept..secret.start - start).unwrap_or_default());
        text.extend_from_slice(REDACTED.as_bytes());
        kept = secret.end - start;
    }
    text.extend_from_slice(json.get(kept..).unwrap_or_default());
}

impl Serialize for Event {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut event = serializer.serialize_struct("Event", 10)?;
        self.serialize_envelope(&mut event)?;
        event.serialize_field("attributes", &self.attributes)?;
        event.end()
    }
}

#[cfg(test)]
mod tests {
    use perimeter_interceptor::testing::{Scene, Script, play, scenes};
    use perimeter_interceptor::{Labels, Result, SessionEnd, Usage};
    use proptest::prelude::*;

    use super::*;
    use crate::events::{Events, Sink};

    /// Fails where what is looked at of an event is not all that holds secrets.
    struct Redacting;

    impl Sink for Redacting {
        fn event(&mut self, event: Event) -> Result {
            let mut text = b"before".to_vec();
            event.write_line(true, &mut text);
            assert_eq!(str::from_utf8(&text).unwrap(), format!("before{}\n", redact(&event.to_json())));
            text.clear();
            event.write_line(false, &mut text);
            assert_eq!(str::from_utf8(&text).unwrap(), event.to_json() + "\n");
            Ok(())
        }
    }

    /// What somebody may say, wherever they may say something.
    const TEXTS: [&str; 9] = [
        "Hello",
        "sk-proj-aB3dE5gH7jK9mN1pQ3sT5vW7",
        "Bearer eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3In0.dozjgNryP4J3jVmN",
        "password=Hunter2!x password",
        r#"{"password":"hunter2","api_key" : "x"}"#,
        "postgres://me:Secret1@db/x",
        "-----BEGIN PRIVATE KEY-----\nMIIEvQIBADANBgkqhkiG9w0BAQEFAASC\n-----END PRIVATE KEY-----",
        "a \\u0073k-proj-aB3dE5gH7jK9mN1pQ3sT5vW7",
        "\"token\":\"aB3dE5gH7jK9mN1pQ3sT5vW7xY9\"",
    ];

    fn text() -> impl Strategy<Value = &'static str> {
        (0..TEXTS.len()).prop_map(|which| TEXTS[which])
    }

    fn json(text: &str) -> String {
        serde_json::to_string(text).unwrap()
    }

    proptest! {
        #[test]
        fn of_an_event_only_what_others_say_is_looked_at_for_secrets(
            said in prop::collection::vec(text(), 9),
            as_it_is in any::<bool>(),
        ) {
            let [session, agent, workflow, model, prompt, tool, result, answer, error] = said[..] else { unreachable!() };
            let mut labels = Labels::default();
            (labels.agent, labels.workflow) = (Some(agent.into()), Some(workflow.into()));
            // A letter in a body may be written as a code point.
            let prompt = if as_it_is { json(prompt) } else { json(prompt).replace("\\\\u", "\\u") };
            let body = format!(
                "{{\"model\":{},\"messages\":[{{\"role\":\"system\",\"content\":{prompt}}}],\n\"tools\":[{}],\"secret\":{}}}",
                json(model), json(tool), json(result),
            );
            let call = Scene::post("/v1/chat/completions").labels(labels).request(body.clone()).asks(model, "Hello");
            let answered = call.clone().response(200).uses(tool, tool, result).answers(answer, Usage::new(1, 1)).end();
            let failed = call.failure(error, error).response(502).end();
            let script = Script::new()
                .scene(answered.in_session(session))
                .scene(failed.in_session(session))
                .session_end(SessionEnd::new(session, 2, std::time::Duration::ZERO));
            play(Events::to(Redacting), script).assert_faultless();
        }
    }

    #[test]
    fn no_scene_has_a_secret_where_none_is_looked_for() {
        let script: Script = scenes::all().into_iter().collect();
        play(Events::to(Redacting), script).assert_faultless();
    }
}
