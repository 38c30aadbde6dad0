//! The second listener: `/health`, `/ready`, `/metrics`, `/config`, `/sessions`. Never a provider's paths, never a
//! provider's time.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use http::header::{ALLOW, AUTHORIZATION, CACHE_CONTROL, CONTENT_TYPE, HOST, HeaderValue};
use http::request::Parts;
use http::{Method, Response, StatusCode};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use serde_json::json;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Mutex;
use tokio_util::task::TaskTracker;

use crate::body::Body;
use crate::caller::{is_from_foreign_page, is_our_host, is_same_secret};
use crate::config::{Config, Secret};
use crate::metrics::{self, Metrics, Observation};
use crate::scribe::live::Asker;
use crate::upstream::bridge::IsReady;

mod sessions;

/// A page, on its way.
pub(crate) type Answer = Pin<Box<dyn Future<Output = Response<Body>> + Send>>;

/// What the pages tell from.
#[derive(Debug)]
pub(crate) struct Admin {
    /// The configuration in force, secrets masked.
    config: String,
    token: Option<Secret>,
    threads: Vec<Arc<Metrics>>,
    observation: Option<Arc<Observation>>,
    asker: Option<Asker>,
    /// Who knows whether the upstream could answer, where that can be asked.
    upstream: Option<IsReady>,
    ready: AtomicBool,
    /// Whose turn it is to have a page of metrics written.
    writing: Arc<Mutex<()>>,
}

impl Admin {
    /// Pages about `config`, what `threads` count, how those who watch are doing, and what `asker` says of sessions.
    ///
    /// # Errors
    /// Where the configuration cannot be written as JSON.
    pub(crate) fn new(
        config: &Config,
        threads: Vec<Arc<Metrics>>,
        observation: Option<Arc<Observation>>,
        asker: Option<Asker>,
        upstream: Option<IsReady>,
    ) -> Result<Arc<Self>, serde_json::Error> {
        Ok(Arc::new(Self {
            config: serde_json::to_string_pretty(config)?,
            token: config.server.admin.token.clone(),
            threads,
            observation,
            asker,
            upstream,
            ready: AtomicBool::new(false),
            writing: Arc::default(),
        }))
    }

    /// Whether requests are being taken.
    pub(crate) fn set_ready(&self, ready: bool) {
        self.ready.store(ready, Relaxed);
    }

    /// Serves on `listener` until it is dropped.
    pub(crate) async fn serve(self: Arc<Self>, listener: TcpListener) {
        // Stopping does not wait for these: a page is no exchange.
        let tasks = TaskTracker::new();
        loop {
            match listener.accept().await {
                Ok((tcp, _)) => {
                    tasks.spawn(self.clone().connection(tcp));
                }
                Err(_) => tokio::time::sleep(std::time::Duration::from_millis(100)).await,
            }
        }
    }

    async fn connection(self: Arc<Self>, tcp: TcpStream) {
        let Ok(local) = tcp.local_addr() else { return };
        let service = service_fn(|request: http::Request<Incoming>| {
            let parts = request.into_parts().0;
            let answer = self.answer(&parts, local);
            async move {
                Ok::<_, Infallible>(match answer {
                    Some(answer) => answer.await,
                    None => not_found(),
                })
            }
        });
        let served =
            http1::Builder::new().timer(TokioTimer::new()).serve_connection(TokioIo::new(tcp), service).await;
        if let Err(error) = served {
            tracing::debug!(%error, "admin connection ended");
        }
    }

    /// The page that `head` asks for, where it is one of ours; `local` is our end of the connection.
    pub(crate) fn answer(&self, head: &Parts, local: SocketAddr) -> Option<Answer> {
        let page: fn(&Self, &Parts) -> Answer = match head.uri.path() {
            "/health" => |_, _| at_once(json_page(StatusCode::OK, &json!({"status": "healthy"}))),
            "/ready" => |admin, _| admin.ready(),
            "/metrics" => |admin, _| admin.metrics(),
            "/config" => |admin, _| at_once(page(StatusCode::OK, "application/json", admin.config.clone())),
            "/sessions" => |admin, head| {
                let query = head.uri.query().map(str::to_owned);
                Box::pin(sessions::answer(admin.asker.clone(), query))
            },
            _ => return None,
        };
        Some(match self.refusal(head, local) {
            Some(refusal) => at_once(refusal),
            None => page(self, head),
        })
    }

    /// A page of somebody else's must not read these in a user's browser, nor anybody beyond loopback without the
    /// token.
    fn refusal(&self, head: &Parts, local: SocketAddr) -> Option<Response<Body>> {
        let problem = |status, message: &str| Some(json_page(status, &json!({"error": message})));
        if let Some(token) = &self.token {
            let shown =
                head.headers.get(AUTHORIZATION).and_then(|value| value.as_bytes().strip_prefix(b"Bearer "));
            if !shown.is_some_and(|shown| is_same_secret(token.reveal().as_bytes(), shown)) {
                return problem(
                    StatusCode::UNAUTHORIZED,
                    "send `Authorization: Bearer` with server.admin.token",
                );
            }
        } else if !head.headers.get(HOST).is_none_or(|host| is_our_host(host.as_bytes(), local)) {
            return problem(StatusCode::FORBIDDEN, "the Host header is not one of ours");
        }
        if is_from_foreign_page(&head.headers, local) {
            return problem(StatusCode::FORBIDDEN, "the request comes from a web page that is not ours");
        }
        if ![Method::GET, Method::HEAD].contains(&head.method) {
            let mut answer = problem(StatusCode::METHOD_NOT_ALLOWED, "only GET and HEAD are answered here")?;
            answer.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
            return Some(answer);
        }
        None
    }

    fn ready(&self) -> Answer {
        if !self.ready.load(Relaxed) {
            return at_once(json_page(StatusCode::SERVICE_UNAVAILABLE, &json!({"status": "stopping"})));
        }
        let retired = self.observation.as_ref().map(|observation| observation.retired());
        let mut page = json!({"status": "ready"});
        // The traffic does not suffer, so this is no reason to send it elsewhere.
        if let Some(retired) = retired.filter(|retired| !retired.is_empty()) {
            page["retired"] = retired.into();
        }
        let Some(upstream) = self.upstream.clone() else { return at_once(json_page(StatusCode::OK, &page)) };
        Box::pin(async move {
            let readiness = upstream.ask().await;
            page["upstream"] = readiness.detail;
            if readiness.ready {
                return json_page(StatusCode::OK, &page);
            }
            page["status"] = "not ready".into();
            page["missing"] = readiness.missing.into();
            json_page(StatusCode::SERVICE_UNAVAILABLE, &page)
        })
    }

    /// A page of many lines takes a while to write, and whoever asks may be on a thread that forwards: it is written on
    /// another, one page after another.
    fn metrics(&self) -> Answer {
        let (threads, observation) = (self.threads.clone(), self.observation.clone());
        let writing = Arc::clone(&self.writing);
        Box::pin(async move {
            let turn = writing.lock_owned().await;
            let write = move || {
                let _turn = turn;
                metrics::render(&threads, observation.as_deref(), crate::logging::dropped_lines())
            };
            match tokio::task::spawn_blocking(write).await {
                Ok(text) => page(StatusCode::OK, "text/plain; version=0.0.4; charset=utf-8", text),
                Err(_) => {
                    let error = json!({"error": "the page could not be written"});
                    json_page(StatusCode::INTERNAL_SERVER_ERROR, &error)
                }
            }
        })
    }
}

fn at_once(page: Response<Body>) -> Answer {
    Box::pin(std::future::ready(page))
}

fn not_found() -> Response<Body> {
    json_page(
        StatusCode::NOT_FOUND,
        &json!({"error": "there are /health, /ready, /metrics, /config and /sessions"}),
    )
}

fn json_page(status: StatusCode, value: &serde_json::Value) -> Response<Body> {
    page(status, "application/json", value.to_string())
}

fn page(status: StatusCode, kind: &'static str, text: String) -> Response<Body> {
    let mut response = Response::new(Body::full(text));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}
