//! The `perimeter` command.

use std::process::ExitCode;

use perimeter::registry::Registry;

/// A request is some sixty small allocations, most of them hyper's: this makes each cheaper. Without huge pages
/// (`no_thp`): with them each thread that begins to allocate holds 2 MiB more, and forwarding is no faster
/// (bench/RESULTS.md).
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    keep_freed_memory();
    perimeter::cli::main(&Registry::built_in(), None)
}

/// Keeps memory that was freed for a minute before it goes back to the system, in place of ten milliseconds. Bodies
/// come in bursts, an agent's a turn apart; with each, what those who watch hold would be asked of the system anew, page
/// by page, on the forwarding threads: up to three times the cost of forwarding itself (bench/RESULTS.md).
fn keep_freed_memory() {
    /// `mi_option_purge_delay` (mimalloc.h; milliseconds), which the crate has no name for.
    const PURGE_DELAY: libmimalloc_sys::mi_option_t = 15;
    /// `mi_option_arena_purge_mult`: how many times as long large blocks are kept.
    const FOR_LARGE_BLOCKS: libmimalloc_sys::mi_option_t = 24;
    #[expect(unsafe_code, reason = "the crate has no safe way; see above for what it is worth")]
    // SAFETY: it stores numbers in a table of the allocator's, before any thread is started.
    unsafe {
        libmimalloc_sys::mi_option_set(PURGE_DELAY, 60_000);
        libmimalloc_sys::mi_option_set(FOR_LARGE_BLOCKS, 1);
    }
}
