//! `/v1/projects`.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rusqlite::Connection;
use serde::Deserialize;
use serde_json::Value;

use super::super::store::now;
use super::super::store::projects::{self, Project};
use super::super::store::sessions;
use super::super::{Agent, uuid, workspace};
use super::pages::{self, Wanted};
use super::{bounded, done, read};
use crate::body::Body;
use crate::upstream::bridge::{Failure, Kind};

/// The body of `POST /v1/projects`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct New {
    name: String,
    description: Option<String>,
    path: Option<String>,
}

/// `GET /v1/projects`.
pub(super) async fn list(agent: &Agent, owner: String, query: &str) -> Result<Value, Failure> {
    let page = Wanted::read(query)?.page;
    let (projects, total) =
        agent.store.run(move |store| Ok::<_, Failure>(projects::list(store, &owner, page)?)).await?;
    Ok(pages::page(&projects, page, total))
}

/// `GET /v1/projects/{id}`.
pub(super) async fn get(agent: &Agent, owner: String, id: &str) -> Result<Value, Failure> {
    Ok(json(&agent.project(owner, id.to_owned()).await?))
}

/// `POST /v1/projects`.
pub(super) async fn create(agent: Arc<Agent>, owner: String, body: Body) -> Result<Value, Failure> {
    let new: New = read(body).await?;
    let name = bounded("name", Some(new.name), 256)?.unwrap_or_default();
    let description = bounded("description", new.description, 4096)?;
    let id = uuid()?;
    let place = agent.workspace.place(new.path.as_deref().unwrap_or(&id))?;
    let work = {
        let agent = Arc::clone(&agent);
        move |store: &Connection| agent.make(store, &owner, id, (name, description), &place)
    };
    Ok(json(&agent.store.run(work).await?))
}

/// `DELETE /v1/projects/{id}`: with its sessions, and its directory if we made it and no other project is there.
pub(super) async fn remove(agent: Arc<Agent>, owner: String, id: &str) -> Result<Value, Failure> {
    let project = agent.project(owner.clone(), id.to_owned()).await?;
    let of = (owner.clone(), id.to_owned());
    let inside =
        agent.store.run(move |store| Ok::<_, Failure>(sessions::of_project(store, &of.0, &of.1)?)).await?;
    for (session, thread) in &inside {
        agent.running.stop(session).await;
        agent.forget(session, thread.as_deref());
    }
    let work = {
        let agent = Arc::clone(&agent);
        move |store: &Connection| agent.unmake(store, &owner, &project)
    };
    agent.store.run(work).await?;
    Ok(done("project_id", id, "deleted"))
}

fn json(project: &Project) -> Value {
    serde_json::to_value(project).unwrap_or_default()
}

impl Agent {
    /// The project of this id, if it is `owner`'s.
    pub(in super::super) async fn project(&self, owner: String, id: String) -> Result<Project, Failure> {
        let missing = Failure {
            param: Some("project_id".into()),
            ..Failure::new(Kind::UnknownProject, format!("Project {id} not found"))
        };
        let found = self.store.run(move |store| Ok::<_, Failure>(projects::get(store, &owner, &id)?)).await?;
        found.ok_or(missing)
    }

    /// The project of those of `owner`'s sessions that name none.
    pub(in super::super) async fn default_project(
        self: &Arc<Self>,
        owner: String,
    ) -> Result<Project, Failure> {
        // What tells callers apart cannot be turned back into their keys.
        let id = format!("default-{owner}");
        let place = self.workspace.place(&id)?;
        let agent = Arc::clone(self);
        let work = move |store: &Connection| match projects::get(store, &owner, &id)? {
            Some(project) => Ok(project),
            None => agent.make(store, &owner, id.clone(), ("Default".to_owned(), None), &place),
        };
        self.store.run(work).await
    }

    /// Makes a project at `place` for `owner`. Runs in the store's turn, so that no other is made there meanwhile.
    pub(in super::super) fn make(
        &self,
        store: &Connection,
        owner: &str,
        id: String,
        (name, description): (String, Option<String>),
        place: &Path,
    ) -> Result<Project, Failure> {
        for (other, taken) in projects::places(store)? {
            if other != owner && workspace::overlap(place, Path::new(&taken)) {
                return Err(Failure::invalid("path", "another project is there"));
            }
        }
        let Some(path) = place.to_str().map(str::to_owned) else {
            return Err(Failure::invalid("path", "the workspace's path is no UTF-8"));
        };
        let made = self.workspace.make(place)?;
        let (created_at, updated_at) = (now(), now());
        let project = Project { id, name, description, path, created_at, updated_at, is_active: true, made };
        projects::add(store, owner, &project)?;
        Ok(project)
    }

    fn unmake(&self, store: &Connection, owner: &str, project: &Project) -> Result<(), Failure> {
        projects::remove(store, owner, &project.id)?;
        let place = PathBuf::from(&project.path);
        let shared =
            projects::places(store)?.iter().any(|(_, other)| workspace::overlap(&place, Path::new(other)));
        if project.made
            && !shared
            && let Err(error) = self.workspace.remove(&place)
        {
            tracing::warn!(%error, path = project.path, "the directory of a deleted project is left");
        }
        Ok(())
    }
}
