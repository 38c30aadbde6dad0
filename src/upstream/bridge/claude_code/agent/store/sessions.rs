//! The tables of sessions and of what was said in them. Each belongs to one caller, and is there for no other.

use rusqlite::{Connection, OptionalExtension as _, Row, params};
use serde::Serialize;

use super::{Page, StoreError, now};

/// A conversation with an agent.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(in super::super) struct Session {
    /// Its id.
    pub id: String,
    /// Where it works.
    pub project_id: String,
    /// Its name for people.
    pub title: Option<String>,
    /// The model that was asked last.
    pub model: String,
    /// What it is told beside what each request says.
    pub system_prompt: Option<String>,
    /// When it was made. Milliseconds since 1970, RFC 3339 for clients.
    #[serde(serialize_with = "super::time")]
    pub created_at: i64,
    /// When it was last used.
    #[serde(serialize_with = "super::time")]
    pub updated_at: i64,
    /// Always so: it is there, or it is not.
    pub is_active: bool,
    /// Tokens of all its turns, read and written.
    pub total_tokens: u64,
    /// What they cost. USD.
    pub total_cost: f64,
    /// Messages of both sides.
    pub message_count: u64,
    /// Where the CLI has it.
    #[serde(skip)]
    pub thread: Thread,
}

/// The CLI's side of a session.
#[derive(Clone, Debug, Default, PartialEq)]
pub(in super::super) struct Thread {
    /// The CLI's id of it, once there has been a turn.
    pub id: Option<String>,
    /// Whether the CLI goes on from a transcript of ours.
    pub seeded: bool,
    /// Whether a turn has begun and not ended well: what the CLI holds is not what was said.
    pub open: bool,
    /// What it has cost, as the CLI counts. USD.
    pub cost: f64,
}

/// All sessions of one caller.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub(in super::super) struct Stats {
    /// How many.
    pub active_sessions: u64,
    /// Their tokens.
    pub total_tokens: u64,
    /// Their cost. USD.
    pub total_cost: f64,
    /// Their messages.
    pub total_messages: u64,
    /// Their models.
    pub models_in_use: Vec<String>,
}

/// Who said something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) enum Speaker {
    /// The client.
    User,
    /// The agent.
    Assistant,
}

/// An answer, and what it took.
#[derive(Clone, Debug, Default)]
pub(in super::super) struct Answered {
    /// Its text.
    pub text: String,
    /// Tokens read.
    pub input: u64,
    /// Tokens written.
    pub output: u64,
    /// USD.
    pub cost: f64,
    /// Whether the CLI's own session can go on from here.
    pub whole: bool,
    /// What that has cost by now, as the CLI counts. USD.
    pub thread_cost: f64,
}

const COLUMNS: &str = "id, project_id, title, model, system_prompt, created_at, updated_at, is_active, \
                       total_tokens, total_cost, message_count, cli_session, seeded, open, cli_cost";

fn read(row: &Row<'_>) -> rusqlite::Result<Session> {
    Ok(Session {
        id: row.get(0)?,
        project_id: row.get(1)?,
        title: row.get(2)?,
        model: row.get(3)?,
        system_prompt: row.get(4)?,
        created_at: row.get(5)?,
        updated_at: row.get(6)?,
        is_active: row.get(7)?,
        total_tokens: row.get(8)?,
        total_cost: row.get(9)?,
        message_count: row.get(10)?,
        thread: Thread { id: row.get(11)?, seeded: row.get(12)?, open: row.get(13)?, cost: row.get(14)? },
    })
}

/// Adds a session of `owner`.
pub(in super::super) fn add(store: &Connection, owner: &str, session: &Session) -> Result<(), StoreError> {
    store.execute(
        "INSERT INTO sessions (id, owner, project_id, title, model, system_prompt, created_at, updated_at)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
        params![
            session.id,
            owner,
            session.project_id,
            session.title,
            session.model,
            session.system_prompt,
            session.created_at,
            session.updated_at
        ],
    )?;
    Ok(())
}

/// The session of this id, if it is `owner`'s.
pub(in super::super) fn get(
    store: &Connection,
    owner: &str,
    id: &str,
) -> Result<Option<Session>, StoreError> {
    let sql = format!("SELECT {COLUMNS} FROM sessions WHERE id = ?1 AND owner = ?2");
    Ok(store.query_row(&sql, [id, owner], read).optional()?)
}

/// A page of `owner`'s sessions, of one project or of all, the latest used first, and how many there are.
pub(in super::super) fn list(
    store: &Connection,
    owner: &str,
    project: Option<&str>,
    page: Page,
) -> Result<(Vec<Session>, u64), StoreError> {
    const WHERE: &str = "owner = ?1 AND (?2 IS NULL OR project_id = ?2)";
    let count = format!("SELECT count(*) FROM sessions WHERE {WHERE}");
    let total = store.query_row(&count, params![owner, project], |row| row.get(0))?;
    let sql = format!(
        "SELECT {COLUMNS} FROM sessions WHERE {WHERE} ORDER BY updated_at DESC, id LIMIT ?3 OFFSET ?4"
    );
    let mut select = store.prepare(&sql)?;
    let rows = select.query_map(params![owner, project, page.size, page.skipped()], read)?;
    Ok((rows.collect::<Result<_, _>>()?, total))
}

/// The sessions of a project of `owner`, with the CLI's id of each.
pub(in super::super) fn of_project(
    store: &Connection,
    owner: &str,
    project: &str,
) -> Result<Vec<(String, Option<String>)>, StoreError> {
    let mut select =
        store.prepare("SELECT id, cli_session FROM sessions WHERE owner = ?1 AND project_id = ?2")?;
    let rows = select.query_map([owner, project], |row| Ok((row.get(0)?, row.get(1)?)))?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// Removes the session of this id, if it is `owner`'s.
pub(in super::super) fn remove(store: &Connection, owner: &str, id: &str) -> Result<bool, StoreError> {
    Ok(store.execute("DELETE FROM sessions WHERE id = ?1 AND owner = ?2", [id, owner])? > 0)
}

/// Removes the session of this id, if it is `owner`'s and nothing was ever said in it.
pub(in super::super) fn remove_unsaid(store: &Connection, owner: &str, id: &str) -> Result<(), StoreError> {
    let sql = "DELETE FROM sessions WHERE id = ?1 AND owner = ?2 AND message_count = 0";
    store.execute(sql, [id, owner])?;
    Ok(())
}

/// Removes all that were last used before `time`, but for `except`. Says which, with the CLI's id of each.
pub(in super::super) fn expire(
    store: &Connection,
    time: i64,
    except: &[String],
) -> Result<Vec<(String, Option<String>)>, StoreError> {
    let mut select = store.prepare("SELECT id, cli_session FROM sessions WHERE updated_at < ?1")?;
    let old = select.query_map([time], |row| Ok((row.get(0)?, row.get(1)?)))?;
    let mut gone: Vec<(String, Option<String>)> = old.collect::<Result<_, _>>()?;
    gone.retain(|(id, _)| !except.contains(id));
    for (id, _) in &gone {
        store.execute("DELETE FROM sessions WHERE id = ?1", [id])?;
    }
    Ok(gone)
}

/// All of `owner`'s sessions together.
pub(in super::super) fn stats(store: &Connection, owner: &str) -> Result<Stats, StoreError> {
    let mut stats = store.query_row(
        "SELECT count(*), coalesce(sum(total_tokens), 0), coalesce(sum(total_cost), 0.0),
                coalesce(sum(message_count), 0)
         FROM sessions WHERE owner = ?1",
        [owner],
        |row| {
            Ok(Stats {
                active_sessions: row.get(0)?,
                total_tokens: row.get(1)?,
                total_cost: row.get(2)?,
                total_messages: row.get(3)?,
                models_in_use: Vec::new(),
            })
        },
    )?;
    let mut select = store.prepare("SELECT DISTINCT model FROM sessions WHERE owner = ?1 ORDER BY model")?;
    stats.models_in_use = select.query_map([owner], |row| row.get(0))?.collect::<Result<_, _>>()?;
    Ok(stats)
}

/// A turn begins: this is said to the session. Until [`end`], it counts as broken off.
pub(in super::super) fn begin(
    store: &Connection,
    id: &str,
    model: &str,
    thread: &Thread,
    said: &[(Speaker, String)],
) -> Result<(), StoreError> {
    for (speaker, text) in said {
        say(store, id, *speaker, &Answered { text: text.clone(), ..Answered::default() })?;
    }
    store.execute(
        "UPDATE sessions SET model = ?2, cli_session = ?3, seeded = ?4, cli_cost = ?5, open = 1, updated_at = ?6,
             message_count = message_count + ?7
         WHERE id = ?1",
        params![id, model, thread.id, thread.seeded, thread.cost, now(), said.len()],
    )?;
    Ok(())
}

/// A turn ends with this answer.
pub(in super::super) fn end(store: &Connection, id: &str, answered: &Answered) -> Result<(), StoreError> {
    if !answered.text.is_empty() {
        say(store, id, Speaker::Assistant, answered)?;
    }
    store.execute(
        "UPDATE sessions SET open = ?2, updated_at = ?3, message_count = message_count + ?4,
             total_tokens = total_tokens + ?5, total_cost = total_cost + ?6, cli_cost = ?7
         WHERE id = ?1",
        params![
            id,
            !answered.whole,
            now(),
            !answered.text.is_empty(),
            answered.input.saturating_add(answered.output),
            answered.cost,
            answered.thread_cost
        ],
    )?;
    Ok(())
}

/// A turn that nothing came of: what was said to the session in it is taken back, as many messages as these.
pub(in super::super) fn take_back(store: &Connection, id: &str, said: usize) -> Result<(), StoreError> {
    store.execute(
        "DELETE FROM messages WHERE id IN
             (SELECT id FROM messages WHERE session_id = ?1 ORDER BY id DESC LIMIT ?2)",
        params![id, said],
    )?;
    store
        .execute("UPDATE sessions SET message_count = message_count - ?2 WHERE id = ?1", params![id, said])?;
    Ok(())
}

fn say(store: &Connection, id: &str, speaker: Speaker, said: &Answered) -> Result<(), StoreError> {
    let role = match speaker {
        Speaker::User => "user",
        Speaker::Assistant => "assistant",
    };
    store.execute(
        "INSERT INTO messages (session_id, role, content, created_at, input_tokens, output_tokens, cost)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
        params![id, role, said.text, now(), said.input, said.output, said.cost],
    )?;
    Ok(())
}

/// What was said in a session, oldest first: as much of its end as `limit` bytes hold.
pub(in super::super) fn history(
    store: &Connection,
    id: &str,
    limit: usize,
) -> Result<Vec<(Speaker, String)>, StoreError> {
    let mut select =
        store.prepare("SELECT role, content FROM messages WHERE session_id = ?1 ORDER BY id DESC")?;
    let mut rows = select.query([id])?;
    let mut said = Vec::new();
    let mut held = 0_usize;
    while let Some(row) = rows.next()? {
        let role: String = row.get(0)?;
        let text: String = row.get(1)?;
        held = held.saturating_add(text.len());
        if held > limit {
            break;
        }
        said.push((if role == "assistant" { Speaker::Assistant } else { Speaker::User }, text));
    }
    said.reverse();
    Ok(said)
}
