package pipeline

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/orbit/realtime/domain"
	"github.com/orbit/realtime/store"
)

func dispatch(table map[domain.EventType]domain.Projector) dispatcher {
	return dispatcher{projectors: table, runner: newRunner(), observer: deaf{}}
}

func TestProjectStagesEntriesAndMark(t *testing.T) {
	ev := newEvent("test.ok", "ws", 7)
	ev.CreatedAt = time.Date(2026, 11, 23, 9, 30, 14, 123_000_000, time.UTC)
	ev.Metadata = map[string]string{store.MetaPoisonID: "psn_1"}
	msg := newHand(t, ev).next()
	lost := &domain.Revocation{MemberID: "mem_1"}
	err := dispatch(projectors("test.ok", func(ctx context.Context, r domain.Reader, ev domain.Event) ([]domain.ServerEvent, error) {
		events, err := ok(ctx, r, ev)
		events[0].Revoke = lost
		return events, err
	})).handle(msg)
	require.NoError(t, err)

	b := batchOf(t, msg)
	require.Equal(t, &store.Projection{
		EventID: ev.ID, WorkspaceID: "ws", AggregateID: "agg_1", PoisonID: "psn_1",
		Entries: []domain.Entry{{
			Channel: "workspace:ws", Type: "test.event", Revoke: lost, EventID: ev.ID, At: ev.CreatedAt,
			Data: []byte(`{"type":"test.event","channel":"workspace:ws","cause":"` + ev.ID + `","at":"2026-11-23T09:30:14.123Z","n":7}`),
		}},
	}, b.effects[0].projection)
}

// The row is gone by now: silence, but the event counts as projected.
func TestProjectToNothing(t *testing.T) {
	msg := newHand(t, newEvent("test.gone", "ws", 1)).next()
	err := dispatch(projectors("test.gone", func(context.Context, domain.Reader, domain.Event) ([]domain.ServerEvent, error) {
		return nil, nil
	})).handle(msg)
	require.NoError(t, err)
	require.Empty(t, batchOf(t, msg).effects[0].projection.Entries)
}

func TestProjectRefuses(t *testing.T) {
	t.Run("a type without projector", func(t *testing.T) {
		err := dispatch(nil).handle(newHand(t, newEvent("test.unknown", "ws", 1)).next())
		require.ErrorContains(t, err, `no projector for type "test.unknown"`)
		require.False(t, passes(t.Context(), err))
	})
	t.Run("a server event that can't be encoded", func(t *testing.T) {
		err := dispatch(projectors("test.bad", func(context.Context, domain.Reader, domain.Event) ([]domain.ServerEvent, error) {
			return []domain.ServerEvent{{Type: "test.event", Payload: []int{1}}}, nil
		})).handle(newHand(t, newEvent("test.bad", "ws", 1)).next())
		require.ErrorContains(t, err, "not a JSON object")
	})
	t.Run("an event without workspace", func(t *testing.T) {
		err := dispatch(projectors("test.ok", ok)).handle(newHand(t, newEvent("test.ok", "", 1)).next())
		require.ErrorContains(t, err, "not a workspace")
	})
}
