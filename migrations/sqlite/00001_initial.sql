-- The whole schema, table by table that of postgres/00001_initial.sql. Times
-- are Unix microseconds. name_key is the name in lower case as Go folds it:
-- SQLite's lower() knows ASCII alone. STRICT tables refuse a value of the wrong
-- type instead of storing it as it comes.

-- +goose Up

-- ---- settings ----

CREATE TABLE settings (
    only_row INTEGER PRIMARY KEY DEFAULT 1 CHECK (only_row = 1),
    lanes    INTEGER NOT NULL DEFAULT 4 CHECK (lanes BETWEEN 1 AND 64)
) STRICT;
INSERT INTO settings DEFAULT VALUES;

-- ---- users and their sign-in sessions ----

CREATE TABLE users (
    id    TEXT PRIMARY KEY,
    email TEXT NOT NULL CONSTRAINT users_email UNIQUE, -- lower case
    name  TEXT NOT NULL
) STRICT;

CREATE TABLE sessions (
    id         TEXT PRIMARY KEY,
    user_id    TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    token_hash BLOB NOT NULL CONSTRAINT sessions_token UNIQUE, -- SHA-256 of the cookie's token
    created_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL
) STRICT;
CREATE INDEX sessions_user ON sessions (user_id);
CREATE INDEX sessions_expiry ON sessions (expires_at);

-- ---- workspaces and what is in them ----
-- Keys begin with workspace_id: a foreign key can then never point into
-- another tenant.

CREATE TABLE workspaces (
    id      TEXT PRIMARY KEY,
    version INTEGER NOT NULL,
    slug    TEXT NOT NULL CONSTRAINT workspaces_slug UNIQUE,
    name    TEXT NOT NULL
) STRICT;

CREATE TABLE roles (
    workspace_id TEXT NOT NULL REFERENCES workspaces (id) ON DELETE CASCADE,
    id           TEXT NOT NULL,
    version      INTEGER NOT NULL,
    kind         TEXT NOT NULL,
    name         TEXT NOT NULL,
    name_key     TEXT NOT NULL,
    permissions  TEXT NOT NULL, -- JSON array, in the order given
    system       INTEGER NOT NULL,
    PRIMARY KEY (workspace_id, id),
    CONSTRAINT roles_name UNIQUE (workspace_id, name_key)
) STRICT;

CREATE TABLE members (
    workspace_id  TEXT NOT NULL REFERENCES workspaces (id) ON DELETE CASCADE,
    id            TEXT NOT NULL,
    version       INTEGER NOT NULL,
    user_id       TEXT NOT NULL REFERENCES users (id),
    name          TEXT NOT NULL,
    role_id       TEXT NOT NULL,
    joined_at     INTEGER NOT NULL,
    joined_offset INTEGER NOT NULL, -- the log's head then: a replay never reaches behind it
    PRIMARY KEY (workspace_id, id),
    CONSTRAINT members_user UNIQUE (workspace_id, user_id),
    FOREIGN KEY (workspace_id, role_id) REFERENCES roles (workspace_id, id)
) STRICT;
CREATE INDEX members_role ON members (workspace_id, role_id);
CREATE INDEX members_of_user ON members (user_id);

CREATE TABLE teams (
    workspace_id TEXT NOT NULL REFERENCES workspaces (id) ON DELETE CASCADE,
    id           TEXT NOT NULL,
    version      INTEGER NOT NULL,
    name         TEXT NOT NULL,
    name_key     TEXT NOT NULL,
    PRIMARY KEY (workspace_id, id),
    CONSTRAINT teams_name UNIQUE (workspace_id, name_key)
) STRICT;

CREATE TABLE team_members (
    workspace_id TEXT NOT NULL,
    team_id      TEXT NOT NULL,
    member_id    TEXT NOT NULL,
    PRIMARY KEY (workspace_id, team_id, member_id),
    FOREIGN KEY (workspace_id, team_id) REFERENCES teams (workspace_id, id) ON DELETE CASCADE,
    FOREIGN KEY (workspace_id, member_id) REFERENCES members (workspace_id, id) ON DELETE CASCADE
) STRICT;
CREATE INDEX team_members_member ON team_members (workspace_id, member_id);

CREATE TABLE subscriptions (
    workspace_id TEXT PRIMARY KEY REFERENCES workspaces (id) ON DELETE CASCADE,
    id           TEXT NOT NULL,
    version      INTEGER NOT NULL,
    plan         TEXT NOT NULL,
    seats        INTEGER NOT NULL CHECK (seats >= 1),
    status       TEXT NOT NULL,
    renews_at    INTEGER NOT NULL
) STRICT;

-- Who is online, so that a restart flickers nobody. Rows may be stale: whoever
-- doesn't come back within the grace goes offline.
CREATE TABLE presence (
    workspace_id TEXT NOT NULL REFERENCES workspaces (id) ON DELETE CASCADE,
    member_id    TEXT NOT NULL,
    PRIMARY KEY (workspace_id, member_id)
) STRICT;

CREATE TABLE rooms (
    workspace_id TEXT NOT NULL REFERENCES workspaces (id) ON DELETE CASCADE,
    id           TEXT NOT NULL,
    version      INTEGER NOT NULL,
    name         TEXT NOT NULL,
    name_key     TEXT NOT NULL,
    private      INTEGER NOT NULL,
    PRIMARY KEY (workspace_id, id)
) STRICT;
-- Open rooms only: a conflict with a private room would tell of its existence.
CREATE UNIQUE INDEX rooms_name ON rooms (workspace_id, name_key) WHERE NOT private;

CREATE TABLE room_members (
    workspace_id TEXT NOT NULL,
    room_id      TEXT NOT NULL,
    member_id    TEXT NOT NULL,
    PRIMARY KEY (workspace_id, room_id, member_id),
    FOREIGN KEY (workspace_id, room_id) REFERENCES rooms (workspace_id, id) ON DELETE CASCADE,
    FOREIGN KEY (workspace_id, member_id) REFERENCES members (workspace_id, id) ON DELETE CASCADE
) STRICT;
CREATE INDEX room_members_member ON room_members (workspace_id, member_id);

-- author_id has no foreign key: what somebody said outlives their membership.
CREATE TABLE messages (
    workspace_id TEXT NOT NULL,
    id           TEXT NOT NULL,
    version      INTEGER NOT NULL,
    room_id      TEXT NOT NULL,
    author_id    TEXT NOT NULL,
    body         TEXT NOT NULL,
    posted_at    INTEGER NOT NULL,
    edited_at    INTEGER,
    PRIMARY KEY (workspace_id, id),
    FOREIGN KEY (workspace_id, room_id) REFERENCES rooms (workspace_id, id) ON DELETE CASCADE
) STRICT;
CREATE INDEX messages_newest ON messages (workspace_id, room_id, posted_at, id);

CREATE TABLE notifications (
    workspace_id TEXT NOT NULL,
    id           TEXT NOT NULL,
    member_id    TEXT NOT NULL,
    title        TEXT NOT NULL,
    body         TEXT NOT NULL,
    at           INTEGER NOT NULL,
    PRIMARY KEY (workspace_id, id),
    FOREIGN KEY (workspace_id, member_id) REFERENCES members (workspace_id, id) ON DELETE CASCADE
) STRICT;
CREATE INDEX notifications_member ON notifications (workspace_id, member_id);

-- ---- outbox ----
-- AUTOINCREMENT, because a plain rowid is given again once its row is deleted:
-- seq must only grow, also when the outbox runs empty.

CREATE TABLE outbox (
    seq          INTEGER PRIMARY KEY AUTOINCREMENT,
    topic        TEXT NOT NULL,
    lane         INTEGER NOT NULL,
    event_id     TEXT NOT NULL CONSTRAINT outbox_event UNIQUE,
    type         TEXT NOT NULL,
    workspace_id TEXT NOT NULL,
    aggregate_id TEXT NOT NULL,
    payload      BLOB NOT NULL, -- comes back byte for byte, JSON or not
    metadata     TEXT NOT NULL,  -- JSON object of strings
    created_at   INTEGER NOT NULL -- when it was published, inside the transaction
) STRICT;
CREATE INDEX outbox_lane ON outbox (topic, lane, seq);

-- Dedupe marks: events projected within the window.
CREATE TABLE projected (
    event_id TEXT PRIMARY KEY,
    at       INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX projected_at ON projected (at);

-- Who owns a lane: the epoch grows with each owner and fences the ones before.
CREATE TABLE lanes (
    topic TEXT NOT NULL,
    lane  INTEGER NOT NULL,
    epoch INTEGER NOT NULL,
    PRIMARY KEY (topic, lane)
) STRICT;

-- ---- log ----

CREATE TABLE logs (
    workspace_id TEXT PRIMARY KEY,
    epoch        TEXT NOT NULL,
    head         INTEGER NOT NULL,
    floor        INTEGER NOT NULL CHECK (floor <= head)
) STRICT;

-- A filtered replay scans the primary key from the client's position and drops
-- the entries of other channels. An index by channel would cost every append
-- and save little: a log keeps 10,000 entries, and the usual channel, the
-- workspace's, is on most of them.
CREATE TABLE log_entries (
    workspace_id TEXT NOT NULL,
    "offset"     INTEGER NOT NULL,
    channel      TEXT NOT NULL,
    type         TEXT NOT NULL,
    data         TEXT NOT NULL, -- the encoded server event, without its id
    revoke       TEXT,          -- JSON of the revocation, if there is one
    event_id     TEXT NOT NULL,
    at           INTEGER NOT NULL, -- when the domain event was published, inside its transaction
    logged_at    INTEGER NOT NULL, -- when it was appended: retention counts from here
    PRIMARY KEY (workspace_id, "offset")
) STRICT, WITHOUT ROWID;

-- ---- poison queue ----

CREATE TABLE poison (
    id           TEXT PRIMARY KEY,
    state        TEXT NOT NULL,
    event_id     TEXT NOT NULL CONSTRAINT poison_event UNIQUE,
    type         TEXT NOT NULL,
    workspace_id TEXT NOT NULL,
    aggregate_id TEXT NOT NULL,
    payload      BLOB NOT NULL,
    metadata     TEXT NOT NULL,
    created_at   INTEGER NOT NULL, -- the event's
    projector    TEXT NOT NULL,
    error        TEXT NOT NULL,
    error_class  TEXT NOT NULL,
    error_chain  TEXT NOT NULL, -- JSON array, outermost first
    stack        TEXT NOT NULL,
    attempts     TEXT NOT NULL, -- JSON array
    build        TEXT NOT NULL,
    node         TEXT NOT NULL,
    requeues     INTEGER NOT NULL,
    reason       TEXT NOT NULL,
    poisoned_at  INTEGER NOT NULL,
    updated_at   INTEGER NOT NULL
) STRICT;
CREATE INDEX poison_newest ON poison (poisoned_at, id);

-- +goose Down

DROP TABLE poison;
DROP TABLE presence;
DROP TABLE log_entries;
DROP TABLE logs;
DROP TABLE lanes;
DROP TABLE projected;
DROP TABLE outbox;
DROP TABLE notifications;
DROP TABLE messages;
DROP TABLE room_members;
DROP TABLE rooms;
DROP TABLE subscriptions;
DROP TABLE team_members;
DROP TABLE teams;
DROP TABLE members;
DROP TABLE roles;
DROP TABLE workspaces;
DROP TABLE sessions;
DROP TABLE users;
DROP TABLE settings;
