//! `perimeter validate-config`: everything that `run` checks before it listens.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;

use super::{REFUSED, fail, output};
use crate::config::{Config, Host, Loaded, Overrides};
use crate::registry::Registry;
use crate::upstream::bridge;

/// Check a configuration file, and say what is in it.
///
/// The environment fills in what the file lacks (LLM_BASE_URL, LLM_TYPE), and gives the file's ${VAR}s their values.
/// Exit code: 0 if the file is valid, 2 if it is not.
#[derive(Args)]
pub(super) struct ValidateConfig {
    /// The file to check.
    file: PathBuf,
}

impl ValidateConfig {
    pub(super) fn execute(self, registry: &Registry) -> ExitCode {
        let file = self.file.display();
        let overrides = Overrides::default().file_first();
        match Config::load(Some(&self.file), overrides, registry) {
            Ok(Loaded { config, warnings, .. }) => {
                if let Err(error) = bridge::check(&config, &|name| std::env::var(name)) {
                    output::stderr(&format!("✗ Configuration is invalid: {file}"));
                    return fail(&error, REFUSED);
                }
                output::stdout(&format!("✓ Configuration is valid: {file}\n{}", summary(&config)));
                for warning in warnings {
                    output::stderr(&format!("perimeter: warning: {warning}"));
                }
                ExitCode::SUCCESS
            }
            Err(error) => {
                output::stderr(&format!("✗ Configuration is invalid: {file}"));
                fail(&error, REFUSED)
            }
        }
    }
}

fn summary(config: &Config) -> String {
    let Config { server, llm, interceptors, pricing, .. } = config;
    let host = match server.host {
        Host::Localhost => "localhost".to_owned(),
        Host::Address(address) if address.is_ipv6() => format!("[{address}]"),
        Host::Address(address) => address.to_string(),
    };
    let provider = serde_json::to_value(llm.provider).unwrap_or_default();
    let hired = interceptors.iter().filter(|entry| entry.enabled);
    let names: Vec<&str> = hired.map(|entry| entry.kind.as_str()).collect();
    let names = if names.is_empty() { "none".to_owned() } else { names.join(", ") };
    let prices = match &pricing.file {
        Some(file) => format!("\n  Prices: {} over the shipped ones", file.display()),
        None => String::new(),
    };
    format!(
        "  Server: http://{host}:{}\n  LLM: {} at {}\n  Interceptors: {names}{prices}",
        server.port,
        provider.as_str().unwrap_or_default(),
        llm.base_url,
    )
}
