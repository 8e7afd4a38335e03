-- The whole schema. Times are Unix microseconds, so that both engines compare
-- and round them alike. Ids are compared byte by byte (COLLATE "C"), so that
-- "sorted by id" means the same here, on SQLite and in Go. name_key is the name
-- in lower case as Go folds it: lower() depends on the server's locale.

-- +goose Up

-- ---- settings ----

CREATE TABLE settings (
    only_row INT PRIMARY KEY DEFAULT 1 CHECK (only_row = 1),
    lanes    INT NOT NULL DEFAULT 4 CHECK (lanes BETWEEN 1 AND 64)
);
INSERT INTO settings DEFAULT VALUES;

-- ---- users and their sign-in sessions ----

CREATE TABLE users (
    id    TEXT COLLATE "C" PRIMARY KEY,
    email TEXT NOT NULL CONSTRAINT users_email UNIQUE, -- lower case
    name  TEXT NOT NULL
);

CREATE TABLE sessions (
    id         TEXT COLLATE "C" PRIMARY KEY,
    user_id    TEXT COLLATE "C" NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    token_hash BYTEA NOT NULL CONSTRAINT sessions_token UNIQUE, -- SHA-256 of the cookie's token
    created_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL
);
CREATE INDEX sessions_user ON sessions (user_id);
CREATE INDEX sessions_expiry ON sessions (expires_at);

-- ---- workspaces and what is in them ----
-- Keys begin with workspace_id: a foreign key can then never point into
-- another tenant.

CREATE TABLE workspaces (
    id      TEXT COLLATE "C" PRIMARY KEY,
    version BIGINT NOT NULL,
    slug    TEXT NOT NULL CONSTRAINT workspaces_slug UNIQUE,
    name    TEXT NOT NULL
);

CREATE TABLE roles (
    workspace_id TEXT COLLATE "C" NOT NULL REFERENCES workspaces (id) ON DELETE CASCADE,
    id           TEXT COLLATE "C" NOT NULL,
    version      BIGINT NOT NULL,
    kind         TEXT NOT NULL,
    name         TEXT NOT NULL,
    name_key     TEXT NOT NULL,
    permissions  TEXT NOT NULL, -- JSON array, in the order given
    system       BOOLEAN NOT NULL,
    PRIMARY KEY (workspace_id, id),
    CONSTRAINT roles_name UNIQUE (workspace_id, name_key)
);

CREATE TABLE members (
    workspace_id  TEXT COLLATE "C" NOT NULL REFERENCES workspaces (id) ON DELETE CASCADE,
    id            TEXT COLLATE "C" NOT NULL,
    version       BIGINT NOT NULL,
    user_id       TEXT COLLATE "C" NOT NULL REFERENCES users (id),
    name          TEXT NOT NULL,
    role_id       TEXT COLLATE "C" NOT NULL,
    joined_at     BIGINT NOT NULL,
    joined_offset BIGINT NOT NULL, -- the log's head then: a replay never reaches behind it
    PRIMARY KEY (workspace_id, id),
    CONSTRAINT members_user UNIQUE (workspace_id, user_id),
    FOREIGN KEY (workspace_id, role_id) REFERENCES roles (workspace_id, id)
);
CREATE INDEX members_role ON members (workspace_id, role_id);
CREATE INDEX members_of_user ON members (user_id);

CREATE TABLE teams (
    workspace_id TEXT COLLATE "C" NOT NULL REFERENCES workspaces (id) ON DELETE CASCADE,
    id           TEXT COLLATE "C" NOT NULL,
    version      BIGINT NOT NULL,
    name         TEXT NOT NULL,
    name_key     TEXT NOT NULL,
    PRIMARY KEY (workspace_id, id),
    CONSTRAINT teams_name UNIQUE (workspace_id, name_key)
);

CREATE TABLE team_members (
    workspace_id TEXT COLLATE "C" NOT NULL,
    team_id      TEXT COLLATE "C" NOT NULL,
    member_id    TEXT COLLATE "C" NOT NULL,
    PRIMARY KEY (workspace_id, team_id, member_id),
    FOREIGN KEY (workspace_id, team_id) REFERENCES teams (workspace_id, id) ON DELETE CASCADE,
    FOREIGN KEY (workspace_id, member_id) REFERENCES members (workspace_id, id) ON DELETE CASCADE
);
CREATE INDEX team_members_member ON team_members (workspace_id, member_id);

CREATE TABLE subscriptions (
    workspace_id TEXT COLLATE "C" PRIMARY KEY REFERENCES workspaces (id) ON DELETE CASCADE,
    id           TEXT COLLATE "C" NOT NULL,
    version      BIGINT NOT NULL,
    plan         TEXT NOT NULL,
    seats        INT NOT NULL CHECK (seats >= 1),
    status       TEXT NOT NULL,
    renews_at    BIGINT NOT NULL
);

-- Who is online, so that a restart flickers nobody. Rows may be stale: whoever
-- doesn't come back within the grace goes offline.
CREATE TABLE presence (
    workspace_id TEXT NOT NULL REFERENCES workspaces (id) ON DELETE CASCADE,
    member_id    TEXT NOT NULL,
    PRIMARY KEY (workspace_id, member_id)
);

CREATE TABLE rooms (
    workspace_id TEXT COLLATE "C" NOT NULL REFERENCES workspaces (id) ON DELETE CASCADE,
    id           TEXT COLLATE "C" NOT NULL,
    version      BIGINT NOT NULL,
    name         TEXT NOT NULL,
    name_key     TEXT NOT NULL,
    private      BOOLEAN NOT NULL,
    PRIMARY KEY (workspace_id, id)
);
-- Open rooms only: a conflict with a private room would tell of its existence.
CREATE UNIQUE INDEX rooms_name ON rooms (workspace_id, name_key) WHERE NOT private;

CREATE TABLE room_members (
    workspace_id TEXT COLLATE "C" NOT NULL,
    room_id      TEXT COLLATE "C" NOT NULL,
    member_id    TEXT COLLATE "C" NOT NULL,
    PRIMARY KEY (workspace_id, room_id, member_id),
    FOREIGN KEY (workspace_id, room_id) REFERENCES rooms (workspace_id, id) ON DELETE CASCADE,
    FOREIGN KEY (workspace_id, member_id) REFERENCES members (workspace_id, id) ON DELETE CASCADE
);
CREATE INDEX room_members_member ON room_members (workspace_id, member_id);

-- author_id has no foreign key: what somebody said outlives their membership.
CREATE TABLE messages (
    workspace_id TEXT COLLATE "C" NOT NULL,
    id           TEXT COLLATE "C" NOT NULL,
    version      BIGINT NOT NULL,
    room_id      TEXT COLLATE "C" NOT NULL,
    author_id    TEXT COLLATE "C" NOT NULL,
    body         TEXT NOT NULL,
    posted_at    BIGINT NOT NULL,
    edited_at    BIGINT,
    PRIMARY KEY (workspace_id, id),
    FOREIGN KEY (workspace_id, room_id) REFERENCES rooms (workspace_id, id) ON DELETE CASCADE
);
CREATE INDEX messages_newest ON messages (workspace_id, room_id, posted_at, id);

CREATE TABLE notifications (
    workspace_id TEXT COLLATE "C" NOT NULL,
    id           TEXT COLLATE "C" NOT NULL,
    member_id    TEXT COLLATE "C" NOT NULL,
    title        TEXT NOT NULL,
    body         TEXT NOT NULL,
    at           BIGINT NOT NULL,
    PRIMARY KEY (workspace_id, id),
    FOREIGN KEY (workspace_id, member_id) REFERENCES members (workspace_id, id) ON DELETE CASCADE
);
CREATE INDEX notifications_member ON notifications (workspace_id, member_id);

-- ---- outbox ----
-- Rows are inserted, read in order and deleted within moments: at 5,000 events
-- a second a whole table's worth of dead rows gathers every few seconds. The
-- default autovacuum waits for a share of the table (20 %), which means nothing
-- for a table that is empty on average; so it is told to come by after a fixed
-- number of dead rows, and to work without pausing.

CREATE TABLE outbox (
    seq          BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    topic        TEXT NOT NULL,
    lane         INT NOT NULL,
    event_id     TEXT COLLATE "C" NOT NULL CONSTRAINT outbox_event UNIQUE,
    type         TEXT NOT NULL,
    workspace_id TEXT COLLATE "C" NOT NULL,
    aggregate_id TEXT NOT NULL,
    payload      BYTEA NOT NULL, -- comes back byte for byte, JSON or not
    metadata     TEXT NOT NULL,  -- JSON object of strings
    created_at   BIGINT NOT NULL -- when it was published, inside the transaction
) WITH (
    autovacuum_vacuum_scale_factor = 0,
    autovacuum_vacuum_threshold = 2000,
    autovacuum_vacuum_insert_scale_factor = 0,
    autovacuum_vacuum_insert_threshold = 100000,
    autovacuum_analyze_scale_factor = 0,
    autovacuum_analyze_threshold = 50000,
    autovacuum_vacuum_cost_delay = 0
);
CREATE INDEX outbox_lane ON outbox (topic, lane, seq);

-- Dedupe marks: events projected within the window.
CREATE TABLE projected (
    event_id TEXT COLLATE "C" PRIMARY KEY,
    at       BIGINT NOT NULL
);
CREATE INDEX projected_at ON projected (at);

-- Who owns a lane: the epoch grows with each owner and fences the ones before.
CREATE TABLE lanes (
    topic TEXT NOT NULL,
    lane  INT NOT NULL,
    epoch BIGINT NOT NULL,
    PRIMARY KEY (topic, lane)
) WITH (fillfactor = 50);

-- ---- log ----
-- One logs row per workspace, rewritten with every commit: half-empty pages let
-- the new version stay on the page of the old one (HOT), with no index touched.

CREATE TABLE logs (
    workspace_id TEXT COLLATE "C" PRIMARY KEY,
    epoch        TEXT NOT NULL,
    head         BIGINT NOT NULL,
    floor        BIGINT NOT NULL CHECK (floor <= head)
) WITH (
    fillfactor = 50,
    autovacuum_vacuum_scale_factor = 0.05,
    autovacuum_vacuum_threshold = 1000
);

-- A filtered replay scans the primary key from the client's position and drops
-- the entries of other channels. An index by channel would cost every append
-- and save little: a log keeps 10,000 entries, and the usual channel, the
-- workspace's, is on most of them.
CREATE TABLE log_entries (
    workspace_id TEXT COLLATE "C" NOT NULL,
    "offset"     BIGINT NOT NULL,
    channel      TEXT COLLATE "C" NOT NULL,
    type         TEXT NOT NULL,
    data         TEXT NOT NULL, -- the encoded server event, without its id
    revoke       TEXT,          -- JSON of the revocation, if there is one
    event_id     TEXT COLLATE "C" NOT NULL,
    at           BIGINT NOT NULL, -- when the domain event was published, inside its transaction
    logged_at    BIGINT NOT NULL, -- when it was appended: retention counts from here
    PRIMARY KEY (workspace_id, "offset")
);

-- ---- poison queue ----

CREATE TABLE poison (
    id           TEXT COLLATE "C" PRIMARY KEY,
    state        TEXT NOT NULL,
    event_id     TEXT COLLATE "C" NOT NULL CONSTRAINT poison_event UNIQUE,
    type         TEXT NOT NULL,
    workspace_id TEXT COLLATE "C" NOT NULL,
    aggregate_id TEXT NOT NULL,
    payload      BYTEA NOT NULL,
    metadata     TEXT NOT NULL,
    created_at   BIGINT NOT NULL, -- the event's
    projector    TEXT NOT NULL,
    error        TEXT NOT NULL,
    error_class  TEXT NOT NULL,
    error_chain  TEXT NOT NULL, -- JSON array, outermost first
    stack        TEXT NOT NULL,
    attempts     TEXT NOT NULL, -- JSON array
    build        TEXT NOT NULL,
    node         TEXT NOT NULL,
    requeues     INT NOT NULL,
    reason       TEXT NOT NULL,
    poisoned_at  BIGINT NOT NULL,
    updated_at   BIGINT NOT NULL
);
CREATE INDEX poison_newest ON poison (poisoned_at, id);

-- ---- functions ----

-- orbit_hash places a workspace: the first four bytes of the MD5 of its id, big
-- endian. Its lane is that modulo settings.lanes. Go computes the same
-- (store.LaneOf), and SQLite calls Go.
CREATE FUNCTION orbit_hash(workspace_id TEXT) RETURNS BIGINT
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
RETURN ('x' || substr(md5(workspace_id), 1, 8))::BIT(32)::BIGINT;

-- orbit_event_id makes a UUIDv7 (RFC 9562, section 5.7): 48 bits of Unix
-- milliseconds over a random UUID, whose version is then turned from 4 to 7.
CREATE FUNCTION orbit_event_id() RETURNS TEXT
LANGUAGE sql VOLATILE
RETURN encode(set_bit(set_bit(overlay(
        uuid_send(gen_random_uuid())
        PLACING substring(int8send((extract(epoch FROM clock_timestamp()) * 1000)::BIGINT) FROM 3)
        FROM 1 FOR 6), 52, 1), 53, 1), 'hex')::UUID::TEXT;

-- orbit_publish puts a domain event into the outbox, in the caller's own
-- transaction: a product in any language calls it beside its own statements.
-- It returns the event's id. Publishing the same id twice is one event. The
-- processes that serve are woken when, and only when, the transaction commits.
-- +goose StatementBegin
CREATE FUNCTION orbit_publish(
    type         TEXT,
    workspace_id TEXT,
    aggregate_id TEXT,
    payload      JSONB DEFAULT '{}',
    event_id     TEXT DEFAULT NULL
) RETURNS TEXT
LANGUAGE plpgsql
SET search_path FROM CURRENT
AS $$
DECLARE
    id     TEXT := coalesce(orbit_publish.event_id, orbit_event_id());
    chosen INT;
BEGIN
    IF coalesce(orbit_publish.type, '') = '' THEN
        RAISE EXCEPTION 'orbit_publish: type must not be empty'
            USING ERRCODE = 'invalid_parameter_value', HINT = 'For instance ''workspaces.member.joined''.';
    END IF;
    IF coalesce(orbit_publish.workspace_id, '') = '' THEN
        RAISE EXCEPTION 'orbit_publish: workspace_id must not be empty'
            USING ERRCODE = 'invalid_parameter_value';
    END IF;
    IF coalesce(orbit_publish.aggregate_id, '') = '' THEN
        RAISE EXCEPTION 'orbit_publish: aggregate_id must not be empty'
            USING ERRCODE = 'invalid_parameter_value';
    END IF;
    IF coalesce(jsonb_typeof(orbit_publish.payload), '') <> 'object' THEN
        RAISE EXCEPTION 'orbit_publish: payload must be a JSON object'
            USING ERRCODE = 'invalid_parameter_value';
    END IF;
    IF id !~ '^[A-Za-z0-9_-]{1,64}$' THEN
        RAISE EXCEPTION 'orbit_publish: event_id must be 1 to 64 letters, digits, "_" or "-"'
            USING ERRCODE = 'invalid_parameter_value', HINT = 'Leave it out, and a UUIDv7 is made.';
    END IF;

    INSERT INTO outbox AS o (topic, lane, event_id, type, workspace_id, aggregate_id, payload, metadata, created_at)
    SELECT 'events', orbit_hash(orbit_publish.workspace_id) % s.lanes, id, orbit_publish.type,
           orbit_publish.workspace_id, orbit_publish.aggregate_id,
           convert_to(orbit_publish.payload::TEXT, 'UTF8'), '{}',
           (extract(epoch FROM clock_timestamp()) * 1000000)::BIGINT
    FROM settings s
    ON CONFLICT ON CONSTRAINT outbox_event DO NOTHING
    RETURNING o.lane INTO chosen;

    IF chosen IS NOT NULL THEN
        PERFORM pg_notify('orbit_outbox', chosen::TEXT);
    END IF;
    RETURN id;
END
$$;
-- +goose StatementEnd

-- +goose Down

DROP FUNCTION orbit_publish(TEXT, TEXT, TEXT, JSONB, TEXT);
DROP FUNCTION orbit_event_id();
DROP FUNCTION orbit_hash(TEXT);
DROP TABLE poison, presence, log_entries, logs, lanes, projected, outbox, notifications, messages,
    room_members, rooms, subscriptions, team_members, teams, members, roles, workspaces,
    sessions, users, settings;
