package store_test

import (
	"math"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/orbit/realtime/domain"
	"github.com/orbit/realtime/store"
	"github.com/orbit/realtime/store/storetest"
)

const forever = 365 * 24 * time.Hour

func TestLogAfter(t *testing.T) {
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		channels := []domain.Channel{"workspace:ws", "room:a", "room:b"}
		p := projection(event("ws"), 9)
		for i := range p.Entries { // offsets 1 4 7, 2 5 8, 3 6 9
			p.Entries[i].Channel = channels[i%3]
		}
		_, err := s.CommitEffects(t.Context(), store.Effects{Topic: store.Topic, Projected: []store.Projection{p}})
		require.NoError(t, err)
		commit(t, s, "ws_other", 2)

		for _, c := range []struct {
			after, upTo int64
			channels    []domain.Channel
			limit       int
			want        []int64
		}{
			{0, math.MaxInt64, nil, 100, []int64{1, 2, 3, 4, 5, 6, 7, 8, 9}},
			{3, 6, nil, 100, []int64{4, 5, 6}},
			{3, 9, nil, 2, []int64{4, 5}},
			{0, 9, channels[1:2], 100, []int64{2, 5, 8}},
			{2, 8, []domain.Channel{channels[0], channels[2], "room:unknown"}, 3, []int64{3, 4, 6}},
			{0, 9, []domain.Channel{}, 100, []int64{}},
			{9, 9, nil, 100, []int64{}},
			{50, 60, nil, 100, []int64{}}, // ahead of the log: the state tells
		} {
			entries, state, err := s.LogAfter(t.Context(), "ws", c.after, c.upTo, c.channels, c.limit)
			require.NoError(t, err)
			require.Equal(t, c.want, offsets(entries), "%+v", c)
			require.EqualValues(t, 9, state.Head)
			require.Zero(t, state.Floor)
			require.NotEmpty(t, state.Epoch)
		}
		_, _, err = s.LogAfter(t.Context(), "ws_none", 0, 9, nil, 1)
		require.ErrorIs(t, err, domain.ErrNotFound)

		states, err := s.LogStates(t.Context(), []string{"ws", "ws_none", "ws_other"})
		require.NoError(t, err)
		require.Len(t, states, 2)
		state, err := s.Reader().LogState(t.Context(), "ws")
		require.NoError(t, err)
		require.Equal(t, state, states["ws"])
		require.EqualValues(t, 2, states["ws_other"].Head)
		states, err = s.LogStates(t.Context(), nil)
		require.NoError(t, err)
		require.Empty(t, states)
	})
}

func TestTrimByCount(t *testing.T) {
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		commit(t, s, "ws_long", 2500) // more than one transaction's step
		commit(t, s, "ws_short", 3)
		before, err := s.Reader().LogState(t.Context(), "ws_long")
		require.NoError(t, err)

		n, err := s.TrimLogs(t.Context(), forever, 100)
		require.NoError(t, err)
		require.EqualValues(t, 2400, n)
		entries, state, err := s.LogAfter(t.Context(), "ws_long", 0, math.MaxInt64, nil, 10000)
		require.NoError(t, err)
		require.Equal(t, domain.LogState{Epoch: before.Epoch, Head: 2500, Floor: 2400}, state)
		require.Len(t, entries, 100)
		require.EqualValues(t, 2401, entries[0].Offset, "a position at the floor can be resumed from")
		state, err = s.Reader().LogState(t.Context(), "ws_short")
		require.NoError(t, err)
		require.Zero(t, state.Floor)

		n, err = s.TrimLogs(t.Context(), forever, 100)
		require.NoError(t, err)
		require.Zero(t, n)
		mended, err := s.CheckLogs(t.Context())
		require.NoError(t, err)
		require.Empty(t, mended, "trimming is no loss of history")
	})
}

func TestTrimByAge(t *testing.T) {
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		commit(t, s, "ws", 5)
		// What waited in the outbox through an outage of two days is not trimmed
		// as soon as it is in the log.
		late := projection(event("ws"), 1)
		late.Entries[0].At = time.Now().Add(-48 * time.Hour)
		_, err := s.CommitEffects(t.Context(), store.Effects{Topic: store.Topic, Projected: []store.Projection{late}})
		require.NoError(t, err)
		execSQL(t, s, `UPDATE log_entries SET logged_at = logged_at - $1 WHERE "offset" <= 3`, (2 * time.Hour).Microseconds())

		n, err := s.TrimLogs(t.Context(), time.Hour, 1000)
		require.NoError(t, err)
		require.EqualValues(t, 3, n)
		entries, state, err := s.LogAfter(t.Context(), "ws", 0, 100, nil, 100)
		require.NoError(t, err)
		require.Equal(t, []int64{4, 5, 6}, offsets(entries))
		require.EqualValues(t, 3, state.Floor)

		// Trimmed to nothing, a log keeps its head: positions go on from there.
		execSQL(t, s, `UPDATE log_entries SET logged_at = 0`)
		n, err = s.TrimLogs(t.Context(), time.Hour, 1000)
		require.NoError(t, err)
		require.EqualValues(t, 3, n)
		_, after, err := s.LogAfter(t.Context(), "ws", 0, 100, nil, 100)
		require.NoError(t, err)
		require.Equal(t, domain.LogState{Epoch: state.Epoch, Head: 6, Floor: 6}, after)
		mended, err := s.CheckLogs(t.Context())
		require.NoError(t, err)
		require.Empty(t, mended)
		require.Equal(t, []int64{7}, offsets(commit(t, s, "ws", 1).Entries))
	})
}

// A new epoch begins where history was lost, and nowhere else.
func TestCheckLogs(t *testing.T) {
	for name, damage := range map[string]string{
		"newest entries gone": `DELETE FROM log_entries WHERE workspace_id = 'ws' AND "offset" > 8`,
		"oldest entries gone": `DELETE FROM log_entries WHERE workspace_id = 'ws' AND "offset" < 3`,
		"one in between gone": `DELETE FROM log_entries WHERE workspace_id = 'ws' AND "offset" = 5`,
		"all entries gone":    `DELETE FROM log_entries WHERE workspace_id = 'ws'`,
		"log gone":            `DELETE FROM logs WHERE workspace_id = 'ws'`,
		"head behind":         `UPDATE logs SET head = 7 WHERE workspace_id = 'ws'`,
		"floor behind":        `UPDATE logs SET floor = floor - 1 WHERE workspace_id = 'ws'`,
	} {
		t.Run(name, func(t *testing.T) {
			storetest.Each(t, func(t *testing.T, s *store.Store) {
				w, _, _ := storetest.SeedWorkspace(t, s) // whose log is empty
				commit(t, s, "ws", 10)
				commit(t, s, "ws_fine", 10)
				_, err := s.TrimLogs(t.Context(), forever, 9)
				require.NoError(t, err)
				mended, err := s.CheckLogs(t.Context())
				require.NoError(t, err)
				require.Empty(t, mended)
				before, err := s.LogStates(t.Context(), []string{"ws", "ws_fine", w.ID})
				require.NoError(t, err)
				require.Len(t, before, 3)

				execSQL(t, s, damage)
				mended, err = s.CheckLogs(t.Context())
				require.NoError(t, err)
				require.Equal(t, []string{"ws"}, mended)
				entries, state, err := s.LogAfter(t.Context(), "ws", 0, 100, nil, 100)
				require.NoError(t, err)
				require.NotEqual(t, before["ws"].Epoch, state.Epoch)
				require.Equal(t, domain.LogState{Epoch: state.Epoch, Head: 10, Floor: 10}, state, "above every old offset")
				require.Empty(t, entries)
				require.Equal(t, []int64{11}, offsets(commit(t, s, "ws", 1).Entries))

				mended, err = s.CheckLogs(t.Context())
				require.NoError(t, err)
				require.Empty(t, mended, "mended once is mended")
				after, err := s.LogStates(t.Context(), []string{"ws_fine", w.ID})
				require.NoError(t, err)
				require.Equal(t, before["ws_fine"], after["ws_fine"])
				require.Equal(t, before[w.ID], after[w.ID])
			})
		})
	}
}

func TestResetEpoch(t *testing.T) {
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		commit(t, s, "ws_a", 3)
		commit(t, s, "ws_b", 4)
		states := func() map[string]domain.LogState {
			m, err := s.LogStates(t.Context(), []string{"ws_a", "ws_b"})
			require.NoError(t, err)
			return m
		}
		before := states()
		n, err := s.ResetEpoch(t.Context(), "ws_a")
		require.NoError(t, err)
		require.EqualValues(t, 1, n)
		one := states()
		require.NotEqual(t, before["ws_a"].Epoch, one["ws_a"].Epoch)
		require.EqualValues(t, 3, one["ws_a"].Floor)
		require.Equal(t, before["ws_b"], one["ws_b"])

		n, err = s.ResetEpoch(t.Context(), "")
		require.NoError(t, err)
		require.EqualValues(t, 2, n)
		all := states()
		require.NotEqual(t, one["ws_a"].Epoch, all["ws_a"].Epoch)
		require.NotEqual(t, one["ws_b"].Epoch, all["ws_b"].Epoch)
		require.NotEqual(t, all["ws_a"].Epoch, all["ws_b"].Epoch)
		_, err = s.ResetEpoch(t.Context(), "ws_none")
		require.ErrorIs(t, err, domain.ErrNotFound)
	})
}
