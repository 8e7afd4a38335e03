-- What becomes of each event, for "why didn't this tab see it?", and who was
-- told of what. See 00001 for how times and ids are kept.

-- +goose Up

-- The node that holds a lane, or held it last.
ALTER TABLE lanes ADD COLUMN owner TEXT NOT NULL DEFAULT '';

-- The story of an event goes into its dedupe mark, a row that is written anyway.
-- It is read by id once in a blue moon, hence one JSON object and no columns.
ALTER TABLE projected ADD COLUMN trace TEXT NOT NULL DEFAULT '';

-- To how many sessions a node has written entries first_offset to last_offset of
-- a workspace's log, summed up about once a second.
CREATE TABLE entry_writes (
    workspace_id TEXT NOT NULL,
    last_offset  INTEGER NOT NULL,
    node         TEXT NOT NULL,
    at           INTEGER NOT NULL,
    first_offset INTEGER NOT NULL,
    epoch        TEXT NOT NULL,
    writes       TEXT NOT NULL, -- JSON, see store.EntryWrite
    PRIMARY KEY (workspace_id, last_offset, node, at, first_offset)
) STRICT;
CREATE INDEX entry_writes_at ON entry_writes (at);

-- What operators are alerted to, one row per name, such as group/<fingerprint>:
-- so that of many nodes one tells of it, and once, also after a restart.
CREATE TABLE alerts (
    name      TEXT PRIMARY KEY,
    kind      TEXT NOT NULL,
    raised_at INTEGER NOT NULL,
    closed_at INTEGER NOT NULL, -- 0 while it is the case
    pending   TEXT NOT NULL,   -- what is still to be told, or empty
    attempts  INTEGER NOT NULL,     -- to tell it
    due_at    INTEGER NOT NULL, -- when somebody may try; a try in progress has moved it on
    body      TEXT NOT NULL    -- JSON, what there is to tell
) STRICT;

-- +goose Down

DROP TABLE alerts;
DROP TABLE entry_writes;
ALTER TABLE projected DROP COLUMN trace;
ALTER TABLE lanes DROP COLUMN owner;
