package pipeline

import (
	"context"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/orbit/realtime/domain"
	"github.com/orbit/realtime/store"
	"github.com/orbit/realtime/store/storetest"
)

// Watermill's way of requeueing, to the topic, runs every handler again, also the
// innocent ones, and left stale poison metadata; a deduplicator would drop it.
func TestRequeue(t *testing.T) {
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		var mended atomic.Bool
		start(t, s, projectors("test.bug", func(ctx context.Context, r domain.Reader, ev domain.Event) ([]domain.ServerEvent, error) {
			if !mended.Load() {
				return nil, errBroken
			}
			return ok(ctx, r, ev)
		}), Config{Retry: hasty})
		bad := newEvent("test.bug", "ws", 1)
		bad.Metadata = map[string]string{"traceparent": "00-abc"}
		publish(t, s, newEvent("test.ok", "ws", 0), bad, newEvent("test.ok", "ws", 2))
		drained(t, s)
		poison := func() domain.Poison {
			list := poisoned(t, s)
			require.Len(t, list, 1)
			return list[0]
		}
		id := poison().ID
		require.Equal(t, domain.PoisonOpen, poison().State)
		require.Len(t, poison().Attempts, 4)

		// Fails again: the same poison message is open again, its story longer.
		require.NoError(t, s.RequeuePoison(t.Context(), operator, id))
		require.Eventually(t, func() bool { return poison().State == domain.PoisonOpen }, patiently, tick)
		require.Equal(t, id, poison().ID)
		require.Len(t, poison().Attempts, 8)
		require.Equal(t, bad.Metadata, poison().Event.Metadata)
		require.Equal(t, bad.Payload, poison().Event.Payload)

		// Mended: handled by the projector that failed, and by nothing else.
		mended.Store(true)
		require.NoError(t, s.RequeuePoison(t.Context(), operator, id))
		require.Eventually(t, func() bool { return poison().State == domain.PoisonHealed }, patiently, tick)
		require.Equal(t, []int{0, 2, 1}, logged(t, s, "ws"))
	})
}

// An event that was projected, then published once more and poisoned by a
// newer, broken projector: requeueing it must not end as a duplicate.
func TestARequeueIsNoDuplicate(t *testing.T) {
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		ev := newEvent("test.ok", "ws", 1)
		_, err := s.CommitEffects(t.Context(), store.Effects{
			Projected: []store.Projection{{EventID: ev.ID, WorkspaceID: "ws"}},
			Poisoned:  []domain.Poison{{ID: "psn_1", State: domain.PoisonOpen, Event: ev, Projector: "test.ok"}},
		})
		require.NoError(t, err)
		start(t, s, projectors("test.ok", ok), Config{})
		require.NoError(t, s.RequeuePoison(t.Context(), operator, "psn_1"))
		drained(t, s)
		require.Equal(t, []int{1}, logged(t, s, "ws"))
		require.Equal(t, domain.PoisonHealed, poisoned(t, s)[0].State)
	})
}

func TestAnUnknownTypeIsPoisoned(t *testing.T) {
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		start(t, s, map[domain.EventType]domain.Projector{}, Config{Retry: hasty})
		publish(t, s, newEvent("test.unknown", "ws", 1))
		drained(t, s)
		list := poisoned(t, s)
		require.Len(t, list, 1)
		require.Contains(t, list[0].Error, `no projector for type "test.unknown"`)
	})
}
