//! CPU time of a process to the nanosecond, and which core may run what.

use std::fs;
use std::io;
use std::path::Path;
use std::time::Duration;

use rustix::io::Errno;
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

/// CPU time in nanoseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct CpuTime {
    pub(crate) whole: u64,
    /// Of it, by threads that forward.
    pub(crate) forwarding: u64,
}

impl CpuTime {
    pub(crate) fn since(self, earlier: Self) -> Self {
        Self {
            whole: self.whole.saturating_sub(earlier.whole),
            forwarding: self.forwarding.saturating_sub(earlier.forwarding),
        }
    }
}

/// The kernel cuts thread names to 15 bytes: this is as much of `perimeter-fwd-N` as always survives.
const FORWARDING: &str = "perimeter-fwd";

/// What the process has used. `schedstat` counts nanoseconds where `stat` counts ticks of ten milliseconds, but
/// only per thread; threads that have ended are lost, and no target ends threads while it serves.
pub(crate) fn used(pid: u32) -> io::Result<CpuTime> {
    let mut threads = Vec::new();
    for task in fs::read_dir(format!("/proc/{pid}/task"))? {
        match thread(&task?.path()) {
            Ok(thread) => threads.push(thread),
            // It ended since the folder was read.
            Err(error) if is_gone(&error) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(sum(&threads))
}

fn thread(task: &Path) -> io::Result<(String, u64)> {
    let name = fs::read_to_string(task.join("comm"))?;
    Ok((name, on_cpu(&fs::read_to_string(task.join("schedstat"))?)?))
}

fn is_gone(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::NotFound || error.raw_os_error() == Some(Errno::SRCH.raw_os_error())
}

fn sum(threads: &[(String, u64)]) -> CpuTime {
    let whole = threads.iter().map(|(_, time)| time).sum();
    let mut forwarding =
        threads.iter().filter(|(name, _)| name.starts_with(FORWARDING)).map(|(_, time)| time).peekable();
    // A program that names no forwarding threads forwards on all it has.
    if forwarding.peek().is_none() {
        return CpuTime { whole, forwarding: whole };
    }
    CpuTime { whole, forwarding: forwarding.sum() }
}

fn on_cpu(schedstat: &str) -> io::Result<u64> {
    schedstat
        .split_ascii_whitespace()
        .next()
        .and_then(|field| field.parse().ok())
        .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, format!("schedstat says {schedstat:?}")))
}

/// What the process has used once it rests: a running thread's last slice is not counted before it pauses, and a
/// proxy may still tidy up after the last byte of the last answer.
pub(crate) fn used_at_rest(pid: u32) -> io::Result<CpuTime> {
    let mut before = used(pid)?;
    for _ in 0..100 {
        std::thread::sleep(Duration::from_millis(2));
        let now = used(pid)?;
        if now == before {
            break;
        }
        before = now;
    }
    Ok(before)
}

/// Which core runs the proxy under test, and which the load generator and the upstream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Cores {
    pub(crate) proxy: usize,
    pub(crate) load: usize,
}

impl Cores {
    /// The first and the last core that we may use, when there are two.
    pub(crate) fn choose() -> io::Result<Option<Self>> {
        let allowed = sched_getaffinity(None)?;
        let mut cores = (0..CpuSet::MAX_CPU).filter(|core| allowed.is_set(*core));
        Ok(match (cores.next(), cores.next_back()) {
            (Some(proxy), Some(load)) => Some(Self { proxy, load }),
            _ => None,
        })
    }
}

/// Keeps this process, and what it starts from now on, on one core.
pub(crate) fn pin(core: usize) -> io::Result<()> {
    let mut set = CpuSet::new();
    set.set(core);
    Ok(sched_setaffinity(None, &set)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn threads(named: &[(&str, u64)]) -> Vec<(String, u64)> {
        named.iter().map(|(name, time)| (format!("{name}\n"), *time)).collect()
    }

    #[test]
    fn forwarding_threads_are_told_apart_by_name() {
        let time = sum(&threads(&[("perimeter", 5), ("perimeter-fwd-0", 20), ("perimeter-fwd-1", 30)]));
        assert_eq!(time, CpuTime { whole: 55, forwarding: 50 });
    }

    #[test]
    fn a_program_without_such_names_forwards_on_every_thread() {
        assert_eq!(sum(&threads(&[("nginx", 7)])), CpuTime { whole: 7, forwarding: 7 });
    }

    #[test]
    fn time_on_the_cpu_is_the_first_field() {
        assert_eq!(on_cpu("527816677 443071 22\n").unwrap(), 527_816_677);
        assert!(on_cpu("").is_err());
    }

    #[test]
    fn our_own_use_can_be_read() {
        assert!(used(std::process::id()).is_ok());
    }
}
