//! `perimeter generate-config`: a configuration to start from, every key with its default.

use std::fs::{OpenOptions, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;

use super::{FAILED, REFUSED, output};

const EXAMPLE: &str = include_str!("../../config.example.yaml");

/// Write a configuration file to start from: every key, its default, and what it is for.
///
/// Only you can read the file, since it may come to hold a key. A file that exists is left alone.
/// Exit code: 0 if it was written, 1 if it could not be, 2 if it exists and --force was not given.
#[derive(Args)]
pub(super) struct GenerateConfig {
    /// The file to write.
    file: PathBuf,
    /// Overwrite the file if it exists.
    #[arg(long)]
    force: bool,
}

impl GenerateConfig {
    pub(super) fn execute(self) -> ExitCode {
        let file = self.file.display();
        match write(&self.file, self.force) {
            Ok(()) => {
                output::stdout(&format!(
                    "✓ Wrote {file}\n  Set llm.base_url and llm.type in it, then: perimeter run --config {file}"
                ));
                ExitCode::SUCCESS
            }
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                output::stderr(&format!("perimeter: {file}: exists already; --force overwrites it"));
                ExitCode::from(REFUSED)
            }
            Err(error) => {
                output::stderr(&format!("perimeter: {file}: cannot be written: {error}"));
                ExitCode::from(FAILED)
            }
        }
    }
}

fn write(path: &Path, force: bool) -> io::Result<()> {
    let mut options = OpenOptions::new();
    options.write(true).mode(0o600);
    if force {
        options.create(true).truncate(true);
    } else {
        options.create_new(true);
    }
    let mut file = options.open(path)?;
    // The mode above holds for a new file only.
    file.set_permissions(Permissions::from_mode(0o600))?;
    file.write_all(EXAMPLE.as_bytes())
}
