//! An OTLP backend on a real socket: HTTP/1.1 and gRPC on one port, decoded with the published Protobuf. It can refuse,
//! hang, die, and come back on the same port.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::future::pending;
use std::io::Read;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{HeaderMap, Request, Response, StatusCode, Uri};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use opentelemetry_proto::tonic::collector::logs::v1::{
    ExportLogsPartialSuccess, ExportLogsServiceRequest, ExportLogsServiceResponse,
};
use opentelemetry_proto::tonic::collector::metrics::v1::{
    ExportMetricsPartialSuccess, ExportMetricsServiceRequest, ExportMetricsServiceResponse,
};
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTracePartialSuccess, ExportTraceServiceRequest, ExportTraceServiceResponse,
};
use opentelemetry_proto::tonic::logs::v1::LogRecord;
use opentelemetry_proto::tonic::metrics::v1::Metric;
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::oneshot;
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;

// Where it is for both who take this file in.
#[path = "collector/grpc.rs"]
mod grpc;

/// How long anything is waited for. Nothing takes this long unless it is broken.
const LONGEST: Duration = Duration::from_secs(30);

/// An OTLP backend. Dropped, it dies: its port is closed, and so are its connections.
#[derive(Debug)]
pub(crate) struct Collector {
    address: SocketAddr,
    tls: Option<Arc<ServerConfig>>,
    shared: Arc<Shared>,
    alive: Option<(oneshot::Sender<()>, JoinHandle<()>)>,
    /// Keeps its port while it is dead: bound, and deaf.
    place: Option<TcpSocket>,
}

/// What a request asked for.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Export {
    Traces(ExportTraceServiceRequest),
    Logs(ExportLogsServiceRequest),
    Metrics(ExportMetricsServiceRequest),
}

/// A request that came.
#[derive(Clone, Debug)]
pub(crate) struct Asked {
    /// When its body had come.
    pub(crate) at: Instant,
    /// Where it went; for gRPC the method.
    pub(crate) path: String,
    pub(crate) headers: HeaderMap,
    /// Its body, not compressed any more; for gRPC nothing.
    pub(crate) body: Bytes,
    pub(crate) export: Export,
    /// Whether the backend said that it took it.
    pub(crate) taken: bool,
}

/// How the backend answers.
#[derive(Clone, Debug)]
pub(crate) enum Reply {
    /// It takes it.
    Take,
    /// It takes all but so many items.
    TakeBut(i64, &'static str),
    /// HTTP: this status, these headers, this body.
    Status(u16, Vec<(&'static str, String)>, Vec<u8>),
    /// HTTP: 413 to whatever has more items than this.
    AtMost(usize),
    /// gRPC: this status.
    Grpc(tonic::Status),
    /// Never.
    Hang,
}

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug)]
struct State {
    asked: Vec<Asked>,
    next: VecDeque<Reply>,
    always: Reply,
}

impl Collector {
    /// On a free port.
    pub(crate) fn start() -> Self {
        Self::build(None)
    }

    /// On a free port, with TLS.
    pub(crate) fn with_tls(config: Arc<ServerConfig>) -> Self {
        Self::build(Some(config))
    }

    fn build(tls: Option<Arc<ServerConfig>>) -> Self {
        let state = State { asked: Vec::new(), next: VecDeque::new(), always: Reply::Take };
        let shared = Arc::new(Shared { state: Mutex::new(state), changed: Condvar::new() });
        let mut collector =
            Self { address: (Ipv4Addr::LOCALHOST, 0).into(), tls, shared, alive: None, place: None };
        collector.come_back();
        collector
    }

    /// Listens, after it died on the same port.
    pub(crate) fn come_back(&mut self) {
        let (stop, stopped) = oneshot::channel();
        let (listening, listens) = std::sync::mpsc::channel();
        let (address, shared, tls) = (self.address, Arc::clone(&self.shared), self.tls.clone());
        let place = self.place.take();
        let thread = thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                drop(place);
                let listener = TcpListener::bind(address).await.unwrap();
                listening.send(listener.local_addr().unwrap()).unwrap();
                tokio::select! {
                    () = serve(listener, shared, tls) => {}
                    _ = stopped => {}
                }
            });
        });
        self.address = listens.recv().unwrap();
        self.alive = Some((stop, thread));
    }

    /// Closes its port and its connections, in the middle of whatever it does.
    pub(crate) fn die(&mut self) {
        self.end();
        self.place = Some(deaf(self.address));
    }

    fn end(&mut self) {
        if let Some((stop, thread)) = self.alive.take() {
            let _ = stop.send(());
            thread.join().unwrap();
        }
    }

    /// Where it is.
    pub(crate) fn url(&self) -> String {
        let scheme = if self.tls.is_some() { "https" } else { "http" };
        format!("{scheme}://localhost:{}", self.address.port())
    }

    /// Answers like this from now on.
    pub(crate) fn always(&self, reply: Reply) {
        self.state().always = reply;
    }

    /// Answers like this once, after those said before.
    pub(crate) fn once(&self, reply: Reply) {
        self.state().next.push_back(reply);
    }

    /// Waits for what `look` finds in the requests that came.
    #[track_caller]
    pub(crate) fn wait<T>(&self, look: impl Fn(&[Asked]) -> Option<T>) -> T {
        let deadline = Instant::now() + LONGEST;
        let mut state = self.state();
        loop {
            if let Some(found) = look(&state.asked) {
                return found;
            }
            let left = deadline.saturating_duration_since(Instant::now());
            assert!(!left.is_zero(), "this is all that came: {:#?}", state.asked);
            state = self.shared.changed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Waits for so many requests, taken or not.
    #[track_caller]
    pub(crate) fn wait_for_requests(&self, count: usize) -> Vec<Asked> {
        self.wait(|asked| (asked.len() >= count).then(|| asked.to_vec()))
    }

    /// Waits for so many spans that were taken.
    #[track_caller]
    pub(crate) fn wait_for_spans(&self, count: usize) -> Vec<Span> {
        self.wait(|asked| Some(spans(asked)).filter(|spans| spans.len() >= count))
    }

    /// The requests so far.
    pub(crate) fn asked(&self) -> Vec<Asked> {
        self.state().asked.clone()
    }

    /// The spans that were taken so far.
    pub(crate) fn spans(&self) -> Vec<Span> {
        spans(&self.state().asked)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.shared.state()
    }
}

impl Drop for Collector {
    fn drop(&mut self) {
        self.end();
    }
}

/// Nobody else gets this port while this is kept, and nobody answers there.
fn deaf(address: SocketAddr) -> TcpSocket {
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_reuseaddr(true).unwrap();
    socket.bind(address).unwrap();
    socket
}

/// The spans in requests that were taken.
pub(crate) fn spans(asked: &[Asked]) -> Vec<Span> {
    let taken = asked.iter().filter(|asked| asked.taken);
    let of = taken.filter_map(|asked| match &asked.export {
        Export::Traces(request) => Some(request),
        _ => None,
    });
    let scopes = of.flat_map(|request| &request.resource_spans).flat_map(|resource| &resource.scope_spans);
    scopes.flat_map(|scope| scope.spans.clone()).collect()
}

/// The log records in requests that were taken.
pub(crate) fn logs(asked: &[Asked]) -> Vec<LogRecord> {
    let taken = asked.iter().filter(|asked| asked.taken);
    let of = taken.filter_map(|asked| match &asked.export {
        Export::Logs(request) => Some(request),
        _ => None,
    });
    let scopes = of.flat_map(|request| &request.resource_logs).flat_map(|resource| &resource.scope_logs);
    scopes.flat_map(|scope| scope.log_records.clone()).collect()
}

/// The metrics in requests that were taken.
pub(crate) fn metrics(asked: &[Asked]) -> Vec<Metric> {
    let taken = asked.iter().filter(|asked| asked.taken);
    let of = taken.filter_map(|asked| match &asked.export {
        Export::Metrics(request) => Some(request),
        _ => None,
    });
    let scopes =
        of.flat_map(|request| &request.resource_metrics).flat_map(|resource| &resource.scope_metrics);
    scopes.flat_map(|scope| scope.metrics.clone()).collect()
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes the request, and says how to answer it.
    fn note(&self, path: &str, headers: HeaderMap, body: Bytes, export: Export) -> Reply {
        let mut state = self.state();
        let mut reply = state.next.pop_front().unwrap_or_else(|| state.always.clone());
        if let Reply::AtMost(most) = reply {
            reply = match export.items() > most {
                true => Reply::Status(413, Vec::new(), Vec::new()),
                false => Reply::Take,
            };
        }
        let taken = matches!(reply, Reply::Take | Reply::TakeBut(..));
        state.asked.push(Asked { at: Instant::now(), path: path.to_owned(), headers, body, export, taken });
        drop(state);
        self.changed.notify_all();
        reply
    }
}

impl Export {
    fn items(&self) -> usize {
        let asked = Asked {
            at: Instant::now(),
            path: String::new(),
            headers: HeaderMap::new(),
            body: Bytes::new(),
            export: self.clone(),
            taken: true,
        };
        let asked = [asked];
        spans(&asked).len() + logs(&asked).len() + metrics(&asked).len()
    }
}

async fn serve(listener: TcpListener, shared: Arc<Shared>, tls: Option<Arc<ServerConfig>>) {
    let mut connections = JoinSet::new();
    loop {
        let (socket, _) = listener.accept().await.unwrap();
        connections.spawn(connection(socket, Arc::clone(&shared), tls.clone()));
    }
}

async fn connection(socket: TcpStream, shared: Arc<Shared>, tls: Option<Arc<ServerConfig>>) {
    let service = service_fn(move |request| answer(request, Arc::clone(&shared)));
    let server = auto::Builder::new(TokioExecutor::new());
    // Whoever breaks off has its reasons; what matters is what came.
    match tls {
        None => drop(server.serve_connection(TokioIo::new(socket), service).await),
        Some(config) => {
            if let Ok(socket) = TlsAcceptor::from(config).accept(socket).await {
                drop(server.serve_connection(TokioIo::new(socket), service).await);
            }
        }
    }
}

type Answer = Response<tonic::body::Body>;

async fn answer(request: Request<Incoming>, shared: Arc<Shared>) -> Result<Answer, Infallible> {
    let grpc = request
        .headers()
        .get("content-type")
        .is_some_and(|kind| kind.as_bytes().starts_with(b"application/grpc"));
    if grpc { grpc::answer(request, shared).await } else { Ok(http_answer(request, &shared).await) }
}

async fn http_answer(request: Request<Incoming>, shared: &Shared) -> Answer {
    let (head, body) = request.into_parts();
    let Ok(body) = body.collect().await else { pending().await };
    let body = inflate(&head.headers, body.to_bytes());
    let json = head.headers["content-type"] == "application/json";
    let Some(export) = decode(&head.uri, json, &body) else {
        return http_response(StatusCode::NOT_FOUND, &[], b"no such signal".to_vec());
    };
    let signal = export.clone();
    match shared.note(&head.uri.to_string(), head.headers, body, export) {
        Reply::Take => http_response(StatusCode::OK, &[], success(&signal, json, 0, "")),
        Reply::TakeBut(rejected, message) => {
            http_response(StatusCode::OK, &[], success(&signal, json, rejected, message))
        }
        Reply::Status(status, headers, body) => {
            http_response(StatusCode::from_u16(status).unwrap(), &headers, body)
        }
        Reply::Hang | Reply::AtMost(_) => pending().await,
        Reply::Grpc(status) => panic!("{status:?} is no answer by HTTP"),
    }
}

fn http_response(status: StatusCode, headers: &[(&str, String)], body: Vec<u8>) -> Answer {
    let mut response = Response::builder().status(status);
    for (name, value) in headers {
        response = response.header(*name, value);
    }
    response.body(tonic::body::Body::new(Full::new(Bytes::from(body)))).unwrap()
}

fn inflate(headers: &HeaderMap, body: Bytes) -> Bytes {
    if headers.get("content-encoding").is_none_or(|coding| coding != "gzip") {
        return body;
    }
    let mut inflated = Vec::new();
    flate2::read::GzDecoder::new(&*body).read_to_end(&mut inflated).unwrap();
    inflated.into()
}

fn decode(uri: &Uri, json: bool, body: &Bytes) -> Option<Export> {
    let path = uri.path();
    Some(if path.ends_with("traces") {
        Export::Traces(decode_as(json, body))
    } else if path.ends_with("logs") {
        Export::Logs(decode_as(json, body))
    } else if path.ends_with("metrics") {
        Export::Metrics(decode_as(json, body))
    } else {
        return None;
    })
}

fn decode_as<T: Message + DeserializeOwned + Default>(json: bool, body: &Bytes) -> T {
    if json { serde_json::from_slice(body).unwrap() } else { T::decode(body.clone()).unwrap() }
}

fn success(to: &Export, json: bool, rejected: i64, message: &str) -> Vec<u8> {
    match to {
        Export::Traces(_) => encode_as(json, &traces_response(rejected, message)),
        Export::Logs(_) => encode_as(json, &logs_response(rejected, message)),
        Export::Metrics(_) => encode_as(json, &metrics_response(rejected, message)),
    }
}

fn encode_as(json: bool, response: &(impl Message + Serialize)) -> Vec<u8> {
    if json { serde_json::to_vec(response).unwrap() } else { response.encode_to_vec() }
}

fn traces_response(rejected_spans: i64, message: &str) -> ExportTraceServiceResponse {
    let partial = ExportTracePartialSuccess { rejected_spans, error_message: message.to_owned() };
    ExportTraceServiceResponse { partial_success: (rejected_spans > 0).then_some(partial) }
}

fn logs_response(rejected_log_records: i64, message: &str) -> ExportLogsServiceResponse {
    let partial = ExportLogsPartialSuccess { rejected_log_records, error_message: message.to_owned() };
    ExportLogsServiceResponse { partial_success: (rejected_log_records > 0).then_some(partial) }
}

fn metrics_response(rejected_data_points: i64, message: &str) -> ExportMetricsServiceResponse {
    let partial = ExportMetricsPartialSuccess { rejected_data_points, error_message: message.to_owned() };
    ExportMetricsServiceResponse { partial_success: (rejected_data_points > 0).then_some(partial) }
}
