package pipeline

import (
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/cenkalti/backoff/v5"
	"github.com/stretchr/testify/require"

	"github.com/orbit/realtime/domain"
	"github.com/orbit/realtime/store"
)

func fails(err error) message.HandlerFunc {
	return func(*message.Message) ([]*message.Message, error) { return nil, err }
}

func projection(ev domain.Event) effect {
	return effect{projection: &store.Projection{
		EventID: ev.ID, WorkspaceID: ev.WorkspaceID,
		Entries: []domain.Entry{{Channel: "workspace:ws", Type: "test.event", Data: []byte(`{"n":1}`), EventID: ev.ID}},
	}}
}

func TestAttemptTellsTheStory(t *testing.T) {
	msg := newHand(t, newEvent("test.ok", "ws", 1)).next()
	var s story
	msg.SetContext(withStory(msg.Context(), &s))
	for range 2 {
		_, err := attempt(fails(errBroken))(msg)
		require.Equal(t, errBroken, err, "to be retried")
	}
	require.Len(t, s.attempts, 2)
	require.Equal(t, "broken", s.attempts[0].Error)
	require.WithinDuration(t, time.Now(), s.attempts[0].At, patiently)
	require.False(t, s.attempts[1].At.Before(s.attempts[0].At))
}

// A second of waiting doesn't bring a database back.
func TestAttemptStopsRetryWhenTheDatabaseIsAway(t *testing.T) {
	msg := newHand(t, newEvent("test.ok", "ws", 1)).next()
	_, err := attempt(fails(domain.Transient(errBroken, "away")))(msg)
	var stop *backoff.PermanentError
	require.ErrorAs(t, err, &stop)
	require.True(t, domain.IsTransient(err))
}

// The library sends a nacked message again in the same "transaction", and
// doesn't roll back what the failed attempt had written to it.
func TestAttemptDiscardsWhatItStaged(t *testing.T) {
	ev := newEvent("test.ok", "ws", 1)
	h := newHand(t, ev)
	msg := h.next()
	_, err := attempt(func(msg *message.Message) ([]*message.Message, error) {
		require.NoError(t, batchOf(t, msg).stage(msg.UUID, projection(ev)))
		return nil, errBroken
	})(msg)
	require.ErrorIs(t, err, errBroken)
	msg.Ack()
	drained(t, h.store)
	require.Empty(t, logged(t, h.store, "ws"))
}

// What is done shall not wait along while something else is retried.
func TestAttemptFlushesBeforeTheWait(t *testing.T) {
	first, second := newEvent("test.ok", "ws", 1), newEvent("test.ok", "ws", 2)
	h := newHand(t, first, second)
	msg := h.next()
	require.NoError(t, batchOf(t, msg).stage(msg.UUID, projection(first)))
	msg.Ack()

	msg = h.next()
	require.Empty(t, logged(t, h.store, "ws"), "both are of one batch, which isn't over")
	_, err := attempt(fails(errBroken))(msg)
	require.ErrorIs(t, err, errBroken)
	require.Equal(t, []int{1}, logged(t, h.store, "ws"))
	require.EqualValues(t, 1, pending(t, h.store))

	require.NoError(t, batchOf(t, msg).stage(msg.UUID, projection(second)))
	msg.Ack()
	drained(t, h.store)
	require.Equal(t, []int{1, 1}, logged(t, h.store, "ws"), "and the batch goes on")
}
