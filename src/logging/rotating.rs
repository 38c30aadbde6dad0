//! A log file that is turned over at a size: `file`, then `file.1` (the newest), `file.2`, …

use std::ffi::OsString;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// The file in use. Lines are never cut in two by turning it over.
pub(super) struct RotatingFile {
    path: PathBuf,
    file: File,
    size: u64,
    /// `None` where the file is never turned over: no limit, or no regular file.
    limit: Option<u64>,
    backups: usize,
}

impl RotatingFile {
    /// Opens `path` to append to it; folders that are missing are made. 0 as `limit` is none.
    pub(super) fn open(path: &Path, limit: u64, backups: usize) -> io::Result<Self> {
        if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
            DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
        }
        let file = append_to(path)?;
        let metadata = file.metadata()?;
        let limit = (limit > 0 && metadata.is_file()).then_some(limit);
        Ok(Self { path: path.to_owned(), file, size: metadata.len(), limit, backups })
    }

    /// How much of `lines` fits in: whole lines, and at least one where the file is empty.
    fn fitting(&self, lines: &[u8]) -> usize {
        let Some(limit) = self.limit else { return lines.len() };
        let room = usize::try_from(limit.saturating_sub(self.size)).unwrap_or(usize::MAX);
        if lines.len() <= room {
            return lines.len();
        }
        let is_end = |byte: &u8| *byte == b'\n';
        let last = lines.iter().take(room).rposition(is_end);
        match last.or_else(|| (self.size == 0).then(|| lines.iter().position(is_end)).flatten()) {
            Some(end) => end + 1,
            None if self.size == 0 => lines.len(),
            None => 0,
        }
    }

    fn turn_over(&mut self) -> io::Result<()> {
        if self.backups == 0 {
            self.file.set_len(0)?;
        } else {
            for number in (1..self.backups).rev() {
                rename_if_there(&self.backup(number), &self.backup(number + 1))?;
            }
            rename_if_there(&self.path, &self.backup(1))?;
            self.file = append_to(&self.path)?;
        }
        self.size = 0;
        Ok(())
    }

    fn backup(&self, number: usize) -> PathBuf {
        let mut name = OsString::from(self.path.as_os_str());
        name.push(format!(".{number}"));
        PathBuf::from(name)
    }
}

impl Write for RotatingFile {
    fn write(&mut self, lines: &[u8]) -> io::Result<usize> {
        let mut fitting = self.fitting(lines);
        if fitting == 0 && !lines.is_empty() {
            self.turn_over()?;
            fitting = self.fitting(lines);
        }
        let written = self.file.write(lines.get(..fitting).unwrap_or(lines))?;
        self.size += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

fn append_to(path: &Path) -> io::Result<File> {
    OpenOptions::new().append(true).create(true).mode(0o600).open(path)
}

fn rename_if_there(from: &Path, to: &Path) -> io::Result<()> {
    match fs::rename(from, to) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        result => result,
    }
}
