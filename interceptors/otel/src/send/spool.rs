//! Batches on disk: a file each, in a directory of this run.
//!
//! `DIR/<destination>-<run>/<time>-<number>-<signal>-<items>.otlp`, and `DIR/<destination>-<run>.lock`, which is locked for
//! as long as the run is alive. Whoever finds it unlocked adopts the directory, if it sends that signal to the same
//! endpoint: what was meant for one backend never goes to another.

use std::collections::BTreeMap;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::mem;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use tracing::{debug, info, warn};

use super::{Batch, Counts, Signal};
use crate::settings::Spooling;

mod name;

use name::Name;

/// Batches that wait on disk, oldest first.
#[derive(Debug)]
pub(crate) struct Spool {
    settings: Spooling,
    /// Where each signal goes.
    destinations: BTreeMap<Signal, Destination>,
    /// The directories of this run, once there are some.
    own: BTreeMap<Signal, Run>,
    /// Those of runs that are over.
    adopted: Vec<Run>,
    waiting: BTreeMap<Name, Entry>,
    /// Of all files: those that wait and those in hand.
    bytes: u64,
    written: u64,
    said: Said,
    counts: Arc<Counts>,
}

/// What was said already: there may be any number of files.
#[derive(Debug, Default)]
struct Said {
    /// That nothing can be written. Said again once something could be.
    unwritable: bool,
    /// That a file is broken, or cannot be read.
    broken: bool,
    /// That a file cannot be removed.
    stuck: bool,
}

/// A file of the spool.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    name: Name,
    path: PathBuf,
    size: u64,
}

/// The directory of a run.
#[derive(Debug)]
struct Run {
    directory: PathBuf,
    lock_path: PathBuf,
    /// Held until it is dropped.
    _lock: File,
}

/// The hash of where a signal goes.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Destination(String);

/// Behind what it is the digest of, at the beginning of each file.
const DIGEST: usize = 16;

impl Spool {
    /// Looks for what earlier runs have left. Nothing is made before it is needed.
    pub(crate) fn open(settings: Spooling, endpoints: &[(Signal, String)], counts: Arc<Counts>) -> Self {
        let destinations =
            endpoints.iter().map(|(signal, endpoint)| (*signal, Destination::of(*signal, endpoint)));
        let mut spool = Self {
            settings,
            destinations: destinations.collect(),
            own: BTreeMap::new(),
            adopted: Vec::new(),
            waiting: BTreeMap::new(),
            bytes: 0,
            written: 0,
            said: Said::default(),
            counts,
        };
        spool.adopt_all();
        spool.make_room(0);
        spool.tell_bytes();
        spool
    }

    /// Writes a batch, and leaves it there to be taken.
    ///
    /// # Errors
    /// Where it cannot be written.
    pub(crate) fn keep(&mut self, batch: &Batch) -> io::Result<()> {
        let entry = self.keep_in_hand(batch)?;
        self.waiting.insert(entry.name, entry);
        Ok(())
    }

    /// Writes a batch that the caller is about to send.
    ///
    /// # Errors
    /// Where it cannot be written.
    pub(crate) fn keep_in_hand(&mut self, batch: &Batch) -> io::Result<Entry> {
        let kept = self.write(batch);
        match &kept {
            Ok(_) => self.said.unwritable = false,
            Err(error) if !mem::replace(&mut self.said.unwritable, true) => {
                warn!(directory = %self.settings.directory.display(), %error, "the spool cannot be written to");
            }
            Err(error) => debug!(%error, "the spool cannot be written to"),
        }
        kept
    }

    fn write(&mut self, batch: &Batch) -> io::Result<Entry> {
        let size = batch.size().saturating_add(DIGEST as u64);
        if size > self.settings.max_size {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        self.make_room(size);
        self.written += 1;
        let nanos = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos();
        let nanos = u64::try_from(nanos).unwrap_or(u64::MAX);
        let name = Name { nanos, number: self.written, signal: batch.signal, items: batch.items };
        let path = self.own_directory(batch.signal)?.join(name.to_string());
        write_whole(&path, batch)?;
        self.bytes += size;
        self.tell_bytes();
        Ok(Entry { name, path, size })
    }

    /// The oldest that waits, of this signal.
    pub(crate) fn take(&mut self, signal: Signal) -> Option<Entry> {
        self.drop_aged();
        let name = *self.waiting.keys().find(|name| name.signal == signal)?;
        self.waiting.remove(&name)
    }

    /// It is not needed any more.
    pub(crate) fn remove(&mut self, entry: &Entry) {
        if let Err(error) = fs::remove_file(&entry.path)
            && error.kind() != io::ErrorKind::NotFound
            && !mem::replace(&mut self.said.stuck, true)
        {
            warn!(file = %entry.path.display(), %error, "a file of the spool cannot be removed");
        }
        self.bytes = self.bytes.saturating_sub(entry.size);
        self.tell_bytes();
    }

    /// It cannot be read: broken, it is lost; else it is left to the next run.
    pub(crate) fn discard(&mut self, entry: &Entry, error: &io::Error) {
        use io::ErrorKind::{InvalidData, NotFound, UnexpectedEof};
        let is_broken = matches!(error.kind(), InvalidData | NotFound | UnexpectedEof);
        if !mem::replace(&mut self.said.broken, true) {
            let fate = if is_broken { "removed" } else { "left for a later run" };
            warn!(file = %entry.path.display(), %error, fate, "a file of the spool cannot be read; more are not said");
        }
        if !is_broken {
            return;
        }
        self.remove(entry);
        self.counts.lost(entry.name.items, "a file of the spool is broken");
    }

    /// Nothing comes any more: removes directories that nothing is left in.
    pub(crate) fn close(&mut self) {
        for run in mem::take(&mut self.own).into_values().chain(self.adopted.drain(..)) {
            run.remove_if_empty();
        }
    }

    /// Makes room for so many bytes: the oldest go.
    fn make_room(&mut self, bytes: u64) {
        while self.bytes.saturating_add(bytes) > self.settings.max_size
            && let Some((name, entry)) = self.waiting.pop_first()
        {
            self.remove(&entry);
            self.counts.lost(name.items, "the spool is full");
        }
    }

    fn drop_aged(&mut self) {
        let max_age = self.settings.max_age;
        let aged = |name: &Name| {
            let written = UNIX_EPOCH + Duration::from_nanos(name.nanos);
            written.elapsed().is_ok_and(|age| age > max_age)
        };
        while let Some(oldest) = self.waiting.first_entry().filter(|oldest| aged(oldest.key())) {
            let (name, entry) = oldest.remove_entry();
            self.remove(&entry);
            self.counts.lost(name.items, "it has been in the spool for too long");
        }
    }

    fn own_directory(&mut self, signal: Signal) -> io::Result<PathBuf> {
        let run = match (self.own.remove(&signal), self.destinations.get(&signal)) {
            (Some(run), _) => run,
            (None, Some(destination)) => Run::new(&self.settings.directory, destination)?,
            (None, None) => return Err(io::ErrorKind::NotFound.into()),
        };
        let directory = run.directory.clone();
        self.own.insert(signal, run);
        // Somebody may have tidied up.
        make_directory(&directory)?;
        Ok(directory)
    }

    fn adopt_all(&mut self) {
        let directory = match fs::read_dir(&self.settings.directory) {
            Ok(directory) => directory,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return,
            Err(error) => {
                warn!(directory = %self.settings.directory.display(), %error, "the spool cannot be read");
                return;
            }
        };
        for run in directory.flatten().filter(|run| run.file_type().is_ok_and(|kind| kind.is_dir())) {
            // Not everything here needs to be ours.
            let Some(destination) = run.file_name().to_str().and_then(Destination::of_run) else { continue };
            let Some(run) = Run::adopt(&run.path()) else { continue };
            if self.destinations.values().any(|own| *own == destination) {
                self.adopt(run);
            } else {
                run.remove_aged(self.settings.max_age);
                run.remove_if_empty();
            }
        }
        if !self.waiting.is_empty() {
            let items: u64 = self.waiting.keys().map(|name| name.items).sum();
            info!(items, "telemetry of an earlier run will be sent");
        }
    }

    fn adopt(&mut self, run: Run) {
        for file in fs::read_dir(&run.directory).into_iter().flatten().flatten() {
            let path = file.path();
            if path.extension().is_some_and(|extension| extension == name::UNFINISHED) {
                let _ = fs::remove_file(&path);
            } else if let Some(name) = file.file_name().to_str().and_then(Name::parse)
                && let Ok(metadata) = file.metadata()
            {
                self.bytes += metadata.len();
                self.waiting.insert(name, Entry { name, path, size: metadata.len() });
            }
        }
        self.adopted.push(run);
    }

    fn tell_bytes(&self) {
        self.counts.spooled(self.bytes);
    }
}

impl Destination {
    fn of(signal: Signal, endpoint: &str) -> Self {
        Self(format!("{:x}", md5::compute(format!("{} {endpoint}", signal.name()))))
    }

    /// That of a run's directory: `<hash>-<process>-<time>`.
    fn of_run(directory: &str) -> Option<Self> {
        let mut parts = directory.split('-');
        let hash =
            parts.next().filter(|hash| hash.len() == 32 && hash.bytes().all(|b| b.is_ascii_hexdigit()))?;
        let numbers: Vec<&str> = parts.collect();
        let are_numbers = numbers.iter().all(|part| part.bytes().all(|byte| byte.is_ascii_digit()));
        (numbers.len() == 2 && are_numbers).then(|| Self(hash.to_owned()))
    }
}

impl Entry {
    /// The batch in it.
    ///
    /// # Errors
    /// Where it cannot be read, or is broken.
    pub(crate) fn read(&self) -> io::Result<Batch> {
        let mut digest = fs::read(&self.path)?;
        if digest.len() < DIGEST {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let body = digest.split_off(DIGEST);
        if md5::compute(&body).0 != *digest {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "its content is not what was written"));
        }
        Ok(Batch { signal: self.name.signal, items: self.name.items, body: Bytes::from(body) })
    }
}

impl Run {
    fn new(spool: &Path, Destination(destination): &Destination) -> io::Result<Self> {
        make_directory(spool)?;
        let nanos = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos();
        let directory = spool.join(format!("{destination}-{}-{nanos}", std::process::id()));
        // The lock comes first: a directory without one is taken for that of a run that is over.
        let (lock_path, lock) = lock(&directory)?;
        let run = Self { directory, lock_path, _lock: lock };
        make_directory(&run.directory)?;
        Ok(run)
    }

    /// Takes over a run that is over, if it is.
    fn adopt(directory: &Path) -> Option<Self> {
        let (lock_path, lock) = lock(directory).ok()?;
        Some(Self { directory: directory.to_owned(), lock_path, _lock: lock })
    }

    fn remove_aged(&self, max_age: Duration) {
        for file in fs::read_dir(&self.directory).into_iter().flatten().flatten() {
            let written = file.metadata().and_then(|metadata| metadata.modified());
            if written.is_ok_and(|written| written.elapsed().is_ok_and(|age| age > max_age)) {
                let _ = fs::remove_file(file.path());
            }
        }
    }

    fn remove_if_empty(self) {
        if fs::remove_dir(&self.directory).is_ok() {
            let _ = fs::remove_file(&self.lock_path);
        }
    }
}

/// Locks the run of this directory.
fn lock(directory: &Path) -> io::Result<(PathBuf, File)> {
    let path = directory.with_extension("lock");
    let file = OpenOptions::new().create(true).truncate(false).write(true).mode(0o600).open(&path)?;
    file.try_lock().map_err(io::Error::from)?;
    Ok((path, file))
}

fn make_directory(directory: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(directory)
}

/// Writes the file so that it is there whole or not at all.
fn write_whole(path: &Path, batch: &Batch) -> io::Result<()> {
    let unfinished = path.with_extension(name::UNFINISHED);
    let write = || {
        let mut file = OpenOptions::new().create_new(true).write(true).mode(0o600).open(&unfinished)?;
        file.write_all(&md5::compute(&batch.body).0)?;
        file.write_all(&batch.body)?;
        drop(file);
        fs::rename(&unfinished, path)
    };
    write().inspect_err(|_| {
        let _ = fs::remove_file(&unfinished);
    })
}
