//! Wires the parts together: configuration in, listeners bound, traffic served, everything stopped.

use crate::config::Config;

/// Why the proxy could not start or had to give up.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RunError {}

/// Runs the proxy until it is told to stop (SIGTERM, SIGINT). Blocks.
///
/// # Errors
/// [`RunError`] where a listener cannot be bound, a certificate file cannot be read, and the like.
pub fn run(_config: Config) -> Result<(), RunError> {
    Ok(())
}
