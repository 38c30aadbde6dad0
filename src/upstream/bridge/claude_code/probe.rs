//! Whether there is a CLI that can be used, and if not, what to do about it.

use std::cmp::Ordering;
use std::ffi::{OsStr, OsString};
use std::fmt;
use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process_group};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::io::AsyncReadExt as _;
use tokio::process::Command;
use tokio::sync::Mutex;
use tokio::time::timeout;

use super::cli::Cli;
use super::fault::NO_LOGIN;
use crate::upstream::bridge::Readiness;

/// The oldest version that is known to work.
pub(super) const OLDEST: &str = "2.1.197";

/// How long the CLI may take to say its version, or who is logged in. It is large, and may have to come from a disk.
const PATIENCE: Duration = Duration::from_secs(30);
/// How long an answer holds: a good one, and one that somebody may be about to change.
const GOOD_FOR: Duration = Duration::from_secs(300);
const BAD_FOR: Duration = Duration::from_secs(5);
/// What is read of its answers. Bytes.
const LONGEST: u64 = 64 * 1024;

/// Asks the CLI how it is.
#[derive(Debug, Default)]
pub(super) struct Probe {
    known: Mutex<Option<(Instant, Readiness)>>,
}

/// How the CLI comes to a credential.
#[derive(Clone, Debug)]
pub(super) enum Credential {
    /// It is given one: by this name, which is no secret.
    Given(&'static str),
    /// It has its own login.
    Login,
    /// It has none.
    Missing,
}

/// Why it cannot be used.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Trouble {
    /// There is none.
    Absent(PathBuf),
    /// There is a file that is no program.
    NotExecutable(PathBuf),
    /// It does not say its version.
    Broken(PathBuf, String),
    /// It is older than [`OLDEST`].
    Old(PathBuf, String),
    /// It has no credentials.
    NoLogin,
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Absent(asked) => write!(
                f,
                "there is no Claude Code CLI at {}: install it with `npm install -g @anthropic-ai/claude-code`, or \
                 name it in llm.claude_code.command",
                asked.display()
            ),
            Self::NotExecutable(path) => write!(
                f,
                "{} is no program that may be run: `chmod +x` it, or name the Claude Code CLI in llm.claude_code.command",
                path.display()
            ),
            Self::Broken(path, why) => write!(
                f,
                "{} does not say its version ({why}): run `{0} --version` to see why, or install it again",
                path.display()
            ),
            Self::Old(path, version) => write!(
                f,
                "{} is version {version}; {OLDEST} is the oldest that works: run `{0} update`",
                path.display()
            ),
            Self::NoLogin => f.write_str(NO_LOGIN),
        }
    }
}

/// The program that `command` means: a path, or a name that is looked for in `path`.
///
/// # Errors
/// Where there is none, or it may not be run.
pub(super) fn find(command: &Path, path: &OsStr) -> Result<PathBuf, Trouble> {
    let places: Vec<PathBuf> = if command.components().count() > 1 {
        vec![command.to_owned()]
    } else {
        std::env::split_paths(path).map(|folder| folder.join(command)).collect()
    };
    let mut unusable = None;
    for place in places {
        match fs::metadata(&place) {
            Ok(found) if found.is_file() && found.permissions().mode() & 0o111 != 0 => {
                // Runs have directories of their own.
                return Ok(std::path::absolute(&place).unwrap_or(place));
            }
            Ok(_) => unusable = unusable.or(Some(place)),
            Err(_) => {}
        }
    }
    Err(unusable.map_or_else(|| Trouble::Absent(command.to_owned()), Trouble::NotExecutable))
}

impl Probe {
    /// Whether `cli` could answer. Remembered for a while; who asks meanwhile waits for the one who finds out.
    pub(super) async fn readiness(&self, cli: &Cli) -> Readiness {
        let mut known = self.known.lock().await;
        if let Some(readiness) = still(known.as_ref()) {
            return readiness;
        }
        let readiness = match cli.folder() {
            // What it leaves there goes at once.
            Ok(folder) => {
                let (home, cwd) = (folder.home(), folder.work());
                look(cli.found(), cli.proof(), cli.environment(&home), &cwd).await
            }
            Err(failure) => Readiness { ready: false, missing: failure.message, detail: Value::Null },
        };
        *known = Some((Instant::now(), readiness.clone()));
        readiness
    }
}

/// What was found out lately.
fn still(known: Option<&(Instant, Readiness)>) -> Option<Readiness> {
    let (at, readiness) = known?;
    let holds = if readiness.ready { GOOD_FOR } else { BAD_FOR };
    (at.elapsed() < holds).then(|| readiness.clone())
}

async fn look(
    found: Result<PathBuf, Trouble>,
    credential: Credential,
    env: Vec<(&'static str, OsString)>,
    cwd: &Path,
) -> Readiness {
    let mut detail = json!({"oldest": OLDEST});
    let looked = match found {
        Ok(program) => ask_all(program, credential, env, cwd, &mut detail).await,
        Err(trouble) => Err(trouble),
    };
    let missing = looked.err().map(|trouble| trouble.to_string()).unwrap_or_default();
    Readiness { ready: missing.is_empty(), missing, detail }
}

async fn ask_all(
    program: PathBuf,
    credential: Credential,
    env: Vec<(&'static str, OsString)>,
    cwd: &Path,
    detail: &mut Value,
) -> Result<(), Trouble> {
    detail["cli"] = json!(program);
    let broken = |why: String| Trouble::Broken(program.clone(), why);
    let said = ask(&program, &["--version"], &env, cwd).await.map_err(|error| broken(error.to_string()))?;
    let said = String::from_utf8_lossy(&said);
    let version = version(&said).ok_or_else(|| broken("no number in its answer".to_owned()))?;
    detail["version"] = json!(version);
    if compare(version, OLDEST) == Ordering::Less {
        return Err(Trouble::Old(program, version.to_owned()));
    }
    match credential {
        Credential::Given(name) => {
            detail["auth"] = json!(name);
            Ok(())
        }
        Credential::Login => login(&program, &env, cwd, detail).await,
        Credential::Missing => Err(Trouble::NoLogin),
    }
}

/// Whether somebody is logged in at the CLI. Does not say who.
async fn login(
    program: &Path,
    env: &[(&'static str, OsString)],
    cwd: &Path,
    detail: &mut Value,
) -> Result<(), Trouble> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Status {
        logged_in: bool,
        auth_method: Option<String>,
    }
    let broken = |why: String| Trouble::Broken(program.to_owned(), why);
    // It ends with a failure where nobody is, and says so all the same.
    let said =
        ask(program, &["auth", "status"], env, cwd).await.map_err(|error| broken(error.to_string()))?;
    let status: Status =
        serde_json::from_slice(&said).map_err(|_| broken("no JSON of `auth status`".to_owned()))?;
    detail["auth"] = json!(status.auth_method);
    if status.logged_in { Ok(()) } else { Err(Trouble::NoLogin) }
}

/// What the CLI prints when it is run like this.
async fn ask(
    program: &Path,
    args: &[&str],
    env: &[(&'static str, OsString)],
    cwd: &Path,
) -> io::Result<Vec<u8>> {
    let mut child = Command::new(program)
        .args(args)
        .env_clear()
        .envs(env.iter().map(|(name, value)| (name, value)))
        .current_dir(cwd)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .process_group(0)
        .kill_on_drop(true)
        .spawn()?;
    // What it has started goes with it, also where nobody waits any more.
    let _group = Group(child.id().and_then(|id| Pid::from_raw(i32::try_from(id).ok()?)));
    let mut said = Vec::new();
    let read = async {
        if let Some(stdout) = child.stdout.take() {
            stdout.take(LONGEST).read_to_end(&mut said).await?;
        }
        child.wait().await
    };
    timeout(PATIENCE, read).await??;
    Ok(said)
}

/// A group of processes, killed when it is dropped.
struct Group(Option<Pid>);

impl Drop for Group {
    fn drop(&mut self) {
        if let Some(group) = self.0 {
            let _gone = kill_process_group(group, Signal::KILL);
        }
    }
}

/// The number in "2.1.329 (Claude Code)".
fn version(said: &str) -> Option<&str> {
    let is_version =
        |word: &&str| word.split('.').count() == 3 && word.split('.').all(|part| part.parse::<u32>().is_ok());
    said.split_whitespace().find(is_version)
}

fn compare(one: &str, other: &str) -> Ordering {
    let parts = |version: &str| -> Vec<u32> { version.split('.').flat_map(str::parse).collect() };
    parts(one).cmp(&parts(other))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A program that says `version` and has this to say about its login.
    fn cli(folder: &Path, version: &str, login: &str, mode: u32) -> PathBuf {
        let path = folder.join("claude");
        let script = format!(
            "#!/bin/sh\necho run >> \"$LOG\"\n[ \"$1\" = --version ] && {{ {version}; exit; }}\necho '{login}'\nexit 1\n"
        );
        // Written by another process: a program that one of ours has open for writing cannot be run, and what other
        // tests start meanwhile would have it open.
        let write = format!("printf %s \"$1\" > \"$0\"; chmod {mode:o} \"$0\"");
        let written =
            std::process::Command::new("/bin/sh").arg("-c").arg(write).arg(&path).arg(script).status();
        assert!(written.unwrap().success());
        path
    }

    fn env(folder: &Path) -> Vec<(&'static str, OsString)> {
        vec![("PATH", "/usr/bin:/bin".into()), ("LOG", folder.join("log").into())]
    }

    async fn readiness(version: &str, login: &str, mode: u32, credential: Credential) -> (Readiness, usize) {
        let folder = tempfile::tempdir().unwrap();
        let program = cli(folder.path(), version, login, mode);
        let found = find(&program, OsStr::new(""));
        let readiness = look(found, credential, env(folder.path()), folder.path()).await;
        let runs = fs::read_to_string(folder.path().join("log")).unwrap_or_default().lines().count();
        (readiness, runs)
    }

    #[tokio::test]
    async fn a_cli_that_works_is_asked_its_version_and_its_own_login_only_where_that_counts() {
        let (ready, runs) =
            readiness("echo '2.1.329 (Claude Code)'", "", 0o700, Credential::Given("api_key")).await;
        assert!(ready.ready, "{}", ready.missing);
        assert_eq!((&ready.detail["version"], &ready.detail["auth"]), (&json!("2.1.329"), &json!("api_key")));
        assert_eq!(runs, 1);
        let login = r#"{"loggedIn": true, "authMethod": "claude.ai"}"#;
        let (ready, runs) = readiness("echo 2.2.0", login, 0o700, Credential::Login).await;
        assert!(ready.ready, "{}", ready.missing);
        assert_eq!((&ready.detail["auth"], runs), (&json!("claude.ai"), 2));
    }

    #[tokio::test]
    async fn a_cli_that_does_not_answer_is_ended_with_all_that_it_has_started() {
        let folder = tempfile::tempdir().unwrap();
        let children = folder.path().join("children");
        let hang = format!("{{ sleep 300 & echo $! > '{}'; sleep 300; }}", children.display());
        let program = cli(folder.path(), &hang, "", 0o700);
        let found = find(&program, OsStr::new(""));
        let asking = look(found, Credential::Missing, env(folder.path()), folder.path());
        let started = async {
            loop {
                let child = fs::read_to_string(&children).unwrap_or_default();
                if let Ok(child) = child.trim().parse::<i32>() {
                    return child;
                }
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        let child = tokio::select! {
            _ = asking => panic!("it has answered"),
            child = started => Pid::from_raw(child).unwrap(),
        };
        // Dropped by now.
        let deadline = Instant::now() + PATIENCE;
        let stat =
            || fs::read_to_string(format!("/proc/{}/stat", child.as_raw_nonzero())).unwrap_or_default();
        while rustix::process::test_kill_process(child).is_ok() && !stat().contains(") Z ") {
            assert!(Instant::now() < deadline, "it goes on: {}", stat());
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    #[tokio::test]
    async fn what_is_missing_is_said_with_what_to_do_about_it() {
        let given = Credential::Given("api_key");
        for (version, login, mode, credential, says) in [
            ("echo 2.1.196", "", 0o700, given.clone(), "run `"),
            ("echo 1.0.128", "", 0o700, given.clone(), "2.1.197 is the oldest that works"),
            ("echo hello", "", 0o700, given.clone(), "does not say its version"),
            ("echo 2.1.329", "", 0o600, given, "`chmod +x` it"),
            ("echo 2.1.329", r#"{"loggedIn": false}"#, 0o700, Credential::Login, "ANTHROPIC_API_KEY"),
            ("echo 2.1.329", "oops", 0o700, Credential::Login, "auth status"),
            ("echo 2.1.329", "", 0o700, Credential::Missing, "ANTHROPIC_API_KEY"),
        ] {
            let (readiness, _) = readiness(version, login, mode, credential).await;
            assert!(!readiness.ready && readiness.missing.contains(says), "{says}: {}", readiness.missing);
        }
        let found = find(Path::new("claude"), OsStr::new("/nowhere:/nowhere/else"));
        let readiness = look(found, Credential::Login, Vec::new(), Path::new("/")).await;
        assert!(
            readiness.missing.contains("npm install -g @anthropic-ai/claude-code"),
            "{}",
            readiness.missing
        );
    }

    #[test]
    fn what_is_known_holds_for_a_while_and_a_trouble_for_a_moment() {
        let readiness = |ready| Readiness { ready, missing: String::new(), detail: Value::Null };
        let ago = |age| Instant::now().checked_sub(age).unwrap();
        let minute = Duration::from_secs(60);
        assert!(still(Some(&(ago(minute), readiness(true)))).is_some());
        assert!(still(Some(&(ago(minute), readiness(false)))).is_none());
        assert!(still(Some(&(ago(Duration::ZERO), readiness(false)))).is_some());
        assert!(still(Some(&(ago(10 * minute), readiness(true)))).is_none());
        assert!(still(None).is_none());
    }

    #[test]
    fn a_name_is_looked_for_in_the_path_and_a_path_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let program = cli(folder.path(), "", "", 0o700);
        let path = OsString::from(format!("/nowhere:{}", folder.path().display()));
        assert_eq!(find(Path::new("claude"), &path), Ok(program.clone()));
        assert_eq!(find(&program, &path), Ok(program));
        let missing = PathBuf::from("./claude");
        assert_eq!(find(&missing, &path), Err(Trouble::Absent(missing)));
    }

    #[test]
    fn versions_are_compared_by_their_numbers() {
        assert_eq!(compare("2.1.1000", "2.1.197"), Ordering::Greater);
        assert_eq!(compare("2.0.999", OLDEST), Ordering::Less);
        assert_eq!(version("2.1.329 (Claude Code)\n"), Some("2.1.329"));
        assert_eq!(version("version: unknown"), None);
    }
}
