package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/orbit/realtime/store"
)

// database is the flag of every command that works straight on the database.
type database struct {
	DSN string `name:"database-url" aliases:"dsn" env:"DATABASE_URL" default:"orbit.db" help:"postgres://… or the path of a SQLite file."`
}

// with runs fn on a database that has the schema. It makes nothing: a path that
// is misspelt must not become a database.
func (d database) with(ctx context.Context, fn func(*store.Store) error) error {
	return d.open(ctx, store.Config{MustExist: true}, func(s *store.Store) error {
		if err := s.RequireSchema(ctx); err != nil {
			return err
		}
		return fn(s)
	})
}

// open runs fn on whatever database there is.
func (d database) open(ctx context.Context, cfg store.Config, fn func(*store.Store) error) error {
	cfg.DSN, cfg.MaxConns = d.DSN, 4
	s, err := store.Open(ctx, cfg)
	if err != nil {
		return err
	}
	return errors.Join(fn(s), s.Close())
}

type migrateCmd struct {
	database
}

func (c migrateCmd) Run(ctx context.Context, con console) error {
	return c.open(ctx, store.Config{}, func(s *store.Store) error {
		applied, err := s.Migrate(ctx)
		if err != nil {
			return err
		}
		if applied == 0 {
			fmt.Fprintln(con.out, "The schema is up to date.")
			return nil
		}
		fmt.Fprintf(con.out, "Applied %d migration(s).\n", applied)
		return nil
	})
}
