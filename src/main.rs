//! The `perimeter` command.

mod allocator;

use std::process::ExitCode;

use perimeter::registry::Registry;

#[global_allocator]
static ALLOCATOR: allocator::Allocator = allocator::Allocator;

fn main() -> ExitCode {
    allocator::keep_freed_memory();
    perimeter::cli::main(&Registry::built_in(), None)
}
