//! How the CLI is run where it answers as a model: what it is told, and what it is kept from.
//!
//! Nothing that a client said is among its arguments, which every user of the machine can read, and which the CLI reads
//! as options. The conversation is in a file, the system prompt, the tools and the schema go through stdin.

use std::ffi::OsString;
use std::path::Path;

use serde::Serialize;
use serde_json::json;
use serde_json::value::{RawValue, to_raw_value};

use super::cli::{Cli, no_folder};
use super::process::{Process, Run};
use super::seed;
use super::settings::Settings;
use crate::upstream::bridge::ask::{Ask, Effort, Format, ToolChoice};
use crate::upstream::bridge::{Failure, Kind};

/// The name that the client's tools have as an MCP server.
pub(super) const SERVER: &str = "c";
/// By what the answer to `initialize` is known.
pub(super) const INITIALIZE: &str = "initialize";

/// What the CLI says to the model after tool results, where it would say something longer.
const CONTINUE: &str = "Continue.";
/// Whether a result is too long is for the model's provider to say. Tokens.
const MOST_OUTPUT: &str = "10000000";

/// The smallest budget for thinking. Tokens.
/// <https://docs.claude.com/en/docs/build-with-claude/extended-thinking>
const LEAST_THINKING: u64 = 1024;

/// What keeps the CLI from doing more than it is asked to.
/// <https://code.claude.com/docs/en/settings#environment-variables>
const PLAIN: [(&str, &str); 14] = [
    ("CLAUDE_CODE_RESUME_INTERRUPTED_TURN", "1"),
    ("CLAUDE_CODE_RESUME_PROMPT", CONTINUE),
    ("CLAUDE_CODE_DISABLE_ATTACHMENTS", "1"),
    ("CLAUDE_CODE_DISABLE_NONSTREAMING_FALLBACK", "1"),
    ("CLAUDE_CODE_DISABLE_REFUSAL_RETRY", "1"),
    ("CLAUDE_CODE_DISABLE_REFUSAL_FALLBACK", "1"),
    ("CLAUDE_CODE_NO_MODEL_FALLBACK", "1"),
    ("DISABLE_AUTO_COMPACT", "1"),
    ("CLAUDE_AGENT_SDK_MCP_NO_PREFIX", "1"),
    ("ENABLE_TOOL_SEARCH", "false"),
    ("MAX_MCP_OUTPUT_TOKENS", MOST_OUTPUT),
    ("CLAUDE_CODE_DISABLE_CLAUDE_MDS", "1"),
    ("CLAUDE_CODE_DISABLE_AUTO_MEMORY", "1"),
    ("CLAUDE_CODE_DISABLE_BACKGROUND_TASKS", "1"),
];

/// How the CLI gets to know the conversation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum History {
    /// From a transcript.
    Transcript,
    /// On stdin: there is nothing but one prompt.
    Prompt,
}

/// Starts the CLI with the conversation of `ask`, for the model that it calls `model`. Its turn begins by itself.
///
/// # Errors
/// Where it cannot be started.
pub(super) fn start(
    cli: &Cli,
    settings: &Settings,
    ask: &Ask,
    model: &str,
    history: History,
    more: &[String],
) -> Result<Process, Failure> {
    let program = cli.program()?;
    let folder = cli.folder()?;
    let cwd = folder.work();
    let transcript = match history {
        History::Transcript => {
            let transcript = seed::transcript(ask, &cli.names.of(model), &cwd)?;
            Some(folder.write("transcript.jsonl", &transcript).map_err(|error| no_folder(&error))?)
        }
        History::Prompt => None,
    };
    let args = arguments(cli, ask, model, transcript.as_deref());
    let env = environment(cli, settings, ask, &folder.home());
    let process = cli.start(Run { program, args, env, cwd, folder: Some(folder) })?;
    process.say(&initialize(ask, more)?);
    if history == History::Prompt {
        let mut messages = seed::messages(&ask.turns);
        seed::guard(messages.last_mut());
        if let Some(message) = messages.last() {
            process.say(&json!({"type": "user", "message": message, "parent_tool_use_id": null}));
        }
    }
    Ok(process)
}

fn arguments(cli: &Cli, ask: &Ask, model: &str, transcript: Option<&Path>) -> Vec<OsString> {
    let mut args: Vec<OsString> = Vec::new();
    if cli.has_api_key() {
        args.push("--bare".into());
    }
    let server = json!({"mcpServers": {SERVER: {"type": "sdk", "name": SERVER}}}).to_string();
    let allowed = format!("mcp__{SERVER}");
    let display = if ask.shows_thinking { "summarized" } else { "omitted" };
    let fixed = [
        "-p",
        "--input-format=stream-json",
        "--output-format=stream-json",
        "--verbose",
        "--include-partial-messages",
        "--model",
        model,
        "--tools",
        "",
        "--strict-mcp-config",
        "--mcp-config",
        &server,
        "--allowedTools",
        &allowed,
        "--setting-sources",
        "",
        "--disable-slash-commands",
        "--no-session-persistence",
        "--permission-mode",
        "dontAsk",
        "--thinking-display",
        display,
    ];
    args.extend(fixed.map(OsString::from));
    if let Some(effort) = ask.effort.and_then(effort) {
        args.extend(["--effort".into(), effort.into()]);
    }
    if let Some(transcript) = transcript {
        args.extend(["--resume".into(), transcript.into()]);
    }
    args
}

fn environment(cli: &Cli, settings: &Settings, ask: &Ask, home: &Path) -> Vec<(&'static str, OsString)> {
    let mut env = cli.environment(home);
    env.extend(PLAIN.map(|(name, value)| (name, value.into())));
    env.push(("CLAUDE_CODE_MAX_RETRIES", settings.retries.to_string().into()));
    if let Some(tokens) = ask.max_tokens {
        env.push(("CLAUDE_CODE_MAX_OUTPUT_TOKENS", tokens.to_string().into()));
    }
    if is_without_thinking(ask) {
        env.push(("CLAUDE_CODE_DISABLE_THINKING", "1".into()));
    }
    env
}

/// Whether the model is kept from thinking. Left alone, the CLI has models think, some of them for that many tokens at
/// least, and Anthropic refuses an answer that has no room for it.
fn is_without_thinking(ask: &Ask) -> bool {
    let is_short = ask.max_tokens.is_some_and(|tokens| tokens <= LEAST_THINKING);
    ask.effort == Some(Effort::None) || ask.effort.is_none() && is_short
}

/// The CLI's word for it (`--effort`).
pub(super) fn effort(effort: Effort) -> Option<&'static str> {
    match effort {
        Effort::None => None,
        Effort::Minimal | Effort::Low => Some("low"),
        Effort::Medium => Some("medium"),
        Effort::High => Some("high"),
        Effort::XHigh => Some("xhigh"),
        Effort::Max => Some("max"),
    }
}

#[derive(Serialize)]
struct Control<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    request_id: &'static str,
    request: Initialize<'a>,
}

/// What the CLI is told before it begins. A server is always named: the CLI waits for what it says, and so for the
/// system prompt, before the turn begins.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Initialize<'a> {
    subtype: &'static str,
    sdk_mcp_servers: [&'static str; 1],
    system_prompt: Vec<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    json_schema: Option<&'a RawValue>,
}

fn initialize(ask: &Ask, more: &[String]) -> Result<Box<RawValue>, Failure> {
    let system = ask.system.iter().map(|prompt| prompt.text.as_str()).chain(more.iter().map(String::as_str));
    let mut system_prompt: Vec<_> = system.filter(|text| !text.trim().is_empty()).collect();
    if system_prompt.is_empty() {
        // Without one, the CLI has one of its own.
        system_prompt.push("");
    }
    let json_schema = match &ask.format {
        Format::Schema(schema) => Some(&**schema),
        Format::Text | Format::Json => None,
    };
    let request = Initialize { subtype: INITIALIZE, sdk_mcp_servers: [SERVER], system_prompt, json_schema };
    let control = Control { kind: "control_request", request_id: INITIALIZE, request };
    to_raw_value(&control).map_err(|error| Failure::new(Kind::Invalid, error.to_string()))
}

/// What the system prompt has to say besides the client's words, for what the CLI has no option for.
pub(super) fn more(ask: &Ask) -> Vec<String> {
    let format = matches!(ask.format, Format::Json).then(|| {
        "Answer with one JSON object and nothing else: no words around it, no code fence.".to_owned()
    });
    let choice = match &ask.choice {
        ToolChoice::Auto | ToolChoice::None => None,
        ToolChoice::Required => Some("Answer by calling at least one of the tools.".to_owned()),
        ToolChoice::Named(name) => Some(format!("Answer by calling the tool `{name}`.")),
    };
    format.into_iter().chain(choice).collect()
}
