//! Which core may run what.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, mpsc};
use std::thread::{self, JoinHandle};

use rustix::process::Pid;
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

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

/// Does something at these cores, or where we are if there are none, and goes back.
pub(crate) fn at<T>(cores: &[usize], work: impl FnOnce() -> T) -> io::Result<T> {
    let before = sched_getaffinity(None)?;
    if !cores.is_empty() {
        pin(cores)?;
    }
    let done = work();
    sched_setaffinity(None, &before)?;
    Ok(done)
}

/// Keeps this thread, and what it starts from now on, on these cores.
pub(crate) fn pin(cores: &[usize]) -> io::Result<()> {
    Ok(sched_setaffinity(None, &set_of(cores))?)
}

/// Keeps one thread, of whatever process, on a core.
pub(crate) fn pin_thread(thread: Pid, core: usize) -> io::Result<()> {
    Ok(sched_setaffinity(Some(thread), &set_of(&[core]))?)
}

/// A thread that computes for as long as this lives, and takes its share of a core.
#[derive(Debug)]
pub(crate) struct Busy {
    ends: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Busy {
    /// At this core, or where the scheduler likes it.
    pub(crate) fn at(core: Option<usize>) -> io::Result<Self> {
        let ends = Arc::new(AtomicBool::new(false));
        let (begins, begun) = mpsc::channel();
        let until = ends.clone();
        let thread = thread::Builder::new().name("busy".to_owned()).spawn(move || {
            // Who asks hears nothing if this thread panics, which is an error too.
            let _ = begins.send(core.map_or(Ok(()), |core| pin(&[core])));
            while !until.load(Ordering::Relaxed) {
                std::hint::spin_loop();
            }
        })?;
        let busy = Self { ends, thread: Some(thread) };
        begun.recv().map_err(io::Error::other)??;
        Ok(busy)
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        self.ends.store(true, Ordering::Relaxed);
        // It has nothing to say.
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

fn set_of(cores: &[usize]) -> CpuSet {
    let mut set = CpuSet::new();
    for core in cores {
        set.set(*core);
    }
    set
}
