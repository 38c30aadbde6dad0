//! What a configuration may say, and the environment.

use serde::Deserialize;

/// The settings of a [`TraceExporter`](crate::TraceExporter).
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct Settings {}
