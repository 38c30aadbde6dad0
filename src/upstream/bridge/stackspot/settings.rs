//! `llm.stackspot`: the account, its agents, and how they are asked.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use perimeter_settings::{duration, path};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize};

use super::super::tools::Style;
use crate::config::{BaseUrl, Secret};

/// `llm.stackspot`: the account and its agents.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// The account's realm; unset: `REALM`.
    pub realm: Option<String>,
    /// The service credential's id; unset: `CLIENT_ID`.
    pub client_id: Option<String>,
    /// The service credential's secret; unset: `client_secret_file`, or else `CLIENT_SECRET`.
    pub client_secret: Option<Secret>,
    /// A file that holds the secret and nothing else.
    #[serde(deserialize_with = "path::some")]
    pub client_secret_file: Option<PathBuf>,
    /// Where tokens come from; unset: <https://idm.stackspot.com>.
    pub idm_url: Option<BaseUrl>,
    /// Where files go; unset: <https://data-integration-api.stackspot.com>.
    pub files_url: Option<BaseUrl>,
    /// The agents by the names that clients have for them; none: the one of `GENAI_AGENT_ID`, as `stackspot-chat`.
    pub agents: BTreeMap<String, Agent>,
    /// Where quick commands run; unset: <https://genai-code-buddy-api.stackspot.com>.
    pub quick_commands_url: Option<BaseUrl>,
    /// Quick commands by their slugs: each is a model `qc/<slug>`.
    #[serde(deserialize_with = "slugs")]
    pub quick_commands: Vec<String>,
    /// Who remembers a conversation.
    pub conversation: Conversation,
    /// Requests that the account sends in any minute.
    #[serde(deserialize_with = "at_least_one")]
    pub requests_per_minute: usize,
    /// How long nothing is sent after a 429 that does not say it itself.
    #[serde(serialize_with = "duration::serialize", deserialize_with = "duration::positive")]
    pub cooldown: Duration,
    /// How long an answer may say nothing before it is given up.
    #[serde(serialize_with = "duration::serialize", deserialize_with = "duration::positive")]
    pub idle_timeout: Duration,
    /// What is done with an answer that is not what was asked for.
    pub repair: Repair,
    /// Whether answers end in a list of their sources.
    pub sources_footer: bool,
}

/// One of `llm.stackspot.agents`.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Agent {
    /// Its id at Stackspot.
    #[serde(deserialize_with = "agent_id")]
    pub agent_id: String,
    /// More names for it.
    #[serde(default)]
    pub aliases: Vec<String>,
    /// The version of it that is asked; unset: the latest.
    #[serde(default)]
    pub version: Option<u64>,
    /// Tokens that it can read, for those who list models.
    #[serde(default = "context_tokens")]
    pub context_tokens: u64,
    /// How it is told to ask for tools.
    #[serde(default)]
    pub tool_style: Style,
    /// Whether it looks into the account's knowledge sources.
    #[serde(default)]
    pub use_knowledge: bool,
    /// Whether it says which of them it used.
    #[serde(default = "yes")]
    pub return_knowledge: bool,
    /// The knowledge sources it looks into; none: its own.
    #[serde(default)]
    pub knowledge_sources: Vec<String>,
    /// Whether it searches them deeply.
    #[serde(default)]
    pub deep_search: bool,
    /// More of the request's body, in Stackspot's words.
    #[serde(default, deserialize_with = "extra_body")]
    pub extra_body: serde_json::Map<String, serde_json::Value>,
    /// Who remembers a conversation with it; unset: `llm.stackspot.conversation`.
    #[serde(default)]
    pub conversation: Option<Conversation>,
    /// Whether it is a quick command, and its id that one's slug.
    #[serde(skip)]
    pub(super) quick: bool,
}

/// Who remembers a conversation.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Conversation {
    /// The client: each request says all of it.
    #[default]
    Stateless,
    /// Stackspot, where the client names the conversation: only what is new is sent.
    Server,
    /// As `server`, and the client has to name it.
    Strict,
}

/// What is done with an answer that is not what was asked for: a tool's arguments, a forced tool, a format.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Repair {
    /// It is passed on, with a warning.
    Pass,
    /// The model is asked once more.
    #[default]
    Repair,
    /// It is a failure.
    Error,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            realm: None,
            client_id: None,
            client_secret: None,
            client_secret_file: None,
            idm_url: None,
            files_url: None,
            agents: BTreeMap::new(),
            quick_commands_url: None,
            quick_commands: Vec::new(),
            conversation: Conversation::default(),
            requests_per_minute: 90,
            cooldown: Duration::from_secs(15),
            idle_timeout: Duration::from_secs(300),
            repair: Repair::default(),
            sources_footer: false,
        }
    }
}

impl Agent {
    /// The agent of that id, asked in the simplest way.
    pub(super) fn plain(agent_id: String) -> Self {
        Self {
            agent_id,
            aliases: Vec::new(),
            version: None,
            context_tokens: context_tokens(),
            tool_style: Style::default(),
            use_knowledge: false,
            return_knowledge: true,
            knowledge_sources: Vec::new(),
            deep_search: false,
            extra_body: serde_json::Map::new(),
            conversation: None,
            quick: false,
        }
    }

    /// The quick command of that slug.
    pub(super) fn quick(slug: &str) -> Self {
        Self { quick: true, conversation: Some(Conversation::Stateless), ..Self::plain(slug.to_owned()) }
    }
}

/// Whether `text` can stand in a path as it is.
pub(super) fn is_id(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte))
}

/// What Stackspot's models read at most, as its 400 says.
fn context_tokens() -> u64 {
    272_000
}

fn yes() -> bool {
    true
}

fn at_least_one<'de, D: Deserializer<'de>>(deserializer: D) -> Result<usize, D::Error> {
    match usize::deserialize(deserializer)? {
        number @ 1..=100_000 => Ok(number),
        _ => Err(D::Error::custom("expected 1 to 100000 requests")),
    }
}

fn agent_id<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    let id = String::deserialize(deserializer)?;
    if is_id(&id) {
        return Ok(id);
    }
    Err(D::Error::custom(
        "expected the id of an agent, such as 01J4WFMAJTP453TRRQKFAJ80PN: letters and digits",
    ))
}

fn slugs<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    let slugs = Vec::<String>::deserialize(deserializer)?;
    match slugs.iter().find(|slug| !is_id(slug)) {
        Some(slug) => Err(D::Error::custom(format!(
            "expected slugs of quick commands, which are letters, digits, and - _ . ({slug:?} is none)"
        ))),
        None => Ok(slugs),
    }
}

fn extra_body<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<serde_json::Map<String, serde_json::Value>, D::Error> {
    let map = serde_json::Map::deserialize(deserializer)?;
    match ["user_prompt", "streaming", "conversation_id", "use_conversation", "upload_ids"]
        .iter()
        .find(|key| map.contains_key(**key))
    {
        Some(key) => {
            Err(D::Error::custom(format!("expected other keys than {key}, which the bridge writes")))
        }
        None => Ok(map),
    }
}
