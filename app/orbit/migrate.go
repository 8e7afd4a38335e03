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

// with runs fn on the open database.
func (d database) with(ctx context.Context, fn func(*store.Store) error) error {
	s, err := store.Open(ctx, store.Config{DSN: d.DSN, MaxConns: 4})
	if err != nil {
		return err
	}
	return errors.Join(fn(s), s.Close())
}

type migrateCmd struct {
	database
}

func (c migrateCmd) Run(ctx context.Context, con console) error {
	return c.with(ctx, func(s *store.Store) error {
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
