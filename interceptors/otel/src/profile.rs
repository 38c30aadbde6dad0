//! Which edition of the conventions is spoken. Their names still change, so each stands once, here.
//!
//! `v1_41` is OpenTelemetry's core semantic conventions 1.41, which backends read today; `latest` is the repository
//! `open-telemetry/semantic-conventions-genai`, as of commit 024a4f94.

use serde::{Deserialize, Serialize};

/// An edition of the conventions. Both may be spoken at once: what they name alike is said once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub(crate) enum Profile {
    /// Core semantic conventions 1.41.
    #[serde(rename = "v1_41")]
    V1_41,
    /// The conventions for generative AI, since they have a repository of their own.
    #[serde(rename = "latest")]
    Latest,
}

impl Profile {
    /// Tokens of the prompt that were written to a cache.
    pub(crate) fn cache_write(self) -> &'static str {
        match self {
            Self::V1_41 => "gen_ai.usage.cache_creation.input_tokens",
            Self::Latest => "gen_ai.usage.cache_write.input_tokens",
        }
    }
}
