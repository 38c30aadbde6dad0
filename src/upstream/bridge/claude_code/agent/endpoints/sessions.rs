//! `/v1/sessions`, and what runs in them.

use serde::Deserialize;
use serde_json::{Value, json};

use super::super::store::sessions::{self, Session, Thread};
use super::super::store::{now, stamp};
use super::super::{Agent, uuid};
use super::pages::{self, Wanted};
use super::{bounded, done, read};
use crate::body::Body;
use crate::upstream::bridge::model::Models;
use crate::upstream::bridge::{Failure, Kind};

/// The body of `POST /v1/sessions`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct New {
    project_id: String,
    title: Option<String>,
    model: Option<String>,
    system_prompt: Option<String>,
}

/// `GET /v1/sessions`.
pub(super) async fn list(agent: &Agent, owner: String, query: &str) -> Result<Value, Failure> {
    let Wanted { page, project } = Wanted::read(query)?;
    let work = move |store: &_| Ok::<_, Failure>(sessions::list(store, &owner, project.as_deref(), page)?);
    let (sessions, total) = agent.store.run(work).await?;
    Ok(pages::page(&sessions, page, total))
}

/// `POST /v1/sessions`.
pub(super) async fn create(
    agent: &Agent,
    models: &Models,
    owner: String,
    body: Body,
) -> Result<Value, Failure> {
    let new: New = read(body).await?;
    let project = agent.project(owner.clone(), new.project_id).await?;
    let known = new.model.as_deref().and_then(|name| models.find(name)).map(|model| model.id.clone());
    let model = agent.model(known.or(new.model))?;
    let session = fresh(
        project.id,
        bounded("title", new.title, 256)?,
        model,
        bounded("system_prompt", new.system_prompt, 128 * 1024)?,
    )?;
    let value = whole(&session);
    agent.store.run(move |store| Ok::<_, Failure>(sessions::add(store, &owner, &session)?)).await?;
    Ok(value)
}

/// A session that nothing was said in yet.
pub(in super::super) fn fresh(
    project_id: String,
    title: Option<String>,
    model: String,
    system_prompt: Option<String>,
) -> Result<Session, Failure> {
    let (created_at, updated_at) = (now(), now());
    let id = uuid()?;
    let title = title.or_else(|| Some(format!("Session {}", id.get(..8).unwrap_or(&id))));
    Ok(Session {
        id,
        project_id,
        title,
        model,
        system_prompt,
        created_at,
        updated_at,
        is_active: true,
        total_tokens: 0,
        total_cost: 0.0,
        message_count: 0,
        thread: Thread::default(),
    })
}

/// `GET /v1/sessions/stats`.
pub(super) async fn stats(agent: &Agent, owner: String) -> Result<Value, Failure> {
    let running = agent.running.of(&owner);
    let stats = agent.store.run(move |store| Ok::<_, Failure>(sessions::stats(store, &owner)?)).await?;
    Ok(json!({
        "session_stats": stats,
        "active_claude_sessions": running.len(),
        "claude_sessions": running,
    }))
}

/// `GET /v1/sessions/{id}`.
pub(super) async fn get(agent: &Agent, owner: String, id: &str) -> Result<Value, Failure> {
    Ok(whole(&agent.session(owner, id.to_owned()).await?))
}

/// `DELETE /v1/sessions/{id}`: what runs in it is stopped first.
pub(super) async fn remove(agent: &Agent, owner: String, id: &str) -> Result<Value, Failure> {
    agent.session(owner.clone(), id.to_owned()).await?;
    agent.running.stop(id).await;
    // What the turn that was stopped has left.
    let session = agent.session(owner.clone(), id.to_owned()).await?;
    agent.forget(&session.id, session.thread.id.as_deref());
    agent.store.run(move |store| Ok::<_, Failure>(sessions::remove(store, &owner, &session.id)?)).await?;
    Ok(done("session_id", id, "deleted"))
}

/// `GET /v1/chat/completions/{id}/status`.
pub(super) async fn status(agent: &Agent, owner: String, id: &str) -> Result<Value, Failure> {
    let session = agent.session(owner, id.to_owned()).await?;
    Ok(json!({
        "session_id": session.id,
        "project_id": session.project_id,
        "model": session.model,
        "is_running": agent.running.is(&session.id),
        "created_at": stamp(session.created_at),
        "updated_at": stamp(session.updated_at),
        "total_tokens": session.total_tokens,
        "total_cost": session.total_cost,
        "message_count": session.message_count,
    }))
}

/// `DELETE /v1/chat/completions/{id}`: done when nothing runs there any more.
pub(super) async fn stop(agent: &Agent, owner: String, id: &str) -> Result<Value, Failure> {
    let session = agent.session(owner, id.to_owned()).await?;
    agent.running.stop(&session.id).await;
    Ok(done("session_id", id, "stopped"))
}

fn whole(session: &Session) -> Value {
    serde_json::to_value(session).unwrap_or_default()
}

impl Agent {
    /// The session of this id, if it is `owner`'s.
    pub(in super::super) async fn session(&self, owner: String, id: String) -> Result<Session, Failure> {
        let missing = Failure {
            param: Some("session_id".into()),
            ..Failure::new(Kind::UnknownSession, format!("Session {id} not found"))
        };
        let found = self.store.run(move |store| Ok::<_, Failure>(sessions::get(store, &owner, &id)?)).await?;
        found.ok_or(missing)
    }
}
