//! The CLI as it is on this machine: where it is, what it is given, what it is not.

use std::env::VarError;
use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use tokio_util::task::TaskTracker;

use super::fault::NO_LOGIN;
use super::folders::{Folder, Folders};
use super::names::Names;
use super::probe::{self, Trouble};
use super::process::{Process, Run};
use super::settings::{Auth, Settings};
use crate::config::{Llm, Lookup, Secret};
use crate::upstream::bridge::{BridgeError, Failure, Kind};

/// Where the CLI asks, unless it is told.
const ANTHROPIC: &str = "https://api.anthropic.com";

/// What of this program's own environment the CLI gets: how to find programs, and how to reach the network.
const PASSED_ON: [&str; 13] = [
    "PATH",
    "LANG",
    "LC_ALL",
    "TZ",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "NO_PROXY",
    "http_proxy",
    "https_proxy",
    "no_proxy",
    "NODE_EXTRA_CA_CERTS",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
];

/// What it always gets: it asks the provider what it is told to ask, and nobody anything else.
/// <https://code.claude.com/docs/en/settings#environment-variables>
const QUIET: [(&str, &str); 6] = [
    ("DISABLE_TELEMETRY", "1"),
    ("DISABLE_ERROR_REPORTING", "1"),
    ("DISABLE_AUTOUPDATER", "1"),
    ("CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC", "1"),
    ("CLAUDE_CODE_DISABLE_TERMINAL_TITLE", "1"),
    ("CLAUDE_CODE_ATTRIBUTION_HEADER", "0"),
];

/// The CLI as it is on this machine.
#[derive(Debug)]
pub(super) struct Cli {
    command: PathBuf,
    path: OsString,
    credential: Option<Credential>,
    environment: Vec<(&'static str, OsString)>,
    runs: PathBuf,
    /// Made with the first run.
    folders: Mutex<Option<Folders>>,
    /// Where tasks run that see to processes.
    pub tasks: TaskTracker,
    /// What its names for models mean.
    pub names: Names,
}

/// What the CLI shows Anthropic.
#[derive(Debug)]
enum Credential {
    /// In this variable.
    Secret(&'static str, Secret),
    /// What it finds in its directory.
    Login(PathBuf),
}

impl Cli {
    /// The CLI of these settings, with files of its runs in `folder`.
    pub(super) fn new(
        llm: &Llm,
        lookup: Lookup<'_>,
        folder: &Path,
        tasks: TaskTracker,
    ) -> Result<Self, BridgeError> {
        let settings = &llm.claude_code;
        let mut environment: Vec<_> = PASSED_ON
            .into_iter()
            .filter_map(|name| Some((name, variable(lookup, name)?)))
            .chain(QUIET.map(|(name, value)| (name, value.into())))
            .collect();
        let base_url = llm.base_url.to_string();
        if base_url.trim_end_matches('/') != ANTHROPIC {
            environment.push(("ANTHROPIC_BASE_URL", base_url.into()));
        }
        let path = variable(lookup, "PATH").unwrap_or_default();
        let credential = credential(settings, llm, lookup)?;
        let (command, runs) = (settings.command.clone(), folder.join("runs"));
        Ok(Self {
            command,
            path,
            credential,
            environment,
            runs,
            folders: Mutex::default(),
            tasks,
            names: Names::default(),
        })
    }

    /// Where the program is, looked up anew: it may have been installed meanwhile.
    ///
    /// # Errors
    /// Where there is none: what to do.
    pub(super) fn program(&self) -> Result<PathBuf, Failure> {
        self.found().map_err(|trouble| Failure::new(Kind::Unavailable, trouble.to_string()))
    }

    /// The same, for those who look whether it can be used.
    ///
    /// # Errors
    /// Where there is none.
    pub(super) fn found(&self) -> Result<PathBuf, Trouble> {
        probe::find(&self.command, &self.path)
    }

    /// How it comes to a credential.
    pub(super) fn proof(&self) -> probe::Credential {
        match &self.credential {
            Some(Credential::Secret(name, _)) => probe::Credential::Given(name),
            Some(Credential::Login(_)) => probe::Credential::Login,
            None => probe::Credential::Missing,
        }
    }

    /// Whether there is something to show Anthropic.
    ///
    /// # Errors
    /// Where there is not: what to do.
    pub(super) fn has_credential(&self) -> Result<(), Failure> {
        match &self.credential {
            Some(_) => Ok(()),
            None => Err(Failure::new(Kind::Unavailable, NO_LOGIN)),
        }
    }

    /// Whether the credential is a key of the API, with which the CLI can do without all that comes with a login.
    pub(super) fn has_api_key(&self) -> bool {
        matches!(&self.credential, Some(Credential::Secret("ANTHROPIC_API_KEY", _)))
    }

    /// Whether nothing that a run leaves behind is of use to anybody: where there is a login, the CLI keeps that.
    pub(super) fn keeps_nothing(&self) -> bool {
        !matches!(self.credential, Some(Credential::Login(_)))
    }

    /// The environment of a run whose home is `home`.
    pub(super) fn environment(&self, home: &Path) -> Vec<(&'static str, OsString)> {
        let mut all = self.environment.clone();
        let home = home.as_os_str();
        all.extend([("HOME", home.into()), ("TMPDIR", home.into()), ("CLAUDE_CODE_TMPDIR", home.into())]);
        match &self.credential {
            Some(Credential::Secret(name, secret)) => all.push((name, secret.reveal().into())),
            Some(Credential::Login(folder)) => all.push(("CLAUDE_CONFIG_DIR", folder.into())),
            None => {}
        }
        all
    }

    /// A folder for a run.
    ///
    /// # Errors
    /// Where the disk has none.
    pub(super) fn folder(&self) -> Result<Folder, Failure> {
        self.folders().and_then(|folders| folders.folder()).map_err(|error| no_folder(&error))
    }

    /// The folders of this proxy's runs. The first time, what killed proxies have left is ended and removed.
    ///
    /// # Errors
    /// Those of the file system.
    pub(super) fn folders(&self) -> io::Result<Folders> {
        let mut folders = self.folders.lock().unwrap_or_else(PoisonError::into_inner);
        match &*folders {
            Some(folders) => Ok(folders.clone()),
            None => Ok(folders.insert(Folders::new(&self.runs)?).clone()),
        }
    }

    /// Starts a run.
    ///
    /// # Errors
    /// Where it cannot be started: what to do.
    pub(super) fn start(&self, run: Run) -> Result<Process, Failure> {
        Process::start(run, &self.tasks).map_err(|error| {
            tracing::warn!(%error, "the Claude Code CLI cannot be started");
            let message = format!("the Claude Code CLI cannot be started: {}", error.kind());
            Failure::new(Kind::Unavailable, message)
        })
    }
}

/// The disk does not take what a run needs.
pub(super) fn no_folder(error: &io::Error) -> Failure {
    tracing::warn!(%error, "a run of the Claude Code CLI has no place in state_dir");
    Failure::new(Kind::Unavailable, format!("state_dir takes no files: {}", error.kind()))
}

fn credential(settings: &Settings, llm: &Llm, lookup: Lookup<'_>) -> Result<Option<Credential>, BridgeError> {
    let secret =
        |name, secret: &Option<Secret>| secret.clone().map(|secret| Credential::Secret(name, secret));
    let Auth { api_key, auth_token, oauth_token, login } = &settings.auth;
    let mut named = [
        secret("ANTHROPIC_API_KEY", api_key),
        secret("ANTHROPIC_AUTH_TOKEN", auth_token),
        secret("CLAUDE_CODE_OAUTH_TOKEN", oauth_token),
        login.clone().map(Credential::Login),
    ]
    .into_iter()
    .flatten();
    if let Some(first) = named.next() {
        return match named.next() {
            None => Ok(Some(first)),
            Some(_) => Err(BridgeError::new(
                "llm.claude_code.auth",
                "more than one of api_key, auth_token, oauth_token and login: the CLI takes one",
            )),
        };
    }
    if let Some(key) = secret("ANTHROPIC_API_KEY", &llm.api_key) {
        return Ok(Some(key));
    }
    let found = |name: &'static str| {
        let value = lookup(name).ok().filter(|value| !value.is_empty())?;
        Some(Credential::Secret(name, Secret::new(value)))
    };
    Ok(["ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN", "CLAUDE_CODE_OAUTH_TOKEN"].into_iter().find_map(found))
}

fn variable(lookup: Lookup<'_>, name: &str) -> Option<OsString> {
    match lookup(name) {
        Ok(value) => Some(value.into()),
        Err(VarError::NotUnicode(value)) => Some(value),
        Err(VarError::NotPresent) => None,
    }
}
