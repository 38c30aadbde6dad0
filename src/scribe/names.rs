//! What a client says of the session in headers of its own.

use std::sync::Arc;

use http::{HeaderMap, HeaderName};

/// What a client says of the session in headers of its own.
#[derive(Clone, Debug, Default)]
pub(super) struct Names {
    pub session: Option<Arc<str>>,
    pub agent: Option<Arc<str>>,
    pub parent: Option<Arc<str>>,
    pub trace: Option<u128>,
    pub retries: Option<u32>,
}

pub(super) fn of(_headers: &HeaderMap, _added: &[HeaderName]) -> Names {
    Names::default()
}
