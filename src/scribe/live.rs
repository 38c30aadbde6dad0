//! Sessions that are held, as they are now.

use std::time::Duration;

use perimeter_interceptor::SessionEnd;

/// A session that is held.
#[derive(Clone, Debug)]
pub(crate) struct Live {
    /// What it came to so far.
    pub(crate) end: SessionEnd,
    /// For how long nothing was heard of it.
    pub(crate) quiet: Duration,
    /// Calls that are being answered.
    pub(crate) open: u32,
    /// Whether it counts as over.
    pub(crate) over: bool,
}
