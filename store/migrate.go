package store

import (
	"context"
	"database/sql"
	"fmt"
	"io/fs"
	"net"
	"time"

	"github.com/gofrs/flock"
	"github.com/pressly/goose/v3"
	"github.com/pressly/goose/v3/lock"

	"github.com/orbit/realtime/domain"
	"github.com/orbit/realtime/migrations"
)

// migrateWait bounds how long a node waits for another one that migrates.
const migrateWait = 5 * time.Minute

// Migrate applies the embedded migrations and returns how many it applied. Two
// nodes that start at once don't race: one applies, the other waits.
func (s *Store) Migrate(ctx context.Context) (int, error) {
	provider, err := s.migrations()
	if err != nil {
		return 0, err
	}
	done, err := provider.Up(ctx)
	if err != nil {
		return 0, migrationError(err)
	}
	if err := s.fingerprintPoison(ctx); err != nil {
		return len(done), err
	}
	return len(done), s.loadLanes(ctx)
}

// SchemaCurrent reports whether every embedded migration has been applied. It
// changes nothing.
func (s *Store) SchemaCurrent(ctx context.Context) (bool, error) {
	state, err := s.schema(ctx)
	return state == schemaCurrent, err
}

// schemaState is how far the migrations have come.
type schemaState int

const (
	schemaMissing schemaState = iota
	schemaOld
	schemaCurrent
)

func (s *Store) schema(ctx context.Context) (schemaState, error) {
	// goose would create its table just to find it empty.
	query := `SELECT COUNT(*) FROM sqlite_master WHERE name = $1`
	if s.dialect.name == Postgres {
		query = `SELECT CASE WHEN to_regclass($1) IS NULL THEN 0 ELSE 1 END`
	}
	tables, err := one(ctx, conn{s.read, s.dialect}, "table", scanValue[int], query, goose.DefaultTablename)
	if err != nil || tables == 0 {
		return schemaMissing, err
	}
	provider, err := s.migrations()
	if err != nil {
		return schemaOld, err
	}
	pending, err := provider.HasPending(ctx)
	if err != nil || pending {
		return schemaOld, migrationError(err)
	}
	return schemaCurrent, nil
}

// RequireSchema returns nil where the schema is current. Otherwise the error is
// CodeUnavailable and says to run "orbit migrate".
func (s *Store) RequireSchema(ctx context.Context) error {
	state, err := s.schema(ctx)
	switch {
	case err != nil:
		return err
	case state == schemaMissing:
		return domain.Errorf(domain.CodeUnavailable, `no Orbit schema in %s; run "orbit migrate", or correct DATABASE_URL`, s.place())
	case state == schemaOld:
		return domain.Errorf(domain.CodeUnavailable, `the Orbit schema in %s is older than this build; run "orbit migrate"`, s.place())
	}
	return nil
}

// place names the database for people, without a password.
func (s *Store) place() string {
	if s.dialect.name == SQLite {
		return s.sqlitePath
	}
	conf := s.locks.postgres
	return fmt.Sprintf("database %q at %s", conf.Database, net.JoinHostPort(conf.Host, fmt.Sprint(conf.Port)))
}

func (s *Store) migrations() (*goose.Provider, error) {
	files, err := fs.Sub(migrations.FS, string(s.dialect.name))
	if err != nil {
		return nil, migrationError(err)
	}
	dialect, locking := goose.DialectSQLite3, goose.WithLocker(migrationLock{flock.New(s.sqlitePath + ".migrate.lock")})
	if s.dialect.name == Postgres {
		locker, err := lock.NewPostgresSessionLocker(lock.WithLockTimeout(1, uint64(migrateWait.Seconds())))
		if err != nil {
			return nil, migrationError(err)
		}
		dialect, locking = goose.DialectPostgres, goose.WithSessionLocker(locker)
	}
	provider, err := goose.NewProvider(dialect, s.write, files, locking, goose.WithDisableGlobalRegistry(true))
	return provider, migrationError(err)
}

func migrationError(err error) error {
	if err == nil || classify(err) != failUnknown {
		return MapError(err)
	}
	return domain.Wrap(err, domain.CodeInternal, "the database schema could not be migrated")
}

// migrationLock is goose's lock for SQLite: an operating system's lock on a
// file beside the database, which the end of its process releases.
type migrationLock struct{ file *flock.Flock }

func (l migrationLock) Lock(ctx context.Context, _ *sql.DB) error {
	ctx, cancel := context.WithTimeout(ctx, migrateWait)
	defer cancel()
	_, err := l.file.TryLockContext(ctx, 20*time.Millisecond)
	return err
}

func (l migrationLock) Unlock(context.Context, *sql.DB) error { return l.file.Unlock() }
