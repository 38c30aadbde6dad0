//! A log file that is turned over at a size: `file`, then `file.1` (the newest), `file.2`, …

use std::ffi::OsString;
use std::fs::{self, DirBuilder, File, OpenOptions, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
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
    let file = OpenOptions::new().append(true).create(true).mode(0o600).open(path)?;
    only_for_us(&file)?;
    Ok(file)
}

/// A file that was there may have been readable by others. A device or a pipe is left as it is, and so is a file of
/// somebody else's.
fn only_for_us(file: &File) -> io::Result<()> {
    let metadata = file.metadata()?;
    if metadata.is_file() && metadata.permissions().mode() & 0o077 != 0 {
        match file.set_permissions(Permissions::from_mode(0o600)) {
            Err(error) if error.kind() != io::ErrorKind::PermissionDenied => return Err(error),
            _ => {}
        }
    }
    Ok(())
}

fn rename_if_there(from: &Path, to: &Path) -> io::Result<()> {
    match fs::rename(from, to) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        result => result,
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    /// The log and its turned-over files, the newest first.
    fn files(path: &Path) -> Vec<String> {
        let numbers = (1..9).map(|number| PathBuf::from(format!("{}.{number}", path.display())));
        std::iter::once(path.to_owned())
            .chain(numbers)
            .map_while(|path| fs::read_to_string(path).ok())
            .collect()
    }

    #[test]
    fn a_full_file_is_turned_over_between_lines() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("p.log");
        let mut log = RotatingFile::open(&path, 8, 2).unwrap();
        for line in
            ["one\n", "two\n", "three\n", "four\n", "five\n", "a line too long for any file\n", "six\n"]
        {
            log.write_all(line.as_bytes()).unwrap();
        }
        assert_eq!(files(&path), ["six\n", "a line too long for any file\n", "five\n"]);
    }

    #[test]
    fn lines_that_come_together_are_spread_over_files() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("p.log");
        let mut log = RotatingFile::open(&path, 8, 5).unwrap();
        log.write_all(b"one\ntwo\nthree\nfour\n").unwrap();
        assert_eq!(files(&path), ["four\n", "three\n", "one\ntwo\n"]);
    }

    #[test]
    fn without_backups_the_file_starts_again() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("p.log");
        let mut log = RotatingFile::open(&path, 8, 0).unwrap();
        log.write_all(b"one\ntwo\nthree\nfour\n").unwrap();
        assert_eq!(files(&path), ["four\n"]);
    }

    #[test]
    fn what_an_earlier_run_wrote_is_kept_and_counts() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("p.log");
        fs::write(&path, "earlier\n").unwrap();
        RotatingFile::open(&path, 100, 1).unwrap().write_all(b"now\n").unwrap();
        assert_eq!(files(&path), ["earlier\nnow\n"]);
        RotatingFile::open(&path, 12, 1).unwrap().write_all(b"later\n").unwrap();
        assert_eq!(files(&path), ["later\n", "earlier\nnow\n"]);
    }

    #[test]
    fn no_limit_is_no_turning_over() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("p.log");
        let mut log = RotatingFile::open(&path, 0, 3).unwrap();
        log.write_all(&b"line\n".repeat(1000)).unwrap();
        assert_eq!(files(&path).len(), 1);
    }

    #[test]
    fn a_device_is_never_renamed() {
        let mut log = RotatingFile::open(Path::new("/dev/null"), 1, 3).unwrap();
        log.write_all(b"one\ntwo\n").unwrap();
        assert!(!Path::new("/dev/null.1").exists());
    }

    #[test]
    fn only_their_owner_can_read_the_files_and_folders_it_makes() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a/b/p.log");
        RotatingFile::open(&path, 4, 1).unwrap().write_all(b"one\ntwo\n").unwrap();
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(&path), 0o600);
        assert_eq!(mode(&folder.path().join("a/b/p.log.1")), 0o600);
        assert_eq!((mode(&folder.path().join("a/b")), mode(&folder.path().join("a"))), (0o700, 0o700));
    }
}
