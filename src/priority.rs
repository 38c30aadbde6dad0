//! Who waits for whom where the machine has no core to spare.

/// How far behind the traffic those who watch stand (nice(2): 0 is usual, 19 the last). Bench: with printer and message
/// logger on the traffic's own core, this is what keeps them from interrupting it.
const NICE: i32 = 5;

/// Puts the calling thread behind the forwarding threads: on Linux, niceness belongs to a thread.
pub(crate) fn behind_the_traffic() {
    let thread = rustix::thread::gettid();
    if let Err(error) = rustix::process::setpriority_process(Some(thread), NICE) {
        tracing::debug!(%error, "a thread that watches stays as important as the traffic");
    }
}
