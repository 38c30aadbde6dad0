//! The table of projects. Each belongs to one caller, and is there for no other.

use rusqlite::{Connection, OptionalExtension as _, Row, params};
use serde::Serialize;

use super::{Page, StoreError};

/// A directory that an agent works in.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(in super::super) struct Project {
    /// Its id.
    pub id: String,
    /// Its name for people.
    pub name: String,
    /// What it is for.
    pub description: Option<String>,
    /// The directory, absolute.
    pub path: String,
    /// When it was made. Milliseconds since 1970, RFC 3339 for clients.
    #[serde(serialize_with = "super::time")]
    pub created_at: i64,
    /// When it was last changed.
    #[serde(serialize_with = "super::time")]
    pub updated_at: i64,
    /// Always so: it is there, or it is not.
    pub is_active: bool,
    /// Whether we made the directory, and so may remove it.
    #[serde(skip)]
    pub made: bool,
}

const COLUMNS: &str = "id, name, description, path, created_at, updated_at, is_active, made";

fn read(row: &Row<'_>) -> rusqlite::Result<Project> {
    Ok(Project {
        id: row.get(0)?,
        name: row.get(1)?,
        description: row.get(2)?,
        path: row.get(3)?,
        created_at: row.get(4)?,
        updated_at: row.get(5)?,
        is_active: row.get(6)?,
        made: row.get(7)?,
    })
}

/// Adds a project of `owner`.
pub(in super::super) fn add(store: &Connection, owner: &str, project: &Project) -> Result<(), StoreError> {
    store.execute(
        "INSERT INTO projects (id, owner, name, description, path, created_at, updated_at, is_active, made)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
        params![
            project.id,
            owner,
            project.name,
            project.description,
            project.path,
            project.created_at,
            project.updated_at,
            project.is_active,
            project.made
        ],
    )?;
    Ok(())
}

/// The project of this id, if it is `owner`'s.
pub(in super::super) fn get(
    store: &Connection,
    owner: &str,
    id: &str,
) -> Result<Option<Project>, StoreError> {
    let sql = format!("SELECT {COLUMNS} FROM projects WHERE id = ?1 AND owner = ?2");
    Ok(store.query_row(&sql, [id, owner], read).optional()?)
}

/// A page of `owner`'s projects, the oldest first, and how many there are in all.
pub(in super::super) fn list(
    store: &Connection,
    owner: &str,
    page: Page,
) -> Result<(Vec<Project>, u64), StoreError> {
    let total =
        store.query_row("SELECT count(*) FROM projects WHERE owner = ?1", [owner], |row| row.get(0))?;
    let sql =
        format!("SELECT {COLUMNS} FROM projects WHERE owner = ?1 ORDER BY created_at, id LIMIT ?2 OFFSET ?3");
    let mut select = store.prepare(&sql)?;
    let rows = select.query_map(params![owner, page.size, page.skipped()], read)?;
    Ok((rows.collect::<Result<_, _>>()?, total))
}

/// Removes the project of this id and its sessions, if it is `owner`'s.
pub(in super::super) fn remove(store: &Connection, owner: &str, id: &str) -> Result<bool, StoreError> {
    Ok(store.execute("DELETE FROM projects WHERE id = ?1 AND owner = ?2", [id, owner])? > 0)
}

/// Where the projects of all callers are: owner and path.
pub(in super::super) fn places(store: &Connection) -> Result<Vec<(String, String)>, StoreError> {
    let mut select = store.prepare("SELECT owner, path FROM projects")?;
    let rows = select.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
    Ok(rows.collect::<Result<_, _>>()?)
}
