package store_test

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/orbit/realtime/domain"
	"github.com/orbit/realtime/store"
	"github.com/orbit/realtime/store/storetest"
)

func TestSmoke(t *testing.T) {
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		ctx := context.Background()
		w, owner, roles := storetest.SeedWorkspace(t, s)
		m, err := s.Reader().Member(ctx, w.ID, owner.ID)
		require.NoError(t, err)
		require.Equal(t, owner, m)
		require.Len(t, roles, 3)
		ev := domain.NewEvent(domain.EventMemberUpdated, w.ID, owner.ID, domain.Changed{Version: 2})
		require.NoError(t, s.Write(ctx, func(tx domain.Tx) error { return tx.Publish(ctx, ev) }))
		q, args := s.OutboxSelect(store.Topic, store.LaneOf(w.ID, s.Lanes()), 10)
		rows, err := s.ReadDB().QueryContext(ctx, q, args...)
		require.NoError(t, err)
		require.True(t, rows.Next())
		row, err := store.ScanOutboxRow(rows.Scan)
		require.NoError(t, err)
		rows.Close()
		app, err := s.CommitEffects(ctx, store.Effects{Topic: store.Topic, Acked: []int64{row.Seq}, Projected: []store.Projection{{EventID: ev.ID, WorkspaceID: w.ID, Entries: []domain.Entry{{Channel: "c", Type: "t", Data: []byte(`{"a":1}`), EventID: ev.ID, At: row.Event.CreatedAt}}}}})
		require.NoError(t, err)
		require.EqualValues(t, 1, app[0].Entries[0].Offset)
		es, st, err := s.LogAfter(ctx, w.ID, 0, 100, nil, 10)
		require.NoError(t, err)
		require.Len(t, es, 1)
		require.EqualValues(t, 1, st.Head)
		ids, err := s.CheckLogs(ctx)
		require.NoError(t, err)
		require.Empty(t, ids)
	})
}
