package pipeline

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/orbit/realtime/domain"
	"github.com/orbit/realtime/store"
	"github.com/orbit/realtime/store/storetest"
)

func TestRetentionForgets(t *testing.T) {
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		ctx := context.Background()
		ev := newEvent("test.ok", "ws", 9)
		p := start(t, s, projectors("test.ok", ok), Config{})
		for n := range 9 {
			publish(t, s, newEvent("test.ok", "ws", n))
		}
		publish(t, s, ev)
		drained(t, s)
		stop(t, p)
		_, owner, _ := storetest.SeedWorkspace(t, s)
		require.NoError(t, s.Write(ctx, func(tx domain.Tx) error {
			return tx.InsertSession(ctx, domain.Session{
				ID: "ses_1", UserID: owner.UserID, TokenHash: []byte("hash"),
				CreatedAt: time.Now().Add(-2 * time.Hour), ExpiresAt: time.Now().Add(-time.Hour),
			})
		}))

		r, err := NewRetention(s, RetentionConfig{
			MaxEntries: 3, DedupeWindow: time.Nanosecond, Interval: 10 * time.Millisecond, Logger: quiet,
		})
		require.NoError(t, err)
		r.Start(ctx)
		t.Cleanup(r.Stop)
		require.Eventually(t, func() bool {
			state, err := s.Reader().LogState(ctx, "ws")
			require.NoError(t, err)
			return state.Floor == 7 && state.Head == 10
		}, patiently, tick)
		require.Eventually(t, func() bool {
			_, err := s.Reader().Session(ctx, "ses_1")
			return err != nil
		}, patiently, tick)
		r.Stop()
		r.Stop()

		// The mark is gone: within the window this event would be a duplicate.
		start(t, s, projectors("test.ok", ok), Config{})
		publish(t, s, ev)
		drained(t, s)
		state, err := s.Reader().LogState(ctx, "ws")
		require.NoError(t, err)
		require.EqualValues(t, 11, state.Head)
	})
}

func TestRetentionRefuses(t *testing.T) {
	_, err := NewRetention(nil, RetentionConfig{MaxEntries: -1})
	require.ErrorContains(t, err, "max entries")
}
