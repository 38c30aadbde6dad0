//! `llm.type: stackspot`: agents of Stackspot AI, as models.
//!
//! An agent takes one text and answers with one (<https://ai.stackspot.com/docs/agents/agent-api/agent-api>). What is
//! asked becomes that text (`tools`), on its way through whose turn it is (`limiter`), with which token (`token`), and
//! how often (`calling`); the answer's form is made out (`stream`), and its text read for calls, judged and told
//! (`answering`, `telling`). Beside that: who remembers a conversation (`conversations`), files (`files`), and quick
//! commands (`quick`).

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use tokio_util::task::TaskTracker;

use super::{Ask, Backend, BridgeError, Count, Failure, Later, Model, Models, Out, Readiness, Setup, tools};
use crate::config::BaseUrl;
use crate::upstream::client_config;

mod account;
mod answering;
mod calling;
mod conversations;
mod files;
mod limiter;
mod network;
mod quick;
mod refusal;
mod settings;
mod stream;
mod telling;
mod token;

use account::Credential;
use conversations::Conversations;
use files::Files;
use limiter::Limiter;
use network::{Host, Network};
pub use settings::{Agent, Conversation, Repair, Settings};
use token::Tokens;

/// Where tokens come from, where files go, and where quick commands run.
const IDM: &str = "https://idm.stackspot.com";
const COMMANDS: &str = "https://genai-code-buddy-api.stackspot.com";
const FILES: &str = "https://data-integration-api.stackspot.com";

/// An account of Stackspot AI.
#[derive(Debug)]
struct Stackspot {
    models: Models,
    agents: BTreeMap<String, Agent>,
    api: Host,
    commands: Host,
    tokens: Tokens,
    files: Files,
    limiter: Limiter,
    conversations: Conversations,
    conversation: Conversation,
    repair: Repair,
    sources_footer: bool,
    idle_timeout: Duration,
    /// How long a client would wait for its request to be sent: one that streams, and one that does not.
    patience: (Duration, Duration),
    tasks: TaskTracker,
}

/// A backend for the account that `setup` names.
pub(super) fn backend(setup: &Setup<'_>) -> Result<Arc<dyn Backend>, BridgeError> {
    let llm = &setup.config.llm;
    let settings = &llm.stackspot;
    let credential = Credential::of(setup)?;
    let agents = account::agents(setup)?;
    let idm = address("llm.stackspot.idm_url", settings.idm_url.as_ref(), IDM)?;
    let files = address("llm.stackspot.files_url", settings.files_url.as_ref(), FILES)?;
    let commands =
        address("llm.stackspot.quick_commands_url", settings.quick_commands_url.as_ref(), COMMANDS)?;
    let secure = [&llm.base_url, &idm, &files, &commands].iter().any(|url| url.is_https());
    let tls = if secure {
        Some(client_config().map_err(|error| BridgeError::new("llm.base_url", error.to_string()))?)
    } else {
        None
    };
    let network = Network {
        tls,
        timeout: llm.timeout,
        // Not with the tasks that are waited for at the end: an idle connection has nothing to finish.
        tasks: TaskTracker::new(),
        metrics: setup.metrics.clone(),
    };
    let host = |key: &str, url: &BaseUrl| {
        network.host(url).map_err(|error| BridgeError::new(key, error.to_string()))
    };
    let head_wait = llm.bridge.head_wait.min(llm.bridge.queue_timeout);
    Ok(Arc::new(Stackspot {
        models: account::models(&agents),
        agents,
        api: host("llm.base_url", &llm.base_url)?,
        commands: host("llm.stackspot.quick_commands_url", &commands)?,
        tokens: Tokens::new(host("llm.stackspot.idm_url", &idm)?, credential, setup.tasks.clone()),
        files: Files::new(network.clone(), host("llm.stackspot.files_url", &files)?, &files),
        limiter: Limiter::new(settings.requests_per_minute, settings.cooldown),
        conversations: Conversations::new(),
        conversation: settings.conversation,
        repair: settings.repair,
        sources_footer: settings.sources_footer,
        idle_timeout: settings.idle_timeout,
        patience: (head_wait, llm.bridge.queue_timeout),
        tasks: setup.tasks.clone(),
    }))
}

fn address(key: &str, configured: Option<&BaseUrl>, default: &str) -> Result<BaseUrl, BridgeError> {
    match configured {
        Some(url) => Ok(url.clone()),
        None => BaseUrl::parse(default).map_err(|error| BridgeError::new(key, error.to_string())),
    }
}

/// A name that nothing else has.
fn random_name() -> String {
    let bytes = crate::state::random::<6>().unwrap_or_default();
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

impl Stackspot {
    /// Who remembers a conversation with `agent`.
    fn conversation(&self, agent: &Agent) -> Conversation {
        agent.conversation.unwrap_or(self.conversation)
    }
}

impl Backend for Stackspot {
    fn name(&self) -> &'static str {
        "stackspot"
    }

    fn places(&self) -> usize {
        8
    }

    fn models(&self) -> &Models {
        &self.models
    }

    fn check(&self, ask: &mut Ask, model: &Model, lenient: bool) -> Result<(), Failure> {
        let mode = self.agents.get(&model.id).map_or(self.conversation, |agent| self.conversation(agent));
        if mode == Conversation::Strict && ask.conversation.as_deref().is_none_or(str::is_empty) {
            return Err(Failure::invalid(
                "correlation-id",
                "the header correlation-id is missing, or x-conversation-id: it names the conversation, and this model \
                 demands it (llm.stackspot.conversation: strict); a ULID such as 01ARZ3NDEKTSV4RRFFQ69G5FAV is best",
            ));
        }
        let quick = self.agents.get(&model.id).is_some_and(|agent| agent.quick);
        if quick && files::any(&ask.turns) {
            return Err(files::refused("a quick command takes no pictures and files"));
        }
        if files::elsewhere(&ask.turns) {
            if !lenient {
                return Err(files::refused(
                    "Stackspot takes pictures and files as data only, in base64: nothing is fetched from a URL",
                ));
            }
            ask.warnings.dropped("url");
        }
        if ask.effort.is_some() {
            ask.warnings.dropped("reasoning_effort");
        }
        if ask.session.is_some() {
            ask.warnings.dropped("session_id");
        }
        if ask.project.is_some() {
            ask.warnings.dropped("project_id");
        }
        Ok(())
    }

    fn answer(self: Arc<Self>, ask: Ask, out: Out) -> Later<Result<(), Failure>> {
        Box::pin(self.give(ask, out))
    }

    fn count(self: Arc<Self>, mut ask: Ask) -> Later<Result<Count, Failure>> {
        answering::inline(&mut ask.turns);
        let count = Count { tokens: tools::estimate(&ask), estimated: true };
        Box::pin(std::future::ready(Ok(count)))
    }

    fn readiness(self: Arc<Self>) -> Later<Readiness> {
        Box::pin(async move {
            let models: Vec<_> = self.models.iter().map(|model| model.id.as_str()).collect();
            let detail = json!({"models": models});
            match self.tokens.token().await {
                Ok(_) => Readiness { ready: true, missing: String::new(), detail },
                Err(failure) => Readiness { ready: false, missing: failure.message, detail },
            }
        })
    }
}
