//! Whose money is spent: the credential and the agents, from the configuration or the environment.

use std::collections::BTreeMap;

use super::super::model::{Abilities, Model, Models};
use super::super::{BridgeError, Setup};
use super::settings::{Agent, is_id};
use crate::config::{Lookup, Secret};

/// The model of the agent that the environment names.
const ENVIRONMENTS_MODEL: &str = "stackspot-chat";

/// What Stackspot knows us by.
#[derive(Clone, Debug)]
pub(super) enum Credential {
    /// A personal access token.
    Token(Secret),
    /// A service credential, which gets tokens.
    Client {
        /// The account's realm.
        realm: String,
        /// The credential's id.
        id: String,
        /// Its secret.
        secret: Secret,
    },
}

impl Credential {
    /// The one that the configuration or the environment holds.
    pub(super) fn of(setup: &Setup<'_>) -> Result<Self, BridgeError> {
        if let Some(token) = &setup.config.llm.api_key {
            return Ok(Self::Token(token.clone()));
        }
        let settings = &setup.config.llm.stackspot;
        let known = |key, said: &Option<String>, variable| {
            said.clone()
                .or_else(|| variable_of(setup.environment, variable))
                .ok_or_else(|| missing(key, variable))
        };
        let realm = known("realm", &settings.realm, "REALM")?;
        if !is_id(&realm) {
            let message =
                format!("found {realm:?}; expected the name of a realm: letters, digits, and - _ .");
            return Err(BridgeError::new("llm.stackspot.realm", message));
        }
        let id = known("client_id", &settings.client_id, "CLIENT_ID")?;
        if settings.client_secret.is_some() && settings.client_secret_file.is_some() {
            let message = "client_secret is set, too; one of the two holds the secret";
            return Err(BridgeError::new("llm.stackspot.client_secret_file", message));
        }
        let secret = match settings.client_secret.clone().or(from_file(setup)?) {
            Some(secret) => secret,
            None => variable_of(setup.environment, "CLIENT_SECRET")
                .map(Secret::new)
                .ok_or_else(|| missing("client_secret", "CLIENT_SECRET"))?,
        };
        Ok(Self::Client { realm, id, secret })
    }
}

fn missing(key: &str, variable: &str) -> BridgeError {
    let message = format!(
        "not set, and {variable} is not in the environment either; a service credential has a client_id, a \
         client_secret and a realm (or set llm.api_key to a personal access token)"
    );
    BridgeError::new(format!("llm.stackspot.{key}"), message)
}

fn variable_of(environment: Lookup<'_>, name: &str) -> Option<String> {
    environment(name).ok().map(|value| value.trim().to_owned()).filter(|value| !value.is_empty())
}

fn from_file(setup: &Setup<'_>) -> Result<Option<Secret>, BridgeError> {
    const KEY: &str = "llm.stackspot.client_secret_file";
    let Some(file) = &setup.config.llm.stackspot.client_secret_file else { return Ok(None) };
    let text = std::fs::read_to_string(file)
        .map_err(|error| BridgeError::new(KEY, format!("cannot read {}: {error}", file.display())))?;
    let secret = text.trim();
    if secret.is_empty() || !secret.bytes().all(|byte| byte.is_ascii_graphic()) {
        let message = format!("{} should hold the secret on a single line, and nothing else", file.display());
        return Err(BridgeError::new(KEY, message));
    }
    Ok(Some(Secret::new(secret)))
}

/// The agents by the names of their models.
pub(super) fn agents(setup: &Setup<'_>) -> Result<BTreeMap<String, Agent>, BridgeError> {
    const KEY: &str = "llm.stackspot.agents";
    let settings = &setup.config.llm.stackspot;
    let mut configured = settings.agents.clone();
    if configured.is_empty()
        && let Some(id) = variable_of(setup.environment, "GENAI_AGENT_ID")
    {
        if !is_id(&id) {
            return Err(BridgeError::new(KEY, "GENAI_AGENT_ID is no id of an agent: letters and digits"));
        }
        configured.insert(ENVIRONMENTS_MODEL.to_owned(), Agent::plain(id));
    }
    for slug in &settings.quick_commands {
        if configured.insert(format!("qc/{slug}"), Agent::quick(slug)).is_some() {
            let message = format!("two models have the name qc/{slug}; it is for one");
            return Err(BridgeError::new("llm.stackspot.quick_commands", message));
        }
    }
    if configured.is_empty() {
        return Err(BridgeError::new(
            KEY,
            "there is none, and GENAI_AGENT_ID is not in the environment either; write \
             `agents: {my-model: {agent_id: 01J4WFMAJTP453TRRQKFAJ80PN}}`, with an id from the agent's page at Stackspot",
        ));
    }
    distinct(&configured).map(|()| configured)
}

fn distinct(agents: &BTreeMap<String, Agent>) -> Result<(), BridgeError> {
    let mut seen = std::collections::BTreeSet::new();
    for (name, agent) in agents {
        for name in std::iter::once(name).chain(&agent.aliases) {
            let key = format!("llm.stackspot.agents.{name}");
            if name.trim().is_empty() {
                return Err(BridgeError::new("llm.stackspot.agents", "a model cannot have an empty name"));
            }
            if !seen.insert(name) {
                return Err(BridgeError::new(
                    key,
                    "this name is there twice; a name or an alias is for one agent",
                ));
            }
        }
    }
    Ok(())
}

/// As clients list them.
pub(super) fn models(agents: &BTreeMap<String, Agent>) -> Models {
    Models::new(agents.iter().map(|(name, agent)| model(name, agent)).collect())
}

fn model(name: &str, agent: &Agent) -> Model {
    Model {
        id: name.to_owned(),
        aliases: agent.aliases.clone(),
        display_name: name.to_owned(),
        owned_by: "stackspot",
        context: (!agent.quick).then_some(agent.context_tokens),
        max_output: None,
        can: Abilities {
            tools: true,
            parallel_tools: true,
            vision: !agent.quick,
            reasoning: false,
            json_schema: true,
        },
    }
}
