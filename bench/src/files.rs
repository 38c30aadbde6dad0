//! Where targets write their files.

use std::env;
use std::path::{Path, PathBuf};

use rustix::fs::statvfs;

/// Files that are memory, where Linux has them.
const MEMORY: &str = "/dev/shm";

/// What a run may write before it throws that away, and as much again. Bytes.
const ROOM: u64 = 4 * 1024 * 1024 * 1024;

/// Where `TMPDIR` says; else in memory, where there is room, so that what is measured is not the disk: ext4 takes up to
/// a millisecond for a new file for minutes after many were removed, as at the end of a run.
pub(crate) fn place() -> PathBuf {
    let memory = Path::new(MEMORY);
    if env::var_os("TMPDIR").is_none() && room(memory) >= ROOM { memory.into() } else { env::temp_dir() }
}

/// How many bytes may be written there; none where it cannot be said.
fn room(dir: &Path) -> u64 {
    statvfs(dir).map_or(0, |about| about.f_bavail.saturating_mul(about.f_frsize))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_is_room_where_files_can_be_and_none_where_nothing_is() {
        let dir = tempfile::tempdir().unwrap();
        assert!(room(dir.path()) > 0);
        assert_eq!(room(&dir.path().join("nothing")), 0);
        assert!(place().is_dir());
    }
}
