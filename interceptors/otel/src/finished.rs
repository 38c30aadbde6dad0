//! A call that is over.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use perimeter_interceptor::{Call, Completion, Exchange};

/// All that is known of a call when it is over: what its span, its log records and its metrics are made of.
#[derive(Clone, Debug)]
pub(crate) struct Finished {
    /// The exchange that it is part of.
    pub(crate) exchange: Arc<Exchange>,
    /// What was asked.
    pub(crate) call: Arc<Call>,
    /// What was answered, whole or as far as it came.
    pub(crate) answer: Option<Arc<Completion>>,
    /// Why there is no whole answer.
    pub(crate) error: Option<Problem>,
    /// The status of the response.
    pub(crate) status: Option<u16>,
    /// When it began: the exchange, or behind an upgrade the call's own message.
    pub(crate) began: SystemTime,
    /// From there to its last byte, its failure, or its being given up.
    pub(crate) lasted: Duration,
}

/// Why a call has no whole answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Problem {
    /// `error.type`: the provider's word, else the status, else ours, such as `client_cancelled`.
    pub(crate) kind: Arc<str>,
    /// What happened.
    pub(crate) message: Arc<str>,
}
