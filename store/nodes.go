package store

import (
	"context"
	"time"

	"github.com/orbit/realtime/domain"
)

// Node is one run of a serving process.
type Node struct {
	ID        string // of the run
	Name      string // for operators
	Build     string
	Catalog   string // hash of its event catalog
	StartedAt time.Time
	// Beat changes with each heartbeat. It is the database's clock, in
	// microseconds: compare it with an earlier one, not with the time.
	Beat  int64
	Lanes bool   // it takes lanes
	Stats string // JSON, for operators
}

// Beat renews the node's row and returns everybody's, itself included, by id.
// joined says that the row wasn't there: it is new, or was taken for dead and
// removed, with its presence.
func (s *Store) Beat(ctx context.Context, n Node) (nodes []Node, joined bool, err error) {
	updated, err := s.autocommit().exec(ctx, `UPDATE nodes SET name = $2, build = $3, catalog = $4, lanes = $5, stats = $6,
			seen_at = CASE WHEN seen_at < `+s.dialect.now+` THEN `+s.dialect.now+` ELSE seen_at + 1 END WHERE id = $1`,
		n.ID, n.Name, n.Build, n.Catalog, n.Lanes, n.Stats)
	if err != nil {
		return nil, false, err
	}
	if joined = updated == 0; joined {
		if _, err := s.autocommit().exec(ctx, `INSERT INTO nodes (id, name, build, catalog, lanes, stats, started_at, seen_at)
			VALUES ($1, $2, $3, $4, $5, $6, $7, `+s.dialect.now+`)`,
			n.ID, n.Name, n.Build, n.Catalog, n.Lanes, n.Stats, micros(n.StartedAt)); err != nil {
			return nil, false, err
		}
	}
	nodes, err = s.Nodes(ctx)
	return nodes, joined, err
}

// Nodes lists every node's row by id, also those of nodes that are dead and
// haven't been removed yet.
func (s *Store) Nodes(ctx context.Context) ([]Node, error) {
	return many(ctx, conn{s.read, s.dialect}, func(scan scanner) (n Node, err error) {
		var started int64
		err = scan(&n.ID, &n.Name, &n.Build, &n.Catalog, &started, &n.Beat, &n.Lanes, &n.Stats)
		n.StartedAt = fromMicros(started)
		return n, err
	}, `SELECT id, name, build, catalog, started_at, seen_at, lanes, stats FROM nodes ORDER BY id`)
}

// RemoveNode deletes a node's row and its presence, unless it has beaten since.
func (s *Store) RemoveNode(ctx context.Context, id string, beat int64) error {
	_, err := s.autocommit().exec(ctx, `DELETE FROM nodes WHERE id = $1 AND seen_at = $2`, id, beat)
	return err
}

// EvictLanes ends the database session by which a node holds lanes, so that
// others can take them: of a node that hangs, or whose host vanished, the server
// doesn't know. Should it wake, its epoch is old, and CommitEffects refuses it.
// No-op on SQLite.
func (s *Store) EvictLanes(ctx context.Context, nodeID string) error {
	if s.dialect.name != Postgres {
		return nil
	}
	_, err := many(ctx, s.autocommit(), scanValue[bool], `SELECT pg_terminate_backend(pid) FROM pg_stat_activity
		WHERE datname = current_database() AND usename = current_user AND application_name = $1`, laneSession(nodeID))
	return err
}

// SavePresence writes changes of one node's set, which it alone may do, with
// ascending versions. Workspaces that don't exist anymore are left out, and so
// is everything if the node's row is gone.
func (s *Store) SavePresence(ctx context.Context, nodeID string, changes []domain.NodePresence) error {
	if len(changes) == 0 {
		return nil
	}
	rows := make([][]any, len(changes))
	for i, c := range changes {
		rows[i] = []any{c.WorkspaceID, c.MemberID, c.Online, c.Version}
	}
	return s.inTx(ctx, func(c conn) error {
		_, err := c.exec(ctx, `INSERT INTO presence (node_id, workspace_id, member_id, online, version)
			SELECT n.id, w.id, r.member_id, r.online, r.version
			FROM (SELECT value->>0 AS workspace_id, value->>1 AS member_id,
					`+s.dialect.boolean("value->>2")+` AS online, CAST(value->>3 AS BIGINT) AS version FROM `+c.d.rows+`) r
			JOIN workspaces w ON w.id = r.workspace_id
			JOIN nodes n ON n.id = $2 WHERE true
			ON CONFLICT (node_id, workspace_id, member_id) DO UPDATE SET online = excluded.online, version = excluded.version`,
			toJSON(rows), nodeID)
		return err
	})
}

// ForgetPresence deletes the rows of who left the node's set at or before a
// version. Others have had the time to ask.
func (s *Store) ForgetPresence(ctx context.Context, nodeID string, version int64) error {
	_, err := s.autocommit().exec(ctx, `DELETE FROM presence WHERE node_id = $1 AND NOT online AND version <= $2`, nodeID, version)
	return err
}

// PresenceSince returns what changed in the sets of the other nodes after the
// versions known of them (of an unknown node: all), in the order of versions.
func (s *Store) PresenceSince(ctx context.Context, nodeID string, known map[string]int64) ([]domain.NodePresence, error) {
	rows := make([][]any, 0, len(known))
	for id, version := range known {
		rows = append(rows, []any{id, version})
	}
	return many(ctx, conn{s.read, s.dialect}, func(scan scanner) (p domain.NodePresence, err error) {
		err = scan(&p.Node, &p.WorkspaceID, &p.MemberID, &p.Online, &p.Version)
		return p, err
	}, `SELECT p.node_id, p.workspace_id, p.member_id, p.online, p.version
		FROM nodes n
		LEFT JOIN (SELECT value->>0 AS node_id, CAST(value->>1 AS BIGINT) AS version FROM `+s.dialect.rows+`) k ON k.node_id = n.id
		JOIN presence p ON p.node_id = n.id AND p.version > COALESCE(k.version, 0)
		WHERE n.id <> $2 ORDER BY p.version`, toJSON(rows), nodeID)
}

// Command is what every node is to do.
type Command struct {
	ID   int64
	Kind string
	Arg  string
}

// AddCommand leaves a command for every node.
func (s *Store) AddCommand(ctx context.Context, kind, arg string) error {
	_, err := s.autocommit().exec(ctx, `INSERT INTO node_commands (kind, arg, at) VALUES ($1, $2, `+s.dialect.now+`)`, kind, arg)
	return err
}

// Commands lists the commands of the last d, oldest first. Their ids don't tell
// which are new: a lower one may become visible after a higher one.
func (s *Store) Commands(ctx context.Context, d time.Duration) ([]Command, error) {
	return many(ctx, conn{s.read, s.dialect}, func(scan scanner) (c Command, err error) {
		err = scan(&c.ID, &c.Kind, &c.Arg)
		return c, err
	}, `SELECT id, kind, arg FROM node_commands WHERE at > `+s.dialect.now+` - $1 ORDER BY id`, d.Microseconds())
}

// PruneCommands forgets commands, and answers that nobody took, older than d.
func (s *Store) PruneCommands(ctx context.Context, d time.Duration) error {
	for _, table := range []string{"node_commands", "node_answers"} {
		if _, err := s.autocommit().exec(ctx, `DELETE FROM `+table+` WHERE at <= `+s.dialect.now+` - $1`, d.Microseconds()); err != nil {
			return err
		}
	}
	return nil
}

// AddAnswer leaves a node's answer to a question.
func (s *Store) AddAnswer(ctx context.Context, question, nodeID, answer string) error {
	_, err := s.autocommit().exec(ctx, `INSERT INTO node_answers (question, node_id, answer, at) VALUES ($1, $2, $3, `+s.dialect.now+`)
		ON CONFLICT DO NOTHING`, question, nodeID, answer)
	return err
}

// Answered counts the answers to a question.
func (s *Store) Answered(ctx context.Context, question string) (int, error) {
	return one(ctx, conn{s.read, s.dialect}, "answer", scanValue[int], `SELECT COUNT(*) FROM node_answers WHERE question = $1`, question)
}

// TakeAnswers returns the answers to a question by node, and deletes them.
func (s *Store) TakeAnswers(ctx context.Context, question string) (map[string]string, error) {
	type row struct{ node, answer string }
	rows, err := many(ctx, s.autocommit(), func(scan scanner) (r row, err error) {
		err = scan(&r.node, &r.answer)
		return r, err
	}, `DELETE FROM node_answers WHERE question = $1 RETURNING node_id, answer`, question)
	answers := make(map[string]string, len(rows))
	for _, r := range rows {
		answers[r.node] = r.answer
	}
	return answers, err
}
