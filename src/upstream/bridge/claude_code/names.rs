//! Which model the CLI means by a name such as `opus`.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use serde::Deserialize;
use serde_json::json;
use tokio::time::timeout;

use super::cli::Cli;
use super::process::Run;
use super::wire::Line;
use crate::upstream::bridge::Failure;

/// What the CLI's names mean, as far as it has said so.
#[derive(Debug, Default)]
pub(super) struct Names(Mutex<HashMap<String, String>>);

/// What the CLI answers to `initialize`, as far as it is of interest.
#[derive(Deserialize)]
struct Answer {
    models: Vec<Named>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Named {
    value: String,
    resolved_model: Option<String>,
}

impl Names {
    /// The model that the CLI calls `called`, in Anthropic's words; the name itself, where nothing else is known.
    pub(super) fn of(&self, called: &str) -> String {
        // A longer context makes it no other model.
        let plain = called.trim_end_matches("[1m]");
        self.with(|names| names.get(plain).cloned()).unwrap_or_else(|| plain.to_owned())
    }

    /// Hears what the CLI says about itself when it is told how to begin.
    pub(super) fn learn(&self, line: &Line) {
        let answer = line.response.as_ref().and_then(|response| response.response.as_ref());
        let Some(answer) = answer.and_then(|said| serde_json::from_str::<Answer>(said.get()).ok()) else {
            return;
        };
        let named = answer.models.into_iter().filter_map(|named| Some((named.value, named.resolved_model?)));
        self.with(|names| names.extend(named));
    }

    /// Asks the CLI, unless that is known. It asks nobody for this, and takes half a second.
    pub(super) async fn look_up(&self, cli: &Cli, called: &str, patience: Duration) {
        let plain = called.trim_end_matches("[1m]");
        let is_name_itself = plain.starts_with("claude-");
        if is_name_itself || self.with(|names| names.contains_key(plain)) {
            return;
        }
        let asked = timeout(patience, self.ask(cli)).await;
        if !matches!(asked, Ok(Ok(()))) {
            tracing::warn!(
                model = called,
                "the Claude Code CLI does not say which model this is: thinking may be lost"
            );
        }
        // It has no other name for it.
        self.with(|names| {
            names.entry(plain.to_owned()).or_insert_with(|| plain.to_owned());
        });
    }

    async fn ask(&self, cli: &Cli) -> Result<(), Failure> {
        let folder = cli.folder()?;
        let args = "-p --input-format=stream-json --output-format=stream-json --verbose --setting-sources= --tools= \
             --strict-mcp-config --disable-slash-commands --no-session-persistence";
        let mut process = cli.start(Run {
            program: cli.program()?,
            args: args.split_whitespace().map(Into::into).collect(),
            env: cli.environment(&folder.home()),
            cwd: folder.work(),
            folder: Some(folder),
        })?;
        process.say(&json!({
            "type": "control_request", "request_id": "names", "request": {"subtype": "initialize"},
        }));
        process.hang_up();
        while let Ok(Some(line)) = process.next().await {
            if let Some(line) = Line::read(&line).filter(|line| line.kind == "control_response") {
                self.learn(&line);
                return Ok(());
            }
        }
        Err(super::fault::broken_off())
    }

    fn with<T>(&self, act: impl FnOnce(&mut HashMap<String, String>) -> T) -> T {
        act(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
