//! Where a bridge lives: a thread of its own, so that translating never holds up a thread that forwards.

use std::io;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use http::{Request, Response};
use tokio::runtime::Handle;
use tokio::sync::oneshot;
use tokio_util::task::{AbortOnDropHandle, TaskTracker};

use super::door::Kept;
use super::queue::Queue;
use super::serve::Bridge;
use super::{Backend, BridgeError, IsReady, Setup, claude_code, stackspot};
use crate::api::{Api, by_host};
use crate::body::Body;
use crate::config::{Config, Lookup, Provider};
use crate::metrics::Metrics;
use crate::upstream::{Upstream, UpstreamError};

/// How long a backend may take to end what it has begun when the proxy stops.
const FAREWELL: Duration = Duration::from_secs(5);

/// And those of its threads that still read or write files.
const LAST: Duration = Duration::from_secs(1);

/// A bridge at home.
#[derive(Debug)]
pub(crate) struct Home {
    upstream: Upstream,
    ready: IsReady,
    leave: oneshot::Sender<()>,
    left: oneshot::Receiver<()>,
}

/// Why a bridge is not at home.
#[derive(Debug, thiserror::Error)]
pub(crate) enum HomeError {
    /// The configuration is not enough.
    #[error(transparent)]
    Bridge(#[from] BridgeError),
    /// The system gave no thread.
    #[error("the system gave the bridge no thread")]
    Thread(#[from] io::Error),
}

/// Whether a bridge could start as `config` has it: everything but what only running shows.
///
/// # Errors
/// What would keep it from starting.
pub(crate) fn check(config: &Config, environment: Lookup<'_>) -> Result<(), BridgeError> {
    let (tasks, metrics) = (TaskTracker::new(), Arc::default());
    backend(&Setup { config, environment, tasks, metrics }).map(drop)
}

type Make = fn(&Setup<'_>) -> Result<Arc<dyn Backend>, BridgeError>;

fn backend(setup: &Setup<'_>) -> Result<Option<Arc<dyn Backend>>, BridgeError> {
    let base_url = &setup.config.llm.base_url;
    let (make, own, models): (Make, _, _) = match setup.config.llm.provider {
        Provider::Stackspot => (stackspot::backend, None, "llm.stackspot.agents"),
        Provider::ClaudeCode => (claude_code::backend, Some(Api::Anthropic), "llm.claude_code.models"),
        Provider::OpenAi | Provider::Anthropic | Provider::Gemini | Provider::Auto => return Ok(None),
    };
    // What a file for another provider says of it: the owner's credentials are none of theirs.
    if let Some(other) = by_host(base_url.host()).filter(|api| Some(*api) != own) {
        let message =
            format!("{base_url} speaks {other:?}, which is not what is behind this bridge: leave it out");
        return Err(BridgeError::new("llm.base_url", message));
    }
    let backend = make(setup)?;
    if let Some(name) = backend.models().ambiguous() {
        return Err(BridgeError::new(
            models,
            format!("{name} is the name of more than one, and clients mean one by it"),
        ));
    }
    Ok(Some(backend))
}

impl Home {
    /// Starts the bridge that `config` asks for, if it asks for one. Its own connections are counted in `metrics`.
    pub(crate) fn open(config: &Config, metrics: Arc<Metrics>) -> Result<Option<Self>, HomeError> {
        let tasks = TaskTracker::new();
        let environment = |name: &str| std::env::var(name);
        let setup = Setup { config, environment: &environment, tasks: tasks.clone(), metrics };
        let Some(backend) = backend(&setup)? else { return Ok(None) };
        let settings = config.llm.bridge.clone();
        let places = settings.concurrency.unwrap_or_else(|| backend.places());
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let ready = IsReady::new(backend.clone(), runtime.handle().clone());
        let bridge = Arc::new(Bridge {
            backend: backend.clone(),
            queue: Queue::new(places, settings.queue, settings.queue_timeout),
            settings,
            kept: kept(&config.state_dir),
            ready: ready.clone(),
            tasks: tasks.clone(),
        });
        let upstream = upstream(bridge, tasks.clone(), runtime.handle().clone());
        let at_home = ready.clone();
        let (leave, leaves) = oneshot::channel();
        let (leaving, left) = oneshot::channel();
        thread::Builder::new().name("perimeter-bridge".to_owned()).spawn(move || {
            // Not of those that stopping waits for: it may take a while.
            let greeting = TaskTracker::new();
            greeting.spawn_on(greet(backend.name(), at_home), runtime.handle());
            runtime.block_on(async {
                let _ = leaves.await;
                let _ = tokio::time::timeout(FAREWELL, async {
                    backend.stop().await;
                    tasks.close();
                    tasks.wait().await;
                })
                .await;
            });
            // Before anybody hears that all has ended: what is left ends here.
            runtime.shutdown_timeout(LAST);
            drop(leaving);
        })?;
        Ok(Some(Self { upstream, ready, leave, left }))
    }

    /// The bridge, as what exchanges go to.
    pub(crate) fn upstream(&self) -> Upstream {
        self.upstream.clone()
    }

    /// Who is asked whether the bridge could answer.
    pub(crate) fn is_ready(&self) -> IsReady {
        self.ready.clone()
    }

    /// Lets the bridge end what it has begun. No exchange goes there any more.
    pub(crate) async fn close(self) {
        drop((self.upstream, self.ready, self.leave));
        let _ = self.left.await;
    }
}

/// Where earlier responses are kept. What clients give back is sealed with the key in `state_dir`; without it, only this
/// run can read it.
fn kept(state_dir: &std::path::Path) -> Kept {
    Kept::open(state_dir).unwrap_or_else(|error| {
        tracing::warn!(%error, "no key in state_dir: sealed thinking is of no use after a restart");
        Kept::default()
    })
}

/// Says at once what is missing, before a client finds out.
async fn greet(name: &'static str, ready: IsReady) {
    let readiness = ready.find_out().await;
    if !readiness.ready {
        tracing::warn!(bridge = name, missing = readiness.missing, "the bridge is not ready");
    }
}

fn upstream(bridge: Arc<Bridge>, tasks: TaskTracker, home: Handle) -> Upstream {
    Upstream::new(tower::service_fn(move |request: Request<Body>| {
        let answer = tasks.spawn_on(bridge.clone().answer(request), &home);
        async move {
            let answer: Result<Response<Body>, _> = AbortOnDropHandle::new(answer).await;
            answer.map_err(|error| UpstreamError::Failed { source: error.into() })
        }
    }))
}
