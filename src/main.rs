//! The `perimeter` command.

use std::process::ExitCode;

use perimeter::registry::Registry;

/// A request is some sixty small allocations, most of them hyper's: this makes each cheaper (bench/RESULTS.md).
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    perimeter::cli::main(&Registry::built_in(), None)
}
