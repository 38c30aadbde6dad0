//! `llm.claude_code`: the CLI, who pays for it, its models, and how long things may take.

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

use perimeter_settings::{duration, path};
use serde::de::{MapAccess, SeqAccess, Visitor};
use serde::ser::SerializeMap;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::config::Secret;

/// `llm.claude_code`: the CLI and how it is run.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// The program: a path, or a name that is looked for in `PATH`.
    #[serde(serialize_with = "path::serialize", deserialize_with = "path::deserialize")]
    pub command: PathBuf,
    /// What the CLI shows Anthropic; nothing: `llm.api_key`, and the CLI's own variables in the environment.
    pub auth: Auth,
    /// The models, by the names that clients ask for.
    pub models: Models,
    /// What models of `mode: agent` may do, and where.
    pub agent: super::agent::Settings,
    /// How long the CLI may take until its turn begins.
    #[serde(serialize_with = "duration::serialize", deserialize_with = "duration::positive")]
    pub start_timeout: Duration,
    /// How long it may say nothing at all.
    #[serde(serialize_with = "duration::serialize", deserialize_with = "duration::positive")]
    pub idle_timeout: Duration,
    /// How long an answer may take.
    #[serde(serialize_with = "duration::serialize", deserialize_with = "duration::positive")]
    pub timeout: Duration,
    /// How long a process waits for the client's tools; 0: not at all, each answer has a process of its own.
    #[serde(with = "duration")]
    pub park: Duration,
    /// How many processes may wait for tools at once. Each has some 200 MB of memory.
    pub max_parked: usize,
    /// How often the CLI asks again where Anthropic fails.
    pub retries: u32,
}

impl Settings {
    /// The same, with paths that mean the same place wherever the CLI works: agents work in projects, and what those
    /// hold must not pass for the owner's.
    pub(super) fn anywhere(mut self) -> io::Result<Self> {
        let Self { auth, agent, .. } = &mut self;
        for path in [&mut auth.login, &mut agent.mcp_config, &mut agent.workspace].into_iter().flatten() {
            *path = std::path::absolute(&path)?;
        }
        Ok(self)
    }
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            command: "claude".into(),
            auth: Auth::default(),
            models: Models::default(),
            agent: super::agent::Settings::default(),
            start_timeout: Duration::from_secs(30),
            idle_timeout: Duration::from_secs(10 * 60),
            timeout: Duration::from_secs(60 * 60),
            park: Duration::from_secs(60),
            max_parked: 4,
            retries: 2,
        }
    }
}

/// `llm.claude_code.auth`: what the CLI shows Anthropic. One of them at most.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Auth {
    /// A key of the API (`ANTHROPIC_API_KEY`).
    pub api_key: Option<Secret>,
    /// A bearer token, as gateways have them (`ANTHROPIC_AUTH_TOKEN`).
    pub auth_token: Option<Secret>,
    /// A token that `claude setup-token` made (`CLAUDE_CODE_OAUTH_TOKEN`).
    pub oauth_token: Option<Secret>,
    /// The CLI's own configuration directory, where somebody has logged in. It is the CLI that reads it.
    #[serde(deserialize_with = "path::some")]
    pub login: Option<PathBuf>,
}

/// What a model of the CLI is offered as.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Eq, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Offer {
    /// What the CLI calls the model (`--model`); unset: as clients do.
    pub model: Option<String>,
    /// Other names that clients may use.
    pub aliases: Vec<String>,
    /// What it does.
    pub mode: Mode,
    /// Tokens that it can read and write in all, for those who ask for a list of models.
    pub context: Option<u64>,
    /// Tokens that it can write, for those who ask for a list of models.
    pub max_output: Option<u64>,
}

/// What the CLI does for those who ask a model.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// It answers, as a model does. Tools are the client's.
    #[default]
    Llm,
    /// It works, with tools of its own.
    Agent,
}

/// Models by their names, in the order of the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Models(pub Vec<(String, Offer)>);

/// The names that the CLI has for the latest of each family, and the models themselves.
/// <https://docs.claude.com/en/docs/about-claude/models/overview>
const KNOWN: [&str; 13] = [
    "opus",
    "sonnet",
    "haiku",
    "claude-opus-5-5",
    "claude-sonnet-5-5",
    "claude-haiku-5-5",
    "claude-opus-5",
    "claude-sonnet-5",
    "claude-opus-4-6",
    "claude-opus-4-5",
    "claude-sonnet-4-6",
    "claude-sonnet-4-5",
    "claude-haiku-4-5",
];

impl Default for Models {
    fn default() -> Self {
        Self(KNOWN.iter().map(|name| ((*name).to_owned(), Offer::default())).collect())
    }
}

impl<'de> Deserialize<'de> for Models {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Named;

        impl<'de> Visitor<'de> for Named {
            type Value = Models;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("names of models, as a list or with settings each")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut names: A) -> Result<Models, A::Error> {
                let mut models = Vec::new();
                while let Some(name) = names.next_element::<String>()? {
                    models.push((name, Offer::default()));
                }
                Ok(Models(models))
            }

            fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Models, A::Error> {
                let mut models = Vec::new();
                while let Some((name, offer)) = entries.next_entry::<String, Option<Offer>>()? {
                    models.push((name, offer.unwrap_or_default()));
                }
                Ok(Models(models))
            }
        }

        deserializer.deserialize_any(Named)
    }
}

impl Serialize for Models {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for (name, offer) in &self.0 {
            map.serialize_entry(name, offer)?;
        }
        map.end()
    }
}
