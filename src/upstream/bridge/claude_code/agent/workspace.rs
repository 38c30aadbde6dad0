//! Where agents work: directories below one root, whatever a client names.

use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Component, Path, PathBuf};

use crate::upstream::bridge::Failure;

/// The longest path that a client may name, bytes.
const LONGEST: usize = 1024;

/// The root that all projects are below.
#[derive(Clone, Debug)]
pub(in super::super) struct Workspace {
    root: PathBuf,
}

impl Workspace {
    /// The workspace at `root`, which is made where it is not there.
    ///
    /// # Errors
    /// Where it cannot be made, or is no directory.
    pub(super) fn open(root: &Path) -> io::Result<Self> {
        DirBuilder::new().recursive(true).mode(0o700).create(root)?;
        Ok(Self { root: root.canonicalize()? })
    }

    /// The directory that a client means by `asked`: a path relative to the root, or an absolute one below it.
    ///
    /// # Errors
    /// Where it could mean any other place.
    pub(super) fn place(&self, asked: &str) -> Result<PathBuf, Failure> {
        let refuse = |why: &str| Err(Failure::invalid("path", format!("path {why}")));
        if asked.len() > LONGEST {
            return refuse("is too long");
        }
        if asked.contains('\0') {
            return refuse("holds a zero byte");
        }
        let asked = Path::new(asked);
        let Ok(below) = (if asked.is_absolute() { asked.strip_prefix(&self.root) } else { Ok(asked) }) else {
            return refuse("must be below the workspace: give one relative to it, such as \"my-project\"");
        };
        let mut place = self.root.clone();
        for component in below.components() {
            match component {
                Component::Normal(name) => place.push(name),
                Component::CurDir => {}
                _ => return refuse("must not lead out of the workspace"),
            }
        }
        if place == self.root {
            return refuse("must name a directory below the workspace");
        }
        Ok(place)
    }

    /// Makes sure that there is a directory at `place`, with no symbolic link on the way from the root to it. Says
    /// whether it was made.
    ///
    /// # Errors
    /// Where something else is in its place, or it cannot be made.
    pub(super) fn make(&self, place: &Path) -> Result<bool, Failure> {
        let below = place.strip_prefix(&self.root).map_err(|_| outside())?;
        let mut at = self.root.clone();
        let mut made = false;
        for component in below.components() {
            let Component::Normal(name) = component else { return Err(outside()) };
            at.push(name);
            made = match DirBuilder::new().mode(0o700).create(&at) {
                Ok(()) => true,
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => false,
                Err(error) => {
                    let message = format!("the directory cannot be made: {}", error.kind());
                    return Err(Failure::invalid("path", message));
                }
            };
            if !fs::symlink_metadata(&at).is_ok_and(|found| found.is_dir()) {
                return Err(Failure::invalid("path", "path leads over something that is no directory"));
            }
        }
        self.check(place)?;
        Ok(made)
    }

    /// Looks again whether `place` is a directory below the root that no symbolic link leads to: agents work there,
    /// and may have changed it.
    ///
    /// # Errors
    /// Where it is not.
    pub(super) fn check(&self, place: &Path) -> Result<(), Failure> {
        let found = place
            .canonicalize()
            .map_err(|_| Failure::invalid("project_id", "the project's directory is not there any more"))?;
        let below = found == place && found.starts_with(&self.root) && found != self.root;
        if below && found.is_dir() { Ok(()) } else { Err(outside()) }
    }

    /// Removes the directory at `place` with all that is in it. Symbolic links are removed, not followed.
    ///
    /// # Errors
    /// Where it is none of the workspace's, or cannot be removed.
    pub(super) fn remove(&self, place: &Path) -> io::Result<()> {
        if !place.exists() {
            return Ok(());
        }
        self.check(place).map_err(|failure| io::Error::other(failure.message))?;
        fs::remove_dir_all(place)
    }
}

/// Whether one of two places is in the other, or the other itself.
pub(super) fn overlap(one: &Path, other: &Path) -> bool {
    one.starts_with(other) || other.starts_with(one)
}

/// Whether `path`, which need not exist, is in `directory`, which is free of symbolic links: by its name, and by
/// where links on the way lead.
pub(super) fn is_within(directory: &Path, path: &Path) -> bool {
    let path = directory.join(path);
    if path.components().any(|component| matches!(component, Component::ParentDir)) {
        return false;
    }
    // What does not exist yet will be made below the deepest directory that does. A link to nowhere exists, too.
    let deepest = path.ancestors().find(|at| fs::symlink_metadata(at).is_ok());
    let found = deepest.and_then(|at| at.canonicalize().ok());
    path.starts_with(directory) && found.is_some_and(|found| found.starts_with(directory))
}

/// How many bytes the files below `directory` have, as far as it takes to know that it is more than `limit`.
/// Symbolic links are not followed.
pub(super) fn size(directory: &Path, limit: u64) -> u64 {
    /// Entries that are looked at: a bound on the time that this takes.
    const MOST: usize = 200_000;
    let mut open = vec![directory.to_owned()];
    let (mut bytes, mut seen) = (0_u64, 0_usize);
    while let Some(directory) = open.pop() {
        for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
            let Ok(found) = entry.metadata() else { continue };
            seen += 1;
            bytes = bytes.saturating_add(found.len());
            if bytes > limit || seen > MOST {
                return bytes;
            }
            if found.is_dir() {
                open.push(entry.path());
            }
        }
    }
    bytes
}

fn outside() -> Failure {
    Failure::invalid("path", "path leads out of the workspace")
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt as _, symlink};

    use proptest::prelude::*;

    use super::*;

    fn workspace() -> (tempfile::TempDir, Workspace) {
        let folder = tempfile::tempdir().unwrap();
        let workspace = Workspace::open(&folder.path().join("root")).unwrap();
        (folder, workspace)
    }

    #[test]
    fn a_project_is_made_below_the_root_for_its_owner_alone() {
        let (_folder, workspace) = workspace();
        let place = workspace.place("a/./b").unwrap();
        assert_eq!(place, workspace.root.join("a/b"));
        assert!(workspace.make(&place).unwrap());
        assert!(!workspace.make(&place).unwrap(), "it is there already");
        assert_eq!(fs::metadata(&place).unwrap().permissions().mode() & 0o777, 0o700);
        assert_eq!(workspace.place(place.to_str().unwrap()).unwrap(), place);
    }

    #[test]
    fn a_path_that_means_another_place_is_refused() {
        let (folder, workspace) = workspace();
        let long = "a/".repeat(LONGEST);
        for asked in ["", ".", "..", "../x", "a/../../x", "a/..", "/", "/etc", "x\0y", &long] {
            assert!(workspace.place(asked).is_err(), "{asked}");
        }
        let sibling = format!("{}-beside", workspace.root.display());
        assert!(workspace.place(&sibling).is_err());
        assert!(workspace.place(folder.path().to_str().unwrap()).is_err());
    }

    #[test]
    fn no_symbolic_link_leads_out() {
        let (folder, workspace) = workspace();
        let outside = folder.path().join("outside");
        fs::create_dir(&outside).unwrap();
        fs::write(outside.join("kept"), "").unwrap();
        symlink(&outside, workspace.root.join("link")).unwrap();
        for asked in ["link", "link/deeper"] {
            let place = workspace.place(asked).unwrap();
            assert!(workspace.make(&place).is_err(), "{asked}");
            assert!(workspace.check(&place).is_err(), "{asked}");
            assert!(workspace.remove(&place).is_err() || !place.exists(), "{asked}");
        }
        // One that is put there later, and one inside of what is removed.
        let place = workspace.place("project").unwrap();
        workspace.make(&place).unwrap();
        symlink(&outside, place.join("inner")).unwrap();
        assert!(!is_within(&place, &place.join("inner/kept")));
        workspace.remove(&place).unwrap();
        symlink(&outside, &place).unwrap();
        assert!(workspace.check(&place).is_err());
        assert!(workspace.remove(&place).is_err());
        assert!(outside.join("kept").exists());
    }

    #[test]
    fn a_file_is_within_a_project_by_its_name_and_by_where_links_lead() {
        let (_folder, workspace) = workspace();
        let place = workspace.place("project").unwrap();
        workspace.make(&place).unwrap();
        fs::create_dir(place.join("src")).unwrap();
        symlink("/nowhere/at/all", place.join("dangling")).unwrap();
        for inside in ["src", "src/new.rs", "new/deep/file", "."] {
            assert!(is_within(&place, Path::new(inside)), "{inside}");
        }
        for outside in ["../other", "src/../../other", "/etc/passwd", "dangling", "dangling/x"] {
            assert!(!is_within(&place, Path::new(outside)), "{outside}");
        }
    }

    #[test]
    fn the_size_of_a_project_is_that_of_its_files() {
        let (_folder, workspace) = workspace();
        let place = workspace.place("project").unwrap();
        workspace.make(&place).unwrap();
        fs::create_dir(place.join("deep")).unwrap();
        let empty = size(&place, u64::MAX);
        fs::write(place.join("deep/file"), [0; 1000]).unwrap();
        assert_eq!(size(&place, u64::MAX), empty + 1000);
        symlink("/", place.join("everything")).unwrap();
        assert!(size(&place, u64::MAX) < empty + 2000);
    }

    proptest! {
        #[test]
        fn no_path_of_a_client_leads_out_of_the_workspace(
            pieces in prop::collection::vec(
                prop_oneof![
                    Just("..".to_owned()), Just(".".to_owned()), Just(String::new()), Just("~".to_owned()),
                    Just("link".to_owned()), Just("etc".to_owned()), ".{0,6}",
                ],
                0..8,
            ),
            absolute in 0..3_u8,
        ) {
            let (folder, workspace) = workspace();
            symlink(folder.path(), workspace.root.join("link")).unwrap();
            let asked = pieces.join("/");
            let asked = match absolute {
                0 => asked,
                1 => format!("/{asked}"),
                _ => format!("{}/{asked}", workspace.root.display()),
            };
            if let Ok(place) = workspace.place(&asked)
                && workspace.make(&place).is_ok()
            {
                let found = place.canonicalize().unwrap();
                prop_assert!(found.starts_with(&workspace.root) && found != workspace.root, "{}", found.display());
            }
            let around: Vec<_> = fs::read_dir(folder.path()).unwrap().collect();
            prop_assert_eq!(around.len(), 1, "nothing is made beside the root");
        }
    }
}
