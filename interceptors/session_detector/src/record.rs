//! What is said of a session, as JSON: in the index, and wherever else somebody shows sessions.

use std::collections::BTreeMap;

use perimeter_interceptor::{Agent, Branch, Call, Client, Cx, ExchangeId, SessionEnd, Usage, Usd};
use perimeter_recorder::time;
use serde::{Serialize, Serializer};
use serde_json::value::RawValue;

/// What a session came to, or has come to so far. The order of its fields is the order in the JSON.
#[derive(Debug, Serialize)]
pub struct Summary<'a> {
    session_id: &'a str,
    told: bool,
    began: String,
    duration_ms: f64,
    calls: u32,
    failed: u32,
    agent: Who<'a>,
    client: Option<Program<'a>>,
    models: Vec<&'a str>,
    usage: Used,
    cost_usd: Box<RawValue>,
    unpriced_calls: u32,
    tree: Vec<Node>,
}

impl<'a> Summary<'a> {
    /// What this end says.
    pub fn of(end: &'a SessionEnd) -> Self {
        Self {
            session_id: &end.id,
            told: end.told,
            began: time::timestamp(end.began),
            duration_ms: time::milliseconds(end.lasted),
            calls: end.calls,
            failed: end.failed,
            agent: Who::of(&end.agent),
            client: end.client.as_deref().map(Program::of),
            models: end.models.iter().map(|model| &**model).collect(),
            usage: Used::of(&end.usage),
            cost_usd: dollars(end.cost),
            unpriced_calls: end.unpriced,
            tree: end.tree.iter().map(Node::of).collect(),
        }
    }
}

/// A line of the index.
#[derive(Serialize)]
#[serde(tag = "event", rename_all = "lowercase")]
pub(crate) enum Line<'a> {
    Start(Start<'a>),
    End {
        timestamp: String,
        #[serde(flatten)]
        summary: Summary<'a>,
    },
}

impl<'a> Line<'a> {
    pub(crate) fn end(end: &'a SessionEnd) -> Self {
        Self::End {
            timestamp: time::timestamp(time::after(end.began, end.lasted)),
            summary: Summary::of(end),
        }
    }
}

/// A session begins, or goes on.
#[derive(Serialize)]
pub(crate) struct Start<'a> {
    pub(crate) timestamp: String,
    session_id: &'a str,
    told: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    resumed: Option<bool>,
    call: u32,
    #[serde(serialize_with = "in_words")]
    exchange_id: ExchangeId,
    agent: Who<'a>,
    client: Option<Program<'a>>,
    dialect: &'a str,
    vendor: &'a str,
    model: Option<&'a str>,
    workflow: Option<&'a str>,
    tags: &'a BTreeMap<String, String>,
}

impl<'a> Start<'a> {
    pub(crate) fn of(cx: Cx<'a>, call: &'a Call, timestamp: String) -> Self {
        let session = &*call.session;
        Self {
            timestamp,
            session_id: &session.id,
            told: session.told,
            resumed: (!session.is_new).then_some(true),
            call: session.call,
            exchange_id: cx.exchange.id,
            agent: Who::of(&session.agent),
            client: session.client.as_deref().map(Program::of),
            dialect: call.dialect,
            vendor: call.vendor,
            model: call.model.as_deref(),
            workflow: cx.exchange.labels.workflow.as_deref(),
            tags: &session.tags,
        }
    }
}

#[derive(Debug, Serialize)]
struct Who<'a> {
    id: &'a str,
    prompt: &'a str,
    stable: &'a str,
    name: Option<&'a str>,
}

impl<'a> Who<'a> {
    fn of(agent: &'a Agent) -> Self {
        Self { id: agent.id(), prompt: &agent.prompt, stable: &agent.stable, name: agent.name.as_deref() }
    }
}

#[derive(Debug, Serialize)]
struct Program<'a> {
    name: &'a str,
    version: Option<&'a str>,
}

impl<'a> Program<'a> {
    fn of(client: &'a Client) -> Self {
        Self { name: &client.name, version: client.version.as_deref() }
    }
}

/// Named as in the events. What no provider spoke of is left out.
#[derive(Debug, Serialize)]
struct Used {
    input_tokens: u64,
    output_tokens: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    cache_read_tokens: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cache_write_tokens: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cache_write_1h_tokens: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reasoning_tokens: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    audio_input_tokens: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    audio_cache_read_tokens: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    image_input_tokens: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    audio_output_tokens: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    image_output_tokens: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    searches: Option<u64>,
}

impl Used {
    fn of(usage: &Usage) -> Self {
        Self {
            input_tokens: usage.input,
            output_tokens: usage.output,
            cache_read_tokens: usage.cache_read,
            cache_write_tokens: usage.cache_write,
            cache_write_1h_tokens: usage.cache_write_1h,
            reasoning_tokens: usage.reasoning,
            audio_input_tokens: usage.audio_input,
            audio_cache_read_tokens: usage.audio_cache_read,
            image_input_tokens: usage.image_input,
            audio_output_tokens: usage.audio_output,
            image_output_tokens: usage.image_output,
            searches: usage.searches,
        }
    }
}

/// A call that is no simple next turn.
#[derive(Debug, Serialize)]
struct Node {
    call: u32,
    parent: Option<u32>,
    relation: &'static str,
    thread: u32,
}

impl Node {
    fn of(branch: &Branch) -> Self {
        let Branch { call, parent, relation, thread, .. } = *branch;
        Self { call, parent, relation: relation.as_str(), thread }
    }
}

/// All digits: as a number of JSON, but none that floating point has rounded.
fn dollars(amount: Usd) -> Box<RawValue> {
    RawValue::from_string(amount.to_string()).unwrap_or_default()
}

fn in_words<S: Serializer>(id: &ExchangeId, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(id)
}
