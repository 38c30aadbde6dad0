//! The `perimeter` command.

use std::process::ExitCode;

use perimeter::allocator::{self, Allocator};
use perimeter::registry::Registry;

#[global_allocator]
static ALLOCATOR: Allocator = Allocator;

fn main() -> ExitCode {
    allocator::keep_freed_memory();
    perimeter::cli::main(&Registry::built_in(), None)
}
