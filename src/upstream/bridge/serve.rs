//! The way of a request through a bridge, from its head to the last byte of its answer.

use std::pin::pin;
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use http::header::{
    ALLOW, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, RETRY_AFTER,
};
use http::request::Parts;
use http::{Method, Request, Response, StatusCode};
use http_body::Body as _;
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use serde_json::{Value, json};
use tokio::sync::mpsc;
use tokio_util::task::{AbortOnDropHandle, TaskTracker};

use super::door::{self, Door, Reader, Reading, Writer};
use super::event::{Event, Head, retry_seconds};
use super::queue::{Place, Queue};
use super::{Ask, Backend, Failure, IsReady, Kind, Out, Own, Settings};
use crate::body::Body;
use crate::upstream::Caller;

mod answering;

use answering::{Answering, Pump, Streamed, whole};

const X_BRIDGE: HeaderName = HeaderName::from_static("x-bridge");
const X_WARNINGS: HeaderName = HeaderName::from_static("x-bridge-warnings");
const X_COST: HeaderName = HeaderName::from_static("x-bridge-cost-usd");
const X_CONVERSATION: HeaderName = HeaderName::from_static("x-conversation-id");
const X_SESSION: HeaderName = HeaderName::from_static("x-session-id");
const X_PROJECT: HeaderName = HeaderName::from_static("x-project-id");
const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const REQUEST_ID: HeaderName = HeaderName::from_static("request-id");
const PROCESSING: HeaderName = HeaderName::from_static("openai-processing-ms");
const X_BUFFERING: HeaderName = HeaderName::from_static("x-accel-buffering");

/// Pieces of a stream that wait for a slow client, before its backend has to.
const WAITING: usize = 16;

/// A bridge, as requests see it.
pub(super) struct Bridge {
    pub(super) backend: Arc<dyn Backend>,
    pub(super) queue: Queue,
    pub(super) settings: Settings,
    pub(super) kept: door::Kept,
    pub(super) ready: IsReady,
    /// Where streams are written.
    pub(super) tasks: TaskTracker,
}

/// What is settled about a request before it is read.
struct Asked {
    id: String,
    began: Instant,
    /// Whether it is Anthropic's API, whose errors have a form of their own.
    is_anthropic: bool,
}

impl Bridge {
    /// Answers `request`. The answer's body ends with whatever `self` does for it.
    pub(super) async fn answer(self: Arc<Self>, request: Request<Body>) -> Response<Body> {
        let asked = Asked::of(&request);
        let mut response = match self.clone().route(request, &asked.id).await {
            Ok(response) => response,
            Err(failure) => asked.failed(&failure),
        };
        let headers = response.headers_mut();
        headers.insert(X_BRIDGE, HeaderValue::from_static(self.backend.name()));
        if let Ok(id) = HeaderValue::from_str(&asked.id) {
            if asked.is_anthropic {
                headers.insert(REQUEST_ID, id.clone());
            }
            headers.insert(X_REQUEST_ID, id);
        }
        headers.insert(PROCESSING, HeaderValue::from(asked.millis()));
        response
    }

    async fn route(self: Arc<Self>, request: Request<Body>, id: &str) -> Result<Response<Body>, Failure> {
        let caller = request.extensions().get::<Caller>().cloned().unwrap_or_else(Caller::local);
        let (verb, path) = (request.method().clone(), request.uri().path().to_owned());
        if let Some(response) = self.page(&verb, &path).await {
            return Ok(response);
        }
        let request = match self.backend.clone().own(request, caller.clone()) {
            Own::Answer(answer) => return Ok(answer.await),
            Own::Not(request) => *request,
        };
        let (head, body) = request.into_parts();
        let path = head.uri.path();
        if let Some(listing) = door::listing::answer(&head.headers, &head.uri, self.backend.models()) {
            method(&head, &[Method::GET, Method::HEAD])?;
            return Ok(json_response(StatusCode::OK, &listing?));
        }
        if let Some(kept) = door::responses::own(&head.method, path, head.uri.query(), &caller, &self.kept) {
            return Ok(json_response(StatusCode::OK, &kept?));
        }
        if matches!(path, "/v1/messages/count_tokens" | "/messages/count_tokens") {
            method(&head, &[Method::POST])?;
            let body = self.read(&head, body).await?;
            return self.count(self.reader(&head.headers, &body, caller, id)).await;
        }
        let Some(door) = Door::at(path) else { return Err(no_such_path(path)) };
        method(&head, &[Method::POST])?;
        let body = self.read(&head, body).await?;
        let reader = self.reader(&head.headers, &body, caller, id);
        let Reading { ask, writer } = door.read(reader)?;
        drop(body);
        self.ask(ask, writer).await
    }

    fn reader<'a>(
        &'a self,
        headers: &'a HeaderMap,
        body: &'a Bytes,
        caller: Caller,
        id: &'a str,
    ) -> Reader<'a> {
        Reader { headers, body, id, caller, lenient: self.settings.lenient, kept: &self.kept }
    }

    /// The pages that tell whether somebody is at home.
    async fn page(&self, method: &Method, path: &str) -> Option<Response<Body>> {
        if ![Method::GET, Method::HEAD].contains(method) {
            return None;
        }
        match path {
            // Claude Code asks for `/` and `/api/hello` before it begins.
            "/" | "/api/hello" | "/health" => Some(json_response(
                StatusCode::OK,
                &json!({"status": "healthy", "bridge": self.backend.name()}),
            )),
            "/ready" => {
                let readiness = self.ready.ask().await;
                let (waiting, free) = self.queue.state();
                let status = if readiness.ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
                let page = json!({
                    "status": if readiness.ready { "ready" } else { "not ready" },
                    "missing": readiness.missing,
                    "bridge": self.backend.name(),
                    "detail": readiness.detail,
                    "queue": {"waiting": waiting, "free": free},
                });
                Some(json_response(status, &page))
            }
            _ => None,
        }
    }

    async fn read(&self, head: &Parts, body: Body) -> Result<Bytes, Failure> {
        if head.headers.get(CONTENT_ENCODING).is_some_and(|coding| coding != "identity") {
            let message = "content-encoding: the body as it is would be right, without compression";
            return Err(Failure::invalid("content-encoding", message));
        }
        let limit = usize::try_from(self.settings.body_limit).unwrap_or(usize::MAX);
        let too_large = || {
            let message = format!("the request is larger than {limit} bytes (llm.bridge.body_limit)");
            Failure::new(Kind::TooLarge, message)
        };
        // It says so itself: nobody has to send it, nor to wait for it.
        if body.size_hint().lower() > self.settings.body_limit {
            return Err(too_large());
        }
        match Limited::new(body, limit).collect().await {
            Ok(body) => Ok(body.to_bytes()),
            Err(error) if error.is::<LengthLimitError>() => Err(too_large()),
            Err(_) => Err(Failure::new(Kind::Invalid, "the request's body broke off")),
        }
    }

    async fn count(&self, reader: Reader<'_>) -> Result<Response<Body>, Failure> {
        let mut ask = door::messages::read_count(reader)?;
        self.admit(&mut ask)?;
        let warnings = ask.warnings.clone();
        let count = self.backend.clone().count(ask).await?;
        let mut response = json_response(StatusCode::OK, &door::messages::count(count));
        insert(response.headers_mut(), X_WARNINGS, warnings.header());
        Ok(response)
    }

    /// Finds the model, and lets the backend have a look before anybody waits.
    fn admit(&self, ask: &mut Ask) -> Result<(), Failure> {
        let models = self.backend.models();
        let Some(model) = models.find(&ask.model) else {
            let nearest = models.nearest(&ask.model).join(", ");
            // A name may be anything, and long.
            let name: String = ask.model.chars().take(128).collect();
            let message = format!("the model `{name}` does not exist here; the nearest: {nearest}");
            return Err(Failure { param: Some("model".into()), ..Failure::new(Kind::UnknownModel, message) });
        };
        ask.id.clone_from(&model.id);
        self.backend.check(ask, model, self.settings.lenient)
    }

    async fn ask(&self, mut ask: Ask, writer: Box<dyn Writer>) -> Result<Response<Body>, Failure> {
        self.admit(&mut ask)?;
        let place = self.queue.enter(&ask.caller).await?;
        let (stream, warnings) = (ask.stream, ask.warnings.clone());
        let (out, events) = Out::channel();
        let work = self.backend.clone().answer(ask, out);
        let answering =
            Answering { events, work: Some(work), failure: None, warnings, head: Head::default() };
        if stream {
            self.stream(answering, writer, place).await
        } else {
            let _place = place;
            whole(answering, writer).await
        }
    }

    /// The head waits for the first word; what follows goes out as it comes.
    async fn stream(
        &self,
        mut answering: Answering,
        writer: Box<dyn Writer>,
        place: Place,
    ) -> Result<Response<Body>, Failure> {
        let mut first = Vec::new();
        let wait = tokio::time::sleep(self.settings.head_wait);
        let mut wait = pin!(wait);
        loop {
            let event = tokio::select! {
                biased;
                event = answering.next() => event?,
                () = &mut wait => break,
            };
            let speaks = matches!(event, Event::Begin(_) | Event::Done(_));
            first.push(event);
            if speaks {
                break;
            }
        }
        let (bytes, body) = mpsc::channel(WAITING);
        let mut response = Response::new(());
        let headers = response.headers_mut();
        answering.tell(headers);
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/event-stream; charset=utf-8"));
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
        headers.insert(X_BUFFERING, HeaderValue::from_static("no"));
        let pump = Pump {
            answering,
            writer,
            bytes,
            heartbeat: self.settings.heartbeat,
            spoke: tokio::time::Instant::now(),
        };
        let pump = self.tasks.spawn(async move {
            let _place = place;
            // An error is the client's leaving: there is nobody to tell.
            let _ = pump.run(first).await;
        });
        let body = Streamed { bytes: body, pump: Some(AbortOnDropHandle::new(pump)) };
        Ok(response.map(|()| Body::new(body)))
    }
}

impl Asked {
    fn of(request: &Request<Body>) -> Self {
        let path = request.uri().path();
        let is_anthropic = path.contains("/messages") || request.headers().contains_key("anthropic-version");
        let id = request.headers().get(X_REQUEST_ID).and_then(|id| id.to_str().ok());
        let id =
            id.filter(|id| (1..=128).contains(&id.len())).map_or_else(|| door::id("req_"), str::to_owned);
        Self { id, began: Instant::now(), is_anthropic }
    }

    fn millis(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    fn failed(&self, failure: &Failure) -> Response<Body> {
        tracing::warn!(code = failure.kind.code(), error = %failure, "a bridge gave no answer");
        let (status, body) = if self.is_anthropic {
            (failure.kind.anthropic_status(), door::errors::anthropic(failure, &self.id))
        } else {
            (failure.kind.status(), door::errors::openai(failure))
        };
        let mut response = json_response(status, &body);
        let headers = response.headers_mut();
        insert(headers, RETRY_AFTER, failure.retry_after.map(|after| retry_seconds(after).to_string()));
        if failure.kind == Kind::Method {
            headers.insert(ALLOW, HeaderValue::from_static("GET, HEAD, POST, DELETE"));
        }
        response
    }
}

fn method(head: &Parts, allowed: &[Method]) -> Result<(), Failure> {
    if allowed.contains(&head.method) {
        return Ok(());
    }
    let allowed: Vec<_> = allowed.iter().map(Method::as_str).collect();
    let message = format!("{} takes {}, not {}", head.uri.path(), allowed.join(" and "), head.method);
    Err(Failure::new(Kind::Method, message))
}

fn no_such_path(path: &str) -> Failure {
    let path: String = path.chars().take(128).collect();
    let message = format!(
        "there is nothing at {path}: there are /v1/chat/completions, /v1/responses, /v1/messages, \
         /v1/messages/count_tokens, /v1/completions and /v1/models"
    );
    Failure::new(Kind::NotFound, message)
}

fn insert(headers: &mut HeaderMap, name: HeaderName, value: Option<String>) {
    if let Some(value) = value.and_then(|value| HeaderValue::from_str(&value).ok()) {
        headers.insert(name, value);
    }
}

fn json_response(status: StatusCode, value: &Value) -> Response<Body> {
    let mut response = Response::new(Body::full(value.to_string()));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

#[cfg(test)]
mod tests;
