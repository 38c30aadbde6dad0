//! Lines on their way to a file: held for a moment, so that writes are large, and for as long as a disk is full.

use std::io;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use crate::file::{LineFile, OpenError, Rotation, expand_home};

/// From here on they are written, however few they are.
const WRITE_FROM: usize = 64 << 10;
/// What is held while nothing can be written. Beyond it the next line waits, and its sender with it.
const HOLD: usize = 1 << 20;
/// How often the one who waits tries again.
const RETRY: Duration = Duration::from_millis(250);

/// Lines cannot be written. They are held, and tried again.
#[derive(Debug, thiserror::Error)]
#[error("{}: cannot be written to; lines are held until it can", path.display())]
pub struct WriteError {
    /// The file.
    pub path: PathBuf,
    /// What the system says.
    pub source: io::Error,
}

/// Lines were still held at the end, and could not be written.
#[derive(Debug, thiserror::Error)]
#[error("{}: {lines} lines are lost", path.display())]
pub struct Lost {
    /// The file.
    pub path: PathBuf,
    /// How many.
    pub lines: usize,
    /// What the system says.
    pub source: io::Error,
}

/// A file, and the lines that are not in it yet.
pub struct Lines {
    file: LineFile,
    /// How many lines are held at most before they are written.
    at_most: usize,
    /// Whole lines.
    held: Vec<u8>,
    count: usize,
    /// Whether the last try failed, and it was said.
    stuck: bool,
}

impl std::fmt::Debug for Lines {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Lines").field("file", &self.file).field("count", &self.count).finish_non_exhaustive()
    }
}

impl Lines {
    /// Opens the file at `path` (`~/` at its start is the home directory), which is turned over at `max_size` bytes
    /// (0: never) and of which `backups` are kept. Makes it, and its directory, where they are not there yet. Lines are
    /// written when `at_most` of them are held, or as they get large.
    ///
    /// # Errors
    /// [`OpenError`], where that cannot be.
    pub fn open(path: &Path, max_size: u64, backups: u32, at_most: usize) -> Result<Self, OpenError> {
        let file = LineFile::open(&expand_home(path)?, Rotation { max_size, backups })?;
        Ok(Self { file, at_most, held: Vec::new(), count: 0, stuck: false })
    }

    /// Takes a line, which must hold no line end. Blocks while nothing can be written and too much is held.
    ///
    /// # Errors
    /// [`WriteError`], the first time that lines cannot be written. The line is held all the same.
    pub fn push(&mut self, line: &str) -> Result<(), WriteError> {
        self.push_written(|held| held.extend_from_slice(line.as_bytes()))
    }

    /// The same with a line in parts. A long one is written from where it is.
    pub(crate) fn push_parts(&mut self, parts: &[&[u8]]) -> Result<(), WriteError> {
        let length: usize = parts.iter().map(|part| part.len()).sum();
        if length < WRITE_FROM || self.stuck {
            return self.push_written(|held| parts.iter().for_each(|part| held.extend_from_slice(part)));
        }
        let flushed = self.flush();
        if flushed.is_ok() && self.file.append_line(parts).is_ok() {
            return Ok(());
        }
        flushed.and(self.push_written(|held| parts.iter().for_each(|part| held.extend_from_slice(part))))
    }

    /// The same with a line that is written to what is held, at its end.
    fn push_written(&mut self, write: impl FnOnce(&mut Vec<u8>)) -> Result<(), WriteError> {
        while self.stuck && self.held.len() > HOLD {
            self.flush()?;
            if self.stuck {
                thread::sleep(RETRY);
            }
        }
        write(&mut self.held);
        self.held.push(b'\n');
        self.count += 1;
        if !self.stuck && (self.count >= self.at_most || self.held.len() >= WRITE_FROM) {
            return self.flush();
        }
        Ok(())
    }

    /// Writes what is held, as far as that goes.
    ///
    /// # Errors
    /// [`WriteError`], if it is the first since it went well.
    pub fn flush(&mut self) -> Result<(), WriteError> {
        match self.write() {
            Ok(()) => {
                if self.stuck {
                    tracing::info!(path = %self.file.path().display(), "can be written to again");
                }
                self.stuck = false;
                Ok(())
            }
            Err(_) if self.stuck => Ok(()),
            Err(source) => {
                self.stuck = true;
                Err(WriteError { path: self.file.path().to_owned(), source })
            }
        }
    }

    /// Writes what is held, for the last time.
    ///
    /// # Errors
    /// [`Lost`], where something is left.
    pub fn finish(mut self) -> Result<(), Lost> {
        self.write().map_err(|source| Lost { path: self.file.path().to_owned(), lines: self.count, source })
    }

    fn write(&mut self) -> io::Result<()> {
        if self.held.is_empty() {
            return Ok(());
        }
        let (written, result) = self.file.append(&self.held);
        if written == self.held.len() {
            self.count = 0;
            self.held.clear();
            // One huge line need not be paid for ever after.
            self.held.shrink_to(HOLD);
        } else {
            let done = self.held.drain(..written);
            self.count -= done.as_slice().iter().filter(|byte| **byte == b'\n').count();
        }
        result
    }
}
