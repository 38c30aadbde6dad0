//! `llm.claude_code.agent`: what agents may do, and where.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use perimeter_settings::{duration, path, size};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;

use crate::upstream::bridge::BridgeError;

/// How models of `mode: agent` work. Nothing of it matters to others.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// The directory that all projects are below; unset: `claude_code/agent/workspace` in `state_dir`.
    #[serde(deserialize_with = "path::some")]
    pub workspace: Option<PathBuf>,
    /// The tools that an agent has, by the CLI's names for them: `Read`, `Bash`, `mcp__server`, `mcp__server__tool`.
    #[serde(deserialize_with = "tools")]
    pub tools: Vec<String>,
    /// What an agent may do with them.
    pub permission: Permission,
    /// A file with MCP servers, in the CLI's own format (`{"mcpServers": {…}}`).
    #[serde(deserialize_with = "path::some")]
    pub mcp_config: Option<PathBuf>,
    /// What becomes of a client's system prompt.
    pub system_prompt: SystemPrompt,
    /// How often the model may answer within one request, tools between.
    #[serde(deserialize_with = "at_least_one")]
    pub max_turns: u32,
    /// What one session may cost in all. USD; unset: no bound.
    #[serde(deserialize_with = "money")]
    pub max_cost: Option<f64>,
    /// How long a session is kept after its last use.
    #[serde(serialize_with = "duration::serialize", deserialize_with = "duration::positive")]
    pub session_ttl: Duration,
    /// How much a project's directory may hold before no further turn begins there. Bytes.
    #[serde(with = "size")]
    pub project_size: u64,
}

impl Settings {
    /// What only the disk shows.
    ///
    /// # Errors
    /// Where a file or directory that is named is of no use.
    pub(super) fn check(&self) -> Result<(), BridgeError> {
        if let Some(file) = &self.mcp_config {
            let wrong = |why: String| {
                let message = format!(
                    "{}: {why}; expected a file with {{\"mcpServers\": {{…}}}}, as the CLI reads it",
                    file.display()
                );
                BridgeError::new("llm.claude_code.agent.mcp_config", message)
            };
            let said = fs::read(file).map_err(|error| wrong(error.to_string()))?;
            let said: Value = serde_json::from_slice(&said).map_err(|error| wrong(error.to_string()))?;
            if !said["mcpServers"].is_object() {
                return Err(wrong("no mcpServers in it".to_owned()));
            }
        }
        if let Some(root) = self.workspace.as_ref().filter(|root| root.exists() && !root.is_dir()) {
            let message = format!("{} is no directory", root.display());
            return Err(BridgeError::new("llm.claude_code.agent.workspace", message));
        }
        Ok(())
    }
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            workspace: None,
            tools: ["Read", "Glob", "Grep"].map(str::to_owned).to_vec(),
            permission: Permission::Project,
            mcp_config: None,
            system_prompt: SystemPrompt::Append,
            max_turns: 50,
            max_cost: None,
            session_ttl: Duration::from_secs(30 * 24 * 60 * 60),
            project_size: 1 << 30,
        }
    }
}

/// What an agent may do with the tools that it has, when the CLI asks for leave. It asks for whatever is more than
/// reading in the project.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Permission {
    /// Nothing.
    Nothing,
    /// What they do to files of the project; and what tools do that name no files, such as `Bash`.
    Project,
    /// Everything.
    Everything,
}

/// What becomes of a client's system prompt.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum SystemPrompt {
    /// It comes after Claude Code's own.
    Append,
    /// It takes its place.
    Replace,
}

fn tools<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    let tools = Vec::<String>::deserialize(deserializer)?;
    let is_name = |tool: &String| {
        tool.starts_with(|c: char| c.is_ascii_alphabetic())
            && tool.chars().all(|c| c.is_ascii_alphanumeric() || "_-".contains(c))
    };
    match tools.iter().find(|tool| !is_name(tool)) {
        Some(tool) => {
            let message = format!("expected names of tools, such as Read or mcp__server, not {tool:?}");
            Err(serde::de::Error::custom(message))
        }
        None => Ok(tools),
    }
}

fn at_least_one<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u32, D::Error> {
    match u32::deserialize(deserializer)? {
        0 => Err(serde::de::Error::custom("expected at least 1")),
        number => Ok(number),
    }
}

fn money<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<f64>, D::Error> {
    match Option::<f64>::deserialize(deserializer)? {
        Some(usd) if !usd.is_finite() || usd <= 0.0 => {
            Err(serde::de::Error::custom("expected more than 0 USD, or nothing for no bound"))
        }
        usd => Ok(usd),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_wrong_setting_says_what_would_be_right() {
        for (settings, says) in [
            (json!({"tools": ["Bash(git *)"]}), "expected names of tools, such as Read or mcp__server"),
            (json!({"tools": ["--dangerously-skip-permissions"]}), "expected names of tools"),
            (json!({"permission": "bypass"}), "expected one of `nothing`, `project`, `everything`"),
            (json!({"max_turns": 0}), "expected at least 1"),
            (json!({"max_cost": -1.0}), "expected more than 0 USD"),
            (json!({"tool": []}), "unknown field `tool`"),
        ] {
            let error = serde_json::from_value::<Settings>(settings.clone()).unwrap_err().to_string();
            assert!(error.contains(says), "{settings}: {error}");
        }
        assert_eq!(serde_json::from_value::<Settings>(json!({})).unwrap(), Settings::default());
    }
}
