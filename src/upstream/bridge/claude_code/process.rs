//! A run of the CLI: a process in a group of its own, lines of JSON both ways, and the end of all of it.

use std::ffi::OsString;
use std::io;
use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group};
use serde::Serialize;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::process::{Child, ChildStderr, ChildStdin, ChildStdout, Command};
use tokio::sync::mpsc;
use tokio::time::timeout;
use tokio_util::task::TaskTracker;

use super::folders::Folder;
use super::lines::{Lines, TooLong};

/// From being asked to stop to being told to.
const TILL_TERM: Duration = Duration::from_millis(200);
/// From being told to stop to being stopped.
const TILL_KILL: Duration = Duration::from_millis(500);
/// How long what a process has said may be on its way once it has ended.
const LAST_WORDS: Duration = Duration::from_millis(200);
/// What is kept of the complaints of a process. Bytes.
const COMPLAINT: usize = 4096;

/// Kills the group `$1` when nobody holds the other end of stdin any more, unless it was told that all is well.
const WATCHDOG: &str = "read -r _ || kill -s KILL -- \"-$1\"";

/// What is to be run.
#[derive(Debug)]
pub(super) struct Run {
    /// The program, with its whole path.
    pub program: PathBuf,
    /// Its arguments. Every user of the machine can read them.
    pub args: Vec<OsString>,
    /// Its whole environment.
    pub env: Vec<(&'static str, OsString)>,
    /// Where it works.
    pub cwd: PathBuf,
    /// What is removed once it has ended.
    pub folder: Option<Folder>,
}

/// Why there is no next line.
#[derive(Debug, thiserror::Error)]
pub(super) enum LineError {
    /// The pipe broke.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// A line has no end.
    #[error(transparent)]
    TooLong(#[from] TooLong),
}

/// A process that runs. Dropped, it is interrupted, told to stop and killed, one after the other, with all of its
/// group, in less than a second. Should this program be killed, the group is killed, too.
#[derive(Debug)]
pub(super) struct Process {
    live: Option<Live>,
    stdout: ChildStdout,
    lines: Lines,
    /// Whether the process itself has ended.
    ended: bool,
    input: Option<mpsc::UnboundedSender<Vec<u8>>>,
    complaint: Arc<Mutex<Vec<u8>>>,
    tasks: TaskTracker,
}

/// What has to be ended.
#[derive(Debug)]
struct Live {
    child: Child,
    group: Pid,
    watchdog: Option<ChildStdin>,
    folder: Option<Folder>,
}

impl Process {
    /// Starts it.
    ///
    /// # Errors
    /// Those of starting a program; `NotFound` where there is none.
    pub(super) fn start(run: Run, tasks: &TaskTracker) -> io::Result<Self> {
        let mut child = Command::new(&run.program)
            .args(&run.args)
            .env_clear()
            .envs(run.env)
            .current_dir(&run.cwd)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0)
            .spawn()?;
        let id = child.id().and_then(|id| Pid::from_raw(i32::try_from(id).ok()?));
        let group = id.ok_or_else(|| io::Error::other("the process has no id"))?;
        let (stdin, stdout, stderr) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
        let live = Live { child, group, watchdog: watchdog(group), folder: run.folder };
        if let Some(folder) = &live.folder {
            folder.note(group);
        }
        let (Some(stdin), Some(stdout), Some(stderr)) = (stdin, stdout, stderr) else {
            return Err(io::Error::other("the process has no pipes"));
        };
        let (input, queue) = mpsc::unbounded_channel();
        tasks.spawn(write(stdin, queue));
        let complaint = Arc::default();
        tasks.spawn(listen(stderr, Arc::clone(&complaint)));
        let (lines, tasks) = (Lines::default(), tasks.clone());
        Ok(Self { live: Some(live), stdout, lines, ended: false, input: Some(input), complaint, tasks })
    }

    /// The next JSON object that it says; `None` when it says nothing more. May be dropped and called again.
    pub(super) async fn next(&mut self) -> Result<Option<Vec<u8>>, LineError> {
        loop {
            if let Some(line) = self.lines.next()? {
                return Ok(Some(line));
            }
            let over = match &mut self.live {
                Some(live) if !self.ended => tokio::select! {
                    biased;
                    read = self.stdout.read_buf(self.lines.room()) => read? == 0,
                    _ = live.child.wait() => {
                        self.ended = true;
                        false
                    }
                },
                // What it has started may hold the pipe, and never say anything.
                _ => match timeout(LAST_WORDS, self.stdout.read_buf(self.lines.room())).await {
                    Ok(read) => read? == 0,
                    Err(_) => true,
                },
            };
            if over {
                return Ok(self.lines.rest());
            }
        }
    }

    /// Says a line of JSON to it. What a process that has ended is told, is lost: [`Process::next`] finds out.
    pub(super) fn say(&self, line: &impl Serialize) {
        if let (Some(input), Ok(mut line)) = (&self.input, serde_json::to_vec(line)) {
            line.push(b'\n');
            let _gone = input.send(line);
        }
    }

    /// Nothing more will be said to it.
    pub(super) fn hang_up(&mut self) {
        self.input = None;
    }

    /// Ends it at once: what it is doing is of no use any more, and costs money.
    pub(super) fn kill(&mut self) {
        self.hang_up();
        if let Some(live) = &self.live {
            kill(live.group, Signal::KILL);
        }
    }

    /// Waits for its end.
    pub(super) async fn exit(&mut self) -> io::Result<ExitStatus> {
        match &mut self.live {
            Some(live) => live.child.wait().await,
            None => Err(io::ErrorKind::NotFound.into()),
        }
    }

    /// The last that it complained about, on stderr. Not for clients: it may name files.
    pub(super) fn complaint(&self) -> String {
        let complaint = self.complaint.lock().unwrap_or_else(PoisonError::into_inner);
        String::from_utf8_lossy(&complaint).trim().to_owned()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let interrupt = serde_json::json!({
            "type": "control_request", "request_id": "stop", "request": {"subtype": "interrupt"},
        });
        self.say(&interrupt);
        self.hang_up();
        let Some(live) = self.live.take() else { return };
        match tokio::runtime::Handle::try_current() {
            Ok(_) => drop(self.tasks.spawn(live.end())),
            // No runtime, no patience. The watchdog would do the same.
            Err(_) => kill(live.group, Signal::KILL),
        }
    }
}

impl Live {
    async fn end(mut self) {
        if timeout(TILL_TERM, self.child.wait()).await.is_err() {
            kill(self.group, Signal::TERM);
            if timeout(TILL_KILL, self.child.wait()).await.is_err() {
                kill(self.group, Signal::KILL);
                let _status = self.child.wait().await;
            }
        }
        // What it has left behind.
        kill(self.group, Signal::KILL);
        if let Some(mut watchdog) = self.watchdog.take() {
            let _gone = watchdog.write_all(b"\n").await;
        }
    }
}

fn kill(group: Pid, signal: Signal) {
    // It may have ended by itself.
    let _gone = kill_process_group(group, signal);
}

/// Starts what kills the group should this program end without doing so.
fn watchdog(group: Pid) -> Option<ChildStdin> {
    let started = Command::new("/bin/sh")
        .args(["-c", WATCHDOG, "watchdog", &group.as_raw_nonzero().to_string()])
        .env_clear()
        .current_dir("/")
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .process_group(0)
        .spawn();
    match started {
        Ok(mut shell) => shell.stdin.take(),
        Err(error) => {
            tracing::warn!(%error, "no /bin/sh: should the proxy be killed, the CLI goes on");
            None
        }
    }
}

async fn write(mut stdin: ChildStdin, mut queue: mpsc::UnboundedReceiver<Vec<u8>>) {
    while let Some(line) = queue.recv().await {
        if stdin.write_all(&line).await.is_err() {
            return;
        }
    }
}

async fn listen(mut stderr: ChildStderr, complaint: Arc<Mutex<Vec<u8>>>) {
    let mut buffer = vec![0; COMPLAINT];
    while let Ok(read @ 1..) = stderr.read(&mut buffer).await {
        let mut kept = complaint.lock().unwrap_or_else(PoisonError::into_inner);
        kept.extend_from_slice(buffer.get(..read).unwrap_or_default());
        let over = kept.len().saturating_sub(COMPLAINT);
        kept.drain(..over);
    }
}

#[cfg(test)]
mod tests;
