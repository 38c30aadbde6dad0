//! What a process has in memory.

use std::fs;
use std::io;

/// Resident memory, in KiB. What the kernel holds for sockets is in neither.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub(crate) struct Resident {
    pub(crate) all: u64,
    /// Of it, what belongs to no file.
    pub(crate) anonymous: u64,
}

impl Resident {
    pub(crate) fn of(pid: u32) -> io::Result<Self> {
        let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
        Self::said(&status)
            .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, format!("status says {status:?}")))
    }

    fn said(status: &str) -> Option<Self> {
        let field = |name| {
            let line = status.lines().find_map(|line| line.strip_prefix(name))?;
            line.trim_start_matches(':').trim().trim_end_matches(" kB").parse().ok()
        };
        Some(Self { all: field("VmRSS")?, anonymous: field("RssAnon")? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_says_what_is_resident() {
        let status = "Name:\tperimeter\nVmRSS:\t   12345 kB\nRssAnon:\t     678 kB\n";
        assert_eq!(Resident::said(status), Some(Resident { all: 12345, anonymous: 678 }));
        assert_eq!(Resident::said("Name:\tperimeter\n"), None);
        assert!(Resident::of(std::process::id()).unwrap().all > 0);
    }
}
