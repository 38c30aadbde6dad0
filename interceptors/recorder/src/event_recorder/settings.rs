use std::path::PathBuf;

use serde::Deserialize;

/// What the [`EventRecorder`](super::EventRecorder) writes, and where.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// The directory. `~/` at its start is the home directory.
    pub output_dir: PathBuf,
    /// What a file looks like.
    pub file_format: FileFormat,
    /// Whether files say of themselves what they are.
    pub include_metadata: bool,
    /// Whether events in `json` files are indented.
    pub pretty_print: bool,
    /// Whether secrets are replaced by `[REDACTED]`.
    pub redact_credentials: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            output_dir: PathBuf::from("./event_logs"),
            file_format: FileFormat::Jsonl,
            include_metadata: true,
            pretty_print: false,
            redact_credentials: true,
        }
    }
}

/// What a file of events looks like.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub enum FileFormat {
    /// An event a line.
    Jsonl,
    /// One JSON document, closed with each write: `{"events":[…],"metadata":{…}}`.
    Json,
}

impl FileFormat {
    pub(super) fn extension(self) -> &'static str {
        match self {
            Self::Jsonl => "jsonl",
            Self::Json => "json",
        }
    }
}
