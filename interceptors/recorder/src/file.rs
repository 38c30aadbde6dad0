//! A file of lines: whole lines, also on a disk that is full, turned over at a size, and found again when somebody
//! moved it.

use std::fs::{self, DirBuilder, File, Metadata, OpenOptions, Permissions};
use std::io::{self, IoSlice, Write};
use std::os::unix::fs::{DirBuilderExt, FileExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::OFlags;

mod rotation;

pub(crate) use rotation::Rotation;

/// Why a file cannot be written to from the start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// Its path begins with `~/`, and there is no home directory.
    #[error("{}: there is no home directory to begin this path with", path.display())]
    Home {
        /// The path.
        path: PathBuf,
    },
    /// The directory cannot be made.
    #[error("{}: the directory cannot be made", path.display())]
    Directory {
        /// The directory.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// The file cannot be opened.
    #[error("{}: cannot be opened", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
}

impl From<OpenError> for io::Error {
    fn from(error: OpenError) -> Self {
        match error {
            OpenError::Directory { source, .. } | OpenError::File { source, .. } => source,
            OpenError::Home { .. } => io::ErrorKind::NotFound.into(),
        }
    }
}

/// `path`, where `~/` at its start is the home directory.
pub(crate) fn expand_home(path: &Path) -> Result<PathBuf, OpenError> {
    match path.strip_prefix("~") {
        Ok(rest) => {
            let home = std::env::home_dir().ok_or_else(|| OpenError::Home { path: path.to_owned() })?;
            Ok(home.join(rest))
        }
        Err(_) => Ok(path.to_owned()),
    }
}

/// The file in use.
///
/// Half a line is never left behind by an error: it is cut off again, unless somebody else wrote behind it. Half a
/// line that is there already, from a crash, stays, and what follows begins on a line of its own.
#[derive(Debug)]
pub(crate) struct LineFile {
    path: PathBuf,
    rotation: Rotation,
    file: File,
    /// Which file it is: device and inode. `None` for what is no regular file, and is taken as it is.
    identity: Option<(u64, u64)>,
    /// Whether nobody has asked yet which it is, since we made it.
    is_new: bool,
    size: u64,
    /// The size at which it is turned over.
    limit: Option<u64>,
    /// Whether it ends in the middle of a line.
    torn: bool,
    place: Place,
    /// Whether the path has led to it just now.
    found: bool,
}

/// What may be at a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// Whatever takes lines: somebody wrote the path down.
    Any,
    /// A file and nothing that leads elsewhere: what passes has a say in the path.
    File,
}

impl LineFile {
    /// Opens `path` to append to it. Directories that are missing are made.
    pub(crate) fn open(path: &Path, rotation: Rotation) -> Result<Self, OpenError> {
        Self::open_at(path, rotation, Place::Any)
    }

    /// The same where only a file may be, of any size, to write to it at once.
    pub(crate) fn open_file(path: &Path) -> Result<Self, OpenError> {
        let file = Self::open_at(path, Rotation { max_size: 0, backups: 0 }, Place::File)?;
        Ok(Self { found: true, ..file })
    }

    /// Makes a file where nothing is; `None` where that cannot be, for whatever reason. Most files of sessions are made
    /// and written to once: so that takes one call of the system, not two.
    pub(crate) fn create(path: &Path) -> Option<Self> {
        let mut options = OpenOptions::new();
        options.append(true).create_new(true).mode(0o600);
        Some(Self {
            path: path.to_owned(),
            rotation: Rotation { max_size: 0, backups: 0 },
            file: options.open(path).ok()?,
            identity: None,
            is_new: true,
            size: 0,
            limit: None,
            torn: false,
            place: Place::File,
            found: true,
        })
    }

    fn open_at(path: &Path, rotation: Rotation, place: Place) -> Result<Self, OpenError> {
        let failed = |source| OpenError::File { path: path.to_owned(), source };
        let opened = append_to(path, place).or_else(|_| {
            make_directory_of(path).map_err(|(path, source)| OpenError::Directory { path, source })?;
            append_to(path, place).map_err(failed)
        });
        let (file, metadata) = opened?;
        let torn = is_torn(&file, &metadata).map_err(failed)?;
        let identity = identity(&metadata);
        let limit = identity.and(rotation.limit());
        let (path, size) = (path.to_owned(), metadata.len());
        Ok(Self { path, rotation, file, identity, is_new: false, size, limit, torn, place, found: false })
    }

    /// Where it is.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Whether there is nothing in it, asked before something is appended. Opens it again first, where it is gone.
    pub(crate) fn is_empty(&mut self) -> io::Result<bool> {
        self.find_again()?;
        self.found = true;
        Ok(self.size == 0)
    }

    /// Appends lines. How many bytes of them are in the file now, whole lines only; fewer than all where an error
    /// kept it from more.
    pub(crate) fn append(&mut self, lines: &[u8]) -> (usize, io::Result<()>) {
        let mut written = 0;
        if let Err(error) = self.find_again() {
            return (written, Err(error));
        }
        while let Some(rest) = lines.get(written..).filter(|rest| !rest.is_empty()) {
            let fitting = fitting(rest, self.size, self.limit);
            if fitting == 0 {
                if let Err(error) = self.turn_over(rest.len()) {
                    return (written, Err(error));
                }
                continue;
            }
            let (appended, result) = self.append_whole(rest.get(..fitting).unwrap_or(rest));
            written += appended;
            if result.is_err() {
                return (written, result);
            }
        }
        (written, Ok(()))
    }

    /// Appends a line in parts, its end not among them: whole or not at all.
    pub(crate) fn append_line(&mut self, parts: &[&[u8]]) -> io::Result<()> {
        let length = parts.iter().map(|part| part.len()).sum::<usize>() + 1;
        self.find_again()?;
        let is_full = |file: &Self| {
            file.size > 0 && file.limit.is_some_and(|limit| file.size.saturating_add(length as u64) > limit)
        };
        while is_full(self) {
            self.turn_over(length)?;
        }
        self.end_torn_line()?;
        let before = self.size;
        let mut pieces: Vec<_> = parts.iter().map(|part| IoSlice::new(part)).collect();
        pieces.push(IoSlice::new(b"\n"));
        let (reached, result) = write_all(&mut self.file, &mut pieces);
        self.size += reached as u64;
        if result.is_err() && reached > 0 {
            self.cut_back(before);
        }
        result
    }

    /// Opens the path once more where it does not lead to this file any longer.
    fn find_again(&mut self) -> io::Result<()> {
        if std::mem::take(&mut self.found) {
            return Ok(());
        }
        if std::mem::take(&mut self.is_new) {
            self.identity = identity(&self.file.metadata()?);
        }
        let Some(known) = self.identity else { return Ok(()) };
        let found = match self.place {
            Place::Any => fs::metadata(&self.path),
            Place::File => fs::symlink_metadata(&self.path),
        };
        match found {
            Ok(metadata) if identity(&metadata) == Some(known) => {
                // Others may write to it too, or have emptied it.
                self.size = metadata.len();
                self.torn &= self.size > 0;
                Ok(())
            }
            Ok(_) => self.reopen(),
            Err(error) if error.kind() == io::ErrorKind::NotFound => self.reopen(),
            Err(error) => Err(error),
        }
    }

    fn reopen(&mut self) -> io::Result<()> {
        *self = Self::open_at(&self.path, self.rotation, self.place)?;
        Ok(())
    }

    /// Begins an empty file. Where the old one cannot be moved away it grows on: better than losing lines.
    fn turn_over(&mut self, to_write: usize) -> io::Result<()> {
        if self.rotation.backups == 0 {
            self.file.set_len(0)?;
            self.size = 0;
            self.torn = false;
            return Ok(());
        }
        match self.rotation.make_room(&self.path) {
            Ok(()) => self.reopen(),
            Err(source) => {
                tracing::warn!(
                    path = %self.path.display(),
                    error = %source,
                    "cannot be turned over: it grows beyond its size"
                );
                let more = self.rotation.max_size.max(to_write as u64);
                self.limit = Some(self.size.saturating_add(more));
                Ok(())
            }
        }
    }

    fn end_torn_line(&mut self) -> io::Result<()> {
        if self.torn {
            self.file.write_all(b"\n")?;
            self.torn = false;
            self.size += 1;
        }
        Ok(())
    }

    fn append_whole(&mut self, lines: &[u8]) -> (usize, io::Result<()>) {
        if let Err(error) = self.end_torn_line() {
            return (0, Err(error));
        }
        let before = self.size;
        let (reached, result) = write_all(&mut self.file, &mut [IoSlice::new(lines)]);
        self.size += reached as u64;
        if result.is_ok() {
            return (reached, result);
        }
        let whole = lines.iter().take(reached).rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
        if whole < reached {
            self.cut_back(before + whole as u64);
        }
        (whole, result)
    }

    /// Takes the half line off that was written last; where that cannot be, the next line begins anew.
    fn cut_back(&mut self, end: u64) {
        let is_last =
            self.file.metadata().is_ok_and(|metadata| metadata.is_file() && metadata.len() == self.size);
        if is_last && self.file.set_len(end).is_ok() {
            self.size = end;
        } else {
            self.torn = true;
        }
    }
}

/// Writes as much as goes, and says how much that was.
fn write_all(file: &mut File, mut pieces: &mut [IoSlice<'_>]) -> (usize, io::Result<()>) {
    let mut written = 0;
    // Nothing is left of those that are empty.
    IoSlice::advance_slices(&mut pieces, 0);
    while !pieces.is_empty() {
        match file.write_vectored(pieces) {
            Ok(0) => return (written, Err(io::ErrorKind::WriteZero.into())),
            Ok(more) => {
                written += more;
                IoSlice::advance_slices(&mut pieces, more);
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return (written, Err(error)),
        }
    }
    (written, Ok(()))
}

/// How many bytes of `lines` a file of this size takes: whole lines, and at least one where it is empty.
fn fitting(lines: &[u8], size: u64, limit: Option<u64>) -> usize {
    let Some(limit) = limit else { return lines.len() };
    let room = usize::try_from(limit.saturating_sub(size)).unwrap_or(usize::MAX);
    if lines.len() <= room {
        return lines.len();
    }
    let is_end = |byte: &u8| *byte == b'\n';
    let last = lines.iter().take(room).rposition(is_end);
    let first = || lines.iter().position(is_end).filter(|_| size == 0);
    last.or_else(first).map_or(0, |end| end + 1)
}

/// The directory that this is in. On an error: which directory.
pub(crate) fn make_directory_of(path: &Path) -> Result<(), (PathBuf, io::Error)> {
    match path.parent() {
        Some(directory) if !directory.as_os_str().is_empty() => {
            make_directory(directory).map_err(|source| (directory.to_owned(), source))
        }
        _ => Ok(()),
    }
}

/// The directory and what is above it, for their owner only.
pub(crate) fn make_directory(directory: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(directory)
}

fn append_to(path: &Path, place: Place) -> io::Result<(File, Metadata)> {
    open_with(OpenOptions::new().read(true).append(true), path, place)
}

/// Opens a file, for its owner only; makes it where it is not there. What it was when it was opened.
pub(crate) fn open_with(
    options: &mut OpenOptions,
    path: &Path,
    place: Place,
) -> io::Result<(File, Metadata)> {
    options.create(true).mode(0o600);
    if place == Place::File {
        options.custom_flags((OFlags::NOFOLLOW | OFlags::NONBLOCK).bits().cast_signed());
    }
    let file = options.open(path)?;
    let metadata = file.metadata()?;
    if place == Place::File && !metadata.is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "it is no file"));
    }
    only_for_us(&file, &metadata)?;
    Ok((file, metadata))
}

/// A file that was there may have been readable by others. A device or a pipe is left as it is, and so is a file of
/// somebody else's.
fn only_for_us(file: &File, metadata: &Metadata) -> io::Result<()> {
    if metadata.is_file() && metadata.permissions().mode() & 0o077 != 0 {
        match file.set_permissions(Permissions::from_mode(0o600)) {
            Err(error) if error.kind() != io::ErrorKind::PermissionDenied => return Err(error),
            _ => {}
        }
    }
    Ok(())
}

pub(crate) fn identity(metadata: &Metadata) -> Option<(u64, u64)> {
    metadata.is_file().then(|| (metadata.dev(), metadata.ino()))
}

fn is_torn(file: &File, metadata: &Metadata) -> io::Result<bool> {
    let Some(end) = metadata.len().checked_sub(1).filter(|_| metadata.is_file()) else { return Ok(false) };
    let mut last = [0];
    file.read_exact_at(&mut last, end)?;
    Ok(last != *b"\n")
}
