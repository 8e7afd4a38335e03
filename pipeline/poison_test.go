package pipeline

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/stretchr/testify/require"

	"github.com/orbit/realtime/domain"
	"github.com/orbit/realtime/store"
)

func answers(context.Context) error { return nil }

func newPoisoner() poisoner {
	return poisoner{ping: answers, build: "v1.2.3", node: "host/1", logger: quiet}
}

// staged returns the poison row staged for a message, or nil.
func staged(t *testing.T, msg *message.Message) *domain.Poison {
	b := batchOf(t, msg)
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.effects[b.place[msg.UUID]].poison
}

// Watermill's PoisonQueue keeps the outermost error's text in the message's
// metadata, and nothing else.
func TestPoisonTellsTheFullStory(t *testing.T) {
	ev := newEvent("test.bad", "ws", 1)
	ev.Metadata = map[string]string{"traceparent": "00-abc"}
	msg := newHand(t, ev).next()
	before := msg.Context()

	failure := fmt.Errorf("project: %w", domain.Errorf(domain.CodeConflict, "taken"))
	_, err := newPoisoner().middleware(attempt(fails(failure)))(msg)
	require.NoError(t, err, "its lane goes on")
	require.Equal(t, before, msg.Context())

	p := staged(t, msg)
	require.NotNil(t, p)
	require.Equal(t, ev.Payload, p.Event.Payload)
	require.Equal(t, ev.Metadata, p.Event.Metadata)
	require.Equal(t, "agg_1", p.Event.AggregateID)
	require.Equal(t, domain.PoisonOpen, p.State)
	require.Equal(t, "test.bad", p.Projector)
	require.Equal(t, "project: conflict: taken", p.Error)
	require.Equal(t, "conflict", p.ErrorClass)
	require.Equal(t, []string{"project: conflict: taken", "conflict: taken"}, p.ErrorChain)
	require.Len(t, p.Attempts, 1)
	require.Equal(t, "v1.2.3", p.Build)
	require.Equal(t, "host/1", p.Node)
	require.False(t, p.PoisonedAt.IsZero())
}

func TestPoisonKeepsAPanicsStack(t *testing.T) {
	msg := newHand(t, newEvent("test.bad", "ws", 1)).next()
	_, err := newPoisoner().middleware(attempt(recoverer(func(*message.Message) ([]*message.Message, error) {
		panic("boom")
	})))(msg)
	require.NoError(t, err)
	p := staged(t, msg)
	require.Equal(t, "panic", p.ErrorClass)
	require.Equal(t, "panic: boom", p.Error)
	require.Contains(t, p.Stack, "TestPoisonKeepsAPanicsStack")
}

// PoisonQueue without a filter poisons "context canceled" at every shutdown.
func TestPoisonSparesWhatPasses(t *testing.T) {
	t.Run("the database is away", func(t *testing.T) {
		msg := newHand(t, newEvent("test.bad", "ws", 1)).next()
		_, err := newPoisoner().middleware(fails(domain.Transient(errBroken, "away")))(msg)
		require.ErrorIs(t, err, errBroken)
		require.Nil(t, staged(t, msg))
	})
	t.Run("cancelled", func(t *testing.T) {
		msg := newHand(t, newEvent("test.bad", "ws", 1)).next()
		ctx, cancel := context.WithCancel(msg.Context())
		msg.SetContext(ctx)
		cancel()
		_, err := newPoisoner().middleware(fails(context.Canceled))(msg)
		require.ErrorIs(t, err, context.Canceled)
		require.Nil(t, staged(t, msg))
	})
}

// A database that hangs shows as a projector that takes too long.
func TestPoisonLooksTwiceAtATimeout(t *testing.T) {
	hung := &TimeoutError{Limit: time.Second, cause: context.DeadlineExceeded}
	waited := &TimeoutError{Limit: time.Second, cause: domain.Transient(context.DeadlineExceeded, "no answer in time")}
	silent := func(context.Context) error { return errors.New("no answer") }
	for _, tt := range []struct {
		name       string
		err        error
		ping       func(context.Context) error
		deliveries int
		poisoned   bool
	}{
		{"the projector hangs", hung, answers, 1, true},
		{"so does the database", hung, silent, 9, false},
		{"the projector waited for the database", waited, answers, 1, false},
		{"again and again, while others are served", waited, answers, patience, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			msg := newHand(t, newEvent("test.bad", "ws", 1)).next()
			for range tt.deliveries {
				require.True(t, batchOf(t, msg).admit(msg.UUID))
			}
			p := newPoisoner()
			p.ping = tt.ping
			_, err := p.middleware(fails(tt.err))(msg)
			require.Equal(t, tt.poisoned, err == nil)
			require.Equal(t, tt.poisoned, staged(t, msg) != nil)
		})
	}
}

// A requeued event that fails again is the same poison message, and what is
// kept of the event is what was published.
func TestPoisonOfARequeueKeepsItsID(t *testing.T) {
	ev := newEvent("test.bad", "ws", 1)
	ev.Metadata = map[string]string{store.MetaPoisonID: "psn_1", "mine": "too"}
	msg := newHand(t, ev).next()
	_, err := newPoisoner().middleware(fails(errBroken))(msg)
	require.NoError(t, err)
	p := staged(t, msg)
	require.Equal(t, "psn_1", p.ID)
	require.Equal(t, map[string]string{"mine": "too"}, p.Event.Metadata)
}
