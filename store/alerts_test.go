package store_test

import (
	"encoding/json"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/orbit/realtime/store"
	"github.com/orbit/realtime/store/storetest"
)

func TestAlertsAreRaisedOnceAndComeBackAsRegressions(t *testing.T) {
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		ctx := t.Context()
		raise := func(silent bool) bool {
			raised, err := s.RaiseAlert(ctx, "group/f1", "new_group", "regression", map[string]int{"n": 1}, silent)
			require.NoError(t, err)
			return raised
		}
		claim := func() []store.Alert {
			claimed, err := s.ClaimAlerts(ctx, time.Hour, 10)
			require.NoError(t, err)
			return claimed
		}
		require.True(t, raise(false))
		require.False(t, raise(false), "it is raised already")
		names, err := s.RaisedAlerts(ctx)
		require.NoError(t, err)
		require.Equal(t, []string{"group/f1"}, names)

		got := claim()
		require.Len(t, got, 1)
		require.Equal(t, "new_group", got[0].Pending)
		require.Equal(t, 1, got[0].Attempts)
		require.JSONEq(t, `{"n":1}`, string(got[0].Body))
		require.Empty(t, claim(), "it is in somebody's hands")
		require.NoError(t, s.RetryAlert(ctx, got[0], 0))
		got = claim()
		require.Equal(t, 2, got[0].Attempts)
		require.NoError(t, s.AlertTold(ctx, got[0]))
		require.NoError(t, s.RetryAlert(ctx, got[0], 0))
		require.Empty(t, claim())

		require.NoError(t, s.CloseAlert(ctx, "group/f1", true))
		require.NoError(t, s.CloseAlert(ctx, "group/f1", true), "again: nothing to end")
		got = claim()
		require.Len(t, got, 1)
		require.Equal(t, store.AlertRecovered, got[0].Pending)
		require.Equal(t, "new_group", got[0].Kind)

		require.True(t, raise(false))
		got = claim()
		require.Equal(t, "regression", got[0].Kind)
		require.Equal(t, "regression", got[0].Pending)

		// Over before anybody was told: nobody needs to hear of its end.
		require.NoError(t, s.RetryAlert(ctx, got[0], 0))
		require.NoError(t, s.CloseAlert(ctx, "group/f1", true))
		require.Empty(t, claim())
		require.True(t, raise(true))
		require.Empty(t, claim(), "silent")

		require.NoError(t, s.CloseAlert(ctx, "group/f1", false))
		n, err := s.PruneAlerts(ctx)
		require.NoError(t, err)
		require.Zero(t, n)
		execSQL(t, s, `UPDATE alerts SET closed_at = 1`)
		n, err = s.PruneAlerts(ctx)
		require.NoError(t, err)
		require.EqualValues(t, 1, n)
	})
}

// Told of an alert that has been raised anew meanwhile, a slow node must not
// silence the new one.
func TestToldIsOfOneRaising(t *testing.T) {
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		ctx := t.Context()
		_, err := s.RaiseAlert(ctx, "condition/stalled", "stalled", "stalled", json.RawMessage(`{}`), false)
		require.NoError(t, err)
		old, err := s.ClaimAlerts(ctx, 0, 1)
		require.NoError(t, err)
		require.NoError(t, s.CloseAlert(ctx, "condition/stalled", true))
		_, err = s.RaiseAlert(ctx, "condition/stalled", "stalled", "stalled", json.RawMessage(`{}`), false)
		require.NoError(t, err)
		require.NoError(t, s.AlertTold(ctx, old[0]))
		again, err := s.ClaimAlerts(ctx, 0, 1)
		require.NoError(t, err)
		require.Len(t, again, 1)
	})
}

func TestAnAlertIsClaimedByOneNode(t *testing.T) {
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		ctx := t.Context()
		for _, name := range []string{"a", "b", "c", "d"} {
			_, err := s.RaiseAlert(ctx, name, "age", "age", json.RawMessage(`{}`), false)
			require.NoError(t, err)
		}
		var mu sync.Mutex
		claimed := map[string]int{}
		var nodes sync.WaitGroup
		for range 8 {
			nodes.Go(func() {
				for range 4 {
					some, err := s.ClaimAlerts(ctx, time.Hour, 2)
					mu.Lock()
					if err != nil {
						t.Error(err)
					}
					for _, a := range some {
						claimed[a.Name]++
					}
					mu.Unlock()
				}
			})
		}
		nodes.Wait()
		require.Equal(t, map[string]int{"a": 1, "b": 1, "c": 1, "d": 1}, claimed)
	})
}
