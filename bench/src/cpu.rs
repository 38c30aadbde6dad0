//! CPU time of a process and of its threads, to the nanosecond.

use std::fs;
use std::io;
use std::path::Path;
use std::time::Duration;

use nix::time::clock_getcpuclockid;
use nix::unistd::Pid;
use rustix::io::Errno;

use crate::cores;

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

/// What the process has used. The whole is the process's own clock, in which threads that have ended stay counted;
/// the threads are read one by one from `schedstat`. Both count nanoseconds, where `stat` has ticks of ten
/// milliseconds.
pub(crate) fn used(pid: u32) -> io::Result<CpuTime> {
    let threads = threads(pid)?;
    // Last, so that no part is greater than the whole.
    let whole = process_clock(pid)?;
    Ok(CpuTime { whole, forwarding: forwarding(&threads).unwrap_or(whole) })
}

fn process_clock(pid: u32) -> io::Result<u64> {
    let pid = i32::try_from(pid).map_err(io::Error::other)?;
    let time = clock_getcpuclockid(Pid::from_raw(pid))?.now()?;
    u64::try_from(Duration::from(time).as_nanos()).map_err(io::Error::other)
}

/// Names of the threads that live, and what each has used.
fn threads(pid: u32) -> io::Result<Vec<(String, u64)>> {
    let mut threads = Vec::new();
    for task in fs::read_dir(format!("/proc/{pid}/task"))? {
        match thread(&task?.path()) {
            Ok(thread) => threads.push(thread),
            // It ended since the folder was read.
            Err(error) if is_gone(&error) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(threads)
}

fn thread(task: &Path) -> io::Result<(String, u64)> {
    let name = fs::read_to_string(task.join("comm"))?;
    Ok((name, on_cpu(&fs::read_to_string(task.join("schedstat"))?)?))
}

fn is_gone(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::NotFound || error.raw_os_error() == Some(Errno::SRCH.raw_os_error())
}

/// What the forwarding threads have used; none of a program that names no such threads: it forwards on all it has.
fn forwarding(threads: &[(String, u64)]) -> Option<u64> {
    let times = threads.iter().filter(|(name, _)| name.starts_with(FORWARDING)).map(|(_, time)| *time);
    times.reduce(|sum, time| sum + time)
}

fn on_cpu(schedstat: &str) -> io::Result<u64> {
    schedstat
        .split_ascii_whitespace()
        .next()
        .and_then(|field| field.parse().ok())
        .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, format!("schedstat says {schedstat:?}")))
}

/// What the process has used once it rests: a running thread's last slice is not counted before it pauses, a proxy
/// may still tidy up after the last byte of the last answer, and those who read along may still be behind.
pub(crate) fn used_at_rest(pid: u32, who: Resting) -> io::Result<CpuTime> {
    let mut before = used(pid)?;
    let mut unchanged = 0;
    for _ in 0..LOOKS_AT_MOST {
        std::thread::sleep(Duration::from_millis(2));
        let now = used(pid)?;
        let rests = match who {
            Resting::All => now == before,
            Resting::Forwarding => now.forwarding == before.forwarding,
        };
        unchanged = if rests { unchanged + 1 } else { 0 };
        if unchanged == LOOKS_AT_REST {
            break;
        }
        before = now;
    }
    Ok(before)
}

/// Who is waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Resting {
    All,
    /// The threads that forward: the others have enough to do for minutes.
    Forwarding,
}

/// So often in a row nothing may have changed: a thread that waits for a disk or another thread does not rest yet.
const LOOKS_AT_REST: u32 = 5;
/// About five seconds: a program that never rests must not hold up the rest.
const LOOKS_AT_MOST: u32 = 2500;

/// Keeps all threads of a process but those that forward on this core.
pub(crate) fn pin_observers(pid: u32, core: usize) -> io::Result<()> {
    for task in fs::read_dir(format!("/proc/{pid}/task"))? {
        match pin_observer(&task?.path(), core) {
            // It ended since the folder was read.
            Err(error) if !is_gone(&error) => return Err(error),
            _ => {}
        }
    }
    Ok(())
}

fn pin_observer(task: &Path, core: usize) -> io::Result<()> {
    let number = task.file_name().and_then(|name| name.to_str()?.parse().ok());
    let (name, _) = thread(task)?;
    match number.and_then(rustix::process::Pid::from_raw) {
        Some(number) if !name.starts_with(FORWARDING) => cores::pin_thread(number, core),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;
    use std::thread;

    use super::*;
    use crate::clock::thread_time;

    fn threads(named: &[(&str, u64)]) -> Vec<(String, u64)> {
        named.iter().map(|(name, time)| (format!("{name}\n"), *time)).collect()
    }

    #[test]
    fn forwarding_threads_are_told_apart_by_name() {
        let named = threads(&[
            ("perimeter", 5),
            ("perimeter-fwd-0", 20),
            ("perimeter-fwd-1", 30),
            ("perimeter-scrib", 9),
        ]);
        assert_eq!(forwarding(&named), Some(50));
    }

    #[test]
    fn a_program_without_such_names_has_no_forwarding_threads() {
        assert_eq!(forwarding(&threads(&[("nginx", 7)])), None);
    }

    /// Uses the CPU until its own clock says that this thread has used so much; what it then says.
    fn burn(time: u64) -> u64 {
        loop {
            let used = thread_time();
            if used >= time {
                return used;
            }
        }
    }

    fn used_here() -> CpuTime {
        used(std::process::id()).unwrap()
    }

    /// The only test that names threads so: all tests share a process, and so its threads.
    #[test]
    fn what_a_thread_burns_is_attributed_by_its_name_and_stays_in_the_whole_when_it_ends() {
        const TIME: u64 = 20_000_000;
        let before = used_here();
        assert_eq!(before.forwarding, before.whole, "nobody is named so yet");
        let (burnt, said) = mpsc::channel();
        let (leave, told) = mpsc::channel::<()>();
        let named = |name: &str, work: Box<dyn FnOnce() + Send>| {
            thread::Builder::new().name(name.to_owned()).spawn(work).unwrap()
        };
        let forwarding = named("perimeter-fwd-12", {
            let burnt = burnt.clone();
            Box::new(move || {
                burnt.send(burn(TIME)).unwrap();
                told.recv().unwrap_err();
                burnt.send(thread_time()).unwrap();
            })
        });
        let least = said.recv().unwrap();
        named("perimeter-scribe", Box::new(move || burnt.send(burn(2 * TIME)).unwrap())).join().unwrap();
        let other = said.recv().unwrap();
        let both = used_here();
        drop(leave);
        let most = said.recv().unwrap();
        forwarding.join().unwrap();
        let after = used_here();

        assert!((least..=most).contains(&both.forwarding), "{least} to {most}: {both:?}");
        assert!(both.whole - before.whole >= least + other, "{before:?} {both:?}");
        assert!(after.whole - before.whole >= most + other, "{before:?} {after:?}");
    }

    #[test]
    fn time_on_the_cpu_is_the_first_field() {
        assert_eq!(on_cpu("527816677 443071 22\n").unwrap(), 527_816_677);
        assert!(on_cpu("").is_err());
    }
}
