//! The command line.

use std::process::ExitCode;

/// Parses the arguments, runs the subcommand, and says how it went: 0, 1 (run time) or 2 (usage, configuration).
pub fn main() -> ExitCode {
    ExitCode::SUCCESS
}
