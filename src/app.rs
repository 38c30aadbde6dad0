//! Wires the parts together: configuration in, listeners bound, traffic served, everything stopped.
//!
//! Each of `server.workers` is a thread with a runtime and listening sockets of its own; the main thread has the admin
//! listener and the signals. Stopping is a word on one channel: listeners close, connections finish what they have
//! begun, up to `server.drain`, and a runtime that is dropped ends whatever is left.

use std::io::{self, Write as _};
use std::pin::pin;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use tokio::runtime::{Builder, Runtime};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{Semaphore, mpsc, watch};
use tokio_util::task::TaskTracker;

use crate::admin::Admin;
use crate::api::{Api, ApiRule};
use crate::config::Config;
use crate::journal::Journal;
use crate::metrics::Metrics;
use crate::pages;
use crate::prices::PricesError;
use crate::priority;
use crate::proxy::serve::Serve;
use crate::proxy::{Credential, Entry, Gateway, Target, Way};
use crate::raw_head::Shows;
use crate::registry::{Hire, HireError};
use crate::upstream::bridge::{BridgeError, Home, HomeError};
use crate::upstream::{
    self, Connector, ConnectorError, HttpUpstream, Moment, TlsError, Upstream, client_config,
};

mod listen;
mod watchers;

pub use listen::ListenError;
use listen::Listeners;
use watchers::Watchers;

/// A signal that comes sooner after the first is no second one: timeout(1) sends it twice.
const SAME_SIGNAL: Duration = Duration::from_millis(20);

/// Why the proxy could not start or had to give up.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RunError {
    /// A listener cannot be bound.
    #[error(transparent)]
    Listen(#[from] ListenError),
    /// The upstream is this proxy.
    #[error("llm.base_url {0} is this proxy's own listener: every request would go round in circles")]
    OwnListener(String),
    /// The upstream cannot be reached as configured.
    #[error(transparent)]
    Connector(#[from] ConnectorError),
    /// A value that cannot be sent as a header.
    #[error("{key} holds a character that no header may carry")]
    HeaderValue {
        /// Which key of the configuration.
        key: &'static str,
    },
    /// TLS cannot be set up.
    #[error("TLS to the upstream cannot be set up")]
    Tls(#[from] TlsError),
    /// The configuration cannot be shown.
    #[error("the configuration cannot be written as JSON")]
    ShowConfig(#[from] serde_json::Error),
    /// The system gave no thread, runtime or signal.
    #[error("the system gave no {what}")]
    System {
        /// What was asked for.
        what: &'static str,
        /// What it said.
        source: io::Error,
    },
    /// The prices cannot be read.
    #[error(transparent)]
    Prices(#[from] PricesError),
    /// An interceptor cannot start.
    #[error(transparent)]
    Hire(#[from] HireError),
    /// A bridge cannot start as configured.
    #[error(transparent)]
    Bridge(#[from] BridgeError),
    /// A second signal came while exchanges were finishing.
    #[error("stopped at once by a second signal")]
    StoppedAtOnce,
}

impl RunError {
    /// Whether it is the configuration that is wrong, rather than the world.
    pub fn is_usage(&self) -> bool {
        matches!(
            self,
            Self::OwnListener(_)
                | Self::Connector(_)
                | Self::HeaderValue { .. }
                | Self::Prices(_)
                | Self::Bridge(_)
        )
    }
}

/// Runs the proxy until it is told to stop (SIGTERM, SIGINT), with these interceptors. Exchanges go to `upstream`, if
/// there is one, in place of what is at `llm.base_url`. Blocks.
///
/// # Errors
/// [`RunError`] where a listener cannot be bound, a certificate file cannot be read, and the like.
pub fn run(config: Config, hires: Vec<Hire>, upstream: Option<Upstream>) -> Result<(), RunError> {
    raise_descriptor_limit();
    let connector = connector(&config)?;
    let target = Target::new(&config.llm.base_url).map_err(no_header("llm.base_url"))?;
    let bridged = upstream.is_none() && config.llm.provider.is_bridged();
    // A bridge has the key for its backend, and gives it to no one.
    let credential =
        if bridged { None } else { Credential::of(&config).map_err(no_header("llm.api_key"))? };
    let entry = if bridged { Some(entry(&config)?) } else { None };
    let main = runtime()?;
    let _inside = main.enter();
    let mut signals = Signals::new()?;
    let listeners = Listeners::bind(&config.server)?;
    if listeners.include(&config.llm.base_url) {
        return Err(RunError::OwnListener(config.llm.base_url.to_string()));
    }

    let mut threads: Vec<_> = (0..config.server.workers).map(|_| Arc::new(Metrics::default())).collect();
    let home = if bridged { open_home(&config, &mut threads)? } else { None };
    let upstream = upstream.or_else(|| home.as_ref().map(Home::upstream));
    let watchers = Watchers::start(&config, hires)?;
    let observation = watchers.as_ref().map(|watchers| watchers.observation.clone());
    let asker = watchers.as_ref().and_then(|watchers| watchers.asker.clone());
    let is_ready = home.as_ref().map(Home::is_ready);
    let admin = Admin::new(&config, threads.clone(), observation, asker, is_ready)?;
    let (stop, stopping) = watch::channel(false);
    let places = Arc::new(Semaphore::new(config.server.max_connections));
    let start_line = start_line(&config, &listeners);

    let is_shared = watchers.is_none() || config.observe.share_pages;
    let cuts = upstream.is_none() && connector.is_plain() && is_shared;

    let (done, mut all_done) = mpsc::channel::<()>(1);
    for (number, (listeners, metrics)) in listeners.traffic.into_iter().zip(threads).enumerate() {
        let tasks = TaskTracker::new();
        let worker = Worker {
            http: HttpUpstream::new(connector.clone(), TaskTracker::new(), metrics.clone()),
            upstream: upstream.clone().map(upstream::own),
            journal: watchers.as_ref().map(|watchers| watchers.journal.clone()),
            target: target.clone(),
            traceparent: config.llm.traceparent,
            cuts,
            entry: entry.clone(),
            credential: credential.clone(),
            apis: ApiRule::of(&config.llm),
            admin: config.server.admin_on_proxy_port.then(|| admin.clone()),
            metrics,
            tasks,
            listeners,
            stop: stopping.clone(),
            places: places.clone(),
            header_timeout: config.server.header_timeout,
            drain: config.server.drain,
            _done: done.clone(),
        };
        worker.start(number)?;
    }
    drop(done);
    // First: who has read the line may ask at once.
    admin.set_ready(true);
    // stderr may be closed; the proxy works without being heard.
    let _ = writeln!(io::stderr(), "{start_line}");
    pages::let_go_of_the_start();

    main.block_on(async {
        // To the last: whoever watches sees the exchanges that are still open.
        let mut pages = pin!(admin.clone().serve(listeners.admin));
        tokio::select! {
            () = &mut pages => {}
            () = signals.first() => {}
        }
        admin.set_ready(false);
        tracing::info!("stopping: open exchanges may finish within {} s", config.server.drain.as_secs_f32());
        stop.send_replace(true);
        let finished = async {
            let _ = all_done.recv().await;
            if let Some(home) = home {
                home.close().await;
            }
            if let Some(watchers) = watchers {
                watchers.dismiss(config.server.flush).await;
            }
        };
        tokio::select! {
            () = finished => Ok(()),
            () = signals.next() => Err(RunError::StoppedAtOnce),
            () = &mut pages => Ok(()),
        }
    })
}

fn no_header<E>(key: &'static str) -> impl FnOnce(E) -> RunError {
    move |_| RunError::HeaderValue { key }
}

/// Who may come in to a bridge. Callers are told apart with a secret, so that what is theirs stays theirs in the next
/// run.
fn entry(config: &Config) -> Result<Entry, RunError> {
    let secret = watchers::mask_key(config);
    let secret = secret.map_err(|source| RunError::System { what: "random bytes", source })?;
    Ok(Entry::of(config, &secret))
}

/// The bridge that the configuration asks for; what it counts is counted with the others.
fn open_home(config: &Config, threads: &mut Vec<Arc<Metrics>>) -> Result<Option<Home>, RunError> {
    let metrics = Arc::new(Metrics::default());
    let home = Home::open(config, metrics.clone()).map_err(|error| match error {
        HomeError::Bridge(error) => RunError::Bridge(error),
        HomeError::Thread(source) => RunError::System { what: "thread", source },
    })?;
    threads.push(metrics);
    Ok(home)
}

fn connector(config: &Config) -> Result<Connector, RunError> {
    let base_url = &config.llm.base_url;
    let tls = if base_url.is_https() { Some(client_config()?) } else { None };
    Ok(Connector::new(base_url, tls, config.llm.timeout)?)
}

/// Says where everything is, and what to set in an app.
fn start_line(config: &Config, listeners: &Listeners) -> String {
    let addresses: Vec<_> = listeners.addresses.iter().map(|address| format!("http://{address}")).collect();
    let base_url = &config.llm.base_url;
    let here = listeners.to_set();
    let settings = match config.llm.provider.is_bridged() {
        true => vec![("OPENAI_BASE_URL", "/v1"), ("ANTHROPIC_BASE_URL", "")],
        false => to_set(ApiRule::of(&config.llm).expected(), base_url.path()),
    };
    let settings: Vec<_> =
        settings.into_iter().map(|(variable, path)| format!("{variable}={here}{path}")).collect();
    format!(
        "perimeter {} listening on {}, forwarding to {base_url}, admin on http://{}; set {}",
        env!("CARGO_PKG_VERSION"),
        addresses.join(" and "),
        listeners.admin_address,
        settings.join(" or "),
    )
}

/// The variables that lead the clients of `api`, or of any, here, with what follows the address in them, where
/// `base` is the path of `llm.base_url`.
fn to_set(api: Option<Api>, base: &str) -> Vec<(&'static str, &'static str)> {
    // OpenAI's SDKs expect the version in the base URL, Anthropic's and Google's add it themselves.
    let added: &[&str] = match api {
        Some(Api::Anthropic) => &["/v1"],
        Some(Api::Gemini) => &["/v1beta", "/v1"],
        _ => &[],
    };
    if let Some(version) = added.iter().find(|version| base.ends_with(*version)) {
        tracing::warn!(
            "llm.base_url ends in {version}, and clients of this API add {version} themselves: leave it off"
        );
    }
    let openai = ("OPENAI_BASE_URL", if base.ends_with("/v1") { "" } else { "/v1" });
    let azure = ("AZURE_OPENAI_ENDPOINT", "");
    let anthropic = ("ANTHROPIC_BASE_URL", "");
    let gemini = ("GOOGLE_GEMINI_BASE_URL", "");
    match api {
        Some(Api::OpenAi) => vec![openai],
        // Azure takes OpenAI's own clients at a path that ends in the version.
        Some(Api::Azure) if base.ends_with("/v1") => vec![openai],
        Some(Api::Azure) => vec![azure],
        Some(Api::Anthropic) => vec![anthropic],
        Some(Api::Gemini) => vec![gemini],
        None => vec![openai, anthropic, gemini],
    }
}

fn runtime() -> Result<Runtime, RunError> {
    Builder::new_current_thread()
        .enable_all()
        .on_thread_unpark(Moment::looked)
        .build()
        .map_err(|source| RunError::System { what: "runtime", source })
}

/// A stream is a descriptor on either side, and the usual soft limit of 1024 is soon used up.
fn raise_descriptor_limit() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    if let Err(error) = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit }) {
        tracing::debug!(%error, "the limit of descriptors stays as it is");
    }
}

/// The signals that stop the proxy.
struct Signals {
    /// Whoever limits the size of files gets errors of writing, as with a full disk, and not the end of the process.
    _file_size: tokio::signal::unix::Signal,
    terminate: tokio::signal::unix::Signal,
    interrupt: tokio::signal::unix::Signal,
}

impl Signals {
    fn new() -> Result<Self, RunError> {
        let of = |kind| signal(kind).map_err(|source| RunError::System { what: "signal handler", source });
        let _file_size = of(SignalKind::from_raw(rustix::process::Signal::XFSZ.as_raw()))?;
        Ok(Self {
            _file_size,
            terminate: of(SignalKind::terminate())?,
            interrupt: of(SignalKind::interrupt())?,
        })
    }

    /// The first one. What comes right behind it is the same, sent to the process and to its group.
    async fn first(&mut self) {
        self.next().await;
        tokio::time::sleep(SAME_SIGNAL).await;
        tokio::select! {
            biased;
            () = self.next() => {}
            () = std::future::ready(()) => {}
        }
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}

/// One forwarding thread, before it runs.
struct Worker {
    http: HttpUpstream,
    /// What answers in its place.
    upstream: Option<Upstream>,
    journal: Option<Journal>,
    target: Target,
    traceparent: bool,
    cuts: bool,
    entry: Option<Entry>,
    credential: Option<Credential>,
    apis: ApiRule,
    admin: Option<Arc<Admin>>,
    metrics: Arc<Metrics>,
    tasks: TaskTracker,
    listeners: Vec<std::net::TcpListener>,
    stop: watch::Receiver<bool>,
    places: Arc<Semaphore>,
    header_timeout: Duration,
    drain: Duration,
    /// Dropped when the thread ends.
    _done: mpsc::Sender<()>,
}

impl Worker {
    fn start(self, number: usize) -> Result<(), RunError> {
        let runtime = runtime()?;
        thread::Builder::new()
            .name(format!("perimeter-fwd-{number}"))
            .spawn(move || {
                priority::at_the_traffic();
                runtime.block_on(self.run());
            })
            .map_err(|source| RunError::System { what: "thread", source })?;
        Ok(())
    }

    async fn run(self) {
        let gateway = Arc::new(Gateway {
            target: self.target,
            traceparent: self.traceparent,
            cuts: self.cuts,
            entry: self.entry,
            credential: self.credential,
            apis: self.apis,
            shows: if self.upstream.is_none() && self.admin.is_none() { Shows::Needed } else { Shows::All },
            says_continue: self.upstream.is_none(),
            way: self.upstream.map_or_else(|| Way::Provider(self.http.clone()), Way::Own),
            journal: self.journal.clone(),
            admin: self.admin,
            metrics: self.metrics,
            tasks: self.tasks.clone(),
        });
        let serve = Serve {
            gateway,
            stop: self.stop.clone(),
            places: self.places,
            header_timeout: self.header_timeout,
        };
        for listener in self.listeners {
            match tokio::net::TcpListener::from_std(listener) {
                Ok(listener) => drop(self.tasks.spawn(serve.clone().accept(listener))),
                Err(error) => tracing::error!(%error, "a listener is lost"),
            }
        }
        drop(serve);
        let (mut stop, journal) = (self.stop, self.journal);
        tokio::select! {
            _ = stop.wait_for(|stop| *stop) => {}
            () = self.http.keep_sweeping() => {}
        }
        self.tasks.close();
        if tokio::time::timeout(self.drain, self.tasks.wait()).await.is_err() {
            tracing::warn!(open = self.tasks.len(), "exchanges were cut off at the end of server.drain");
            if let Some(journal) = &journal {
                journal.stop();
            }
        }
    }
}
