package pipeline

import (
	"context"
	"testing"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/stretchr/testify/require"

	"github.com/orbit/realtime/domain"
	"github.com/orbit/realtime/store"
)

// The only way out of a batch is to ack all of it. When it can't be committed,
// or shall not go on, acks must not delete what nobody handled.
func TestDeliveryPassesMessagesThrough(t *testing.T) {
	for name, leave := range map[string]func(h *hand, b *batch){
		"the batch broke":     func(_ *hand, b *batch) { b.abandon(errBroken) },
		"the lane is drained": func(h *hand, b *batch) { b.lane.drain() },
	} {
		t.Run(name, func(t *testing.T) {
			h := newHand(t, newEvent("test.ok", "ws", 1), newEvent("test.ok", "ws", 2), newEvent("test.ok", "ws", 3))
			msg := h.next()
			b := batchOf(t, msg)
			leave(h, b)
			for i := range 3 {
				if i > 0 {
					msg = h.next()
				}
				_, err := delivery(func(*message.Message) ([]*message.Message, error) {
					t.Error("handled")
					return nil, nil
				})(msg)
				require.NoError(t, err)
				msg.Ack()
			}
			<-b.ended
			require.EqualValues(t, 3, pending(t, h.store))
		})
	}
}

// Draining commits what was handled, and leaves the rest.
func TestDrainCommitsThePartHandled(t *testing.T) {
	first := newEvent("test.ok", "ws", 1)
	h := newHand(t, first, newEvent("test.ok", "ws", 2))
	msg := h.next()
	b := batchOf(t, msg)
	require.True(t, b.admit(msg.UUID))
	require.NoError(t, b.stage(msg.UUID, projection(first)))

	done := make(chan error, 1)
	go func() { done <- h.sub.Drain(t.Context()) }()
	<-b.lane.work.Done()
	msg.Ack()
	msg = h.next()
	require.False(t, b.admit(msg.UUID))
	msg.Ack()

	require.NoError(t, <-done)
	require.Equal(t, []int{1}, logged(t, h.store, "ws"))
	require.EqualValues(t, 1, pending(t, h.store))
	require.False(t, h.sub.status().Owned, "another process may have the lane")
}

func TestDrainGivesUpWithItsContext(t *testing.T) {
	h := newHand(t, newEvent("test.ok", "ws", 1))
	h.next() // and never let go
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	require.ErrorContains(t, h.sub.Drain(ctx), "the message in hand isn't done")
}

// Not handled now is neither success nor poison: the message comes again, in
// the same batch.
func TestDeliveryWaitsAndSendsAgain(t *testing.T) {
	h := newHand(t, newEvent("test.ok", "ws", 1))
	msg := h.next()
	_, err := delivery(fails(domain.Transient(errBroken, "away")))(msg)
	require.NoError(t, err)
	<-msg.Nacked()
	require.Contains(t, h.sub.status().LastError, "away")

	again := h.next()
	require.Equal(t, msg.UUID, again.UUID)
	require.Same(t, batchOf(t, msg), batchOf(t, again))
	calls := 0
	_, err = delivery(called(&calls))(again)
	require.NoError(t, err)
	require.Equal(t, 1, calls)
	require.Equal(t, 2, batchOf(t, again).delivered(msg.UUID))
	again.Ack()
	drained(t, h.store)
	require.Eventually(t, func() bool { return h.sub.status().LastError == "" }, patiently, tick)
}

// When a commit fails its outcome is unknown. Nothing more of the batch may be
// committed; the lane reads again what is still there.
func TestAFailedCommitEndsTheBatch(t *testing.T) {
	first, second := newEvent("test.ok", "ws", 1), newEvent("test.ok", "ws", 2)
	h := newHand(t, first, second)
	msg := h.next()
	b := batchOf(t, msg)
	b.mu.Lock()
	commit := b.commit
	b.commit = func(ctx context.Context, e store.Effects) ([]domain.Appended, error) {
		_, err := commit(ctx, e)
		require.NoError(t, err)
		return nil, domain.Transient(errBroken, "the answer to the COMMIT got lost")
	}
	b.mu.Unlock()
	require.NoError(t, b.stage(msg.UUID, projection(first)))
	msg.Ack()

	msg = h.next()
	_, err := delivery(attempt(fails(errBroken)))(msg)
	require.NoError(t, err, "flushing failed: let the message pass")
	require.ErrorContains(t, b.stage(msg.UUID, projection(second)), "got lost")
	msg.Ack()

	again := h.next()
	require.Equal(t, second.ID, again.UUID)
	require.NotSame(t, b, batchOf(t, again))
	require.Equal(t, []int{1}, logged(t, h.store, "ws"))
}

func TestDeliveryRefusesForeignMessages(t *testing.T) {
	_, err := delivery(fails(nil))(message.NewMessage("m", nil))
	require.ErrorContains(t, err, "didn't come from a lane")
}
