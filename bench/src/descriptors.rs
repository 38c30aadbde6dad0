//! How many descriptors a process of the bench may have: each stream takes two of a proxy.

use std::io;

use rustix::process::{Resource, getrlimit, setrlimit};

use crate::error::Error;

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

/// Says it beforehand where so many connections at once, through a proxy, are more than we may have.
///
/// # Errors
/// [`Error::Usage`].
pub(crate) fn enough_for(connections: usize) -> Result<(), Error> {
    let (needed, most) = (connections.saturating_mul(2).saturating_add(OTHERS), most());
    if needed > most {
        return Err(Error::Usage(format!(
            "{connections} connections need {needed} descriptors, of which there are {most}"
        )));
    }
    Ok(())
}

/// What a proxy holds besides its connections is less than this.
pub(crate) const OTHERS: usize = 256;
