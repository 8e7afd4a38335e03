package main

import (
	"context"
	"fmt"

	"github.com/orbit/realtime/store"
)

// database is the flag of every command that works straight on the database.
type database struct {
	DSN string `name:"database-url" aliases:"dsn" env:"DATABASE_URL" default:"orbit.db" help:"postgres://… or the path of a SQLite file."`
}

func (d database) open(ctx context.Context) (*store.Store, error) {
	return store.Open(ctx, store.Config{DSN: d.DSN, MaxConns: 4})
}

type migrateCmd struct {
	database
}

func (c migrateCmd) Run(ctx context.Context, con console) error {
	s, err := c.open(ctx)
	if err != nil {
		return err
	}
	defer s.Close()
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
}
