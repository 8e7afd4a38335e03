-- Many nodes over one database: who is there, who is online where, and what one
-- node asks of the others. See 00001 for how times and ids are kept.

-- +goose Up

-- One row per run of a process, renewed every second. seen_at is this server's
-- clock, whatever the nodes' say; others only look whether it moves.
CREATE TABLE nodes (
    id         TEXT COLLATE "C" PRIMARY KEY,
    name       TEXT NOT NULL,
    build      TEXT NOT NULL,
    catalog    TEXT NOT NULL,
    started_at BIGINT NOT NULL,
    seen_at    BIGINT NOT NULL,
    lanes      BOOLEAN NOT NULL, -- it takes lanes; false once it shuts down
    stats      TEXT NOT NULL     -- JSON, for operators
) WITH (fillfactor = 50);

-- Who has sessions on which node: a node alone writes its rows, with ascending
-- versions, and keeps a row of who left for a while, so that others can ask what
-- changed since.
DROP TABLE presence;
CREATE TABLE presence (
    node_id      TEXT COLLATE "C" NOT NULL REFERENCES nodes (id) ON DELETE CASCADE,
    workspace_id TEXT COLLATE "C" NOT NULL REFERENCES workspaces (id) ON DELETE CASCADE,
    member_id    TEXT COLLATE "C" NOT NULL,
    online       BOOLEAN NOT NULL,
    version      BIGINT NOT NULL,
    PRIMARY KEY (node_id, workspace_id, member_id)
);
CREATE INDEX presence_version ON presence (node_id, version);
CREATE INDEX presence_workspace ON presence (workspace_id);

-- What every node is to do: end the sessions of a sign-in, or one session. Rows
-- are forgotten after a minute; by then a node has seen them, or is none anymore.
CREATE TABLE node_commands (
    id   BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    kind TEXT NOT NULL,
    arg  TEXT NOT NULL,
    at   BIGINT NOT NULL
);

-- +goose Down

DROP TABLE node_commands;
DROP TABLE presence;
CREATE TABLE presence (
    workspace_id TEXT NOT NULL REFERENCES workspaces (id) ON DELETE CASCADE,
    member_id    TEXT NOT NULL,
    PRIMARY KEY (workspace_id, member_id)
);
DROP TABLE nodes;
