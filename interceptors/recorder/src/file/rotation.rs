//! Moving full files out of the way: `file` becomes `file.1`, which becomes `file.2`, …

use std::ffi::OsString;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// When a file is full, and how many full ones are kept.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rotation {
    /// The size that a file may have, in bytes. 0: any.
    pub(crate) max_size: u64,
    /// How many full files are kept besides the one in use. 0: none.
    pub(crate) backups: u32,
}

impl Rotation {
    pub(super) fn limit(self) -> Option<u64> {
        (self.max_size > 0).then_some(self.max_size)
    }

    /// Moves `path` to `path.1`, and those before it on by one. The oldest makes room.
    pub(super) fn make_room(self, path: &Path) -> io::Result<()> {
        // Numbers behind the first gap are left alone: with a large `backup_count` nobody looks at them all.
        let used = (1..=self.backups).take_while(|number| numbered(path, *number).exists()).count();
        let used = u32::try_from(used).unwrap_or(u32::MAX);
        for number in (1..=used.min(self.backups - 1)).rev() {
            rename_if_there(&numbered(path, number), &numbered(path, number + 1))?;
        }
        rename_if_there(path, &numbered(path, 1))
    }
}

fn numbered(path: &Path, number: u32) -> PathBuf {
    let mut name = OsString::from(path.as_os_str());
    name.push(format!(".{number}"));
    PathBuf::from(name)
}

fn rename_if_there(from: &Path, to: &Path) -> io::Result<()> {
    match fs::rename(from, to) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        result => result,
    }
}
