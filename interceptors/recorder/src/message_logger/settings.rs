use std::path::PathBuf;

use perimeter_settings::size;
use serde::Deserialize;

/// What the [`MessageLogger`](super::MessageLogger) writes, and where.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// The directory. `~/` at its start is the home directory.
    pub directory: PathBuf,
    /// The file in it.
    pub filename: PathBuf,
    /// Whether system prompts stay in what is logged.
    pub include_system_prompts: bool,
    /// Whether lines have `metadata`.
    pub include_metadata: bool,
    /// How many lines are held before they are written. They are written earlier whenever there is time.
    pub buffer_size: usize,
    /// Whether secrets are replaced by `[REDACTED]`.
    pub redact_credentials: bool,
    /// The size in bytes at which the file is turned over; 0: never.
    #[serde(deserialize_with = "size::deserialize")]
    pub max_file_size: u64,
    /// How many turned-over files are kept; 0: none, the file starts again.
    pub backup_count: u32,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            directory: PathBuf::from("./message_logs"),
            filename: PathBuf::from("message_log.jsonl"),
            include_system_prompts: true,
            include_metadata: true,
            buffer_size: 10,
            redact_credentials: true,
            max_file_size: 100_000_000,
            backup_count: 5,
        }
    }
}
