//! `llm.type: claude_code`: the user's own Claude Code CLI, as models.

use std::collections::HashMap;
use std::io;
use std::sync::Arc;

use http::Request;
use tokio_util::task::TaskTracker;

use self::agent::{Agents, Launch};
use self::cli::Cli;
use self::park::Parked;
use self::probe::Probe;
use self::turn::Turns;
use super::ask::{Block, Format, Role};
use super::model::{Abilities, Model, Models};
use super::{
    Ask, Backend, BridgeError, Count, Failure, Later, Out, Own, Readiness, Setup, tools as bridge_tools,
};
use crate::body::Body;
use crate::config::Llm;
use crate::upstream::Caller;

pub mod agent;
mod calls;
mod cli;
mod fault;
mod folders;
mod launch;
mod lines;
mod mapping;
mod names;
mod park;
mod probe;
mod process;
mod seed;
mod settings;
mod speaker;
mod tools;
mod turn;
mod wire;

pub use settings::{Auth, Mode, Offer, Settings};

/// Whose models these are.
const OWNER: &str = "anthropic-claude-code";

/// Answers in progress at once. Each is a process of some 200 MB.
const PLACES: usize = 4;

/// The CLI as a backend.
struct ClaudeCode {
    cli: Arc<Cli>,
    probe: Probe,
    /// There is one if a model is of `mode: agent`.
    agents: Option<Arc<Agents>>,
    settings: Settings,
    models: Models,
    /// What the CLI calls each of them.
    names: HashMap<String, String>,
    parked: Parked,
    /// The largest request body. Bytes.
    body_limit: u64,
    /// Where turns of agents run.
    tasks: TaskTracker,
}

/// A backend for the CLI that `setup` names.
pub(super) fn backend(setup: &Setup<'_>) -> Result<Arc<dyn Backend>, BridgeError> {
    let nowhere = |key| move |error: io::Error| BridgeError::new(key, error.to_string());
    let settings = setup.config.llm.claude_code.clone().anywhere().map_err(nowhere("llm.claude_code"))?;
    let folder = std::path::absolute(setup.config.state_dir.join("claude_code"));
    let folder = folder.map_err(nowhere("state_dir"))?;
    let llm = Llm { claude_code: settings.clone(), ..setup.config.llm.clone() };
    let cli = Arc::new(Cli::new(&llm, setup.environment, &folder, setup.tasks.clone())?);
    let offers = &settings.models.0;
    if offers.is_empty() {
        return Err(BridgeError::new(
            "llm.claude_code.models",
            "no models: name one at least, such as sonnet",
        ));
    }
    let models = Models::new(offers.iter().map(|(name, offer)| model(name, offer)).collect());
    let names =
        offers.iter().map(|(name, offer)| (name.clone(), offer.model.clone().unwrap_or(name.clone())));
    let names: HashMap<_, _> = names.collect();
    // A name that the CLI would read as an option is no model's.
    if let Some((name, _)) = names.iter().find(|(_, called)| called.is_empty() || called.starts_with('-')) {
        let key = format!("llm.claude_code.models.{name}");
        return Err(BridgeError::new(key, "not the name of a model"));
    }
    let parked = Parked::new(settings.park, settings.max_parked, setup.tasks.clone());
    let agents: Vec<_> =
        offers.iter().filter(|(_, offer)| offer.mode == Mode::Agent).map(|(name, _)| name.clone()).collect();
    let login = settings.auth.login.clone();
    let agents = match &*agents {
        [] => None,
        _ => Some(Arc::new(Agents::new(settings.agent.clone(), agents, &folder, login)?)),
    };
    let probe = Probe::default();
    let body_limit = setup.config.llm.bridge.body_limit;
    Ok(Arc::new(ClaudeCode {
        cli,
        probe,
        agents,
        settings,
        models,
        names,
        parked,
        body_limit,
        tasks: setup.tasks.clone(),
    }))
}

fn model(name: &str, offer: &Offer) -> Model {
    Model {
        id: name.to_owned(),
        aliases: offer.aliases.clone(),
        display_name: name.to_owned(),
        owned_by: OWNER,
        context: offer.context,
        max_output: offer.max_output,
        // An agent has tools of its own, and says what it likes.
        can: Abilities {
            tools: offer.mode == Mode::Llm,
            parallel_tools: offer.mode == Mode::Llm,
            vision: true,
            reasoning: true,
            json_schema: offer.mode == Mode::Llm,
        },
    }
}

impl Backend for ClaudeCode {
    fn name(&self) -> &'static str {
        "claude_code"
    }

    fn models(&self) -> &Models {
        &self.models
    }

    fn places(&self) -> usize {
        PLACES
    }

    fn check(&self, ask: &mut Ask, model: &Model, lenient: bool) -> Result<(), Failure> {
        self.cli.has_credential()?;
        if self.agent(&model.id).is_some() {
            return agent::check(ask, lenient);
        }
        can_be_answered(ask)?;
        note(ask);
        Ok(())
    }

    fn answer(self: Arc<Self>, ask: Ask, out: Out) -> Later<Result<(), Failure>> {
        Box::pin(async move {
            if let Some(agents) = self.agent(&ask.id) {
                let launch = Launch {
                    cli: Arc::clone(&self.cli),
                    model: self.names.get(&ask.id).unwrap_or(&ask.id).clone(),
                    retries: self.settings.retries,
                    start: self.settings.start_timeout,
                    idle: self.settings.idle_timeout,
                    timeout: self.settings.timeout,
                };
                return agents.open()?.answer(ask, launch, out, self.tasks.clone()).await;
            }
            let turns = Turns { cli: &self.cli, settings: &self.settings, parked: &self.parked };
            let model = self.names.get(&ask.id).map_or(ask.id.as_str(), String::as_str);
            turns.answer(&ask, model, out).await
        })
    }

    fn count(self: Arc<Self>, ask: Ask) -> Later<Result<Count, Failure>> {
        let count = Count { tokens: bridge_tools::estimate(&ask), estimated: true };
        Box::pin(std::future::ready(Ok(count)))
    }

    fn own(self: Arc<Self>, request: Request<Body>, caller: Caller) -> Own {
        let (agents, body_limit) = (self.agents.clone(), self.body_limit);
        agent::own(agents, self, request, caller, body_limit)
    }

    fn readiness(self: Arc<Self>) -> Later<Readiness> {
        Box::pin(async move { self.probe.readiness(&self.cli).await })
    }

    fn stop(self: Arc<Self>) -> Later<()> {
        self.parked.clear();
        Box::pin(std::future::ready(()))
    }
}

impl ClaudeCode {
    /// The agents, if the model of this id is one.
    fn agent(&self, id: &str) -> Option<&Arc<Agents>> {
        self.agents.as_ref().filter(|agents| agents.has(id))
    }
}

/// Refuses what the CLI cannot go on from.
fn can_be_answered(ask: &Ask) -> Result<(), Failure> {
    let messages = seed::messages(&ask.turns);
    match messages.last() {
        None => return Err(Failure::invalid("messages", "there is no message that a model could answer")),
        Some(last) if last.role == "assistant" => {
            let message = "the last message is the assistant's: the Claude Code CLI cannot go on in the midst of an \
                 answer";
            return Err(Failure::unsupported("messages", message));
        }
        Some(_) => calls::check(&messages)?,
    }
    if let Format::Schema(schema) = &ask.format {
        let schema: serde_json::Value = serde_json::from_str(schema.get()).unwrap_or_default();
        if schema.get("type").and_then(|kind| kind.as_str()) != Some("object") {
            let message = "the schema is not one of an object, which is all that the Claude Code CLI takes";
            return Err(Failure::unsupported("response_format", message));
        }
        if ask.tools.iter().any(|tool| tool.name == mapping::STRUCTURED) {
            let message =
                "the Claude Code CLI has a tool of this name for answers of a schema: StructuredOutput";
            return Err(Failure::unsupported("tools", message));
        }
    }
    Ok(())
}

/// Notes what has no effect.
fn note(ask: &mut Ask) {
    let parts = || ask.turns.iter().flat_map(|turn| &turn.parts);
    let cache =
        parts().any(|part| part.cache.is_some()) || ask.system.iter().any(|part| part.cache.is_some());
    let is_image = |block: &Block| matches!(block, Block::Image(_));
    let lost = parts().any(|part| match &part.block {
        Block::ToolResult { content, is_error: true, .. } => content.iter().any(is_image),
        _ => false,
    });
    let moved = ask.turns.iter().any(|turn| turn.role == Role::System);
    let strict = ask.tools.iter().any(|tool| tool.strict);
    if cache {
        // The CLI sets marks of its own, and there may be four in all.
        ask.warnings.dropped("cache_control");
    }
    if strict {
        ask.warnings.dropped("strict");
    }
    if lost {
        ask.warnings.add("images-of-failed-tools-left-out");
    }
    if moved {
        ask.warnings.add("system-messages-as-reminders");
    }
}
