//! `perimeter sessions`: those that a running proxy holds.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;

use super::{FAILED, REFUSED, fail, output};
use crate::config::{Config, Overrides, Secret};
use crate::registry::Registry;

mod ask;
mod table;

use ask::{Address, AskError};

const AFTER_HELP: &str = "\
Environment:
  PERIMETER_ADMIN_TOKEN
             what the admin listener asks for (server.admin.token), unless --token says; above the file's

Exit codes:
  0  shown
  1  nobody answers there, or not with sessions
  2  wrong usage, or a configuration that was refused

Examples:
  perimeter sessions
  perimeter sessions --config perimeter.yaml --limit 20
  perimeter sessions --json | jq '.sessions[] | select(.state == \"answering\") | .session_id'";

/// Show the sessions that a running perimeter holds, the latest first.
#[derive(Args)]
#[command(after_help = AFTER_HELP)]
pub(super) struct Sessions {
    /// Print the page of the admin listener as it is.
    #[arg(long)]
    json: bool,
    /// How many to show, at most.
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    limit: u32,
    /// Whole names, however long they are.
    #[arg(long)]
    wide: bool,
    /// Where the admin listener is [default: that of the file, or http://127.0.0.1:4001].
    #[arg(long, value_name = "URL")]
    url: Option<String>,
    /// The configuration file that the proxy runs with, for where its admin listener is and what it asks for.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// What the admin listener asks for. Others on this machine can read it here: better PERIMETER_ADMIN_TOKEN.
    #[arg(long, value_name = "TOKEN")]
    token: Option<String>,
}

impl Sessions {
    pub(super) fn execute(self, registry: &Registry) -> ExitCode {
        let config = match &self.config {
            Some(path) => match Config::load(Some(path), Overrides::default().file_first(), registry) {
                Ok(loaded) => Some(loaded.config),
                Err(error) => return fail(&error, REFUSED),
            },
            None => None,
        };
        match self.page(config.as_ref()) {
            Ok(page) => {
                let shown = if self.json {
                    Ok(perimeter_printer::text::escape_in_json(&page).into_owned())
                } else {
                    table::of(&page, self.wide)
                };
                match shown {
                    Ok(shown) => {
                        output::stdout(&shown);
                        ExitCode::SUCCESS
                    }
                    Err(error) => fail(&error, FAILED),
                }
            }
            Err(error) => fail(&error, if error.is_usage() { REFUSED } else { FAILED }),
        }
    }

    fn page(&self, config: Option<&Config>) -> Result<String, AskError> {
        let address = match (&self.url, config) {
            (Some(url), _) => Address::parse(url)?,
            (None, Some(config)) => Address::of(&config.server)?,
            (None, None) => Address::default(),
        };
        let environment = std::env::var("PERIMETER_ADMIN_TOKEN").ok().filter(|token| !token.is_empty());
        let file = || config?.server.admin.token.as_ref().map(Secret::reveal).map(str::to_owned);
        let token = self.token.clone().or(environment).or_else(file);
        ask::page(&address, token.as_deref(), self.limit)
    }
}
