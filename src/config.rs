//! The configuration: the structs of the YAML file, and how it is loaded.
//!
//! The types are the documentation: every key is a field, and its default stands in one `Default` impl.

use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;
use std::time::Duration;

use serde::Serialize;

pub mod base_url;
pub mod secret;

pub use base_url::BaseUrl;
pub use secret::Secret;

/// Everything that a run of the proxy needs to know, checked.
#[derive(Clone, Debug, Serialize)]
pub struct Config {
    /// Where clients connect, and how long things may take.
    pub server: Server,
    /// The provider that requests are forwarded to.
    pub llm: Llm,
    /// Who watches the traffic, in the order of the file.
    pub interceptors: Vec<InterceptorEntry>,
    /// How much of the traffic may be held in memory for those who watch.
    pub observe: Observe,
    /// What the proxy says about itself.
    pub logging: Logging,
    /// How calls are gathered into sessions.
    pub session: Session,
    /// Where state that outlives a run is kept.
    pub state_dir: PathBuf,
}

/// `server`: the listeners.
#[derive(Clone, Debug, Serialize)]
pub struct Server {
    /// The address to listen on.
    pub host: Host,
    /// The port to listen on; 0 picks a free one.
    pub port: u16,
    /// Forwarding threads, each with a listening socket of its own.
    pub workers: usize,
    /// How long open exchanges may finish when the proxy is told to stop.
    pub drain: Duration,
    /// How long interceptors may write out what they hold when the proxy stops.
    pub flush: Duration,
    /// The second listener.
    pub admin: Admin,
    /// How long a client may take for a request head, from its first byte.
    pub header_timeout: Duration,
    /// Client connections open at once; further ones wait in the kernel's queue.
    pub max_connections: usize,
    /// Keys by which clients from beyond loopback may use the configured `llm.api_key`.
    pub client_keys: Vec<Secret>,
    /// Whether anyone who reaches the listener may use the configured `llm.api_key`.
    pub allow_open: bool,
    /// Whether `/health`, `/ready`, `/metrics` and `/config` are answered on the proxy's port too.
    pub admin_on_proxy_port: bool,
}

/// Where the proxy listens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Host {
    /// 127.0.0.1, and `[::1]` as well where there is one (`localhost` in the file).
    Localhost,
    /// That one address.
    Address(IpAddr),
}

impl Serialize for Host {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Localhost => serializer.serialize_str("localhost"),
            Self::Address(address) => serializer.collect_str(address),
        }
    }
}

/// `server.admin`: the listener for health, metrics and the configuration in force.
#[derive(Clone, Debug, Serialize)]
pub struct Admin {
    /// The address to listen on.
    pub host: IpAddr,
    /// The port; unset: the proxy's plus one, or any free one.
    pub port: Option<u16>,
    /// What a client must show (`Authorization: Bearer …`); required beyond loopback.
    pub token: Option<Secret>,
}

/// `llm`: the provider.
#[derive(Clone, Debug, Serialize)]
pub struct Llm {
    /// Whose API it speaks.
    #[serde(rename = "type")]
    pub provider: Provider,
    /// Where it is.
    pub base_url: BaseUrl,
    /// A key for clients that bring none.
    pub api_key: Option<Secret>,
    /// The time to connect (name, TCP and TLS); nothing ends a slow answer.
    pub timeout: Duration,
}

/// `llm.type`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Provider {
    /// OpenAI, and everything that speaks like it.
    OpenAi,
    /// Anthropic.
    Anthropic,
}

/// One of `interceptors`.
#[derive(Clone, Debug, Serialize)]
pub struct InterceptorEntry {
    /// Its kind, by its registered name.
    #[serde(rename = "type")]
    pub kind: String,
    /// Whether it is hired.
    pub enabled: bool,
    /// Its own settings.
    pub config: serde_json::Value,
}

/// `observe`: bounds on what is held for those who watch. Bytes.
#[derive(Clone, Debug, Serialize)]
pub struct Observe {
    /// All of it together.
    pub memory: u64,
    /// The queue from the traffic to the scribe.
    pub journal: u64,
    /// The queue of each interceptor.
    pub mailbox: u64,
    /// What is held at once of one body.
    pub body_limit: u64,
    /// What is masked besides the built-in table.
    pub mask: Mask,
}

/// `observe.mask`: more names whose values are secrets.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Mask {
    /// Header names.
    pub headers: Vec<String>,
    /// Query parameter names.
    pub query: Vec<String>,
}

/// `logging`: what the proxy says about itself.
#[derive(Clone, Debug, Serialize)]
pub struct Logging {
    /// From which level on.
    pub level: Level,
    /// In which form.
    pub format: LogFormat,
    /// The file to write to instead of stderr.
    pub file: Option<PathBuf>,
    /// The size at which that file is turned over. Bytes.
    pub max_file_size: u64,
    /// How many turned-over files are kept.
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

/// `logging.format`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// A line for people.
    Text,
    /// A JSON object a line.
    Json,
}

/// `session`: nothing acts on it yet.
#[derive(Clone, Debug, Serialize)]
pub struct Session {
    /// Which meaning the predecessor's session headers have.
    pub legacy_headers: LegacyHeaders,
}

/// `session.legacy_headers`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
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
