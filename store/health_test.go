package store_test

import (
	"context"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/orbit/realtime/domain"
	"github.com/orbit/realtime/store"
	"github.com/orbit/realtime/store/storetest"
)

func TestHealth(t *testing.T) {
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		ctx := t.Context()
		h, err := s.Health(ctx)
		require.NoError(t, err)
		require.Len(t, h.Outbox, s.Lanes())
		require.Equal(t, 0, h.Poison.Counts[domain.PoisonOpen])
		require.True(t, h.Poison.OldestOpen.IsZero())
		require.Empty(t, h.Owners)
		require.Empty(t, h.Blockers)

		w, _, _ := storetest.SeedWorkspace(t, s)
		lane := store.LaneOf(w.ID, s.Lanes())
		write(t, s, func(ctx context.Context, tx domain.Tx) error {
			return tx.Publish(ctx, domain.NewEvent(domain.EventWorkspaceUpdated, w.ID, w.ID, domain.Changed{Version: 1}))
		})
		lock, err := s.TryLane(ctx, store.Topic, lane)
		require.NoError(t, err)
		h, err = s.Health(ctx)
		require.NoError(t, err)
		require.EqualValues(t, 1, h.Outbox[lane].Pending)
		if s.Dialect() == store.Postgres {
			require.Len(t, h.Owners, 1)
			require.Contains(t, h.Owners[lane], "backend ")
		}
		lock.Release()
		h, err = s.Health(ctx)
		require.NoError(t, err)
		require.Empty(t, h.Owners)
		require.NotEmpty(t, s.PoolStats())
	})
}

// "The outbox stalls" is half an answer; whose forgotten psql it is, is the other half.
func TestHealthNamesTheBackendThatBlocks(t *testing.T) {
	if len(storetest.Engines(t)) < 2 {
		t.Skip("no PostgreSQL")
	}
	dsn := storetest.DSN(t, store.Postgres)
	s := storetest.OpenDSN(t, dsn)
	w, _, _ := storetest.SeedWorkspace(t, s)
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()

	conf, err := pgx.ParseConfig(dsn)
	require.NoError(t, err)
	conf.RuntimeParams["application_name"] = "somebody's psql"
	other, err := pgx.ConnectConfig(ctx, conf)
	require.NoError(t, err)
	defer func() { _ = other.Close(context.WithoutCancel(ctx)) }()
	_, err = other.Exec(ctx, "BEGIN")
	require.NoError(t, err)
	_, err = other.Exec(ctx, "LOCK TABLE logs IN EXCLUSIVE MODE")
	require.NoError(t, err)
	_, err = other.Exec(ctx, "SELECT 'olive''s\n\tmail' AS\n\tname, 1")
	require.NoError(t, err)

	done := make(chan error, 1)
	go func() {
		_, err := s.CommitEffects(ctx, store.Effects{Projected: []store.Projection{{
			EventID: domain.NewEventID(), WorkspaceID: w.ID,
			Entries: []domain.Entry{{Channel: domain.WorkspaceChannel(w.ID), Type: "test.event", Data: []byte(`{"type":"test.event"}`)}},
		}}})
		done <- err
	}()
	var found []store.Blocker
	require.Eventually(t, func() bool {
		h, err := s.Health(ctx)
		require.NoError(t, err)
		found = h.Blockers
		return len(found) > 0
	}, 20*time.Second, 20*time.Millisecond)
	require.Equal(t, "somebody's psql", found[0].Application)
	require.EqualValues(t, other.PgConn().PID(), found[0].PID)
	require.Equal(t, "idle in transaction", found[0].State)
	require.Equal(t, "SELECT '…' AS name, 1", found[0].Query, "a tenant's values don't belong on a dashboard")
	require.NotEmpty(t, found[0].User)
	require.False(t, found[0].Since.IsZero())
	require.Equal(t, 1, found[0].Waiting)

	_, err = other.Exec(ctx, "ROLLBACK")
	require.NoError(t, err)
	if err := <-done; err != nil {
		t.Log("it ran out of patience meanwhile:", err)
	}
}
