//! Who waits for whom where the machine has no core to spare.

/// How far behind the traffic those who watch stand (nice(2): 0 is usual, 19 the last). Further, and a machine that is
/// full would blind them (bench/RESULTS.md).
const NICE: i32 = 5;

/// Puts the calling thread behind the forwarding threads: on Linux, niceness belongs to a thread.
pub(crate) fn behind_the_traffic() {
    let thread = rustix::thread::gettid();
    if let Err(error) = rustix::process::setpriority_process(Some(thread), NICE) {
        tracing::debug!(%error, "a thread that watches stays as important as the traffic");
    }
}
