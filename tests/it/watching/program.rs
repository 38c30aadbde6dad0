//! The proxy with interceptors of our own: this very test binary, run again as a program.

use std::process::{ExitCode, exit};

use perimeter::cli;
use perimeter::registry::Registry;

use super::witness::Witness;

/// As in perimeter itself, so that what is measured here holds there.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// What runs it, before the arguments of perimeter.
pub(crate) const CALL: [&str; 5] =
    ["watching::program::the_program", "--exact", "--nocapture", "--test-threads=1", "--"];

/// The kinds of [`Witness`], for what the log and the metrics call them.
const KINDS: [&str; 5] = ["witness", "slow", "blocked", "panicking", "failing"];

#[test]
#[expect(clippy::disallowed_methods, reason = "this process is no test, and must not end as one")]
fn the_program() {
    let mut args = std::env::args_os().skip_while(|arg| arg != "--").peekable();
    if args.peek().is_none() {
        // This is a test run like any other.
        return;
    }
    let mut registry = Registry::built_in();
    for kind in KINDS {
        registry.register(kind, Witness::new);
    }
    // The first argument, which clap takes for the name, is the `--`.
    let ended = cli::main_with(args, &registry, None);
    exit(if ended == ExitCode::SUCCESS {
        0
    } else if ended == ExitCode::from(2) {
        2
    } else {
        1
    });
}
