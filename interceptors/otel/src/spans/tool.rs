//! A tool at work: from the end of the answer that asked for it to the request that brings its result.
//!
//! That is an upper bound: the client may have done other things in between.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;
use std::time::SystemTime;

use opentelemetry_proto::tonic::trace::v1::Span;
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use perimeter_interceptor::{Part, Session, SpanContext, ToolUse, Turn};
use serde_json::{Map, Value};

use super::attributes::Attributes;
use super::ids::{SpanId, TraceId};
use super::inference::add_conversation;
use super::span::{self, Above};

const OPERATION: &str = "execute_tool";
/// A name of a tool is remembered up to here, bytes.
const NAME: usize = 256;
/// So many texts of a tool's input are remembered.
const TEXTS: usize = 8;
/// A text that is shorter does not tell one tool's input from another's, bytes.
const SHORT: usize = 8;
/// Tools by which the agents that are known ask for another agent.
const STARTERS: [&str; 4] = ["Task", "Agent", "task", "spawn_agent"];

/// A tool that the model asked for, and that has not answered.
#[derive(Debug)]
pub(super) struct Asked {
    pub(super) span: SpanId,
    /// What its result will say of it: its id, or without one its name.
    pub(super) key: u64,
    /// Which of the tools of its answer it is.
    pub(super) number: usize,
    /// The call that asked.
    pub(super) call: SpanId,
    above: Above,
    /// As the call that asked told it.
    pub(super) session: Arc<Session>,
    name: Arc<str>,
    id: Option<Arc<str>>,
    at: SystemTime,
    /// Whether the answer that asked for it was whole: else it may never have been run.
    pub(super) certain: bool,
    /// The agent that it is, by its line of talk.
    pub(super) agent: Option<u32>,
    /// The name of the agent that it asks for, where it asks for one by name.
    pub(super) agent_name: Option<Arc<str>>,
    /// When the last span in it ended.
    pub(super) inner: Option<SystemTime>,
    /// The texts of its input.
    texts: Box<[u64]>,
}

/// How a tool's work ended.
#[derive(Clone, Copy, Debug)]
pub(super) enum Ending {
    /// Its result came, and says whether it failed.
    Result { at: SystemTime, failed: bool },
    /// No result came.
    None,
}

impl Asked {
    pub(super) fn new(
        (number, tool): (usize, &ToolUse),
        (span, call): (SpanId, SpanId),
        above: Above,
        session: &Arc<Session>,
        at: SystemTime,
    ) -> Self {
        let input = serde_json::from_str(&tool.input).unwrap_or_default();
        Self {
            span,
            key: key(tool.id.as_ref().unwrap_or(&tool.name)),
            number,
            call,
            above,
            session: Arc::clone(session),
            name: short(&tool.name),
            id: tool.id.as_ref().map(short),
            at,
            certain: true,
            agent: None,
            agent_name: agent_name(&input),
            inner: None,
            texts: texts_of(&input),
        }
    }

    /// Whether it may have asked for the agent that begins with these turns.
    pub(super) fn quotes(&self, news: &[Turn]) -> bool {
        let said = news.iter().flat_map(|turn| &turn.parts).filter_map(|part| match part {
            Part::Text(text) => Some(hash(text)),
            _ => None,
        });
        said.into_iter().any(|text| self.texts.contains(&text))
    }

    pub(super) fn is_starter(&self) -> bool {
        STARTERS.contains(&&*self.name)
    }

    /// Its span. Where nothing came back, nobody knows how long it took: as long as what is seen in it.
    pub(super) fn tell(&self, trace: TraceId, ending: Ending) -> Span {
        let ended = match ending {
            Ending::Result { at, .. } => self.inner.map_or(at, |inner| inner.max(at)),
            Ending::None => self.inner.unwrap_or(self.at),
        };
        let name = span::name(OPERATION, Some(&self.name));
        let context = SpanContext::new(trace, self.span, 1);
        let mut span = span::span(&name, SpanKind::Internal, context, &self.above, (self.at, ended));
        let mut attributes = Attributes::default();
        attributes.word("gen_ai.operation.name", OPERATION);
        attributes.said("gen_ai.tool.name", &self.name);
        attributes.word("gen_ai.tool.type", "function");
        attributes.maybe_said("gen_ai.tool.call.id", self.id.as_deref());
        add_conversation(&mut attributes, &self.session, None);
        attributes.count("perimeter.session.call", self.session.call);
        attributes.count("perimeter.session.thread", self.session.thread);
        attributes.yes("perimeter.synthetic");
        match ending {
            Ending::Result { failed: true, .. } => {
                span.status = Some(span::failed("the tool says that it failed"));
                attributes.word("error.type", "tool_error");
            }
            Ending::Result { .. } => {}
            Ending::None => attributes.yes("perimeter.tool.unanswered"),
        }
        span.attributes = attributes.into_inner();
        span
    }
}

/// What the result of a tool with this id, or without one of this name, goes by.
pub(super) fn key(id: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    id.hash(&mut hasher);
    hasher.finish()
}

fn short(name: &Arc<str>) -> Arc<str> {
    let start = name.get(..name.floor_char_boundary(NAME)).unwrap_or_default();
    if start.len() == name.len() { Arc::clone(name) } else { start.into() }
}

/// The kind of agent that a tool asks for, as Claude Code and OpenCode have it.
fn agent_name(input: &Map<String, Value>) -> Option<Arc<str>> {
    let name = input.get("subagent_type")?.as_str()?;
    (!name.is_empty()).then(|| short(&name.into()))
}

/// The texts in the input of a tool, by which the agent that it asks for can be told.
fn texts_of(input: &Map<String, Value>) -> Box<[u64]> {
    let texts = input.values().filter_map(Value::as_str).filter(|text| text.len() >= SHORT);
    texts.take(TEXTS).map(hash).collect()
}

fn hash(text: impl AsRef<str>) -> u64 {
    key(text.as_ref().trim())
}
