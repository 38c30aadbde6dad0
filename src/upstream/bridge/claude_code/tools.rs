//! The client's tools, as an MCP server that the CLI asks through its own pipes.
//! <https://modelcontextprotocol.io/specification/2025-06-18/server/tools>

use std::collections::HashMap;

use serde::Serialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};

use super::launch::SERVER;
use super::wire::{Line, Rpc};
use crate::upstream::bridge::ask::{Ask, Tool, ToolChoice};
use crate::upstream::bridge::event::{Answer, Said as Block};

/// Where the CLI says which call of the model it makes.
const CALL: &str = "claudecode/toolUseId";
/// JSON-RPC: there is no such method.
const NO_METHOD: i64 = -32601;

/// The tools of one process.
#[derive(Debug, Default)]
pub(super) struct Server {
    tools: Vec<Tool>,
    /// What the client's tools said, by the ids of their calls.
    results: HashMap<String, Value>,
    /// Calls that wait for that.
    waiting: Vec<Call>,
}

#[derive(Debug)]
struct Call {
    tool_use: String,
    request: String,
    id: Value,
}

impl Server {
    /// The tools that `ask` lets the model use.
    pub(super) fn new(ask: &Ask) -> Self {
        let allowed = |tool: &&Tool| match &ask.choice {
            ToolChoice::None => false,
            ToolChoice::Named(name) => tool.name == *name,
            ToolChoice::Auto | ToolChoice::Required => true,
        };
        Self { tools: ask.tools.iter().filter(allowed).cloned().collect(), ..Self::default() }
    }

    /// Whether all calls in `answer` are of these tools.
    pub(super) fn has(&self, answer: &Answer) -> bool {
        let is_known = |said: &Block| match said {
            Block::Tool { name, .. } => self.tools.iter().any(|tool| tool.name == *name),
            _ => true,
        };
        answer.blocks.iter().all(is_known)
    }

    /// What to say to a `control_request` of the CLI, now.
    pub(super) fn hear(&mut self, line: &Line) -> Option<Box<RawValue>> {
        let request = line.request.as_ref()?;
        let id = line.request_id.clone()?;
        match (request.subtype.as_str(), &request.message) {
            ("mcp_message", Some(rpc)) => self.rpc(id, rpc),
            ("can_use_tool", _) => {
                let denied = json!({"behavior": "deny", "message": "This tool does not exist."});
                raw(&Said::success(&id, &denied))
            }
            (subtype, _) => raw(&Said::error(&id, &format!("no {subtype} here"))),
        }
    }

    fn rpc(&mut self, request: String, rpc: &Rpc) -> Option<Box<RawValue>> {
        let Some(id) = rpc.id.clone() else {
            return answer(&request, &Value::Null, &Outcome::Result(&json!({})));
        };
        match rpc.method.as_deref() {
            Some("initialize") => {
                let version = &rpc.params["protocolVersion"];
                let server = json!({"name": SERVER, "version": env!("CARGO_PKG_VERSION")});
                let result =
                    json!({"protocolVersion": version, "capabilities": {"tools": {}}, "serverInfo": server});
                answer(&request, &id, &Outcome::Result(&result))
            }
            Some("tools/list") => {
                let tools: Vec<_> = self.tools.iter().map(Listed::from).collect();
                answer(&request, &id, &Outcome::Result(&Listing { tools }))
            }
            Some("tools/call") => {
                let tool_use = rpc.params["_meta"][CALL].as_str().unwrap_or_default().to_owned();
                match self.results.remove(&tool_use) {
                    Some(result) => answer(&request, &id, &Outcome::Result(&result)),
                    None => {
                        self.waiting.push(Call { tool_use, request, id });
                        None
                    }
                }
            }
            Some("ping") => answer(&request, &id, &Outcome::Result(&json!({}))),
            _ => answer(
                &request,
                &id,
                &Outcome::<Value>::Error(json!({"code": NO_METHOD, "message": "no such method"})),
            ),
        }
    }

    /// The client's tools have said this, by the ids of their calls. What to say to calls that have waited.
    pub(super) fn answer(&mut self, results: HashMap<String, Value>) -> Vec<Box<RawValue>> {
        self.results = results;
        let waiting = std::mem::take(&mut self.waiting);
        let (ready, still): (Vec<_>, Vec<_>) =
            waiting.into_iter().partition(|call| self.results.contains_key(&call.tool_use));
        self.waiting = still;
        let said = ready.into_iter().filter_map(|call| {
            let result = self.results.remove(&call.tool_use)?;
            answer(&call.request, &call.id, &Outcome::Result(&result))
        });
        said.collect()
    }
}

#[derive(Serialize)]
struct Listing<'a> {
    tools: Vec<Listed<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Listed<'a> {
    name: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    description: Option<&'a str>,
    input_schema: &'a RawValue,
}

impl<'a> From<&'a Tool> for Listed<'a> {
    fn from(tool: &'a Tool) -> Self {
        Self { name: &tool.name, description: tool.description.as_deref(), input_schema: &tool.schema }
    }
}

/// A `control_response`.
#[derive(Serialize)]
struct Said<'a, T> {
    #[serde(rename = "type")]
    kind: &'static str,
    response: Response<'a, T>,
}

#[derive(Serialize)]
struct Response<'a, T> {
    subtype: &'static str,
    request_id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    response: Option<&'a T>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<&'a str>,
}

impl<'a, T> Said<'a, T> {
    fn success(request_id: &'a str, response: &'a T) -> Self {
        let response = Response { subtype: "success", request_id, response: Some(response), error: None };
        Self { kind: "control_response", response }
    }
}

impl<'a> Said<'a, Value> {
    fn error(request_id: &'a str, error: &'a str) -> Self {
        let response = Response { subtype: "error", request_id, response: None, error: Some(error) };
        Self { kind: "control_response", response }
    }
}

#[derive(Serialize)]
struct Wrapped<'a, T> {
    mcp_response: RpcAnswer<'a, T>,
}

#[derive(Serialize)]
struct RpcAnswer<'a, T> {
    jsonrpc: &'static str,
    #[serde(skip_serializing_if = "Value::is_null")]
    id: &'a Value,
    #[serde(flatten)]
    outcome: &'a Outcome<'a, T>,
}

#[derive(Serialize)]
#[serde(rename_all = "snake_case")]
enum Outcome<'a, T> {
    Result(&'a T),
    Error(Value),
}

fn answer<T: Serialize>(request: &str, id: &Value, outcome: &Outcome<'_, T>) -> Option<Box<RawValue>> {
    raw(&Said::success(request, &Wrapped { mcp_response: RpcAnswer { jsonrpc: "2.0", id, outcome } }))
}

fn raw(said: &impl Serialize) -> Option<Box<RawValue>> {
    serde_json::value::to_raw_value(said).ok()
}
