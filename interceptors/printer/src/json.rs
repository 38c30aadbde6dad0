//! One JSON object a line. The names of its fields are a promise; more may come.

use perimeter_interceptor::{Cx, Part, Usage};
use serde::Serialize;

use crate::call::{Price, Shown};
use crate::exchange::Following;
use crate::problem::{Weight, problems};
use crate::redaction::Redaction;
use crate::settings::Settings;
use crate::stream::{self, StreamFields};
use crate::{head, text};

/// The most characters of a text, unless texts are shown whole.
const LONG: usize = 400;

/// A line: a call, or an exchange that has none.
#[derive(Serialize)]
struct Line<'a> {
    /// When the request came, RFC 3339, UTC.
    time: String,
    exchange_id: String,
    method: &'a str,
    path: &'a str,
    /// `null` where no response came.
    status: Option<u16>,
    duration_ms: f64,
    /// What it was upgraded to.
    #[serde(skip_serializing_if = "Option::is_none")]
    upgrade: Option<&'a str>,
    #[serde(flatten)]
    call: Option<CallFields<'a>>,
    /// What kept the client from getting what it wanted.
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<ErrorFields>,
    /// What else is worth knowing, in words.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    notes: Vec<String>,
}

#[derive(Serialize)]
struct CallFields<'a> {
    /// Which call of its exchange: 0 unless it is a socket.
    call: u32,
    dialect: &'a str,
    model: Option<&'a str>,
    streaming: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    session_id: Option<&'a str>,
    #[serde(flatten)]
    place: Option<PlaceFields<'a>>,
    /// To the first token; only of streams.
    #[serde(skip_serializing_if = "Option::is_none")]
    ttft_ms: Option<f64>,
    /// How it came; only of streams.
    #[serde(skip_serializing_if = "Option::is_none")]
    stream: Option<StreamFields>,
    #[serde(skip_serializing_if = "Option::is_none")]
    usage: Option<UsageFields>,
    /// `null` where it is unknown; absent where there is nothing to pay for, or the provider did not say what was
    /// used.
    #[serde(skip_serializing_if = "Option::is_none")]
    cost_usd: Option<Option<f64>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    last_user: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tool_results: Vec<ResultFields<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    answer: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tool_calls: Vec<ToolFields<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    stop: Option<&'a str>,
}

/// Where the call stands in its session, and who makes it.
#[derive(Serialize)]
struct PlaceFields<'a> {
    session_call: u32,
    relation: &'a str,
    /// The `session_call` that it follows, or belongs to.
    #[serde(skip_serializing_if = "Option::is_none")]
    parent_call: Option<u32>,
    /// The agent that the client names, else what it is known by.
    #[serde(skip_serializing_if = "Option::is_none")]
    agent: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    client: Option<&'a str>,
}

/// In tokens. The parts are contained in the wholes.
#[derive(Serialize)]
struct UsageFields {
    input: u64,
    output: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    cache_read: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cache_write: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reasoning: Option<u64>,
}

#[derive(Serialize)]
struct ResultFields<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'a str>,
    text: String,
    is_error: bool,
}

#[derive(Serialize)]
struct ToolFields<'a> {
    name: &'a str,
    /// As the model wrote it: a string that holds JSON.
    input: String,
}

#[derive(Serialize)]
struct ErrorFields {
    kind: String,
    message: String,
}

/// Prints a call, or an exchange that has none, as a line of JSON.
pub(crate) fn line(
    settings: &Settings,
    cx: Cx<'_>,
    exchange: &Following,
    call: Option<&Shown>,
) -> Result<String, serde_json::Error> {
    let (errors, notes): (Vec<_>, Vec<_>) =
        problems(exchange, call).into_iter().partition(|problem| problem.weight != Weight::Note);
    let line = Line {
        time: format!("{:.3}", head::began(cx, call)),
        exchange_id: cx.exchange.id.to_string(),
        method: &exchange.method,
        path: &exchange.path,
        status: exchange.status,
        duration_ms: millis(exchange.lasted(call)),
        upgrade: exchange.upgrade.as_deref(),
        call: call.filter(|_| settings.show_llm_calls).map(|call| call_fields(settings, exchange, call)),
        error: errors
            .into_iter()
            .next()
            .map(|problem| ErrorFields { kind: problem.kind, message: problem.message }),
        notes: notes.into_iter().map(|problem| problem.message).collect(),
    };
    let json = serde_json::to_string(&line)?;
    let json = text::escape_in_json(&json);
    Ok(Redaction::of(settings).json(&json).into_owned() + "\n")
}

fn call_fields<'a>(settings: &Settings, exchange: &Following, call: &'a Shown) -> CallFields<'a> {
    let session = Some(&call.session).filter(|_| settings.show_sessions);
    let answer = call.answers.first().filter(|_| settings.log_responses);
    CallFields {
        call: call.id.0,
        dialect: call.dialect,
        model: call.model.as_deref(),
        streaming: call.streaming,
        session_id: session.map(|session| &*session.id),
        place: session.map(|session| PlaceFields {
            session_call: session.call,
            relation: session.relation.as_str(),
            parent_call: session.parent,
            agent: session.agent.told.as_deref().or(session.agent.name.as_deref()),
            client: session.client.as_ref().map(|client| &*client.name),
        }),
        ttft_ms: call.first_token.map(|at| millis(at.saturating_sub(call.began))),
        stream: stream::fields(exchange, call),
        usage: call.usage.map(usage_fields),
        cost_usd: call.cost.map(|price| match price {
            Price::Known(cost) => Some(cost.as_f64()),
            Price::Unknown => None,
        }),
        last_user: call.asked.user.as_deref().filter(|_| settings.log_requests).map(|t| shown(settings, t)),
        tool_results: tool_results(settings, call),
        answer: answer.map(|answer| shown(settings, &text_of(&answer.parts))).filter(|text| !text.is_empty()),
        tool_calls: tool_calls(settings, call),
        stop: answer.and_then(|answer| answer.stop.as_deref()),
    }
}

fn usage_fields(usage: Usage) -> UsageFields {
    let Usage { input, output, cache_read, cache_write, reasoning, .. } = usage;
    UsageFields { input, output, cache_read, cache_write, reasoning }
}

fn tool_results<'a>(settings: &Settings, call: &'a Shown) -> Vec<ResultFields<'a>> {
    let results = call.asked.results.iter().filter(|_| settings.log_requests && settings.show_tools);
    let fields = results.map(|result| ResultFields {
        name: result.tool.as_deref(),
        text: shown(settings, &result.text),
        is_error: result.is_error,
    });
    fields.collect()
}

fn tool_calls<'a>(settings: &Settings, call: &'a Shown) -> Vec<ToolFields<'a>> {
    let answers = call.answers.iter().filter(|_| settings.log_responses && settings.show_tools);
    let tools = answers.flat_map(|answer| &answer.parts).filter_map(|part| match part {
        Part::ToolUse(tool) => Some(ToolFields { name: &tool.name, input: shown(settings, &tool.input) }),
        _ => None,
    });
    tools.collect()
}

fn text_of(parts: &[Part]) -> String {
    let texts = parts.iter().filter_map(|part| match part {
        Part::Text(text) | Part::Refusal(text) => Some(&**text),
        _ => None,
    });
    texts.collect()
}

fn shown(settings: &Settings, text: &str) -> String {
    if settings.whole() {
        return text.to_owned();
    }
    Redaction::of(settings).start(text, LONG).into_owned()
}

pub(crate) fn millis(duration: std::time::Duration) -> f64 {
    duration.as_micros() as f64 / 1e3
}
