// Package store holds all SQL of Orbit, for PostgreSQL and SQLite: the unit of
// work, aggregates, outbox, log, poison queue and sign-in sessions. One
// conformance suite runs over both engines.
//
// Both engines share one code path. Statements are written once, with $1
// placeholders; the few spots where the engines differ are in dialect.go.
//
// Invariants:
//
//   - Nothing that a transaction wrote is seen, and nobody is woken, before it
//     has committed.
//   - Offsets of a workspace's log have no gaps, and an offset becomes visible
//     only after every lower one.
//   - An event leaves the outbox in the very transaction that writes what
//     handling it led to.
//   - Every error is a *domain.Error (see MapError), or the caller's own
//     context.Canceled.
package store

import (
	"context"
	"database/sql"
	"errors"
	"strings"
	"sync"
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
	// ("orbit.db", "file:orbit.db", "sqlite:orbit.db") is a SQLite file. A
	// SQLite DSN may end in "?synchronous=normal": commits then don't wait for
	// the disk, and a power cut (not a crash) may lose the newest ones. The
	// default is "full".
	DSN string
	// MaxConns bounds open connections to PostgreSQL (default 20). Two more
	// are opened when lanes are taken and when Listen runs.
	MaxConns int
	// Node is what the lanes that this Store holds say of their owner.
	Node string
	// NodeID is the id of this run among the nodes; see Beat. Empty: it is none.
	NodeID string
	// MustExist refuses a SQLite file that isn't there instead of making it.
	MustExist bool
}

// Store is an open database. It is safe for concurrent use.
type Store struct {
	dsn     string
	node    string
	dialect dialect
	read    *sql.DB // autocommit reads and read transactions
	write   *sql.DB // of the bus and of upkeep
	// commands is the pool of units of work; on SQLite it is write.
	commands *sql.DB
	lanes    laneCount
	locks    laneLocks

	sqlitePath string // the database file

	mu          sync.Mutex
	onPublish   []func(lanes []int)
	onOperation []func()
}

// DialectOf tells which engine a DSN names.
func DialectOf(dsn string) Dialect {
	if strings.HasPrefix(dsn, "postgres://") || strings.HasPrefix(dsn, "postgresql://") {
		return Postgres
	}
	return SQLite
}

// Open connects, and checks that the database answers. It doesn't migrate. Its
// errors are for the operator: each names DATABASE_URL, and the mend.
func Open(ctx context.Context, cfg Config) (*Store, error) {
	s := &Store{dsn: cfg.DSN, node: cfg.Node}
	s.locks.node = cfg.NodeID
	var err error
	if DialectOf(cfg.DSN) == Postgres {
		err = s.openPostgres(cfg)
	} else {
		err = s.openSQLite(cfg)
	}
	if err != nil {
		return nil, err
	}
	if err := s.reach(ctx); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	if err := s.loadLanes(ctx); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

// Close gives up all lanes and releases every connection. Idempotent.
func (s *Store) Close() error {
	s.locks.close()
	return MapError(errors.Join(s.write.Close(), s.read.Close(), s.commands.Close()))
}

// Dialect tells which engine this is.
func (s *Store) Dialect() Dialect { return s.dialect.name }

// Ping asks the database for a sign of life.
func (s *Store) Ping(ctx context.Context) error {
	if err := s.write.PingContext(ctx); err != nil {
		return MapError(err)
	}
	return MapError(s.read.PingContext(ctx))
}

// reach is the first Ping, whose error the operator has to mend.
func (s *Store) reach(ctx context.Context) error {
	err := s.write.PingContext(ctx)
	if err == nil {
		err = s.read.PingContext(ctx)
	}
	switch {
	case err == nil, errors.Is(err, context.Canceled):
		return err
	case s.dialect.name == Postgres:
		return postgresOpenError(s.locks.postgres, err)
	}
	return sqliteOpenError(s.sqlitePath, err)
}

// DB is what the bus runs its autocommit statements on.
type DB interface {
	ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error)
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
}

// ReadDB returns the handle for autocommit reads. Its errors are the driver's
// own: pass them through MapError.
func (s *Store) ReadDB() DB { return s.read }

// WriteDB returns the handle for autocommit writes: on SQLite the single
// writer. Its errors are the driver's own: pass them through MapError.
func (s *Store) WriteDB() DB { return s.write }

// autocommit is where single writing statements run.
func (s *Store) autocommit() conn { return conn{s.write, s.dialect} }

// micros is how times are stored: Unix microseconds, the zero time as 0.
func micros(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMicro()
}

// fromMicros is the way back, in UTC.
func fromMicros(us int64) time.Time {
	if us == 0 {
		return time.Time{}
	}
	return time.UnixMicro(us).UTC()
}

func domainTime(us int64) domain.Time { return domain.At(fromMicros(us)) }
