//! Models of `mode: agent`: the CLI with tools of its own, at work in a project, in sessions that outlive a run.

use std::fs::DirBuilder;
use std::io;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use super::seed::uuid;
use crate::upstream::bridge::{BridgeError, Failure, Kind};

mod activity;
mod endpoints;
mod permission;
mod running;
mod said;
mod settings;
mod store;
mod turn;
mod workspace;

#[cfg(test)]
mod tests;

pub(super) use endpoints::own;
pub(super) use turn::{Launch, check};

pub use settings::{Permission, Settings, SystemPrompt};

/// The file of what is kept.
const STORE: &str = "sessions.sqlite";

/// All agents of a proxy: they differ in nothing but the model.
#[derive(Debug)]
pub(super) struct Agent {
    settings: Settings,
    /// The ids of the models, the first of which works where a client names none.
    models: Vec<String>,
    workspace: workspace::Workspace,
    store: store::Store,
    running: running::Running,
    /// Where the transcripts are that we wrote.
    transcripts: PathBuf,
    /// The home of the user that the CLI takes itself to run for.
    home: PathBuf,
    /// Where the CLI keeps its own, in a folder for each project.
    kept: PathBuf,
}

/// Agents that may not have been asked for yet: nothing is made on the disk before.
#[derive(Debug)]
pub(super) struct Agents {
    settings: Settings,
    models: Vec<String>,
    folder: PathBuf,
    /// The CLI's configuration directory, where it has one that is not ours.
    login: Option<PathBuf>,
    open: Mutex<Option<Arc<Agent>>>,
}

impl Agents {
    /// Agents that are these models, and keep what they know in `folder`.
    ///
    /// # Errors
    /// Where what was kept there is of no use.
    pub(super) fn new(
        settings: Settings,
        models: Vec<String>,
        folder: &Path,
        login: Option<PathBuf>,
    ) -> Result<Self, BridgeError> {
        settings.check()?;
        let agents = Self { settings, models, folder: folder.join("agent"), login, open: Mutex::default() };
        if agents.folder.join(STORE).exists() {
            agents.open_or_say()?;
        }
        Ok(agents)
    }

    /// Whether the model of this id is an agent.
    pub(super) fn has(&self, id: &str) -> bool {
        self.models.iter().any(|model| model == id)
    }

    /// The agents.
    ///
    /// # Errors
    /// Where the disk does not take what they keep.
    pub(super) fn open(&self) -> Result<Arc<Agent>, Failure> {
        self.open_or_say().map_err(|error| {
            tracing::error!(%error, "agents have no place for what they keep");
            Failure::new(Kind::Unavailable, "agents have no place for what they keep: see the log")
        })
    }

    fn open_or_say(&self) -> Result<Arc<Agent>, BridgeError> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(agent) = &*open {
            return Ok(Arc::clone(agent));
        }
        let agent =
            Agent::open(self.settings.clone(), self.models.clone(), &self.folder, self.login.as_deref())?;
        Ok(Arc::clone(open.insert(Arc::new(agent))))
    }
}

impl Agent {
    fn open(
        settings: Settings,
        models: Vec<String>,
        folder: &Path,
        login: Option<&Path>,
    ) -> Result<Self, BridgeError> {
        let failed =
            |error: io::Error| BridgeError::new("state_dir", format!("{}: {error}", folder.display()));
        let (transcripts, home) = (folder.join("transcripts"), folder.join("home"));
        for folder in [&transcripts, &home] {
            DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(failed)?;
        }
        let store = store::Store::open(&folder.join(STORE))
            .map_err(|error| BridgeError::new("state_dir", error.to_string()))?;
        let root = settings.workspace.clone().unwrap_or_else(|| folder.join("workspace"));
        let workspace = workspace::Workspace::open(&root).map_err(|error| {
            BridgeError::new("llm.claude_code.agent.workspace", format!("{}: {error}", root.display()))
        })?;
        let kept = login.map_or_else(|| home.join(".claude"), Path::to_owned).join("projects");
        let running = running::Running::default();
        Ok(Self { settings, models, workspace, store, running, transcripts, home, kept })
    }

    /// The model of a session that is asked for with this name.
    fn model(&self, name: Option<String>) -> Result<String, Failure> {
        let Some(name) = name else {
            let none = || Failure::new(Kind::Unavailable, "no model has mode: agent");
            return self.models.first().cloned().ok_or_else(none);
        };
        if self.models.contains(&name) {
            return Ok(name);
        }
        let message =
            format!("{name:?} is no model that works as an agent. There are: {}", self.models.join(", "));
        Err(Failure { param: Some("model".into()), ..Failure::new(Kind::UnknownModel, message) })
    }

    /// Where our transcript of a thread of a session is, if there is one.
    fn transcript(&self, session: &str, thread: &str) -> PathBuf {
        self.transcripts.join(session).join(format!("{thread}.jsonl"))
    }

    /// Removes all files of a session and of the CLI's thread of it.
    fn forget(&self, session: &str, thread: Option<&str>) {
        if let Some(thread) = thread {
            self.forget_thread(session, thread);
        }
        let _none = std::fs::remove_dir_all(self.transcripts.join(session));
    }

    /// Removes the transcripts of a thread: ours, and the CLI's own, which are in a folder for each project.
    fn forget_thread(&self, session: &str, thread: &str) {
        let _none = std::fs::remove_file(self.transcript(session, thread));
        for folder in std::fs::read_dir(&self.kept).into_iter().flatten().flatten() {
            let _none = std::fs::remove_file(folder.path().join(format!("{thread}.jsonl")));
            let _none = std::fs::remove_dir_all(folder.path().join(thread));
        }
    }
}
