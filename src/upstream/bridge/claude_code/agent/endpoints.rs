//! What claude-code-api's users know beside the doors: projects, sessions, what runs, and what can be asked.

use std::sync::Arc;

use http::header::{ALLOW, CONTENT_TYPE};
use http::{HeaderValue, Method, Request, Response};
use http_body_util::{BodyExt as _, Limited};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::Agents;
use crate::body::Body;
use crate::upstream::Caller;
use crate::upstream::bridge::door::errors;
use crate::upstream::bridge::{Backend, Failure, Kind, Own};

mod look;
mod pages;
mod projects;
mod sessions;

pub(super) use sessions::fresh;

/// The largest body of a request for something other than an answer. Bytes.
const BODY: usize = 256 * 1024;

/// A path of ours, and what it names.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Path {
    Projects,
    Project(String),
    Sessions,
    Stats,
    Session(String),
    Status(String),
    Completion(String),
    Capabilities,
    Debug,
}

impl Path {
    fn read(path: &str) -> Option<Self> {
        let path = path.strip_prefix("/v1").unwrap_or(path);
        let pieces: Vec<_> = path.strip_prefix('/')?.split('/').collect();
        let id = |id: &str| (!id.is_empty()).then(|| id.to_owned());
        Some(match *pieces {
            ["projects"] => Self::Projects,
            ["projects", project] => Self::Project(id(project)?),
            ["sessions"] => Self::Sessions,
            ["sessions", "stats"] => Self::Stats,
            ["sessions", session] => Self::Session(id(session)?),
            ["models", "capabilities"] => Self::Capabilities,
            ["chat", "completions", "debug"] => Self::Debug,
            ["chat", "completions", session, "status"] => Self::Status(id(session)?),
            ["chat", "completions", session] => Self::Completion(id(session)?),
            _ => return None,
        })
    }

    /// The methods that there are at it.
    fn methods(&self) -> &'static str {
        match self {
            Self::Projects | Self::Sessions => "GET, POST",
            Self::Project(_) | Self::Session(_) => "GET, DELETE",
            Self::Stats | Self::Status(_) | Self::Capabilities => "GET",
            Self::Completion(_) => "DELETE",
            Self::Debug => "POST",
        }
    }

    /// Whether it is there where no model is an agent.
    fn is_for_all(&self) -> bool {
        matches!(self, Self::Capabilities | Self::Debug)
    }
}

/// What is asked for, by whom.
struct Asked {
    method: Method,
    query: String,
    body: Body,
    headers: http::HeaderMap,
    owner: Caller,
}

/// Answers `request` if its path is one of ours. `body_limit` holds for bodies that are looked at as a door would.
pub(in super::super) fn own(
    agents: Option<Arc<Agents>>,
    backend: Arc<dyn Backend>,
    request: Request<Body>,
    caller: Caller,
    body_limit: u64,
) -> Own {
    let Some(path) = Path::read(request.uri().path()) else { return Own::Not(Box::new(request)) };
    if agents.is_none() && !path.is_for_all() {
        return Own::Not(Box::new(request));
    }
    let (head, body) = request.into_parts();
    let query = head.uri.query().unwrap_or_default().to_owned();
    let asked = Asked { method: head.method, query, body, headers: head.headers, owner: caller };
    Own::Answer(Box::pin(async move {
        let methods = path.methods();
        match answer(agents, backend, path, asked, body_limit).await {
            Ok(value) => respond(http::StatusCode::OK, &value),
            Err(failure) => {
                let mut response = respond(failure.kind.status(), &errors::openai(&failure));
                if failure.kind == Kind::Method {
                    response.headers_mut().insert(ALLOW, HeaderValue::from_static(methods));
                }
                response
            }
        }
    }))
}

async fn answer(
    agents: Option<Arc<Agents>>,
    backend: Arc<dyn Backend>,
    path: Path,
    asked: Asked,
    body_limit: u64,
) -> Result<Value, Failure> {
    let (get, post, delete) = (Method::GET, Method::POST, Method::DELETE);
    let method = asked.method.clone();
    match (&path, agents) {
        (Path::Capabilities, _) if method == get => Ok(look::capabilities(backend.models())),
        (Path::Debug, _) if method == post => look::debug(backend.as_ref(), asked, body_limit).await,
        (path, Some(agents)) => {
            let agent = agents.open()?;
            let owner = asked.owner.id().to_owned();
            match path {
                Path::Projects if method == get => projects::list(&agent, owner, &asked.query).await,
                Path::Projects if method == post => projects::create(agent, owner, asked.body).await,
                Path::Project(id) if method == get => projects::get(&agent, owner, id).await,
                Path::Project(id) if method == delete => projects::remove(agent, owner, id).await,
                Path::Sessions if method == get => sessions::list(&agent, owner, &asked.query).await,
                Path::Sessions if method == post => {
                    sessions::create(&agent, backend.models(), owner, asked.body).await
                }
                Path::Stats if method == get => sessions::stats(&agent, owner).await,
                Path::Session(id) if method == get => sessions::get(&agent, owner, id).await,
                Path::Session(id) if method == delete => sessions::remove(&agent, owner, id).await,
                Path::Status(id) if method == get => sessions::status(&agent, owner, id).await,
                Path::Completion(id) if method == delete => sessions::stop(&agent, owner, id).await,
                _ => Err(wrong_method(path)),
            }
        }
        (path, None) => Err(wrong_method(path)),
    }
}

fn wrong_method(path: &Path) -> Failure {
    Failure::new(Kind::Method, format!("here are only {}", path.methods()))
}

fn respond(status: http::StatusCode, value: &Value) -> Response<Body> {
    let mut response = Response::new(Body::full(value.to_string()));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

/// A JSON document of this type.
async fn read<T: DeserializeOwned>(body: Body) -> Result<T, Failure> {
    let bytes = collect(body, BODY).await?;
    serde_json::from_slice(&bytes)
        .map_err(|error| Failure::new(Kind::Invalid, format!("the body cannot be read: {error}")))
}

async fn collect(body: Body, limit: usize) -> Result<bytes::Bytes, Failure> {
    match Limited::new(body, limit).collect().await {
        Ok(body) => Ok(body.to_bytes()),
        Err(error) if error.is::<http_body_util::LengthLimitError>() => {
            Err(Failure::new(Kind::TooLarge, format!("the body has more than {limit} bytes")))
        }
        Err(_) => Err(Failure::new(Kind::Invalid, "the body breaks off")),
    }
}

/// An optional text of a body, within bounds.
fn bounded(name: &'static str, text: Option<String>, limit: usize) -> Result<Option<String>, Failure> {
    match text {
        Some(text) if text.len() > limit => {
            Err(Failure::invalid(name, format!("{name} has more than {limit} bytes")))
        }
        text => Ok(text),
    }
}

/// What a removal says: `{"session_id": …, "status": "deleted"}`.
fn done(name: &str, id: &str, status: &str) -> Value {
    json!({name: id, "status": status})
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_ours_with_and_without_the_version_and_only_if_whole() {
        let id = || "a1".to_owned();
        for (path, means) in [
            ("/v1/projects", Some(Path::Projects)),
            ("/projects/a1", Some(Path::Project(id()))),
            ("/v1/sessions/stats", Some(Path::Stats)),
            ("/v1/sessions/a1", Some(Path::Session(id()))),
            ("/v1/chat/completions/a1/status", Some(Path::Status(id()))),
            ("/v1/chat/completions/a1", Some(Path::Completion(id()))),
            ("/v1/chat/completions/debug", Some(Path::Debug)),
            ("/v1/models/capabilities", Some(Path::Capabilities)),
            ("/v1/chat/completions", None),
            ("/v1/models", None),
            ("/v1/models/opus", None),
            ("/v1/projects/", None),
            ("/v1/projects/a1/x", None),
            ("/v1projects", None),
            ("", None),
        ] {
            assert_eq!(Path::read(path), means, "{path}");
        }
    }
}
