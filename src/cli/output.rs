//! Lines to stdout and stderr. Nobody may be listening any more: then there is no one to tell about it either.

use std::io::{self, Write};

/// Prints `line` to stdout.
pub(super) fn stdout(line: &str) {
    let _ = writeln!(io::stdout().lock(), "{line}");
}

/// Prints `line` to stderr.
pub(super) fn stderr(line: &str) {
    let _ = writeln!(io::stderr().lock(), "{line}");
}
