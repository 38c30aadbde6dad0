//! Where runs of the CLI have their files: a folder for each run of the proxy, one in it for each run of the CLI.
//!
//! The proxy holds a lock in its folder while it lives. A folder that nobody holds is one of a proxy that was killed:
//! the next one ends what still runs there, and removes it.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::process::{Pid, Signal, kill_process_group};

use crate::state;

const LOCK: &str = "lock";
const PROCESS: &str = "process";

/// The folder of this run of the proxy. Removed with its last [`Folder`].
#[derive(Clone, Debug)]
pub(super) struct Folders(Arc<Held>);

#[derive(Debug)]
struct Held {
    path: PathBuf,
    _lock: File,
}

/// The folder of one run of the CLI: what is in it goes when this is dropped.
#[derive(Debug)]
pub(super) struct Folder {
    path: PathBuf,
    _held: Folders,
}

impl Folders {
    /// A new one under `parent`, after what killed proxies have left there is gone.
    ///
    /// # Errors
    /// Those of the file system.
    pub(super) fn new(parent: &Path) -> io::Result<Self> {
        make(parent)?;
        // One proxy at a time: a folder that is new has no lock yet.
        let turn = write(&parent.join(LOCK), b"")?;
        turn.lock()?;
        sweep(parent)?;
        let path = parent.join(name()?);
        make(&path)?;
        let lock = write(&path.join(LOCK), b"")?;
        lock.lock()?;
        turn.unlock()?;
        Ok(Self(Arc::new(Held { path, _lock: lock })))
    }

    /// A folder for a run, with `home` and `work` in it, both empty.
    ///
    /// # Errors
    /// Those of the file system.
    pub(super) fn folder(&self) -> io::Result<Folder> {
        let folder = Folder { path: self.0.path.join(name()?), _held: self.clone() };
        make(&folder.path)?;
        make(&folder.home())?;
        make(&folder.work())?;
        Ok(folder)
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        let _gone = fs::remove_dir_all(&self.path);
    }
}

impl Folder {
    /// The home of the user that the CLI takes itself to run for.
    pub(super) fn home(&self) -> PathBuf {
        self.path.join("home")
    }

    /// Where it works.
    pub(super) fn work(&self) -> PathBuf {
        self.path.join("work")
    }

    /// Writes a file that only this user can read, and says where it is.
    ///
    /// # Errors
    /// Those of the file system.
    pub(super) fn write(&self, name: &str, content: &[u8]) -> io::Result<PathBuf> {
        let path = self.path.join(name);
        write(&path, content)?;
        Ok(path)
    }

    /// Remembers what runs here, for the proxy that comes after this one has been killed.
    pub(super) fn note(&self, group: Pid) {
        let group = group.as_raw_nonzero().get();
        if let Some(begun) = begun(group)
            && let Err(error) = self.write(PROCESS, format!("{group} {begun}").as_bytes())
        {
            tracing::debug!(%error, "what runs is not on record");
        }
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_dir_all(&self.path) {
            tracing::debug!(%error, "a folder of the CLI is left");
        }
    }
}

fn sweep(parent: &Path) -> io::Result<()> {
    for entry in fs::read_dir(parent)?.flatten() {
        let path = entry.path();
        let Ok(lock) = File::open(path.join(LOCK)) else { continue };
        if lock.try_lock().is_ok() {
            for run in fs::read_dir(&path)?.flatten() {
                end(&run.path().join(PROCESS));
            }
            if let Err(error) = fs::remove_dir_all(&path) {
                tracing::debug!(%error, "a folder of an earlier run is left");
            }
        }
    }
    Ok(())
}

/// Kills the group on record, if it is still the one that was started.
fn end(record: &Path) {
    let Ok(record) = fs::read_to_string(record) else { return };
    let Some((group, then)) = record.split_once(' ') else { return };
    let Ok(group) = group.parse::<i32>() else { return };
    if begun(group).as_deref() == Some(then)
        && let Some(group) = Pid::from_raw(group)
    {
        let _gone = kill_process_group(group, Signal::KILL);
    }
}

/// When a process began, in ticks since the start of the machine: ids are given anew, and this tells whose it is
/// (proc_pid_stat(5), field 22). Unknown where there is no `/proc`.
fn begun(process: i32) -> Option<String> {
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
    // The name, in parentheses, may hold anything.
    let (_, fields) = stat.rsplit_once(") ")?;
    fields.split(' ').nth(19).map(str::to_owned)
}

fn make(path: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(path)
}

fn write(path: &Path, content: &[u8]) -> io::Result<File> {
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)?;
    file.write_all(content)?;
    Ok(file)
}

fn name() -> io::Result<String> {
    Ok(state::random::<8>()?.iter().map(|byte| format!("{byte:02x}")).collect())
}
