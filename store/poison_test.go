package store_test

import (
	"encoding/json"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"github.com/orbit/realtime/domain"
	"github.com/orbit/realtime/store"
	"github.com/orbit/realtime/store/storetest"
)

func addPoison(t testing.TB, s *store.Store, list ...store.Poison) {
	t.Helper()
	_, err := s.CommitEffects(t.Context(), store.Effects{Topic: store.Topic, Poisoned: list})
	require.NoError(t, err)
}

func TestPoisonTellsTheFullStory(t *testing.T) {
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		ev := event("ws")
		ev.Payload = json.RawMessage{0, 0xff} // perhaps that is why it failed
		ev.Metadata = map[string]string{domain.MetaCorrelationID: "req_1"}
		publishAll(t, s, []domain.Event{ev})
		row := waiting(t, s, store.LaneOf("ws", s.Lanes()), 1)[0]
		want := poison(row.Event)
		_, err := s.CommitEffects(t.Context(), store.Effects{Topic: store.Topic, Acked: []int64{row.Seq}, Poisoned: []store.Poison{want}})
		require.NoError(t, err)

		got, err := s.PoisonByID(t.Context(), want.ID)
		require.NoError(t, err)
		require.False(t, got.PoisonedAt.IsZero())
		require.Equal(t, got.PoisonedAt, got.UpdatedAt)
		want.State, want.PoisonedAt, want.UpdatedAt = store.PoisonOpen, got.PoisonedAt, got.UpdatedAt
		require.Equal(t, want, got)
		require.Empty(t, waiting(t, s, store.LaneOf("ws", s.Lanes()), 1), "it is out of the lane's way")
		_, err = s.PoisonByID(t.Context(), "psn_none")
		require.ErrorIs(t, err, domain.ErrNotFound)
	})
}

func TestRequeueHeals(t *testing.T) {
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		lane := store.LaneOf("ws", s.Lanes())
		var woken [][]int
		s.OnPublish(func(lanes []int) { woken = append(woken, lanes) })
		p := poison(event("ws"))
		p.Event.Metadata = map[string]string{domain.MetaCorrelationID: "req_1"}
		addPoison(t, s, p)

		require.NoError(t, s.RequeuePoison(t.Context(), p.ID))
		require.Equal(t, [][]int{{lane}}, woken)
		row := waiting(t, s, lane, 10)[0]
		stored, err := s.PoisonByID(t.Context(), p.ID)
		require.NoError(t, err)
		require.Equal(t, store.PoisonRequeued, stored.State)
		require.Equal(t, 1, stored.Requeues)
		require.Equal(t, p.Event.Metadata, stored.Event.Metadata, "the story is left as it was")
		require.Equal(t, map[string]string{domain.MetaCorrelationID: "req_1", store.MetaPoisonID: p.ID}, row.Event.Metadata)
		row.Event.Metadata = stored.Event.Metadata
		require.Equal(t, stored.Event, row.Event, "same id, payload and time")

		healed := projection(p.Event, 1)
		healed.PoisonID = p.ID
		_, err = s.CommitEffects(t.Context(), store.Effects{Topic: store.Topic, Acked: []int64{row.Seq}, Projected: []store.Projection{healed}})
		require.NoError(t, err)
		stored, err = s.PoisonByID(t.Context(), p.ID)
		require.NoError(t, err)
		require.Equal(t, store.PoisonHealed, stored.State)
		requireCode(t, domain.CodeConflict, s.RequeuePoison(t.Context(), p.ID))
		requireCode(t, domain.CodeConflict, s.DiscardPoison(t.Context(), p.ID, "late"))
	})
}

// A requeued event that fails again reopens its message; attempts add up.
func TestRequeueThatFailsReopens(t *testing.T) {
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		first := poison(event("ws"))
		addPoison(t, s, first)
		require.NoError(t, s.RequeuePoison(t.Context(), first.ID))
		again := poison(first.Event)
		again.Event.Metadata = map[string]string{store.MetaPoisonID: first.ID}
		again.Error, again.ErrorClass, again.Stack = "other", "timeout", ""
		addPoison(t, s, again)

		all, err := s.ListPoison(t.Context(), store.PoisonFilter{})
		require.NoError(t, err)
		require.Len(t, all, 1)
		got := all[0]
		require.Equal(t, first.ID, got.ID)
		require.Equal(t, store.PoisonOpen, got.State)
		require.Equal(t, slices.Concat(first.Attempts, again.Attempts), got.Attempts)
		require.Equal(t, []string{"other", "timeout", ""}, []string{got.Error, got.ErrorClass, got.Stack})
		require.Equal(t, map[string]string{}, got.Event.Metadata, "the event as it was first; {} for people, never null")
		require.Equal(t, 1, got.Requeues)
	})
}

// Two operators press the button at once: the event is sent back once.
func TestRequeueOnce(t *testing.T) {
	for _, engine := range storetest.Engines(t) {
		t.Run(string(engine), func(t *testing.T) {
			dsn := storetest.DSN(t, engine)
			stores := []*store.Store{storetest.OpenDSN(t, dsn), storetest.OpenDSN(t, dsn)}
			for range 10 {
				p := poison(event("ws"))
				addPoison(t, stores[0], p)
				errs := make([]error, len(stores))
				var g errgroup.Group
				for i, s := range stores {
					g.Go(func() error { errs[i] = s.RequeuePoison(t.Context(), p.ID); return nil })
				}
				require.NoError(t, g.Wait())
				if errs[0] == nil {
					requireCode(t, domain.CodeConflict, errs[1])
				} else {
					requireCode(t, domain.CodeConflict, errs[0])
					require.NoError(t, errs[1])
				}
			}
			require.Len(t, waiting(t, stores[0], store.LaneOf("ws", stores[0].Lanes()), 100), 10)
		})
	}
}

// The product published the same event again, and it waits: a requeue would
// vanish in it, so it is refused and the message stays open.
func TestRequeueOfAWaitingEvent(t *testing.T) {
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		p := poison(event("ws"))
		addPoison(t, s, p)
		publishAll(t, s, []domain.Event{p.Event})
		requireCode(t, domain.CodeConflict, s.RequeuePoison(t.Context(), p.ID))
		got, err := s.PoisonByID(t.Context(), p.ID)
		require.NoError(t, err)
		require.Equal(t, store.PoisonOpen, got.State)
		require.Zero(t, got.Requeues)
	})
}

func TestDiscard(t *testing.T) {
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		p := poison(event("ws"))
		addPoison(t, s, p)
		require.NoError(t, s.DiscardPoison(t.Context(), p.ID, "known, harmless"))
		got, err := s.PoisonByID(t.Context(), p.ID)
		require.NoError(t, err)
		require.Equal(t, store.PoisonDiscarded, got.State)
		require.Equal(t, "known, harmless", got.Reason)
		requireCode(t, domain.CodeConflict, s.DiscardPoison(t.Context(), p.ID, "again"))
		requireCode(t, domain.CodeConflict, s.RequeuePoison(t.Context(), p.ID))
		require.ErrorIs(t, s.DiscardPoison(t.Context(), "psn_none", ""), domain.ErrNotFound)
		require.ErrorIs(t, s.RequeuePoison(t.Context(), "psn_none"), domain.ErrNotFound)
	})
}

func TestListPoison(t *testing.T) {
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		var newestFirst []string
		for i := range 5 {
			p := poison(event([]string{"ws_a", "ws_b"}[i%2]))
			if i == 4 {
				p.Event.Type = domain.EventRoleDeleted
			}
			addPoison(t, s, p)
			newestFirst = append([]string{p.ID}, newestFirst...)
		}
		require.NoError(t, s.DiscardPoison(t.Context(), newestFirst[1], "x"))
		list := func(f store.PoisonFilter) []string {
			all, err := s.ListPoison(t.Context(), f)
			require.NoError(t, err)
			got := []string{}
			for _, p := range all {
				got = append(got, p.ID)
			}
			return got
		}
		require.Equal(t, newestFirst, list(store.PoisonFilter{}))
		require.Equal(t, newestFirst[:2], list(store.PoisonFilter{Limit: 2}))
		require.Equal(t, newestFirst[2:4], list(store.PoisonFilter{Limit: 2, After: newestFirst[1]}))
		require.Equal(t, newestFirst[1:2], list(store.PoisonFilter{State: store.PoisonDiscarded}))
		require.Equal(t, newestFirst[:1], list(store.PoisonFilter{Type: domain.EventRoleDeleted}))
		require.Equal(t, []string{newestFirst[3]}, list(store.PoisonFilter{WorkspaceID: "ws_b", State: store.PoisonOpen}))
		for _, limit := range []int{-1, 1001} {
			_, err := s.ListPoison(t.Context(), store.PoisonFilter{Limit: limit})
			requireCode(t, domain.CodeInvalid, err)
		}
	})
}
