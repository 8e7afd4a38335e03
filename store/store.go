// Package store holds all SQL of Orbit, for PostgreSQL and SQLite: the unit of
// work, aggregates, outbox, log, poison queue and sign-in sessions. One
// conformance suite runs over both engines.
package store

import (
	"context"
	"database/sql"
	"time"

	"github.com/orbit/realtime/domain"
)

// Dialect names a database engine.
type Dialect string

const (
	Postgres Dialect = "postgres"
	SQLite   Dialect = "sqlite"
)

// Config says which database to open and how.
type Config struct {
	// DSN is "postgres://…" or "postgresql://…" for PostgreSQL; anything else
	// ("orbit.db", "file:orbit.db", "sqlite:orbit.db") is a SQLite file.
	DSN string
	// MaxConns bounds open connections to PostgreSQL (default 20).
	MaxConns int
}

// Store is an open database. It is safe for concurrent use.
type Store struct{}

// Open connects, and checks that the database answers. It doesn't migrate.
func Open(ctx context.Context, cfg Config) (*Store, error) { panic("stub") }

// Close releases every connection. Idempotent.
func (s *Store) Close() error { panic("stub") }

// Dialect tells which engine this is.
func (s *Store) Dialect() Dialect { panic("stub") }

// Migrate applies the embedded migrations and returns how many it applied. Two
// nodes that start at once don't race: one applies, the other waits.
func (s *Store) Migrate(ctx context.Context) (int, error) { panic("stub") }

// SchemaCurrent reports whether every embedded migration has been applied.
func (s *Store) SchemaCurrent(ctx context.Context) (bool, error) { panic("stub") }

// Ping asks the database for a sign of life.
func (s *Store) Ping(ctx context.Context) error { panic("stub") }

// Reader reads committed rows, each method in autocommit: no transaction, xid
// or lock outlives a call. Projectors read through it.
func (s *Store) Reader() domain.Reader { panic("stub") }

// Read implements domain.UnitOfWork.
func (s *Store) Read(ctx context.Context, fn func(domain.Reader) error) error { panic("stub") }

// Write implements domain.UnitOfWork.
func (s *Store) Write(ctx context.Context, fn func(domain.Tx) error) error { panic("stub") }

// OnPublish registers fn, called after each commit in this process that wrote
// to the outbox, with the distinct lanes written to. fn must not block.
func (s *Store) OnPublish(fn func(lanes []int)) { panic("stub") }

// ---- outbox ----

// Topic is the Watermill topic of domain events.
const Topic = "events"

// LaneOf returns the lane of a workspace: the first four bytes of the MD5 of
// its id, big endian, modulo lanes. SQL computes the same in orbit_publish.
func LaneOf(workspaceID string, lanes int) int { panic("stub") }

// Lanes returns the number of lanes the outbox is laid out for.
func (s *Store) Lanes() int { panic("stub") }

// SetLanes makes the outbox n lanes wide (1 to 64), moving waiting rows.
func (s *Store) SetLanes(ctx context.Context, n int) error { panic("stub") }

// OutboxRow is one waiting event.
type OutboxRow struct {
	Seq   int64 // ascending in order of insertion
	Event domain.Event
	// Projected says that an event of this id was projected within the dedupe
	// window.
	Projected bool
}

// OutboxSelect returns the query for a lane's lowest rows, in Seq order.
// Its columns are scanned by ScanOutboxRow.
func (s *Store) OutboxSelect(topic string, lane, limit int) (query string, args []any) { panic("stub") }

// ScanOutboxRow scans one row of OutboxSelect.
func ScanOutboxRow(scan func(dest ...any) error) (OutboxRow, error) { panic("stub") }

// OutboxInsert returns the statement that appends events, in order, skipping
// ids that are waiting already.
func (s *Store) OutboxInsert(topic string, events ...domain.Event) (query string, args []any, err error) {
	panic("stub")
}

// OutboxDelete returns the statement that deletes rows by Seq.
func (s *Store) OutboxDelete(seqs []int64) (query string, args []any) { panic("stub") }

// DB is what the bus runs its autocommit statements on.
type DB interface {
	ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error)
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
}

// ReadDB returns the handle for autocommit reads, WriteDB the one for
// autocommit writes (on SQLite the single writer).
func (s *Store) ReadDB() DB  { panic("stub") }
func (s *Store) WriteDB() DB { panic("stub") }

// OutboxStats describes one lane's backlog.
type OutboxStats struct {
	Lane    int
	Pending int64
	Oldest  time.Time // zero when nothing waits
}

// OutboxStats tells each lane's backlog.
func (s *Store) OutboxStats(ctx context.Context) ([]OutboxStats, error) { panic("stub") }

// LaneLock is the right to consume a lane.
type LaneLock interface {
	// Epoch grows with each owner; CommitEffects refuses an older one.
	Epoch() int64
	// Lost is closed when the lock is gone (its connection died).
	Lost() <-chan struct{}
	// Release gives the lane up. Idempotent.
	Release()
}

// TryLane takes a lane, or returns nil, nil when another process holds it.
// PostgreSQL: a session advisory lock on a connection of its own. SQLite: the
// file belongs to one serving process (see LockFile), so it always succeeds.
// Either way the lane's owner epoch is raised.
func (s *Store) TryLane(ctx context.Context, topic string, lane int) (LaneLock, error) { panic("stub") }

// Listen calls fn with each lane another process (or orbit_publish) wrote to,
// until ctx ends; it reconnects by itself and calls fn(-1), meaning "any lane",
// after each reconnect. On SQLite it only waits for ctx.
func (s *Store) Listen(ctx context.Context, fn func(lane int)) error { panic("stub") }

// Notify wakes other processes that hold these lanes. No-op on SQLite.
func (s *Store) Notify(ctx context.Context, lanes []int) error { panic("stub") }

// ---- effects ----

// Effects is all that handling a batch led to. CommitEffects applies it in one
// short transaction.
type Effects struct {
	Topic string
	Lane  int
	Epoch int64   // of the LaneLock; 0 skips the fence
	Acked []int64 // outbox rows to delete
	// Projected are the events handled with success, in order.
	Projected []Projection
	Poisoned  []Poison
}

// Projection is one handled event.
type Projection struct {
	EventID     string
	WorkspaceID string
	// Entries to append to the workspace's log; Offset is assigned by the
	// commit. May be empty (the row is gone: silence).
	Entries []domain.Entry
	// PoisonID is the poison message that this heals, if the event was requeued.
	PoisonID string
}

// ErrFenced says that the lane has a newer owner: nothing was written.
var ErrFenced = domain.Errorf(domain.CodeConflict, "the lane has a newer owner")

// CommitEffects writes log entries, dedupe marks, poison rows and healed
// poison, and deletes the acked outbox rows, in one transaction. It returns
// what was appended, by workspace, with offsets.
func (s *Store) CommitEffects(ctx context.Context, e Effects) ([]domain.Appended, error) {
	panic("stub")
}

// PruneProjected forgets dedupe marks older than window and returns how many.
func (s *Store) PruneProjected(ctx context.Context, window time.Duration) (int64, error) {
	panic("stub")
}

// ---- log ----

// LogStates returns the state of each named workspace that has a log.
func (s *Store) LogStates(ctx context.Context, workspaceIDs []string) (map[string]domain.LogState, error) {
	panic("stub")
}

// LogAfter returns up to limit entries with after < offset <= upTo on any of
// channels (nil: all), in order, and the log's state in the same statement's
// moment, so that a caller can tell whether after fell below the floor.
func (s *Store) LogAfter(ctx context.Context, workspaceID string, after, upTo int64, channels []domain.Channel, limit int) ([]domain.Entry, domain.LogState, error) {
	panic("stub")
}

// TrimLogs deletes entries older than maxAge or beyond the newest maxEntries
// of each workspace, in small transactions, and raises the floors. It returns
// how many entries went.
func (s *Store) TrimLogs(ctx context.Context, maxAge time.Duration, maxEntries int) (int64, error) {
	panic("stub")
}

// CheckLogs compares every log's head and floor with its entries, starts a new
// epoch where history is missing, and returns those workspaces' ids.
func (s *Store) CheckLogs(ctx context.Context) ([]string, error) { panic("stub") }

// ResetEpoch starts a new epoch for a workspace's log ("" for all): to be used
// after a restore from backup.
func (s *Store) ResetEpoch(ctx context.Context, workspaceID string) (int64, error) { panic("stub") }

// PruneSessions deletes sign-in sessions that expired.
func (s *Store) PruneSessions(ctx context.Context) (int64, error) { panic("stub") }
