use std::sync::Arc;
use std::sync::atomic::AtomicU64;

/// A number that an interceptor keeps of itself, for the proxy's `/metrics`.
///
/// It is shown as `perimeter_<name>{interceptor="<its name>"}`.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Counter {
    /// Its name, without the prefix: lower case, words joined by `_`, ending in `_total` where it only grows.
    pub name: &'static str,
    /// What it counts, in a sentence.
    pub help: &'static str,
    /// The number.
    pub value: Arc<AtomicU64>,
}

impl Counter {
    /// A number that is nought.
    pub fn new(name: &'static str, help: &'static str) -> Self {
        Self { name, help, value: Arc::default() }
    }
}
