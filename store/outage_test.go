package store_test

import (
	"database/sql"
	"net/url"
	"strings"

	"github.com/jackc/pgx/v5"

	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/orbit/realtime/domain"
	"github.com/orbit/realtime/store"
	"github.com/orbit/realtime/store/storetest"
)

// While the database is away every call fails with a transient error, whatever
// it does: that is what keeps the bus from poisoning what it can't handle now.
// When it is back, everything goes on by itself.
func TestDatabaseAway(t *testing.T) {
	plug, dsn := storetest.NewPlug(t, storetest.DSN(t, store.Postgres))
	s := storetest.OpenDSN(t, dsn)
	w, _, _ := storetest.SeedWorkspace(t, s)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()

	calls := map[string]func() error{
		"ping": func() error { return s.Ping(ctx) },
		"read": func() error { _, err := s.Reader().Workspace(ctx, w.ID); return err },
		"tx": func() error {
			return s.Read(ctx, func(r domain.Reader) error { _, err := r.Workspace(ctx, w.ID); return err })
		},
		"publish": func() error { return s.Write(ctx, func(tx domain.Tx) error { return tx.Publish(ctx, event(w.ID)) }) },
		"commit": func() error {
			_, err := s.CommitEffects(ctx, store.Effects{Topic: store.Topic, Projected: []store.Projection{projection(event(w.ID), 1)}})
			return err
		},
		"log":    func() error { _, _, err := s.LogAfter(ctx, w.ID, 0, 1, nil, 1); return err },
		"notify": func() error { return s.Notify(ctx, []int{1}) },
		"schema": func() error { _, err := s.SchemaCurrent(ctx); return err },
		"lane": func() error {
			l, err := s.TryLane(ctx, store.Topic, 1)
			if l != nil {
				l.Release()
			}
			return err
		},
		"outbox": func() error {
			query, args := s.OutboxSelect(store.Topic, 0, 1)
			rows, err := s.ReadDB().QueryContext(ctx, query, args...)
			if err != nil {
				return store.MapError(err)
			}
			defer rows.Close()
			for rows.Next() {
				if _, err := store.ScanOutboxRow(rows.Scan); err != nil {
					return err
				}
			}
			return store.MapError(rows.Err())
		},
	}
	for name, call := range calls {
		require.NoError(t, call(), name)
	}
	// Cut within a transaction, and while one commits.
	err := s.Write(ctx, func(tx domain.Tx) error {
		if err := tx.Publish(ctx, event(w.ID)); err != nil {
			return err
		}
		plug.Pull()
		_, err := tx.Workspace(ctx, w.ID)
		return err
	})
	require.True(t, domain.IsTransient(err), "%v", err)
	plug.Push()
	err = s.Write(ctx, func(tx domain.Tx) error {
		err := tx.Publish(ctx, event(w.ID))
		plug.Pull()
		return err
	})
	require.True(t, domain.IsTransient(err), "%v", err)

	for name, call := range calls {
		err := call()
		require.True(t, domain.IsTransient(err), "%s: %v", name, err)
		require.Equal(t, domain.CodeUnavailable, domain.CodeOf(err), name)
	}
	plug.Push()
	for name, call := range calls {
		require.NoError(t, call(), name)
	}
	require.Len(t, waiting(t, s, store.LaneOf(w.ID, s.Lanes()), 10), 2, "what failed left nothing behind")

	require.NoError(t, s.Close())
	for name, call := range calls {
		require.True(t, domain.IsTransient(call()), "closed: %s", name)
	}
}

func TestOpenFails(t *testing.T) {
	_, err := store.Open(t.Context(), store.Config{DSN: "postgres://nobody@127.0.0.1:1/x?connect_timeout=1"})
	require.True(t, domain.IsTransient(err), "%v", err)
	for _, dsn := range []string{"", ":memory:", "file::memory:?x=1", "postgres://%zz", "mysql://x", "x.db?cache=shared", "x.db?synchronous=off"} {
		_, err := store.Open(t.Context(), store.Config{DSN: dsn})
		requireCode(t, domain.CodeInvalid, err)
	}
	_, err = store.Open(t.Context(), store.Config{DSN: t.TempDir() + "/no/such/folder/x.db"})
	require.Error(t, err)
}

// A server can refuse connections with a code of its own (55000 when the
// database takes none), and that is an outage like any other: it once was
// answered as a bug of ours.
func TestDatabaseRefusesConnections(t *testing.T) {
	dsn := storetest.EmptyDSN(t, store.Postgres)
	s := storetest.OpenDSN(t, dsn)
	_, err := s.Migrate(t.Context())
	require.NoError(t, err)
	u, err := url.Parse(dsn)
	require.NoError(t, err)
	name := strings.TrimPrefix(u.Path, "/")
	u.Path = "/postgres"
	admin, err := sql.Open("pgx", u.String())
	require.NoError(t, err)
	defer admin.Close()
	run := func(query string) {
		_, err := admin.Exec(query)
		require.NoError(t, err)
	}
	quoted := pgx.Identifier{name}.Sanitize()
	run("ALTER DATABASE " + quoted + " WITH ALLOW_CONNECTIONS false")
	defer run("ALTER DATABASE " + quoted + " WITH ALLOW_CONNECTIONS true")
	run("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '" + name + "'")
	for range 3 { // the first few find the connections that were cut
		_, err = s.Reader().User(t.Context(), "u")
		require.True(t, domain.IsTransient(err), "%v", err)
	}
}
