//! The command line: for now only what the proxy needs to start.

use std::process::ExitCode;
use std::time::Duration;

use crate::config::*;

/// Parses the arguments, runs the subcommand, and says how it went: 0, 1 (run time) or 2 (usage, configuration).
pub fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().collect();
    let get = |name: &str| args.iter().position(|a| a == name).and_then(|i| args.get(i + 1).cloned());
    let mut server = Server::default();
    server.port = get("--port").and_then(|p| p.parse().ok()).unwrap_or(4000);
    if let Some(host) = get("--host").and_then(|h| h.parse().ok()) {
        server.host = Host::Address(host);
    }
    if let Some(n) = get("--workers").and_then(|h| h.parse().ok()) {
        server.workers = n;
    }
    let Some(base_url) = get("--base-url").and_then(|u| BaseUrl::parse(&u).ok()) else {
        return ExitCode::from(2);
    };
    let config = Config {
        server,
        llm: Llm {
            provider: if get("--type").as_deref() == Some("anthropic") {
                Provider::Anthropic
            } else {
                Provider::OpenAi
            },
            base_url,
            api_key: get("--api-key").map(Secret::new),
            timeout: Duration::from_secs(30),
        },
        interceptors: vec![],
        observe: Observe { memory: 0, journal: 0, mailbox: 0, body_limit: 0, mask: Mask::default() },
        logging: Logging {
            level: Level::Info,
            format: LogFormat::Text,
            file: None,
            max_file_size: 0,
            backup_count: 0,
        },
        session: Session { legacy_headers: LegacyHeaders::V2 },
        state_dir: "/tmp".into(),
    };
    tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        .with_env_filter(get("--log-level").unwrap_or("info".into()))
        .init();
    match crate::app::run(config) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("perimeter: {}", crate::error::chain(&error));
            if error.is_usage() { ExitCode::from(2) } else { ExitCode::from(1) }
        }
    }
}
