//! `llm.bridge`: what all bridges have in common.

use std::time::Duration;

use perimeter_settings::{duration, size};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize};

/// How a bridge treats its clients.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// Answers in progress at once; unset: what suits the backend (`stackspot` 8, `claude_code` 4).
    #[serde(deserialize_with = "at_least_one")]
    pub concurrency: Option<usize>,
    /// Requests that may wait for their turn.
    pub queue: usize,
    /// How long one waits at most.
    #[serde(serialize_with = "duration::serialize", deserialize_with = "duration::positive")]
    pub queue_timeout: Duration,
    /// How long the response's head waits for the backend's first word, so that an early failure has its own status.
    #[serde(serialize_with = "duration::serialize", deserialize_with = "duration::positive")]
    pub head_wait: Duration,
    /// How often a client that streams hears that the backend still works.
    #[serde(serialize_with = "duration::serialize", deserialize_with = "duration::positive")]
    pub heartbeat: Duration,
    /// The largest request body. Bytes.
    #[serde(with = "size")]
    pub body_limit: u64,
    /// Whether parameters that cannot be honoured are reported in `x-bridge-warnings` instead of refused.
    pub lenient: bool,
}

fn at_least_one<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<usize>, D::Error> {
    match Option::deserialize(deserializer)? {
        Some(0) => Err(D::Error::custom("expected at least 1: with none, nobody is ever answered")),
        places => Ok(places),
    }
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            concurrency: None,
            queue: 100,
            queue_timeout: Duration::from_secs(60),
            head_wait: Duration::from_secs(10),
            heartbeat: Duration::from_secs(15),
            body_limit: 64 * 1024 * 1024,
            lenient: false,
        }
    }
}
