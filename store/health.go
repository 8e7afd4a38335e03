package store

import (
	"context"
	"database/sql"
	"time"

	"github.com/orbit/realtime/domain"
)

// Health is what the database knows about how work goes on: one look, for
// dashboards and alerts. It is the same for every node on it.
type Health struct {
	Outbox []OutboxStats // by lane
	// Owners tells who holds each lane, by its number; a lane that nobody holds
	// is missing. On SQLite it is nil: there is one process.
	Owners map[int]string
	Poison PoisonHealth
	// Blockers are the backends that hold up one of ours: PostgreSQL alone
	// knows, and only as long as somebody waits.
	Blockers []Blocker
}

// PoisonHealth sums up the poison queue.
type PoisonHealth struct {
	Counts     map[domain.PoisonState]int
	OldestOpen time.Time // when it was poisoned; zero if none is open
}

// Blocker is a database backend that others wait for.
type Blocker struct {
	PID         int
	Application string // "" if it gave none
	User        string
	State       string    // active, idle in transaction, …
	Since       time.Time // the start of its transaction
	StateSince  time.Time
	Query       string // its current or last statement without its texts, the first 120 characters
	Waiting     int    // backends of ours that wait for it
}

// Health takes the look. Its cost grows with the outbox and the number of
// lanes; the poison queue is counted by an index.
func (s *Store) Health(ctx context.Context) (h Health, err error) {
	if h.Outbox, err = s.OutboxStats(ctx); err != nil {
		return h, err
	}
	if h.Poison, err = s.poisonHealth(ctx); err != nil || s.dialect.name != Postgres {
		return h, err
	}
	if h.Owners, err = s.laneOwners(ctx); err != nil {
		return h, err
	}
	h.Blockers, err = s.blockers(ctx)
	return h, err
}

func (s *Store) poisonHealth(ctx context.Context) (PoisonHealth, error) {
	h := PoisonHealth{Counts: map[domain.PoisonState]int{}}
	for _, state := range domain.PoisonStates {
		h.Counts[state] = 0
	}
	type row struct {
		state  domain.PoisonState
		n      int
		oldest int64
	}
	rows, err := many(ctx, conn{s.read, s.dialect}, func(scan scanner) (r row, err error) {
		err = scan(&r.state, &r.n, &r.oldest)
		return r, err
	}, `SELECT state, COUNT(*), MIN(poisoned_at) FROM poison GROUP BY state`)
	for _, r := range rows {
		h.Counts[r.state] = r.n
		if r.state == domain.PoisonOpen {
			h.OldestOpen = fromMicros(r.oldest)
		}
	}
	return h, err
}

// laneOwners asks who has the lanes' advisory locks. A pair of keys is shown as
// two unsigned numbers, and as objsubid 2 (PostgreSQL, view pg_locks).
func (s *Store) laneOwners(ctx context.Context) (map[int]string, error) {
	lanes := make(map[uint32]int, s.Lanes())
	for lane := range s.Lanes() {
		lanes[uint32(laneKey{Topic, lane}.advisory())] = lane
	}
	type row struct {
		key   uint32
		owner string
	}
	rows, err := many(ctx, conn{s.read, s.dialect}, func(scan scanner) (r row, err error) {
		err = scan(&r.key, &r.owner)
		return r, err
	}, `SELECT l.objid::BIGINT, 'backend ' || l.pid || COALESCE(' at ' || host(a.client_addr), '')
		FROM pg_locks l JOIN pg_stat_activity a ON a.pid = l.pid
		WHERE l.locktype = 'advisory' AND l.granted AND l.objsubid = 2 AND l.classid::BIGINT = $1
			AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())`, int64(lockClass))
	if err != nil {
		return nil, err
	}
	owners := make(map[int]string, len(rows))
	for _, r := range rows {
		if lane, ok := lanes[r.key]; ok {
			owners[lane] = r.owner
		}
	}
	type name struct {
		lane int
		node string
	}
	names, err := many(ctx, conn{s.read, s.dialect}, func(scan scanner) (n name, err error) {
		err = scan(&n.lane, &n.node)
		return n, err
	}, `SELECT lane, owner FROM lanes WHERE topic = $1 AND owner <> ''`, Topic)
	for _, n := range names {
		if _, held := owners[n.lane]; held {
			owners[n.lane] = n.node
		}
	}
	return owners, err
}

// blockers finds whom our backends wait for. Ours are those that call
// themselves as this connection does. pg_blocking_pids is asked for those that
// wait alone: it stops the lock manager for a moment.
func (s *Store) blockers(ctx context.Context) ([]Blocker, error) {
	return many(ctx, conn{s.read, s.dialect}, func(scan scanner) (b Blocker, err error) {
		var began, changed sql.NullTime
		err = scan(&b.PID, &b.Application, &b.User, &b.State, &began, &changed, &b.Query, &b.Waiting)
		b.Since, b.StateSince = began.Time.UTC(), changed.Time.UTC()
		return b, err
	}, `SELECT b.pid, COALESCE(b.application_name, ''), COALESCE(b.usename, ''), COALESCE(b.state, ''),
			b.xact_start, b.state_change,
			left(regexp_replace(regexp_replace(b.query, '''(?:[^'']|'''')*''', '''…''', 'g'), '\s+', ' ', 'g'), 120), COUNT(*)
		FROM pg_stat_activity w
		CROSS JOIN LATERAL unnest(pg_blocking_pids(w.pid)) AS waits(pid)
		JOIN pg_stat_activity b ON b.pid = waits.pid
		WHERE w.wait_event_type = 'Lock' AND w.datname = current_database()
			AND w.application_name = current_setting('application_name')
		GROUP BY 1, 2, 3, 4, 5, 6, 7 ORDER BY COUNT(*) DESC, b.xact_start LIMIT 10`)
}

// PoolStats are the connection pools, by what they are for. It asks nobody.
func (s *Store) PoolStats() map[string]sql.DBStats {
	pools := map[string]sql.DBStats{"read": s.read.Stats(), "write": s.write.Stats()}
	if s.commands != s.write {
		pools["commands"] = s.commands.Stats()
	}
	return pools
}
