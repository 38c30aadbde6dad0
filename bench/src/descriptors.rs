//! How many descriptors a process of the bench may have: each stream takes two of a proxy.

use std::io;

use rustix::process::{Resource, getrlimit, setrlimit};

/// Raises what we may have as far as we may; children inherit it.
pub(crate) fn raise() -> io::Result<()> {
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    Ok(setrlimit(Resource::Nofile, limit)?)
}

/// What we may have; where there is no bound, more than anybody here needs.
pub(crate) fn most() -> usize {
    let limit = getrlimit(Resource::Nofile).current;
    limit.and_then(|limit| usize::try_from(limit).ok()).unwrap_or(usize::MAX).min(1 << 16)
}
