package store

import (
	"context"
	"errors"
	"net/url"
	"os"
	"path/filepath"

	"github.com/jackc/pgx/v5"

	"github.com/orbit/realtime/domain"
)

// Scratch makes a migrated, empty database beside the one named, for benchmarks
// and the like: a database on the same server, or a file in the same folder. The
// one named isn't touched, nor need it exist. drop removes the scratch database
// again, whoever is still connected.
func Scratch(ctx context.Context, dsn string) (scratch string, drop func(context.Context) error, err error) {
	scratch, drop, err = newDatabase(ctx, dsn)
	if err != nil {
		return "", nil, err
	}
	s, err := Open(ctx, Config{DSN: scratch})
	if err == nil {
		_, err = s.Migrate(ctx)
		err = errors.Join(err, s.Close())
	}
	if err != nil {
		return "", nil, errors.Join(err, drop(ctx))
	}
	return scratch, drop, nil
}

func newDatabase(ctx context.Context, dsn string) (scratch string, drop func(context.Context) error, err error) {
	if DialectOf(dsn) == SQLite {
		path, _, err := parseSQLite(dsn)
		if err != nil {
			return "", nil, err
		}
		dir, err := os.MkdirTemp(filepath.Dir(path), "orbit-scratch-")
		if err != nil {
			return "", nil, err
		}
		return filepath.Join(dir, "orbit.db"), func(context.Context) error { return os.RemoveAll(dir) }, nil
	}
	name := domain.NewID("orbit_scratch")
	conf, err := parsePostgres(dsn)
	if err != nil {
		return "", nil, err
	}
	u, err := url.Parse(dsn)
	if err != nil {
		return "", nil, err
	}
	run := func(ctx context.Context, statement string) error {
		c, err := pgx.ConnectConfig(ctx, conf)
		if err != nil {
			return postgresOpenError(conf, err)
		}
		_, err = c.Exec(ctx, statement)
		return errors.Join(err, c.Close(ctx))
	}
	quoted := pgx.Identifier{name}.Sanitize()
	if err := run(ctx, "CREATE DATABASE "+quoted); err != nil {
		return "", nil, err
	}
	u.Path = "/" + name
	return u.String(), func(ctx context.Context) error { return run(ctx, "DROP DATABASE "+quoted+" WITH (FORCE)") }, nil
}
