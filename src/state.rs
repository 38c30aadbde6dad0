//! What outlives a run: files in `state_dir` that only the user can read.

use std::fs::{DirBuilder, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;

use ring::rand::{SecureRandom, SystemRandom};

/// The length of the key of fingerprints, bytes.
const KEY: usize = 32;

/// The key that the fingerprints of masked credentials are made with, so that they are the same in each run.
///
/// # Errors
/// Where the file can be neither read nor made.
pub(crate) fn mask_key(state_dir: &Path) -> io::Result<[u8; KEY]> {
    let path = state_dir.join("mask.key");
    match read_key(&path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        result => return result,
    }
    DirBuilder::new().recursive(true).mode(0o700).create(state_dir)?;
    let key = random()?;
    // Under a name of its own first: whoever finds the file finds all of it.
    let fresh = state_dir.join(format!("mask.key.{}", std::process::id()));
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true).mode(0o600);
    let written = options.open(&fresh).and_then(|mut file| file.write_all(&key));
    // Fails where another process was first, whose key holds then.
    let linked = written.and_then(|()| std::fs::hard_link(&fresh, &path));
    let removed = std::fs::remove_file(&fresh);
    match linked {
        Ok(()) => removed.map(|()| key),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => read_key(&path),
        Err(error) => Err(error),
    }
}

/// Bytes that nobody can guess.
///
/// # Errors
/// Where the system has none.
pub(crate) fn random<const N: usize>() -> io::Result<[u8; N]> {
    let mut bytes = [0; N];
    SystemRandom::new().fill(&mut bytes).map_err(|_| io::Error::other("the system gave no random bytes"))?;
    Ok(bytes)
}

fn read_key(path: &Path) -> io::Result<[u8; KEY]> {
    let mut key = [0; KEY];
    OpenOptions::new().read(true).open(path)?.read_exact(&mut key)?;
    Ok(key)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn the_key_is_made_once_and_only_its_owner_can_read_it() {
        let home = tempfile::tempdir().unwrap();
        let state = home.path().join("a/b");
        let key = mask_key(&state).unwrap();
        assert_eq!(mask_key(&state).unwrap(), key);
        assert_ne!(key, [0; KEY]);
        let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(&state), mode(&state.join("mask.key"))), (0o700, 0o600));
        assert_eq!(std::fs::read_dir(&state).unwrap().count(), 1);
    }

    #[test]
    fn a_key_that_was_cut_short_is_an_error_and_not_a_weak_key() {
        let state = tempfile::tempdir().unwrap();
        std::fs::write(state.path().join("mask.key"), b"short").unwrap();
        assert_eq!(mask_key(state.path()).unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
    }
}
