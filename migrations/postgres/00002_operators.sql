-- What operators need of the poison queue: groups, states beyond open, who was
-- told, bulk operations, and the audit. See 00001 for how times and ids are kept.

-- +goose Up

-- fingerprint, place and kind of rows that were there before are computed by
-- Store.Migrate: masking a message and knowing an event's aggregate is Go's.
ALTER TABLE poison
    ADD COLUMN version     BIGINT NOT NULL DEFAULT 1,
    ADD COLUMN fingerprint TEXT COLLATE "C" NOT NULL DEFAULT '',
    ADD COLUMN place       TEXT NOT NULL DEFAULT '',   -- the first frame of ours, or the masked message
    ADD COLUMN kind        TEXT NOT NULL DEFAULT '',   -- the aggregate's
    ADD COLUMN seq         BIGINT NOT NULL DEFAULT 0,  -- the event's place in the outbox when it failed last
    ADD COLUMN told        TEXT NOT NULL DEFAULT '[]', -- JSON array: channels that got system.stale
    ADD COLUMN stale       TEXT NOT NULL DEFAULT '[]', -- those of them that are stale still
    ADD COLUMN untold      TEXT NOT NULL DEFAULT '',   -- why nobody was told
    ADD COLUMN failed_at   BIGINT NOT NULL DEFAULT 0;  -- last
UPDATE poison SET failed_at = poisoned_at;

-- Lists, newest first; groups, without reading the rows; the newest of a group.
CREATE INDEX poison_state ON poison (state, poisoned_at, id);
CREATE INDEX poison_groups ON poison (fingerprint, state, workspace_id, build, poisoned_at, failed_at);
CREATE INDEX poison_group_newest ON poison (fingerprint, poisoned_at, id);
CREATE INDEX poison_aggregate ON poison (workspace_id, aggregate_id, poisoned_at, id);
-- Read by every commit that appends: empty unless something is broken.
CREATE INDEX poison_stale ON poison (workspace_id, kind, aggregate_id) WHERE stale <> '[]';
CREATE INDEX poison_closed ON poison (updated_at) WHERE state IN ('healed', 'superseded', 'discarded');

CREATE TABLE operations (
    id          TEXT COLLATE "C" PRIMARY KEY,
    kind        TEXT NOT NULL,
    state       TEXT NOT NULL,
    filter      TEXT NOT NULL, -- JSON
    reason      TEXT NOT NULL,
    operator    TEXT NOT NULL,
    role        TEXT NOT NULL,
    via         TEXT NOT NULL,
    total       INT NOT NULL,
    stage       INT NOT NULL,    -- items let through so far
    per_second  INT NOT NULL,
    next_at     BIGINT NOT NULL, -- when the rate allows the next item
    active      BOOLEAN NOT NULL, -- something is left to do or to wait for
    why         TEXT NOT NULL,
    created_at  BIGINT NOT NULL,
    finished_at BIGINT NOT NULL  -- 0 while it runs
);
CREATE INDEX operations_newest ON operations (created_at, id);
CREATE INDEX operations_active ON operations (created_at, id) WHERE active;

CREATE TABLE operation_items (
    operation_id TEXT COLLATE "C" NOT NULL REFERENCES operations (id) ON DELETE CASCADE,
    n            INT NOT NULL, -- from 0, oldest event first
    poison_id    TEXT COLLATE "C" NOT NULL,
    fingerprint  TEXT COLLATE "C" NOT NULL, -- when it was pinned
    state        TEXT NOT NULL,
    requeues     INT NOT NULL, -- of the message, once this operation has requeued it
    detail       TEXT NOT NULL,
    at           BIGINT NOT NULL,
    PRIMARY KEY (operation_id, n)
);
CREATE INDEX operation_items_state ON operation_items (operation_id, state, n);

CREATE TABLE audit (
    id       BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at       BIGINT NOT NULL,
    operator TEXT NOT NULL,
    role     TEXT NOT NULL,
    via      TEXT NOT NULL,
    action   TEXT NOT NULL,
    target   TEXT COLLATE "C" NOT NULL,
    outcome  TEXT NOT NULL,
    reason   TEXT NOT NULL,
    detail   TEXT NOT NULL
);
CREATE INDEX audit_target ON audit (target, id);
CREATE INDEX audit_at ON audit (at);

-- Requests that were carried out, so that the same one again is not.
CREATE TABLE idempotency_keys (
    operator TEXT NOT NULL,
    key      TEXT COLLATE "C" NOT NULL,
    request  TEXT NOT NULL, -- what was asked for, hashed
    answer   TEXT NOT NULL, -- the id of what it made, or empty
    at       BIGINT NOT NULL,
    PRIMARY KEY (operator, key)
);
CREATE INDEX idempotency_keys_at ON idempotency_keys (at);

-- +goose Down

DROP TABLE idempotency_keys, audit, operation_items, operations;
DROP INDEX poison_state, poison_groups, poison_group_newest, poison_aggregate, poison_stale, poison_closed;
ALTER TABLE poison DROP COLUMN version, DROP COLUMN fingerprint, DROP COLUMN place, DROP COLUMN kind, DROP COLUMN seq,
    DROP COLUMN told, DROP COLUMN stale, DROP COLUMN untold, DROP COLUMN failed_at;
