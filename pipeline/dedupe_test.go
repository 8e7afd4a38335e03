package pipeline

import (
	"testing"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/stretchr/testify/require"

	"github.com/orbit/realtime/domain"
	"github.com/orbit/realtime/store"
)

// called returns a handler that counts its calls.
func called(n *int) message.HandlerFunc {
	return func(*message.Message) ([]*message.Message, error) { *n++; return nil, nil }
}

// Watermill's Deduplicator, with its own repository, marks an event before it
// is handled: one that failed was dropped when it was delivered again. Asking
// ours marks nothing.
func TestDedupeDoesNotMark(t *testing.T) {
	msg := newHand(t, newEvent("test.ok", "ws", 1)).next()
	calls := 0
	for range 3 {
		_, err := dedupe()(called(&calls))(msg)
		require.NoError(t, err)
	}
	require.Equal(t, 3, calls)
}

// The stock key is a checksum of the payload: of two events that say the same,
// one was dropped.
func TestDedupeTellsEqualPayloadsApart(t *testing.T) {
	h := newHand(t, newEvent("test.ok", "ws", 1), newEvent("test.ok", "ws", 1))
	calls := 0
	for range 2 {
		msg := h.next()
		_, err := dedupe()(called(&calls))(msg)
		require.NoError(t, err)
		msg.Ack()
	}
	require.Equal(t, 2, calls)
}

func TestDedupeDropsWhatWasProjected(t *testing.T) {
	ev := newEvent("test.ok", "ws", 1)
	requeued := ev
	requeued.Metadata = map[string]string{store.MetaPoisonID: "psn_1"}
	for _, tt := range []struct {
		name  string
		ev    domain.Event
		calls int
	}{
		{"published once more", ev, 0},
		{"sent back by an operator", requeued, 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b := &batch{}
			b.load([]store.OutboxRow{{Seq: 1, Event: tt.ev, Projected: true}})
			require.Equal(t, tt.calls == 0, b.duplicate(ev.ID))
		})
	}
}
