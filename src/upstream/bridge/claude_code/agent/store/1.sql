CREATE TABLE projects (
    id          TEXT PRIMARY KEY,
    owner       TEXT NOT NULL,
    name        TEXT NOT NULL,
    description TEXT,
    path        TEXT NOT NULL,
    made        INTEGER NOT NULL,
    created_at  INTEGER NOT NULL,
    updated_at  INTEGER NOT NULL,
    is_active   INTEGER NOT NULL DEFAULT 1
) STRICT;
CREATE INDEX projects_of ON projects (owner, created_at);

CREATE TABLE sessions (
    id            TEXT PRIMARY KEY,
    owner         TEXT NOT NULL,
    project_id    TEXT NOT NULL REFERENCES projects (id) ON DELETE CASCADE,
    title         TEXT,
    model         TEXT NOT NULL,
    system_prompt TEXT,
    created_at    INTEGER NOT NULL,
    updated_at    INTEGER NOT NULL,
    is_active     INTEGER NOT NULL DEFAULT 1,
    total_tokens  INTEGER NOT NULL DEFAULT 0,
    total_cost    REAL NOT NULL DEFAULT 0,
    message_count INTEGER NOT NULL DEFAULT 0,
    -- The CLI's own session, whether it goes on from a transcript of ours, what it has cost as the CLI counts, and
    -- whether its last turn has not ended.
    cli_session   TEXT,
    seeded        INTEGER NOT NULL DEFAULT 0,
    cli_cost      REAL NOT NULL DEFAULT 0,
    open          INTEGER NOT NULL DEFAULT 0
) STRICT;
CREATE INDEX sessions_of ON sessions (owner, created_at);
CREATE INDEX sessions_in ON sessions (project_id);
CREATE INDEX sessions_idle ON sessions (updated_at);

CREATE TABLE messages (
    id            INTEGER PRIMARY KEY,
    session_id    TEXT NOT NULL REFERENCES sessions (id) ON DELETE CASCADE,
    role          TEXT NOT NULL,
    content       TEXT NOT NULL,
    created_at    INTEGER NOT NULL,
    input_tokens  INTEGER NOT NULL DEFAULT 0,
    output_tokens INTEGER NOT NULL DEFAULT 0,
    cost          REAL NOT NULL DEFAULT 0
) STRICT;
CREATE INDEX messages_in ON messages (session_id, id);
