-- Who serves, who is online, and what an operator asks of a server. There is one
-- node here; see postgres/00004 for what the tables are made for.

-- +goose Up

CREATE TABLE nodes (
    id         TEXT PRIMARY KEY,
    name       TEXT NOT NULL,
    build      TEXT NOT NULL,
    catalog    TEXT NOT NULL,
    started_at INTEGER NOT NULL,
    seen_at    INTEGER NOT NULL,
    lanes      INTEGER NOT NULL,
    stats      TEXT NOT NULL
) STRICT;

DROP TABLE presence;
CREATE TABLE presence (
    node_id      TEXT NOT NULL REFERENCES nodes (id) ON DELETE CASCADE,
    workspace_id TEXT NOT NULL REFERENCES workspaces (id) ON DELETE CASCADE,
    member_id    TEXT NOT NULL,
    online       INTEGER NOT NULL,
    version      INTEGER NOT NULL,
    PRIMARY KEY (node_id, workspace_id, member_id)
) STRICT;
CREATE INDEX presence_version ON presence (node_id, version);
CREATE INDEX presence_workspace ON presence (workspace_id);

CREATE TABLE node_commands (
    id   INTEGER PRIMARY KEY AUTOINCREMENT,
    kind TEXT NOT NULL,
    arg  TEXT NOT NULL,
    at   INTEGER NOT NULL
) STRICT;

-- +goose Down

DROP TABLE node_commands;
DROP TABLE presence;
CREATE TABLE presence (
    workspace_id TEXT NOT NULL REFERENCES workspaces (id) ON DELETE CASCADE,
    member_id    TEXT NOT NULL,
    PRIMARY KEY (workspace_id, member_id)
) STRICT;
DROP TABLE nodes;
