//! `llm.type: stackspot`: agents of Stackspot AI, as models.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{Backend, BridgeError, Setup};

/// `llm.stackspot`: the account and its agents.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {}

/// A backend for the account that `setup` names.
pub(super) fn backend(_: &Setup<'_>) -> Result<Arc<dyn Backend>, BridgeError> {
    Err(BridgeError::new("llm.type", "stackspot is not built yet"))
}
