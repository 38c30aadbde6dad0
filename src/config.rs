//! The configuration: the structs of the YAML file, and how it is loaded.
//!
//! The types are the documentation: every key is a field, and its default stands in one `Default` impl.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;
use std::time::Duration;

use perimeter_settings::{duration, path, size};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::upstream::bridge;

mod base_url;
pub(crate) mod header;
mod host;
mod load;
mod metrics;
mod problem;
mod secret;

mod known;
mod reader;
mod tree;
mod variables;
mod yaml;

pub use base_url::{BadUrl, BaseUrl};
pub use host::Host;
pub use load::{Loaded, Overrides, Source};
pub use metrics::{Labels, Metrics, Semconv};
pub use problem::ConfigError;
pub(crate) use problem::Problem;
pub(crate) use reader::Reader;
pub use secret::Secret;
pub use variables::Lookup;

pub use crate::prices::PricesError;

/// Everything that a run of the proxy needs to know, checked.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Where clients connect, and how long things may take.
    #[serde(default)]
    pub server: Server,
    /// The provider that requests are forwarded to.
    pub llm: Llm,
    /// Who watches the traffic, in the order of the file.
    #[serde(default)]
    pub interceptors: Vec<InterceptorEntry>,
    /// How much of the traffic may be held in memory for those who watch.
    #[serde(default)]
    pub observe: Observe,
    /// What the proxy says about itself.
    #[serde(default)]
    pub logging: Logging,
    /// How calls are gathered into sessions.
    #[serde(default)]
    pub session: Session,
    /// What models cost.
    #[serde(default)]
    pub pricing: Pricing,
    /// What `/metrics` shows.
    #[serde(default)]
    pub metrics: Metrics,
    /// Where state that outlives a run is kept.
    #[serde(
        default = "state_dir",
        serialize_with = "path::serialize",
        deserialize_with = "path::deserialize"
    )]
    pub state_dir: PathBuf,
}

/// `server`: the listeners.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Server {
    /// The address to listen on.
    pub host: Host,
    /// The port to listen on; 0 picks a free one.
    pub port: u16,
    /// Forwarding threads, each with a listening socket of its own.
    #[serde(deserialize_with = "workers")]
    pub workers: usize,
    /// How long open exchanges may finish when the proxy is told to stop.
    #[serde(with = "duration")]
    pub drain: Duration,
    /// How long interceptors may write out what they hold when the proxy stops.
    #[serde(with = "duration")]
    pub flush: Duration,
    /// The second listener.
    pub admin: Admin,
    /// How long a client may take for a request head, from its first byte.
    #[serde(serialize_with = "duration::serialize", deserialize_with = "duration::positive")]
    pub header_timeout: Duration,
    /// Client connections open at once; further ones wait in the kernel's queue.
    #[serde(deserialize_with = "at_least_one")]
    pub max_connections: usize,
    /// Keys by which clients may use the configured `llm.api_key` where the listener is not on loopback.
    pub client_keys: Vec<Secret>,
    /// Whether anyone who reaches that listener may use it without such a key.
    pub allow_open: bool,
    /// Whether `/health`, `/ready`, `/metrics`, `/sessions` and `/config` are answered on the proxy's port too.
    pub admin_on_proxy_port: bool,
}

/// `server.admin`: the listener for health, metrics and the configuration in force.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Admin {
    /// The address to listen on.
    #[serde(deserialize_with = "host::deserialize_address")]
    pub host: IpAddr,
    /// The port; unset: the proxy's plus one, or any free one.
    pub port: Option<u16>,
    /// What a client must show (`Authorization: Bearer …`); required beyond loopback.
    pub token: Option<Secret>,
}

/// `llm`: the provider.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Llm {
    /// Whose API it speaks.
    #[serde(rename = "type")]
    pub provider: Provider,
    /// Where it is.
    pub base_url: BaseUrl,
    /// A key for clients that bring none.
    #[serde(default)]
    pub api_key: Option<Secret>,
    /// The time to connect (name, TCP and TLS); nothing ends a slow answer.
    #[serde(default = "connect_timeout")]
    #[serde(serialize_with = "duration::serialize", deserialize_with = "duration::positive")]
    pub timeout: Duration,
    /// Whether requests go on with a `traceparent` that names the span of their call.
    #[serde(default)]
    pub traceparent: bool,
    /// How a bridge treats its clients.
    #[serde(default)]
    pub bridge: bridge::Settings,
    /// The account and the agents of `llm.type: stackspot`.
    #[serde(default)]
    pub stackspot: bridge::stackspot::Settings,
    /// The CLI of `llm.type: claude_code`.
    #[serde(default)]
    pub claude_code: bridge::claude_code::Settings,
}

/// `llm.type`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Provider {
    /// OpenAI, and everything that speaks like it.
    OpenAi,
    /// Anthropic.
    Anthropic,
    /// Google's Gemini.
    Gemini,
    /// Any of them: what each request looks like decides.
    Auto,
    /// Agents of Stackspot AI, through a bridge.
    Stackspot,
    /// The Claude Code CLI, through a bridge.
    #[serde(rename = "claude_code")]
    ClaudeCode,
}

impl Provider {
    /// Where it is, unless `llm.base_url` says: bridges know.
    fn address(self) -> Option<&'static str> {
        match self {
            Self::Stackspot => Some("https://genai-inference-app.stackspot.com"),
            Self::ClaudeCode => Some("https://api.anthropic.com"),
            Self::OpenAi | Self::Anthropic | Self::Gemini | Self::Auto => None,
        }
    }

    /// Whether it speaks no provider's API, so that a bridge answers for it.
    pub fn is_bridged(self) -> bool {
        self.address().is_some()
    }
}

/// One of `interceptors`.
#[derive(Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct InterceptorEntry {
    /// Its kind, by its registered name.
    #[serde(rename = "type")]
    pub kind: String,
    /// Whether it is hired.
    #[serde(default = "yes")]
    pub enabled: bool,
    /// Its own settings.
    #[serde(default = "no_settings", serialize_with = "masked", deserialize_with = "settings")]
    pub config: serde_json::Value,
}

/// Its settings may hold secrets.
impl fmt::Debug for InterceptorEntry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("InterceptorEntry")
            .field("kind", &self.kind)
            .field("enabled", &self.enabled)
            .field("config", &secret::masked(&self.config))
            .finish()
    }
}

/// `observe`: bounds on what is held for those who watch. Bytes.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Observe {
    /// All of it together.
    #[serde(with = "size")]
    pub memory: u64,
    /// The queue from the traffic to the scribe.
    #[serde(with = "size")]
    pub journal: u64,
    /// The queue of each interceptor.
    #[serde(with = "size")]
    pub mailbox: u64,
    /// What is held at once of one body.
    #[serde(with = "size")]
    pub body_limit: u64,
    /// Whether a large request may be read where its sender's system put it, behind its passing.
    pub share_pages: bool,
    /// A gap in a stream that is longer is told as a stall.
    #[serde(serialize_with = "duration::serialize", deserialize_with = "duration::positive")]
    pub stall_threshold: Duration,
    /// What is masked besides the built-in table.
    pub mask: Mask,
}

/// `observe.mask`: more names whose values are secrets.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Mask {
    /// Header names.
    #[serde(deserialize_with = "header::deserialize")]
    pub headers: Vec<String>,
    /// Query parameter names.
    pub query: Vec<String>,
}

/// `logging`: what the proxy says about itself.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Logging {
    /// From which level on.
    pub level: Level,
    /// In which form.
    pub format: LogFormat,
    /// The file to write to instead of stderr.
    #[serde(deserialize_with = "path::some")]
    pub file: Option<PathBuf>,
    /// The size at which that file is turned over. Bytes.
    #[serde(with = "size")]
    pub max_file_size: u64,
    /// How many turned-over files are kept.
    #[serde(deserialize_with = "backups")]
    pub backup_count: usize,
}

/// `logging.level`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// Everything.
    Trace,
    /// What a developer of the proxy wants to see.
    Debug,
    /// A line for each exchange.
    Info,
    /// What is wrong but can be lived with.
    Warn,
    /// What failed.
    Error,
}

/// In any case, and by the predecessor's names too.
impl<'de> Deserialize<'de> for Level {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let name = String::deserialize(deserializer)?.to_ascii_lowercase();
        Ok(match name.trim() {
            "trace" => Self::Trace,
            "debug" => Self::Debug,
            "info" => Self::Info,
            "warn" | "warning" => Self::Warn,
            "error" | "critical" => Self::Error,
            name => {
                return Err(D::Error::unknown_variant(name, &["trace", "debug", "info", "warn", "error"]));
            }
        })
    }
}

/// `logging.format`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// A line for people.
    Text,
    /// A JSON object a line.
    Json,
}

/// `session`: how calls are gathered.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Session {
    /// Whether calls are gathered into sessions.
    pub enabled: bool,
    /// Sessions held at once; the longest idle makes room.
    #[serde(deserialize_with = "at_least_one")]
    pub max_sessions: usize,
    /// How long a session lives without a call.
    #[serde(serialize_with = "duration::serialize", deserialize_with = "duration::positive")]
    pub session_ttl_seconds: Duration,
    /// How long after its last call a session counts as complete.
    #[serde(serialize_with = "duration::serialize", deserialize_with = "duration::positive")]
    pub completion_timeout: Duration,
    /// Which meaning the predecessor's session headers have.
    pub legacy_headers: LegacyHeaders,
    /// Headers that name the session, before those that are known.
    #[serde(serialize_with = "header::serialize", deserialize_with = "header::deserialize_sessions")]
    pub headers: Vec<http::HeaderName>,
}

/// `pricing`: what models cost.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Pricing {
    /// A file of prices that stand above the shipped ones.
    #[serde(deserialize_with = "path::some")]
    pub file: Option<PathBuf>,
}

/// `session.legacy_headers`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum LegacyHeaders {
    /// As the predecessor's 1.x had them.
    V1,
    /// As the predecessor's 2.x documents them.
    V2,
}

impl Default for Server {
    fn default() -> Self {
        Self {
            host: Host::Localhost,
            port: 4000,
            workers: std::thread::available_parallelism().map_or(1, |cores| cores.get().min(8)),
            drain: Duration::from_secs(30),
            flush: Duration::from_secs(5),
            admin: Admin::default(),
            header_timeout: Duration::from_secs(30),
            max_connections: 65_536,
            client_keys: Vec::new(),
            allow_open: false,
            admin_on_proxy_port: false,
        }
    }
}

impl Default for Admin {
    fn default() -> Self {
        Self { host: Ipv4Addr::LOCALHOST.into(), port: None, token: None }
    }
}

impl Default for Observe {
    fn default() -> Self {
        const MIB: u64 = 1024 * 1024;
        Self {
            memory: 256 * MIB,
            journal: 32 * MIB,
            mailbox: 32 * MIB,
            body_limit: 32 * MIB,
            share_pages: true,
            stall_threshold: Duration::from_secs(2),
            mask: Mask::default(),
        }
    }
}

impl Default for Logging {
    fn default() -> Self {
        Self {
            level: Level::Info,
            format: LogFormat::Text,
            file: None,
            max_file_size: 10_000_000,
            backup_count: 5,
        }
    }
}

impl Default for Session {
    fn default() -> Self {
        Self {
            enabled: true,
            max_sessions: 10_000,
            session_ttl_seconds: Duration::from_secs(3600),
            completion_timeout: Duration::from_secs(30),
            legacy_headers: LegacyHeaders::V2,
            headers: Vec::new(),
        }
    }
}

fn connect_timeout() -> Duration {
    Duration::from_secs(30)
}

/// Where the XDG base directories have it; without a home, where services have it.
fn state_dir() -> PathBuf {
    let xdg = std::env::var_os("XDG_STATE_HOME").map(PathBuf::from).filter(|path| path.is_absolute());
    let base = xdg.or_else(|| std::env::home_dir().map(|home| home.join(".local/state")));
    base.unwrap_or_else(|| PathBuf::from("/var/lib")).join("perimeter")
}

fn no_settings() -> serde_json::Value {
    serde_json::Value::Object(serde_json::Map::new())
}

fn settings<'de, D: Deserializer<'de>>(deserializer: D) -> Result<serde_json::Value, D::Error> {
    serde_json::Map::deserialize(deserializer).map(serde_json::Value::Object)
}

fn yes() -> bool {
    true
}

fn workers<'de, D: Deserializer<'de>>(deserializer: D) -> Result<usize, D::Error> {
    match usize::deserialize(deserializer)? {
        workers @ 1..=64 => Ok(workers),
        _ => Err(D::Error::custom("expected 1 to 64 forwarding threads")),
    }
}

/// Each turn renames them all.
fn backups<'de, D: Deserializer<'de>>(deserializer: D) -> Result<usize, D::Error> {
    match usize::deserialize(deserializer)? {
        backups @ 0..=1000 => Ok(backups),
        _ => Err(D::Error::custom("expected at most 1000 files")),
    }
}

fn at_least_one<'de, D: Deserializer<'de>>(deserializer: D) -> Result<usize, D::Error> {
    match usize::deserialize(deserializer)? {
        0 => Err(D::Error::custom("expected at least 1")),
        number => Ok(number),
    }
}

fn masked<S: Serializer>(config: &serde_json::Value, serializer: S) -> Result<S::Ok, S::Error> {
    secret::masked(config).serialize(serializer)
}
