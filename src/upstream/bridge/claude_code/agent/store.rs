//! What outlives a run: projects, sessions and what was said in them, in one SQLite file.
//!
//! One connection, on a thread of its own: who asks something of it waits for its turn, and a write that nobody waits
//! for is still done in its order.

use std::fs::OpenOptions;
use std::io;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rusqlite::Connection;
use serde::Serializer;

use crate::upstream::bridge::{Failure, Kind};

pub(super) mod projects;
pub(super) mod sessions;

#[cfg(test)]
mod tests;

/// What makes each version of the file out of the one before; `PRAGMA user_version` counts them.
const MIGRATIONS: [&str; 1] = [include_str!("store/1.sql")];

/// How long another process that has the file open may keep us waiting.
const BUSY: Duration = Duration::from_secs(5);

type Job = Box<dyn FnOnce(&mut Connection) + Send>;

/// The file, open.
#[derive(Debug)]
pub(in super::super) struct Store {
    jobs: mpsc::Sender<Job>,
}

/// Why the file is of no use, or did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub(in super::super) enum StoreError {
    /// It cannot be made or opened.
    #[error("cannot open {path}: {source}")]
    Open {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A later version of this program wrote it.
    #[error(
        "{path} is of version {found}; this program knows versions up to {known}. Use the newer program, or \
             move the file away"
    )]
    Newer {
        /// The file.
        path: PathBuf,
        /// Its version.
        found: i64,
        /// The latest that is known here.
        known: usize,
    },
    /// It is damaged, or no such file at all.
    #[error("{path} cannot be read: {source}. It is left as it is: repair it, or move it away")]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What SQLite said.
        source: rusqlite::Error,
    },
    /// A statement failed.
    #[error("the store of sessions failed: {0}")]
    Sql(#[from] rusqlite::Error),
    /// Its thread is gone.
    #[error("the store of sessions is closed")]
    Closed,
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        tracing::error!(%error, "the agent's store of sessions does not work");
        Self::new(Kind::Unavailable, "the store of sessions does not work: see the log")
    }
}

impl Store {
    /// Opens `path`, and makes it where it is not there yet.
    ///
    /// # Errors
    /// Where it is damaged, of a later version, or cannot be opened. It is never deleted.
    pub(super) fn open(path: &Path) -> Result<Self, StoreError> {
        let mut connection = connect(path)?;
        migrate(&mut connection, path)?;
        let (jobs, work) = mpsc::channel::<Job>();
        let run = move || {
            while let Ok(job) = work.recv() {
                job(&mut connection);
            }
        };
        let thread = std::thread::Builder::new().name("agent-store".to_owned());
        thread.spawn(run).map_err(|source| StoreError::Open { path: path.to_owned(), source })?;
        Ok(Self { jobs })
    }

    /// Does `work` in one transaction, in its turn. It is done even if nobody waits for it any more.
    ///
    /// # Errors
    /// Those of `work`; nothing of it is kept then.
    pub(super) async fn run<T, E>(
        &self,
        work: impl FnOnce(&Connection) -> Result<T, E> + Send + 'static,
    ) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<StoreError> + Send + 'static,
    {
        let (tell, told) = tokio::sync::oneshot::channel();
        let job = move |connection: &mut Connection| {
            // Who asked may have left: then nobody hears, and it is done all the same.
            let _ = tell.send(in_transaction(connection, work));
        };
        self.jobs.send(Box::new(job)).map_err(|_| StoreError::Closed)?;
        told.await.map_err(|_| StoreError::Closed)?
    }
}

fn in_transaction<T, E: From<StoreError>>(
    connection: &mut Connection,
    work: impl FnOnce(&Connection) -> Result<T, E>,
) -> Result<T, E> {
    let transaction = connection.transaction().map_err(StoreError::Sql)?;
    let done = work(&transaction)?;
    transaction.commit().map_err(StoreError::Sql)?;
    Ok(done)
}

fn connect(path: &Path) -> Result<Connection, StoreError> {
    // Made by us, so that nobody else can read it from its first moment on. SQLite's other files take its mode over.
    let made = OpenOptions::new().append(true).create(true).mode(0o600).open(path);
    made.map_err(|source| StoreError::Open { path: path.to_owned(), source })?;
    let damaged = |source| StoreError::Damaged { path: path.to_owned(), source };
    let connection = Connection::open(path).map_err(damaged)?;
    connection.busy_timeout(BUSY).map_err(damaged)?;
    connection.pragma_update(None, "journal_mode", "wal").map_err(damaged)?;
    connection.pragma_update(None, "foreign_keys", true).map_err(damaged)?;
    Ok(connection)
}

fn migrate(connection: &mut Connection, path: &Path) -> Result<(), StoreError> {
    let damaged = |source| StoreError::Damaged { path: path.to_owned(), source };
    let check: String =
        connection.query_row("PRAGMA quick_check(1)", [], |row| row.get(0)).map_err(damaged)?;
    if check != "ok" {
        return Err(damaged(rusqlite::Error::InvalidColumnName(check)));
    }
    let transaction =
        connection.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate).map_err(damaged)?;
    let found: i64 = transaction.query_row("PRAGMA user_version", [], |row| row.get(0)).map_err(damaged)?;
    let known = MIGRATIONS.len();
    let Some(missing) = usize::try_from(found).ok().and_then(|found| MIGRATIONS.get(found..)) else {
        return Err(StoreError::Newer { path: path.to_owned(), found, known });
    };
    for statements in missing {
        transaction.execute_batch(statements).map_err(damaged)?;
    }
    let version = i64::try_from(known).unwrap_or(i64::MAX);
    transaction.pragma_update(None, "user_version", version).map_err(damaged)?;
    transaction.commit().map_err(damaged)
}

/// Which part of a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Page {
    /// Counted from 1.
    pub number: u32,
    /// How many on each.
    pub size: u32,
}

impl Page {
    /// How many there are before it.
    fn skipped(self) -> u64 {
        u64::from(self.number.saturating_sub(1)).saturating_mul(u64::from(self.size))
    }
}

/// Now, as the file has times: milliseconds since 1970.
pub(super) fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

/// Writes a time of the file as clients read it: RFC 3339.
#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde wants it so")]
pub(super) fn time<S: Serializer>(milliseconds: &i64, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&stamp(*milliseconds))
}

/// A time of the file as RFC 3339 has it.
pub(super) fn stamp(milliseconds: i64) -> String {
    let since = Duration::from_millis(u64::try_from(milliseconds).unwrap_or_default());
    humantime::format_rfc3339_millis(UNIX_EPOCH + since).to_string()
}
