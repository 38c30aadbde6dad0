//! `llm.type: claude_code`: the user's own Claude Code CLI, as models.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{Backend, BridgeError, Setup};

mod fault;
mod folders;
mod lines;
mod mapping;
mod process;
mod wire;

/// `llm.claude_code`: the CLI and how it is run.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {}

/// A backend for the CLI that `setup` names.
pub(super) fn backend(_: &Setup<'_>) -> Result<Arc<dyn Backend>, BridgeError> {
    Err(BridgeError::new("llm.type", "claude_code is not built yet"))
}
