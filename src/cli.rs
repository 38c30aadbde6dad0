//! The command line: one file a subcommand. Everything said here survives a closed pipe.

use std::error::Error;
use std::ffi::OsString;
use std::process::ExitCode;

use clap::{ArgAction, Parser, Subcommand};

use crate::error::chain;
use crate::registry::Registry;
use crate::upstream::Upstream;

mod generate_config;
mod output;
mod prices;
mod run;
mod sessions;
mod validate_config;

/// A run-time failure: a port taken, a file that cannot be written.
const FAILED: u8 = 1;
/// Wrong usage, or a configuration that was refused.
const REFUSED: u8 = 2;

/// A transparent reverse proxy for LLM APIs: it sees everything an app says to its provider and changes none of it.
#[derive(Parser)]
#[command(name = "perimeter", version, disable_version_flag = true, after_help = EXAMPLES)]
struct Cli {
    /// Print the version.
    #[arg(short = 'v', short_alias = 'V', long, action = ArgAction::Version, global = false)]
    version: (),
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Run(run::Run),
    ValidateConfig(validate_config::ValidateConfig),
    GenerateConfig(generate_config::GenerateConfig),
    Prices(prices::Prices),
    Sessions(sessions::Sessions),
}

const EXAMPLES: &str = "\
Examples:
  perimeter run --base-url https://api.openai.com --type openai
  perimeter run --base-url https://api.anthropic.com --type anthropic --port 4100
  perimeter generate-config perimeter.yaml
  perimeter validate-config perimeter.yaml
  perimeter run --config perimeter.yaml
  perimeter prices gpt-5-2025-08-07
  perimeter sessions

`perimeter run --help` lists the environment variables and the exit codes.";

/// Parses the arguments, runs the subcommand, and says how it went: 0, 1 (run time) or 2 (usage, configuration).
///
/// A configuration may name the interceptors of `registry`. Exchanges go to `upstream`, if there is one, in place of
/// what is at `llm.base_url` (which still has to be there, and is what requests are addressed to).
pub fn main(registry: &Registry, upstream: Option<Upstream>) -> ExitCode {
    main_with(std::env::args_os(), registry, upstream)
}

/// As [`main`], with these arguments, of which the first is the program's name.
pub fn main_with(
    args: impl IntoIterator<Item = OsString>,
    registry: &Registry,
    upstream: Option<Upstream>,
) -> ExitCode {
    let cli = match Cli::try_parse_from(args) {
        Ok(cli) => cli,
        Err(error) => {
            // Help asked for and usage refused both come this way; a closed pipe is no reason to fail differently.
            let _ = error.print();
            return ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(REFUSED));
        }
    };
    match cli.command {
        Command::Run(run) => run.execute(registry, upstream),
        Command::ValidateConfig(validate) => validate.execute(registry),
        Command::GenerateConfig(generate) => generate.execute(),
        Command::Prices(prices) => prices.execute(registry),
        Command::Sessions(sessions) => sessions.execute(registry),
    }
}

/// Prints `error` with its causes on one line, and makes `code` the exit code.
fn fail(error: &dyn Error, code: u8) -> ExitCode {
    output::stderr(&format!("perimeter: {}", chain(error)));
    ExitCode::from(code)
}
