//! Who waits for whom where the machine has no core to spare.
//!
//! On Linux, niceness and turns belong to a thread. Elsewhere all threads stay alike.

#[cfg(not(target_os = "linux"))]
pub(crate) use elsewhere::{at_the_traffic, behind_the_traffic};
#[cfg(target_os = "linux")]
pub(crate) use linux::{at_the_traffic, behind_the_traffic};

#[cfg(target_os = "linux")]
mod linux {
    use std::io;

    /// How far behind the traffic those who watch stand (nice(2): 0 is usual, 19 the last). Further, and a machine that
    /// is full would blind them (bench/TRIED.md).
    const NICE: i32 = 5;

    /// How long a turn of a forwarding thread is, ns: shorter than the usual one (0.7 ms, and more where there are more
    /// cores). The kernel takes 100,000 and more.
    const TURN: u64 = 500_000;

    /// Puts the calling thread behind the forwarding threads.
    pub(crate) fn behind_the_traffic() {
        if let Err(error) = rustix::process::nice(NICE) {
            tracing::debug!(%error, "a thread that watches stays as important as the traffic");
        }
    }

    /// Lets the calling thread run as soon as something came for it, also where another one has the core at that
    /// moment: who asks for short turns may interrupt who does not. Its share of the core stays what it is. So do threads
    /// that it starts. Linux before 6.12 takes no notice (sched(7), `sched_runtime` of sched_setattr(2)).
    pub(crate) fn at_the_traffic() {
        if let Err(error) = shorten_turns() {
            tracing::debug!(%error, "a forwarding thread waits for its turn as others do");
        }
    }

    #[expect(unsafe_code, reason = "no crate has a safe way; see bench/TRIED.md for what it is worth")]
    fn shorten_turns() -> io::Result<()> {
        const SIZE: u32 = size_of::<libc::sched_attr>() as u32;
        let mut how = libc::sched_attr {
            size: SIZE,
            sched_policy: 0,
            sched_flags: 0,
            sched_nice: 0,
            sched_priority: 0,
            sched_runtime: 0,
            sched_deadline: 0,
            sched_period: 0,
        };
        // SAFETY: the kernel writes at most SIZE bytes, which are numbers, to where the pointer says, and keeps none.
        done(unsafe { libc::syscall(libc::SYS_sched_getattr, 0, &raw mut how, SIZE, 0) })?;
        // Who was put under another policy stays there, as all do with their niceness.
        if how.sched_policy != libc::SCHED_OTHER as u32 {
            return Ok(());
        }
        how.sched_runtime = TURN;
        // SAFETY: the kernel reads the bytes that it just wrote, and writes none.
        done(unsafe { libc::syscall(libc::SYS_sched_setattr, 0, &raw const how, 0) })
    }

    fn done(result: libc::c_long) -> io::Result<()> {
        if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
    }
}

#[cfg(not(target_os = "linux"))]
mod elsewhere {
    pub(crate) fn behind_the_traffic() {}

    pub(crate) fn at_the_traffic() {}
}
