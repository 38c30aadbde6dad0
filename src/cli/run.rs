//! `perimeter run`: the proxy itself.

use std::io::IsTerminal as _;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;

use super::{FAILED, REFUSED, fail};
use crate::config::{Config, ConfigError, Loaded, Overrides};
use crate::registry::{Hire, Registry};
use crate::upstream::Upstream;
use crate::{app, logging};

const AFTER_HELP: &str = "\
Every flag stands above the environment, the environment above the file, the file above the defaults.

Environment:
  LLM_BASE_URL, LLM_TYPE, LLM_API_KEY, LOG_LEVEL
                     as the flags of those names; an empty one counts as unset
  PERIMETER_LOG      what to log, finer than a level: `warn,access=info`, `perimeter::proxy=debug`
  SSL_CERT_FILE, SSL_CERT_DIR
                     certificate authorities to trust instead of the system's
  HTTPS_PROXY, ALL_PROXY, NO_PROXY
                     the way to an https:// provider, as curl reads them; through http:// proxies only
  XDG_STATE_HOME     where state is kept, in a folder `perimeter`, unless `state_dir` says
  NO_COLOR           no colours, also on a terminal
  OTEL_EXPORTER_OTLP_ENDPOINT and other OTEL_... variables
                     what the file leaves unset of trace_exporter: docs/otel.md lists them
  CYLESTIO_ACCESS_KEY, DESCOPE_BASE_URI
                     what the file leaves unset of cylestio_trace
  CLIENT_ID, CLIENT_SECRET, REALM, GENAI_AGENT_ID
                     what the file leaves unset of llm.stackspot, with --type stackspot
  ANTHROPIC_API_KEY, ANTHROPIC_AUTH_TOKEN, CLAUDE_CODE_OAUTH_TOKEN
                     what the CLI shows Anthropic, with --type claude_code, where the file does not say
  and whatever a configuration names as ${VAR} or ${VAR:-default}

Exit codes:
  0  stopped by SIGTERM or SIGINT; open exchanges had finished, or `server.drain` was over
  1  a failure at run time: port taken, log file that cannot be opened; stopped at once by a second signal
  2  wrong usage, or a configuration that was refused

Examples:
  perimeter run --base-url https://api.openai.com --type openai
  OPENAI_BASE_URL=http://127.0.0.1:4000/v1 python my_agent.py

  perimeter run --base-url https://api.anthropic.com --type anthropic
  ANTHROPIC_BASE_URL=http://127.0.0.1:4000 claude

  perimeter run --base-url https://generativelanguage.googleapis.com --type gemini
  GOOGLE_GEMINI_BASE_URL=http://127.0.0.1:4000 python my_agent.py

  perimeter run --base-url https://api.openai.com --type openai --interceptors printer,trace_exporter
  (traces go to http://localhost:4318, or as OTEL_EXPORTER_OTLP_ENDPOINT says)

  ANTHROPIC_API_KEY=... perimeter run --type claude_code
  OPENAI_BASE_URL=http://127.0.0.1:4000/v1 python my_agent.py

  LLM_API_KEY=... perimeter run --config perimeter.yaml --port 0";

/// Run the proxy between an app and its provider.
#[derive(Args)]
#[command(after_help = AFTER_HELP)]
pub(super) struct Run {
    /// Where the provider is, such as https://api.openai.com.
    #[arg(long, value_name = "URL")]
    base_url: Option<String>,
    /// Whose API it speaks: openai (and everything like it), anthropic, gemini, or auto: each request shows it. Or a
    /// bridge, which needs no --base-url: stackspot, claude_code.
    #[arg(long = "type", value_name = "openai|anthropic|gemini|auto|stackspot|claude_code")]
    provider: Option<String>,
    /// The address to listen on [default: 127.0.0.1, and ::1 where there is one].
    #[arg(long, value_name = "ADDRESS")]
    host: Option<String>,
    /// The port to listen on; 0 picks a free one [default: 4000].
    #[arg(long, value_name = "PORT")]
    port: Option<String>,
    /// A key for requests that bring none. Others on this machine can read it here: better LLM_API_KEY.
    #[arg(long, value_name = "KEY")]
    api_key: Option<String>,
    /// The interceptors to hire, in place of those in the file: printer, message_logger, event_recorder,
    /// session_detector, trace_exporter, cylestio_trace; `none` for none. [default: printer]
    #[arg(long, value_name = "NAME,…|none", value_delimiter = ',')]
    interceptors: Option<Vec<String>>,
    /// The configuration file; `perimeter generate-config` writes one to start from.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// What to log: trace, debug, info, warn or error [default: info].
    #[arg(long, value_name = "LEVEL")]
    log_level: Option<String>,
}

impl Run {
    pub(super) fn execute(self, registry: &Registry, upstream: Option<Upstream>) -> ExitCode {
        let Loaded { config, hires, mut warnings } = match self.load(registry) {
            Ok(loaded) => loaded,
            Err(error) => return fail(&error, REFUSED),
        };
        if self.api_key.is_some() {
            warnings.push(
                "--api-key can be read in the list of processes; LLM_API_KEY in the environment cannot"
                    .to_owned(),
            );
        }
        let log = match logging::init(&config.logging, !says_each_twice(&config, &hires)) {
            Ok(guard) => guard,
            Err(error) => return fail(&error, if error.is_usage() { REFUSED } else { FAILED }),
        };
        for warning in warnings {
            tracing::warn!("{warning}");
        }
        let ended = app::run(config, hires, upstream);
        // Writes out what is still held, so that the last word is the last line.
        drop(log);
        match ended {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => fail(&error, if error.is_usage() { REFUSED } else { FAILED }),
        }
    }

    fn load(&self, registry: &Registry) -> Result<Loaded, ConfigError> {
        let overrides = Overrides::default()
            .flag("llm.base_url", "--base-url", self.base_url.as_deref())
            .flag("llm.type", "--type", self.provider.as_deref())
            .flag("llm.api_key", "--api-key", self.api_key.as_deref())
            .flag("server.host", "--host", self.host.as_deref())
            .flag("server.port", "--port", self.port.as_deref())
            .flag("logging.level", "--log-level", self.log_level.as_deref())
            .interceptors(self.interceptors.as_deref().map(named));
        Config::load(self.config.as_deref(), overrides, registry)
    }
}

/// Whether the printer's blocks and the log's access lines would stand on one terminal.
fn says_each_twice(config: &Config, hires: &[Hire]) -> bool {
    config.logging.file.is_none()
        && hires.iter().any(|hire| hire.kind() == "printer")
        && std::io::stdout().is_terminal()
        && std::io::stderr().is_terminal()
}

/// The names given to `--interceptors`, where `none` by itself is none.
fn named(names: &[String]) -> Vec<String> {
    match names {
        [none] if none.trim() == "none" => Vec::new(),
        names => names.iter().map(|name| name.trim().to_owned()).collect(),
    }
}
